//! What PostgreSQL has read when a client prepared a statement stays as it is, whatever the client sets then, and on whatever
//! server it runs.

use crate::support::raw::*;
use crate::support::{PgOtter, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::sync::OnceLock;

/// A client on a server that has what it has prepared, a direct one that has done the same, and one that can take that server away.
struct World {
    client: Raw,
    direct: Raw,
    other: Raw,
    // Ends behind its clients.
    _pgotter: PgOtter,
}

/// PostgreSQL reads a prepared text anew, by the settings of that moment, where it has lost count of what others have changed meanwhile: here
/// nobody changes anything.
fn quiet_postgres() -> &'static LocalPostgres {
    static QUIET: OnceLock<LocalPostgres> = OnceLock::new();
    QUIET.get_or_init(|| postgres(&Options::default()))
}

impl World {
    fn new(startup: &[(&str, &str)]) -> Self {
        let server = quiet_postgres();
        let pgotter = PgOtter::in_front_of(server, "default_pool_size = 2");
        let [client, direct] = [pgotter.port(), server.port()].map(|port| Raw::log_in(port, startup));
        let other = Raw::log_in(pgotter.port(), &[]);
        Self { client, direct, other, _pgotter: pgotter }
    }

    /// Both are answered alike.
    fn ask(&mut self, request: &[u8]) -> Vec<Frame> {
        let [got, expected] = [&mut self.client, &mut self.direct].map(|client| {
            client.send(request);
            client.until_ready()
        });
        assert_eq!(print(&got), print(&expected), "{}", String::from_utf8_lossy(request));
        got
    }

    fn ask_all(&mut self, texts: &[&str]) {
        for text in texts {
            self.ask(&query(text));
        }
    }

    /// From now on the client gets another server, with nothing prepared.
    fn move_on(&mut self) {
        self.other.ask("BEGIN");
        assert_eq!(self.other.value("SELECT 'mine now'"), "mine now");
    }
}

fn prepared(text: &[u8]) -> Vec<u8> {
    let parse = message(b'P', &[b"s\0", text, b"\0\0\0"].concat());
    [parse, run()].concat()
}

fn run() -> Vec<u8> {
    [bind("", "s", &[]), describe(b'P', ""), execute("", 0), sync()].concat()
}

const INSTANT: &[u8] = b"SELECT timestamptz '2026-01-01 00:00:00'";

const NULLS: &[u8] = b"SELECT ('{NULL}'::text[])[1] IS NULL";

#[test]
fn constants_are_what_they_were_when_the_statement_was_prepared() {
    for (text, startup, change) in [
        (INSTANT, ("TimeZone", "Asia/Tokyo"), "SET TimeZone = 'America/New_York'"),
        (b"SELECT date '02/03/2026'", ("DateStyle", "SQL, DMY"), "SET DateStyle = 'ISO, MDY'"),
        (
            b"WITH x AS (SELECT '-1 2:03:04'::interval AS i) SELECT extract(epoch FROM i) FROM x",
            ("IntervalStyle", "sql_standard"),
            "RESET IntervalStyle; SET IntervalStyle = 'postgres'",
        ),
        (br"SELECT 'a\tb'", ("standard_conforming_strings", "off"), "SET standard_conforming_strings = on"),
        (b"SELECT 'caf\xe9', length('\xe9')", ("client_encoding", "LATIN1"), "SET client_encoding = 'UTF8'"),
        (NULLS, ("array_nulls", "off"), "SET array_nulls = on"),
        (br"SELECT E'it\'s'", ("backslash_quote", "on"), "SET backslash_quote = off"),
        (b"SELECT NULL = NULL", ("transform_null_equals", "on"), "SET transform_null_equals = off"),
        (b"SELECT 'two<words/>'::xml", ("xmloption", "content"), "SET xmloption = document"),
        (
            b"SELECT '2026-01-01 00:00 EST'::timestamptz",
            ("timezone_abbreviations", "Australia"),
            "SET timezone_abbreviations = 'Default'",
        ),
        // Texts that are not analysed when they are prepared, or are once more, have been scanned all the same.
        (
            br"EXPLAIN (VERBOSE, COSTS OFF) SELECT 'a\tb'",
            ("standard_conforming_strings", "off"),
            "SET standard_conforming_strings = on",
        ),
        (
            br"SELECT 'a\tb'",
            ("standard_conforming_strings", "off"),
            "SET standard_conforming_strings = on; SET search_path = 'pg_catalog'",
        ),
    ] {
        let mut world = World::new(&[startup]);
        world.ask(&prepared(text));
        world.ask(&query(change));
        world.move_on();
        let answer = world.ask(&run());
        assert_eq!(error_code(&answer), None, "{}", print(&answer));
        // There now, and on the first server.
        world.ask(&run());
        world.other.ask("COMMIT");
        world.ask(&run());
        world.ask_all(&[&format!("SHOW {}", startup.0), "SELECT timestamptz '2026-01-01 00:00:00', date '02/03/2026'"]);
    }
}

