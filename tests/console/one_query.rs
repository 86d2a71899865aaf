//! One query more closely: SHOW HISTOGRAM, SHOW CALLERS and SHOW ROUTES of a fingerprint; SHOW QUERIES of a window.

use super::table::{Table, WATCHER, console, pgotter, show};
use super::talk::{Client, query};
use super::world::{eventually, fresh_role, until_it_sleeps};

const TEXT: &str = "select pg_sleep(?), ? as closer";

fn fingerprint(console: &mut Client) -> String {
    show(console, "QUERIES").row(&[("query", TEXT)]).text("fingerprint").to_owned()
}

fn sum(table: &Table, column: &str) -> u64 {
    table.with(&[]).iter().map(|row| row.number(column)).sum()
}

#[test]
fn a_query_has_its_distribution_its_routes_and_its_callers() {
    let pooler = pgotter("", "[slow_queries]\nlog = \"1s\"");
    let role = fresh_role();
    let (mut batch, mut other) =
        (Client::connect(pooler.port(), &role, "postgres"), Client::connect(pooler.port(), &role, "postgres"));
    batch.query("set application_name = 'batch'");
    for sleep in ["0.001", "0.02", "1.2", "1.2"] {
        batch.query(&format!("select pg_sleep({sleep}), 'secret' as closer"));
    }
    other.query("select pg_sleep(0), 'x' as closer");
    // It asks for something else since.
    other.query("select 1");
    let mut watcher = Client::connect(pooler.port(), WATCHER, "pgotter");
    let fingerprint = fingerprint(&mut watcher);
    let histogram = show(&mut watcher, &format!("HISTOGRAM {fingerprint}"));
    assert_eq!((sum(&histogram, "server_calls"), sum(&histogram, "total_calls")), (5, 5), "{histogram:?}");
    let ms = |row: &super::table::Row<'_>, column| row.text(column).parse::<f64>().unwrap();
    let from = |at_least: f64| {
        let rows = histogram.with(&[("database", "postgres")]);
        let rows = rows.iter().filter(|row| ms(row, "to_ms") > at_least && ms(row, "from_ms") < ms(row, "to_ms"));
        rows.map(|row| row.number("server_calls")).sum::<u64>()
    };
    assert!(from(1200.0) >= 2 && from(20.0) >= 3 && from(1.0) >= 4 && from(0.0) == 5, "{histogram:?}");
    let routes = show(&mut watcher, &format!("ROUTES {fingerprint}"));
    let row = routes.row(&[("database", "postgres"), ("role", "primary"), ("reason", "single")]);
    assert_eq!((row.number("calls"), routes.rows.len()), (5, 1));
    assert_eq!(show(&mut watcher, "QUERIES").row(&[("query", TEXT)]).number("replica_calls"), 0);
    let mut callers = || show(&mut watcher, &format!("callers \"{fingerprint}\";"));
    let table = callers();
    let names: Vec<_> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.join(" "), "database user application_name clients active slow slowest_ms");
    let row = table.row(&[("database", "postgres"), ("user", &role), ("application_name", "batch")]);
    assert_eq!((row.numbers(["clients", "active", "slow"]), table.rows.len()), ([1, 0, 2], 1), "{table:?}");
    assert!(ms(&row, "slowest_ms") >= 1200.0);
    let backend = other.backend();
    other.send(&query("select pg_sleep(600), 2 as closer"));
    until_it_sleeps(&backend);
    let table = callers();
    let row = table.row(&[("user", &role), ("application_name", "")]);
    assert_eq!((row.numbers(["clients", "active", "slow"]), row.text("slowest_ms")), ([1, 1, 0], ""));
    assert_eq!(table.rows[0][2].as_deref(), Some(""), "who runs it stands first");
}

#[test]
fn what_makes_no_sense_is_refused_with_what_is_expected() {
    let pooler = pgotter("", "");
    let mut console = console(&pooler);
    let long = format!("CALLERS {}", "a".repeat(64));
    for said in [
        "HISTOGRAM",
        "CALLERS",
        "HISTOGRAM pools",
        "HISTOGRAM 0123456789abcdeg",
        "HISTOGRAM +123456789abcdef",
        "ROUTES 0123456789abcde",
        "HISTOGRAM 0123456789abcdef",
        "CALLERS 0123456789abcdef",
        "ROUTES 0123456789abcdef",
        "QUERIES soon",
        "QUERIES 0s",
        "QUERIES 999ms",
        "QUERIES 25h",
        "QUERIES 5",
        "QUERIES 99999999999999999999d",
        "QUERIES 1h 2h",
        "QUERIES $1",
        "POOLS 5m",
        &long,
    ] {
        console.query(&format!("SHOW {said}")).error("08P01");
    }
    console.query("CANCEL 1 2").error("08P01");
    assert!(show(&mut console, "QUERIES 24h").rows.is_empty());
}

#[test]
fn a_window_has_what_was_counted_in_it_and_nothing_older() {
    let pooler = pgotter("", "");
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let mut console = console(&pooler);
    let ask = |client: &mut Client| drop(client.query("select pg_sleep(0.01), 7 as closer"));
    (0..5).for_each(|_| ask(&mut client));
    let mut calls = |window: &str| {
        let table = show(&mut console, &format!("QUERIES {window}"));
        assert_eq!(table.columns, show(&mut console, "QUERIES").columns);
        table.with(&[("database", "postgres"), ("query", TEXT)]).first().map(|row| {
            assert!(row.text("p95_ms").parse::<f64>().unwrap() >= 9.375, "{row:?}");
            assert_eq!((row.number("rows"), row.get("replica_calls")), (row.number("calls"), None));
            row.number("calls")
        })
    };
    eventually("they are in the last hour", || calls("1h") == Some(5));
    eventually("they are older than a second", || calls("1s").is_none());
    assert_eq!(calls("1d"), Some(5));
    ask(&mut client);
    eventually("it is in the last second", || calls("1s") == Some(1));
    assert_eq!(calls("5m"), Some(6));
}
