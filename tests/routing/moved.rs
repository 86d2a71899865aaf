//! What a replica does not answer the primary answers, and nobody hears of it.

use crate::support::raw::*;
use crate::world::*;

#[test]
fn a_read_of_what_is_not_replayed_yet_is_answered_by_the_primary() {
    let world = World::new("read_your_writes = \"off\"");
    world.define("t (a int)", "INSERT INTO t VALUES (7)");
    world.pause_replay(true);
    world.on_primary("ALTER TABLE t ADD COLUMN b text DEFAULT 'new'");
    let mut client = world.client();
    let moved = world.retries("not_replayed");
    assert_eq!(client.value("SELECT b FROM t"), "new");
    // Whoever was moved goes on at the primary until a replica has come as far.
    let mut client = world.client();
    client.send(
        &[parse("n", "SELECT b FROM t"), describe(b'S', "n"), bind("", "n", &[]), execute("", 0), sync()].concat(),
    );
    let frames = client.until_ready();
    assert_eq!((error_code(&frames), first_value(&frames)), (None, Some("new".to_owned())), "{}", print(&frames));
    client.send(&[bind("", "n", &[]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("new"));
    // A scrape may be a second old.
    eventually("both were tried on a replica", || world.retries("not_replayed") >= moved + 2);
}

#[test]
fn a_mistake_in_a_text_is_told_as_the_primary_tells_it() {
    let world = World::new("");
    let mut client = world.client();
    for (text, code) in
        [("SELECT 1/0", "22012"), ("SELECT nothing FROM nowhere", "42P01"), ("SELECT 'a'::int", "22P02")]
    {
        assert_eq!(error_code(&client.ask(text)).as_deref(), Some(code), "{text}");
        assert_eq!(client.value("SELECT 7"), "7");
    }
}

#[test]
fn a_read_whose_replica_is_lost_runs_on_the_primary() {
    let world = World::new("");
    let mut client = world.client();
    client.send(&query("SELECT pg_sleep(2), current_setting('otter.host')"));
    let sleeps = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("it sleeps on a replica", || {
        world.replicas.iter().any(|replica| replica.psql("postgres", sleeps).unwrap() == "t")
    });
    let frames = client.until_ready();
    let row = frames.iter().find(|frame| frame.kind == b'D').unwrap_or_else(|| panic!("{}", print(&frames)));
    assert_eq!(row_values(row)[1].as_deref(), Some(PRIMARY));
    assert_eq!(client.value("SELECT 7"), "7");
}

#[test]
fn an_error_behind_the_first_rows_is_the_clients_to_hear() {
    let world = World::new("");
    let mut client = world.client();
    let frames = client.ask("SELECT repeat('x', 9000), 1 / (5 - n) FROM generate_series(1, 9) n");
    assert_eq!(error_code(&frames).as_deref(), Some("22012"));
    assert!(frames.iter().any(|frame| frame.kind == b'D'), "{}", print(&frames));
}

#[test]
fn a_cancelled_read_is_not_run_again() {
    let world = World::new("");
    let mut client = world.client();
    client.send(&query("SELECT pg_sleep(60)"));
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("it sleeps on a replica", || {
        world.replicas.iter().any(|replica| replica.psql("postgres", sleeps).unwrap() == "1")
    });
    let mut cancel = Raw::connect(world.pgotter.port());
    let key = [&client.pid.to_be_bytes()[..], &client.secret].concat();
    cancel.send(&first_packet(80_877_102, &key));
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("57014"));
    assert_eq!(world.on_primary(sleeps), "0");
}

#[test]
fn reads_go_on_when_the_replicas_stop() {
    let mut world = World::new("");
    let mut client = world.client();
    for replica in &mut world.replicas {
        replica.stop(pgotter::cli::local_postgres::StopMode::Fast).unwrap();
    }
    for _ in 0..20 {
        assert_eq!(client.value(WHERE), PRIMARY);
    }
}

#[test]
fn a_moved_request_has_the_names_that_it_gave_and_not_those_that_it_dropped() {
    let world = World::new("read_your_writes = \"off\"");
    world.define("t (a int)", "INSERT INTO t VALUES (7)");
    let mut client = world.client();
    client.send(&[parse("old", "SELECT 1"), sync()].concat());
    client.until_ready();
    world.pause_replay(true);
    world.on_primary("ALTER TABLE t ADD COLUMN b text DEFAULT 'new'");
    let moved = world.retries("not_replayed");
    // It gives a name, and drops another.
    let both = [parse("n", "SELECT b FROM t"), bind("", "n", &[]), execute("", 0), close(b'S', "old"), sync()].concat();
    client.send(&both);
    let frames = client.until_ready();
    assert_eq!((error_code(&frames), first_value(&frames)), (None, Some("new".to_owned())), "{}", print(&frames));
    eventually("it was tried on a replica", || world.retries("not_replayed") > moved);
    client.send(&[bind("", "n", &[]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("new"));
    client.send(&[bind("", "old", &[]), execute("", 0), sync()].concat());
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("26000"));
}

#[test]
fn what_a_request_drops_is_there_for_it_when_its_replica_is_lost() {
    let world = World::new("");
    let mut client = world.client();
    for name in ["named", ""] {
        eventually("reads run on replicas", || client.value(WHERE) != PRIMARY);
        client.send(&[parse(name, "SELECT current_setting('otter.host') FROM pg_sleep(2)"), sync()].concat());
        client.until_ready();
        client.send(&[bind("", name, &[]), execute("", 0), close(b'S', name), sync()].concat());
        let sleeps = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        eventually("it sleeps on a replica", || {
            world.replicas.iter().any(|replica| replica.psql("postgres", sleeps).unwrap() == "t")
        });
        let frames = client.until_ready();
        assert_eq!(first_value(&frames).as_deref(), Some(PRIMARY), "{}", print(&frames));
        client.send(&[bind("", name, &[]), execute("", 0), sync()].concat());
        assert_eq!(error_code(&client.until_ready()).as_deref(), Some("26000"), "it has dropped {name:?}");
    }
}
