//! Cancel keys: nobody's is another's, and guesses get nowhere.

use super::place::{Role, eventually, fresh_role, line, look, pgotter_with, server};
use super::strangers::ask;
use crate::support::PgOtter;
use crate::support::raw::{Raw, error_code, first_packet, query, startup};
use std::collections::BTreeSet;

/// In front of the server, for one role; the next after a wrong key from one address is held up.
fn suspicious(role: &Role, delay: &str) -> PgOtter {
    let lines = format!("login_failure_limit = 1\nlogin_failure_delay = \"{delay}\"\nclient_login_timeout = \"2h\"");
    let host = format!("[databases.postgres]\nhosts = [\"127.0.0.1:{}\"]\n", server().port());
    pgotter_with("trust", &line(&role.name, &role.password()), &format!("{lines}\n{host}"))
}

/// A CancelRequest.
fn cancel(port: u16, pid: i32, secret: &[u8]) -> Raw {
    let mut connection = Raw::connect(port);
    connection.send(&first_packet(80_877_102, &[&pid.to_be_bytes()[..], secret].concat()));
    connection
}

/// A client of the role whose statement is under way.
fn asleep(pooler: &PgOtter, role: &Role) -> Raw {
    let mut client = ask(pooler.port(), &role.name, "postgres");
    client.welcomed();
    client.send(&query("SELECT pg_sleep(100)"));
    let asleep = format!("FROM pg_stat_activity WHERE usename = '{}' AND wait_event = 'PgSleep'", role.name);
    eventually("it sleeps", || look(&format!("SELECT count(*) {asleep}")) == "1");
    client
}

#[test]
fn f33_the_right_key_is_delivered_in_its_turn_where_others_guess() {
    let role = fresh_role("trust");
    let pooler = suspicious(&role, "100ms");
    let port = pooler.port();
    let mut client = asleep(&pooler, &role);
    let (pid, secret) = (client.pid, client.secret.clone());
    let mut guesses: Vec<_> = (1..=30).map(|guess| cancel(port, pid ^ guess, &secret)).collect();
    assert!(cancel(port, pid, &secret).until_end().is_empty());
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("57014"));
    assert!(guesses.iter_mut().all(|guess| guess.until_end().is_empty()));
}

#[test]
fn every_client_has_a_key_and_a_process_number_of_its_own() {
    let role = fresh_role("trust");
    let host = format!("[databases.postgres]\nhosts = [\"127.0.0.1:{}\"]\n", server().port());
    let pooler = pgotter_with("trust", &line(&role.name, ""), &format!("admin_users = \"{}\"\n{host}", role.name));
    for (minor, bytes) in [(0, 4), (2, 32)] {
        let clients: Vec<_> = (0..20)
            .map(|number| {
                let database = if number % 2 == 0 { "postgres" } else { "pgotter" };
                let mut client = Raw::connect(pooler.port());
                client.send(&startup(3, minor, &[("user", &role.name), ("database", database)]));
                client.welcomed();
                client
            })
            .collect();
        let secrets: BTreeSet<_> = clients.iter().map(|client| client.secret.clone()).collect();
        let pids: BTreeSet<_> = clients.iter().map(|client| client.pid).collect();
        assert_eq!((secrets.len(), pids.len()), (20, 20), "3.{minor}");
        assert!(secrets.iter().all(|secret| secret.len() == bytes) && pids.iter().all(|pid| *pid >= 0));
        // Not one after the other: no two of them are neighbours.
        assert!(pids.iter().zip(pids.iter().skip(1)).all(|(one, next)| next - one > 1), "{pids:?}");
    }
}
