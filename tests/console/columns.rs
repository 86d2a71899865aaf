//! Every SHOW has PgBouncer's columns, of its names, in its order and its types.

use super::table::{BOSS, Table, console, pgotter, show};
use super::talk::Client;
use super::world::{PATIENCE, cluster, fresh_role, host};
use crate::support::{could_not_run, must, state};
use pgotter::cli::ports;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// PgBouncer 1.25; `s` text, `i` int4, `N` numeric. Source: its `src/admin.c` and `src/stats.c`.
const SHOWN: [(&str, &str); 20] = [
    (
        "POOLS",
        "database:s user:s cl_active:i cl_waiting:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active:i \
         sv_active_cancel:i sv_being_canceled:i sv_idle:i sv_used:i sv_tested:i sv_login:i maxwait:i maxwait_us:i \
         pool_mode:s load_balance_hosts:s",
    ),
    ("CLIENTS", SOCKETS),
    ("SERVERS", SOCKETS),
    (
        "DATABASES",
        "name:s host:s port:i database:s force_user:s pool_size:i min_pool_size:i reserve_pool_size:i \
         server_lifetime:i pool_mode:s load_balance_hosts:s max_connections:i current_connections:i \
         max_client_connections:i current_client_connections:i paused:i disabled:i",
    ),
    (
        "STATS",
        "database:s total_server_assignment_count:N total_xact_count:N total_query_count:N total_received:N total_sent:N \
         total_xact_time:N total_query_time:N total_wait_time:N total_client_parse_count:N total_server_parse_count:N \
         total_bind_count:N total_client_login_count:N avg_server_assignment_count:N avg_xact_count:N avg_query_count:N \
         avg_recv:N avg_sent:N avg_xact_time:N avg_query_time:N avg_wait_time:N avg_client_parse_count:N \
         avg_server_parse_count:N avg_bind_count:N avg_client_login_count:N",
    ),
    (
        "STATS_TOTALS",
        "database:s server_assignment_count:N xact_count:N query_count:N bytes_received:N bytes_sent:N xact_time:N \
         query_time:N wait_time:N client_parse_count:N server_parse_count:N bind_count:N client_login_count:N",
    ),
    (
        "STATS_AVERAGES",
        "database:s server_assignment_count:N xact_count:N query_count:N bytes_received:N bytes_sent:N xact_time:N \
         query_time:N wait_time:N avg_client_parse_count:N avg_server_parse_count:N avg_bind_count:N \
         avg_client_login_count:N",
    ),
    ("TOTALS", "name:s value:N"),
    ("LISTS", "list:s items:i"),
    ("CONFIG", "key:s value:s default:s changeable:s"),
    // PgOtter's own.
    ("HOSTS", "database:s host:s port:i role:s state:s weight:i timeline:N lsn:s lag_bytes:N lag_ms:N reason:s"),
    (
        "QUERIES",
        "database:s fingerprint:s kind:s calls:N errors:N rows:N total_ms:s mean_ms:s p50_ms:s p95_ms:s p99_ms:s \
         wait_ms:s share:s query:s tables:s replica_calls:N",
    ),
    ("ERRORS", "database:s sqlstate:s source:s fingerprint:s errors:N last:s user:s application_name:s kind:s query:s"),
    (
        "APPLICATIONS",
        "database:s application_name:s clients:N idle_clients:N queries:N errors:N server_ms:s idle_transactions:N idle_ms:s",
    ),
    ("IDLE_TRANSACTIONS", "database:s by:s name:s idle_clients:N idle_transactions:N idle_ms:s"),
    (
        "SLOW_QUERIES",
        "time:s database:s fingerprint:s kind:s total_ms:s wait_ms:s server_ms:s transaction_ms:s rows:N bytes:N failed:s \
         sqlstate:s user:s application_name:s client:s server:s role:s reason:s trace_id:s route:s action:s \
         application:s suppressed:N query:s text:s parameters:s",
    ),
    (
        "USERS",
        "name:s pool_size:s reserve_pool_size:s pool_mode:s max_user_connections:i current_connections:i \
         max_user_client_connections:i current_client_connections:i",
    ),
    ("STATE", "key:s value:s"),
    ("VERSION", "version:s"),
    ("client_encoding", "client_encoding:s"),
];

