//! What has to hold on every PostgreSQL that PgOtter supports, and may differ from one to the next: the clients that
//! come with it, settings put in front of a request, what a pipeline without a Sync does. Runs on the PostgreSQL that
//! PGBIN or the machine has; `make test-versions` runs it on 15 to 18.

mod support;

use bytes::BytesMut;
use pgotter::cli::local_postgres::{LocalPostgres, SUPERUSER};
use pgotter::wire::backend::{self, kind};
use pgotter::wire::{frame, frontend};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;
use support::waiting::read;
use support::{PgOtter, client_output, could_not_run, must, psql, shared_postgres, state};

/// No answer in these tests takes longer on a working machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// One server for all clients of a user: each finds the settings of the one before.
const ONE_SERVER: &str = "default_pool_size = 1";

fn major(server: &LocalPostgres) -> u32 {
    let number = must(server.psql("postgres", "SHOW server_version_num"));
    must(number.parse::<u32>()) / 10_000
}

/// A client that speaks the protocol byte by byte.
struct Raw {
    stream: TcpStream,
    inbox: Vec<u8>,
}

impl Raw {
    fn connect(port: u16, settings: &[(&str, &str)]) -> Self {
        let mut raw = Self::open(port);
        raw.send(&startup(settings));
        raw.until_ready();
        raw
    }

    fn open(port: u16) -> Self {
        let stream = must(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
        must(stream.set_read_timeout(Some(PATIENCE)));
        Self { stream, inbox: Vec::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        must(self.stream.write_all(bytes));
    }

    fn message(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((kind, body, length)) = frame::first(&self.inbox) {
                let message = (kind, body.to_vec());
                self.inbox.drain(..length);
                return message;
            }
            let mut buffer = [0; 4096];
            let received = must(read(&self.stream, &mut buffer));
            assert!(received > 0, "the connection was closed");
            self.inbox.extend_from_slice(&buffer[..received]);
        }
    }

    /// Everything up to and with ReadyForQuery, readable. An error is its code alone: line numbers differ.
    fn until_ready(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let (kind, body) = self.message();
            let text = match kind {
                kind::ERROR_RESPONSE => backend::error_field(&body, b'C').unwrap_or_default(),
                _ => &body,
            };
            heard.push(format!("{} {}", char::from(kind), text.escape_ascii()));
            if kind == kind::READY_FOR_QUERY {
                return heard;
            }
        }
    }

    fn simple(&mut self, sql: &str) -> Vec<String> {
        let mut out = BytesMut::new();
        frontend::query(&mut out, sql);
        self.send(&out);
        self.until_ready()
    }

    fn extended(&mut self, sql: &str) -> Vec<String> {
        let mut out = run_unsynced(sql);
        frontend::sync(&mut out);
        self.send(&out);
        self.until_ready()
    }

    /// The only field of the only row.
    fn value(&mut self, sql: &str) -> String {
        let mut out = BytesMut::new();
        frontend::query(&mut out, sql);
        self.send(&out);
        let mut value = None;
        loop {
            match self.message() {
                // In front of the field stand the number of fields and its length.
                (kind::DATA_ROW, body) => value = Some(String::from_utf8_lossy(&body[6..]).into_owned()),
                (kind::READY_FOR_QUERY, _) => return value.unwrap_or_else(|| panic!("{sql} has no row")),
                _ => {}
            }
        }
    }
}

fn startup(settings: &[(&str, &str)]) -> BytesMut {
    let mut out = BytesMut::new();
    let fixed = [("user", SUPERUSER), ("database", "postgres")];
    let all = fixed.iter().chain(settings).map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    frontend::startup(&mut out, all);
    out
}

/// Parse, Bind, Execute, and nothing behind them.
fn run_unsynced(sql: &str) -> BytesMut {
    let mut out = BytesMut::new();
    frontend::parse(&mut out, "", sql);
    frontend::bind(&mut out, "", "", &[]);
    frontend::execute(&mut out, "");
    out
}

fn in_paris(port: u16) -> Raw {
    Raw::connect(port, &[("TimeZone", "Europe/Paris"), ("application_name", "paris")])
}

fn in_tokyo(port: u16) -> Raw {
    Raw::connect(port, &[("TimeZone", "Asia/Tokyo"), ("DateStyle", "German"), ("application_name", "tokyo")])
}

fn failed(heard: &[String]) -> bool {
    heard.iter().any(|line| line.starts_with("E "))
}

