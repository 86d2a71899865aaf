//! The end of the process, and signals that come in numbers.

use super::reloading::reload;
use super::talk::{Client, query};
use super::world::{PATIENCE, eventually, exit_code, fresh_role, holder, look, pgotter, until_it_sleeps};
use crate::support::{PgOtter, SetAtEnd};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn f23_sigterm_under_two_hundred_clients_in_transactions_aborts_none() {
    let role = fresh_role();
    look(&format!("CREATE TABLE work_of_{role} (n int); ALTER TABLE work_of_{role} OWNER TO {role}"));
    let mut pooler = pgotter("default_pool_size = 200", "");
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let mut busy: Vec<_> = (0..200).map(|_| holder(pooler.port(), &role)).collect();
    pooler.signal(Signal::TERM);
    idle.answer().fatal("57P01");
    for client in &mut busy {
        assert_eq!(client.query(&format!("INSERT INTO work_of_{role} VALUES (1)")).tags, ["INSERT 0 1"]);
    }
    for client in &mut busy {
        assert_eq!(client.query("COMMIT").tags, ["COMMIT"]);
        client.answer().fatal("57P01");
    }
    assert_eq!(exit_code(&mut pooler), Some(0));
    assert_eq!(look(&format!("SELECT count(*) FROM work_of_{role}")), "200");
}

#[test]
fn f23_a_transaction_beyond_shutdown_timeout_is_cut_off() {
    let role = fresh_role();
    let mut pooler = pgotter("shutdown_timeout = \"300ms\"", "");
    let mut busy = holder(pooler.port(), &role);
    pooler.signal(Signal::INT);
    busy.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
}

#[test]
fn f23_sigquit_and_a_second_sigint_end_at_once() {
    for signals in [&[Signal::QUIT][..], &[Signal::INT, Signal::INT]] {
        let role = fresh_role();
        let mut pooler = pgotter("shutdown_timeout = \"1h\"", "");
        let mut busy = holder(pooler.port(), &role);
        let mut idle = Client::connect(pooler.port(), &role, "postgres");
        let since = Instant::now();
        pooler.signal(signals[0]);
        idle.answer().fatal("57P01");
        signals[1..].iter().for_each(|signal| pooler.signal(*signal));
        busy.answer().fatal("57P01");
        assert_eq!(exit_code(&mut pooler), Some(0));
        assert!(since.elapsed() < PATIENCE / 2);
    }
}

/// SIGTERM while a statement runs, then `end`: the process ends well, and so does the statement.
fn a_statement_ends_with_the_process(end: impl FnOnce(&mut PgOtter, Client)) {
    let role = fresh_role();
    let mut pooler = pgotter("shutdown_timeout = \"1h\"", "");
    let mut busy = Client::connect(pooler.port(), &role, "postgres");
    let backend = busy.backend();
    busy.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
    pooler.signal(Signal::TERM);
    eventually("it ends", || pooler.log().contains("shutting down"));
    end(&mut pooler, busy);
    assert_eq!(exit_code(&mut pooler), Some(0));
    let runs = || look(&format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}")) != "0";
    eventually("the statement has ended", || !runs());
}

#[test]
fn f23_what_runs_at_a_second_sigterm_is_cancelled() {
    a_statement_ends_with_the_process(|pooler, mut busy| {
        pooler.signal(Signal::TERM);
        busy.answer().fatal("57P01");
    });
}

#[test]
fn f23_what_runs_for_a_client_that_vanishes_at_sigterm_is_cancelled() {
    a_statement_ends_with_the_process(|_, busy| busy.reset());
}

#[test]
fn f24_a_storm_of_signals_changes_nothing_that_one_would_not() {
    let role = fresh_role();
    let mut pooler = pgotter("default_pool_size = 3\nquery_wait_timeout = \"1min\"", "");
    let port = pooler.port();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|_| {
                let role = &role;
                scope.spawn(move || {
                    let mut client = Client::connect(port, role, "postgres");
                    (0..20).for_each(|_| assert_eq!(client.value("SELECT 'served'"), "served"));
                })
            })
            .collect();
        for round in 0.. {
            for signal in [Signal::HUP, Signal::USR1, Signal::HUP, Signal::USR2, Signal::USR2] {
                pooler.signal(signal);
            }
            if round > 20 && clients.iter().all(|client| client.is_finished()) {
                break;
            }
            thread::yield_now();
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    assert!(reload(&mut pooler));
    let served = AtomicBool::new(false);
    let mut client = thread::scope(|scope| {
        // The kernel keeps no order among signals that are under way at once: the storm's last pause may come behind a resume.
        scope.spawn(|| {
            while !served.load(Ordering::Relaxed) {
                pooler.signal(Signal::USR2);
                thread::sleep(Duration::from_millis(50));
            }
        });
        let _ends = SetAtEnd(&served);
        let mut client = Client::connect(port, &role, "postgres");
        assert_eq!(client.value("SELECT 'served'"), "served");
        client
    });
    (0..3).for_each(|_| pooler.signal(Signal::TERM));
    client.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
}
