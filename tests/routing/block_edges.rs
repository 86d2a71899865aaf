//! Blocks that read on replicas before they write, at their edges: what PostgreSQL lets a client do there it may do here. Each is compared with a
//! connection to PostgreSQL itself.

use crate::support::raw::*;
use crate::until_write::*;
use crate::world::*;
use rustix::process::Signal;

/// Fails behind its first rows, which are shown.
const FAILS: &str = "SELECT repeat('x', 9000), 1 / (5 - n) FROM generate_series(1, 9) n";

/// What is said, without notices: kinds, with tags, SQLSTATEs and states.
fn said(frames: &[Frame]) -> Vec<String> {
    let one = |frame: &Frame| match frame.kind {
        b'C' | b'Z' => format!("{} {}", char::from(frame.kind), frame.body.escape_ascii()),
        b'E' => format!("E {}", frame.field(b'C').unwrap_or_default()),
        kind => char::from(kind).to_string(),
    };
    frames.iter().filter(|frame| !matches!(frame.kind, b'N' | b'S')).map(one).collect()
}

/// Sends a request, of as many answers as it has ends.
fn answers(client: &mut Raw, request: &[u8], ends: usize) -> Vec<String> {
    client.send(request);
    (0..ends).flat_map(|_| said(&client.until_ready())).collect()
}

