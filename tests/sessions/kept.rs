//! What SQL leaves in a session: settings go with their client to any server; what cannot be moved pins it to one, until it is
//! gone again. Nobody else sees any of it.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub fn server() -> &'static LocalPostgres {
    static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = postgres(&Options::default());
        must(server.psql("postgres", "CREATE SCHEMA other; CREATE TABLE other.t AS SELECT 'other'::text AS which"));
        must(server.psql("postgres", "CREATE TABLE public.t AS SELECT 'public'::text AS which"));
        must(server.psql(
            "postgres",
            "CREATE FUNCTION public.hide(value text) RETURNS void LANGUAGE plpgsql
             AS $$ BEGIN PERFORM set_config('geqo_seed', value, false); END $$",
        ));
        must(server.psql(
            "postgres",
            "CREATE FUNCTION public.lock_it() RETURNS void LANGUAGE sql AS $$ SELECT pg_advisory_lock(77) $$",
        ));
        server
    })
}

fn pgotter(more: &str) -> PgOtter {
    PgOtter::in_front_of(server(), &format!("default_pool_size = 1\nquery_wait_timeout = \"20s\"\n{more}"))
}

/// What a session that nobody has touched looks like, and what a used one must look like to the next client.
pub const FINGERPRINT: &str = "SELECT concat_ws('|',
    (SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings
     WHERE name NOT LIKE 'plpgsql.%' AND name NOT IN ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'IntervalStyle')),
    current_user, session_user, current_setting('app.tenant', true),
    (SELECT count(*) FROM pg_prepared_statements WHERE from_sql), (SELECT count(*) FROM pg_cursors),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'S', 'v')),
    (SELECT count(*) FROM pg_listening_channels()))";

pub fn untouched() -> String {
    Raw::log_in(server().port(), &[]).value(FINGERPRINT)
}

fn extended_query(sql: &str) -> Vec<u8> {
    [parse("", sql), bind("", "", &[]), execute("", 0), sync()].concat()
}

#[test]
fn settings_go_with_their_client_and_nobody_else_sees_them() {
    let pgotter = pgotter("");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    let untouched = untouched();
    for (set, name, value) in [
        ("SET work_mem = '7MB'", "work_mem", "7MB"),
        ("SET search_path TO other, public", "search_path", "other, public"),
        ("SET SESSION statement_timeout = 12345", "statement_timeout", "12345ms"),
        ("SELECT set_config('lock_timeout', '4s', false)", "lock_timeout", "4s"),
        ("SELECT set_config('lock_timeout', 5 || 's', false)", "lock_timeout", "5s"),
        ("SET TIME ZONE 'Asia/Tokyo'", "TimeZone", "Asia/Tokyo"),
        ("SET NAMES 'LATIN1'", "client_encoding", "LATIN1"),
        ("SET default_transaction_read_only = on", "default_transaction_read_only", "on"),
        ("SET default_transaction_read_only = off", "default_transaction_read_only", "off"),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "default_transaction_isolation",
            "repeatable read",
        ),
        ("DO $$BEGIN SET geqo = off; END$$", "geqo", "off"),
        ("SELECT hide('0.25')", "geqo_seed", "0.25"),
    ] {
        let sets = client.ask(set);
        assert!(error_code(&sets).is_none(), "{set}: {}", print(&sets));
        assert_eq!(other.value(FINGERPRINT), untouched, "behind {set}");
        assert_eq!(client.value(&format!("SHOW {name}")), value, "behind {set}");
    }
    assert_eq!(client.value("SELECT which FROM t"), "other");
    assert_eq!(other.value("SELECT which FROM t"), "public");
    assert_eq!(client.value("SHOW work_mem"), "7MB");
}

