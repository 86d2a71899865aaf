//! Peers whose machine is gone: no FIN, no RST, no answer to anything. Who waits for them is told, and who does not never
//! notices.

use super::proxy::Proxy;
use super::support::{could_not_run, fall_silent, may_fall_silent, needs_root};
use super::talk::{Client, FLUSH, extended, query};
use super::world::{eventually, fresh_role, holder, look, pgotter, until_it_sleeps};
use std::time::{Duration, Instant};

/// Five times what a server's silence may take to be found by default.
const FOUND: Duration = Duration::from_secs(25);

#[test]
fn f1_a_client_that_vanishes_without_a_word_is_rolled_back_and_its_statement_cancelled() {
    if !may_fall_silent() {
        return needs_root("machines that vanish without a word");
    }
    let role = fresh_role();
    look(&format!("CREATE TABLE kept_by_{role} AS SELECT 1 AS n; ALTER TABLE kept_by_{role} OWNER TO {role}"));
    let pooler = pgotter("default_pool_size = 1", "");
    let change = format!("UPDATE kept_by_{role} SET n = n + 1");
    for place in ["in a transaction", "in a statement", "in a COPY", "in front of a Sync"] {
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        let backend = client.backend();
        match place {
            "in a COPY" => {
                client.send(&query(&format!("COPY kept_by_{role} FROM STDIN")));
                assert_eq!(client.message().map(|(kind, _)| kind), Some(b'G'));
            }
            "in front of a Sync" => {
                client.send(&[&extended(&change)[..], &FLUSH].concat());
                for expected in *b"12C" {
                    assert_eq!(client.message().map(|(kind, _)| kind), Some(expected));
                }
            }
            _ => assert_eq!(client.query(&format!("BEGIN; {change}")).status, Some(b'T')),
        }
        if place == "in a statement" {
            client.send(&query("SELECT pg_sleep(100)"));
            until_it_sleeps(&backend);
        }
        fall_silent(&client.stream);
        let mut next = Client::connect(pooler.port(), &role, "postgres");
        let seen = next.query(&format!("SELECT pg_backend_pid(), n FROM kept_by_{role} FOR UPDATE NOWAIT"));
        assert_eq!(seen.rows, [[&*backend, "1"]], "{place}: {seen:?}");
    }
}

/// In how many seconds the system asks the client whether it is still there. `None`: it waits to hear that it has received something, or nobody knows.
/// Source: Linux, Documentation/networking/proc_net_tcp.rst; the time is in hundredths of a second.
fn asked_in(client: &Client) -> Option<u64> {
    let end = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
    let ours = end(client.stream.peer_addr().expect("PgOtter's end"));
    let theirs = end(client.stream.local_addr().expect("the client's end"));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("/proc/net/tcp");
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // The table may miss a connection while others come and go.
    let line = lines.find(|line| line[1].ends_with(&ours) && line[2].ends_with(&theirs))?;
    let (timer, after) = line[5].split_once(':').expect("a timer");
    (timer == "02").then(|| u64::from_str_radix(after, 16).expect("a time") / 100)
}

#[test]
fn f1_only_within_a_transaction_and_where_the_operator_has_not_said_when_is_a_silent_client_soon_asked() {
    if !std::path::Path::new("/proc/net/tcp").exists() {
        return could_not_run("when clients are asked", "there is no /proc/net/tcp");
    }
    const SOON: u64 = 5;
    let role = fresh_role();
    let (pooler, told) = (pgotter("default_pool_size = 2", ""), pgotter("tcp_keepidle = 7100", ""));
    let mut patient = Client::connect(told.port(), &role, "postgres");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let not_soon = |client: &Client| asked_in(client).is_some_and(|after| after > SOON);
    patient.query("BEGIN; SELECT 1");
    eventually("outside it is not", || not_soon(&client));
    for (begin, end) in [
        ("BEGIN; SELECT 1", "COMMIT"),
        ("BEGIN; SELECT 1", "SELECT 1; ROLLBACK"),
        // Which keeps its server.
        ("BEGIN; CREATE TEMPORARY TABLE mine (n int)", "COMMIT"),
        ("BEGIN; SELECT 1", "COMMIT"),
    ] {
        client.query(begin);
        eventually(&format!("{begin}: it is"), || asked_in(&client).is_some_and(|after| after <= SOON));
        eventually("one whose transaction is older is not", || not_soon(&patient));
        client.query(end);
        eventually(&format!("{begin} … {end}: it is not any more"), || not_soon(&client));
    }
}

#[test]
fn f14_a_host_that_is_gone_without_a_word_is_found_in_time_by_everybody_who_waits_for_it() {
    if !may_fall_silent() {
        return needs_root("machines that vanish without a word");
    }
    let role = fresh_role();
    let proxy = Proxy::new(0);
    let pooler = proxy.behind_pgotter("default_pool_size = 10\nserver_check_delay = \"1h\"");
    let mut running = Client::connect(pooler.port(), &role, "postgres");
    let backend = running.backend();
    running.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
    // Nobody owes them anything; a question goes to a machine that is not there.
    let (mut resting, mut asking) = (holder(pooler.port(), &role), holder(pooler.port(), &role));
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    proxy.vanish();
    let since = Instant::now();
    asking.send(&query("SELECT 'nobody hears it'"));
    running.answer().fatal("08007");
    asking.answer().fatal("08007");
    resting.answer().fatal("08006");
    assert!(since.elapsed() < FOUND, "{:?}", since.elapsed());
    assert_eq!(idle.value("SELECT 'another server'"), "another server");
    look(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"));
}

#[test]
fn f14_an_idle_server_on_a_host_that_is_gone_is_closed_before_anybody_asks_it() {
    if !may_fall_silent() {
        return needs_root("machines that vanish without a word");
    }
    let role = fresh_role();
    let proxy = Proxy::new(0);
    let pooler = proxy.behind_pgotter("default_pool_size = 1\nmin_pool_size = 1\nserver_check_delay = \"1h\"");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    let before = proxy.connections();
    proxy.vanish();
    eventually("another server is kept ready", || proxy.connections() > before);
    assert_ne!(client.backend(), backend);
}