#[test]
fn psql_and_pgbench_run_as_they_would_without_a_pooler() {
    let server = shared_postgres();
    let pooler = PgOtter::in_front_of(server, "");
    let version = "SELECT current_setting('server_version')";
    assert_eq!(psql(pooler.port(), version), psql(server.port(), version));
    psql(server.port(), "CREATE DATABASE bench");
    client_output("pgbench", server.port(), &["-i", "-q", "bench"]);
    for mode in ["simple", "extended"] {
        let arguments = ["-n", "-M", mode, "-c", "8", "-j", "2", "-t", "50", "bench"];
        let report = client_output("pgbench", pooler.port(), &arguments);
        assert!(report.contains("number of transactions actually processed: 400/400"), "{mode}: {report}");
        assert!(!report.contains("failed transactions: 1"), "{mode}: {report}");
    }
    let balanced = "SELECT (SELECT sum(delta) FROM pgbench_history) = (SELECT sum(bbalance) FROM pgbench_branches)";
    assert_eq!(must(server.psql("bench", balanced)), "t");
}

#[test]
fn a_database_is_dumped_and_restored_through_a_session_pool() {
    let server = shared_postgres();
    let version = client_output("pg_dump", server.port(), &["--version"]);
    if !version.contains(&format!(" {}.", major(server))) {
        // pg_dump refuses a server that is newer than itself.
        return could_not_run("dump and restore", &format!("no pg_dump of version {}", major(server)));
    }
    let pooler = PgOtter::in_front_of(server, "pool_mode = \"session\"");
    for name in ["dumped", "restored"] {
        psql(server.port(), &format!("CREATE DATABASE {name}"));
    }
    let fill = "CREATE TABLE t (id int PRIMARY KEY, note text); \
                INSERT INTO t SELECT n, repeat(chr(200 + n), n) FROM generate_series(1, 1000) n";
    must(server.psql("dumped", fill));
    let file = state().path().join("dump").display().to_string();
    client_output("pg_dump", pooler.port(), &["-Fc", "-f", &file, "dumped"]);
    client_output("pg_restore", pooler.port(), &["-d", "restored", &file]);
    let sum = "SELECT md5(string_agg(id || note, ',' ORDER BY id)) FROM t";
    assert_eq!(must(server.psql("restored", sum)), must(server.psql("dumped", sum)));
}

#[test]
fn clients_that_take_turns_on_one_server_keep_their_own_settings() {
    let pooler = PgOtter::in_front_of(shared_postgres(), ONE_SERVER);
    let (mut paris, mut tokyo) = (in_paris(pooler.port()), in_tokyo(pooler.port()));
    let server = paris.value("SELECT pg_backend_pid()");
    for _ in 0..5 {
        for (client, zone, name) in [(&mut paris, "Europe/Paris", "paris"), (&mut tokyo, "Asia/Tokyo", "tokyo")] {
            assert_eq!(client.value("SELECT pg_backend_pid()"), server);
            assert_eq!(client.value("SELECT current_setting('TimeZone')"), zone);
            let heard = client.extended("SELECT current_setting('application_name')");
            assert!(heard.iter().any(|line| line.starts_with("D ") && line.ends_with(name)), "{heard:?}");
        }
    }
}

#[test]
fn statements_that_no_transaction_may_hold_run_behind_the_settings_of_their_client() {
    let server = shared_postgres();
    let pooler = PgOtter::in_front_of(server, ONE_SERVER);
    must(server.psql(
        "postgres",
        "CREATE TABLE alone (id int); CREATE TABLE committed (zone text);
         CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN
           INSERT INTO committed VALUES (current_setting('TimeZone')); COMMIT;
           INSERT INTO committed VALUES (current_setting('TimeZone')); COMMIT; END $$",
    ));
    for way in ["simple", "extended"] {
        for sql in [
            "VACUUM alone".to_owned(),
            "VACUUM ANALYZE alone".to_owned(),
            format!("CREATE DATABASE alone_{way} STRATEGY wal_log"),
            format!("DROP DATABASE alone_{way}"),
            format!("CREATE INDEX CONCURRENTLY alone_{way} ON alone (id)"),
            format!("REINDEX INDEX CONCURRENTLY alone_{way}"),
            "ALTER SYSTEM RESET work_mem".to_owned(),
            "CALL commits()".to_owned(),
            "DO $$ BEGIN PERFORM 1; COMMIT; PERFORM 2; COMMIT; END $$".to_owned(),
            "BEGIN".to_owned(),
        ] {
            // Somebody else's settings are on the server: this client's go in front of its very first statement.
            assert_eq!(in_tokyo(pooler.port()).value("SHOW TimeZone"), "Asia/Tokyo");
            let mut client = in_paris(pooler.port());
            let heard = if way == "simple" { client.simple(&sql) } else { client.extended(&sql) };
            assert!(!failed(&heard), "{way}, {sql}: {heard:?}");
            let status = if sql == "BEGIN" { "Z T" } else { "Z I" };
            assert_eq!(heard.last().map(String::as_str), Some(status), "{way}, {sql}");
            assert_eq!(client.value("SHOW TimeZone"), "Europe/Paris", "{way}, {sql}");
        }
    }
    let zones = "SELECT string_agg(zone, ' ') FROM committed";
    assert_eq!(must(server.psql("postgres", zones)), ["Europe/Paris"; 4].join(" "));
}

