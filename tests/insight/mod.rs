//! Which query is slow: what is counted for each statement, on the console and at /metrics, in front of real PostgreSQL.

mod commits;

use crate::support::raw::{bind, describe, execute, extended, function_call, parse, sync};
use crate::support::{PgOtter, scrape, table, talk, world};
use scrape::Scrape;
use std::time::Duration;
use table::{Table, console, pgotter, show, watched};
use talk::{Client, query};
use world::{fresh_role, look};

/// What each of the slow ones takes, in ms.
const SLEEP: f64 = 200.0;

fn queries(pooler: &PgOtter) -> Table {
    show(&mut console(pooler), "QUERIES")
}

/// Calls, errors and rows of the one with this text.
#[track_caller]
fn counts(table: &Table, text: &str) -> [u64; 3] {
    table.row(&[("database", "postgres"), ("query", text)]).numbers(["calls", "errors", "rows"])
}

#[track_caller]
fn ms(table: &Table, text: &str, column: &str) -> f64 {
    table.row(&[("database", "postgres"), ("query", text)]).text(column).parse().unwrap()
}

/// Between two statements of a transaction: longer than anything that is asserted.
fn think() {
    std::thread::sleep(Duration::from_millis(1500));
}

#[test]
fn a_slow_query_is_found_in_every_form_of_the_protocol_and_nobodys_thinking_is_counted() {
    for pooler in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        let (pooler, http) = watched(pooler, "");
        let role = fresh_role();
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        let ask = |client: &mut Client, bytes: &[u8]| {
            client.send(bytes);
            let answer = client.answer();
            assert!(answer.errors.is_empty() && answer.status.is_some(), "{answer:?}");
        };
        let prepared = [bind("", "slow", &[b"0.2"]), execute("", 0), sync()].concat();
        ask(&mut client, &query("select pg_sleep(0.2)"));
        ask(&mut client, &query("SELECT  pg_sleep(0.200) -- as above"));
        ask(&mut client, &[extended("select pg_sleep(0.2)", &[]), sync()].concat());
        ask(&mut client, &[parse("slow", "select pg_sleep($1)"), describe(b'S', "slow"), sync()].concat());
        ask(&mut client, &prepared);
        ask(&mut client, &query("begin"));
        ask(&mut client, &query("select 'first' as think"));
        think();
        ask(&mut client, &prepared);
        think();
        ask(&mut client, &query("commit"));
        let table = queries(&pooler);
        let slow = "select pg_sleep(?)";
        assert_eq!(counts(&table, slow), [5, 0, 5]);
        assert_eq!(counts(&table, "select ? as think"), [1, 0, 1]);
        assert_eq!(counts(&table, "commit"), [1, 0, 0]);
        // A sub-bucket is an eighth of the octave below.
        for column in ["p50_ms", "p95_ms", "p99_ms"] {
            let found = ms(&table, slow, column);
            assert!((SLEEP * 0.9375..SLEEP * 5.0).contains(&found), "{column}: {found}");
        }
        let (total, mean) = (ms(&table, slow, "total_ms"), ms(&table, slow, "mean_ms"));
        assert!((5.0 * SLEEP..25.0 * SLEEP).contains(&total) && (mean * 5.0 - total).abs() < 1.0, "{total} {mean}");
        for quick in ["select ? as think", "commit"] {
            assert!(ms(&table, quick, "total_ms") < 1000.0, "{quick}: {table:?}");
        }
        assert_eq!(table.rows[0][13].as_deref(), Some(slow), "the slowest stands first");
        let fingerprint = table.row(&[("query", slow)]).text("fingerprint").to_owned();
        let labels = [("database", "postgres"), ("fingerprint", fingerprint.as_str())];
        let calls = "pgotter_fingerprint_calls_total";
        let scrape = Scrape::until(http, "the calls", |scrape| scrape.get(calls, &labels) == Some(5.0));
        let duration = "pgotter_fingerprint_duration_seconds";
        assert_eq!(scrape.value(&format!("{duration}_count"), &labels), 5.0);
        assert_eq!(scrape.at_most(duration, &labels, 0.1), 0.0);
        assert_eq!(scrape.value("pgotter_fingerprint_errors_total", &labels), 0.0);
        assert_eq!(scrape.value("pgotter_fingerprint_rows_total", &labels), 5.0);
        let seconds = scrape.value("pgotter_fingerprint_server_seconds_total", &labels);
        assert!((seconds * 1e3 - total).abs() < 0.01, "{seconds} {total}");
        let info = [labels[0], labels[1], ("kind", "read"), ("tables", ""), ("query", slow)];
        assert_eq!(scrape.value("pgotter_fingerprint_info", &info), 1.0);
    }
}

