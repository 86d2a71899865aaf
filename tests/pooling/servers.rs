//! The life of a server: opened together, used while alive, closed when old, idle or dead.

use super::proxy::Proxy;
use super::support::{PgOtter, could_not_run, descriptors};
use super::talk::{Client, query};
use super::world::{config, eventually, fresh_role, holder, look, pgotter, servers_of, until_it_sleeps};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

/// Ends an idle backend and waits until it has gone.
fn terminate(backend: &str) {
    look(&format!("SELECT pg_terminate_backend({backend})"));
    eventually("the backend is gone", || {
        look(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}")) == "0"
    });
}

#[test]
fn a_server_is_replaced_once_it_is_as_old_as_server_lifetime() {
    let role = fresh_role();
    let pooler = pgotter("server_lifetime = \"1s\"\ndefault_pool_size = 1", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let first = client.backend();
    eventually("another backend", || client.backend() != first);
    assert!(servers_of(&role) <= 1);
}

#[test]
fn idle_servers_are_closed_but_not_below_min_pool_size() {
    let role = fresh_role();
    let pooler = pgotter("server_idle_timeout = \"1s\"\nmin_pool_size = 2", "");
    let mut clients: Vec<_> = (0..5).map(|_| super::world::holder(pooler.port(), &role)).collect();
    assert_eq!(servers_of(&role), 5);
    clients.iter_mut().for_each(|client| assert_eq!(client.query("COMMIT").status, Some(b'I')));
    eventually("two are left", || servers_of(&role) == 2);
    // Neither closed nor opened anew: both come to be idle for five times as long.
    let idle = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND state_change < now() - '5 s'::interval"
    );
    eventually("two that are kept", || look(&idle) == "2");
    assert_eq!(servers_of(&role), 2);
}

#[test]
fn f12_a_server_that_was_terminated_while_idle_is_not_seen_by_the_next_client() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 1", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    for _ in 0..10 {
        let backend = client.backend();
        terminate(&backend);
        assert_ne!(client.backend(), backend);
    }
}

#[test]
fn f12_a_server_that_postgresql_closed_for_being_idle_is_not_seen_by_the_next_client() {
    let role = fresh_role();
    look(&format!("ALTER ROLE {role} SET idle_session_timeout = '500ms'"));
    let pooler = pgotter("default_pool_size = 3", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    for _ in 0..3 {
        let backend = client.backend();
        eventually("PostgreSQL closes it", || servers_of(&role) == 0);
        assert_ne!(client.backend(), backend);
    }
}

#[test]
fn with_server_check_delay_0_a_server_is_asked_for_a_sign_of_life_first() {
    let role = fresh_role();
    let proxy = Proxy::new(0);
    let pooler = proxy.behind_pgotter("server_check_delay = 0");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    assert_eq!(client.value("SELECT 1"), "1");
    assert!(proxy.has_heard(&query("")));
}

#[test]
fn f14_a_host_that_fell_silent_costs_the_next_client_a_wait_and_no_error() {
    let role = fresh_role();
    let proxy = Proxy::new(0);
    let pooler = proxy.behind_pgotter("server_check_delay = 0\ndefault_pool_size = 1");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    proxy.go_deaf();
    assert_ne!(client.backend(), backend);
}

#[test]
fn several_servers_are_opened_at_once_when_connecting_is_slow() {
    let role = fresh_role();
    // None of four connections is answered before the fourth has come.
    let proxy = Proxy::new(4);
    let pooler = proxy.behind_pgotter("default_pool_size = 4\nserver_connect_timeout = \"60s\"");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| Client::connect(pooler.port(), &role, "postgres").backend());
        }
    });
}

#[test]
fn f20_no_more_servers_than_the_limit_are_opened_for_a_crowd() {
    let role = fresh_role();
    let proxy = Proxy::new(2);
    let pooler = proxy.behind_pgotter("default_pool_size = 2");
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| Client::connect(pooler.port(), &role, "postgres").backend());
        }
    });
    assert_eq!(servers_of(&role), 2);
}

#[test]
fn without_a_welcome_a_host_that_refuses_gives_57p03_after_server_connect_timeout() {
    let nobody = pgotter::cli::ports::free_port();
    let pooler =
        PgOtter::start(|port| config(port, &format!("127.0.0.1:{nobody}"), "server_connect_timeout = \"1s\"", ""));
    let answer = Client::try_connect(pooler.port(), &[("user", "postgres"), ("database", "postgres")]).err().unwrap();
    answer.fatal("57P03");
    assert!(!answer.errors[0].detail.is_empty(), "{answer:?}");
}

