//! Prepared statements of the extended protocol.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres, shared_postgres};
use pgotter::cli::local_postgres::Options;

/// Requests, each answered up to ReadyForQuery; an empty one is what another client does meanwhile.
pub type Script = Vec<Vec<u8>>;

/// What a client of PgOtter is answered while another one, on the same server, uses the same names for other
/// statements between any two of its requests, must be what PostgreSQL answers.
pub fn as_postgresql_answers(script: &Script) {
    as_postgresql_answers_with("", script);
}

/// As [`as_postgresql_answers`], of a pool with other settings.
fn as_postgresql_answers_with(settings: &str, script: &Script) {
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, &format!("default_pool_size = 1\n{settings}"));
    let mut direct = Raw::log_in(server.port(), &[]);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    let mut free = true;
    for (step, request) in script.iter().enumerate() {
        if free {
            disturb(&mut other);
        }
        direct.send(request);
        client.send(request);
        let (expected, got) = (direct.until_ready(), client.until_ready());
        assert_eq!(print(&got), print(&expected), "step {step}");
        free = got.last().unwrap().body == b"I";
    }
}

fn disturb(other: &mut Raw) {
    for name in ["", "a", "b"] {
        let request = [parse(name, "SELECT 'of another'"), bind("", name, &[]), execute("", 0), sync()].concat();
        other.send(&request);
        assert_eq!(first_value(&other.until_ready()).as_deref(), Some("of another"));
        other.send(&[close(b'S', name), sync()].concat());
        other.until_ready();
    }
    other.send(&[parse("", "SELECT 'of another'"), sync()].concat());
    other.until_ready();
}

/// Bind and Execute.
pub fn run(name: &str, values: &[&[u8]]) -> Vec<u8> {
    [bind("", name, values), execute("", 0)].concat()
}

pub fn synced(messages: &[Vec<u8>]) -> Vec<u8> {
    [messages.concat(), sync()].concat()
}

#[test]
fn a_named_statement_is_there_in_every_transaction_and_is_its_clients_alone() {
    as_postgresql_answers(&vec![
        synced(&[parse("a", "SELECT 'mine', $1::int"), describe(b'S', "a")]),
        synced(&[run("a", &[b"1"])]),
        query("BEGIN"),
        synced(&[run("a", &[b"2"])]),
        synced(&[parse("b", "SELECT 'in a block'"), run("b", &[])]),
        query("ROLLBACK"),
        synced(&[run("b", &[]), run("a", &[b"3"])]),
        synced(&[close(b'S', "a")]),
        synced(&[run("a", &[b"4"])]),
        synced(&[close(b'S', "a"), close(b'S', "never was")]),
        synced(&[parse("a", "SELECT 'anew'"), describe(b'S', "a"), run("a", &[])]),
    ]);
}

#[test]
fn an_unnamed_statement_is_there_in_the_next_transaction_and_a_query_drops_it() {
    as_postgresql_answers(&vec![
        synced(&[parse("", "SELECT 'unnamed', $1::text")]),
        synced(&[run("", &[b"x"])]),
        synced(&[describe(b'S', "")]),
        synced(&[run("", &[b"y"]), run("", &[b"z"])]),
        query("SELECT 1"),
        synced(&[run("", &[b"gone"])]),
        synced(&[parse("", "SELECT broken(")]),
        synced(&[run("", &[])]),
        synced(&[parse("", "SELECT 5")]),
        synced(&[close(b'S', "")]),
        synced(&[run("", &[])]),
    ]);
}

