//! What is accepted, and what it then means.

use super::super::find::find_or;
use super::*;

const BASE: &str = "[pooler]\nauth_type = \"trust\"\n[databases.\"*\"]\nhosts = [\"pg-0\"]\n";

/// `key = value` lines of `[pooler]` in an otherwise sufficient configuration.
fn pooler(keys: &str) -> Pooler {
    good(&BASE.replace("[pooler]\n", &format!("[pooler]\n{keys}\n"))).pooler
}

fn hosts(list: &str) -> Vec<(String, u16)> {
    let config = good(&BASE.replace("[\"pg-0\"]", list));
    config.databases["*"].hosts.iter().map(|host| (host.host.clone(), host.port)).collect()
}

#[test]
fn the_shipped_file_loads_and_listens_on_loopback_only() {
    let config = good(SHIPPED);
    assert!(config.pooler.listen_addr.iter().all(IpAddr::is_loopback));
    assert_eq!(config.pooler.listen_port, 6432);
    assert_eq!(config.database("anything").map(|db| db.hosts[0].port), Some(5432));
    assert!(config.knows_user("anybody"));
}

#[test]
fn the_reference_loads_with_every_key_in_use() {
    let config = good(&reference_in_use());
    let shop = &config.databases["shop"];
    assert_eq!(shop.hosts.len(), 4);
    assert_eq!(shop.hosts[3], Host { host: "pg-1".to_owned(), port: 5432, role: HostRole::Replica, weight: 2 });
    assert_eq!(shop.password.as_ref().map(|secret| secret.expose().as_str()), Some("from the environment"));
    assert_eq!(config.pooler.auth_users["reporting"].expose(), "from a file");
    assert_eq!(config.pooler.auth_users["o\"dd"].expose(), "t\"wo");
}

#[test]
fn the_reference_documents_every_field_of_the_model() {
    let model = include_str!("../model.rs");
    for (name, section, prefix) in [
        ("Pooler", "#[pooler]", ""),
        ("ClientTls", "#[pooler]", "client_tls_"),
        ("ServerTls", "#[pooler]", "server_tls_"),
        ("Database", "#[databases.", ""),
        ("User", "#[users.", ""),
        ("Routing", "#[routing]", ""),
        ("Insight", "#[insight]", ""),
        ("SlowQueries", "#[slow_queries]", ""),
    ] {
        let body = model.split(&format!("pub struct {name} {{")).nth(1).and_then(|rest| rest.split("\n}").next());
        let body = body.expect("invariant: the model has this struct");
        let start = REFERENCE.find(section).expect("invariant: the reference has this section");
        let rest = &REFERENCE[start + 1..];
        // Sections of one kind stand together; the next kind ends them.
        let end = ["#[databases.", "#[users.", "#[routing]", "#[insight]", "#[slow_queries]"]
            .iter()
            .filter(|next| **next != section)
            .filter_map(|next| rest.find(next));
        let documented = &rest[..end.min().unwrap_or(rest.len())];
        let mut fields = 0;
        for field in body.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split(':').next()) {
            if ["auth_users", "client_tls", "server_tls"].contains(&field) {
                continue; // Not keys: what auth_file holds, and structs of their own.
            }
            fields += 1;
            let field = format!("{prefix}{field}");
            let (before, _) = documented
                .split_once(&format!("\n#{field} = "))
                .unwrap_or_else(|| panic!("config/reference.toml does not have `{field}` in {section}"));
            let facts = before.lines().next_back().unwrap_or_default();
            for word in ["# Default ", "Since 0.", "Applies: "] {
                assert!(facts.contains(word), "`{field}` in {section}: no {word:?} in {facts:?}");
            }
        }
        assert!(fields >= if name == "Insight" { 3 } else { 5 }, "{name} was not read");
    }
}

macro_rules! assert_same {
    ($one:expr, $other:expr, $($field:ident)*) => { $(assert_eq!($one.$field, $other.$field, stringify!($field));)* };
}

#[test]
fn the_values_in_the_reference_are_the_defaults() {
    let (reference, default) = (good(&reference_in_use()).pooler, pooler(""));
    assert_same!(reference, default, workers listen_addr listen_port listen_backlog unix_socket_mode pool_mode
        default_pool_size min_pool_size reserve_pool_size reserve_pool_timeout max_db_connections max_user_connections
        max_db_client_connections max_user_client_connections server_round_robin query_wait_timeout query_wait_notify
        server_lifetime server_idle_timeout server_connect_timeout server_login_retry dns_max_ttl server_check_delay
        max_pinned max_prepared_statements statement_cache_size server_reset_query server_reset_query_always query_timeout idle_transaction_timeout transaction_timeout client_idle_timeout
        client_login_timeout client_write_timeout cancel_wait_timeout tcp_keepalive tcp_keepidle tcp_keepintvl
        tcp_keepcnt tcp_user_timeout request_gather log_connections log_disconnections log_pooler_errors);
    assert_eq!(default.unix_socket_dir, None);
    assert_eq!(default.max_client_conn, None);
    assert_eq!(reference.auth_type, AuthType::ScramSha256);
}