#[test]
fn without_a_welcome_a_host_that_says_nothing_gives_57p03_after_server_connect_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = silent.local_addr().unwrap();
    let pooler = PgOtter::start(|port| config(port, &host.to_string(), "server_connect_timeout = \"1s\"", ""));
    let answer = Client::try_connect(pooler.port(), &[("user", "postgres"), ("database", "postgres")]).err().unwrap();
    answer.fatal("57P03");
}

#[test]
fn f11_a_client_whose_backend_is_terminated_hears_postgresqls_57p01_and_others_hear_nothing() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 2", "");
    let mut other = super::world::holder(pooler.port(), &role);
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let mut running = Client::connect(pooler.port(), &role, "postgres");
    running.query("BEGIN -- with a server");
    let backend = running.backend();
    running.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
    look(&format!("SELECT pg_terminate_backend({backend})"));
    running.answer().fatal("57P01");
    assert_eq!(other.query("SELECT 1").status, Some(b'T'));
    assert_ne!(idle.backend(), backend);
    assert_eq!(other.query("COMMIT").status, Some(b'I'));
}

#[test]
fn f11_a_connection_that_breaks_in_a_statement_gives_08007_and_between_two_of_a_transaction_08006() {
    let role = fresh_role();
    let proxy = Proxy::new(0);
    let pooler = proxy.behind_pgotter("");
    let mut running = Client::connect(pooler.port(), &role, "postgres");
    let mut between = Client::connect(pooler.port(), &role, "postgres");
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let backend = running.backend();
    running.send(&query("SELECT pg_sleep(100)"));
    between.query("BEGIN -- with a server");
    until_it_sleeps(&backend);
    proxy.cut();
    running.answer().fatal("08007");
    between.answer().fatal("08006");
    assert_eq!(idle.value("SELECT 1"), "1");
    look(&format!("SELECT pg_terminate_backend({backend})"));
}

#[test]
fn f19_five_hundred_idle_clients_cost_no_processor_time() {
    let role = fresh_role();
    let pooler = pgotter("client_idle_timeout = \"1h\"\nidle_transaction_timeout = \"1h\"\nquery_timeout = \"1h\"", "");
    let _idle: Vec<_> = (0..500)
        .map(|_| {
            let mut client = Client::connect(pooler.port(), &role, "postgres");
            client.query("SELECT 1");
            client
        })
        .collect();
    let before = pooler.cpu();
    // The time that is measured. Once a second a steward looks at its idle servers, in less than a tick of 10 ms.
    thread::sleep(Duration::from_secs(3));
    let spent = pooler.cpu() - before;
    assert!(spent <= Duration::from_millis(150), "{spent:?}");
}

/// How often its threads have gone to sleep. Source: proc(5), /proc/pid/task/tid/status.
fn rests(process: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let status = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default());
    let rests = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    status.filter_map(rests).sum()
}

#[test]
fn f19_a_thousand_idle_clients_wake_nobody_more_often_than_fifty_do() {
    if descriptors() < 2_000 {
        return could_not_run("a thousand idle clients", "too few descriptors");
    }
    let role = fresh_role();
    let pooler = pgotter("client_idle_timeout = \"1h\"\nidle_transaction_timeout = \"1h\"\nquery_timeout = \"1h\"", "");
    let mut idle = Vec::new();
    let [few, many] = [50, 1_000].map(|count| {
        while idle.len() < count {
            let mut client = Client::connect(pooler.port(), &role, "postgres");
            client.query("SELECT 1");
            idle.push(client);
        }
        let before = rests(pooler.id());
        // The time that is measured: something that is done for each client once a second wakes a thread 3,000 times.
        thread::sleep(Duration::from_secs(3));
        // Those of a thread that has ended are gone.
        rests(pooler.id()).saturating_sub(before)
    });
    assert!(many < few + 1_000, "{few} times with 50 clients, {many} times with 1,000");
}

#[test]
fn f14_servers_of_a_host_that_fell_silent_are_not_tried_longer_than_query_wait_timeout() {
    let role = fresh_role();
    let proxy = Proxy::new(0);
    let pooler = proxy.behind_pgotter("server_check_delay = 0\ndefault_pool_size = 3\nquery_wait_timeout = \"1s\"");
    let mut clients: Vec<_> = (0..3).map(|_| holder(pooler.port(), &role)).collect();
    for client in &mut clients {
        client.query("COMMIT");
    }
    proxy.go_deaf();
    let since = Instant::now();
    clients[0].query("SELECT 1").error("53300");
    // Five times what is allowed, and less than the 15 s that waiting for three signs of life takes.
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}
