//! What is PgOtter's own is set, shown and undone as PostgreSQL does it with its own, and no server ever hears of it.

use crate::support::raw::*;
use crate::support::{PgOtter, shared_postgres};
use crate::world::*;

/// The rows of an answer.
fn rows(frames: &[Frame]) -> Vec<Vec<String>> {
    let row = |frame: &Frame| row_values(frame).into_iter().map(|value| value.unwrap_or("NULL".into())).collect();
    frames.iter().filter(|frame| frame.kind == b'D').map(row).collect()
}

fn tags(frames: &[Frame]) -> Vec<String> {
    let tag = |frame: &Frame| String::from_utf8_lossy(frame.body.strip_suffix(b"\0").unwrap()).into_owned();
    frames.iter().filter(|frame| frame.kind == b'C').map(tag).collect()
}

fn route(client: &mut Raw) -> String {
    rows(&client.ask("SHOW pgotter.route")).remove(0).remove(3)
}

fn run(client: &mut Raw, text: &str) -> Vec<Frame> {
    client.send(&[parse("", text), bind("", "", &[]), describe(b'P', ""), execute("", 0), sync()].concat());
    client.until_ready()
}

/// No server has heard of them, but in texts that were sure to fail.
fn assert_unheard(world: &World) {
    for server in world.replicas.iter().chain([&world.primary]) {
        let log = server.log();
        let heard = |line: &&str| {
            let line = line.to_ascii_lowercase();
            ["set pgotter.", "set local pgotter.", "show pgotter.", "reset pgotter."]
                .iter()
                .any(|set| line.contains(set))
                && !line.contains("execute \"pgotter.nothing\";")
                && !line.contains("statement:  ")
        };
        assert_eq!(log.lines().filter(heard).collect::<Vec<_>>(), [""; 0]);
    }
}

#[test]
fn a_client_sets_where_it_runs_and_is_shown_where_it_ran() {
    let world = World::new("");
    world.define("t (a int)", "");
    let mut client = world.client();
    let host = |server: &pgotter::cli::local_postgres::LocalPostgres| format!("127.0.0.1:{}", server.port());
    assert_eq!(rows(&client.ask("SHOW pgotter.route")), [["NULL", "NULL", "NULL", "", "NULL"]]);
    for (server, name) in world.replicas.iter().zip(REPLICAS) {
        let at = host(server);
        assert_eq!(tags(&client.ask(&format!("SET pgotter.route = 'host={at}'"))), ["SET"]);
        eventually("it is near enough", || client.value(WHERE) == name);
        let shown = client.ask("SHOW pgotter.route");
        assert_eq!(
            (rows(&shown), tags(&shown)),
            (
                vec![vec![at.clone(), "replica".into(), "hint".into(), format!("host={at}"), "postgres".into()]],
                vec!["SHOW".to_owned()]
            )
        );
        assert_eq!(rows(&run(&mut client, "SHOW pgotter.route")), rows(&shown));
        for position in [client.ask("SHOW pgotter.lsn"), run(&mut client, "SHOW pgotter.lsn")] {
            assert!(
                first_value(&position).unwrap().contains('/'),
                "it is the primary that is asked: {}",
                print(&position)
            );
        }
    }
    for text in ["/* by app */ SET pgotter.route = 'replica'", "-- by app\n/* and */ SET pgotter.route = ''"] {
        assert_eq!(tags(&client.ask(text)), ["SET"], "{text}");
        assert_eq!(tags(&run(&mut client, text)), ["SET"], "{text}");
    }
    client.ask("SET pgotter.route TO primary");
    assert_eq!(client.value(WHERE), PRIMARY);
    assert_eq!(
        rows(&client.ask("show pgotter.route;")),
        [[host(&world.primary), "primary".into(), "hint".into(), "primary".into(), "postgres".into()]]
    );
    assert_ne!(client.value(&format!("/* pgotter: replica */ {WHERE}")), PRIMARY, "a hint counts before it");
    let frames = client.ask("INSERT INTO t VALUES (1)");
    assert!(frames.iter().all(|frame| frame.kind != b'N'), "{}", print(&frames));
    assert_eq!(rows(&client.ask("SHOW pgotter.route"))[0][1..3], ["primary", "write"]);
    client.ask("SET pgotter.route = ''");
    eventually("reads run on replicas", || client.value(WHERE) != PRIMARY);
    assert_eq!(rows(&client.ask("SHOW pgotter.route"))[0][2..], ["read", "", "postgres"]);
    assert_unheard(&world);
}

