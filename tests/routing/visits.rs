//! What a client has at home, and what is known of both databases, while rules send tables of its to another entry.

use crate::entries::{LOGS, ORDERS, Pair, READ, WHERE, refused};
use crate::support::raw::*;
use crate::world::eventually;

/// `pg_advisory_lock(bigint)`.
const LOCK: u32 = 2880;

#[test]
fn a_table_in_brackets_behind_only_is_where_it_is() {
    let pair = Pair::new("onlys", &[LOGS]);
    let mut client = pair.client();
    let where_ = "RETURNING current_setting('otter.host')";
    assert_eq!(client.value(&format!("UPDATE ONLY (logs.events) SET a = 'second' {where_}")), "logs");
    assert_eq!(client.value(&format!("DELETE FROM ONLY (logs.events) {where_}")), "logs");
    refused(&client.ask("DELETE FROM ONLY (logs.events) USING orders"), "one statement for each database");
    pair.nothing_is_astray();
}

#[test]
fn behind_a_reload_the_catalogs_of_both_are_read_for_a_name_without_a_schema() {
    let mut pair = Pair::new("again", &[LOGS]);
    pair.at_logs("CREATE TABLE logs.only_there (a text)");
    pair.at_home("CREATE TABLE only_here (a text)");
    let mut client = pair.client();
    client.ask("SET search_path = logs, public");
    let place = |client: &mut Raw, from: &str| {
        let text = format!("SELECT current_setting('otter.host') FROM (SELECT count(*) FROM {from}) AS counted");
        first_value(&client.ask(&text))
    };
    for from in ["only_there", "only_here"] {
        pair.reconfigure("[http]", "[http]\n");
        let expected = if from == "only_there" { "logs" } else { "home" };
        // Nothing else is sent that might have them read.
        eventually("it is known again", || place(&mut client, from).as_deref() == Some(expected));
    }
    pair.nothing_is_astray();
}

#[test]
fn a_function_that_is_called_by_its_number_leaves_nothing_behind_whatever_is_kept_of_statements() {
    for (name, kept) in [("numbers", 200), ("numbers_0", 0)] {
        let mut pair = Pair::new(name, &[LOGS]);
        pair.reconfigure("[databases.shop]", &format!("max_prepared_statements = {kept}\n[databases.shop]"));
        let mut client = pair.client();
        client.ask("BEGIN");
        assert_eq!(client.value(READ), "logs", "{kept}");
        client.send(&function_call(LOCK, &["4716"]));
        assert_eq!(error_code(&client.until_end()).as_deref(), Some("0A000"), "{kept}");
        let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4716";
        assert_eq!((pair.at_logs(held).as_str(), pair.at_home(held).as_str()), ("0", "0"), "{kept}");
        // At home it keeps its server, and the lock ends with it.
        let mut client = pair.client();
        client.send(&function_call(LOCK, &["4716"]));
        assert_eq!(error_code(&client.until_ready()), None, "{kept}");
        refused(&client.ask(READ), "transaction of their own");
        assert_eq!(pair.at_home(held), "1", "{kept}");
        drop(client);
        eventually("the lock is gone", || pair.at_home(held) == "0");
    }
}

#[test]
fn what_it_has_drawn_at_home_a_client_is_told_behind_a_visit_and_a_server_kept_for_that_ties_it_to_nothing() {
    let pair = Pair::new("drawing", &[LOGS]);
    for sql in ["CREATE SEQUENCE drawn", "CREATE TABLE logs.numbered (a serial)"] {
        pair.at_home(sql);
        pair.at_logs(sql);
    }
    pair.at_logs("SELECT setval('logs.numbered_a_seq', 100)");
    let mut client = pair.client();
    let there = "INSERT INTO logs.numbered DEFAULT VALUES RETURNING current_setting('otter.host')";
    assert_eq!(client.value("SELECT nextval('drawn')"), "1");
    assert_eq!(client.value(there), "logs");
    assert_eq!(client.value("SELECT currval('drawn')"), "1");
    assert_eq!(client.value("SELECT lastval()"), "1");
    // One that has asked in vain has its server kept from then on.
    let mut other = pair.client();
    client.ask("BEGIN");
    assert_eq!(other.value("SELECT nextval('drawn')"), "2");
    client.ask("COMMIT");
    for round in 0..10 {
        other.ask("SELECT nextval('drawn')");
        if error_code(&client.ask("SELECT currval('drawn')")).is_some() {
            break;
        }
        assert!(round < 9, "it is never asked in vain");
        client.ask("SELECT nextval('drawn')");
    }
    for text in [READ, there] {
        client.ask("SELECT nextval('drawn')");
        assert_eq!(client.value(text), "logs");
    }
    assert_eq!((client.value(ORDERS).as_str(), client.value(WHERE).as_str()), ("home", "home"));
}