#[test]
fn settings_in_the_extended_protocol_and_in_blocks_follow_postgresqls_rules() {
    let pgotter = pgotter("");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    let untouched = untouched();
    client.send(&extended_query("SET work_mem = '3MB'"));
    client.until_ready();
    // Bound, and never executed.
    client.send(&[parse("", "SET work_mem = '4MB'"), bind("", "", &[]), sync()].concat());
    client.until_ready();
    assert_eq!(other.value(FINGERPRINT), untouched);
    assert_eq!(client.value("SHOW work_mem"), "3MB");
    for (block, expected) in [
        (&["BEGIN", "SET work_mem = '5MB'", "ROLLBACK"][..], "3MB"),
        (&["BEGIN", "SET work_mem = '5MB'", "COMMIT"], "5MB"),
        (&["BEGIN", "SET LOCAL work_mem = '6MB'", "COMMIT"], "5MB"),
        (&["BEGIN", "SAVEPOINT a", "SET work_mem = '6MB'", "ROLLBACK TO a", "COMMIT"], "5MB"),
        (&["BEGIN", "SET work_mem = '6MB'", "SELECT 1/0", "COMMIT"], "5MB"),
        (&["SET work_mem = '6MB'; SELECT 1/0"], "5MB"),
        (&["SET work_mem = '6MB'; SELECT 1"], "6MB"),
        (&["SET work_mem = 'nonsense'"], "6MB"),
        (&["BEGIN; SET work_mem = '8MB'", "COMMIT"], "8MB"),
        (&["SET work_mem = 9000", "BEGIN", "RESET work_mem", "ROLLBACK"], "9000kB"),
        (&["BEGIN", "RESET work_mem", "COMMIT"], "4MB"),
        (&["SET work_mem = '8MB'"], "8MB"),
        (&["RESET work_mem"], "4MB"),
    ] {
        for sql in block {
            client.ask(sql);
        }
        assert_eq!(other.value(FINGERPRINT), untouched, "behind {block:?}");
        assert_eq!(client.value("SHOW work_mem"), expected, "behind {block:?}");
    }
}

