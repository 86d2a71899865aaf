//! The types of alerts that look at quantiles and at pins.

use super::hooks::Hooks;
use super::table::pgotter;
use super::talk::Client;
use super::world::{eventually, fresh_role};
use super::{ports, shown, state, states, watched};
use serde_json::Value;
use std::thread::JoinHandle;

#[test]
fn a_percentile_fires_for_the_statement_whose_slowest_are_too_slow() {
    let hooks = Hooks::answering(&[]);
    let alert = "[[alert]]\ntype = \"percentile\"\nquantile = 0.9\nover = \"1s\"\nwindow = \"10s\"\nmin_calls = 20\nclear_for = \"1s\"\n";
    let pooler = pgotter("", &watched(ports::free_port(), alert, &format!("\"{}\"", hooks.url("/"))));
    let (port, role) = (pooler.port(), fresh_role());
    let mut client = Client::connect(port, &role, "postgres");
    // One in forty is slow, and one in five: the slowest tenth of the second alone is. Of the second no look sees a part, which is less than
    // `min_calls`; of the first no twenty have two that are slow.
    for number in 0..40 {
        client.value(if number == 20 { "select 'few', pg_sleep(1.5)" } else { "select 'few', pg_sleep(0)" });
    }
    // At the same time, so that they are in one window.
    let slow = sleeping(4, port, &role, "select pg_sleep(1.5)");
    (0..16).for_each(|_| drop(client.value("select pg_sleep(0)")));
    slow.into_iter().for_each(|client| client.join().unwrap());
    eventually("it fires", || state(&pooler, "percentile") == "firing");
    let table = shown(&pooler);
    assert_eq!(table.rows.len(), 1, "{table:?}");
    let row = table.row(&[("alert", "percentile")]);
    assert_eq!((row.text("query"), row.text("threshold")), ("select pg_sleep(?)", "1.000s"));
    eventually("it is over", || state(&pooler, "percentile") == "ok");
    eventually("that is told", || states(&hooks.told(), "percentile") == ["firing", "resolved"]);
    let fired = &hooks.told()[0].json;
    assert!(fired["value"].as_f64().unwrap() > 1.0 && fired["query"] == "select pg_sleep(?)", "{fired}");
}

/// So many clients run this at the same time.
fn sleeping(clients: usize, port: u16, role: &str, sql: &str) -> Vec<JoinHandle<()>> {
    let one = |_| {
        let (role, sql) = (role.to_owned(), sql.to_owned());
        std::thread::spawn(move || drop(Client::connect(port, &role, "postgres").value(&sql)))
    };
    (0..clients).map(one).collect()
}

#[test]
fn an_objective_is_missed_is_told_of_beyond_acceptable_and_once_more_beyond_critical() {
    let hooks = Hooks::answering(&[]);
    // What is missed stays so until the last statements have ended, and longer.
    let objective = |name: &str, table: &str, acceptable: &str, critical: &str| {
        format!(
            "[[alert]]\ntype = \"objective\"\nname = \"{name}\"\nmatch = {{ tables = [\"{table}\"], kind = \"read\" }}\n\
             target = \"10ms\"\nacceptable = \"{acceptable}\"\ncritical = \"{critical}\"\nwindow = \"10s\"\nmin_calls = 5\nclear_for = \"5s\"\n"
        )
    };
    let alerts = objective("missed", "pg_class", "100ms", "5s") + &objective("nearly", "pg_index", "1h", "1h");
    let pooler = pgotter("", &watched(ports::free_port(), &alerts, &format!("\"{}\"", hooks.url("/"))));
    let (port, role) = (pooler.port(), fresh_role());
    let asks = |table: &str, seconds| format!("select pg_sleep({seconds}) from (select 1 from {table} limit 1) as one");
    let mut client = Client::connect(port, &role, "postgres");
    let mut sleep = |table, seconds| (0..6).for_each(|_| drop(client.value(&asks(table, seconds))));
    let level = |alert: &str| shown(&pooler).with(&[("alert", alert)])[0].get("level").unwrap_or_default().to_owned();
    sleep("pg_class", "0.15");
    eventually("it is acceptable no longer", || level("missed") == "acceptable");
    // All of them end together, so that they are in one window.
    let slow = sleeping(6, port, &role, &asks("pg_class", "6"));
    slow.into_iter().for_each(|client| client.join().unwrap());
    eventually("it is critical", || level("missed") == "critical");
    sleep("pg_index", "0.05");
    eventually("the other is missed", || level("nearly") == "target");
    assert_eq!(state(&pooler, "nearly"), "ok");
    eventually("all is over", || state(&pooler, "missed") == "ok" && level("nearly").is_empty());
    eventually("that is told", || states(&hooks.told(), "missed") == ["firing", "firing", "resolved"]);
    let levels: Vec<_> = hooks.told().iter().map(|told| told.json["level"].clone()).collect();
    assert_eq!(levels[..2], ["acceptable", "critical"].map(Value::from));
    assert_eq!(states(&hooks.told(), "nearly"), [""; 0], "a target that is missed is shown, and nobody told");
}

#[test]
fn pins_fire_while_they_take_more_than_their_share_of_the_pool() {
    let alert = "[[alert]]\ntype = \"pins\"\nover = 0.4\nfor = 0\nclear_for = 0\n";
    let pooler = pgotter("default_pool_size = 4", &watched(ports::free_port(), alert, ""));
    let role = fresh_role();
    let mut clients = [(); 2].map(|()| Client::connect(pooler.port(), &role, "postgres"));
    let pin = |client: &mut Client| assert!(client.query("create temporary table pin (a int)").errors.is_empty());
    pin(&mut clients[0]);
    eventually("one in four is looked at", || {
        shown(&pooler).row(&[("alert", "pins")]).get("value").is_some_and(|value| value == "25.0%")
    });
    assert_eq!(state(&pooler, "pins"), "ok");
    pin(&mut clients[1]);
    eventually("two are too many", || state(&pooler, "pins") == "firing");
    let table = shown(&pooler);
    let row = table.row(&[("alert", "pins")]);
    assert_eq!((row.text("value"), row.text("subject")), ("50.0%", &*role));
    assert!(clients[1].query("drop table pin").errors.is_empty());
    eventually("one is not", || state(&pooler, "pins") == "ok");
}
