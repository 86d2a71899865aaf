//! What a hint in a comment asks for it gets among the servers that may have the request; else its client hears why not.

use crate::support::raw::*;
use crate::world::*;

/// Messages and details of the notices among these.
fn notices(frames: &[Frame]) -> Vec<String> {
    let told = frames.iter().filter(|frame| frame.kind == b'N');
    told.map(|frame| format!("{}: {}", frame.field(b'M').unwrap(), frame.field(b'D').unwrap())).collect()
}

fn kinds(frames: &[Frame]) -> Vec<u8> {
    frames.iter().map(|frame| frame.kind).collect()
}

fn hinted(hint: &str) -> String {
    format!("/* pgotter: {hint} */ {WHERE}")
}

#[test]
fn a_hint_chooses_the_host_of_a_read_in_every_form() {
    let world = World::new("");
    let asked = |hint: &str, expected: &[&str]| {
        let mut client = world.client();
        for _ in 0..8 {
            let frames = client.ask(&hinted(hint));
            let host = first_value(&frames).unwrap();
            assert!(expected.contains(&host.as_str()) && notices(&frames).is_empty(), "{hint}: {}", print(&frames));
            let unnamed = [parse("", &hinted(hint)), bind("", "", &[]), execute("", 0), sync()].concat();
            client.send(&[unnamed, parse("h", &hinted(hint)), sync()].concat());
            let host = first_value(&client.until_ready()).unwrap();
            assert!(expected.contains(&host.as_str()), "{hint}: {host}");
            client.until_ready();
            client.send(&[bind("", "h", &[]), execute("", 0), close(b'S', "h"), sync()].concat());
            let host = first_value(&client.until_ready()).unwrap();
            assert!(expected.contains(&host.as_str()), "{hint}: {host}");
        }
    };
    let before = (world.decisions("primary", "hint"), world.decisions("replica", "hint"));
    asked("primary", &[PRIMARY]);
    asked("replica", &REPLICAS);
    asked("replica stale", &REPLICAS);
    for (replica, name) in world.replicas.iter().zip(REPLICAS) {
        asked(&format!("host=127.0.0.1:{}", replica.port()), &[name]);
    }
    asked(&format!("host=127.0.0.1:{}", world.primary.port()), &[PRIMARY]);
    assert_eq!(world.decisions("primary", "hint"), before.0 + 64);
    assert_eq!(world.decisions("replica", "hint"), before.1 + 128);
}

#[test]
fn the_hint_of_a_statement_is_none_of_the_one_that_takes_its_place() {
    let world = World::new("");
    let mut client = world.client();
    let mut host = |text: &str| {
        client.send(&[parse("", text), bind("", "", &[]), execute("", 0), sync()].concat());
        first_value(&client.until_ready()).unwrap()
    };
    for _ in 0..8 {
        assert_eq!(host(&hinted("primary")), PRIMARY);
        assert_eq!(host(&hinted("primary")), PRIMARY, "the same again");
        for _ in 0..2 {
            let host = host(WHERE);
            assert!(REPLICAS.contains(&host.as_str()), "{host}");
        }
    }
}

#[test]
fn what_is_not_granted_is_a_notice_in_front_of_the_answer() {
    let world = World::new("");
    world.define("t (a int)", "INSERT INTO t VALUES (0)");
    let mut client = world.client();
    let write = "/* pgotter: replica */ INSERT INTO t VALUES (1) RETURNING current_setting('otter.host')";
    let told = "hint \"replica\" is not granted: The statement runs on the primary (write).";
    let frames = client.ask(write);
    assert_eq!((first_value(&frames).as_deref(), notices(&frames)), (Some(PRIMARY), vec![told.to_owned()]));
    assert_eq!(kinds(&frames), b"NTDCZ");
    assert_eq!(frames[0].field(b'S').as_deref(), Some("NOTICE"));
    client.send(&[parse("", write), bind("", "", &[]), describe(b'P', ""), execute("", 0), sync()].concat());
    let frames = client.until_ready();
    assert_eq!((kinds(&frames).as_slice(), notices(&frames)), (&b"N12TDCZ"[..], vec![told.to_owned()]));
    for (hint, why) in [
        ("host=nowhere", "hint \"host=nowhere\" is not granted: The database has no such host, or several."),
        ("host=127.0.0.1", "hint \"host=127.0.0.1\" is not granted: The database has no such host, or several."),
        ("anywhere", "hint is not understood: It is none of primary, replica, replica stale, host=NAME."),
        ("primary */ /* pgotter: replica", "hint is not understood: The hints of one request contradict each other."),
    ] {
        let frames = client.ask(&hinted(hint));
        assert_eq!(notices(&frames), [why], "{}", print(&frames));
        assert!(first_value(&frames).is_some());
    }
    client.ask("SET client_min_messages = warning");
    assert_eq!(kinds(&client.ask(write)), b"TDCZ", "its client wants no notices");
    client.ask("SET client_min_messages = notice");
    assert_eq!(notices(&client.ask(write)).len(), 1);
}

#[test]
fn what_is_not_granted_is_told_once_though_the_read_moves() {
    let world = World::new("read_your_writes = \"off\"");
    for hint in ["anywhere", "host=nowhere", "primary */ /* pgotter: replica"] {
        let mut client = world.client();
        let frames = client.ask(&format!("/* pgotter: {hint} */ SELECT 1/0"));
        assert_eq!((notices(&frames).len(), error_code(&frames).as_deref()), (1, Some("22012")), "{}", print(&frames));
    }
    eventually("they were tried on a replica", || world.retries("other_error") >= 3);
}

