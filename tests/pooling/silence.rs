//! Peers whose machine is gone: no FIN, no RST, no answer to anything. Who waits for them is told, and who does not never
//! notices.

use super::proxy::Proxy;
use super::support::{fall_silent, may_fall_silent, needs_root};
use super::talk::{Client, query};
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
    let probes = "tcp_keepidle = 1\ntcp_keepintvl = 1\ntcp_keepcnt = 1";
    let pooler = pgotter(&format!("default_pool_size = 1\n{probes}"), "");
    let change = format!("UPDATE kept_by_{role} SET n = n + 1");
    for running in [false, true] {
        let mut client = holder(pooler.port(), &role);
        let backend = client.backend();
        client.query(&change);
        if running {
            client.send(&query("SELECT pg_sleep(100)"));
            until_it_sleeps(&backend);
        }
        fall_silent(&client.stream);
        let mut next = Client::connect(pooler.port(), &role, "postgres");
        let seen = next.query(&format!("SELECT pg_backend_pid(), n FROM kept_by_{role} FOR UPDATE NOWAIT"));
        assert_eq!(seen.rows, [[&*backend, "1"]], "running: {running}, {seen:?}");
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
