//! CancelRequest reaches what its owner runs, and nothing else.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};

const CANCEL: i32 = (1234 << 16) | 5678;

fn stage() -> (LocalPostgres, PgOtter) {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "CREATE TABLE kept (n int)"));
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 1");
    (server, pgotter)
}

/// Sends a CancelRequest and waits until the other side has closed.
fn cancel(port: u16, pid: i32, secret: &[u8]) {
    let mut connection = Raw::connect(port);
    connection.send(&first_packet(CANCEL, &[&pid.to_be_bytes(), secret].concat()));
    assert!(connection.until_end().is_empty(), "a cancel request is never answered");
}

fn wait_for_sleepers(server: &LocalPostgres, count: usize) {
    let sql =
        format!("SELECT count(*) = {count} FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND state = 'active'");
    must(server.wait_until("postgres", &sql));
}

#[test]
fn a_cancel_ends_its_owners_statement_and_the_client_goes_on() {
    let (server, pgotter) = stage();
    for (minor, requests) in [
        (0, query("SELECT pg_sleep(100)")),
        (2, query("SELECT pg_sleep(100)")),
        (2, [extended("SELECT pg_sleep(100)", &[]), sync()].concat()),
    ] {
        let mut client = Raw::connect(pgotter.port());
        client.send(&startup(3, minor, &[USER, &[("application_name", "sleeper")]].concat()));
        client.welcomed();
        let before = client.value("SELECT pg_backend_pid()");
        client.send(&requests);
        wait_for_sleepers(&server, 1);
        cancel(pgotter.port(), client.pid, &client.secret.clone());
        let frames = client.until_ready();
        assert_eq!(error_code(&frames).as_deref(), Some("57014"), "{}", print(&frames));
        assert_eq!(client.value("SELECT pg_backend_pid()"), before, "the server was kept");
    }
}

#[test]
fn a_cancel_of_an_idle_client_harms_nobody() {
    let (server, pgotter) = stage();
    let mut idle = Raw::log_in(pgotter.port(), &[]);
    let mut busy = Raw::log_in(pgotter.port(), &[]);
    // The busy client runs on the server that the idle one used a moment ago.
    assert_eq!(idle.value("SELECT pg_backend_pid()"), busy.value("SELECT pg_backend_pid()"));
    busy.send(&query("SELECT 'slept' FROM pg_sleep(1)"));
    wait_for_sleepers(&server, 1);
    for _ in 0..5 {
        cancel(pgotter.port(), idle.pid, &idle.secret.clone());
    }
    let frames = busy.until_ready();
    assert_eq!(first_value(&frames).as_deref(), Some("slept"), "{}", print(&frames));
    assert_eq!(idle.value("SELECT 1"), "1");
}

#[test]
fn a_cancel_with_a_wrong_key_does_nothing() {
    let (server, pgotter) = stage();
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.send(&query("SELECT 'slept' FROM pg_sleep(1)"));
    wait_for_sleepers(&server, 1);
    let mut wrong = client.secret.clone();
    wrong[0] ^= 1;
    cancel(pgotter.port(), client.pid, &wrong);
    cancel(pgotter.port(), client.pid, &[wrong, vec![0; 28]].concat());
    cancel(pgotter.port(), client.pid ^ 1, &client.secret.clone());
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("slept"));
}

#[test]
fn a_cancel_reaches_a_client_that_waits_for_a_server() {
    let (server, pgotter) = stage();
    let mut holder = Raw::log_in(pgotter.port(), &[]);
    let mut waiter = Raw::log_in(pgotter.port(), &[]);
    holder.ask("BEGIN -- with a server");
    waiter.send(&query("INSERT INTO kept VALUES (1)"));
    cancel(pgotter.port(), waiter.pid, &waiter.secret.clone());
    // The cancel may be quicker than the Query, and then finds nothing: it is asked for until it is heeded.
    waiter.stream.set_read_timeout(Some(std::time::Duration::from_millis(50))).expect("timeout");
    while waiter.stream.peek(&mut [0]).is_err() {
        cancel(pgotter.port(), waiter.pid, &waiter.secret.clone());
    }
    waiter.stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    assert_eq!(error_code(&waiter.until_ready()).as_deref(), Some("57014"));
    holder.ask("COMMIT");
    assert_eq!(waiter.value("SELECT count(*) FROM kept"), "0");
    assert_eq!(must(server.psql("postgres", "SELECT count(*) FROM kept")), "0");
}
