//! Nobody reads what is older than what he has written or seen.

use crate::support::raw::*;
use crate::world::*;

#[test]
fn a_client_sees_its_own_writes_while_no_replica_does() {
    let world = World::new("read_your_writes = \"session\"");
    world.define("t (a int)", "INSERT INTO t VALUES (0)");
    world.pause_replay(true);
    let mut client = world.client();
    for round in 1..=50 {
        client.ask(&format!("UPDATE t SET a = {round}"));
        assert_eq!(client.value("SELECT a FROM t"), round.to_string());
        client.send(&[parse("", "UPDATE t SET a = -a"), bind("", "", &[]), execute("", 0), sync()].concat());
        client.until_ready();
        client.send(&[parse("", "SELECT a FROM t"), bind("", "", &[]), execute("", 0), sync()].concat());
        assert_eq!(first_value(&client.until_ready()), Some((-round).to_string()));
    }
    let mut other = world.client();
    assert_eq!(
        other.value("SELECT a FROM t"),
        "0",
        "who has not written reads on a replica: the test would prove nothing"
    );
    world.pause_replay(false);
    eventually("the client reads on replicas again", || client.value(WHERE) != PRIMARY);
    assert_eq!(client.value("SELECT a FROM t"), "-50");
}

#[test]
fn what_a_client_has_seen_on_one_replica_it_sees_on_the_other() {
    let world = World::new("read_your_writes = \"off\"");
    world.define("t (a int)", "INSERT INTO t VALUES (0)");
    // One stands still: whoever has read on the other may not come to it.
    world.replicas[0].psql("postgres", "SELECT pg_wal_replay_pause()").unwrap();
    let mut clients: Vec<_> = (0..8).map(|_| (world.client(), 0)).collect();
    let mut newest = 0;
    for round in 1..=60 {
        world.on_primary(&format!("UPDATE t SET a = {round}"));
        for (client, seen) in &mut clients {
            let now: i32 = client.value("SELECT a FROM t").parse().unwrap();
            assert!(now >= *seen, "it had seen {seen} and now sees {now}");
            *seen = now;
            newest = newest.max(now);
        }
    }
    assert!(newest > 0, "nobody has read on the replica that goes on");
}

#[test]
fn what_one_client_has_written_another_reads_and_other_tables_stay_on_replicas() {
    let world = World::new("");
    world.define("b (n int)", "INSERT INTO b VALUES (0)");
    world.define("a (n int)", "INSERT INTO a VALUES (0); CREATE VIEW seen AS SELECT n FROM a");
    let (mut writer, mut reader) = (world.client(), world.client());
    let on = |table: &str| format!("SELECT n || ' ' || current_setting('otter.host') FROM {table}");
    eventually("all is replayed and known", || {
        ["a", "b"].iter().all(|table| !reader.value(&on(table)).ends_with(PRIMARY))
    });
    world.pause_replay(true);
    for round in 1..=20 {
        writer.ask(&format!("UPDATE a SET n = {round}"));
        assert_eq!(reader.value(&on("a")), format!("{round} {PRIMARY}"));
        assert_eq!(reader.value(&on("seen")), format!("{round} {PRIMARY}"), "a view reads what nobody names");
        assert_ne!(reader.value(&on("b")), format!("0 {PRIMARY}"), "nobody has written to b");
        reader.ask("BEGIN READ ONLY");
        reader.ask("SELECT n FROM b");
        assert_eq!(reader.value("SELECT n FROM a"), round.to_string(), "what a block will read nobody knows");
        reader.ask("COMMIT");
    }
    // By a pinned client, in a block, by COPY, and in a way that nobody can follow.
    writer.ask("CREATE TEMP TABLE mine (a int)");
    writer.ask("UPDATE a SET n = 100");
    assert_eq!(reader.value("SELECT n FROM a"), "100");
    writer.ask("BEGIN");
    writer.ask("UPDATE a SET n = 101");
    writer.ask("SELECT 1");
    assert_eq!(reader.value("SELECT n FROM a"), "100");
    writer.ask("COMMIT");
    assert_eq!(reader.value("SELECT n FROM a"), "101");
    writer.ask("DROP TABLE mine; DELETE FROM a");
    writer.send(&[query("COPY a FROM STDIN"), copy_data("102\n"), copy_done()].concat());
    writer.until_ready();
    assert_eq!(reader.value("SELECT n FROM a"), "102");
    writer.ask("DO $$ BEGIN UPDATE a SET n = 103; END $$");
    assert_eq!(reader.value("SELECT n FROM a"), "103");
}

