//! What is accepted, and what it then means.

use super::super::find::find_or;
use super::*;

fn hosts(list: &str) -> Vec<(String, u16)> {
    let config = good(&BASE.replace("[\"pg-0\"]", list));
    config.databases["*"].hosts.iter().map(|host| (host.host.clone(), host.port)).collect()
}

#[test]
fn zero_workers_are_half_the_cores_within_one_and_eight() {
    for (cores, workers) in [(1, 1), (2, 1), (6, 3), (64, 8)] {
        let config = parse(BASE, Path::new("pooler.toml"), &read, &env, cores);
        assert_eq!(config.map(|config| config.pooler.workers).unwrap_or_default(), workers, "{cores} cores");
    }
}

#[test]
fn durations_have_units_and_numbers_are_seconds() {
    for (text, millis) in [
        ("\"30s\"", 30_000),
        ("\"250ms\"", 250),
        ("\"5min\"", 300_000),
        ("\"5m\"", 300_000),
        ("\"1.5 h\"", 5_400_000),
        ("\"2d\"", 172_800_000),
        ("7", 7_000),
        ("0.25", 250),
    ] {
        let pooler = pooler(&format!("query_wait_timeout = {text}"));
        assert_eq!(pooler.query_wait_timeout, Some(Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn zero_means_no_limit_where_the_model_says_so() {
    let pooler = pooler("query_wait_timeout = 0\nserver_idle_timeout = \"0s\"\ntcp_keepcnt = 0\ntcp_keepidle = 0");
    assert_eq!(pooler.query_wait_timeout, None);
    assert_eq!(pooler.server_idle_timeout, None);
    assert_eq!((pooler.tcp_keepcnt, pooler.tcp_keepidle), (None, None));
}

#[test]
fn tcp_user_timeout_counts_milliseconds_as_in_pgbouncer() {
    assert_eq!(pooler("tcp_user_timeout = 1500").tcp_user_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(pooler("tcp_user_timeout = \"15s\"").tcp_user_timeout, Some(Duration::from_secs(15)));
}

#[test]
fn sizes_have_binary_units() {
    assert_eq!(pooler("request_gather = \"1MiB\"").request_gather, 1 << 20);
    assert_eq!(pooler("request_gather = 2048").request_gather, 2048);
}

#[test]
fn a_socket_mode_is_octal() {
    assert_eq!(pooler("unix_socket_mode = 0o770").unix_socket_mode, 0o770);
    assert_eq!(pooler("unix_socket_mode = \"0700\"").unix_socket_mode, 0o700);
}

#[test]
fn addresses_are_a_list_with_commas_and_a_star_is_both_families() {
    let scram = "auth_type = \"scram-sha-256\"\nauth_file = \"userlist.txt\"";
    let listen = |addresses: &str| {
        let text = BASE.replace("auth_type = \"trust\"", &format!("{scram}\nlisten_addr = \"{addresses}\""));
        good(&text).pooler.listen_addr.iter().map(IpAddr::to_string).collect::<Vec<_>>()
    };
    assert_eq!(listen("*"), ["0.0.0.0", "::"]);
    assert_eq!(listen("0.0.0.0, ::1"), ["0.0.0.0", "::1"]);
    assert_eq!(listen(""), [""; 0]);
}

#[test]
fn hosts_are_names_addresses_folders_and_tables() {
    let pair = |host: &str, port| (host.to_owned(), port);
    let strings =
        r#"["pg-0:5433", "10.0.0.1", "[::1]:5434", "[fe80::1]", "/var/run/postgresql", "/run/postgresql:5435"]"#;
    let expected = [
        pair("pg-0", 5433),
        pair("10.0.0.1", 5432),
        pair("::1", 5434),
        pair("fe80::1", 5432),
        pair("/var/run/postgresql", 5432),
        pair("/run/postgresql", 5435),
    ];
    assert_eq!(hosts(strings), expected);
    assert_eq!(hosts(r#"[{ host = "::1", port = 1 }, { host = "/run" }]"#), [pair("::1", 1), pair("/run", 5432)]);
}

#[test]
fn pgbouncers_host_and_port_are_understood() {
    let config = good(&BASE.replace("hosts = [\"pg-0\"]", "host = \"a, b\"\nport = 6000"));
    let hosts: Vec<_> = config.databases["*"].hosts.iter().map(|host| (host.host.as_str(), host.port)).collect();
    assert_eq!(hosts, [("a", 6000), ("b", 6000)]);
}

#[test]
fn a_users_password_completes_the_auth_file_and_never_overrides_it() {
    let users = "[users.app]\npassword = \"other\"\n[users.new]\npassword = \"three\"\n";
    let text = BASE.replace("auth_type = \"trust\"", "auth_file = \"userlist.txt\"") + users;
    let config = good(&text);
    assert_eq!(config.pooler.auth_file, Some(PathBuf::from("/etc/otter/userlist.txt")));
    assert_eq!(config.pooler.auth_users["app"].expose(), "one");
    assert_eq!(config.pooler.auth_users["new"].expose(), "three");
    assert!(config.knows_user("new") && !config.knows_user("stranger"));
}

#[test]
fn a_user_comes_before_the_database_before_the_pooler() {
    let config = good(
        "[pooler]\nauth_type = \"trust\"\ndefault_pool_size = 9\nmin_pool_size = 3\nquery_timeout = 7\n\
         [databases.shop]\nhosts = [\"a\"]\npool_size = 8\npool_mode = \"session\"\n\
         [databases.forced]\nhosts = [\"a\"]\nuser = \"bob\"\n\
         [users.bob]\npool_size = 2\npool_mode = \"statement\"\nquery_timeout = 0\n",
    );
    let resolve = |database, user| config.resolve(database, user).expect("invariant: configured");
    let (ann, bob) = (resolve("shop", "ann"), resolve("shop", "bob"));
    assert_eq!((ann.pool_size, ann.pool_mode, ann.min_pool_size), (8, PoolMode::Session, 3));
    assert_eq!((bob.pool_size, bob.pool_mode, bob.min_pool_size), (2, PoolMode::Statement, 2));
    assert_eq!((ann.query_timeout, bob.query_timeout), (Some(Duration::from_secs(7)), None));
    assert_eq!(resolve("forced", "ann"), resolve("forced", "bob"));
    assert_eq!(config.resolve("elsewhere", "ann"), None);
}

#[test]
fn a_reserve_without_timeout_is_no_reserve() {
    let config = good(&BASE.replace("[pooler]", "[pooler]\nreserve_pool_size = 5\nreserve_pool_timeout = 0"));
    assert_eq!(config.resolve("x", "y").map(|resolved| resolved.reserve_pool_size), Some(0));
}

#[test]
fn the_summary_adds_the_pools_up_per_host() {
    let config = good(
        "[pooler]\nauth_file = \"userlist.txt\"\nreserve_pool_size = 1\n\
         [databases.shop]\nhosts = [\"a\", \"b\"]\npool_size = 4\n\
         [databases.old]\nhost = \"a\"\nuser = \"app\"\nmax_db_connections = 6\n",
    );
    let expected = "host a port 5432\n  \
        database old: 6 servers as app, by max_db_connections\n  \
        database shop: 10 servers for 2 users\n  \
        together at most 16 servers; its max_connections must allow more\n\
        host b port 5432\n  \
        database shop: 10 servers for 2 users\n  \
        together at most 10 servers; its max_connections must allow more\n";
    assert_eq!(check_summary(&config), expected);
}

#[test]
fn the_queue_is_held_against_the_pool() {
    let config = good(
        "[pooler]\nauth_type = \"trust\"\ndefault_pool_size = 20\n[users.app]\n\
         [databases.big]\nhosts = [\"a\"]\npool_size = 1000\n\
         [databases.open]\nhosts = [\"a\"]\npool_size = 0\n\
         [databases.patient]\nhosts = [\"a\"]\nquery_wait_timeout = 0\n\
         [databases.shop]\nhosts = [\"a\", \"b\"]\n",
    );
    let expected = "clients at most 1000; if all of them want a server at once\n  \
        database big: nobody waits\n  \
        database open: nobody waits, its servers have no limit\n  \
        database patient: 980 wait for 20 servers, without limit\n  \
        database shop: 980 wait for 20 servers, within 30s if a transaction takes 612ms at most\n";
    assert_eq!(queue_summary(&config, 1000), expected);
}

#[test]
fn what_is_allowed_and_hardly_meant_is_named_once_for_each_database() {
    let database = "[databases.shop]\nhosts = [\"pg\"]\n";
    let found = |pooler: &str, rest: &str| {
        oddities(&good(&format!("[pooler]\nauth_type = \"trust\"\n{pooler}\n{database}{rest}\n[users.app]\n")))
    };
    assert_eq!(found("", ""), [""; 0]);
    for (pooler, rest, expected) in [
        ("", "max_db_connections = 5", "database shop: pool_size is above max_db_connections"),
        ("max_user_connections = 5", "", "database shop: pool_size is above max_user_connections"),
        ("max_client_conn = 5", "", "database shop: pool_size is above max_client_conn"),
        ("reserve_pool_size = 1\nreserve_pool_timeout = \"1min\"", "", "database shop: reserve_pool_timeout is not"),
        ("", "query_wait_timeout = \"10s\"", "database shop: server_connect_timeout is above"),
        ("", "query_wait_timeout = 0", "database shop: query_wait_timeout is 0"),
        ("query_wait_notify = \"30s\"", "", "query_wait_notify is not below"),
        ("shutdown_timeout = \"2min\"", "", "shutdown_timeout is longer"),
        ("auth_file = \"userlist.txt\"\nadmin_users = \"app, boss\"", "", "admin_users names boss, whom auth_file"),
        ("login_failure_delay = \"4s\"", "", "login_failure_delay is above a quarter"),
        ("", "[users.big]\nmax_user_connections = 2", "database shop, user big: pool_size is above"),
    ] {
        let found = found(pooler, rest);
        assert!(matches!(&found[..], [one] if one.starts_with(expected)), "{pooler} {rest}: {found:?}");
    }
}

#[test]
fn the_file_is_found_in_the_folder_or_the_system_and_two_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (long, short) = (dir.path().join("pooler.toml"), dir.path().join("pool.toml"));
    let system = dir.path().join("system.toml");
    let look = || find_or(None, dir.path(), &system);
    assert_eq!(look(), Err(FindError::Nowhere(vec![long.clone(), short.clone(), system.clone()])));
    let write = |path: &Path| std::fs::write(path, "").expect("written");
    write(&system);
    assert_eq!(look(), Ok(system.clone()));
    write(&short);
    assert_eq!(look(), Ok(short.clone()));
    write(&long);
    let both = look().expect_err("two files");
    assert!(both.to_string().contains("pooler.toml") && both.to_string().contains("pool.toml"), "{both}");
    assert_eq!(find(Some(Path::new("mine.toml")), dir.path()), Ok(PathBuf::from("mine.toml")));
    std::fs::remove_file(&short).expect("removed");
    assert_eq!(look(), Ok(long));
}

#[test]
fn a_file_on_disk_is_loaded_with_what_lies_beside_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("pooler.toml");
    std::fs::write(&file, BASE.replace("auth_type = \"trust\"", "auth_file = \"users\"")).expect("written");
    std::fs::write(dir.path().join("users"), "\"a\" \"b\"\n").expect("written");
    assert!(load(&file).is_ok_and(|config| config.knows_user("a")));
    std::fs::write(&file, b"[pooler]\n# caf\xe9\n").expect("written");
    let report = load(&file).err().map(|report| (report.mistakes()[0].line, report.mistakes()[0].column));
    assert_eq!(report, Some((2, 6)));
    assert!(load(&dir.path().join("none.toml")).is_err());
}

#[test]
fn the_console_is_for_those_who_are_named() {
    let config = good(
        "[pooler]\nauth_type = \"trust\"\nadmin_users = \"a, b\"\nstats_users = [\"b\", \"c\"]\n[databases.a]\nhosts = [\"a\"]\n",
    );
    let rights = ["a", "b", "c", "d", ""].map(|user| config.console_rights(user));
    assert_eq!(rights, [Some(Rights::Everything), Some(Rights::Everything), Some(Rights::Look), None, None]);
    assert_eq!(["pgotter", "pgbouncer", "PgBouncer", "a"].map(is_console), [true, true, false, false]);
}