#[test]
fn rows_and_errors_are_those_of_the_statement_and_constants_make_no_difference() {
    let pooler = pgotter("", "");
    let role = fresh_role();
    look(&format!("CREATE TABLE counted_{role} (i int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)"));
    look(&format!("ALTER TABLE counted_{role} OWNER TO {role}"));
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let insert = |from, to| format!("insert into counted_{role} select generate_series({from}, {to})");
    for (from, to) in [(1, 10), (11, 20), (21, 25)] {
        assert_eq!(client.query(&insert(from, to)).tags.len(), 1);
    }
    // It fails with its COMMIT, behind its CommandComplete.
    client.send(&[extended(&insert(1, 1), &[]), sync()].concat());
    client.answer().error("23505");
    client.query("select 1 / 0").error("22012");
    client.send(&[extended("select 1 / 0", &[]), sync()].concat());
    client.answer().error("22012");
    client.send(&[parse("", "selec 2"), bind("", "", &[]), execute("", 0), sync()].concat());
    client.answer().error("42601");
    assert_eq!(client.query(&format!("select i from counted_{role} where i > 5 and i <= 12")).rows.len(), 7);
    client.query("select 'never ends").error("42601");
    // Nothing is owed, and the server is back, when the client has its answer; it is counted by then.
    let table = queries(&pooler);
    let writes = format!("insert into counted_{role} select generate_series(?, ?)");
    assert_eq!(counts(&table, &writes), [4, 1, 26]);
    let row = table.row(&[("query", &writes)]);
    assert_eq!((row.text("kind"), row.text("database")), ("write", "postgres"));
    assert_eq!(counts(&table, "select ? / ?"), [2, 2, 0]);
    assert_eq!(counts(&table, "selec ?"), [1, 1, 0]);
    assert_eq!(counts(&table, &format!("select i from counted_{role} where i > ? and i <= ?")), [1, 0, 7]);
    assert_eq!(table.row(&[("fingerprint", "unparsed")]).numbers(["calls", "errors"]), [1, 1]);
}

#[test]
fn each_of_a_pipeline_is_a_call_and_all_of_it_one_sample() {
    let pooler = pgotter("", "");
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    let one = || [bind("", "", &[]), execute("", 0)].concat();
    client.send(&[parse("", "select 1 as piped"), one(), one(), one(), sync()].concat());
    assert_eq!(client.answer().tags.len(), 3);
    let table = queries(&pooler);
    assert_eq!(counts(&table, "select ? as piped"), [3, 0, 3]);
    let row = table.row(&[("query", "select ? as piped")]);
    assert_eq!((row.text("total_ms"), row.text("p50_ms")), ("0.000", ""));
    let pipeline = table.row(&[("fingerprint", "pipeline")]);
    assert_eq!(pipeline.number("calls"), 0);
    assert!(pipeline.text("total_ms").parse::<f64>().unwrap() > 0.0);
}

#[test]
fn a_call_of_a_function_by_the_protocol_is_a_call_of_what_cannot_be_read() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\""] {
        let pooler = pgotter(mode, "");
        let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
        let number = |name: &str| look(&format!("select '{name}'::regprocedure::oid")).parse::<u32>().unwrap();
        client.send(&function_call(number("pg_sleep(double precision)"), &["0.2"]));
        assert!(client.answer().errors.is_empty());
        client.send(&function_call(number("int4div(integer,integer)"), &["1", "0"]));
        client.answer().error("22012");
        let table = queries(&pooler);
        let row = table.row(&[("database", "postgres"), ("fingerprint", "unparsed")]);
        assert_eq!(row.numbers(["calls", "errors", "rows"]), [2, 1, 0], "{mode}");
        let total: f64 = row.text("total_ms").parse().unwrap();
        assert!((SLEEP..SLEEP * 5.0).contains(&total), "{mode}: {total}");
        let stats = show(&mut console(&pooler), "STATS");
        assert_eq!(stats.row(&[("database", "postgres")]).number("total_query_count"), 2, "{mode}");
    }
}

#[test]
fn portals_are_one_call_however_they_are_fetched_from_and_a_lost_client_an_error() {
    let pooler = pgotter("", "");
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    client.query("begin");
    client.send(
        &[parse("", "select generate_series(1, 25) as fetched"), bind("p", "", &[]), execute("p", 10), sync()].concat(),
    );
    assert_eq!(client.answer().rows.len(), 10);
    client.value("select 'between' as fetches");
    for rows in [10, 5] {
        client.send(&[execute("p", 10), sync()].concat());
        assert_eq!(client.answer().rows.len(), rows);
    }
    client.query("commit");
    let table = queries(&pooler);
    assert_eq!(counts(&table, "select generate_series(?, ?) as fetched"), [1, 0, 25]);
    assert_eq!(counts(&table, "select ? as fetches"), [1, 0, 1]);
    let backend = client.backend();
    client.send(&query("select pg_sleep(100) as never_told"));
    world::until_it_sleeps(&backend);
    drop(client);
    world::eventually("the lost statement is counted", || {
        let table = queries(&pooler);
        let found = table.with(&[("query", "select pg_sleep(?) as never_told")]);
        found.first().is_some_and(|row| row.numbers(["calls", "errors"]) == [1, 1])
    });
}

#[test]
fn what_is_new_beyond_the_bound_goes_to_other() {
    let insight = "[insight]\nmax_fingerprints = 100\n";
    let pooler = pgotter("", insight);
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    for number in 0..300 {
        client.value(&format!("select 1 as column_{number}"));
    }
    let table = queries(&pooler);
    assert!(table.rows.len() <= 101, "{}", table.rows.len());
    let calls: u64 = table.with(&[("database", "postgres")]).iter().map(|row| row.number("calls")).sum();
    assert_eq!(calls, 300);
    assert!(table.row(&[("fingerprint", "other")]).number("calls") >= 200);
}
