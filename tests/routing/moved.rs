//! What a replica does not answer the primary answers, and nobody hears of it.

use crate::support::raw::*;
use crate::world::*;

#[test]
fn a_read_of_what_is_not_replayed_yet_is_answered_by_the_primary() {
    let world = World::new("read_your_writes = \"off\"");
    world.define("t (a int)", "INSERT INTO t VALUES (7)");
    world.run_ahead();
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
    world.run_ahead();
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

/// Ends what sleeps on a replica, once it does.
fn end_what_sleeps(world: &World) {
    let sleeps = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("it sleeps on a replica", || {
        world.replicas.iter().any(|replica| replica.psql("postgres", sleeps).unwrap() == "t")
    });
}

#[test]
fn when_too_many_have_been_moved_the_client_hears_what_its_replica_says_or_that_it_is_lost() {
    let world =
        World::started("mode = \"split\"", "read_your_writes = \"off\"", &[("PGOTTER_MOVES_MAX", "0")], |primary| {
            primary
        });
    world.define("t (a int)", "INSERT INTO t VALUES (7)");
    world.run_ahead();
    let mut client = world.client();
    assert_eq!(error_code(&client.ask("SELECT b FROM t")).as_deref(), Some("42703"), "the primary knows it");
    client.send(&query("SELECT pg_sleep(60)"));
    end_what_sleeps(&world);
    let code = client.until(b'E').last().and_then(|error| error.field(b'C'));
    assert_eq!(code.as_deref(), Some("57P01"));
    assert_eq!(world.on_primary("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"), "0");
}

#[test]
fn a_read_that_is_cancelled_while_its_replica_is_lost_is_not_run_again() {
    let mut world = World::new("");
    let mut client = world.client();
    client.send(&query("SELECT pg_sleep(60)"));
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    let mut on = None;
    eventually("it sleeps on a replica", || {
        on = world.replicas.iter().position(|replica| replica.psql("postgres", sleeps).unwrap() == "1");
        on.is_some()
    });
    // It hears of the cancel and does not act on it.
    let on = on.unwrap();
    world.replicas[on].freeze(true);
    let mut cancel = Raw::connect(world.pgotter.port());
    let key = [&client.pid.to_be_bytes()[..], &client.secret].concat();
    cancel.send(&first_packet(80_877_102, &key));
    cancel.until_end();
    // The worker welcomes another one: it has told the first by then.
    drop(world.client());
    world.replicas[on].kill().unwrap();
    let code = client.until(b'E').last().and_then(|error| error.field(b'C'));
    assert_eq!(code.as_deref(), Some("08007"));
    assert_eq!(world.on_primary(sleeps), "0");
}

#[test]
fn statements_keep_their_names_when_a_replica_is_lost() {
    let world = World::new("");
    let mut client = world.client();
    let text = "SELECT pg_sleep($1), current_setting('otter.host')";
    client.send(&[parse("old", "SELECT 1"), sync()].concat());
    client.until_ready();
    let second = |frames: &[Frame]| {
        let row = frames.iter().find(|frame| frame.kind == b'D').unwrap_or_else(|| panic!("{}", print(frames)));
        row_values(row)[1].clone()
    };
    // One that the lost request itself has named, and then one from before.
    for first in [true, false] {
        let named = if first { parse("s", text) } else { Vec::new() };
        eventually("a replica is near enough", || client.value(WHERE) != PRIMARY);
        client.send(&[named, bind("", "s", &[b"5"]), execute("", 0), sync()].concat());
        end_what_sleeps(&world);
        assert_eq!(second(&client.until_ready()).as_deref(), Some(PRIMARY));
        client.send(&[bind("", "s", &[b"0"]), execute("", 0), sync()].concat());
        assert!(second(&client.until_ready()).is_some());
        client.send(&[bind("", "old", &[]), execute("", 0), sync()].concat());
        assert_eq!(first_value(&client.until_ready()).as_deref(), Some("1"));
    }
}

#[test]
fn an_answer_is_held_back_for_a_second_and_then_it_is_the_replicas() {
    let world = World::new("");
    world.define(
        "t (a int)",
        "CREATE FUNCTION tells() RETURNS void LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE NOTICE 'so far'; PERFORM pg_sleep(60); END $$",
    );
    let mut client = world.client();
    eventually("reads run on replicas", || client.value(WHERE) != PRIMARY);
    client.send(&query("SELECT tells()"));
    // Nothing else is said before the minute is over.
    assert!(client.until(b'N').last().is_some_and(|notice| notice.field(b'M').as_deref() == Some("so far")));
    end_what_sleeps(&world);
    let code = client.until(b'E').last().and_then(|error| error.field(b'C'));
    assert_eq!(code.as_deref(), Some("57P01"), "what has been shown cannot be the primary's any more");
}