#[test]
fn a_block_keeps_what_was_set_in_it_and_for_it_alone() {
    for (change, end) in [
        ("SET LOCAL TimeZone = 'America/New_York'", "COMMIT"),
        ("SET LOCAL TimeZone = 'America/New_York'", "ROLLBACK"),
        ("SET TimeZone = 'America/New_York'", "COMMIT"),
        ("SET TimeZone = 'America/New_York'", "ROLLBACK"),
        ("SET TimeZone = 'America/New_York'; SAVEPOINT a; SET LOCAL TimeZone = 'Europe/Rome'", "ROLLBACK TO a; COMMIT"),
    ] {
        let mut world = World::new(&[("TimeZone", "Asia/Tokyo")]);
        world.ask(&prepared(INSTANT));
        world.move_on();
        world.ask_all(&["BEGIN", change]);
        world.ask(&run());
        world.ask_all(&["SHOW TimeZone", end, "SHOW TimeZone"]);
        world.ask(&run());
        world.ask_all(&["SELECT timestamptz '2026-01-01 00:00:00'"]);
    }
}

#[test]
fn what_nobody_reports_may_be_the_servers_default_then_or_now() {
    for (before, change) in [
        (&["SET array_nulls = off"][..], "RESET array_nulls"),
        (&["SET array_nulls = off"], "SET array_nulls TO DEFAULT"),
        (&[], "SET array_nulls = off"),
        (&["SET array_nulls = off"], "RESET ALL"),
    ] {
        let mut world = World::new(&[]);
        world.ask_all(before);
        world.ask(&prepared(NULLS));
        world.ask(&query(change));
        world.move_on();
        world.ask(&run());
        world.ask_all(&["SHOW array_nulls", "SELECT ('{NULL}'::text[])[1] IS NULL", "BEGIN"]);
        world.ask(&run());
        world.ask_all(&["SHOW array_nulls", "COMMIT", "SHOW array_nulls"]);
    }
}

#[test]
fn what_a_block_has_made_of_settings_that_nobody_reports_stays_the_blocks() {
    for change in [
        "SET LOCAL array_nulls = on",
        "SET array_nulls = on",
        "SELECT 1, set_config('array_nulls', 'on', true)",
        "DO $$ BEGIN SET LOCAL array_nulls = on; END $$",
        "SET LOCAL TimeZone = 'America/New_York'",
        "SELECT 1",
    ] {
        for end in ["COMMIT", "ROLLBACK"] {
            let mut world = World::new(&[("array_nulls", "off")]);
            world.ask(&prepared(NULLS));
            world.move_on();
            world.ask_all(&["BEGIN", change]);
            world.ask(&run());
            world.ask_all(&["SHOW array_nulls", "SHOW TimeZone", end, "SHOW array_nulls"]);
            world.ask(&run());
        }
    }
}

#[test]
fn what_a_block_has_set_and_nobody_reports_is_not_read_into_what_others_prepare() {
    for change in [
        "SET LOCAL array_nulls = off",
        "SELECT 1, set_config('array_nulls', 'off', true)",
        "DO $$ BEGIN SET LOCAL array_nulls = off; END $$",
    ] {
        let mut world = World::new(&[]);
        world.ask_all(&["BEGIN", change]);
        world.ask(&prepared(NULLS));
        world.ask_all(&["COMMIT"]);
        world.other.send(&prepared(NULLS));
        let theirs = world.other.until_ready();
        assert_eq!(first_value(&theirs).as_deref(), Some("t"), "{change}: {}", print(&theirs));
    }
}

#[test]
fn a_failed_block_and_a_statement_that_fails_change_no_setting() {
    let mut world = World::new(&[("TimeZone", "Asia/Tokyo")]);
    world.ask(&prepared(b"SELECT 1 / 0, timestamptz '2026-01-01 00:00:00'"));
    world.ask_all(&["SET TimeZone = 'America/New_York'"]);
    world.move_on();
    world.ask_all(&["BEGIN", "SELECT 1", "SELECT broken"]);
    world.ask(&run());
    world.ask_all(&["ROLLBACK", "SHOW TimeZone"]);
    world.ask(&run());
    world.ask_all(&["SHOW TimeZone", "BEGIN"]);
    world.ask(&run());
    world.ask_all(&["COMMIT", "SHOW TimeZone"]);
}

