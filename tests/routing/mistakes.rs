//! What has failed has written nothing, nor has a read that a replica refuses and the primary runs: nobody else's reads leave the replicas for
//! them. But for what was refused because it writes, and what has committed before it failed.

use crate::support::raw::*;
use crate::world::*;

/// No replica stands still for too long.
const PATIENT: &str = "max_replica_lag = \"1h\"";

#[test]
fn reads_that_fail_or_are_not_replayed_yet_leave_the_reads_of_others_on_replicas() {
    let world = World::new(PATIENT);
    world.define("quiet (n int)", "INSERT INTO quiet VALUES (1)");
    let mut reader = world.client();
    let read = format!("{WHERE} FROM quiet");
    eventually("all is known", || reader.value(&read) != PRIMARY);
    // A fence that is raised now stays.
    world.pause_replay(true);
    world.on_primary("ALTER TABLE quiet ADD COLUMN m text DEFAULT 'new'");
    let moved = || ["not_replayed", "other_error"].map(|reason| world.retries(reason));
    let before = moved();
    for round in 0..20 {
        // Each anew: whoever was moved stays at the primary until a replica has come as far.
        for (text, code) in [
            // These are the primary's: what is not known may write.
            ("SELECT * FROM nowhere", Some("42P01")),
            ("SELECT nobody_knows(1)", Some("42883")),
            ("UPDATE quiet SET n = 1/0", Some("22012")),
            ("UPDATE quiet SET n = 2; SELECT nobody_knows(1)", Some("42883")),
            // And these a replica's.
            ("SELECT nothing FROM quiet", Some("42703")),
            ("SELECT 1/0", Some("22012")),
            ("SELECT m FROM quiet", None),
        ] {
            let mut client = world.client();
            let frames = if round % 2 == 0 || text.contains(';') {
                client.ask(text)
            } else {
                client.send(&[parse("", text), bind("", "", &[]), execute("", 0), sync()].concat());
                client.until_ready()
            };
            assert_eq!(error_code(&frames).as_deref(), code, "{text}: {}", print(&frames));
            let at = reader.value(&read);
            if at == PRIMARY {
                eprintln!(
                    "DBG {text} {} {}",
                    print(&reader.ask("SHOW pgotter.route")),
                    print(&client.ask("SHOW pgotter.route"))
                );
            }
            assert_ne!(at, PRIMARY, "behind {text}");
        }
    }
    eventually("some were tried on a replica", || moved() == [before[0] + 40, before[1] + 20]);
}

#[test]
fn what_has_committed_is_seen_whatever_fails_beside_it() {
    let world = World::new(PATIENT);
    world.define(
        "t (n int)",
        "INSERT INTO t VALUES (0); \
         CREATE FUNCTION adds() RETURNS int LANGUAGE sql AS 'UPDATE t SET n = n + 1 RETURNING n'; \
         CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = n + 1; COMMIT; PERFORM 1/0; END $$",
    );
    let mut reader = world.client();
    let read = "SELECT n || ' ' || current_setting('otter.host') FROM t";
    let fails = query("SELECT 1/0");
    let prepared = [parse("", "SELECT adds()"), bind("", "", &[]), execute("", 0), sync()].concat();
    let mut written = 0;
    for (what, request, answers) in [
        ("a procedure commits and fails", query("CALL commits()"), 1),
        ("a block", query("DO $$ BEGIN UPDATE t SET n = n + 1; COMMIT; PERFORM 1/0; END $$"), 1),
        ("a text that ends its transaction", query("BEGIN; SELECT adds(); COMMIT; SELECT 1/0"), 1),
        ("a request in front of one that fails", [query("SELECT adds()"), fails.clone()].concat(), 2),
        ("the same, prepared", [prepared.clone(), fails.clone()].concat(), 2),
        ("one behind it", [fails.clone(), query("SELECT adds()")].concat(), 2),
        ("one behind a mistake", [query("SELECT * FROM nowhere"), query("SELECT adds()")].concat(), 2),
        ("a block of its own behind a mistake", [query("SELECT nobody_knows(1)"), prepared].concat(), 2),
    ] {
        eventually("reads run on replicas", || !reader.value(read).ends_with(PRIMARY));
        world.until_replayed();
        world.pause_replay(true);
        let mut client = world.client();
        client.send(&request);
        let failed = (0..answers).filter(|_| error_code(&client.until_ready()).is_some()).count();
        written += 1;
        assert_eq!((reader.value(read), failed), (format!("{written} {PRIMARY}"), 1), "{what}");
        world.pause_replay(false);
    }
}

#[test]
fn a_read_that_is_refused_because_it_writes_counts_as_a_write_to_all_tables() {
    let world = World::new(&format!("{PATIENT}\nread_functions = [\"audited\"]"));
    world.define(
        "audit (n int)",
        "CREATE FUNCTION audited() RETURNS int LANGUAGE plpgsql AS \
             $$ BEGIN EXECUTE 'INSERT INTO audit VALUES (' || 1 || ')'; RETURN 1; END $$",
    );
    let (mut writer, mut reader) = (world.client(), world.client());
    let read = "SELECT count(*) || ' ' || current_setting('otter.host') FROM audit";
    eventually("all is known", || reader.value(read).starts_with("0 replica"));
    world.pause_replay(true);
    let moved = world.retries("read_only");
    assert_eq!(writer.value("SELECT audited()"), "1");
    eprintln!("DBG {}", print(&writer.ask("SHOW pgotter.route")));
    assert_eq!(reader.value(read), format!("1 {PRIMARY}"));
    eventually("it was tried on a replica", || world.retries("read_only") > moved);
}
