//! Replicas that lose what they had, and sessions that no replica can serve.

use crate::support::raw::*;
use crate::world::*;
use pgotter::cli::local_postgres::StopMode;

#[test]
fn what_was_read_on_a_replica_is_not_unseen_on_it_after_a_crash() {
    let mut world = World::new("read_your_writes = \"off\"\nmax_replica_lag = \"1h\"");
    world.define("t (n int)", "INSERT INTO t VALUES (0)");
    world.replicas[1].stop(StopMode::Fast).unwrap();
    // So far it goes back: what it has on its disk behind that nobody has written there.
    world.on_primary("CHECKPOINT");
    world.primary.wait_for_replicas(1).unwrap();
    world.replicas[0].psql("postgres", "CHECKPOINT").unwrap();
    let read = "SELECT n || ' ' || current_setting('otter.host') FROM t";
    let mut seen = world.client();
    world.on_primary("UPDATE t SET n = 1");
    let replica = REPLICAS[0];
    eventually("it is seen on the replica", || seen.value(read) == format!("1 {replica}"));
    // It replays nothing more than it must once it is up again.
    world.replicas[0].set("recovery_min_apply_delay = '1h'").unwrap();
    world.replicas[0].restart(StopMode::Immediate).unwrap();
    let mut fresh = world.client();
    eventually("it serves again, from before", || fresh.value(read) == format!("0 {replica}"));
    for _ in 0..20 {
        assert_eq!(seen.value(read), format!("1 {PRIMARY}"), "it had seen more there");
    }
}

#[test]
fn whose_transactions_are_serializable_without_a_word_reads_on_the_primary() {
    let world = World::new("");
    world.on_primary("CREATE DATABASE strict");
    world.on_primary("ALTER DATABASE strict SET default_transaction_isolation = serializable");
    world.until_replayed();
    let decided = |world: &World, role: &str, reason: &str| {
        let (rows, prefix) = (world.console("SHOW ROUTES"), format!("strict|{role}|{reason}|"));
        rows.lines().find_map(|row| row.strip_prefix(&prefix)?.split('|').next()?.parse().ok()).unwrap_or(0)
    };
    let mut client = Raw::log_in(world.pgotter.port(), &[("database", "strict")]);
    for _ in 0..5 {
        client.ask("BEGIN READ ONLY");
        assert_eq!(client.value(WHERE), PRIMARY);
        client.ask("COMMIT");
        assert_eq!(client.value(WHERE), PRIMARY);
    }
    client.ask("SET default_transaction_isolation = 'read committed'");
    assert_eq!(client.value(WHERE), PRIMARY, "its replicas' sessions would have to be told first, and cannot");
    assert_eq!((decided(&world, "primary", "transaction"), decided(&world, "replica", "read")), (11, 0));
}

#[test]
fn hosts_are_asked_by_a_role_that_is_serializable_without_a_word() {
    let mut world = World::new("");
    world.on_primary("ALTER ROLE CURRENT_USER SET default_transaction_isolation = serializable");
    world.until_replayed();
    world.reload(&[]);
    world.reload(&[0, 1]);
    let ready =
        || world.console("SHOW HOSTS").lines().filter(|row| row.split('|').any(|field| field == "ready")).count();
    eventually("both tell how far they are", || ready() == 2);
}

#[test]
fn a_text_that_has_written_is_not_tried_on_a_replica_again() {
    let world = World::new("");
    world.define(
        "written (n int)",
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'; \
         CREATE FUNCTION g(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'",
    );
    let mut client = world.client();
    for text in ["SELECT f(1)", "SELECT g(1)"] {
        let read = format!("{WHERE} WHERE ({text}) = 1");
        eventually("it is known as a read", || client.value(&read) != PRIMARY);
    }
    // Past the pooler, which will know only when it reads the catalog again.
    for name in ["f", "g"] {
        world.on_primary(&format!(
            "CREATE OR REPLACE FUNCTION {name}(int) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO written VALUES ($1) RETURNING n'"
        ));
    }
    world.until_replayed();
    let refused = world.retries("read_only");
    assert_eq!(client.value("SELECT f(1)"), "1");
    eventually("it reads on replicas again", || client.value(WHERE) != PRIMARY);
    client.send(&[parse("s", "SELECT g($1)"), bind("", "s", &[b"2"]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("2"));
    // A scrape may be a second old.
    eventually("both were refused by a replica", || world.retries("read_only") == refused + 2);
    let writes = world.decisions("primary", "write");
    for round in 10..20 {
        // Whoever comes, as a Query or prepared, and however long ago the replicas have seen the last one.
        let mut client = world.client();
        assert_eq!(client.value(&format!("SELECT f({round})")), round.to_string());
        client.send(&[parse("s", "select g( $1 )"), bind("", "s", &[b"3"]), execute("", 0), sync()].concat());
        assert_eq!(first_value(&client.until_ready()).as_deref(), Some("3"));
        client.send(&[bind("", "s", &[b"4"]), execute("", 0), sync()].concat());
        assert_eq!(first_value(&client.until_ready()).as_deref(), Some("4"));
        world.until_replayed();
    }
    assert_eq!(world.decisions("primary", "write"), writes + 30);
    assert_eq!(world.retries("read_only"), refused + 2);
    assert_eq!(world.on_primary("SELECT count(*) FROM written"), "32");
}

#[test]
fn what_replicas_have_no_server_for_is_counted_where_it_runs() {
    let world = World::new("");
    let mut client = world.client();
    for replica in &world.replicas {
        let path = replica.data_dir().join("pg_hba.conf");
        let rules = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("host all all 127.0.0.1/32 reject\n{rules}")).unwrap();
        replica.psql("postgres", "SELECT pg_reload_conf()").unwrap();
        let pools = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> 'pgotter monitor'";
        replica.psql("postgres", pools).unwrap();
    }
    let (reads, turned) = (world.decisions("replica", "read"), world.decisions("primary", "no_replica"));
    for _ in 0..5 {
        assert_eq!(client.value(WHERE), PRIMARY);
    }
    assert_eq!(world.decisions("replica", "read"), reads);
    assert_eq!(world.decisions("primary", "no_replica"), turned + 5);
}

#[test]
fn where_replicas_are_required_a_read_without_one_is_refused_and_a_write_is_not() {
    let mut world = World::new("replica_required = true");
    world.define("t (n int)", "INSERT INTO t VALUES (0)");
    let mut client = world.client();
    client.send(&[parse("where", WHERE), sync()].concat());
    client.until_ready();
    for replica in &mut world.replicas {
        replica.stop(StopMode::Fast).unwrap();
    }
    let refused = |frames: &[Frame]| error_code(frames).as_deref() == Some("57P03");
    eventually("both are found to be down", || refused(&client.ask(WHERE)));
    client.send(&[bind("", "where", &[]), execute("", 0), sync()].concat());
    assert!(refused(&client.until_ready()));
    client.ask("BEGIN READ ONLY");
    assert!(refused(&client.ask(WHERE)));
    client.ask("ROLLBACK");
    assert_eq!(client.value("UPDATE t SET n = 1 RETURNING n"), "1");
    assert_eq!(client.value(&format!("/* pgotter: primary */ {WHERE}")), PRIMARY);
    client.ask("BEGIN");
    assert_eq!(client.value(WHERE), PRIMARY);
    client.ask("COMMIT");
    for replica in &mut world.replicas {
        replica.start().unwrap();
    }
    eventually("they are back", || !refused(&client.ask(WHERE)));
    eventually("and have replayed what it wrote", || client.value(WHERE) != PRIMARY);
}
