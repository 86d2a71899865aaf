//! Rows, bytes, and named statements that servers had.

use super::scrape::{Scrape, get};
use super::talk::{Client, query};
use super::world::{eventually, fresh_role, look};
use super::{shown, watched};
use crate::support::raw::{bind, execute, extended, parse, sync};

const DATABASE: (&str, &str) = ("database", "postgres");

/// Bytes of everything up to ReadyForQuery, which must be no error.
fn answered(client: &mut Client) -> usize {
    let mut bytes = 0;
    loop {
        let (kind, body) = client.message().unwrap();
        bytes += body.len() + 5;
        match kind {
            b'Z' => return bytes,
            b'E' => panic!("{}", body.escape_ascii()),
            _ => (),
        }
    }
}

#[test]
fn rows_are_those_that_statements_have_returned_and_changed() {
    let (pooler, http) = watched("", "");
    let role = fresh_role();
    look(&format!("CREATE TABLE amounts_{role} (i int)"));
    look(&format!("ALTER TABLE amounts_{role} OWNER TO {role}"));
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    client.query(&format!("insert into amounts_{role} select generate_series(1, 10)"));
    assert_eq!(client.query(&format!("delete from amounts_{role} where i > 7 returning i")).rows.len(), 3);
    assert_eq!(client.query(&format!("select i from amounts_{role} where i < 5")).rows.len(), 4);
    let rows = |scrape: &Scrape, direction| scrape.get("pgotter_rows_total", &[DATABASE, ("direction", direction)]);
    let scrape = Scrape::until(http, "the last ones", |scrape| rows(scrape, "returned") == Some(4.0));
    assert_eq!(rows(&scrape, "changed"), Some(13.0));
}

#[test]
fn bytes_are_those_of_a_statements_answers_in_every_form_of_the_protocol() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        let (pooler, http) = watched(mode, "");
        let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
        let (long, short) = ("select repeat('x', 100000)", "select 'short'");
        let (mut longs, mut shorts) = (0, 0);
        for _ in 0..2 {
            client.send(&query(long));
            longs += answered(&mut client);
            client.send(&query(short));
            shorts += answered(&mut client);
            client.send(&[extended(long, &[]), sync()].concat());
            longs += answered(&mut client);
            client.send(&[extended(short, &[]), sync()].concat());
            shorts += answered(&mut client);
        }
        // Whose of several a byte is cannot be told.
        client.send(&[extended(short, &[]), extended(short, &[]), sync()].concat());
        let together = answered(&mut client);
        let table = shown(&pooler, "QUERIES");
        let pipeline = [DATABASE, ("fingerprint", "pipeline")];
        let of_pipeline = |scrape: &Scrape| scrape.get("pgotter_fingerprint_bytes_total", &pipeline);
        let scrape = Scrape::until(http, "the pipeline", |scrape| of_pipeline(scrape) == Some(together as f64));
        let fingerprint = |text: &str| table.row(&[("query", text)]).text("fingerprint").to_owned();
        for (text, sum) in [("select repeat(?, ?)", longs), ("select ?", shorts)] {
            let labels = [DATABASE, ("fingerprint", &*fingerprint(text))];
            assert_eq!(scrape.get("pgotter_fingerprint_bytes_total", &labels), Some(sum as f64), "{mode}: {text}");
        }
    }
}

#[test]
fn a_slow_statement_is_told_with_the_bytes_of_its_answer() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        let (pooler, http) = watched(mode, "[slow_queries]\nlog = \"50ms\"\n");
        let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
        let text = |name: &str| format!("select repeat('x', 100000) as {name} from pg_sleep(0.06)");
        client.send(&query("select 'in front of it'"));
        answered(&mut client);
        client.send(&query(&text("simple")));
        let simple = answered(&mut client);
        client.send(&[extended(&text("extended"), &[]), sync()].concat());
        let prepared = answered(&mut client);
        client.send(&[extended(&text("one"), &[]), extended(&text("two"), &[]), sync()].concat());
        let together = answered(&mut client);
        let query = |name: &str| format!("select repeat(?, ?) as {name} from pg_sleep(?)");
        let mut table = shown(&pooler, "SLOW_QUERIES");
        eventually("all three are there", || {
            table = shown(&pooler, "SLOW_QUERIES");
            table.rows.len() == 3
        });
        for (column, value, bytes) in [
            ("query", query("simple"), simple),
            ("query", query("extended"), prepared),
            ("fingerprint", "pipeline".to_owned(), together),
        ] {
            assert_eq!(table.row(&[(column, &value)]).number("bytes"), bytes as u64, "{mode}: {value}");
        }
        assert!(pooler.log().contains(&format!("\"bytes\":{simple}")), "{mode}: {}", pooler.log());
        let json = get(http, "/api/v1/slow_queries").body;
        assert!(json.contains(&format!("\"bytes\": {prepared},")), "{mode}: {json}");
    }
}

#[test]
fn named_statements_are_counted_by_whether_their_server_had_them() {
    let (pooler, http) = watched("default_pool_size = 1\nmax_prepared_statements = 2", "");
    let role = fresh_role();
    let mut clients = [0, 1].map(|_| Client::connect(pooler.port(), &role, "postgres"));
    let [one, two] = &mut clients;
    let ask = |client: &mut Client, messages: &[u8]| {
        client.send(&[messages, &sync()].concat());
        answered(client);
    };
    ask(one, &parse("a", "select 'a'"));
    ask(one, &parse("b", "select 'b'"));
    // For this and the next one another statement has to go.
    ask(one, &parse("c", "select 'c'"));
    let uses = [bind("", "a", &[]), execute("", 0)].concat();
    ask(one, &uses);
    ask(one, &uses);
    // Under whatever name.
    ask(two, &parse("mine", "select 'a'"));
    // The one without a name is none of them.
    ask(two, &extended("select 'd'", &[]));
    let count =
        |scrape: &Scrape, result| scrape.get("pgotter_prepared_statements_total", &[DATABASE, ("result", result)]);
    let scrape = Scrape::until(http, "the last one", |scrape| count(scrape, "hit") == Some(2.0));
    assert_eq!((count(&scrape, "miss"), count(&scrape, "evicted")), (Some(2.0), Some(2.0)));
}