#[test]
fn reset_goes_back_to_what_the_client_came_with() {
    let pgotter = pgotter("");
    let mut client = Raw::log_in(pgotter.port(), &[("TimeZone", "Asia/Tokyo"), ("options", "-c work_mem=9MB")]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    for reset in ["RESET work_mem", "SET work_mem TO DEFAULT", "RESET ALL", "DISCARD ALL"] {
        client.ask("SET work_mem = '1MB'");
        client.ask("SET TimeZone = 'UTC'");
        assert_eq!(other.value("SHOW work_mem"), "4MB");
        assert_eq!(client.value("SHOW work_mem"), "1MB");
        let answer = client.ask(reset);
        assert!(error_code(&answer).is_none(), "{}", print(&answer));
        assert_eq!(other.value("SHOW work_mem"), "4MB");
        assert_eq!(client.value("SHOW work_mem"), "9MB", "behind {reset}");
        let zone = if reset.ends_with("ALL") { "Asia/Tokyo" } else { "UTC" };
        assert_eq!(client.value("SHOW TimeZone"), zone, "behind {reset}");
    }
    client.ask("RESET TimeZone");
    assert_eq!(client.value("SHOW TimeZone"), "Asia/Tokyo");
}

#[test]
fn a_pinned_client_too_goes_back_to_what_it_came_with() {
    let pgotter = pgotter("");
    let mut client = Raw::log_in(pgotter.port(), &[("options", "-c work_mem=9MB -c statement_timeout=50min")]);
    client.ask("CREATE TEMP TABLE mine ()");
    for reset in ["RESET work_mem", "RESET ALL", "SET work_mem TO DEFAULT"] {
        client.ask("SET work_mem = '1MB'");
        assert_eq!(client.value("SHOW work_mem"), "1MB");
        client.send(&extended_query(reset));
        client.until_ready();
        assert_eq!(client.value("SHOW work_mem"), "9MB", "behind {reset}");
        assert_eq!(client.value("SHOW statement_timeout"), "50min", "behind {reset}");
    }
}

#[test]
fn what_a_prepared_statement_of_sql_does_is_looked_at_when_it_is_executed() {
    let untouched = untouched();
    for body in [
        "SELECT set_config('role', 'pg_monitor', false)",
        "SELECT set_config('app.tenant', 'secret', false)",
        "SELECT set_config('work_mem', '9MB', false)",
        "SELECT pg_advisory_lock(8)",
        "SELECT hide('0.75')",
    ] {
        for request in [
            "PREPARE p AS body|EXECUTE p|DEALLOCATE p",
            "BEGIN|PREPARE p AS body|EXECUTE p|DEALLOCATE p|COMMIT",
            "PREPARE p AS body; EXECUTE p; DEALLOCATE p",
        ] {
            // Room for the other, should the client keep its server.
            let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 2");
            let mut other = Raw::log_in(pgotter.port(), &[("application_name", "another")]);
            let mut client = Raw::log_in(pgotter.port(), &[]);
            for sql in request.replace("body", body).split('|') {
                let answer = client.ask(sql);
                assert!(error_code(&answer).is_none(), "{sql}: {}", print(&answer));
            }
            assert_eq!(other.value(FINGERPRINT), untouched, "behind {body} by {request}");
            drop(client);
            assert_eq!(other.value(FINGERPRINT), untouched, "behind a client that left, {body} by {request}");
        }
    }
}

#[test]
fn who_a_session_runs_as_goes_with_it() {
    must(server().psql("postgres", "CREATE ROLE one; CREATE ROLE two; GRANT one TO two"));
    let pgotter = pgotter("");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    let (who, untouched) = ("SELECT current_user || '/' || session_user", untouched());
    let me = other.value("SELECT session_user");
    for (set, expected) in [
        ("SET ROLE one", format!("one/{me}")),
        ("SET SESSION AUTHORIZATION two", "two/two".to_owned()),
        ("SET ROLE one", "one/two".to_owned()),
        ("RESET SESSION AUTHORIZATION", format!("{me}/{me}")),
        ("SET ROLE two", format!("two/{me}")),
        ("SET ROLE NONE", format!("{me}/{me}")),
    ] {
        assert!(error_code(&client.ask(set)).is_none(), "{set}");
        assert_eq!(other.value(FINGERPRINT), untouched, "behind {set}");
        assert_eq!(client.value(who), expected, "behind {set}");
    }
}

#[test]
fn what_cannot_be_moved_pins_until_it_is_gone() {
    let pgotter = pgotter("");
    let untouched = untouched();
    for (makes, shows, drops) in [
        ("CREATE TEMP TABLE mine AS SELECT 'kept' AS v", "SELECT v FROM mine", "DROP TABLE mine"),
        ("SELECT 'kept' AS v INTO TEMP mine", "SELECT v FROM mine", "DISCARD TEMP"),
        (
            "SELECT pg_advisory_lock(5)",
            "SELECT 'kept' FROM pg_locks WHERE objid = 5 AND pid = pg_backend_pid()",
            "SELECT pg_advisory_unlock(5)",
        ),
        (
            "SELECT lock_it()",
            "SELECT 'kept' FROM pg_locks WHERE objid = 77 AND pid = pg_backend_pid()",
            "SELECT pg_advisory_unlock_all()",
        ),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 'kept'", "SELECT 'kept' FROM pg_cursors", "CLOSE c"),
        ("PREPARE p AS SELECT 'kept'", "EXECUTE p", "DEALLOCATE p"),
    ] {
        let mut client = Raw::log_in(pgotter.port(), &[]);
        let made = client.ask(makes);
        assert!(error_code(&made).is_none(), "{makes}: {}", print(&made));
        let mut other = Raw::log_in(pgotter.port(), &[]);
        other.send(&query(FINGERPRINT));
        for _ in 0..3 {
            assert_eq!(client.value(shows), "kept", "behind {makes}");
        }
        assert!(other.hears_nothing(), "{makes}: the server was given to another client");
        let dropped = client.ask(drops);
        assert!(error_code(&dropped).is_none(), "{drops}: {}", print(&dropped));
        assert_eq!(first_value(&other.until_ready()).unwrap(), untouched, "behind {drops}");
        assert_eq!(client.value("SELECT 'served as well'"), "served as well");
    }
}

#[test]
fn what_ends_with_its_transaction_does_not_pin() {
    let pgotter = pgotter("");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    let untouched = untouched();
    for block in [
        &["BEGIN", "CREATE TEMP TABLE gone (n int) ON COMMIT DROP", "COMMIT"][..],
        &["BEGIN", "CREATE TEMP TABLE gone (n int)", "ROLLBACK"],
        &["BEGIN", "SELECT pg_advisory_xact_lock(9)", "COMMIT"],
        &["BEGIN", "DECLARE c CURSOR FOR SELECT 1", "COMMIT"],
        &["BEGIN", "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "ROLLBACK"],
        &["SELECT 'broken"],
    ] {
        for sql in block {
            client.ask(sql);
        }
        assert_eq!(other.value(FINGERPRINT), untouched, "behind {block:?}");
    }
}

#[test]
fn a_client_that_leaves_takes_everything_with_it() {
    let pgotter = pgotter("");
    let untouched = untouched();
    for leaves in [
        "CREATE TEMP TABLE mine (n int)",
        "SELECT pg_advisory_lock(6)",
        "PREPARE p AS SELECT 1",
        "SET work_mem = '2MB'",
        "SET app.tenant = '7'",
        "BEGIN; SET LOCAL app.tenant = '7'; COMMIT",
        "SELECT setseed(0.5)",
        "DO $$BEGIN EXECUTE 'SET work_mem = ''2MB'''; END$$",
    ] {
        for says_goodbye in [true, false] {
            let mut client = Raw::log_in(pgotter.port(), &[]);
            client.ask(leaves);
            if says_goodbye {
                client.send(&terminate());
                client.until_end();
            }
            drop(client);
            let mut next = Raw::log_in(pgotter.port(), &[]);
            assert_eq!(next.value(FINGERPRINT), untouched, "behind {leaves}");
        }
        // Gone at the moment it was run.
        let mut client = Raw::log_in(pgotter.port(), &[]);
        client.send(&query(leaves));
        drop(client);
        let mut next = Raw::log_in(pgotter.port(), &[]);
        assert_eq!(next.value(FINGERPRINT), untouched, "behind {leaves}");
    }
}

#[test]
fn more_pins_than_allowed_are_refused_and_nothing_is_run() {
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 3\nmax_pinned = 1");
    let mut first = Raw::log_in(pgotter.port(), &[]);
    let mut second = Raw::log_in(pgotter.port(), &[]);
    first.ask("CREATE TEMP TABLE mine (n int)");
    for request in [query("CREATE TEMP TABLE mine (n int)"), extended_query("CREATE TEMP TABLE mine (n int)")] {
        second.send(&request);
        let refused = second.until_ready();
        assert_eq!(error_code(&refused).as_deref(), Some("53300"), "{}", print(&refused));
        let error = refused.iter().find(|frame| frame.kind == b'E').unwrap();
        assert!(error.field(b'H').unwrap().contains("max_pinned"));
    }
    second.ask("BEGIN");
    second.ask("SELECT pg_advisory_lock(8)");
    assert_eq!(error_code(&second.ask("SELECT 1")).as_deref(), Some("25P02"), "it failed as any statement");
    second.ask("ROLLBACK");
    first.ask("DROP TABLE mine");
    // The first client has its answer before its server has been asked.
    let since = Instant::now();
    while error_code(&second.ask("CREATE TEMP TABLE mine (n int)")).is_some() {
        assert!(since.elapsed() < Duration::from_secs(20), "the place among the pinned is not given back");
    }
}

#[test]
fn what_was_refused_for_its_pin_leaves_nothing() {
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 2\nmax_pinned = 1\nquery_wait_timeout = \"20s\"");
    let mut first = Raw::log_in(pgotter.port(), &[]);
    let mut second = Raw::log_in(pgotter.port(), &[]);
    let mut third = Raw::log_in(pgotter.port(), &[]);
    first.ask("CREATE TEMP TABLE mine (n int)");
    second.send(&[parse("", "SELECT 1"), sync()].concat());
    second.until_ready();
    assert_eq!(error_code(&second.ask("SELECT setseed(0.5)")).as_deref(), Some("53300"));
    second.send(&[bind("", "", &[]), sync()].concat());
    assert_eq!(error_code(&second.until_ready()).as_deref(), Some("26000"), "a Query drops the unnamed statement");
    assert_eq!(third.value("SELECT 'free'"), "free");
    assert_eq!(second.value("SELECT 'free'"), "free");
}

#[test]
fn a_pinned_client_hears_of_the_end_of_its_server() {
    let pgotter = pgotter("");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.ask("CREATE TEMP TABLE mine (n int)");
    let backend = client.value("SELECT pg_backend_pid()");
    must(server().psql("postgres", &format!("SELECT pg_terminate_backend({backend})")));
    let last = client.until_end();
    assert_eq!(error_code(&last).as_deref(), Some("57P01"), "{}", print(&last));
}

#[test]
fn a_reset_with_nothing_in_a_server_needs_no_server() {
    let pgotter = pgotter("");
    let mut holder = Raw::log_in(pgotter.port(), &[]);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut direct = Raw::log_in(server().port(), &[]);
    let resets = [
        "DISCARD ALL",
        "discard all;",
        "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
        "RESET ALL",
        "CLOSE ALL",
        "DEALLOCATE ALL",
        "DEALLOCATE PREPARE ALL",
        "DISCARD TEMP",
        "DISCARD PLANS",
    ];
    for reset in resets {
        client.ask("SET work_mem = '1MB'");
        client.send(&[parse("s", "SELECT 1"), sync()].concat());
        client.until_ready();
        holder.ask("BEGIN");
        holder.ask("SELECT 1");
        let expected = print(&direct.ask(reset));
        assert_eq!(print(&client.ask(reset)), expected, "{reset}");
        holder.ask("COMMIT");
        let work_mem = if reset.to_uppercase().contains("RESET") || reset.to_uppercase().contains("DISCARD ALL") {
            "4MB"
        } else {
            "1MB"
        };
        assert_eq!(client.value("SHOW work_mem"), work_mem, "{reset}");
        client.send(&[bind("", "s", &[]), sync()].concat());
        let gone = error_code(&client.until_ready()).is_some();
        assert_eq!(
            gone,
            reset.to_uppercase().contains("DEALLOCATE") || reset.to_uppercase().contains("DISCARD ALL"),
            "{reset}"
        );
        client.ask("DEALLOCATE ALL");
    }
    // What only looks like one is PostgreSQL's to answer.
    for text in
        ["DISCARD ALL ALL", "RESET ALL; DISCARD ALL", "CLOSE ALL; CLOSE", "DISCARD ALL --", "RESET ALL;; CLOSE ALL"]
    {
        assert_eq!(print(&client.ask(text)), print(&direct.ask(text)), "{text}");
    }
}

#[test]
fn nobody_is_told_of_anothers_sequences() {
    let pgotter = pgotter("");
    must(server().psql("postgres", "CREATE SEQUENCE IF NOT EXISTS numbers"));
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    let mine = client.value("SELECT nextval('numbers')");
    assert_eq!(client.value("SELECT lastval()"), mine, "its own, where nobody came between");
    for ask in ["SELECT lastval()", "SELECT currval('numbers')"] {
        for request in [query(ask), extended_query(ask)] {
            other.send(&request);
            let answer = other.until_ready();
            assert_eq!(error_code(&answer).as_deref(), Some("55000"), "{}", print(&answer));
        }
    }
    other.ask("BEGIN");
    other.ask("DO $$BEGIN END$$");
    assert_eq!(
        error_code(&other.ask("SELECT lastval()")).as_deref(),
        Some("55000"),
        "who may have drawn has drawn nothing"
    );
    other.ask("ROLLBACK");
    other.ask("BEGIN");
    let theirs = other.value("SELECT nextval('numbers')");
    assert_eq!(other.value("SELECT lastval()"), theirs);
    other.ask("COMMIT");
    let answer = client.ask("SELECT lastval()");
    assert_eq!(error_code(&answer).as_deref(), Some("55000"), "{}", print(&answer));
}

#[test]
fn names_that_a_prepared_reset_drops_are_gone() {
    let pgotter = pgotter("");
    for reset in ["DISCARD ALL", "DEALLOCATE ALL"] {
        let mut client = Raw::log_in(pgotter.port(), &[]);
        client.send(&[parse("s", "SELECT 1"), sync(), parse("d", reset), sync()].concat());
        client.until_ready();
        client.until_ready();
        client.send(&[bind("", "d", &[]), execute("", 0), sync()].concat());
        assert!(error_code(&client.until_ready()).is_none());
        client.send(&[bind("", "s", &[]), sync()].concat());
        assert_eq!(error_code(&client.until_ready()).as_deref(), Some("26000"), "{reset}");
        client.send(&[parse("s", "SELECT 'anew'"), bind("", "s", &[]), execute("", 0), sync()].concat());
        assert_eq!(first_value(&client.until_ready()).as_deref(), Some("anew"), "{reset}");
    }
}

#[test]
fn reset_in_a_block_and_in_a_session_goes_back_to_what_the_client_came_with() {
    for mode in ["transaction", "session"] {
        let pgotter = PgOtter::in_front_of(server(), &format!("default_pool_size = 1\npool_mode = \"{mode}\""));
        let came_with = [("TimeZone", "Asia/Tokyo"), ("options", "-c search_path=other,\\ public -c work_mem=9MB")];
        let mut client = Raw::log_in(pgotter.port(), &came_with);
        let mut direct = Raw::log_in(server().port(), &came_with);
        let shows = "SELECT concat_ws('|', current_setting('TimeZone'), current_setting('search_path'), current_setting('work_mem'))";
        for script in [
            &["RESET work_mem"][..],
            &["SET work_mem = '1MB'", "RESET ALL"],
            &["SET TimeZone = 'UTC'", "SET TIME ZONE DEFAULT"],
            &["BEGIN", "SET work_mem = '1MB'", "RESET work_mem", "SELECT 1"],
            &["BEGIN", "RESET ALL", "SET work_mem = '2MB'"],
            &["BEGIN", "SET search_path = public", "RESET search_path", "ROLLBACK"],
            &["BEGIN", "SELECT 1/0", "RESET ALL", "ROLLBACK"],
            &["BEGIN", "SET work_mem = '1MB'", "SAVEPOINT s", "SELECT 1/0", "ROLLBACK TO s", "RESET work_mem"],
            &["RESET ALL; SET work_mem = '3MB'"],
            &["RESET nonsense", "RESET work_mem; SELECT 1/0"],
            &["DISCARD ALL"],
        ] {
            for end in ["", "COMMIT"] {
                for sql in script.iter().chain([&end]) {
                    client.ask(sql);
                    direct.ask(sql);
                    if !sql.is_empty() && direct.ask("SELECT 1").last().unwrap().body != b"E" {
                        assert_eq!(client.value(shows), direct.value(shows), "{mode}: behind {sql} of {script:?}");
                    } else {
                        client.ask("SELECT 1");
                    }
                }
            }
        }
        // All in one write.
        for client in [&mut client, &mut direct] {
            client.send(&[query("SET work_mem = '1MB'"), query("RESET work_mem"), query("SHOW work_mem")].concat());
            let answers: Vec<_> = (0..3).map(|_| client.until_ready()).collect();
            assert_eq!(first_value(&answers[2]).as_deref(), Some("9MB"), "{mode}");
        }
    }
}

#[test]
fn the_end_of_a_long_text_behind_new_settings_is_read_too() {
    let pgotter = pgotter("");
    let mut client = Raw::log_in(pgotter.port(), &[("TimeZone", "Asia/Tokyo")]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    other.value("SELECT 1");
    let long = format!("SELECT 1 /* {} */; SET work_mem = '72MB'", "x".repeat(300_000));
    assert!(error_code(&client.ask(&long)).is_none());
    assert_eq!(other.value("SHOW work_mem"), "4MB");
    assert_eq!(client.value("SHOW work_mem"), "72MB");
}

#[test]
fn a_commit_in_the_extended_protocol_gives_the_server_back() {
    let pgotter = pgotter("");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    client.ask("BEGIN");
    client.ask("SELECT 1");
    client.send(&extended_query("COMMIT"));
    assert_eq!(client.until_ready().last().unwrap().body, b"I");
    assert_eq!(other.value("SELECT 'mine now'"), "mine now");
}
