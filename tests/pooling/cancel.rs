//! A CancelRequest reaches what its owner runs, and nothing else.

use super::proxy::Proxy;
use super::support::raw::{Raw, first_packet};
use super::talk::{Client, cancel, query};
use super::world::{Gate, eventually, fresh_role, pgotter, until_it_sleeps};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

#[test]
fn a_cancel_ends_the_owners_statement_and_its_client_goes_on() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 1", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    client.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
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
    let proxy = Proxy::new(0);
    // With one worker, what another client hears says that this one's bytes have been read.
    let pooler = proxy.behind_pgotter("default_pool_size = 1\nworkers = 1\nquery_wait_notify = \"10ms\"");
    for begin in ["SELECT 1", "BEGIN"] {
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        client.query(begin);
        let backend = client.backend();
        proxy.hold_cancels(true);
        let held = proxy.held_cancels();
        let gate = Gate::new();
        client.send(&query(&gate.select("first")));
        gate.until_it_is_reached(&backend);
        client.cancel();
        eventually("the cancel is on its way", || proxy.held_cancels() > held);
        gate.open();
        assert_eq!(client.answer().value(), "first");
        // Long enough to be hit, if it were to begin now.
        let second = query(&format!("SELECT 'second behind {begin}' FROM pg_sleep(0.5)"));
        client.send(&second);
        Client::connect(pooler.port(), &role, "postgres").queue("SELECT 'behind it'");
        assert!(!proxy.has_heard(&second), "it has begun, and the cancel may still come");
        proxy.hold_cancels(false);
        assert_eq!(client.answer().value(), format!("second behind {begin}"));
    }
}

#[test]
fn a_server_whose_cancel_went_astray_serves_nobody_else() {
    let role = fresh_role();
    let proxy = Proxy::new(0);
    let pooler = proxy.behind_pgotter("default_pool_size = 1\ncancel_wait_timeout = \"100ms\"");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    proxy.hold_cancels(true);
    let gate = Gate::new();
    client.send(&query(&gate.select("first")));
    gate.until_it_is_reached(&backend);
    client.cancel();
    eventually("the cancel is on its way", || proxy.held_cancels() > 0);
    gate.open();
    assert_eq!(client.answer().value(), "first");
    let mut next = Client::connect(pooler.port(), &role, "postgres");
    let other = next.backend();
    proxy.hold_cancels(false);
    assert_ne!(other, backend, "the cancel may still come");
}

#[test]
fn what_runs_is_cancelled_although_its_owner_left_with_a_cancel_on_its_way() {
    let role = fresh_role();
    let proxy = Proxy::new(0);
    let pooler = proxy.behind_pgotter("default_pool_size = 1");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    proxy.hold_cancels(true);
    client.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
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
    let proxy = Proxy::new(0);
    let pooler = proxy.behind_pgotter("default_pool_size = 1");
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

/// A CancelRequest from this address, whose connection stays.
fn cancel_from(source: [u8; 4], client: &Client, pid: i32) -> Raw {
    let mut connection = Raw::connect_from(source.into(), client.port());
    connection.send(&first_packet(80_877_102, &[&pid.to_be_bytes()[..], &client.secret].concat()));
    connection
}

#[test]
fn f33_no_key_is_looked_up_for_an_address_that_guesses_before_it_has_waited() {
    let role = fresh_role();
    let pooler = pgotter("login_failure_limit = 3\nlogin_failure_delay = \"1h\"\nclient_login_timeout = \"2h\"", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    for guess in 1..=3 {
        assert!(cancel_from([127, 0, 0, 1], &client, client.pid ^ guess).until_end().is_empty());
    }
    client.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
    // A guess that is right as little as one that is wrong.
    let held_up = [client.pid ^ 4, client.pid].map(|pid| cancel_from([127, 0, 0, 1], &client, pid));
    // Logins are counted apart.
    let mut other = Client::connect(pooler.port(), &role, "postgres");
    assert_eq!(other.value(&format!("SELECT state FROM pg_stat_activity WHERE pid = {backend}")), "active");
    assert!(cancel_from([127, 0, 0, 2], &client, client.pid ^ 5).until_end().is_empty());
    assert_eq!(other.value(&format!("SELECT state FROM pg_stat_activity WHERE pid = {backend}")), "active");
    assert!(held_up.iter().all(Raw::hears_nothing));
    assert!(cancel_from([127, 0, 0, 2], &client, client.pid).until_end().is_empty());
    client.answer().error("57014");
    assert!(held_up.iter().all(Raw::hears_nothing));
}

#[test]
fn f9_a_flood_of_cancel_requests_takes_no_clients_place_and_has_few_of_its_own() {
    let role = fresh_role();
    let lines = "login_failure_limit = 1\nlogin_failure_delay = \"1h\"\nclient_login_timeout = \"2h\"";
    let pooler = pgotter(&format!("max_client_conn = 2\n{lines}"), "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let flood: Vec<_> = (1..=91).map(|guess| cancel_from([127, 0, 0, 1], &client, client.pid ^ guess)).collect();
    // The first cost nothing, forty are kept, and the rest were sent away.
    eventually("most wait", || flood.iter().filter(|cancel| !cancel.hears_nothing()).count() == 51);
    let mut other = Client::connect(pooler.port(), &role, "postgres");
    let backend = other.backend();
    other.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
    assert!(cancel_from([127, 0, 0, 2], &other, other.pid).until_end().is_empty());
    other.answer().error("57014");
    assert_eq!(client.value("SELECT 'served'"), "served");
}

#[test]
fn among_fifty_clients_every_cancel_hits_its_owner_only() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 10\nworkers = 2", "");
    let (port, role) = (pooler.port(), &*role);
    let cancelling = AtomicBool::new(true);
    thread::scope(|scope| {
        let bystanders: Vec<_> = (0..25)
            .map(|number| {
                let cancelling = &cancelling;
                scope.spawn(move || {
                    let mut client = Client::connect(port, role, "postgres");
                    let mut statements = 0_usize;
                    while cancelling.load(Ordering::Relaxed) {
                        let answer = client.query(&format!("SELECT '{number}' FROM pg_sleep(0.002)"));
                        assert_eq!(answer.value(), number.to_string(), "a foreign cancel");
                        statements += 1;
                    }
                    statements
                })
            })
            .collect();
        let cancellers: Vec<_> = (0..25).map(|_| scope.spawn(move || ten_cancels(port, role))).collect();
        let outcomes: Vec<_> = cancellers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        cancelling.store(false, Ordering::Relaxed);
        let cancels: usize = outcomes.into_iter().map(|outcome| outcome.unwrap()).sum();
        let statements: usize = bystanders.into_iter().map(|bystander| bystander.join().unwrap()).sum();
        println!("{cancels} cancels, {statements} statements of others");
        assert!(statements >= 25, "hardly anything was there to be hit: {statements} statements");
    });
}

/// Long statements must be cancelled; short ones, where the cancel races with the end, may be. How many requests were sent.
fn ten_cancels(port: u16, role: &str) -> usize {
    let cancels = AtomicUsize::new(10);
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
                        cancels.fetch_add(1, Ordering::Relaxed);
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
    cancels.into_inner()
}
