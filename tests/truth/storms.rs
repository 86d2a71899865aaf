//! Far more statements and names than there is room for: what is shown and kept is bounded, and nothing is lost.

use super::clock::Clock;
use super::scrape::Scrape;
use super::server::Scripted;
use super::talk::Client;
use super::{NO_SLOW_LOG, pgotter};
use crate::support::SetAtEnd;
use pgotter::cli::ports;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const CALLS: &str = "pgotter_fingerprint_calls_total";

/// Clients at once.
const CLIENTS: usize = 4;

/// Of `insight_memory` and `statement_cache_size`, by default.
const ROOM_KIB: u64 = (64 + 16) << 10;

/// Scrapes until it is told to end: no counter goes down, and no more than `series` are added to those of the beginning.
fn watch(http: u16, over: &AtomicBool, series: usize) {
    let first = Scrape::take(http);
    let mut before = first.clone();
    while !over.load(Ordering::Relaxed) {
        let now = Scrape::take(http);
        now.assert_not_below(&before);
        assert!(now.series() <= first.series() + series, "{} and then {}", first.series(), now.series());
        before = now;
        // Not in the way of those who are served meanwhile.
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn fifty_thousand_different_statements_are_bounded_and_each_is_counted() {
    let server = Scripted::start(Clock::new());
    let http = ports::free_port();
    let rest = format!("{NO_SLOW_LOG}\n[http]\nlisten = \"127.0.0.1:{http}\"");
    let pooler = pgotter(&server, "workers = 2", &rest);
    let (count, next, over) = (50_000, AtomicUsize::new(0), AtomicBool::new(false));
    Client::connect(pooler.port(), "postgres", "postgres").value("select 1 from storm_first where us = 0");
    let before = pooler.resident_kib();
    std::thread::scope(|scope| {
        // Each of 50 fingerprints and of `other`: 16 buckets and 2, and 5 counters, and a description.
        scope.spawn(|| watch(http, &over, 53 * 24 + 200));
        let _end = SetAtEnd(&over);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = Client::connect(pooler.port(), "postgres", "postgres");
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            break;
                        }
                        client.value(&format!("select 1 from storm_{number} where us = 0"));
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    let sent = count as f64 + 1.0;
    // How long it took is counted a little later than that it was.
    let scrape = Scrape::until(http, "all of them, and how long each took", |scrape| {
        [CALLS, "pgotter_fingerprint_duration_seconds_count"]
            .iter()
            .all(|name| scrape.sum(name, &[("database", "postgres")]) == sent)
    });
    assert_eq!(scrape.sum("pgotter_fingerprint_rows_total", &[("database", "postgres")]), sent);
    let other = scrape.value(CALLS, &[("database", "postgres"), ("fingerprint", "other")]);
    assert!(other >= sent - 50.0, "{other}");
    let fingerprints = scrape.values_of("fingerprint").len();
    assert!(fingerprints <= 53, "{fingerprints}");
    let grown = pooler.resident_kib().saturating_sub(before);
    println!("{count} different statements: {} series, {grown} KiB more", scrape.series());
    assert!(grown < ROOM_KIB, "{grown} KiB");
}

#[test]
fn many_user_and_application_names_are_bounded_and_each_is_counted() {
    names(1_000);
}

#[test]
#[ignore = "takes minutes: make test-truth"]
fn ten_thousand_user_and_application_names_are_bounded_and_each_is_counted() {
    names(std::env::var("PGOTTER_LONG_NAMES").map_or(10_000, |count| count.parse().expect("a number")));
}

fn names(count: usize) {
    let server = Scripted::start(Clock::new());
    let http = ports::free_port();
    let rest = format!("max_db_connections = 20\n{NO_SLOW_LOG}\n[http]\nlisten = \"127.0.0.1:{http}\"");
    let pooler = pgotter(&server, "", &rest);
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| watch(http, &over, 2_000));
        let _end = SetAtEnd(&over);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            break;
                        }
                        log_in(pooler.port(), number);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    let refused = count.div_ceil(10) as f64;
    let scrape = Scrape::until(http, "all of them", |scrape| {
        scrape.sum(CALLS, &[("database", "postgres")]) == count as f64 - refused
    });
    let logins =
        |result: &str| scrape.sum("pgotter_client_logins_total", &[("database", "postgres"), ("result", result)]);
    println!("{count} names: {} series, {} KiB", scrape.series(), pooler.resident_kib());
    assert_eq!(logins("ok"), count as f64 - refused);
    for label in ["user", "application", "application_name"] {
        let values = scrape.most_values_of(label);
        assert!(values <= 51, "{label}: {values}");
    }
}

/// Every tenth is refused by the server.
fn log_in(port: u16, number: usize) {
    let is_refused = number.is_multiple_of(10);
    let user = if is_refused { format!("refused_{number}") } else { format!("user_{number}") };
    let application = format!("application_{number}");
    let startup = [("user", user.as_str()), ("database", "postgres"), ("application_name", &application)];
    match Client::try_connect(port, &startup) {
        Ok(mut client) if !is_refused => {
            client.value(&format!("select 1 from storm_of_names where us = 0 /*application='{application}'*/"));
        }
        Err(answer) if is_refused => assert_eq!(answer.code(), "28000"),
        other => panic!("{user}: {:?}", other.map(|_| "is in")),
    }
}
