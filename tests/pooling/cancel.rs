//! A CancelRequest reaches what its owner runs, and nothing else.

use super::proxy::Proxy;
use super::support::PgOtter;
use super::talk::{Client, cancel, query};
use super::world::{cluster, config, eventually, fresh_role, look, pgotter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_cancel_ends_the_owners_statement_and_its_client_goes_on() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 1", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    client.send(&query("SELECT pg_sleep(100)"));
    eventually("it runs", || {
        look(&format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}")) == "PgSleep"
    });
    client.cancel();
    client.answer().error("57014");
    assert_eq!(client.backend(), backend);
}

#[test]
fn a_cancel_with_a_wrong_key_or_for_an_idle_client_does_nothing() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 1", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    client.cancel();
    cancel(pooler.port(), client.pid, &[0; 4]);
    cancel(pooler.port(), client.pid.wrapping_add(1), &client.secret);
    assert_eq!(client.value("SELECT 'undisturbed' FROM pg_sleep(0.1)"), "undisturbed");
}

#[test]
fn a_cancel_that_comes_late_does_not_hit_the_owners_next_statement() {
    let role = fresh_role();
    let proxy = Proxy::new(cluster().port(), 0);
    let through = format!("127.0.0.1:{}", proxy.port);
    let pooler = PgOtter::start(|port| config(port, &through, "default_pool_size = 1", ""));
    for begin in ["SELECT 1", "BEGIN"] {
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        client.query(begin);
        let backend = client.backend();
        proxy.hold_cancels(true);
        let held = proxy.held_cancels();
        client.send(&query("SELECT 'first' FROM pg_sleep(1)"));
        eventually("it runs", || {
            look(&format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}")) == "PgSleep"
        });
        client.cancel();
        eventually("the cancel is on its way", || proxy.held_cancels() > held);
        assert_eq!(client.answer().value(), "first");
        client.send(&query("SELECT 'second' FROM pg_sleep(0.5)"));
        // Time for it to begin, if it were to begin before the cancel is over.
        let since = Instant::now();
        let running = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {backend} AND state = 'active'");
        while since.elapsed() < Duration::from_millis(300) && look(&running) == "0" {}
        proxy.hold_cancels(false);
        assert_eq!(client.answer().value(), "second");
    }
}

#[test]
fn a_server_whose_cancel_went_astray_serves_nobody_else() {
    let role = fresh_role();
    let proxy = Proxy::new(cluster().port(), 0);
    let through = format!("127.0.0.1:{}", proxy.port);
    let pooler =
        PgOtter::start(|port| config(port, &through, "default_pool_size = 1\ncancel_wait_timeout = \"100ms\"", ""));
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    proxy.hold_cancels(true);
    client.send(&query("SELECT 'first' FROM pg_sleep(1)"));
    eventually("it runs", || {
        look(&format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}")) == "PgSleep"
    });
    client.cancel();
    eventually("the cancel is on its way", || proxy.held_cancels() > 0);
    assert_eq!(client.answer().value(), "first");
    let mut next = Client::connect(pooler.port(), &role, "postgres");
    let other = next.backend();
    proxy.hold_cancels(false);
    assert_ne!(other, backend, "the cancel may still come");
}

#[test]
fn what_runs_is_cancelled_although_its_owner_left_with_a_cancel_on_its_way() {
    let role = fresh_role();
    let proxy = Proxy::new(cluster().port(), 0);
    let through = format!("127.0.0.1:{}", proxy.port);
    let pooler = PgOtter::start(|port| config(port, &through, "default_pool_size = 1", ""));
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    proxy.hold_cancels(true);
    client.send(&query("SELECT pg_sleep(100)"));
    eventually("it runs", || {
        look(&format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}")) == "PgSleep"
    });
    client.cancel();
    eventually("the client's own cancel is on its way", || proxy.held_cancels() == 1);
    drop(client);
    eventually("another is sent", || proxy.held_cancels() > 1);
    proxy.hold_cancels(false);
    assert_eq!(Client::connect(pooler.port(), &role, "postgres").value("SELECT 'served'"), "served");
}

#[test]
fn a_flood_of_cancels_is_one_request_to_postgresql() {
    let role = fresh_role();
    let proxy = Proxy::new(cluster().port(), 0);
    let through = format!("127.0.0.1:{}", proxy.port);
    let pooler = PgOtter::start(|port| config(port, &through, "default_pool_size = 1", ""));
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    proxy.hold_cancels(true);
    client.send(&query("SELECT pg_sleep(100)"));
    eventually("the first is on its way", || {
        client.cancel();
        proxy.held_cancels() > 0
    });
    for _ in 0..50 {
        client.cancel();
    }
    assert!(proxy.held_cancels() <= 2, "{} connections", proxy.held_cancels());
    proxy.hold_cancels(false);
    client.answer().error("57014");
    assert_eq!(client.value("SELECT 'unharmed' FROM pg_sleep(0.1)"), "unharmed");
}

#[test]
fn among_fifty_clients_every_cancel_hits_its_owner_only() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 10\nworkers = 2", "");
    let (port, role) = (pooler.port(), &*role);
    let cancelling = AtomicBool::new(true);
    thread::scope(|scope| {
        for number in 0..25 {
            let cancelling = &cancelling;
            scope.spawn(move || {
                let mut client = Client::connect(port, role, "postgres");
                while cancelling.load(Ordering::Relaxed) {
                    let answer = client.query(&format!("SELECT '{number}' FROM pg_sleep(0.002)"));
                    assert_eq!(answer.value(), number.to_string(), "a foreign cancel");
                }
            });
        }
        let cancellers: Vec<_> = (0..25).map(|_| scope.spawn(move || ten_cancels(port, role))).collect();
        let outcomes: Vec<_> = cancellers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        cancelling.store(false, Ordering::Relaxed);
        for outcome in outcomes {
            outcome.unwrap();
        }
    });
}

/// Long statements must be cancelled; short ones, where the cancel races with the end, may be.
fn ten_cancels(port: u16, role: &str) {
    let mut client = Client::connect(port, role, "postgres");
    for round in 0..10 {
        if round % 2 == 0 {
            client.send(&query("SELECT pg_sleep(100)"));
            client.cancel();
            let (pid, secret, ended) = (client.pid, client.secret.clone(), AtomicBool::new(false));
            thread::scope(|scope| {
                // The first may have come before the statement.
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        cancel(port, pid, &secret);
                    }
                });
                let answer = client.answer();
                ended.store(true, Ordering::Relaxed);
                answer.error("57014");
            });
        } else {
            client.send(&query("SELECT 1 FROM pg_sleep(0.001)"));
            client.cancel();
            let answer = client.answer();
            assert_eq!(answer.status, Some(b'I'));
            assert!(answer.errors.iter().all(|error| error.code == "57014"), "{answer:?}");
        }
    }
}