const SOCKETS: &str = "type:s user:s database:s replication:s state:s addr:s port:i local_addr:s local_port:i \
                       connect_time:s request_time:s wait:i wait_us:i close_needed:i ptr:s link:s remote_pid:i tls:s \
                       application_name:s prepared_statements:i id:i";

fn named(table: &Table) -> Vec<String> {
    let kind = |oid| match oid {
        25 => "s",
        23 => "i",
        20 => "q",
        1700 => "N",
        other => panic!("a column of type {other}"),
    };
    table.columns.iter().map(|(name, oid)| format!("{name}:{}", kind(*oid))).collect()
}

#[test]
fn every_show_has_the_columns_that_pgbouncer_has() {
    let pooler = pgotter("", "");
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    client.value("SELECT 1 FROM pg_sleep(0.1)");
    client.query("SELECT 1 / 0").error("22012");
    ["BEGIN -- with a server", "COMMIT"].iter().for_each(|text| drop(client.query(text)));
    let mut console = console(&pooler);
    for (what, columns) in SHOWN {
        let table = show(&mut console, what);
        assert_eq!(named(&table).join(" "), columns, "{what}");
        assert!(!table.rows.is_empty(), "{what} shows nothing");
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()), "{table:?}");
    }
    let help = console.query("SHOW HELP");
    assert_eq!((help.tags, help.rows.len()), (vec!["SHOW".to_owned()], 0));
    assert_eq!((help.notices[0].code.as_str(), help.notices[0].message.as_str()), ("00000", "Console usage"));
    assert!(help.notices[0].detail.contains("SHOW STATS"));
}

#[test]
fn what_an_installed_pgbouncer_shows_has_the_same_types_here() {
    let Some(program) = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| Path::new(path).exists())
    else {
        return could_not_run("the comparison with PgBouncer's console", "pgbouncer is not installed");
    };
    let port = ports::free_port();
    let file = state().path().join("console_columns.ini");
    let (listen, admin) = ("listen_addr = 127.0.0.1\nunix_socket_dir =", format!("admin_users = {BOSS}"));
    let server = host(cluster());
    let (host, server_port) = server.split_once(':').unwrap();
    let databases = format!("[databases]\npostgres = host={host} port={server_port}\n");
    let text = format!("{databases}[pgbouncer]\n{listen}\nlisten_port = {port}\nauth_type = any\n{admin}\n");
    must(state().write(&file, &text));
    let mut command = Command::new(program);
    state().adopt(&mut command);
    command.arg("-q").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut pgbouncer = must(command.spawn());
    let since = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(since.elapsed() < PATIENCE && pgbouncer.try_wait().unwrap().is_none(), "pgbouncer does not start");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pooler = pgotter("", "");
    let (mut ours, mut theirs) = (console(&pooler), Client::connect(port, BOSS, "pgbouncer"));
    let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // Debian 12 has PgBouncer 1.18, which has no SHOW STATE yet; the others are PgOtter's own.
        let own = ["STATE", "HOSTS", "QUERIES", "ERRORS", "APPLICATIONS", "IDLE_TRANSACTIONS", "SLOW_QUERIES"];
        for (what, _) in SHOWN.into_iter().filter(|(what, _)| !own.contains(what)) {
            let (ours, theirs) = (named(&show(&mut ours, what)), named(&show(&mut theirs, what)));
            let name = |column: &String| column.split(':').next().unwrap().to_owned();
            let common = |columns: &[String], others: &[String]| -> Vec<String> {
                let others: Vec<_> = others.iter().map(name).collect();
                columns.iter().filter(|column| others.contains(&name(column))).cloned().collect()
            };
            let (mine, others) = (common(&ours, &theirs), common(&theirs, &ours));
            assert!(!mine.is_empty(), "{what}");
            assert_eq!(mine, others, "{what}");
        }
        for name in ["server_version", "client_encoding", "server_encoding", "DateStyle", "TimeZone"] {
            assert!(ours.parameters.contains_key(name) && theirs.parameters.contains_key(name), "{name}");
        }
        assert_eq!(ours.parameters.len(), theirs.parameters.len(), "{:?} {:?}", ours.parameters, theirs.parameters);
    }));
    must(pgbouncer.kill());
    must(pgbouncer.wait());
    if let Err(panic) = compared {
        std::panic::resume_unwind(panic);
    }
}