#[test]
fn what_routing_does_by_default_is_what_the_reference_says() {
    let (reference, default) = (good(&reference_in_use()).routing, good(BASE).routing);
    assert_same!(reference, default, mode read_your_writes max_replica_lag monitor_interval failover_timeout
        replica_required transaction_reads);
    assert!(default.read_functions.is_empty() && default.write_functions.is_empty());
    assert_eq!(reference.read_functions, ["tenant_of", "Total"]);
    let shop = &good(&reference_in_use()).databases["shop"];
    assert_eq!(shop.monitor_user.as_deref(), Some("pgotter"));
    assert!(shop.monitor_password.is_some());
}

#[test]
fn what_is_counted_by_default_is_what_the_reference_says() {
    let (reference, default) = (good(&reference_in_use()).insight, good(BASE).insight);
    assert_same!(reference, default, max_fingerprints insight_memory exported_fingerprints);
    assert_eq!(good(&reference_in_use()).slow_queries, good(BASE).slow_queries);
    let off = good(&format!("{BASE}[slow_queries]\nlog = 0\nutilities = \"0s\"\n")).slow_queries;
    assert_eq!((off.log, off.utilities), (None, None));
}

#[test]
fn the_endpoint_listens_on_loopback_unless_told_otherwise() {
    let listen = |text: &str| good(&format!("{BASE}{text}")).http.listen.map(|address| address.to_string());
    assert_eq!(listen("").as_deref(), Some("127.0.0.1:9127"));
    assert_eq!(listen("[http]\nlisten = \"[::1]:9000\"\n").as_deref(), Some("[::1]:9000"));
    assert_eq!(listen("[http]\nlisten = \"\"\n"), None);
    let named =
        good(&format!("{BASE}[http]\nallowed_hosts = [\"otter.example.test.\", \"metrics\"]\n")).http.allowed_hosts;
    assert_eq!(named, ["otter.example.test", "metrics"]);
    assert!(good(BASE).http.allowed_hosts.is_empty());
}

#[test]
fn ready_asks_for_the_primary_unless_told_otherwise() {
    let ready = |text: &str| good(&format!("{BASE}{text}")).http.ready;
    assert_eq!([ready(""), ready("[http]\nready = \"primary\"\n")], [Ready::Primary; 2]);
    assert_eq!(ready("[http]\nready = \"any_host\"\n"), Ready::AnyHost);
    assert_eq!(ready("[http]\nready = \"listening\"\n"), Ready::Listening);
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
        ("login_failure_delay = \"15s\"", "", "login_failure_delay is not below"),
        ("", "[users.big]\nmax_user_connections = 2", "database shop, user big: pool_size is above"),
    ] {
        let found = found(pooler, rest);
        assert!(matches!(&found[..], [one] if one.starts_with(expected)), "{pooler} {rest}: {found:?}");
    }
}