#[test]
fn an_open_portal_stays_open() {
    let mut world = World::new(&[("TimeZone", "Asia/Tokyo")]);
    world.ask(&prepared(INSTANT));
    world.ask_all(&["SET TimeZone = 'America/New_York'"]);
    world.move_on();
    world.ask_all(&["BEGIN"]);
    world.ask(&[parse("", "SELECT generate_series(1, 3)"), bind("", "", &[]), execute("", 1), sync()].concat());
    world.ask(&[bind("p", "s", &[]), execute("p", 0), execute("", 1), sync()].concat());
    world.ask(&[execute("", 1), sync()].concat());
    world.ask_all(&["COMMIT"]);
}

#[test]
fn a_query_without_a_sync_in_front_of_it_is_a_transaction_of_its_own() {
    for first in [describe(b'S', "s"), bind("", "s", &[])] {
        let mut world = World::new(&[("TimeZone", "Asia/Tokyo")]);
        world.ask(&prepared(INSTANT));
        world.ask_all(&["SET TimeZone = 'America/New_York'"]);
        world.move_on();
        // PostgreSQL 18 would leave a block open behind anything that was executed.
        world.ask(&[first.clone(), flush(), query("SELECT 'by itself'")].concat());
        world.ask_all(&["SHOW TimeZone"]);
        if first[0] == b'D' {
            world.ask(&run());
        }
    }
}

#[test]
fn what_else_has_changed_since_makes_no_difference_but_for_where_tables_are_looked_for() {
    for other in ["SET work_mem = '5MB'", "SET ROLE pg_monitor", "SET search_path = 'pg_catalog'"] {
        let mut world = World::new(&[("TimeZone", "Asia/Tokyo")]);
        world.ask(&prepared(INSTANT));
        world.ask_all(&["SET TimeZone = 'America/New_York'", other]);
        world.move_on();
        world.ask(&run());
        world.ask_all(&["SET TimeZone = 'Europe/Rome'"]);
        world.ask(&run());
        world.ask_all(&["SHOW work_mem", "SHOW ROLE", "SHOW search_path", "SHOW TimeZone"]);
    }
}

#[test]
fn what_a_plan_has_worked_out_is_not_told_to_clients_with_other_settings() {
    for (text, change, value) in [
        (br"SELECT '\x00ff'::bytea::text".as_slice(), "SET bytea_output = 'escape'", r"\x00ff"),
        (b"SELECT 0.1::float8::text", "SET extra_float_digits = -15", "0.1"),
    ] {
        let pgotter = PgOtter::in_front_of(quiet_postgres(), "default_pool_size = 1");
        let [mut first, mut other] = [(); 2].map(|()| Raw::log_in(pgotter.port(), &[]));
        for client in [&mut first, &mut other] {
            client.send(&[message(b'P', &[b"s\0", text, b"\0\0\0"].concat()), sync()].concat());
            client.until_ready();
        }
        other.ask(change);
        other.send(&run());
        other.until_ready();
        first.send(&run());
        let heard = first.until_ready();
        assert_eq!(first_value(&heard).as_deref(), Some(value), "{}", print(&heard));
    }
}

#[test]
fn a_plan_of_a_block_with_settings_of_its_own_is_not_told_to_others() {
    let pgotter = PgOtter::in_front_of(quiet_postgres(), "default_pool_size = 1");
    let [mut first, mut other] = [(); 2].map(|()| Raw::log_in(pgotter.port(), &[]));
    for client in [&mut first, &mut other] {
        client.send(&[parse("s", r"SELECT '\x00ff'::bytea::text"), sync()].concat());
        client.until_ready();
    }
    for change in ["SET LOCAL bytea_output = 'escape'", "SELECT 1, set_config('bytea_output', 'escape', true)"] {
        for text in ["BEGIN", change] {
            other.ask(text);
        }
        other.send(&run());
        other.until_ready();
        other.ask("COMMIT");
        first.send(&run());
        let heard = first.until_ready();
        assert_eq!(first_value(&heard).as_deref(), Some(r"\x00ff"), "{}", print(&heard));
    }
}
