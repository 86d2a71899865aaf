//! Transactions while another client changes the catalog: what a statement names may be something else by now, so that no replica runs it.

use crate::entries::hint;
use crate::support::raw::*;
use crate::until_write::{UNTIL_WRITE, by_messages, in_block, on_a_replica, status, tag};
use crate::world::*;

const READ: &str = "SELECT current_setting('otter.host') FROM t";

/// With a table `t`, a client that reads it on replicas, and one that changes the catalog until it is asked to `ROLLBACK`.
fn world(routing: &str) -> (World, Raw, Raw) {
    let world = World::new(routing);
    world.define("t (a int)", "INSERT INTO t VALUES (1)");
    let (reader, definer) = (world.client(), world.client());
    (world, reader, definer)
}

fn until_on_a_replica(client: &mut Raw, begin: &str) {
    eventually("a transaction begins on a replica", || {
        client.ask(begin);
        let host = client.value(READ);
        if host == PRIMARY {
            client.ask("ROLLBACK");
        }
        host != PRIMARY
    });
}

fn define(client: &mut Raw) {
    client.ask("BEGIN");
    assert_eq!(error_code(&client.ask("CREATE TABLE being_made (a int)")), None);
}

#[test]
fn a_block_that_begins_meanwhile_is_the_primarys() {
    for (routing, begin) in [("", "BEGIN READ ONLY"), (UNTIL_WRITE, "BEGIN READ ONLY"), (UNTIL_WRITE, "BEGIN")] {
        let (world, mut reader, mut definer) = world(routing);
        until_on_a_replica(&mut reader, begin);
        reader.ask("COMMIT");
        define(&mut definer);
        for text in [query(READ), by_messages(READ)] {
            reader.ask(begin);
            reader.send(&text);
            assert_eq!(in_block(&reader.until_ready()), PRIMARY, "{begin}");
            definer.ask("ROLLBACK");
            // It is where it has begun, whatever is known by now.
            assert_eq!(in_block(&reader.ask(READ)), PRIMARY, "{begin}");
            reader.ask("COMMIT");
            define(&mut definer);
        }
        definer.ask("ROLLBACK");
        until_on_a_replica(&mut reader, begin);
        assert_eq!(world.retries("read_only"), 0);
    }
}

#[test]
fn a_block_that_reads_before_it_writes_goes_on_on_the_primary() {
    let (world, mut reader, mut definer) = world(UNTIL_WRITE);
    for text in [query(READ), by_messages(READ)] {
        until_on_a_replica(&mut reader, "BEGIN");
        define(&mut definer);
        reader.send(&text);
        assert_eq!(in_block(&reader.until_ready()), PRIMARY);
        definer.ask("ROLLBACK");
        assert_eq!(in_block(&reader.ask(READ)), PRIMARY);
        assert_eq!(tag(&reader.ask("COMMIT")), "COMMIT");
    }
    assert_eq!(world.retries("read_only"), 0);
}

/// Only the catalog's reading looks at it.
const HOLD: &str = "BEGIN; LOCK TABLE pg_extension IN ACCESS EXCLUSIVE MODE";

fn is_waiting(world: &World) -> bool {
    world.console("SHOW CLIENTS").lines().any(|row| row.split('|').any(|column| column == "waiting"))
}

#[test]
fn a_statement_of_a_block_on_a_replica_waits_until_the_catalog_is_known_again() {
    let (world, mut reader, mut definer) = world("");
    let mut lock = Raw::log_in(world.primary.port(), &[]);
    let hangs = "SELECT count(*) FROM pg_locks WHERE relation = 'pg_extension'::regclass AND NOT granted";
    for (number, text) in [query(READ), by_messages(READ)].into_iter().enumerate() {
        let mut round = 0;
        // It waits for a second, which may be over too early where other work is done.
        eventually("a statement waits and is answered", || {
            round += 1;
            until_on_a_replica(&mut reader, "BEGIN READ ONLY");
            assert_eq!(error_code(&lock.ask(HOLD)), None);
            assert_eq!(error_code(&definer.ask(&format!("CREATE TABLE made_{number}_{round} (a int)"))), None);
            eventually("the catalog is being read", || {
                definer.ask("SELECT 1");
                lock.value(hangs) == "1"
            });
            reader.send(&text);
            eventually("it waits, or is answered", || is_waiting(&world) || !reader.hears_nothing());
            lock.ask("ROLLBACK");
            let frames = reader.until_ready();
            let answered = error_code(&frames).is_none();
            if answered {
                on_a_replica(&frames);
            }
            reader.ask("ROLLBACK");
            answered
        });
    }
    // Its end waits for nothing.
    until_on_a_replica(&mut reader, "BEGIN READ ONLY");
    define(&mut definer);
    for text in [query("SAVEPOINT a"), by_messages("RELEASE a"), query("COMMIT")] {
        reader.send(&text);
        assert_eq!(error_code(&reader.until_ready()), None);
    }
    // Who cancels is told so, and nothing in a failed block waits.
    definer.ask("ROLLBACK");
    until_on_a_replica(&mut reader, "BEGIN READ ONLY");
    define(&mut definer);
    reader.send(&query(READ));
    eventually("it waits, or is answered", || is_waiting(&world) || !reader.hears_nothing());
    let mut cancel = Raw::connect(world.pgotter.port());
    cancel.send(&first_packet(80_877_102, &[&reader.pid.to_be_bytes()[..], &reader.secret].concat()));
    let frames = reader.until_ready();
    assert_eq!((error_code(&frames).as_deref(), status(&frames)), (Some("57014"), 'E'));
    reader.send(&query(READ));
    eventually("it is refused at once", || !reader.hears_nothing());
    assert!(!is_waiting(&world));
    assert_eq!(error_code(&reader.until_ready()).as_deref(), Some("25P02"));
}

#[test]
fn a_statement_of_a_block_on_a_replica_is_refused_and_its_client_told_to_begin_again() {
    let (world, mut reader, mut definer) = world("");
    let mut prepares = world.client();
    prepares.send(&[parse("read", READ), sync()].concat());
    prepares.until_ready();
    for text in [query(READ), by_messages(READ), [bind("", "read", &[]), execute("", 0), sync()].concat()] {
        let client = if text.starts_with(b"B") { &mut prepares } else { &mut reader };
        until_on_a_replica(client, "BEGIN READ ONLY");
        define(&mut definer);
        client.send(&text);
        let frames = client.until_ready();
        assert_eq!((error_code(&frames).as_deref(), status(&frames)), (Some("25006"), 'E'), "{}", print(&frames));
        assert!(hint(&frames).contains("Run the transaction again"), "{}", print(&frames));
        client.ask("ROLLBACK");
        client.ask("BEGIN READ ONLY");
        client.send(&text);
        assert_eq!(in_block(&client.until_ready()), PRIMARY);
        client.ask("COMMIT");
        definer.ask("ROLLBACK");
        until_on_a_replica(client, "BEGIN READ ONLY");
        client.send(&text);
        on_a_replica(&client.until_ready());
        client.ask("COMMIT");
    }
    // What is never a read is told as ever.
    until_on_a_replica(&mut reader, "BEGIN READ ONLY");
    let frames = reader.ask("SELECT pg_advisory_lock(7)");
    assert!(hint(&frames).starts_with("Begin the transaction READ WRITE"), "{}", print(&frames));
}