#[test]
fn settings_that_apply_at_start_stay_as_they_are_and_are_named() {
    let text =
        |lines: &str| good(&format!("[pooler]\nauth_type = \"trust\"\n{lines}\n[databases.shop]\nhosts = [\"pg\"]\n"));
    let running = text("workers = 2");
    let mut new = text(
        "workers = 3\nlisten_addr = \"::1\"\nlisten_port = 1\nlisten_backlog = 1\nunix_socket_dir = \"/x\"\n\
         unix_socket_mode = 0o700\ntrack_extra_parameters = \"a.b, c\"\ndefault_pool_size = 3\n[http]\nlisten = \"\"",
    );
    let names = [
        "listen",
        "workers",
        "listen_addr",
        "listen_port",
        "listen_backlog",
        "unix_socket_dir",
        "unix_socket_mode",
        "track_extra_parameters",
    ];
    assert_eq!(new.keep_what_applies_at_start(&running), names);
    assert_eq!((new.pooler.workers, new.pooler.listen_port, new.pooler.default_pool_size), (2, 6432, 3));
    assert_eq!(new.keep_what_applies_at_start(&running), [""; 0]);
    // The reference promises the same.
    for entry in REFERENCE.split("\n\n").filter(|entry| entry.contains("Applies: at start")) {
        assert!(names.iter().any(|name| entry.contains(&format!("#{name} ="))), "{entry}");
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
fn everything_in_the_reference_is_shown_with_its_default_and_whether_a_reload_applies_it() {
    // [pooler] is the first section.
    let section = REFERENCE.split("\n#[").nth(1).unwrap_or_default();
    let (mut keys, mut at_start) = (Vec::new(), false);
    for line in section.lines() {
        at_start |= line.contains("Applies: at start");
        let key = line.strip_prefix('#').and_then(|line| line.split_once(" = "));
        if let Some((key, _)) = key.filter(|(key, _)| !key.starts_with(' ')) {
            keys.push((key, !std::mem::take(&mut at_start)));
        }
    }
    keys.sort_unstable();
    let config = good("[pooler]\nauth_type = \"trust\"\nquery_timeout = \"250ms\"\n[databases.a]\nhosts = [\"a\"]\n");
    let shown = show(&config);
    assert_eq!(shown.iter().map(|shown| (shown.key, shown.changeable)).collect::<Vec<_>>(), keys);
    let one = |key: &str| shown.iter().find(|shown| shown.key == key).expect("it is shown");
    for (key, value, default) in [
        ("query_timeout", Some("0.25"), Some("0")),
        ("auth_type", Some("trust"), Some("scram-sha-256")),
        ("workers", Some("3"), Some("0")),
        ("unix_socket_mode", Some("0777"), Some("0777")),
        ("max_client_conn", None, None),
        ("server_tls_sslmode", Some("prefer"), Some("prefer")),
        ("stats_period", Some("60"), Some("60")),
    ] {
        assert_eq!((one(key).value.as_deref(), one(key).default.as_deref()), (value, default), "{key}");
    }
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

#[test]
fn tls_settings_have_pgbouncers_names_and_defaults() {
    let plain = good("[databases.shop]\nhosts = [\"a\"]\n[pooler]\nauth_type = \"trust\"").pooler;
    assert_eq!((plain.client_tls.sslmode, plain.server_tls), (SslMode::Disable, ServerTls::default()));
    let text = "[databases.shop]\nhosts = [\"a\"]\n[pooler]\nauth_type = \"trust\"\nclient_tls_sslmode = \"verify-full\"\n\
                client_tls_key_file = \"keys/own\"\nclient_tls_cert_file = \"/own.crt\"\nclient_tls_ca_file = \"ca.crt\"\n\
                client_tls_protocols = \"tlsv1.3\"\nserver_tls_sslmode = \"verify-full\"\nserver_tls_ca_file = \"\"\n\
                server_tls_protocols = \"tlsv1.2, tlsv1.3\"";
    let pooler = good(text).pooler;
    let path = |path: &str| Some(PathBuf::from(path));
    assert_eq!(
        pooler.client_tls,
        ClientTls {
            sslmode: SslMode::VerifyFull,
            key_file: path("/etc/otter/keys/own"),
            cert_file: path("/own.crt"),
            ca_file: path("/etc/otter/ca.crt"),
            protocols: TlsProtocols::Only13,
        }
    );
    assert_eq!(pooler.server_tls, ServerTls { sslmode: SslMode::VerifyFull, ..ServerTls::default() });
}

#[test]
fn a_rule_may_lead_to_another_database_for_clients_of_one() {
    let rule = "{ database = \"shop*\", table = \"logs.*\", user = \"a*\", route = \"database=logs\" }";
    let logs = "[databases.logs]\nhosts = [\"b\"]\n";
    let config = good(&format!("{BASE}{logs}[routing]\nrules = [{rule}]\n"));
    let [rule] = &config.routing.rules[..] else { panic!("one rule was given") };
    assert_eq!(rule.route, RuleRoute::Database("logs".to_owned()));
    for (database, user, is_for) in
        [("shop", "ann", true), ("shop_2", "a", true), ("crm", "ann", false), ("shop", "bob", false)]
    {
        assert_eq!(rule.is_for(database, user), is_for, "{database} {user}");
    }
    assert_eq!(oddities(&config), [""; 0]);
    let session = format!(
        "{BASE}{logs}pool_mode = \"session\"\n[routing]\nrules = [{{ table = \"a\", route = \"database=logs\" }}]\n"
    );
    let said = oddities(&good(&session));
    assert!(
        said.iter().any(|line| line.contains("database logs") && line.contains("pool_mode is session")),
        "{said:?}"
    );
    let home = BASE.replace("hosts = [\"pg-0\"]", "hosts = [\"pg-0\"]\npool_mode = \"session\"");
    let said =
        oddities(&good(&format!("{home}{logs}[routing]\nrules = [{{ table = \"a\", route = \"database=logs\" }}]\n")));
    assert!(said.iter().any(|line| line.contains("database *") && line.contains("are not read")), "{said:?}");
}

#[test]
fn alerts_have_defaults_by_their_types() {
    let text = "[[alert]]\ntype = \"single\"\nover = \"5s\"\n[[alert]]\nname = \"errors\"\ntype = \"error_ratio\"\nover = 0.05\n\
                [[alert]]\ntype = \"pool_wait\"\nover = 2\n[[alert]]\ntype = \"average\"\nover = \"1s\"\n\
                match = { database = \"shop*\", tables = [\"orders\", \"s.items*\"], kind = \"write\" }\n";
    let alerts = good(&format!("{BASE}{text}")).alerts;
    let shown = |at: usize| (alerts[at].name.as_str(), alerts[at].window.as_secs(), alerts[at].scope);
    assert_eq!(shown(0), ("single", 300, Scope::Fingerprint));
    assert_eq!(shown(1), ("errors", 300, Scope::Database));
    assert_eq!(shown(2), ("pool_wait", 30, Scope::Fingerprint));
    assert_eq!(shown(3), ("average", 300, Scope::Fingerprint));
    assert_eq!((alerts[3].min_calls, alerts[3].clear, alerts[3].clear_for), (20, 0.8, Duration::from_secs(60)));
    let matches = &alerts[3].matches;
    assert!(matches.has_database("shop_eu") && !matches.has_database("web"));
    for (kind, tables, has) in [
        ("write", "orders", true),
        ("write", "public.orders", true),
        ("write", "a,s.items_2026", true),
        ("write", "t.items_2026", false),
        ("write", "", false),
        ("read", "orders", false),
    ] {
        assert_eq!(matches.has_statement(None, kind, tables), has, "{kind} {tables}");
    }
}

#[test]
fn an_alert_may_be_of_applications_and_each_pattern_is_counted_once() {
    let one = |name: &str, kind: &str, pattern: &str| {
        format!(
            "[[alert]]\nname = \"{name}\"\ntype = \"{kind}\"\nover = 0.5\nmatch = {{ application = \"{pattern}\" }}\n"
        )
    };
    let all = [
        one("a", "average", "billing-*"),
        one("b", "error_ratio", "till"),
        one("c", "error_ratio", "billing-*"),
        // Each single one is told with whose it was.
        one("d", "single", "report"),
    ];
    let alerts = good(&format!("{BASE}{}", all.concat())).alerts;
    let matches = &alerts[0].matches;
    assert!(
        matches.has_application("billing-7") && !matches.has_application("billing") && !matches.has_application("")
    );
    assert!(Match::default().has_application(""));
    assert_eq!(Alert::circles(&alerts).iter().map(|circle| &**circle).collect::<Vec<_>>(), ["billing-*", "till"]);
}

#[test]
fn webhooks_are_taken_apart_and_may_stand_elsewhere() {
    let text = "[notify]\nformat = \"slack\"\nwebhook = [\"https://hooks.example.test/services/T0?x=1\", \"http://[::1]:8080\", \
                { url = \"http://a\", format = \"json\" }, { url = { env = \"HOOK\" } }]\n";
    let env = |name: &str| (name == "HOOK").then(|| "https://b:1/c".to_owned());
    let config = parse(&format!("{BASE}{text}"), Path::new("/etc/otter/pooler.toml"), &read, &env, 6);
    let notify = config.unwrap_or_else(|report| panic!("{report}")).notify;
    let hook = |hook: &Webhook| (hook.tls, hook.host.clone(), hook.port, hook.path.expose().clone(), hook.format);
    let expected = [
        (true, "hooks.example.test", 443, "/services/T0?x=1", Format::Slack),
        (false, "::1", 8080, "/", Format::Slack),
        (false, "a", 80, "/", Format::Json),
        (true, "b", 1, "/c", Format::Slack),
    ]
    .map(|(tls, host, port, path, format)| (tls, host.to_owned(), port, path.to_owned(), format));
    assert_eq!(notify.webhook.iter().map(hook).collect::<Vec<_>>(), expected);
    assert_eq!((notify.timeout, notify.retry_for), (Duration::from_secs(10), Duration::from_secs(3600)));
}

#[test]
fn the_reference_has_every_key_of_alerts_and_of_who_is_told() {
    let alerts = include_str!("../alerts.rs");
    let keys = alerts.split("const KEYS").nth(1).and_then(|rest| rest.split("];").next()).expect("there are keys");
    let keys: Vec<_> = keys.split('"').skip(1).step_by(2).collect();
    assert!(keys.len() > 10, "{keys:?}");
    let notify = ["webhook", "format", "timeout", "retry_for"];
    for (section, keys) in [("#[[alert]]", &keys[..]), ("#[notify]", &notify)] {
        let start = REFERENCE.find(section).expect("the reference has this section");
        for key in keys {
            assert!(REFERENCE[start..].contains(&format!("\n#{key} = ")), "`{key}` is not in {section}");
        }
    }
}