/// Pairs of a write and a read, half of them on another connection, while one replica or both stand still. Says how many were stale.
fn stale_pairs(world: &World, pairs: usize, clients: usize) -> usize {
    let port = world.pgotter.port();
    let each = pairs.div_ceil(clients);
    let threads: Vec<_> = (0..clients)
        .map(|me| {
            std::thread::spawn(move || {
                let (mut one, mut other) = (Raw::log_in(port, &[]), Raw::log_in(port, &[]));
                let mut stale = 0;
                for round in 0..each {
                    let wrote = one.value(&format!("UPDATE pairs SET n = n + 1 WHERE id = {me} RETURNING n"));
                    let reader = if round % 2 == 0 { &mut one } else { &mut other };
                    stale += usize::from(reader.value(&format!("SELECT n FROM pairs WHERE id = {me}")) != wrote);
                }
                stale
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

#[test]
fn no_pair_of_write_and_read_is_stale_whatever_stands_still() {
    no_pair_is_stale(3000);
}

#[test]
#[ignore = "make test-routing PAIRS=100000"]
fn no_pair_of_very_many_is_stale_whatever_stands_still() {
    let pairs = std::env::var("PGOTTER_LONG_PAIRS").ok().and_then(|pairs| pairs.parse().ok());
    no_pair_is_stale(pairs.unwrap_or(100_000));
}

fn no_pair_is_stale(pairs: usize) {
    // However long they stand still, they stay in service.
    let world = World::new("max_replica_lag = \"1h\"");
    world.define("pairs (id int PRIMARY KEY, n int)", "INSERT INTO pairs SELECT g, 0 FROM generate_series(0, 49) g");
    world.define("quiet (n int)", "INSERT INTO quiet VALUES (1)");
    let mut reader = world.client();
    let read = format!("{WHERE} FROM quiet");
    eventually("all is known", || reader.value(&read) != PRIMARY);
    for paused in [vec![], vec![0], vec![0, 1]] {
        for replica in &paused {
            world.replicas[*replica].psql("postgres", "SELECT pg_wal_replay_pause()").unwrap();
        }
        assert_eq!(stale_pairs(&world, pairs / 3, 50), 0, "with {paused:?} standing still");
        // Reads of what nobody writes stay where they are meanwhile.
        let on_replicas = (0..100).filter(|_| reader.value(&read) != PRIMARY).count();
        assert!(on_replicas >= 90, "{on_replicas} of 100 with {paused:?} standing still");
    }
}

#[test]
fn writes_to_one_table_leave_the_reads_of_others_on_replicas() {
    let world = World::new("");
    world.define("busy (n int)", "INSERT INTO busy VALUES (0)");
    world.define("quiet (n int)", "INSERT INTO quiet VALUES (1)");
    let mut reader = world.client();
    let read = format!("{WHERE} FROM quiet");
    eventually("all is known", || reader.value(&read) != PRIMARY);
    let port = world.pgotter.port();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writing = std::thread::spawn(move || {
        let mut writer = Raw::log_in(port, &[]);
        let mut written = 0;
        while stopped.recv_timeout(std::time::Duration::from_millis(5)).is_err() && written < 10_000 {
            writer.ask("UPDATE busy SET n = n + 1");
            written += 1;
        }
        written
    });
    let on_replicas = (0..1000).filter(|_| reader.value(&read) != PRIMARY).count();
    drop(stop);
    let written: u32 = writing.join().unwrap();
    assert!(on_replicas >= 900, "{on_replicas} of 1000 reads ran on replicas");
    assert!(written > 10, "{written} writes meanwhile");
}

#[test]
fn what_a_write_sets_off_elsewhere_is_seen_as_well() {
    let world = World::new("");
    world.define("counters (n int)", "INSERT INTO counters VALUES (0)");
    let count = "CREATE FUNCTION next_no() RETURNS int LANGUAGE sql AS 'UPDATE counters SET n = n + 1 RETURNING n'";
    world.define("bills (no int)", &format!("{count}; ALTER TABLE bills ALTER no SET DEFAULT next_no()"));
    world.define("jobs (id int)", "INSERT INTO jobs VALUES (1)");
    let (mut writer, mut reader) = (world.client(), world.client());
    let read = format!("SELECT n || ' ' || ({WHERE}) FROM counters");
    eventually("reads run on replicas", || !reader.value(&read).ends_with(PRIMARY));
    world.pause_replay(true);
    // A default, and a function behind a locking clause.
    writer.ask("INSERT INTO bills DEFAULT VALUES");
    assert_eq!(reader.value("SELECT n FROM counters"), "1");
    world.pause_replay(false);
    eventually("reads run on replicas again", || reader.value(&read).starts_with("1 replica"));
    world.pause_replay(true);
    writer.ask("SELECT next_no() FROM jobs FOR UPDATE");
    assert_eq!(reader.value("SELECT n FROM counters"), "2");
}

#[test]
fn what_is_written_while_its_table_becomes_another_ones_part_is_seen() {
    let world = World::new("");
    world.define("orders (n int)", "DROP TABLE orders; CREATE TABLE orders (n int) PARTITION BY LIST (n)");
    world.on_primary("CREATE TABLE young PARTITION OF orders FOR VALUES IN (1, 2, 3)");
    // It comes before the others by its name.
    world.define("archive (n int)", "INSERT INTO archive VALUES (7)");
    let (mut writer, mut definer, mut reader) = (world.client(), world.client(), world.client());
    let read = format!("{WHERE}, count(*) FROM orders");
    let count = "SELECT count(*) FROM orders WHERE n < 7";
    eventually("all is known", || reader.value(&read) != PRIMARY);
    writer.ask("BEGIN");
    writer.ask("INSERT INTO orders VALUES (1)");
    definer.ask("ALTER TABLE orders ATTACH PARTITION archive FOR VALUES IN (7)");
    eventually("that is replayed and known", || reader.value(&read) != PRIMARY);
    world.pause_replay(true);
    writer.ask("COMMIT");
    assert_eq!(reader.value(count), "1");
    world.pause_replay(false);
}

#[test]
fn a_transaction_that_is_chained_to_one_on_a_replica_is_not_run_there_unasked() {
    let world = World::new("");
    world.define("t (n int)", "INSERT INTO t VALUES (0)");
    let mut client = world.client();
    eventually("all is known", || client.value(&format!("{WHERE} FROM t")) != PRIMARY);
    for ends in ["COMMIT AND CHAIN", "ROLLBACK AND CHAIN"] {
        for by_messages in [false, true] {
            client.ask("BEGIN READ ONLY");
            assert_ne!(client.value(&format!("{WHERE} FROM t")), PRIMARY);
            let request = if by_messages { [extended(ends, &[]), sync()].concat() } else { query(ends) };
            client.send(&request);
            assert_eq!(error_code(&client.until_ready()).as_deref(), Some("25006"), "{ends}");
            client.ask("ROLLBACK");
        }
    }
}

#[test]
fn a_statement_that_nobody_keeps_writes_unless_its_own_transaction_has_parsed_it() {
    let world = World::new("");
    world.define("t (n int)", "");
    // One server: what was prepared is there.
    let pgotter = world.another_with("max_prepared_statements = 0\ndefault_pool_size = 1");
    let [mut writer, mut reader] = [0; 2].map(|_| Raw::log_in(pgotter.port(), &[]));
    let read = format!("{WHERE}, count(*) FROM t");
    eventually("all is known", || reader.value(&read) != PRIMARY);
    writer.send(&[parse("s", "INSERT INTO t VALUES (1)"), sync()].concat());
    writer.until_ready();
    eventually("that counted as a write, and is over", || reader.value(&read) != PRIMARY);
    world.pause_replay(true);
    writer.send(&[bind("", "s", &[]), execute("", 0), sync()].concat());
    assert_eq!(error_code(&writer.until_ready()), None);
    assert_eq!(writer.value("SELECT count(*) FROM t"), "1");
    assert_eq!(reader.value("SELECT count(*) FROM t"), "1");
    world.pause_replay(false);
}

#[test]
fn who_listens_from_now_on_sees_what_was_told_before() {
    let world = World::new("read_your_writes = \"session\"");
    world.define("jobs (id int)", "");
    let (mut writer, mut worker) = (world.client(), world.client());
    let read = "SELECT count(*) || ' ' || current_setting('otter.host') FROM jobs";
    eventually("reads run on replicas", || worker.value(read).starts_with("0 replica"));
    world.pause_replay(true);
    writer.ask("INSERT INTO jobs VALUES (1)");
    writer.ask("NOTIFY jobs");
    worker.ask("LISTEN jobs");
    assert_eq!(worker.value(read), format!("1 {PRIMARY}"), "nobody will tell it of this job any more");
}

#[test]
fn fences_hold_through_reloads_that_take_the_replicas_away_and_bring_them_back() {
    let mut world = World::new("");
    world.define("t (n int)", "INSERT INTO t VALUES (0)");
    let (mut writer, mut reader) = (world.client(), world.client());
    let read = "SELECT n || ' ' || current_setting('otter.host') FROM t";
    eventually("reads run on replicas", || reader.value(read).starts_with("0 replica"));
    // With one host that is left, the last decision is nothing to the next request.
    world.reload(&[]);
    for round in 1..=3 {
        assert_eq!(writer.value(&format!("UPDATE t SET n = {round} RETURNING n")), round.to_string());
        assert_eq!(reader.value(read), format!("{round} {PRIMARY}"));
    }
    world.pause_replay(true);
    writer.ask("UPDATE t SET n = 4");
    world.reload(&[1, 0]);
    for _ in 0..20 {
        assert_eq!(writer.value("SELECT n FROM t"), "4");
        assert_eq!(reader.value("SELECT n FROM t"), "4");
    }
    world.pause_replay(false);
    eventually("reads run on replicas again", || reader.value(read).starts_with("4 replica"));
}