#[test]
fn what_is_set_goes_with_its_transaction() {
    let world = World::new("");
    for extended in [false, true] {
        for on_server in [false, true] {
            let mut client = world.client();
            let ask = |client: &mut Raw, text: &str| {
                let frames = if extended { run(client, text) } else { client.ask(text) };
                assert_eq!(error_code(&frames), None, "{text}: {}", print(&frames));
            };
            let begin = |client: &mut Raw| {
                ask(client, "BEGIN");
                if on_server {
                    ask(client, "SELECT 1");
                }
            };
            ask(&mut client, "SET pgotter.route = 'primary'");
            begin(&mut client);
            ask(&mut client, "SET pgotter.route = 'replica'");
            assert_eq!(route(&mut client), "replica");
            ask(&mut client, "ROLLBACK");
            assert_eq!(route(&mut client), "primary", "extended {extended}, on a server {on_server}");
            begin(&mut client);
            ask(&mut client, "SET pgotter.route = 'replica'");
            ask(&mut client, "SET LOCAL pgotter.route = 'replica stale'");
            assert_eq!(route(&mut client), "replica stale");
            ask(&mut client, "COMMIT");
            assert_eq!(route(&mut client), "replica");
            begin(&mut client);
            ask(&mut client, "SAVEPOINT a");
            ask(&mut client, "RESET pgotter.route");
            ask(&mut client, "SAVEPOINT b");
            ask(&mut client, "SET pgotter.route = 'primary'");
            ask(&mut client, "ROLLBACK TO b");
            assert_eq!(route(&mut client), "");
            ask(&mut client, "ROLLBACK TO a");
            assert_eq!(route(&mut client), "replica");
            ask(&mut client, "COMMIT");
            assert_eq!(route(&mut client), "replica");
            // What fails takes it along.
            begin(&mut client);
            ask(&mut client, "SET pgotter.route = 'primary'");
            assert_eq!(error_code(&client.ask("SELECT 1/0")).as_deref(), Some("22012"));
            assert_eq!(error_code(&client.ask("SET pgotter.route = ''")).as_deref(), Some("25P02"));
            assert_eq!(error_code(&run(&mut client, "SET pgotter.route = ''")).as_deref(), Some("25P02"));
            client.ask("COMMIT");
            assert_eq!(route(&mut client), "replica");
            for reset in ["RESET pgotter.route", "SET pgotter.route TO DEFAULT", "RESET ALL", "DISCARD ALL"] {
                ask(&mut client, "SET pgotter.route = 'primary'");
                ask(&mut client, reset);
                assert_eq!(route(&mut client), "", "{reset}");
            }
        }
    }
    assert_unheard(&world);
}

#[test]
fn a_block_that_only_reads_runs_where_it_is_set() {
    let world = World::new("");
    let mut client = world.client();
    let host = format!("host=127.0.0.1:{}", world.replicas[1].port());
    for extended in [false, true] {
        client.ask("BEGIN READ ONLY");
        let set = format!("SET LOCAL pgotter.route = '{host}'");
        assert_eq!(tags(&if extended { run(&mut client, &set) } else { client.ask(&set) }), ["SET"]);
        assert_eq!(client.value(WHERE), REPLICAS[1]);
        assert_eq!(rows(&client.ask("SHOW pgotter.route"))[0][1..], ["replica", "hint", &host, "postgres"]);
        client.ask("COMMIT");
        assert_eq!(route(&mut client), "");
    }
    let frames = client.ask("SET LOCAL pgotter.route = 'primary'");
    assert_eq!(frames[0].field(b'C').as_deref(), Some("25P01"), "{}", print(&frames));
    assert_eq!((frames[0].kind, frames[0].field(b'S').as_deref()), (b'N', Some("WARNING")));
    assert_eq!(route(&mut client), "");
}