#[test]
fn a_hint_lifts_freshness_only_where_it_says_so() {
    let world = World::new("read_your_writes = \"session\"");
    world.define("t (a int)", "INSERT INTO t VALUES (0)");
    world.pause_replay(true);
    let mut client = world.client();
    client.ask("UPDATE t SET a = 1");
    let frames = client.ask("/* pgotter: replica */ SELECT a FROM t");
    assert_eq!(first_value(&frames).as_deref(), Some("1"));
    assert_eq!(notices(&frames), ["hint \"replica\" is not granted: The statement runs on the primary (fresh)."]);
    let frames = client.ask("/* pgotter: replica stale */ SELECT a FROM t");
    assert_eq!((first_value(&frames).as_deref(), notices(&frames)), (Some("0"), vec![]));
    assert_eq!(client.value("SELECT a FROM t"), "1", "behind it the client sees its own write again");
    world.pause_replay(false);
}

#[test]
fn a_host_that_is_named_answers_for_itself_and_nobody_else_does() {
    let world = World::new("");
    let mut client = world.client();
    let host = format!("/* pgotter: host=127.0.0.1:{} */", world.replicas[1].port());
    eventually("the replica is near enough", || {
        let frames = client.ask(&format!("{host} SELECT pg_is_in_recovery()"));
        first_value(&frames).as_deref() == Some("t")
    });
    let read = format!("{host} SELECT setting FROM pg_settings WHERE name = 'port'");
    assert_eq!(client.value(&read), world.replicas[1].port().to_string());
    assert_eq!(client.value(&format!("{host} SHOW transaction_read_only")), "on");
    // A replica's own refusal is heard: another host would answer something else.
    let frames = client.ask(&format!("{host} SELECT pg_is_in_recovery(), 1/0"));
    assert_eq!(error_code(&frames).as_deref(), Some("22012"), "{}", print(&frames));
    client.ask("BEGIN READ ONLY");
    assert_eq!(client.value(&format!("{host} {WHERE}")), REPLICAS[1]);
    assert_eq!(client.value("SELECT pg_is_in_recovery()"), "t");
    client.ask("COMMIT");
    assert_eq!(client.value("SELECT pg_is_in_recovery()"), "f", "without a hint it is the primary's to say");
    let frames = client.ask("/* pgotter: replica */ SELECT pg_is_in_recovery()");
    assert_eq!(first_value(&frames).as_deref(), Some("f"));
    assert_eq!(notices(&frames), ["hint \"replica\" is not granted: The statement runs on the primary (node)."]);
}

#[test]
fn a_hint_in_a_transaction_is_granted_if_it_is_there_already() {
    let world = World::new("");
    let mut client = world.client();
    client.ask("BEGIN");
    let told = "hint \"replica\" is not granted: The statement runs on the primary (transaction).";
    for _ in 0..2 {
        assert_eq!(notices(&client.ask(&hinted("replica"))), [told]);
        assert_eq!(notices(&client.ask(&hinted("primary"))), [""; 0]);
    }
    client.ask("ROLLBACK");
    client.ask("BEGIN READ ONLY");
    assert_ne!(client.value(&hinted("replica")), PRIMARY);
    assert_eq!(notices(&client.ask(&hinted("primary"))).len(), 1);
    assert_eq!(notices(&client.ask(&hinted("replica"))), [""; 0]);
    client.ask("COMMIT");
    // All at once: notices stand between messages, never within one.
    let mut sent = query("BEGIN");
    (0..50).for_each(|_| sent.extend(query(&format!("{} || repeat('x', 5000)", hinted("replica")))));
    sent.extend(query("COMMIT"));
    client.send(&sent);
    let answers: Vec<_> = (0..52).map(|_| client.until_ready()).collect();
    assert!(answers[1..51].iter().all(|frames| first_value(frames).unwrap().starts_with(PRIMARY)));
}

#[test]
fn a_hint_that_no_replica_can_grant_is_told_of_and_answered_by_the_primary() {
    let mut world = World::new("");
    let mut client = world.client();
    let (replica, name) = (world.replicas[0].port(), REPLICAS[0]);
    assert_eq!(client.value(&hinted(&format!("host=127.0.0.1:{replica}"))), name);
    for replica in &mut world.replicas {
        replica.stop(pgotter::cli::local_postgres::StopMode::Fast).unwrap();
    }
    for hint in [format!("host=127.0.0.1:{replica}"), "replica".to_owned()] {
        let frames = client.ask(&hinted(&hint));
        assert_eq!(first_value(&frames).as_deref(), Some(PRIMARY));
        assert_eq!(notices(&frames).len(), 1, "{}", print(&frames));
    }
}

#[test]
fn in_mode_observe_hints_are_counted_and_nothing_else() {
    let world = World::with("mode = \"observe\"", "");
    let mut client = world.client();
    let before = world.decisions("replica", "hint");
    let frames = client.ask(&hinted("replica"));
    assert_eq!((first_value(&frames).as_deref(), notices(&frames)), (Some(PRIMARY), vec![]));
    assert_eq!(world.decisions("replica", "hint"), before + 1);
}