#[test]
fn errors_about_names_are_postgresqls_and_skip_what_is_behind_them() {
    as_postgresql_answers(&vec![
        synced(&[run("a", &[])]),
        synced(&[describe(b'S', "no such"), parse("skipped", "SELECT 1")]),
        synced(&[run("skipped", &[])]),
        synced(&[parse("a", "SELECT 1")]),
        synced(&[parse("a", "SELECT 2"), parse("b", "SELECT 3")]),
        synced(&[run("a", &[])]),
        synced(&[run("b", &[])]),
        // The text is looked at before the name.
        synced(&[parse("a", "SELEC")]),
        synced(&[parse("broken", "SELECT no_such_column")]),
        synced(&[run("broken", &[])]),
        // Closed, skipped, and there again.
        synced(&[run("a", &[b"one too many"]), close(b'S', "a")]),
        synced(&[run("a", &[])]),
        query("BEGIN"),
        synced(&[run("no such", &[])]),
        synced(&[parse("c", "SELECT 1")]),
        synced(&[run("a", &[])]),
        synced(&[parse("a", "SELECT 1")]),
        query("ROLLBACK"),
        synced(&[parse("c", "SELECT 'now'"), run("c", &[])]),
    ]);
}

#[test]
fn stray_copy_data_shifts_no_answers() {
    as_postgresql_answers(&vec![
        synced(&[bind("s1", "", &[]), copy_data("5\te\n")]),
        synced(&[close(b'S', ""), copy_data("5\te\n"), bind("s1", "", &[])]),
        synced(&[bind("", "no such", &[])]),
    ]);
    // The client does not wait for the first answer.
    for first in [query("SELECT 1"), synced(&[execute("no such", 2)])] {
        let mut answers = Vec::new();
        let server = shared_postgres();
        let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1");
        for port in [server.port(), pgotter.port()] {
            let mut client = Raw::log_in(port, &[]);
            let stray = [copy_data("5\te\n"), synced(&[describe(b'S', "s2")]), synced(&[bind("", "s1", &[])])].concat();
            client.send(&[first.clone(), stray, terminate()].concat());
            answers.push(print(&client.until_end()));
        }
        assert_eq!(answers[1], answers[0]);
    }
}

#[test]
fn a_statement_that_is_parsed_again_and_skipped_is_still_there() {
    as_postgresql_answers(&vec![
        synced(&[parse("a", "SELECT 1"), run("a", &[])]),
        synced(&[parse("b", "SELECT 1")]),
        synced(&[close(b'S', "b")]),
        // Skipped behind an error, and behind what may be a COPY.
        synced(&[run("a", &[]), run("no such", &[]), parse("b", "SELECT 1")]),
        synced(&[run("a", &[]), parse("b", "SELECT 1"), run("b", &[])]),
    ]);
}

#[test]
fn a_client_that_has_only_prepared_needs_no_server() {
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1\nquery_wait_timeout = \"20s\"");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.send(&[parse("s", "SELECT 'prepared', $1::int"), describe(b'S', "s"), flush()].concat());
    assert_eq!(client.until(b'T').len(), 3);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    assert_eq!(other.value("SELECT 'meanwhile'"), "meanwhile");
    client.send(&synced(&[run("s", &[b"1"])]));
    assert_eq!(print(&client.until_ready()).matches("prepared").count(), 1);
    // And a Sync that comes by itself.
    client.send(&[parse("t", "SELECT 1"), flush()].concat());
    client.until(b'1');
    client.send(&sync());
    assert_eq!(client.until_ready().len(), 1);
}

#[test]
fn who_prepares_a_statement_anew_gets_it_as_things_are_now() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "CREATE TABLE stale (id int)"));
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 1");
    let mut old = Raw::log_in(pgotter.port(), &[]);
    let mut new = Raw::log_in(pgotter.port(), &[]);
    let text = "SELECT * FROM stale";
    let uses = |name: &str| synced(&[bind("", name, &[]), describe(b'P', ""), execute("", 0)]);
    old.send(&[synced(&[parse("s", text)]), uses("s")].concat());
    old.until_ready();
    assert!(error_code(&old.until_ready()).is_none());
    for (name, more) in [("by a client", true), ("by somebody else", false)] {
        let alter = format!("ALTER TABLE stale ADD COLUMN \"{name}\" int");
        if more {
            new.ask(&alter);
        } else {
            must(server.psql("postgres", &alter));
        }
        old.send(&synced(&[run("s", &[])]));
        assert_eq!(error_code(&old.until_ready()).as_deref(), Some("0A000"), "its client knows other columns");
        for client in [&mut old, &mut new] {
            client.send(&[synced(&[parse(name, text)]), uses(name)].concat());
            client.until_ready();
            let answer = client.until_ready();
            assert!(error_code(&answer).is_none(), "{name}: {}", print(&answer));
        }
    }
}