#[test]
fn a_bad_value_is_refused_and_ends_its_block() {
    let world = World::new("");
    let mut client = world.client();
    for (text, code) in [
        ("SET pgotter.route = 'anywhere'", "22023"),
        ("SET pgotter.route = 'host=nowhere'", "22023"),
        ("SET pgotter.route FROM CURRENT", "22023"),
        ("SET pgotter.after_lsn = 'x'", "22023"),
        ("SET pgotter.lsn = '0/0'", "55P02"),
        ("SET pgotter.rout = 'primary'", "42704"),
        ("SHOW pgotter.rout", "42704"),
        ("SET pgotter.route = 'primary'; SELECT 1", "0A000"),
        ("SELECT set_config('pgotter.route', 'primary', false)", "0A000"),
    ] {
        for begin in ["", "BEGIN", "BEGIN; SELECT 1"] {
            client.ask(begin);
            let frames = client.ask(text);
            assert_eq!(error_code(&frames).as_deref(), Some(code), "{text}: {}", print(&frames));
            let failed = error_code(&client.ask("SELECT 1"));
            assert_eq!(failed.as_deref(), Some("25P02").filter(|_| !begin.is_empty()), "{begin}; {text}");
            client.ask("ROLLBACK");
            client.ask(begin);
            let frames = run(&mut client, text);
            let syntax = text.contains("; ").then_some("42601");
            assert_eq!(error_code(&frames).as_deref(), syntax.or(Some(code)), "{text}: {}", print(&frames));
            let failed = error_code(&client.ask("SELECT 1"));
            assert_eq!(failed.as_deref(), Some("25P02").filter(|_| !begin.is_empty()), "{begin}; {text}, extended");
            client.ask("ROLLBACK");
        }
    }
    let error = client.ask("SET pgotter.route = 'anywhere'").remove(0);
    assert_eq!(error.field(b'M').as_deref(), Some("invalid value for parameter \"pgotter.route\": \"anywhere\""));
    assert!(error.field(b'H').unwrap().starts_with("Available values: primary, replica,"));
    assert_eq!(route(&mut client), "");
    assert_unheard(&world);
}

