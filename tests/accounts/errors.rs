//! Errors.

use super::scrape::Scrape;
use super::table::Table;
use super::talk::{Client, query};
use super::world::{eventually, fresh_role, look};
use super::{named, shown, watched};
use crate::support::raw::{bind, describe, execute, extended, parse, sync};

const ERRORS: &str = "pgotter_query_errors_total";

fn labels<'a>(sqlstate: &'a str, source: &'a str) -> [(&'a str, &'a str); 4] {
    [("database", "postgres"), ("role", "primary"), ("sqlstate", sqlstate), ("source", source)]
}

/// How many of a SQLSTATE the statement of this normal form has.
#[track_caller]
fn of_statement(table: &Table, sqlstate: &str, text: &str) -> u64 {
    table.row(&[("sqlstate", sqlstate), ("query", text), ("source", "server")]).number("errors")
}

#[test]
fn errors_are_counted_by_sqlstate_and_statement_in_every_form_of_the_protocol() {
    for mode in ["pool_mode = \"transaction\"", "pool_mode = \"session\"", "max_prepared_statements = 0"] {
        let (pooler, http) = watched(mode, "");
        let role = fresh_role();
        look(&format!("CREATE TABLE erring_{role} (i int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)"));
        look(&format!("ALTER TABLE erring_{role} OWNER TO {role}"));
        let mut client = named(&pooler, &role, "biller");
        client.query("select 1 / 0").error("22012");
        client.send(&[extended("select 2 / 0", &[]), sync()].concat());
        client.answer().error("22012");
        // Only with its commit, behind its CommandComplete.
        let insert = format!("insert into erring_{role} values (1), (1)");
        client.send(&[extended(&insert, &[]), sync()].concat());
        client.answer().error("23505");
        client.query(&insert).error("23505");
        // No statement was to run.
        client.send(&[parse("", "select * from nowhere"), describe(b'S', ""), sync()].concat());
        client.answer().error("42P01");
        // Three of a pipeline: the second fails, the third is skipped. Then another one, behind its Sync.
        let one = |text: &str| [parse("", text), bind("", "", &[]), execute("", 0)].concat();
        let pipeline = [one("select 1"), one("select 3 / 0"), one("select 4 / 0"), sync()].concat();
        client.send(&[pipeline, one("select 'x'::int"), sync()].concat());
        client.answer().error("22012");
        client.answer().error("22P02");
        client.query("select 'never ends").error("42601");
        let error = |sqlstate, source| labels(sqlstate, source);
        let scrape =
            Scrape::until(http, "the last error", |scrape| scrape.get(ERRORS, &error("42601", "server")) == Some(1.0));
        for (sqlstate, count) in [("22012", 3.0), ("23505", 2.0), ("42P01", 1.0), ("22P02", 1.0)] {
            assert_eq!(scrape.value(ERRORS, &error(sqlstate, "server")), count, "{mode}: {sqlstate}");
        }
        assert_eq!(scrape.sum(ERRORS, &[("source", "pooler")]), 0.0);
        let table = shown(&pooler, "ERRORS");
        assert_eq!(of_statement(&table, "22012", "select ? / ?"), 3, "{mode}");
        assert_eq!(of_statement(&table, "23505", &format!("insert into erring_{role} values (?)")), 2, "{mode}");
        assert_eq!(of_statement(&table, "22P02", "select ?::int"), 1, "{mode}");
        let row = table.row(&[("sqlstate", "42P01")]);
        assert_eq!((row.get("fingerprint"), row.text("query"), row.number("errors")), (None, "", 1), "{mode}");
        assert_eq!((row.text("user"), row.text("application_name")), (&*role, "biller"), "{mode}");
        assert_eq!(table.row(&[("sqlstate", "42601")]).text("fingerprint"), "unparsed", "{mode}");
        assert_eq!(table.rows.iter().map(|row| row[4].as_ref().unwrap().parse::<u64>().unwrap()).sum::<u64>(), 8);
        assert_eq!(table.rows[0][1].as_deref(), Some("22012"), "most stand first");
    }
}

