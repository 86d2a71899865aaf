//! What clients and servers do, and how long clients keep servers for themselves.

use super::Watched;
use super::scrape::Scrape;
use crate::support::raw::{Raw, bind, error_code, execute, parse, query, sync};
use crate::support::stopped::Stopped;
use crate::support::{client_output, must, shared_postgres};
use pgotter::cli::local_postgres::SUPERUSER;
use std::time::Instant;

const SHOP: (&str, &str) = ("database", "shop");
const PINS: &str = "pgotter_session_pins";
const SECONDS: &str = "pgotter_session_pin_seconds_total";

fn named(watched: &Watched, name: &str) -> Raw {
    Raw::log_in(watched.port(), &[("database", "shop"), ("application_name", name)])
}

/// How many clients and servers of the pool are in each state, those that nobody is in left out.
fn states(scrape: &Scrape, family: &str, words: &[&'static str]) -> Vec<(&'static str, f64)> {
    let count = |word: &&'static str| (*word, scrape.sum(family, &[SHOP, ("user", SUPERUSER), ("state", word)]));
    words.iter().map(count).filter(|(_, count)| *count != 0.0).collect()
}

fn clients(scrape: &Scrape) -> Vec<(&'static str, f64)> {
    let words = ["active", "idle", "waiting", "idle_in_transaction", "pinned"];
    states(scrape, "pgotter_client_connections", &words)
}

fn servers(scrape: &Scrape) -> Vec<(&'static str, f64)> {
    states(scrape, "pgotter_server_connections", &["active", "idle", "login", "testing", "pinned"])
}

/// The states of PgBouncer's that the console shows of this pool, sorted.
fn shown(watched: &Watched, what: &str) -> Vec<String> {
    let login = ["-X", "-At", "-F", "|", "-d", "pgbouncer", "-c", what];
    let answer = client_output("psql", watched.port(), &login);
    let mut states: Vec<String> = answer
        .lines()
        .map(|row| row.split('|').collect::<Vec<_>>())
        .filter(|row| row[2] == "shop")
        .map(|row| row[4].to_owned())
        .collect();
    states.sort();
    states
}

#[test]
fn every_client_and_every_server_is_in_the_state_that_it_is_in() {
    let pooler = format!("default_pool_size = 3\nadmin_users = \"{SUPERUSER}\"");
    let watched = Watched::in_front_of(shared_postgres(), &pooler);
    let mut blocker = Raw::log_in(watched.port(), &[("database", "postgres")]);
    blocker.ask("SELECT pg_advisory_lock(86001)");
    let [mut pinned, mut open, mut running, _idle, mut waiting] =
        ["pinned", "open", "running", "idle", "waiting"].map(|name| named(&watched, name));
    pinned.ask("CREATE TEMP TABLE kept (a int)");
    open.ask("BEGIN -- with a server");
    open.ask("SELECT 1");
    running.send(&query("SELECT pg_advisory_xact_lock(86001)"));
    // Behind the others: there are three servers.
    Scrape::until(watched.http, "three with a server", |scrape| {
        clients(scrape) == [("active", 1.0), ("idle", 2.0), ("idle_in_transaction", 1.0), ("pinned", 1.0)]
    });
    waiting.send(&query("SELECT 1"));
    let each = [("active", 1.0), ("idle", 1.0), ("waiting", 1.0), ("idle_in_transaction", 1.0), ("pinned", 1.0)];
    let scrape = Scrape::until(watched.http, "each state", |scrape| clients(scrape) == each);
    assert_eq!(servers(&scrape), [("active", 2.0), ("pinned", 1.0)]);
    // PgBouncer has other words, and they stay what they were.
    assert_eq!(shown(&watched, "SHOW CLIENTS"), ["active", "active", "active", "idle", "waiting"]);
    assert_eq!(shown(&watched, "SHOW SERVERS"), ["active"; 3]);
    // Who is pinned and has something run is as active as anybody.
    pinned.send(&query("SELECT pg_advisory_xact_lock(86001)"));
    let scrape = Scrape::until(watched.http, "it runs", |scrape| clients(scrape)[0] == ("active", 2.0));
    assert!(!clients(&scrape).iter().any(|(word, _)| *word == "pinned"), "{scrape:#?}");
    assert_eq!(servers(&scrape), [("active", 3.0)]);
    drop(blocker);
    for client in [&mut pinned, &mut running] {
        assert_eq!(error_code(&client.until_ready()), None);
    }
    assert_eq!(error_code(&open.ask("COMMIT")), None);
    assert_eq!(error_code(&waiting.until_ready()), None);
    pinned.ask("DROP TABLE kept");
    let at_rest = |scrape: &Scrape| clients(scrape) == [("idle", 5.0)] && servers(scrape) == [("idle", 3.0)];
    Scrape::until(watched.http, "everybody at rest", at_rest);
}

#[test]
fn a_server_whose_client_has_left_it_in_the_middle_is_being_tested() {
    let watched = Watched::in_front_of(shared_postgres(), "default_pool_size = 1");
    let mut client = named(&watched, "leaver");
    client.ask("BEGIN -- with a server");
    let backend = client.value("SELECT pg_backend_pid()");
    client.send(&query("SELECT pg_sleep(60)"));
    let asleep = format!("SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = {backend} AND wait_event = 'PgSleep'");
    must(shared_postgres().wait_until("postgres", &asleep));
    // It does not hear of being canceled, until it is closed.
    let _deaf = Stopped::new(backend);
    Scrape::until(watched.http, "it runs", |scrape| servers(scrape) == [("active", 1.0)]);
    drop(client);
    Scrape::until(watched.http, "it is brought back", |scrape| servers(scrape) == [("testing", 1.0)]);
    Scrape::until(watched.http, "it could not be", |scrape| servers(scrape).is_empty());
}

#[test]
fn a_statement_that_would_keep_one_server_too_many_is_counted_as_refused_by_a_limit() {
    let watched = Watched::in_front_of(shared_postgres(), "max_pinned = 1");
    let [mut first, mut second] = ["first", "second"].map(|name| named(&watched, name));
    let keep = "CREATE TEMP TABLE kept (a int)";
    assert_eq!(error_code(&first.ask(keep)), None);
    let failed = |scrape: &Scrape, reason: &str| {
        scrape.value("pgotter_pool_checkout_failures_total", &[SHOP, ("reason", reason)])
    };
    let reasons = ["timeout", "no_server", "limit"];
    let scrape = Scrape::until(watched.http, "the first one", |scrape| is_pinned(scrape, "temp"));
    assert_eq!(reasons.map(|reason| failed(&scrape, reason)), [0.0; 3]);
    assert_eq!(error_code(&second.ask(keep)).as_deref(), Some("53300"));
    // Prepared before it is refused.
    second.send(&[parse("", keep), bind("", "", &[]), execute("", 0), sync()].concat());
    assert_eq!(error_code(&second.until_ready()).as_deref(), Some("53300"));
    let scrape = Scrape::until(watched.http, "both", |scrape| failed(scrape, "limit") >= 2.0);
    assert_eq!(reasons.map(|reason| failed(&scrape, reason)), [0.0, 0.0, 2.0]);
}

/// The time told of a reason; 0 before the first.
fn seconds(scrape: &Scrape, reason: &str) -> f64 {
    scrape.get(SECONDS, &[SHOP, ("reason", reason)]).unwrap_or(0.0)
}

fn is_pinned(scrape: &Scrape, reason: &str) -> bool {
    scrape.get(PINS, &[SHOP, ("reason", reason)]).is_some()
}

/// A scrape that was made behind this moment: each may be a second old, and has counted those before.
fn fresh(watched: &Watched) -> Scrape {
    let answered = |scrape: &Scrape| scrape.value("pgotter_http_connections_total", &[("result", "answered")]);
    let before = answered(&Scrape::take(watched.http));
    Scrape::until(watched.http, "a fresh one", |scrape| answered(scrape) > before)
}

#[test]
fn the_time_for_which_servers_are_kept_is_told_by_why_while_it_passes_and_never_falls() {
    let watched = Watched::in_front_of(shared_postgres(), "");
    let mut client = named(&watched, "keeper");
    let start = Scrape::take(watched.http);
    assert!(!start.types.contains_key(SECONDS), "nobody was ever pinned");
    let mut last = start;
    let mut until = |what: &str, wanted: &dyn Fn(&Scrape) -> bool| {
        last = Scrape::until(watched.http, what, |scrape| {
            scrape.assert_not_below(&last);
            wanted(scrape)
        });
        Instant::now()
    };
    // One reason, then both, then the other one.
    let began = Instant::now();
    client.ask("CREATE TEMP TABLE mine (a int)");
    let temp_seen = until("the table", &|scrape| is_pinned(scrape, "temp"));
    until("the time passes", &|scrape| seconds(scrape, "temp") >= 1.0);
    let lock_began = Instant::now();
    client.ask("SELECT pg_advisory_lock(86002)");
    let lock_seen = until("the lock", &|scrape| is_pinned(scrape, "lock"));
    let temp_held = temp_seen.elapsed();
    client.ask("DROP TABLE mine");
    let temp_gone = until("no table", &|scrape| !is_pinned(scrape, "temp"));
    let at_most = (temp_gone - began).as_secs_f64();
    until("the lock's time passes", &|scrape| seconds(scrape, "lock") >= 1.0 && is_pinned(scrape, "lock"));
    // The table's does not.
    let scrape = fresh(&watched);
    let temp = seconds(&scrape, "temp");
    assert!((temp_held.as_secs_f64()..=at_most).contains(&temp), "{temp} of {temp_held:?} to {at_most}");
    // Who leaves is pinned no longer, and the time stays told.
    let lock_held = lock_seen.elapsed();
    drop(client);
    let lock_gone = until("no lock", &|scrape| !is_pinned(scrape, "lock"));
    let scrape = fresh(&watched);
    let lock = seconds(&scrape, "lock");
    let at_most = (lock_gone - lock_began).as_secs_f64();
    assert!((lock_held.as_secs_f64()..=at_most).contains(&lock), "{lock} of {lock_held:?} to {at_most}");
    let later = fresh(&watched);
    assert_eq!((seconds(&later, "temp"), seconds(&later, "lock")), (temp, lock), "nobody is pinned");
    // The next one's comes on top.
    let mut another = named(&watched, "another");
    another.ask("CREATE TEMP TABLE other (a int)");
    Scrape::until(watched.http, "more of it", |scrape| seconds(scrape, "temp") > temp + 0.5);
}