#[test]
fn drivers_prepare_it_and_send_it_among_other_requests() {
    let world = World::new("");
    world.define("t (a int)", "");
    let mut client = world.client();
    // Prepared and described first, as drivers do, then run; and by a name.
    for name in ["", "own"] {
        client.send(&[parse(name, "SHOW pgotter.route"), describe(b'S', name), sync()].concat());
        let frames = client.until_ready();
        assert_eq!(frames.iter().map(|frame| frame.kind).collect::<Vec<_>>(), b"1tTZ");
        client.send(&[bind("", name, &[]), describe(b'P', ""), execute("", 0), sync()].concat());
        let frames = client.until_ready();
        assert_eq!(frames.iter().map(|frame| frame.kind).collect::<Vec<_>>(), b"2TDCZ");
        client.send(&[parse(name, "SELECT 1"), sync()].concat());
        assert_eq!(error_code(&client.until_ready()).as_deref(), (!name.is_empty()).then_some("42P05"));
    }
    client.send(
        &[close(b'S', "own"), sync(), parse("own", "SELECT 2"), bind("", "own", &[]), execute("", 0), sync()].concat(),
    );
    client.until_ready();
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("2"));
    // In the middle of a request, with the transaction that that is.
    let set = |value: &str| {
        let set = format!("SET pgotter.route = '{value}'");
        [parse("", &set), bind("", "", &[]), execute("", 0)].concat()
    };
    let write = |value: &str| {
        [parse("", &format!("INSERT INTO t VALUES ({value})")), bind("", "", &[]), execute("", 0)].concat()
    };
    client.send(&[write("1"), set("primary"), write("2"), sync()].concat());
    let frames = client.until_ready();
    assert_eq!(tags(&frames), ["INSERT 0 1", "SET", "INSERT 0 1"], "{}", print(&frames));
    assert_eq!(route(&mut client), "primary");
    client.send(&[write("1"), set("replica"), write("1/0"), set("replica stale"), sync()].concat());
    let frames = client.until_ready();
    assert_eq!(
        (tags(&frames), error_code(&frames).as_deref()),
        (vec!["INSERT 0 1".to_owned(), "SET".to_owned()], Some("22012"))
    );
    assert_eq!(route(&mut client), "primary", "the request has failed as a whole");
    // Many requests at once.
    let mut sent = Vec::new();
    for value in ["replica", "primary", "replica stale"] {
        sent.extend([write("1"), sync(), set(value), sync(), query("SELECT 1"), query("SHOW pgotter.route")].concat());
        sent.extend([write("1/0"), sync()].concat());
    }
    client.send(&sent);
    for value in ["replica", "primary", "replica stale"] {
        assert_eq!(tags(&client.until_ready()), ["INSERT 0 1"]);
        assert_eq!(tags(&client.until_ready()), ["SET"]);
        assert_eq!(first_value(&client.until_ready()).as_deref(), Some("1"));
        assert_eq!(rows(&client.until_ready())[0][3], value);
        assert_eq!(error_code(&client.until_ready()).as_deref(), Some("22012"));
    }
    assert_eq!(route(&mut client), "replica stale");
    assert_unheard(&world);
}

#[test]
fn a_client_comes_with_it_and_returns_to_that() {
    let world = World::new("");
    let come = |options: &str| Raw::log_in(world.pgotter.port(), &[("options", options)]);
    let mut client = come("-c pgotter.route=primary");
    assert_eq!(client.value(WHERE), PRIMARY);
    client.ask("SET pgotter.route = 'replica'");
    client.ask("DISCARD ALL");
    assert_eq!(route(&mut client), "primary");
    let mut refused = Raw::connect(world.pgotter.port());
    refused.send(&startup(3, 0, &[USER, &[("options", "-c pgotter.route=anywhere")]].concat()));
    assert_eq!(refused.until(b'E').last().and_then(|error| error.field(b'C')).as_deref(), Some("22023"));
    assert_unheard(&world);
}

#[test]
fn where_there_is_one_host_it_is_answered_as_well() {
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, "");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.ask("SET pgotter.route = 'replica'");
    let shown = rows(&client.ask("SHOW pgotter.route"));
    let host = format!("127.0.0.1:{}", server.port());
    assert_eq!(shown, [[host, "primary".into(), "single".into(), "replica".into(), "postgres".into()]]);
    assert_eq!(rows(&run(&mut client, "SHOW pgotter.route")), shown);
    assert_eq!(client.value("SELECT coalesce(current_setting('pgotter.route', true), 'unheard')"), "unheard");
    assert!(client.value("SHOW pgotter.lsn").contains('/'));
}