#[test]
fn what_pgotter_says_itself_is_its_own_error() {
    let (pooler, http) = watched("default_pool_size = 1\nquery_wait_timeout = \"200ms\"", "");
    let role = fresh_role();
    let mut holder = Client::connect(pooler.port(), &role, "postgres");
    holder.query("begin -- with a server");
    let mut waiter = named(&pooler, &role, "waiter");
    waiter.query("select 1").error("53300");
    waiter.query("select 2").error("53300");
    let count = |scrape: &Scrape| scrape.get(ERRORS, &labels("53300", "pooler"));
    let scrape = Scrape::until(http, "both refusals", |scrape| count(scrape) == Some(2.0));
    assert_eq!(scrape.sum(ERRORS, &[("source", "server")]), 0.0);
    let table = shown(&pooler, "ERRORS");
    let row = table.row(&[("sqlstate", "53300"), ("source", "pooler")]);
    assert_eq!((row.number("errors"), row.text("application_name"), row.get("fingerprint")), (2, "waiter", None));
    // A FATAL one, as its client leaves.
    let id = shown(&pooler, "CLIENTS").row(&[("application_name", "waiter")]).text("id").to_owned();
    super::console(&pooler).query(&format!("KILL_CLIENT {id}"));
    let killed = labels("57P01", "pooler");
    Scrape::until(http, "the dismissal", |scrape| scrape.get(ERRORS, &killed) == Some(1.0));
}

#[test]
fn a_client_that_draws_sqlstates_at_random_makes_no_more_series_than_there_may_be() {
    let (pooler, http) = watched("", "");
    let mut client = Client::connect(pooler.port(), &fresh_role(), "postgres");
    for number in 0..300 {
        let code = format!("{:05}", 10_000 + number);
        client.query(&format!("do $$ begin raise sqlstate '{code}'; end $$")).error(&code);
    }
    let other = labels("other", "server");
    let scrape = Scrape::until(http, "all of them", |scrape| scrape.get(ERRORS, &other) == Some(260.0));
    assert_eq!(scrape.sum(ERRORS, &[]), 300.0);
    assert_eq!(scrape.values_of("sqlstate").len(), 41);
    assert_eq!(shown(&pooler, "ERRORS").rows.len(), 41);
}

#[test]
fn serialization_failures_fire_their_alert_and_other_errors_do_not() {
    let alert = |name: &str, table: &str| {
        format!(
            "[[alert]]\nname = \"{name}\"\ntype = \"serialization_failures\"\nover = 0.05\nwindow = \"10s\"\n\
             min_calls = 20\nclear_for = \"1s\"\nmatch = {{ tables = [\"{table}\"] }}\n"
        )
    };
    let (role, other) = (fresh_role(), fresh_role());
    for table in [&role, &other] {
        look(&format!("CREATE TABLE contended_{table} AS SELECT 0 AS i"));
        look(&format!("ALTER TABLE contended_{table} OWNER TO {role}"));
    }
    let alerts =
        alert("conflicts", &format!("contended_{role}")) + &alert("only errors", &format!("contended_{other}"));
    let (pooler, _) = watched("", &alerts);
    let mut clients = [0, 1].map(|_| Client::connect(pooler.port(), &role, "postgres"));
    let (update, failing) =
        (format!("update contended_{role} set i = i + 1"), format!("update contended_{other} set i = 1 / 0"));
    for round in 0..18 {
        let [one, two] = &mut clients;
        if round < 3 {
            one.query("begin isolation level repeatable read");
            one.value(&format!("select i from contended_{role}"));
            assert_eq!(two.query(&update).errors.len(), 0);
            assert_eq!(one.query(&update).code(), "40001");
            one.query("rollback");
        } else {
            assert_eq!(two.query(&update).errors.len(), 0);
        }
        two.query(&failing).error("22012");
        two.query(&failing).error("22012");
    }
    let state = |name: &str| shown(&pooler, "ALERTS").with(&[("alert", name)])[0].text("state").to_owned();
    eventually("it fires", || state("conflicts") == "firing");
    let table = shown(&pooler, "ALERTS");
    let value = table.row(&[("alert", "only errors")]);
    assert_eq!((value.text("state"), value.text("value")), ("ok", "0.0%"), "{table:?}");
    eventually("it is over", || state("conflicts") == "ok");
}

#[test]
fn an_error_that_is_cured_was_never_told() {
    let (pooler, http) = watched("default_pool_size = 1", "");
    let role = fresh_role();
    look(&format!("CREATE TABLE cured_{role} (id int)"));
    look(&format!("ALTER TABLE cured_{role} OWNER TO {role}"));
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let uses = [bind("", "s", &[]), describe(b'P', ""), execute("", 0), sync()].concat();
    client.send(&[parse("s", &format!("select * from cured_{role}")), uses.clone()].concat());
    assert!(client.answer().errors.is_empty());
    look(&format!("ALTER TABLE cured_{role} ADD COLUMN more int"));
    client.send(&uses);
    assert!(client.answer().errors.is_empty());
    client.send(&query("select 1 / 0"));
    client.answer().error("22012");
    let scrape = Scrape::until(http, "the last one", |scrape| scrape.sum(ERRORS, &[("sqlstate", "22012")]) == 1.0);
    assert_eq!(scrape.sum(ERRORS, &[]), 1.0);
}
