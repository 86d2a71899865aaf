//! A LISTEN and the COMMIT that makes it count in one Query, and what is heard once client_encoding is another.

use super::listen::{look, next_notification, one_server};
use crate::support::raw::*;
use crate::support::waiting::eventually;
use crate::support::{PgOtter, shared_postgres};

#[test]
fn a_query_that_listens_and_commits_is_answered_as_by_postgresql() {
    look("CREATE TABLE first_unique (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    let pgotter = one_server();
    let texts = [
        "BEGIN; SELECT 1; LISTEN first_a; COMMIT",
        "BEGIN; LISTEN first_a; SELECT 1/0; COMMIT",
        "BEGIN; SELECT; FROM; LISTEN first_a; COMMIT",
        "BEGIN; LISTEN first_a; ROLLBACK",
        "BEGIN; NOTIFY first_a, 'own'; LISTEN first_a; NOTIFY first_a, 'own, too'; COMMIT",
        "BEGIN; LISTEN first_a; SAVEPOINT s; LISTEN first_b; ROLLBACK TO s; END WORK;",
        "BEGIN; BEGIN; LISTEN first_a; COMMIT",
        "BEGIN; LISTEN first_a; COMMIT; SELECT 1/0",
        "BEGIN; SET LOCAL work_mem = '7MB'; LISTEN first_a; RESET work_mem; COMMIT",
        "BEGIN; CREATE TEMP TABLE v (n int) ON COMMIT DROP; LISTEN first_a; COMMIT",
        "BEGIN; LISTEN first_a; INSERT INTO first_unique VALUES (1), (1); COMMIT",
    ];
    let transcript = |port, text: &str, before: &str| {
        let mut client = Raw::log_in(port, &[]);
        client.send(&query(before));
        let behind = "SELECT (SELECT string_agg(c, ',') FROM pg_listening_channels() c) || current_setting('work_mem')";
        client.send(&[query(text), query(behind), query("ROLLBACK")].concat());
        let frames: Vec<Frame> = (0..4).flat_map(|_| client.until_ready()).collect();
        print(&frames)
    };
    for text in texts {
        for before in ["SELECT 'no block'", "BEGIN", "BEGIN; SELECT 1"] {
            let direct = transcript(shared_postgres().port(), text, before);
            assert_eq!(transcript(pgotter.port(), text, before), direct, "{before}|{text}");
        }
    }
    // PostgreSQL runs none of it.
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let frames = client.ask("BEGIN; LISTEN first_a; COMMIT nonsense");
    assert_eq!((error_code(&frames).as_deref(), frames.len()), (Some("42601"), 2), "{}", print(&frames));
    assert_eq!(client.value("SELECT count(*) FROM pg_listening_channels()"), "0");
}

#[test]
fn a_query_that_listens_and_commits_hears_nothing_of_what_was_committed_before() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 2");
    let [mut client, mut other] = [Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[])];
    let mut direct = Raw::log_in(shared_postgres().port(), &[]);
    other.ask("LISTEN first_jobs");
    direct.value("SELECT pg_advisory_lock(7051)::text");
    client.send(&query("BEGIN; SELECT pg_advisory_xact_lock(7051); LISTEN first_jobs; COMMIT"));
    let waits = "SELECT count(*) FROM pg_locks WHERE objid = 7051 AND NOT granted";
    eventually("it waits", || direct.value(waits) == "1");
    look("NOTIFY first_jobs, 'before'");
    assert_eq!(next_notification(&mut other).2, "before");
    direct.value("SELECT pg_advisory_unlock(7051)");
    let frames = client.until_ready();
    assert!(print(&frames).ends_with("C LISTEN\\x00\nC COMMIT\\x00\nZ I\n"), "{}", print(&frames));
    look("NOTIFY first_jobs, 'behind'");
    for client in [&mut client, &mut other] {
        assert_eq!(next_notification(client).2, "behind");
    }
}

#[test]
fn a_notification_is_never_told_in_an_encoding_that_is_not_its_clients() {
    let pgotter = one_server();
    let mut client = Raw::log_in(pgotter.port(), &[("client_encoding", "UTF8")]);
    client.ask("LISTEN first_spelled");
    client.ask("SET client_encoding = 'LATIN1'");
    look("NOTIFY first_spelled, 'plain'");
    assert_eq!(next_notification(&mut client).2, "plain");
    client.ask("SET client_encoding = 'UTF8'");
    look("NOTIFY first_spelled, 'é'");
    assert_eq!(next_notification(&mut client).2, "é");
    client.ask("SET client_encoding = 'LATIN1'");
    look("NOTIFY first_spelled, 'é'");
    let last = client.until_end();
    assert_eq!(error_code(&last).as_deref(), Some("0A000"), "{}", print(&last));
    assert!(last.iter().all(|frame| frame.kind != b'A'), "{}", print(&last));
}
