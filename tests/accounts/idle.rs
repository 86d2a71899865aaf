//! Who keeps transactions open.

use super::scrape::Scrape;
use super::talk::query;
use super::world::{eventually, fresh_role};
use super::{named, shown, watched};
use crate::support::raw::{close, describe, parse, sync};
use std::time::Duration;

const IDLE: &str = "pgotter_transaction_idle_duration_seconds";
const SECONDS: &str = "pgotter_application_idle_in_transaction_seconds_total";
const LABELS: [(&str, &str); 2] = [("database", "postgres"), ("role", "primary")];

/// Longer than anything that is asserted of a server.
fn think() {
    std::thread::sleep(Duration::from_millis(1500));
}

fn application(name: &str) -> [(&str, &str); 2] {
    [("database", "postgres"), ("application", name)]
}

fn count(scrape: &Scrape) -> f64 {
    scrape.value(&format!("{IDLE}_count"), &LABELS)
}

#[test]
fn the_time_that_a_transaction_waits_for_its_client_is_that_clients() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\""] {
        let (pooler, http) = watched(mode, "");
        let role = fresh_role();
        let (mut thinker, mut quick) = (named(&pooler, &role, "thinker"), named(&pooler, &role, "quick"));
        // Outside of a block nobody waits for anybody, however long it takes.
        quick.value("select 1 from pg_sleep(0.1)");
        thinker.query("begin -- with a server");
        thinker.value("select 1 from pg_sleep(3)");
        think();
        thinker.value("select 2 from pg_sleep(3)");
        thinker.query("commit");
        // Between two transactions nobody waits either.
        think();
        quick.query("begin -- with a server");
        quick.query("commit");
        let scrape = Scrape::until(http, "both blocks", |scrape| count(scrape) == 2.0);
        let seconds = scrape.value(SECONDS, &application("thinker"));
        assert!((1.5..4.5).contains(&seconds), "{mode}: {seconds}");
        assert!(scrape.value(SECONDS, &application("quick")) < 1.5, "{mode}");
        let sum = scrape.value(&format!("{IDLE}_sum"), &LABELS);
        assert!((sum - scrape.sum(SECONDS, &[])).abs() < 0.001, "{mode}: {sum}");
        let table = shown(&pooler, "APPLICATIONS");
        let row = |name| table.row(&[("application_name", name)]);
        assert_eq!(row("thinker").numbers(["clients", "idle_clients", "idle_transactions"]), [1, 0, 1], "{mode}");
        assert_eq!(row("quick").numbers(["clients", "idle_clients", "idle_transactions"]), [1, 0, 1], "{mode}");
        let ms: f64 = row("thinker").text("idle_ms").parse().unwrap();
        assert!((ms / 1e3 - seconds).abs() < 0.001, "{mode}: {ms} {seconds}");
    }
}

#[test]
fn who_leaves_in_the_middle_of_a_transaction_has_kept_it_open_until_then() {
    let (pooler, http) = watched("", "");
    let role = fresh_role();
    let mut leaver = named(&pooler, &role, "leaver");
    leaver.query("begin -- with a server");
    assert_eq!(leaver.value("select 1"), "1");
    let idle = || shown(&pooler, "APPLICATIONS").row(&[("application_name", "leaver")]).number("idle_clients");
    eventually("it is seen", || idle() == 1);
    think();
    leaver.leave();
    let scrape = Scrape::until(http, "the end of it", |scrape| count(scrape) == 1.0);
    let seconds = scrape.value(SECONDS, &application("leaver"));
    assert!(seconds >= 1.5, "{seconds}");
    // Who leaves while a statement runs has waited itself.
    let mut waiter = named(&pooler, &role, "waiter");
    waiter.query("begin -- with a server");
    waiter.send(&query("select pg_sleep(20)"));
    let runs = || !shown(&pooler, "ACTIVE").with(&[("application_name", "waiter"), ("state", "active")]).is_empty();
    eventually("it runs", runs);
    think();
    waiter.reset();
    let scrape = Scrape::until(http, "the end of it", |scrape| count(scrape) == 2.0);
    assert!(scrape.value(SECONDS, &application("waiter")) < 1.5);
}

#[test]
fn who_keeps_transactions_open_is_told_by_user_beside_application() {
    const BY_USER: &str = "pgotter_user_idle_in_transaction_seconds_total";
    let (pooler, http) = watched("", "");
    let (keeper, quick) = (fresh_role(), fresh_role());
    // Under one name.
    let (mut keeps, mut goes) = (named(&pooler, &keeper, "shared"), named(&pooler, &quick, "shared"));
    for client in [&mut keeps, &mut goes] {
        client.query("begin -- with a server");
        client.value("select 1");
    }
    goes.query("commit");
    let row = |by: &str, name: &str| {
        let table = shown(&pooler, "IDLE_TRANSACTIONS");
        table.with(&[("by", by), ("name", name)]).first().map(|row| {
            (row.numbers(["idle_clients", "idle_transactions"]), row.text("idle_ms").parse::<f64>().unwrap())
        })
    };
    eventually("it is seen as long as it goes on", || {
        row("user", &keeper).is_some_and(|(numbers, _)| numbers == [1, 0])
            && row("application", "shared").is_some_and(|(numbers, _)| numbers == [1, 1])
    });
    think();
    keeps.query("commit");
    let user = |role: &str| [("database", "postgres"), ("user", role)].map(|(label, value)| (label, value.to_owned()));
    let seconds = |scrape: &Scrape, role: &str| {
        let labels = user(role);
        scrape.get(BY_USER, &labels.each_ref().map(|(label, value)| (*label, &**value)))
    };
    let scrape = Scrape::until(http, "both blocks", |scrape| count(scrape) == 2.0);
    let (long, short) = (seconds(&scrape, &keeper).unwrap(), seconds(&scrape, &quick).unwrap());
    assert!(long >= 1.5 && short < 1.5, "{long} {short}");
    assert!((long + short - scrape.value(SECONDS, &application("shared"))).abs() < 0.001);
    let (numbers, ms) = row("user", &keeper).unwrap();
    assert_eq!(numbers, [0, 1]);
    assert!((ms / 1e3 - long).abs() < 0.001, "{ms} {long}");
    assert_eq!(row("application", "shared").unwrap().0, [0, 2]);
    let first = shown(&pooler, "IDLE_TRANSACTIONS").rows[0][2].clone();
    assert_eq!(first.as_deref(), Some("shared"), "who has waited for longest stands first");
}

#[test]
fn who_has_only_had_a_statement_prepared_waits_for_nothing() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        let (pooler, _) = watched(mode, "");
        let mut client = named(&pooler, &fresh_role(), "preparer");
        client.query("begin -- with a server");
        let prepares = [parse("one", "select 1"), describe(b'S', "one"), sync()].concat();
        for messages in [prepares, [close(b'S', "one"), sync()].concat(), sync()] {
            client.send(&messages);
            assert!(client.answer().errors.is_empty());
            let table = shown(&pooler, "ACTIVE");
            let state = table.row(&[("application_name", "preparer")]).text("state").to_owned();
            assert_eq!(state, "idle_in_transaction", "{mode}");
        }
    }
}