/// What a pipeline without its Sync comes to differs between PostgreSQL 17 and 18; through PgOtter it is the same as
/// without, also where settings go in front of it.
#[test]
fn a_query_behind_an_unsynced_pipeline_does_what_it_does_without_a_pooler() {
    let server = shared_postgres();
    let pooler = PgOtter::in_front_of(server, ONE_SERVER);
    let mut outcomes = Vec::new();
    for (port, table) in [(server.port(), "direct"), (pooler.port(), "pooled")] {
        must(server.psql("postgres", &format!("CREATE TABLE unsynced_{table} (id int)")));
        let mut heard = Vec::new();
        for behind in ["SELECT 1", "COMMIT", "SELECT 1/0", "BEGIN", ""] {
            assert_eq!(in_tokyo(port).value("SHOW TimeZone"), "Asia/Tokyo");
            let mut client = in_paris(port);
            let mut out = run_unsynced(&format!("INSERT INTO unsynced_{table} VALUES (1)"));
            frontend::query(&mut out, behind);
            client.send(&out);
            heard.extend(client.until_ready());
            let mut sync = BytesMut::new();
            frontend::sync(&mut sync);
            client.send(&sync);
            heard.extend(client.until_ready());
            heard.extend(client.simple("SHOW TimeZone"));
            heard.extend(client.simple("ROLLBACK"));
            let rows = must(server.psql("postgres", &format!("SELECT count(*) FROM unsynced_{table}")));
            heard.push(format!("behind {behind:?}: {rows} rows"));
        }
        outcomes.push(heard);
    }
    assert_eq!(outcomes[0], outcomes[1]);
}

/// On PostgreSQL 18 such a pipeline leaves its server in a state in which the next statement fails.
#[test]
fn a_query_behind_an_unsynced_pipeline_does_not_hurt_the_next_client() {
    let server = shared_postgres();
    let pooler = PgOtter::in_front_of(server, ONE_SERVER);
    must(server.psql("postgres", "CREATE TABLE unsynced (id int)"));
    for (behind, then) in ["SELECT 1", "", "BEGIN"]
        .into_iter()
        .flat_map(|behind| ["stays", "leaves", "leaves before its Sync"].map(|then| (behind, then)))
    {
        let mut client = Raw::connect(pooler.port(), &[]);
        let mut out = run_unsynced("INSERT INTO unsynced VALUES (1)");
        frontend::query(&mut out, behind);
        client.send(&out);
        client.until_ready();
        if then != "leaves before its Sync" {
            let mut sync = BytesMut::new();
            frontend::sync(&mut sync);
            client.send(&sync);
            client.until_ready();
        }
        let stayed = (then == "stays").then(|| {
            // This one may fail: it is the same client's.
            client.simple("SELECT 1");
            client.simple("ROLLBACK");
            client
        });
        for mut next in [in_paris(pooler.port()), Raw::connect(pooler.port(), &[])] {
            let heard = next.simple("SELECT 2");
            assert!(!failed(&heard), "behind {behind:?} it {then}: {heard:?}");
        }
        drop(stayed);
    }
}

#[test]
fn protocol_3_2_gets_a_long_key_and_it_cancels() {
    let server = shared_postgres();
    let pooler = PgOtter::in_front_of(server, "");
    let mut client = Raw::open(pooler.port());
    let mut packet = startup(&[]);
    packet[4..8].copy_from_slice(&196_610_i32.to_be_bytes());
    client.send(&packet);
    let mut key = Vec::new();
    loop {
        match client.message() {
            (kind::BACKEND_KEY_DATA, body) => key = body,
            (kind::READY_FOR_QUERY, _) => break,
            (other, _) => assert_ne!(other, kind::NEGOTIATE_PROTOCOL_VERSION, "3.2 is spoken"),
        }
    }
    assert!(key.len() > 8, "{} bytes", key.len());

    let mut out = BytesMut::new();
    frontend::query(&mut out, "SELECT pg_sleep(600) /* to be cancelled */");
    client.send(&out);
    let running = "SELECT count(*) = 1 FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'PgSleep' \
                   AND query LIKE '%to be cancelled%'";
    must(server.wait_until("postgres", running));
    let (pid, secret) = key.split_at(4);
    let mut out = BytesMut::new();
    frontend::cancel(&mut out, i32::from_be_bytes(must(<[u8; 4]>::try_from(pid))), secret);
    Raw::open(pooler.port()).send(&out);
    let heard = client.until_ready();
    assert_eq!(heard[heard.len() - 2..], ["E 57014", "Z I"], "{heard:?}");
}
