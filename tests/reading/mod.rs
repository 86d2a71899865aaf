//! SQL is read as PostgreSQL reads it: random texts are given to both, and what PostgreSQL makes of their strings must be
//! what the scanner has found.

use crate::support::shared_postgres;
use pgotter::cli::local_postgres::{SUPERUSER, SUPERUSER_PASSWORD};
use pgotter::sql::{Reading, Scanner, Token};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A string constant of the text; `None`: its value needs decoding.
type Found = Option<String>;

fn strings(text: &str, reading: Reading) -> Option<Vec<Found>> {
    let (mut found, mut value) = (Vec::new(), Vec::new());
    let mut note = |token: Token<'_>| match token {
        Token::Text(piece) => value.extend_from_slice(piece),
        Token::TextEnd { exact } => {
            let value = String::from_utf8(std::mem::take(&mut value)).unwrap();
            found.push(exact.then_some(value));
        }
        _ => (),
    };
    let mut scanner = Scanner::new(reading);
    scanner.feed(text.as_bytes(), &mut note);
    scanner.finish(&mut note).ok().map(|()| found)
}

/// Selects of string constants, with everything between them that may be mistaken for a part of one.
fn selects() -> impl Strategy<Value = String> {
    let constant = prop::sample::select(vec![
        "'a'",
        "''",
        "'it''s'",
        "'--'",
        "'/*'",
        "'$$'",
        r"'\'",
        r"E'\\'",
        r"E'\''",
        "E''",
        "N'n'",
        "$$'$$",
        "$a$$$'$a$",
        "$a$ $b$ $a$",
        r"U&'\0061'",
        "U&'u'",
        "B'01'",
        "X'1f'",
        "'\"'",
        "'é'",
    ]);
    let gap = prop::sample::select(vec![
        " ",
        "\n",
        "\t",
        "\r",
        " -- '\n",
        "--\n",
        " --\r",
        "/* ' */",
        "/* /* ' */ */",
        "/**/",
        "/*/ */",
        "-- $$\n",
        "\u{c}",
        "",
        "",
    ]);
    let gaps = prop::collection::vec(gap, 0..4).prop_map(|gaps| gaps.concat());
    let separator =
        prop::sample::select(vec![",", ",", ",", "", "||", ", -1,", " as x,", r#" as "'","#, ", 1/2,", ", 1*-- '\n2,"]);
    let part = (gaps.clone(), constant, gaps, separator).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"));
    prop::collection::vec(part, 1..5).prop_map(|parts| format!("select {}''", parts.concat()))
}

/// What PostgreSQL answers: the first row, or nothing where it finds an error.
fn ask(runtime: &tokio::runtime::Runtime, client: &Client, text: &str) -> Option<Vec<String>> {
    let answer = runtime.block_on(client.simple_query(text)).ok()?;
    answer.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned()).collect())
        }
        _ => None,
    })
}

fn agrees(standard_strings: bool) {
    let server = shared_postgres();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let login =
        format!("host=127.0.0.1 port={} user={SUPERUSER} password={SUPERUSER_PASSWORD} dbname=postgres", server.port());
    let (client, connection) = runtime.block_on(tokio_postgres::connect(&login, NoTls)).unwrap();
    runtime.spawn(connection);
    let set = format!("set standard_conforming_strings = {standard_strings}; set escape_string_warning = off");
    runtime.block_on(client.batch_execute(&set)).unwrap();
    let reading = Reading { standard_strings, ..Reading::default() };
    let compared = Cell::new(0);
    let outcome = TestRunner::new(Config { cases: 3000, failure_persistence: None, ..Config::default() }).run(
        &selects(),
        |text| {
            let Some(row) = ask(&runtime, &client, &text) else { return Ok(()) };
            let found = strings(&text, reading);
            let found =
                found.ok_or_else(|| TestCaseError::fail(format!("PostgreSQL understands {text:?}: {row:?}")))?;
            compared.set(compared.get() + 1);
            // Columns that are numbers hold no string, and those of `||` several: what counts is the text as a whole.
            let said: String = row.concat();
            let mut rest = said.as_str();
            for value in found.iter().flatten() {
                let at = rest.find(value.as_str());
                prop_assert!(at.is_some(), "{:?} is no part of {:?} in {:?}", value, rest, text);
                rest = &rest[at.unwrap() + value.len()..];
            }
            if found.iter().all(Option::is_some)
                && !text.contains("1/2")
                && !text.contains("-1")
                && !text.contains("1*")
            {
                prop_assert_eq!(found.iter().flatten().cloned().collect::<String>(), said, "{}", text);
            }
            Ok(())
        },
    );
    outcome.unwrap_or_else(|error| panic!("{error}"));
    // As many texts have to be SQL that something was compared.
    assert!(compared.get() > 500, "{}", compared.get());
}

#[test]
fn strings_are_what_postgresql_reads() {
    agrees(true);
}

#[test]
fn without_standard_conforming_strings_too() {
    agrees(false);
}
