//! SHOW CLIENTS, SERVERS and POOLS follow what clients and servers do.

use super::certificates::self_signed;
use super::table::{BOSS, console, pgotter, show};
use super::talk::Client;
use super::world::{cluster, eventually, fresh_role, holder, host, look};
use crate::support::raw::{Raw, startup_bytes};
use crate::support::{client, must, state};

#[test]
fn clients_and_servers_are_shown_with_what_they_do_and_with_whom() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 1\nquery_wait_notify = \"50ms\"", "");
    let port = pooler.port();
    let mut active = holder(port, &role);
    let backend = active.backend();
    let mut waiting = Client::connect(port, &role, "postgres");
    waiting.queue("SELECT 'served'");
    let idle = Client::connect_with(port, &[("user", &role), ("database", "postgres"), ("application_name", "zzz")]);
    let mut console = console(&pooler);

    let clients = show(&mut console, "CLIENTS");
    let (a, w) = (clients.row(&[("state", "active")]), clients.row(&[("state", "waiting")]));
    let i = clients.row(&[("state", "idle"), ("user", &role)]);
    for (row, client) in [(&a, &active), (&w, &waiting), (&i, &idle)] {
        assert_eq!(row.number("port"), u64::from(client.stream.local_addr().unwrap().port()));
        assert_eq!(row.number("local_port"), u64::from(port));
        let texts = ["type", "user", "database", "replication", "addr", "local_addr", "tls"].map(|name| row.text(name));
        assert_eq!(texts, ["C", &role, "postgres", "none", "127.0.0.1", "127.0.0.1", ""]);
        assert_eq!(row.numbers(["close_needed", "remote_pid", "prepared_statements"]), [0; 3]);
        assert!(row.text("request_time") >= row.text("connect_time") && row.text("connect_time").ends_with(" UTC"));
    }
    assert_eq!([&a, &w, &i].map(|row| row.text("application_name")), ["", "", "zzz"]);
    assert!(w.number("wait") * 1_000_000 + w.number("wait_us") >= 50_000, "{w:?}");
    assert_eq!([&a, &i].map(|row| row.numbers(["wait", "wait_us"])), [[0; 2]; 2]);
    assert_eq!([&w, &i].map(|row| row.text("link")), [""; 2]);

    let servers = show(&mut console, "SERVERS");
    let server = servers.row(&[("user", &role)]);
    assert_eq!([server.text("link"), a.text("link")], [a.text("ptr"), server.text("ptr")]);
    assert_eq!([server.text("type"), server.text("state"), server.text("remote_pid")], ["S", "active", &backend]);
    assert_eq!(server.number("port"), u64::from(cluster().port()));

    let pools = show(&mut console, "POOLS");
    let pool = pools.row(&[("user", &role)]);
    let counts = ["cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login"];
    assert_eq!(pool.numbers(counts), [2, 1, 1, 0, 0, 0, 0]);
    assert!(pool.number("maxwait") * 1_000_000 + pool.number("maxwait_us") >= 50_000, "{pool:?}");
    assert_eq!((pool.text("pool_mode"), pool.get("load_balance_hosts")), ("transaction", None));

    active.query("SET LOCAL application_name = 'busy'");
    assert_eq!(show(&mut console, "SERVERS").row(&[]).text("application_name"), "busy");
    active.query("COMMIT");
    assert_eq!(waiting.answer().value(), "served");
    eventually("everybody is idle", || {
        let table = show(&mut console, "POOLS");
        let row = table.row(&[("user", &role)]);
        row.numbers(counts) == [3, 0, 0, 1, 0, 0, 0] && row.numbers(["maxwait", "maxwait_us"]) == [0; 2]
    });
    assert_eq!(show(&mut console, "CLIENTS").with(&[("user", &role), ("state", "idle")]).len(), 3);
    let servers = show(&mut console, "SERVERS");
    assert_eq!([servers.row(&[]).text("state"), servers.row(&[]).text("link")], ["idle", ""]);
    active.leave();
    eventually("it has left", || show(&mut console, "CLIENTS").with(&[("user", &role)]).len() == 2);
}