#[test]
fn a_position_carries_what_must_be_seen_from_one_process_to_another() {
    let world = World::new("");
    world.define("t (a int)", "INSERT INTO t VALUES (0)");
    // Another process, which hears nothing of what clients of this one write.
    let other = world.another();
    let mut writer = world.client();
    let mut reader = Raw::log_in(other.port(), &[]);
    eventually("the other process reads on replicas", || reader.value(WHERE) != PRIMARY);
    for extended in [false, true] {
        world.pause_replay(true);
        writer.ask("UPDATE t SET a = a + 1");
        let written = writer.value("SELECT a FROM t");
        let shown = if extended { run(&mut writer, "SHOW pgotter.lsn") } else { writer.ask("SHOW pgotter.lsn") };
        let lsn = first_value(&shown).unwrap();
        assert_ne!(reader.value("SELECT a FROM t"), written, "the test would prove nothing");
        let set = format!("SET pgotter.after_lsn = '{lsn}'");
        let set = if extended { run(&mut reader, &set) } else { reader.ask(&set) };
        assert_eq!(tags(&set), ["SET"]);
        assert_eq!(reader.value("SHOW pgotter.after_lsn"), lsn);
        assert_eq!(reader.value("SELECT a FROM t"), written);
        assert_eq!(rows(&reader.ask("SHOW pgotter.route"))[0][1..3], ["primary", "fresh"]);
        reader.ask("BEGIN READ ONLY");
        assert_eq!(reader.value("SELECT a FROM t"), written);
        reader.ask("COMMIT");
        world.pause_replay(false);
        eventually("it reads on replicas again", || reader.value(WHERE) != PRIMARY);
        assert_eq!(reader.value("SELECT a FROM t"), written);
    }
    // A position that nobody has written to yet is behind the header of its page.
    world.on_primary("SELECT pg_switch_wal()");
    let lsn = writer.value("SHOW pgotter.lsn");
    reader.ask(&format!("SET pgotter.after_lsn = '{lsn}'"));
    eventually("it reads on replicas", || reader.value(WHERE) != PRIMARY);
    reader.ask("BEGIN READ ONLY");
    reader.ask(WHERE);
    let frames = reader.ask("SHOW pgotter.lsn");
    assert_eq!(error_code(&frames).as_deref(), Some("25006"), "{}", print(&frames));
    reader.ask("ROLLBACK");
    assert_unheard(&world);
}

#[test]
fn in_the_middle_of_a_copy_nobody_waits() {
    let world = World::new("");
    world.define("t (a int)", "");
    let mut client = world.client();
    client.send(&query("COPY t FROM STDIN"));
    client.until(b'G');
    client.send(&[copy_data("1\n"), query("SET pgotter.route = 'primary'")].concat());
    let frames = client.until_ready();
    assert_eq!(error_code(&frames).as_deref(), Some("08P01"), "{}", print(&frames));
    // What ended it is read as PostgreSQL reads it.
    client.send(&query("SELECT 7"));
    let answers = client.until_ready();
    assert!(
        first_value(&answers).is_some_and(|value| value == "7") || error_code(&answers).is_none(),
        "{}",
        print(&answers)
    );
    assert_unheard(&world);
}

#[test]
fn what_is_taken_back_in_one_packet_with_something_else_is_taken_back() {
    let world = World::new("");
    let mut client = world.client();
    for (first, reset, left) in [
        ("SELECT 1/0", "DISCARD ALL", ""),
        ("SELECT 1/0", "RESET ALL", ""),
        ("SELECT 1", "RESET ALL; SELECT 1/0", "primary"),
    ] {
        client.ask("SET pgotter.route = 'primary'");
        client.send(&[query(first), query(reset)].concat());
        client.until_ready();
        client.until_ready();
        assert_eq!(route(&mut client), left, "{first}, {reset}");
    }
    client.ask("SET pgotter.route = 'primary'; ");
    for text in ["BEGIN", "SELECT 1", "SET pgotter.route = 'replica'", "SAVEPOINT a"] {
        assert_eq!(error_code(&client.ask(text)), None, "{text}");
    }
    client.send(&[query("SELECT 1/0"), query("ROLLBACK TO a")].concat());
    client.until_ready();
    client.until_ready();
    assert_eq!(route(&mut client), "replica", "it was set in front of the savepoint");
    client.ask("COMMIT");
    assert_eq!(route(&mut client), "replica");
}