#[test]
fn what_runs_nothing_is_no_read_behind_which_it_is_too_late() {
    let (_world, mut client) = world();
    client.send(&[parse("r", WHERE), sync()].concat());
    client.until_ready();
    for nothing in [
        query(""),
        query(" ; "),
        query("/* by app */"),
        [close(b'S', "other"), sync()].concat(),
        [describe(b'S', "r"), sync()].concat(),
    ] {
        until_apart(&mut client);
        begin(&mut client);
        client.send(&nothing);
        assert_eq!(status(&client.until_ready()), 'T');
        let frames = client.ask("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
        assert_eq!((error_code(&frames), status(&frames)), (None, 'T'), "behind {}", nothing.escape_ascii());
        assert_eq!(client.value("SHOW transaction_isolation"), "repeatable read");
        client.ask("COMMIT");
    }
}

#[test]
fn how_to_read_is_said_by_a_statement_and_by_no_word_of_another() {
    let (world, mut client) = world();
    let mut direct = Raw::log_in(world.primary.port(), &[]);
    for text in [
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SET CONSTRAINTS ALL DEFERRED",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION DEFERRABLE",
        "BEGIN",
        "BEGIN READ ONLY",
        "SET TRANSACTION READ ONLY /* not serializable */",
        "SET TRANSACTION READ ONLY; SET LOCAL application_name = 'deferrable'",
        "SET CONSTRAINTS ALL DEFERRED",
        "COMMIT; BEGIN ISOLATION LEVEL SERIALIZABLE",
    ] {
        until_apart(&mut client);
        begin(&mut client);
        on_a_replica(&client.ask(WHERE));
        begin(&mut direct);
        direct.ask(WHERE);
        let (ours, theirs) = (said(&client.ask(text)), said(&direct.ask(text)));
        assert_eq!(ours, theirs, "{text}");
        assert_eq!(said(&client.ask("ROLLBACK")), said(&direct.ask("ROLLBACK")), "behind {text}");
    }
}

#[test]
fn a_failed_block_without_a_server_does_what_a_failed_block_does() {
    let (world, mut client) = world();
    let mut direct = Raw::log_in(world.primary.port(), &[]);
    let long = |text: &str| format!("/* {} */ {text}", "by app ".repeat(200));
    let run = |text: &str| extended(text, &[]);
    for (request, ends) in [
        (query("ROLLBACK AND CHAIN"), 1),
        (query("COMMIT AND CHAIN"), 1),
        (by_messages("ROLLBACK AND CHAIN"), 1),
        (query("ROLLBACK AND CHAIN; SELECT 1"), 1),
        ([close(b'S', "r"), sync()].concat(), 1),
        ([close(b'S', "r"), close(b'P', "p"), sync()].concat(), 1),
        ([close(b'S', "r"), run("ROLLBACK"), sync()].concat(), 1),
        ([close(b'S', "r"), run("SELECT 1"), sync()].concat(), 1),
        ([close(b'S', "r"), flush(), sync()].concat(), 1),
        ([close(b'S', "r"), query("COMMIT")].concat(), 1),
        (query(&long("ROLLBACK")), 1),
        (by_messages(&long("COMMIT")), 1),
        (query(&long("SELECT 1")), 1),
    ] {
        until_apart(&mut client);
        let mut heard = Vec::new();
        for client in [&mut client, &mut direct] {
            client.send(&[parse("r", "SELECT 1"), sync()].concat());
            client.until_ready();
            begin(client);
            let mut all = said(&client.ask(WHERE));
            all.extend(said(&client.ask(FAILS)));
            all.extend(answers(client, &request, ends));
            // Whether the block goes on, and as what.
            all.extend(said(&client.ask("SELECT 1")));
            all.extend(said(&client.ask("SHOW transaction_isolation")));
            client.ask("ROLLBACK");
            // Whether the statement is there.
            all.extend(answers(client, &[bind("", "r", &[]), execute("", 0), sync()].concat(), 1));
            client.send(&[close(b'S', "r"), sync()].concat());
            client.until_ready();
            heard.push(all);
        }
        assert_eq!(heard[0], heard[1], "{}", request[..request.len().min(60)].escape_ascii());
    }
    // The next block reads as the first one did.
    begin(&mut client);
    on_a_replica(&client.ask(WHERE));
    client.ask(FAILS);
    client.ask("ROLLBACK AND CHAIN");
    on_a_replica(&client.ask(WHERE));
    assert_eq!(in_block(&client.ask(WRITE)), PRIMARY);
    assert_eq!(tag(&client.ask("COMMIT")), "COMMIT");
    assert_eq!(world.on_primary("SELECT a FROM t"), "2");
}

#[test]
fn a_block_that_has_read_may_end_when_everybody_is_to_leave() {
    let (mut world, mut client) = world();
    let mut idle = world.client();
    begin(&mut client);
    on_a_replica(&client.ask(WHERE));
    world.pgotter.signal(Signal::TERM);
    let leaves = |client: &mut Raw| client.until(b'E').last().and_then(|error| error.field(b'C'));
    assert_eq!(leaves(&mut idle).as_deref(), Some("57P01"));
    on_a_replica(&client.ask(WHERE));
    assert_eq!(in_block(&client.ask(WRITE)), PRIMARY);
    assert_eq!(tag(&client.ask("COMMIT")), "COMMIT");
    assert_eq!(leaves(&mut client).as_deref(), Some("57P01"));
    assert_eq!(world.on_primary("SELECT a FROM t"), "2");
}

#[test]
fn a_block_that_has_read_goes_on_on_the_primary_when_a_reload_has_other_hosts() {
    let (mut world, mut client) = world();
    let mut hosts: [&[usize]; 2] = [&[0], &[0, 1]];
    for text in [query(WHERE), by_messages(WHERE), query(WRITE), by_messages(WRITE)] {
        until_apart(&mut client);
        begin(&mut client);
        on_a_replica(&client.ask(WHERE));
        world.reload(hosts[0]);
        hosts.reverse();
        // Nobody asks the hosts any more that it knew.
        client.send(&text);
        assert_eq!(in_block(&client.until_ready()), PRIMARY);
        assert_eq!(in_block(&client.ask(WRITE)), PRIMARY);
        assert_eq!(tag(&client.ask("COMMIT")), "COMMIT");
    }
    // Two of them wrote twice.
    assert_eq!(world.on_primary("SELECT a FROM t"), "7");
    // One that had never come to a server ends as it would have.
    until_apart(&mut client);
    begin(&mut client);
    on_a_replica(&client.ask(WHERE));
    world.reload(hosts[0]);
    assert_eq!(tag(&client.ask("COMMIT")), "COMMIT");
    until_apart(&mut client);
}

#[test]
fn a_read_that_waits_while_the_catalog_changes_is_the_primarys_and_no_write() {
    let world = World::new("[users.few]\npassword = \"few\"\npool_size = 1");
    world.define(
        "t (a int)",
        "INSERT INTO t VALUES (1); CREATE ROLE few LOGIN PASSWORD 'few'; GRANT SELECT ON t TO few",
    );
    let log_in = || Raw::log_in(world.pgotter.port(), &[("user", "few"), ("database", "postgres")]);
    let (mut reader, mut definer) = (log_in(), world.client());
    let mut holders = [log_in(), log_in()];
    let read = "SELECT current_setting('otter.host') FROM t";
    let waits = || {
        let pools = world.console("SHOW POOLS");
        pools.lines().any(|pool| pool.starts_with("postgres|few|") && pool.split('|').nth(3) == Some("1"))
    };
    for begin in ["", "BEGIN READ ONLY"] {
        eventually("it reads on replicas", || reader.value(read) != PRIMARY);
        for holder in &mut holders {
            // On a machine that was busy with other work one has been seen to begin on the primary.
            eventually("it holds a server of a replica", || {
                holder.ask("BEGIN READ ONLY");
                let holds = in_block(&holder.ask(WHERE)) != PRIMARY;
                if !holds {
                    holder.ask("COMMIT");
                }
                holds
            });
        }
        reader.ask(begin);
        reader.send(&query(read));
        eventually("it waits", waits);
        definer.ask("BEGIN");
        assert_eq!(error_code(&definer.ask("CREATE TABLE other (a int)")), None);
        holders.iter_mut().for_each(|holder| _ = holder.ask("COMMIT"));
        let frames = reader.until_ready();
        assert_eq!((error_code(&frames), first_value(&frames).as_deref()), (None, Some(PRIMARY)), "{begin}");
        reader.ask(if begin.is_empty() { "" } else { "COMMIT" });
        definer.ask("ROLLBACK");
    }
    assert_eq!(world.retries("read_only"), 0, "no replica was asked");
    eventually("it reads on replicas still", || reader.value(read) != PRIMARY);
}
