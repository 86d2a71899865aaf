//! One failover after the other under load, with and without the old primary going on: nothing that was acknowledged is lost where
//! replication is synchronous, and nothing is run twice. `FAILOVERS=20` makes it longer.

use super::reloading::reload_with;
use super::support::{SetAtEnd, must};
use super::talk::Client;
use super::trio::{ROLE, Trio, config, pgotter};
use super::world::eventually;
use pgotter::cli::local_postgres::{LocalPostgres, StopMode};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What was acknowledged: each number, and when.
type Acknowledged = Mutex<Vec<(u64, Instant)>>;

/// Inserts numbers that nobody else inserts, for as long as the test lasts.
fn work(port: u16, over: &AtomicBool, next: &AtomicU64, acknowledged: &Acknowledged) {
    let mut client = Client::connect(port, ROLE, "app");
    while !over.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let answer = client.query(&format!("INSERT INTO t VALUES ({number})"));
        if answer.errors.is_empty() && answer.status.is_some() {
            acknowledged.lock().unwrap().push((number, Instant::now()));
        }
        for error in &answer.errors {
            assert!(["08006", "08007", "57P01", "57P02"].contains(&&*error.code), "{error:?}");
        }
        if answer.status.is_none() {
            client = Client::connect(port, ROLE, "app");
        }
    }
}

/// How often each number is there.
fn kept(server: &LocalPostgres) -> BTreeMap<u64, usize> {
    let mut kept = BTreeMap::new();
    for line in must(server.psql("postgres", "SELECT v FROM t")).lines() {
        *kept.entry(line.parse().unwrap()).or_default() += 1;
    }
    kept
}

/// Two replicas at the primary, each of which every commit waits for, so that either may be promoted.
fn synchronise(primary: &LocalPostgres, synchronous: bool) {
    let names = if synchronous { "2 (*)" } else { "" };
    must(primary.psql("postgres", &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'")));
    must(primary.psql("postgres", "SELECT pg_reload_conf()"));
}

#[test]
fn f26_one_failover_after_the_other_loses_nothing_and_runs_nothing_twice() {
    let rounds = std::env::var("FAILOVERS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2);
    let mut trio = Trio::start();
    let mut pooler = pgotter(&trio.hosts(), "", "");
    let port = pooler.port();
    let (over, next, acknowledged) = (AtomicBool::new(false), AtomicU64::new(1), Acknowledged::default());
    let mut former = Vec::new();
    let done = || acknowledged.lock().unwrap().len();
    thread::scope(|scope| {
        let end = SetAtEnd(&over);
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| work(port, &over, &next, &acknowledged))).collect();
        for round in 0..rounds {
            synchronise(&trio.primary, true);
            let before = done();
            eventually("they work", || done() > before + 100);
            // Each second time the old one goes on, alone, and waits for replicas that it has not any more.
            if round % 2 == 0 {
                must(trio.primary.stop(StopMode::Immediate));
            }
            must(trio.replicas[0].promote());
            let promoted = Instant::now();
            synchronise(&trio.replicas[0], false);
            let (before, none_since) = (done(), promoted);
            eventually("they go on", || done() > before + 100);
            let first = acknowledged.lock().unwrap()[before].1;
            // Two seconds, and five times that for a machine with other things to do.
            assert!(first.saturating_duration_since(none_since) < Duration::from_secs(10));
            let mut primary = trio.replicas.swap_remove(0);
            let replicas = (0..2).map(|_| must(primary.replica())).collect();
            former.push(std::mem::replace(&mut trio, Trio { replicas, primary }));
            must(trio.primary.wait_for_replicas(2));
            // The old primary stays in the list, and its replicas go.
            let old = format!("\"127.0.0.1:{}\"", former[round].primary.port());
            let hosts: Vec<_> = trio.hosts().into_iter().chain([old]).collect();
            let text = config(port, &hosts, "", "");
            assert!(reload_with(&mut pooler, &text));
        }
        drop(end);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    let kept = kept(&trio.primary);
    assert!(kept.values().all(|times| *times == 1), "something was run twice");
    let acknowledged: BTreeSet<u64> = acknowledged.lock().unwrap().iter().map(|(number, _)| *number).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|number| !kept.contains_key(number)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
    assert!(!pooler.log().contains("panicked"));
}
