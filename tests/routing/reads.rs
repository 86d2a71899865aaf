//! Where requests run, in every form that the protocol has.

use crate::support::raw::*;
use crate::world::*;

fn value(frames: &[Frame]) -> String {
    first_value(frames).unwrap_or_else(|| panic!("no value: {}", print(frames)))
}

#[test]
fn reads_run_on_both_replicas_and_writes_on_the_primary_in_every_form() {
    let world = World::new("");
    world.define("t (a int)", "");
    let write = "INSERT INTO t VALUES (1) RETURNING current_setting('otter.host')";
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..16 {
        let mut client = world.client();
        let by_query = client.value(WHERE);
        client.send(&[parse("", WHERE), bind("", "", &[]), describe(b'P', ""), execute("", 0), sync()].concat());
        let unnamed = value(&client.until_ready());
        client.send(&[parse("r", WHERE), describe(b'S', "r"), sync()].concat());
        client.until_ready();
        client.send(&[bind("", "r", &[]), execute("", 0), sync()].concat());
        let named = value(&client.until_ready());
        for host in [by_query, unnamed, named] {
            assert!(REPLICAS.contains(&host.as_str()), "a read ran on {host}");
            seen.insert(host);
        }
        assert_eq!(client.value(write), PRIMARY);
        client.send(&[parse("w", write), bind("", "w", &[]), execute("", 0), sync()].concat());
        assert_eq!(value(&client.until_ready()), PRIMARY);
        client.send(&[bind("", "w", &[]), execute("", 0), sync()].concat());
        assert_eq!(
            value(&client.until_ready()),
            PRIMARY,
            "the statement's own verdict counts, and not the last Parse's"
        );
    }
    assert_eq!(seen.len(), 2, "all reads ran on {seen:?}");
}

#[test]
fn the_strictest_statement_of_a_request_decides_for_all_of_it() {
    let world = World::new("");
    world.define("t (a int)", "");
    let mut client = world.client();
    let frames = client.ask(&format!("{WHERE}; INSERT INTO t VALUES (1)"));
    assert_eq!(value(&frames), PRIMARY);
    let pipeline = [
        parse("", WHERE),
        bind("", "", &[]),
        execute("", 0),
        parse("", "INSERT INTO t VALUES (2)"),
        bind("", "", &[]),
        execute("", 0),
        sync(),
    ];
    client.send(&pipeline.concat());
    assert_eq!(value(&client.until_ready()), PRIMARY);
    assert_eq!(client.value("SELECT count(*) FROM t"), "2");
}

#[test]
fn requests_that_are_sent_at_once_run_each_where_it_may_and_are_answered_in_order() {
    let world = World::new("");
    world.define("t (a int)", "");
    let mut client = world.client();
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.extend(query(WHERE));
        sent.extend(query("INSERT INTO t VALUES (1) RETURNING current_setting('otter.host')"));
    }
    client.send(&sent);
    for at in 0..20 {
        value(&client.until_ready());
        assert_eq!(value(&client.until_ready()), PRIMARY, "write {at}");
    }
    assert_eq!(client.value("SELECT count(*) FROM t"), "20");
}

#[test]
fn settings_and_statements_go_with_the_client_to_every_host() {
    let world = World::new("");
    let mut client = world.client();
    client.ask("SET application_name = 'otter'; SET TimeZone = 'Asia/Tokyo'; SET search_path = pg_catalog");
    client.send(
        &[parse("s", "SELECT current_setting('otter.host') || to_char('2000-01-01Z'::timestamptz, 'HH24')"), sync()]
            .concat(),
    );
    client.until_ready();
    eventually("a replica is near enough", || REPLICAS.contains(&client.value(WHERE).as_str()));
    for _ in 0..10 {
        client.send(&[bind("", "s", &[]), execute("", 0), sync()].concat());
        let answer = value(&client.until_ready());
        assert!(answer.starts_with("replica") && answer.ends_with("09"), "{answer}");
        assert_eq!(client.value("SELECT set_config('work_mem', '5MB', false)"), "5MB");
        assert_eq!(client.value("SHOW TimeZone"), "Asia/Tokyo");
        eventually("a replica is near enough", || REPLICAS.contains(&client.value(WHERE).as_str()));
    }
    assert!(world.client().parameter("in_hot_standby").eq("off"));
}

#[test]
fn what_only_one_server_has_is_asked_of_the_primary() {
    let world = World::new("");
    let mut client = world.client();
    for read in [
        "SELECT pg_is_in_recovery()",
        "SHOW transaction_read_only",
        "SELECT pg_backend_pid() > 0 AND pg_is_in_recovery()",
    ] {
        assert!(["f", "off"].contains(&client.value(read).as_str()), "{read} was answered by a replica");
    }
    client.ask("CREATE TEMP TABLE mine AS SELECT current_setting('otter.host') AS host");
    assert_eq!(client.value("SELECT host FROM mine"), PRIMARY);
    assert_eq!(client.value(WHERE), PRIMARY, "a pinned client stays with its server");
    client.ask("DROP TABLE mine");
    eventually("the client is free again", || client.value(WHERE) != PRIMARY);
}

#[test]
fn a_client_that_listens_reads_on_replicas_and_hears_everything_in_order() {
    let world = World::new("read_your_writes = \"session\"");
    let mut client = world.client();
    client.ask("LISTEN news");
    let mut other = world.client();
    for round in 0..10 {
        eventually("a replica is near enough", || REPLICAS.contains(&client.value(WHERE).as_str()));
        other.ask(&format!("NOTIFY news, '{round}'"));
        let heard = client.until(b'A');
        let payload = format!("news\0{round}\0").into_bytes();
        assert!(heard.last().is_some_and(|frame| frame.body.ends_with(&payload)), "{}", print(&heard));
        client.send(&[parse("", WHERE), bind("", "", &[]), describe(b'P', ""), execute("", 0), sync()].concat());
        let kinds: Vec<u8> = client.until_ready().iter().map(|frame| frame.kind).collect();
        assert_eq!(kinds, b"12TDCZ");
    }
}

#[test]
fn bytes_of_answers_from_replicas_are_counted_once() {
    let world = World::new("");
    let mut client = world.client();
    let sent = || world.metric("pgotter_bytes_total{database=\"postgres\",direction=\"sent\"}");
    let before = sent();
    // Each whole answer is held back until its end is looked at.
    for _ in 0..200 {
        assert_ne!(client.value(&format!("{WHERE} || repeat('x', 5000)")).get(..7), Some(PRIMARY));
    }
    // A scrape may be a second old.
    eventually("it is counted", || sent() - before >= 1_000_000);
    assert!(sent() - before < 1_100_000, "{} bytes", sent() - before);
}