#[test]
fn a_client_is_shown_under_the_name_that_it_has_given_itself_last() {
    let role = fresh_role();
    let pooler = pgotter("", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let mut console = console(&pooler);
    let mut name = || show(&mut console, "CLIENTS").row(&[("user", &role)]).text("application_name").to_owned();
    assert_eq!(name(), "");
    for given in ["first", "second"] {
        client.query(&format!("SET application_name = '{given}'"));
        assert_eq!(name(), given);
    }
    client.query("BEGIN -- with a server");
    client.query("SET application_name = 'third'");
    assert_eq!(name(), "third");
    client.query("ROLLBACK");
    assert_eq!(name(), "second");
}

#[test]
fn a_server_is_to_be_closed_once_it_is_outdated() {
    let role = fresh_role();
    let pooler = pgotter("", "");
    let mut client = holder(pooler.port(), &role);
    let mut console = console(&pooler);
    let mut close_needed = || {
        let servers = show(&mut console, "SERVERS");
        servers.with(&[("user", &role)]).iter().map(|row| row.number("close_needed")).collect::<Vec<_>>()
    };
    assert_eq!(close_needed(), [0]);
    let mut other = Client::connect(pooler.port(), BOSS, "pgotter");
    assert_eq!(other.query("RECONNECT").tags, ["RECONNECT"]);
    assert_eq!(close_needed(), [1]);
    let before = client.backend();
    client.query("COMMIT");
    assert_ne!(client.backend(), before);
    eventually("the old one is gone", || close_needed() == [0]);
}

#[test]
fn names_with_quotes_newlines_and_bytes_that_are_no_utf8_are_harmless() {
    let pooler =
        pgotter("", &format!("[databases.\"a\\\"b\\n|c\"]\ndbname = \"postgres\"\nhosts = [\"{}\"]", host(cluster())));
    let (role, database) = ("o'dd\n\"role", "a\"b\n|c");
    look(&format!("CREATE ROLE \"{}\" LOGIN", role.replace('"', "\"\"")));
    let mut raw = Raw::connect(pooler.port());
    raw.send(&startup_bytes(
        3,
        0,
        &[(b"user", role.as_bytes()), (b"database", database.as_bytes()), (b"application_name", b"\xff\xfe'\"\n")],
    ));
    raw.welcomed();
    raw.value("SELECT 1");
    let mut console = console(&pooler);
    let clients = show(&mut console, "CLIENTS");
    assert_eq!(clients.row(&[("user", role)]).text("database"), database);
    for what in ["POOLS", "SERVERS", "DATABASES", "STATS", "USERS", "LISTS"] {
        show(&mut console, what);
        let mut psql =
            client("psql", pooler.port(), &["-X", "-U", BOSS, "-d", "pgbouncer", "-c", &format!("SHOW {what}")]);
        let output = must(psql.output());
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let refusal = console.query(&format!("PAUSE \"{}x\"", database.replace('"', "\"\"")));
    // Any name is served under "*".
    assert_eq!(refusal.tags, ["PAUSE"]);
    assert_eq!(console.query("RESUME").tags, ["RESUME"]);
}

#[test]
fn encryption_and_unix_sockets_are_told() {
    let (folder, identity) = (must(state().new_folder("console")), self_signed("localhost"));
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        must(state().write(&path, text));
        path
    };
    let (certificate, key) = (file("tls.crt", &identity.certificate), file("tls.key", &identity.key));
    let pooler = pgotter(
        &format!(
            "client_tls_sslmode = \"require\"\nclient_tls_cert_file = {certificate:?}\nclient_tls_key_file = {key:?}\n\
             unix_socket_dir = {folder:?}"
        ),
        "",
    );
    let psql = |host: &str| {
        let arguments = ["-X", "-A", "-t", "-R", ";", "-U", BOSS, "-d", "pgbouncer", "-c", "SHOW CLIENTS"];
        let output = must(client("psql", pooler.port(), &arguments).env("PGHOST", host).output());
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim_end().to_owned();
        said.split('|').map(str::to_owned).collect::<Vec<_>>()
    };
    let (tcp, unix) = (psql("127.0.0.1"), psql(&folder.display().to_string()));
    assert_eq!((tcp.len(), unix.len()), (21, 21), "{tcp:?} {unix:?}");
    assert_eq!((tcp[5].as_str(), tcp[16].as_str()), ("127.0.0.1", "0"));
    assert!(tcp[17].starts_with("TLSv1.3/TLS_") || tcp[17].starts_with("TLSv1.2/ECDHE-"), "{tcp:?}");
    let port = pooler.port().to_string();
    assert_eq!(unix[5..9], ["unix", port.as_str(), "unix", port.as_str()]);
    assert!(unix[16].parse::<u32>().unwrap() > 0 && unix[17].is_empty(), "{unix:?}");
    // Without TLS nobody gets as far as the console.
    let refused = Client::try_connect(pooler.port(), &[("user", BOSS), ("database", "pgbouncer")]);
    refused.err().unwrap().fatal("28000");
}
