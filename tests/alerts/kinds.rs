//! The types of alerts that look at quantiles and at pins.

use super::hooks::Hooks;
use super::talk::Client;
use super::world::{eventually, fresh_role};
use super::{ports, shown, state, states, watched};
use crate::table::pgotter;
use serde_json::Value;

const WINDOW: &str = "window = \"10s\"\nmin_calls = 5\nclear_for = \"1s\"\n";

#[test]
fn a_percentile_fires_for_the_statement_whose_slowest_are_too_slow() {
    let hooks = Hooks::answering(&[]);
    let alert = format!("[[alert]]\ntype = \"percentile\"\nquantile = 0.9\nover = \"100ms\"\n{WINDOW}");
    let pooler = pgotter("", &watched(ports::free_port(), &alert, &format!("\"{}\"", hooks.url("/"))));
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    // One in twenty is slow, and one in five: the slowest tenth of the second alone is. The one is in the middle, with ten at its sides: a
    // look may see the first of them only, and a window the last.
    for number in 0..20 {
        client.value(if number == 10 { "select 'few', pg_sleep(0.15)" } else { "select 'few', pg_sleep(0)" });
        client.value(if number % 5 == 4 { "select pg_sleep(0.15)" } else { "select pg_sleep(0)" });
    }
    eventually("it fires", || state(&pooler, "percentile") == "firing");
    let table = shown(&pooler);
    assert_eq!(table.rows.len(), 1, "{table:?}");
    let row = table.row(&[("alert", "percentile")]);
    assert_eq!((row.text("query"), row.text("threshold")), ("select pg_sleep(?)", "100.000ms"));
    eventually("it is over", || state(&pooler, "percentile") == "ok");
    eventually("that is told", || states(&hooks.told(), "percentile") == ["firing", "resolved"]);
    let fired = &hooks.told()[0].json;
    let value = fired["value"].as_f64().unwrap();
    assert!((0.1..10.0).contains(&value) && fired["query"] == "select pg_sleep(?)", "{fired}");
}

#[test]
fn an_objective_is_missed_is_told_of_beyond_acceptable_and_once_more_beyond_critical() {
    let hooks = Hooks::answering(&[]);
    let objective = |name: &str, table: &str, acceptable: &str, critical: &str| {
        format!(
            "[[alert]]\ntype = \"objective\"\nname = \"{name}\"\nmatch = {{ tables = [\"{table}\"], kind = \"read\" }}\n\
             target = \"10ms\"\nacceptable = \"{acceptable}\"\ncritical = \"{critical}\"\n{WINDOW}"
        )
    };
    let alerts = objective("missed", "pg_class", "100ms", "400ms") + &objective("nearly", "pg_index", "1h", "1h");
    let pooler = pgotter("", &watched(ports::free_port(), &alerts, &format!("\"{}\"", hooks.url("/"))));
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    let mut sleep = |table: &str, seconds: &str| {
        for _ in 0..6 {
            client.value(&format!("select pg_sleep({seconds}) from (select 1 from {table} limit 1) as one"));
        }
    };
    let level = |alert: &str| shown(&pooler).with(&[("alert", alert)])[0].get("level").unwrap_or_default().to_owned();
    sleep("pg_class", "0.15");
    eventually("it is acceptable no longer", || level("missed") == "acceptable");
    sleep("pg_class", "0.5");
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
