//! Transactions: the host is chosen once for each.

use crate::support::raw::*;
use crate::world::*;

#[test]
fn a_block_that_only_reads_has_one_replica_and_any_other_the_primary() {
    let world = World::new("");
    let mut client = world.client();
    for begin in ["BEGIN READ ONLY", "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"] {
        for _ in 0..8 {
            client.ask(begin);
            let host = client.value(WHERE);
            assert!(REPLICAS.contains(&host.as_str()), "{begin} ran on {host}");
            assert_eq!(client.value(WHERE), host);
            client.ask("SAVEPOINT a");
            client.ask("ROLLBACK TO a");
            assert_eq!(client.value(WHERE), host);
            client.ask("COMMIT");
        }
    }
    for begin in ["BEGIN", "BEGIN READ WRITE", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"] {
        client.ask(begin);
        assert_eq!(client.value(WHERE), PRIMARY, "{begin}");
        client.ask("COMMIT");
    }
    client.ask("SET default_transaction_read_only = on");
    eventually("with default_transaction_read_only a plain BEGIN only reads", || {
        client.ask("BEGIN");
        let host = client.value(WHERE);
        client.ask("COMMIT");
        host != PRIMARY
    });
}

#[test]
fn a_statement_for_the_primary_is_refused_in_a_block_on_a_replica_and_never_runs_there() {
    let world = World::new("");
    let mut client = world.client();
    for refused in
        ["SELECT pg_advisory_lock(7)", "SELECT pg_advisory_xact_lock(7)", "LOCK TABLE pg_class", "CHECKPOINT"]
    {
        client.ask("BEGIN READ ONLY");
        assert_ne!(client.value(WHERE), PRIMARY);
        let frames = client.ask(refused);
        assert_eq!(error_code(&frames).as_deref(), Some("25006"), "{refused}: {}", print(&frames));
        assert_eq!(error_code(&client.ask(WHERE)).as_deref(), Some("25P02"), "the block has failed");
        client.ask("ROLLBACK");
        client.ask("BEGIN READ ONLY");
        client.ask(WHERE);
        client.send(&[parse("", refused), bind("", "", &[]), execute("", 0), sync()].concat());
        let frames = client.until_ready();
        assert_eq!(error_code(&frames).as_deref(), Some("25006"), "{refused}: {}", print(&frames));
        client.ask("ROLLBACK");
    }
    for replica in &world.replicas {
        let locks = replica.psql("postgres", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").unwrap();
        assert_eq!(locks, "0");
        let log = replica.log();
        // What is refused goes there with something in front of it that must fail.
        let ran = |line: &&str| line.contains("advisory_xact_lock") && !line.contains("EXECUTE \"pgotter.nothing\";");
        assert_eq!(log.lines().filter(ran).collect::<Vec<_>>(), [""; 0], "it ran there");
    }
}

#[test]
fn a_block_that_begins_with_a_statement_for_the_primary_is_there_whole() {
    let world = World::new("");
    let mut client = world.client();
    client.ask("BEGIN READ ONLY");
    assert_eq!(client.value("SELECT pg_is_in_recovery()"), "f");
    assert_eq!(client.value(WHERE), PRIMARY);
    client.ask("COMMIT");
}

#[test]
fn a_serializable_session_reads_on_the_primary() {
    let world = World::new("");
    let mut client = world.client();
    client.ask("SET default_transaction_isolation = serializable");
    assert_eq!(client.value(WHERE), PRIMARY);
    client.ask("BEGIN READ ONLY");
    assert_eq!(client.value(WHERE), PRIMARY);
    client.ask("COMMIT");
}

#[test]
fn a_long_request_in_a_block_on_a_replica_runs_or_is_refused_and_nobody_hangs() {
    let world = World::new("");
    let mut client = world.client();
    let long = "x".repeat(100_000);
    let begin = |client: &mut Raw| {
        client.ask("BEGIN READ ONLY");
        client.value(WHERE)
    };
    let host = begin(&mut client);
    assert_ne!(host, PRIMARY);
    assert_eq!(client.value(&format!("SELECT current_setting('otter.host') WHERE '{long}' <> ''")), host);
    client.send(&[parse("", "SELECT length($1)"), bind("", "", &[long.as_bytes()]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("100000"));
    let frames = client.ask(&format!("SELECT pg_advisory_lock(7) WHERE '{long}' <> ''"));
    assert_eq!(error_code(&frames).as_deref(), Some("25006"), "{}", print(&frames));
    // What was refused counted as a write.
    eventually("a replica is near enough", || {
        client.ask("ROLLBACK");
        begin(&mut client) != PRIMARY
    });
    // Prepared it may be, if all of it is there when it is looked at; else nobody would know in time what it says.
    let longer = format!("SELECT pg_advisory_lock(7) WHERE '{}' <> ''", "x".repeat(4_000_000));
    client.send(&[parse("long", &longer), bind("", "long", &[]), execute("", 0), sync()].concat());
    let code = client.until(b'E').last().and_then(|error| error.field(b'C'));
    assert!(["25006", "0A000"].contains(&code.as_deref().unwrap_or("nothing")), "{code:?}");
    for replica in &world.replicas {
        assert_eq!(replica.psql("postgres", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").unwrap(), "0");
    }
}

#[test]
fn in_a_block_on_a_replica_both_readers_are_asked_at_once() {
    let world = World::new("");
    world.define("t (a int)", "INSERT INTO t VALUES (7)");
    let mut client = world.client();
    // Long enough to be asked for elsewhere, where there is time for that.
    let long = |sign: char| format!("SELECT a {sign} 1 FROM t WHERE a IN ({}7)", "1, ".repeat(500));
    eventually("a replica is near enough", || {
        client.ask("ROLLBACK");
        client.ask("BEGIN READ ONLY");
        client.value(WHERE) != PRIMARY
    });
    assert_eq!(client.value(&long('+')), "8");
    client.send(&[parse("", &long('-')), bind("", "", &[]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("6"));
    client.ask("COMMIT");
}
