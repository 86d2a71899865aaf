//! `standard_conforming_strings` and `client_encoding` are the rules by which PostgreSQL reads a text. One that is sent before it is
//! known by which it will be read may do anything that it does by either: nobody inherits what it hides.

use super::kept::{FINGERPRINT, server, untouched};
use crate::support::PgOtter;
use crate::support::raw::*;

const OFF: &str = "SET standard_conforming_strings = off";
const ON: &str = "SELECT set_config('standard_conforming_strings', 'on', false)";

/// A lock and a setting where a backslash is an escape, and where it is none; a string, or no SQL, in the other way.
const SHOWS: &str = "SELECT pg_advisory_lock(4715), set_config($$app.tenant$$, $$secret$$, false), 'a\\'b'";
const HIDES: &str = "SELECT 'a\\', pg_advisory_lock(4715), set_config($$app.tenant$$, $$secret$$, false) --'";

/// `set_config`. Source: PostgreSQL `src/include/catalog/pg_proc.dat`.
const SET_CONFIG: u32 = 2078;

/// A client that comes by this and sends these one behind the other, each when what came before has been answered as far as it can be:
/// nobody else sees anything of it, also when it has gone.
fn leaves_nothing(before: &str, requests: &[Vec<u8>]) {
    // Room for the other, should the client keep its server.
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 2\nrequest_gather = \"1KiB\"");
    let mut other = Raw::log_in(pgotter.port(), &[("application_name", "another")]);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.ask(before);
    let (last, first) = requests.split_last().unwrap();
    for request in first {
        client.send(request);
        // Behind a Flush there is no ReadyForQuery.
        client.until(if request.ends_with(&flush()) { b'C' } else { b'Z' });
    }
    client.send(&[&last[..], &query("SELECT 'the end'")].concat());
    while first_value(&client.until_ready()).as_deref() != Some("the end") {}
    let what = || String::from_utf8_lossy(&requests.concat()).into_owned();
    assert_eq!(other.value(FINGERPRINT), untouched(), "{}", what());
    drop(client);
    assert_eq!(other.value(FINGERPRINT), untouched(), "behind a client that left, {}", what());
}

/// Longer than what is gathered of a request.
fn long(text: &str) -> String {
    format!("/* {} */ {text}", "x".repeat(300_000))
}

fn run(statement: &str) -> Vec<u8> {
    [bind("", statement, &[]), execute("", 0), sync()].concat()
}

#[test]
fn a_query_behind_a_change_of_its_rules_may_be_anything() {
    leaves_nothing(OFF, &[[query(ON), query(HIDES)].concat()]);
    leaves_nothing("RESET ALL", &[[query("BEGIN"), query(OFF), query(SHOWS), query("COMMIT")].concat()]);
    let call = function_call(SET_CONFIG, &["standard_conforming_strings", "off", "false"]);
    leaves_nothing("RESET ALL", &[[call, query(SHOWS)].concat()]);
}

#[test]
fn a_long_query_behind_a_change_of_its_rules_may_be_anything() {
    // Without a Sync between them nothing is answered before it has all come.
    leaves_nothing(OFF, &[[extended(ON, &[]), query(&long(HIDES))].concat()]);
    leaves_nothing("RESET ALL", &[[extended(OFF, &[]), query(&long(SHOWS))].concat()]);
}

#[test]
fn a_statement_that_is_prepared_behind_a_change_of_its_rules_may_be_anything_whenever_it_is_run() {
    leaves_nothing("RESET ALL", &[[extended(OFF, &[]), extended(SHOWS, &[]), sync()].concat()]);
    for name in ["s", ""] {
        leaves_nothing("RESET ALL", &[[extended(OFF, &[]), parse(name, SHOWS), sync()].concat(), run(name)]);
        let on = extended(ON, &[]);
        leaves_nothing(OFF, &[[on, parse(name, HIDES), sync()].concat(), run(name)]);
    }
}

#[test]
fn what_a_flush_has_brought_says_nothing_of_the_rules() {
    for (before, set, text) in [("RESET ALL", OFF, SHOWS), (OFF, ON, HIDES)] {
        let set = [extended(set, &[]), flush()].concat();
        leaves_nothing(before, &[set, query(text)]);
    }
}

#[test]
fn a_text_behind_a_change_of_its_encoding_may_be_anything() {
    // The byte 0x83 and a backslash are one character of SJIS.
    let hides = message(b'Q', b"SELECT E'\x83\\', pg_advisory_lock(4715) --'\0");
    leaves_nothing("SET client_encoding = 'LATIN1'", &[[query("SET client_encoding = 'SJIS'"), hides].concat()]);
}

#[test]
fn the_unnamed_statement_is_read_by_the_rules_of_the_moment_on_a_server_that_lacks_it() {
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 2");
    let mut other = Raw::log_in(pgotter.port(), &[("application_name", "another")]);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.ask(OFF);
    client.send(&[parse("", HIDES), sync()].concat());
    client.until_ready();
    client.send(&[parse("on", ON), run("on")].concat());
    client.until_ready();
    // It has the server on which that is prepared.
    other.ask("BEGIN");
    other.value("SELECT 'mine'");
    client.send(&run(""));
    assert_eq!(error_code(&client.until_ready()), None);
    drop(client);
    other.ask("COMMIT");
    let mut third = Raw::log_in(pgotter.port(), &[("application_name", "another")]);
    third.ask("BEGIN");
    assert_eq!(third.value(FINGERPRINT), untouched());
    assert_eq!(other.value(FINGERPRINT), untouched());
}

#[test]
fn the_body_of_a_do_is_read_by_the_rules_of_the_moment_when_it_is_executed() {
    let sets = "DO $$ BEGIN PERFORM 'a\\'b', set_config('app.tenant', 'secret', false); --'\nEND $$";
    leaves_nothing("RESET ALL", &[query(&format!("{OFF}; {sets}"))]);
    leaves_nothing("RESET ALL", &[[parse("s", sets), sync()].concat(), query(OFF), run("s")]);
}

#[test]
fn a_text_is_not_changed_where_it_may_be_a_string_that_holds_a_listen() {
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 2");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let text = "SELECT 'a\\'; LISTEN b; SELECT ''c' --'";
    client.send(&[query(OFF), query(text)].concat());
    client.until_ready();
    let answer = client.until_ready();
    assert_eq!(error_code(&answer).as_deref(), Some("0A000"), "{}", print(&answer));
    assert_eq!(client.value(text), "a'; LISTEN b; SELECT 'c");
}