#[test]
fn messages_that_arrive_in_parts_behind_long_ones_are_whole_messages() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let long = vec![b'x'; 100_000];
    let ask = [parse("", "SELECT length($1)"), bind("", "", &[&long])].concat();
    let rest = [execute("", 0), describe(b'P', ""), sync()].concat();
    for cut in 0..=rest.len() {
        client.send(&[&ask, &rest[..cut]].concat());
        // What has been sent is with PgOtter when this is answered to somebody else.
        pgotter_has_read(&pgotter);
        client.send(&rest[cut..]);
        let answer = client.until_ready();
        assert_eq!(first_value(&answer).as_deref(), Some("100000"), "cut at {cut}: {}", print(&answer));
    }
}

/// Connections of the one worker are served in turn.
fn pgotter_has_read(pgotter: &PgOtter) {
    for _ in 0..2 {
        let _ = Raw::log_in(pgotter.port(), &[]);
    }
}

#[test]
fn what_defines_nothing_leaves_statements_shared() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    let ours = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT ''shared'''";
    client.send(&synced(&[parse("s", "SELECT 'shared'"), run("s", &[])]));
    client.until_ready();
    for (sql, count) in [("EXPLAIN SELECT 1", "1"), ("ANALYZE pg_am", "1"), ("DROP TABLE IF EXISTS nothing", "2")] {
        client.ask(sql);
        other.send(&synced(&[parse(sql, "SELECT 'shared'"), run(sql, &[])]));
        other.until_ready();
        assert_eq!(client.value(ours), count, "behind {sql}");
    }
}

#[test]
fn deallocate_is_about_the_clients_own_names() {
    as_postgresql_answers(&vec![
        synced(&[parse("a", "SELECT 1"), parse("b", "SELECT 2")]),
        query("DEALLOCATE a"),
        synced(&[run("a", &[])]),
        query("DEALLOCATE a"),
        query("BEGIN"),
        query("SELECT 1"),
        query("DEALLOCATE b"),
        synced(&[run("b", &[])]),
        query("DEALLOCATE b"),
        query("ROLLBACK"),
        synced(&[parse("a", "SELECT 1"), parse("b", "SELECT 2")]),
        query("DEALLOCATE \"a\""),
        query("DEALLOCATE ALL"),
        synced(&[run("b", &[])]),
        synced(&[parse("a", "SELECT 1")]),
        query("BEGIN"),
        query("DEALLOCATE a"),
        query("SELECT 1"),
        synced(&[run("a", &[])]),
        query("ROLLBACK"),
        synced(&[parse("b", "SELECT 3"), run("b", &[])]),
        query("SELECT 1/0; DEALLOCATE ALL"),
        query("BEGIN"),
        query("SELECT 1"),
        query("DISCARD ALL"),
        query("ROLLBACK"),
        synced(&[run("b", &[])]),
        query("SELECT 1; DEALLOCATE ALL"),
        synced(&[run("b", &[])]),
        synced(&[parse("b", "SELECT 4")]),
        query("SELECT 1/0; DEALLOCATE ALL"),
        synced(&[run("b", &[])]),
        query("DEALLOCATE ALL; SELECT 1/0"),
        synced(&[run("b", &[])]),
        synced(&[parse("b", "SELECT 4"), run("b", &[])]),
        query("BEGIN"),
        query("SELECT 1; DEALLOCATE ALL"),
        synced(&[run("b", &[])]),
        query("ROLLBACK"),
        query("BEGIN"),
        synced(&[parse("b", "SELECT 5"), parse("", "SELECT 6")]),
        query("DEALLOCATE b"),
        synced(&[run("", &[])]),
        query("ROLLBACK"),
        synced(&[parse("b", "SELECT 7")]),
        query(&format!("/*{}*/ DEALLOCATE ALL", " ".repeat(400_000))),
        synced(&[run("b", &[])]),
        synced(&[run("b", &[])]),
        synced(&[parse("b", "SELECT 4"), run("b", &[])]),
        query("BEGIN"),
        query("SELECT 1/0"),
        query("DEALLOCATE b"),
        query("COMMIT"),
        synced(&[run("b", &[])]),
        query("DISCARD ALL"),
        synced(&[run("b", &[])]),
    ]);
}

#[test]
fn deallocate_by_parse_and_execute_is_about_the_clients_own_names() {
    let prepare = || synced(&[parse("a", "SELECT 1"), parse("b", "SELECT 2")]);
    let deallocate = |name: &str| parse("", &format!("DEALLOCATE {name}"));
    as_postgresql_answers(&vec![
        prepare(),
        synced(&[deallocate("a"), describe(b'S', ""), bind("", "", &[]), describe(b'P', ""), execute("", 0)]),
        synced(&[run("a", &[])]),
        synced(&[deallocate("a"), run("", &[])]),
        synced(&[run("b", &[])]),
        // Bound, and not executed.
        synced(&[deallocate("b"), bind("", "", &[])]),
        synced(&[run("b", &[])]),
        synced(&[deallocate("b"), bind("p", "", &[]), parse("", "SELECT 3"), run("", &[]), execute("p", 0)]),
        synced(&[run("b", &[])]),
        prepare(),
        query("BEGIN"),
        synced(&[deallocate("a"), run("", &[]), run("a", &[])]),
        synced(&[deallocate("b"), run("", &[])]),
        query("ROLLBACK"),
        synced(&[run("b", &[])]),
        prepare(),
        synced(&[parse("", "SELECT 1/0"), run("", &[]), deallocate("a"), run("", &[])]),
        synced(&[run("a", &[]), parse("c", "DEALLOCATE b"), run("c", &[]), run("c", &[])]),
        synced(&[parse("b", "SELECT 4"), run("c", &[]), run("b", &[])]),
        prepare(),
        synced(&[parse("", "DEALLOCATE ALL"), run("", &[]), run("a", &[])]),
        synced(&[parse("", "DEALLOCATE ALL"), run("", &[]), parse("a", "SELECT 5")]),
        synced(&[run("a", &[])]),
    ]);
}

#[test]
fn a_pipeline_that_drops_all_names_does_so_for_what_is_behind_it() {
    let drops = |text: &str| [parse("", text), run("", &[])].concat();
    as_postgresql_answers(&vec![
        synced(&[parse("a", "SELECT 1"), run("a", &[])]),
        synced(&[drops("DEALLOCATE ALL"), run("a", &[])]),
        synced(&[run("a", &[])]),
        synced(&[parse("a", "SELECT 2"), drops("DEALLOCATE ALL"), parse("a", "SELECT 3"), run("a", &[])]),
        synced(&[run("a", &[])]),
        synced(&[drops("SELECT 1/0"), drops("DEALLOCATE ALL"), parse("a", "SELECT 4")]),
        synced(&[run("a", &[])]),
        synced(&[drops("SELECT 1"), drops("DISCARD ALL"), parse("a", "SELECT 5"), run("a", &[])]),
        synced(&[run("a", &[])]),
    ]);
}

#[test]
fn a_text_of_several_deallocates_drops_each() {
    let prepare = || synced(&[parse("a", "SELECT 1"), parse("b", "SELECT 2")]);
    as_postgresql_answers(&vec![
        prepare(),
        query("DEALLOCATE a; DEALLOCATE PREPARE b"),
        synced(&[run("a", &[])]),
        synced(&[run("b", &[])]),
        prepare(),
        query("BEGIN"),
        query("SELECT 1"),
        query("DEALLOCATE a; DEALLOCATE b"),
        synced(&[run("b", &[])]),
        query("DEALLOCATE a; DEALLOCATE b"),
        query("ROLLBACK"),
        prepare(),
        [parse("", "SELECT 1"), query("DEALLOCATE a; DEALLOCATE b")].concat(),
        synced(&[run("a", &[])]),
        prepare(),
        [parse("", "SELECT 1"), query("DEALLOCATE a; DEALLOCATE a")].concat(),
        prepare(),
        query("DEALLOCATE a; DEALLOCATE nothing; DEALLOCATE b"),
        synced(&[run("a", &[])]),
        synced(&[run("b", &[])]),
        query("DEALLOCATE b; DEALLOCATE b"),
        synced(&[run("b", &[])]),
        prepare(),
        query("BEGIN"),
        query("SELECT 1 / 0"),
        query("DEALLOCATE a; DEALLOCATE nothing"),
        query("ROLLBACK"),
        synced(&[run("a", &[])]),
    ]);
}

#[test]
fn a_bind_in_a_failed_block_is_refused_as_if_its_server_had_the_statement() {
    as_postgresql_answers_with(
        "max_prepared_statements = 1",
        &vec![
            synced(&[parse("a", "SELECT $1::int + $2::int"), parse("d", "DO 'BEGIN END'"), parse("b", "SELECT 1")]),
            query("BEGIN"),
            query("SELECT 1/0"),
            synced(&[run("a", &[b"1"])]),
            synced(&[run("a", &[b"1", b"2"])]),
            synced(&[run("d", &[b"1"])]),
            synced(&[run("b", &[b"1"])]),
            synced(&[parse("a", "")]),
            synced(&[parse("a", "SELECT 1")]),
            query("ROLLBACK"),
            synced(&[run("a", &[b"1", b"2"])]),
            // In one go, so that nobody knows of the block when the Bind is sent.
            [query("BEGIN"), query("SELECT 1/0; SELECT"), synced(&[run("a", &[b"1"])]), query("ROLLBACK")].concat(),
            sync(),
            sync(),
            sync(),
        ],
    );
}

#[test]
fn a_pipeline_of_many_requests_is_answered_in_order() {
    let mut pipeline = Vec::new();
    for round in 0..50 {
        let name = format!("s{}", round % 7);
        pipeline.extend(synced(&[parse(&name, &format!("SELECT {round}, $1::int")), run(&name, &[b"1"])]));
        pipeline.extend(synced(&[run(&name, &[b"2"]), run(&name, &[b"not a number"]), close(b'S', &name)]));
        if round % 2 == 0 {
            pipeline.extend(synced(&[close(b'S', &name)]));
        }
        pipeline.extend(query("SELECT 'between'"));
    }
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1");
    let mut answers = Vec::new();
    for port in [server.port(), pgotter.port()] {
        let mut client = Raw::log_in(port, &[]);
        client.send(&[pipeline.clone(), terminate()].concat());
        answers.push(print(&client.until_end()));
    }
    assert_eq!(answers[1], answers[0]);
}

#[test]
fn names_of_64_kib_and_names_that_agree_in_63_bytes() {
    let long = "n".repeat(60_000);
    as_postgresql_answers(&vec![
        synced(&[parse(&long, "SELECT 'long'"), run(&long, &[])]),
        synced(&[parse("other", "SELECT 1"), run(&long, &[]), run(&long, &[]), close(b'S', "other")]),
        synced(&[run(&long[..63], &[])]),
        synced(&[run(&long[..62], &[])]),
        synced(&[parse(&long[..70], "SELECT 1")]),
        synced(&[close(b'S', &long[..64])]),
        synced(&[run(&long, &[])]),
    ]);
    // Longer than what is gathered of a request, and the portal's too.
    let (name, portal) = ("n".repeat(100_000), "p".repeat(300_000));
    as_postgresql_answers(&vec![
        synced(&[parse(&name, "SELECT 'longer'"), run(&name, &[])]),
        synced(&[parse("other", "SELECT 1"), bind(&portal, &name, &[]), execute(&portal[..63], 0)]),
        synced(&[parse(&name, "SELECT 2")]),
        synced(&[run("other", &[]), run(&name[..63], &[])]),
    ]);
}

#[test]
fn malformed_messages_about_statements_are_refused_by_postgresql_itself() {
    as_postgresql_answers(&vec![
        synced(&[parse("a", "SELECT $1::int")]),
        synced(&[message(b'B', b"\0a\0\0\x05\0\0\0\0")]),
        synced(&[message(b'B', b"\0a")]),
        synced(&[message(b'P', b"no end")]),
        synced(&[message(b'D', b"Sa")]),
        synced(&[message(b'D', b"Xa\0")]),
        synced(&[message(b'C', b"S")]),
        synced(&[run("a", &[b"7"])]),
    ]);
}

#[test]
fn a_statement_too_long_to_be_kept_stays_on_its_server_and_so_does_its_client() {
    let long = format!("SELECT '{}', $1::int", "x".repeat(200_000));
    as_postgresql_answers(&vec![
        query("SELECT 1"),
        [synced(&[parse("big", &long)]), synced(&[run("big", &[b"1"])]), synced(&[close(b'S', "big")])].concat(),
    ]);
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    for name in ["", "big"] {
        client.send(&synced(&[parse(name, &long)]));
        client.until_ready();
        client.send(&synced(&[run(name, &[b"1"])]));
        assert!(error_code(&client.until_ready()).is_none());
        client.send(&synced(&[close(b'S', name)]));
        client.until_ready();
    }
    let mut other = Raw::log_in(pgotter.port(), &[]);
    assert_eq!(other.value("SELECT 'free again'"), "free again");
}

#[test]
fn a_server_keeps_no_more_statements_than_it_may_and_clients_lose_none() {
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1\nmax_prepared_statements = 3");
    let mut clients = [Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[])];
    for (number, client) in clients.iter_mut().enumerate() {
        for statement in 0..5 {
            client.send(&synced(&[parse(&format!("s{statement}"), &format!("SELECT '{number}{statement}'"))]));
            client.until_ready();
        }
    }
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            for statement in 0..5 {
                client.send(&synced(&[run(&format!("s{}", (statement * round) % 5), &[])]));
                let answer = client.until_ready();
                assert_eq!(
                    first_value(&answer),
                    Some(format!("{number}{}", (statement * round) % 5)),
                    "{}",
                    print(&answer)
                );
            }
        }
    }
    let kept: usize =
        clients[0].value("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'pgotter\\_%'").parse().unwrap();
    assert!((1..=3).contains(&kept), "{kept}");
}

#[test]
fn equal_statements_under_other_time_zones_are_not_the_same() {
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1");
    let zones = [("UTC", "00"), ("Asia/Tokyo", "09"), ("UTC", "00")];
    let mut clients = zones.map(|(zone, _)| Raw::log_in(pgotter.port(), &[("TimeZone", zone)]));
    // PostgreSQL reads the constant when it prepares the statement.
    let text = "SELECT extract(epoch FROM timestamptz '2026-01-01 00:00:00')::bigint";
    let mut seen = Vec::new();
    for client in &mut clients {
        client.send(&synced(&[parse("s", text)]));
        client.until_ready();
    }
    for client in &mut clients {
        client.send(&synced(&[run("s", &[])]));
        seen.push(first_value(&client.until_ready()).unwrap());
    }
    assert_eq!(seen, ["1767225600", "1767193200", "1767225600"]);
    assert_eq!(
        clients[0].value("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'pgotter\\_%'"),
        "2",
        "equal ones are shared"
    );
}

#[test]
fn what_is_said_of_statements_in_the_middle_of_a_copy_ends_the_connection() {
    let server = shared_postgres();
    must(server.psql("postgres", "CREATE TABLE IF NOT EXISTS copied (n int)"));
    let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1");
    for more in [close(b'S', "c"), parse("other", "SELECT 1")] {
        let mut answers = Vec::new();
        for port in [server.port(), pgotter.port()] {
            let mut client = Raw::log_in(port, &[]);
            client.send(&synced(&[parse("other", "SELECT 1"), close(b'S', "other")]));
            client.until_ready();
            let copy = [parse("c", "COPY copied FROM STDIN"), bind("", "c", &[]), execute("", 0)].concat();
            client.send(&[copy, more.clone(), sync()].concat());
            let kinds: String = client.until_end().iter().map(|frame| char::from(frame.kind)).collect();
            answers.push(kinds);
        }
        assert_eq!(answers[1], answers[0]);
    }
}

#[test]
fn close_and_flush_without_a_sync_are_answered_at_once() {
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.send(&synced(&[parse("a", "SELECT 1")]));
    client.until_ready();
    client.send(&[close(b'S', "a"), flush()].concat());
    assert_eq!(client.frame().unwrap().kind, b'3');
    client.send(&[parse("a", "SELECT 1"), flush()].concat());
    assert_eq!(client.frame().unwrap().kind, b'1');
    client.send(&sync());
    assert_eq!(client.until_ready().len(), 1);
}

#[test]
fn a_client_that_vanishes_in_a_pipeline_leaves_what_is_believed_of_the_server_true() {
    let server = postgres(&Options::default());
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 1");
    for round in 0..10 {
        let mut client = Raw::log_in(pgotter.port(), &[]);
        let text = format!("SELECT {round}");
        // The first fails; the second is skipped, or cut off.
        client.send(&[parse("bad", "SELECT no_such"), parse("good", &text), bind("", "good", &[])].concat());
        drop(client);
        let mut next = Raw::log_in(pgotter.port(), &[]);
        next.send(&synced(&[parse("good", &text), run("good", &[])]));
        let answer = next.until_ready();
        assert_eq!(first_value(&answer), Some(round.to_string()), "{}", print(&answer));
    }
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    assert_eq!(must(server.psql("postgres", sql)), "1", "the server was good enough to be kept");
}

#[test]
fn statements_that_a_do_block_has_dropped_are_prepared_again() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    client.send(&synced(&[parse("s", "SELECT 'still there'"), run("s", &[])]));
    client.until_ready();
    assert!(error_code(&other.ask("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")).is_none());
    drop(other);
    client.send(&synced(&[run("s", &[])]));
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("still there"));
}

#[test]
fn a_client_that_changes_its_settings_changes_no_statement_of_others() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1\nmax_prepared_statements = 1");
    let text = "SELECT extract(epoch FROM timestamptz '2026-01-01 00:00:00')::bigint";
    let tokyo = || Raw::log_in(pgotter.port(), &[("TimeZone", "Asia/Tokyo")]);
    for changes in [&["SET TimeZone = 'UTC'"][..], &["BEGIN", "SET LOCAL TimeZone = 'UTC'"]] {
        let (mut first, mut second) = (tokyo(), tokyo());
        first.send(&synced(&[parse("s", text)]));
        first.until_ready();
        // The server has room for one.
        second.send(&synced(&[parse("other", "SELECT 1"), run("other", &[])]));
        second.until_ready();
        for change in changes {
            first.ask(change);
        }
        first.send(&synced(&[run("s", &[])]));
        first.until_ready();
        first.send(&synced(&[parse("t", text)]));
        first.until_ready();
        first.ask("COMMIT");
        second.send(&synced(&[parse("s", text), run("s", &[])]));
        assert_eq!(first_value(&second.until_ready()).as_deref(), Some("1767193200"), "behind {changes:?}");
    }
}

#[test]
fn names_are_kept_where_dropping_them_fails_in_a_block_that_nobody_knows_to_have_failed() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    for drop in ["DEALLOCATE ALL", "DISCARD ALL"] {
        for requests in [
            [query("BEGIN; SELECT 1/0"), query(drop), query("ROLLBACK")].concat(),
            [query("BEGIN"), query("SELECT 1/0"), extended(drop, &[]), sync(), query("ROLLBACK")].concat(),
        ] {
            let mut client = Raw::log_in(pgotter.port(), &[]);
            client.send(&[parse("s", "SELECT 'kept'"), sync()].concat());
            client.until_ready();
            // All in one write: nothing of it has been answered when the next is sent on.
            client.send(&[requests, query("SELECT 'end'")].concat());
            while first_value(&client.until_ready()).as_deref() != Some("end") {}
            client.send(&[bind("", "s", &[]), execute("", 0), sync()].concat());
            assert_eq!(first_value(&client.until_ready()).as_deref(), Some("kept"), "behind {drop}");
        }
    }
}

#[test]
fn a_query_that_is_answered_or_refused_without_its_server_drops_the_unnamed_statement_too() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 3\nmax_pinned = 1");
    let mut pinned = Raw::log_in(pgotter.port(), &[]);
    pinned.ask("CREATE TEMP TABLE mine (n int)");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    for (sql, in_block) in [("DEALLOCATE s", true), ("CREATE TEMP TABLE mine (n int)", false), ("RESET ALL", false)] {
        client.send(&[parse("s", "SELECT 1"), close(b'S', "u"), sync()].concat());
        client.until_ready();
        if in_block {
            client.ask("BEGIN");
            client.ask("SELECT 1");
        }
        client.send(&[parse("", "SELECT 'unnamed'"), sync()].concat());
        client.until_ready();
        client.ask(sql);
        client.send(&[bind("", "", &[]), sync()].concat());
        assert_eq!(error_code(&client.until_ready()).as_deref(), Some("26000"), "behind {sql}");
        client.ask("ROLLBACK");
    }
}

#[test]
fn a_bind_that_is_cut_where_its_data_looks_like_a_sync_is_one_that_is_cut() {
    let settings = "default_pool_size = 1\nmax_prepared_statements = 1\nrequest_gather = \"1KiB\"";
    let pgotter = PgOtter::in_front_of(shared_postgres(), settings);
    let told = |looks_like: &[u8; 5]| {
        let mut client = Raw::log_in(pgotter.port(), &[("TimeZone", "Asia/Tokyo")]);
        let sql = "SELECT timestamptz '2026-01-01 00:00:00' AT TIME ZONE 'UTC', length($1::bytea)";
        // The server has no room for both.
        client.send(&[parse("a", sql), sync(), parse("b", "SELECT 1"), sync()].concat());
        client.until_ready();
        client.until_ready();
        client.ask("SET TimeZone = 'America/New_York'");
        let value = [b'x'; 9_000];
        let mut bind = message(b'B', &[b"\0a\0\0\x01\0\x01\0\x01\0\0\x23\x28", &value[..], b"\0\0"].concat());
        // Buffers have round sizes.
        bind[..9_000].chunks_exact_mut(256).for_each(|part| part[251..].copy_from_slice(looks_like));
        client.send(&[bind, execute("", 0), sync()].concat());
        let frames = client.until_ready();
        let row = frames.iter().find(|frame| frame.kind == b'D').unwrap_or_else(|| panic!("{}", print(&frames)));
        row_values(row)
    };
    assert_eq!(told(b"S\0\0\0\x04"), told(b"s\0\0\0\x04"));
}
