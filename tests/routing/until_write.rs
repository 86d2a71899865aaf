//! `transaction_reads = "replica_until_write"`: a block that may write reads on replicas before it does, and nobody can tell but by where.

use crate::support::raw::*;
use crate::world::*;

pub const UNTIL_WRITE: &str = "transaction_reads = \"replica_until_write\"";

/// Says where it runs, and writes.
pub const WRITE: &str = "UPDATE t SET a = a + 1 RETURNING current_setting('otter.host')";

/// With a table `t` of one row, and a client whose blocks read on replicas.
pub fn world() -> (World, Raw) {
    world_with("")
}

pub fn world_with(more: &str) -> (World, Raw) {
    let world = World::new(&format!("{UNTIL_WRITE}\n{more}"));
    world.define("t (a int)", "INSERT INTO t VALUES (1)");
    let mut client = world.client();
    until_apart(&mut client);
    (world, client)
}

/// Waits until a block of this client reads on a replica, and leaves it.
pub fn until_apart(client: &mut Raw) {
    eventually("a block reads on a replica", || {
        client.ask("BEGIN");
        let host = client.value(WHERE);
        client.ask("ROLLBACK");
        host != PRIMARY
    });
}

/// In which state the client is told to be.
pub fn status(frames: &[Frame]) -> char {
    let ready = frames.last().filter(|frame| frame.kind == b'Z').unwrap_or_else(|| panic!("{}", print(frames)));
    char::from(ready.body[0])
}

pub fn tag(frames: &[Frame]) -> String {
    let complete = frames.iter().rfind(|frame| frame.kind == b'C').unwrap_or_else(|| panic!("{}", print(frames)));
    String::from_utf8_lossy(complete.body.strip_suffix(b"\0").unwrap()).into_owned()
}

/// The first value of an answer without errors in a block.
pub fn in_block(frames: &[Frame]) -> String {
    assert_eq!((error_code(frames), status(frames)), (None, 'T'), "{}", print(frames));
    first_value(frames).unwrap_or_else(|| panic!("{}", print(frames)))
}

pub fn on_a_replica(frames: &[Frame]) {
    let host = in_block(frames);
    assert!(REPLICAS.contains(&host.as_str()), "it ran on {host}");
}

/// By Parse, Bind and Execute.
fn request(text: &str, values: &[&[u8]]) -> Vec<u8> {
    [extended(text, values), sync()].concat()
}

pub fn by_messages(text: &str) -> Vec<u8> {
    request(text, &[])
}

pub fn begin(client: &mut Raw) {
    let frames = client.ask("BEGIN");
    assert_eq!((tag(&frames).as_str(), status(&frames)), ("BEGIN", 'T'));
}

fn promotions(world: &World, reason: &str) -> u64 {
    world.metric(&format!("pgotter_transaction_promotions_total{{database=\"postgres\",reason=\"{reason}\"}}"))
}

/// How often something like this stands in the primary's log.
fn on_primarys_log(world: &World, what: &str) -> usize {
    world.primary.log().matches(what).count()
}

#[test]
fn a_block_reads_on_replicas_until_it_writes_and_then_stays_on_the_primary() {
    let (world, mut client) = world();
    let before = promotions(&world, "write");
    client.send(&[parse("r", WHERE), parse("w", WRITE), sync()].concat());
    client.until_ready();
    let forms: [fn(&str, &str) -> Vec<u8>; 3] = [
        |text, _| query(text),
        |text, _| [parse("", text), bind("", "", &[]), describe(b'P', ""), execute("", 0), sync()].concat(),
        |_, name| [bind("", name, &[]), execute("", 0), sync()].concat(),
    ];
    for form in forms {
        until_apart(&mut client);
        begin(&mut client);
        let mut run = |text, name| {
            client.send(&form(text, name));
            client.until_ready()
        };
        on_a_replica(&run(WHERE, "r"));
        on_a_replica(&run(WHERE, "r"));
        assert_eq!(in_block(&run(WRITE, "w")), PRIMARY);
        assert_eq!(in_block(&run(WHERE, "r")), PRIMARY, "it stays there");
        assert_eq!(in_block(&client.ask("SHOW pgotter.route")), format!("127.0.0.1:{}", world.primary.port()));
        let frames = client.ask("ROLLBACK");
        assert_eq!((tag(&frames).as_str(), status(&frames)), ("ROLLBACK", 'I'));
    }
    assert_eq!(world.on_primary("SELECT a FROM t"), "1", "what is rolled back was in the block");
    eventually("all are counted", || promotions(&world, "write") == before + 3);
    begin(&mut client);
    client.ask(WHERE);
    client.ask(WRITE);
    assert_eq!(tag(&client.ask("COMMIT")), "COMMIT");
    assert_eq!(world.on_primary("SELECT a FROM t"), "2");
}

#[test]
fn a_block_that_only_reads_never_comes_to_the_primary_and_holds_no_server() {
    let (world, mut client) = world();
    let begun = on_primarys_log(&world, "pgotter.begin");
    for (end, said) in [
        ("COMMIT", "COMMIT"),
        ("ROLLBACK", "ROLLBACK"),
        ("/* app */ end;", "COMMIT"),
        ("abort -- it", "ROLLBACK"),
        ("COMMIT AND NO CHAIN", "COMMIT"),
    ] {
        begin(&mut client);
        for _ in 0..3 {
            on_a_replica(&client.ask(WHERE));
            for replica in &world.replicas {
                let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
                assert_eq!(replica.psql("postgres", open).unwrap(), "0");
            }
        }
        let servers = world.console("SHOW SERVERS");
        assert!(!servers.lines().any(|server| server.contains("|active|")), "{servers}");
        assert_eq!(first_value(&client.ask("SHOW pgotter.route")).unwrap().split(':').next(), Some("127.0.0.1"));
        let frames = client.ask(end);
        assert_eq!((tag(&frames).as_str(), status(&frames)), (said, 'I'), "{end}");
    }
    begin(&mut client);
    for (text, said) in [
        ("COPY t TO STDOUT", "COPY 1"),
        ("EXPLAIN (COSTS OFF) SELECT a FROM t", "EXPLAIN"),
        ("VALUES (1), (2)", "SELECT 2"),
        ("TABLE t", "SELECT 1"),
        ("SELECT a FROM t; SELECT a FROM t WHERE a = 0", "SELECT 0"),
    ] {
        let frames = client.ask(text);
        assert_eq!((error_code(&frames), tag(&frames).as_str(), status(&frames)), (None, said, 'T'), "{text}");
    }
    assert_eq!(status(&client.ask("")), 'T');
    client.send(&sync());
    assert_eq!(status(&client.until_ready()), 'T');
    client.ask("COMMIT");
    for end in ["COMMIT", "ROLLBACK"] {
        client.send(&request("BEGIN", &[]));
        client.until_ready();
        client.send(&request(WHERE, &[]));
        on_a_replica(&client.until_ready());
        client.send(&request(end, &[]));
        let frames = client.until_ready();
        assert_eq!((tag(&frames).as_str(), status(&frames)), (end, 'I'));
    }
    assert_eq!(on_primarys_log(&world, "pgotter.begin"), begun);
}

#[test]
fn what_is_no_plain_read_begins_the_block_on_the_primary() {
    let (_world, mut client) = world();
    client.ask("CREATE TEMP TABLE x (); DROP TABLE x");
    until_apart(&mut client);
    for first in [
        "SET LOCAL work_mem = '5MB'",
        "SELECT set_config('app.x', '1', true)",
        "SAVEPOINT a",
        "DECLARE c CURSOR FOR SELECT 1",
        "SELECT a FROM t FOR UPDATE",
        "SELECT pg_advisory_xact_lock(1)",
        "LOCK TABLE t IN ACCESS SHARE MODE",
        "SHOW work_mem",
        "SELECT txid_current()",
        "SELECT count(*) FROM pg_class",
        "SELECT 1; SAVEPOINT a",
        "SELECT current_setting('otter.host') /* pgotter: primary */",
        "PREPARE p AS SELECT 1",
        "SELECT nothing FROM t, nowhere",
    ] {
        begin(&mut client);
        on_a_replica(&client.ask(WHERE));
        let failed = error_code(&client.ask(first)).is_some();
        if failed {
            assert_eq!(status(&client.ask(WHERE)), 'E', "{first}");
        } else {
            assert_eq!(in_block(&client.ask(WHERE)), PRIMARY, "behind {first}");
        }
        assert_eq!(status(&client.ask("ROLLBACK")), 'I', "{first}");
        client.ask("DEALLOCATE ALL");
        until_apart(&mut client);
        // And where nothing was read before.
        begin(&mut client);
        client.ask(first);
        assert!(["T", "E"].contains(&status(&client.ask("SELECT 1")).to_string().as_str()));
        assert_eq!(status(&client.ask("ROLLBACK")), 'I', "{first}");
        client.ask("DEALLOCATE ALL");
        until_apart(&mut client);
    }
}

#[test]
fn the_time_of_a_block_is_one_and_asked_of_the_primary() {
    let (world, mut client) = world();
    world.define(
        "log (at timestamptz)",
        "CREATE FUNCTION today() RETURNS date LANGUAGE sql STABLE AS 'SELECT current_date'; \
         CREATE FUNCTION soon() RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 'tomorrow'::timestamptz; END $$; \
         CREATE FUNCTION twice() RETURNS date LANGUAGE sql STABLE AS 'SELECT today()'; \
         CREATE VIEW recent AS SELECT at FROM log WHERE at > localtimestamp - interval '1 day'; \
         CREATE FUNCTION inlined() RETURNS timestamptz LANGUAGE sql STABLE BEGIN ATOMIC SELECT current_timestamp; END; \
         CREATE FUNCTION opens() RETURNS refcursor LANGUAGE plpgsql STABLE AS $$ DECLARE c refcursor; BEGIN OPEN c FOR SELECT 1; RETURN c; END $$; \
         CREATE FUNCTION opens_this(c refcursor) RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN OPEN c FOR SELECT 1; RETURN 1; END $$; \
         CREATE FUNCTION since(at timestamptz DEFAULT now() - interval '1 day') RETURNS timestamptz LANGUAGE sql IMMUTABLE AS 'SELECT at'; \
         CREATE FUNCTION of_day(at date DEFAULT current_date) RETURNS date LANGUAGE sql IMMUTABLE AS 'SELECT at'; \
         CREATE SEQUENCE numbers; \
         CREATE FUNCTION numbered(n bigint DEFAULT nextval('numbers')) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n'; \
         CREATE FUNCTION plain(n int DEFAULT 1) RETURNS int LANGUAGE sql STABLE AS 'SELECT n'",
    );
    let host = "current_setting('otter.host')";
    until_apart(&mut client);
    begin(&mut client);
    on_a_replica(&client.ask(&format!("SELECT {host}, plain()")));
    on_a_replica(&client.ask(&format!(
        "SELECT {host}, clock_timestamp(), 'known', 'nowhere'::text IS NULL FROM generate_series(1, 2)"
    )));
    client.ask("COMMIT");
    for asks in [
        "now()",
        "transaction_timestamp()",
        "CURRENT_TIMESTAMP(3)",
        "current_date",
        "LOCALTIME",
        "age(timestamp '2020-01-01')",
        "'now'::timestamptz",
        "'to'\n'day'::date",
        "E'\\x6eow'::timestamptz",
        "today()",
        "twice()",
        "soon()",
        "inlined()",
        "opens()",
        "opens_this('c')",
        "since()",
        "of_day()",
        "numbered()",
        "(SELECT count(*) FROM recent)",
    ] {
        until_apart(&mut client);
        begin(&mut client);
        on_a_replica(&client.ask(WHERE));
        assert_eq!(in_block(&client.ask(&format!("SELECT {host}, {asks}"))), PRIMARY, "{asks}");
        client.ask("COMMIT");
        client.send(&[parse("s", &format!("SELECT {host}, {asks}")), sync()].concat());
        client.until_ready();
        begin(&mut client);
        client.send(&[bind("", "s", &[]), execute("", 0), sync()].concat());
        assert_eq!(in_block(&client.until_ready()), PRIMARY, "{asks}");
        client.ask("COMMIT");
        client.ask("DEALLOCATE s");
    }
    begin(&mut client);
    let parameter = |value: &[u8]| request(&format!("SELECT {host}, $1::timestamptz"), &[value]);
    client.send(&parameter(b"2020-01-01"));
    on_a_replica(&client.until_ready());
    client.send(&parameter(b"Now"));
    assert_eq!(in_block(&client.until_ready()), PRIMARY);
    let first = client.value("SELECT now()");
    client.ask("SELECT pg_sleep(0.01)");
    assert_eq!(client.value("SELECT now()"), first);
    client.ask("COMMIT");
}

#[test]
fn an_error_behind_the_first_rows_fails_the_block() {
    let (world, mut client) = world();
    let fails = "SELECT repeat('x', 9000), 1 / (5 - n) FROM generate_series(1, 9) n";
    let forms: [fn(&str) -> Vec<u8>; 2] = [query, by_messages];
    for form in forms {
        let begun = on_primarys_log(&world, "pgotter.begin");
        for end in ["ROLLBACK", "COMMIT", "/* c */ COMMIT WORK", "rollback -- c"] {
            begin(&mut client);
            client.send(&form(fails));
            let frames = client.until_ready();
            assert!(frames.iter().any(|frame| frame.kind == b'D'), "{}", print(&frames));
            assert_eq!((error_code(&frames).as_deref(), status(&frames)), (Some("22012"), 'E'));
            for text in [WHERE, WRITE, "SAVEPOINT a"] {
                client.send(&form(text));
                let frames = client.until_ready();
                assert_eq!((error_code(&frames).as_deref(), status(&frames)), (Some("25P02"), 'E'), "{text}");
            }
            let frames = client.ask(end);
            assert_eq!((tag(&frames).as_str(), status(&frames)), ("ROLLBACK", 'I'), "{end}");
        }
        assert_eq!(on_primarys_log(&world, "pgotter.begin"), begun);
    }
    assert_eq!(world.on_primary("SELECT a FROM t"), "1");
    begin(&mut client);
    client.ask(fails);
    let frames = client.ask(&format!("ROLLBACK; {WRITE}"));
    let tags: Vec<_> = frames.iter().filter(|frame| frame.kind == b'C').map(|frame| frame.body.clone()).collect();
    assert_eq!((tags, status(&frames)), (vec![b"ROLLBACK\0".to_vec(), b"UPDATE 1\0".to_vec()], 'I'));
    assert_eq!(world.on_primary("SELECT a FROM t"), "2");
}

#[test]
fn a_cancelled_read_fails_the_block() {
    let (world, mut client) = world();
    begin(&mut client);
    client.send(&query("SELECT pg_sleep(60)"));
    let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("it sleeps on a replica", || {
        world.replicas.iter().any(|replica| replica.psql("postgres", sleeps).unwrap() == "1")
    });
    let mut cancel = Raw::connect(world.pgotter.port());
    cancel.send(&first_packet(80_877_102, &[&client.pid.to_be_bytes()[..], &client.secret].concat()));
    let frames = client.until_ready();
    assert_eq!((error_code(&frames).as_deref(), status(&frames)), (Some("57014"), 'E'));
    assert_eq!(error_code(&client.ask(WRITE)).as_deref(), Some("25P02"));
    assert_eq!(tag(&client.ask("COMMIT")), "ROLLBACK");
}

#[test]
fn a_read_that_a_replica_refuses_runs_in_the_block_on_the_primary() {
    let (world, mut client) = world_with("read_your_writes = \"off\"");
    // A mistake is the primary's to tell, and fails the block there.
    begin(&mut client);
    on_a_replica(&client.ask(WHERE));
    let frames = client.ask("SELECT 1/0");
    assert_eq!((error_code(&frames).as_deref(), status(&frames)), (Some("22012"), 'E'));
    assert_eq!(error_code(&client.ask(WRITE)).as_deref(), Some("25P02"));
    assert_eq!(tag(&client.ask("COMMIT")), "ROLLBACK");
    until_apart(&mut client);
    world.run_ahead();
    let (moved, promoted) = (world.retries("not_replayed"), promotions(&world, "retry"));
    for form in [query("SELECT b FROM t"), by_messages("SELECT b FROM t")] {
        let mut client = world.client();
        begin(&mut client);
        on_a_replica(&client.ask(WHERE));
        client.send(&form);
        assert_eq!(in_block(&client.until_ready()), "new");
        assert_eq!(in_block(&client.ask(WRITE)), PRIMARY);
        assert_eq!(tag(&client.ask("ROLLBACK")), "ROLLBACK");
        assert_eq!(world.on_primary("SELECT a FROM t"), "1", "BEGIN stood in front of it");
    }
    eventually("they were tried on a replica", || world.retries("not_replayed") == moved + 2);
    eventually("they are counted", || promotions(&world, "retry") == promoted + 2);
}

#[test]
fn a_block_goes_on_when_a_replica_is_lost() {
    let (mut world, mut client) = world();
    begin(&mut client);
    on_a_replica(&client.ask(WHERE));
    client.send(&query("SELECT current_setting('otter.host') FROM pg_sleep(2)"));
    let ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    eventually("it sleeps on a replica", || {
        world.replicas.iter().any(|replica| replica.psql("postgres", ends).unwrap() == "t")
    });
    assert_eq!(in_block(&client.until_ready()), PRIMARY, "in the middle of a read");
    assert_eq!(in_block(&client.ask(WRITE)), PRIMARY);
    assert_eq!(tag(&client.ask("ROLLBACK")), "ROLLBACK");
    assert_eq!(world.on_primary("SELECT a FROM t"), "1");
    until_apart(&mut client);
    // Between two reads: first one, then the other.
    begin(&mut client);
    on_a_replica(&client.ask(WHERE));
    world.replicas[0].kill().unwrap();
    for _ in 0..5 {
        let host = in_block(&client.ask(WHERE));
        assert_ne!(host, REPLICAS[0]);
    }
    world.replicas[1].kill().unwrap();
    assert_eq!(in_block(&client.ask(WHERE)), PRIMARY);
    assert_eq!(in_block(&client.ask(WRITE)), PRIMARY);
    assert_eq!(tag(&client.ask("COMMIT")), "COMMIT");
    assert_eq!(world.on_primary("SELECT a FROM t"), "2");
}

#[test]
fn replicas_that_are_required_are_not_for_a_block_that_may_write() {
    let (mut world, mut client) = world_with("replica_required = true");
    begin(&mut client);
    on_a_replica(&client.ask(WHERE));
    world.replicas.iter_mut().for_each(|replica| replica.kill().unwrap());
    eventually("nobody reads", || error_code(&world.client().ask(WHERE)).as_deref() == Some("57P03"));
    assert_eq!(in_block(&client.ask(WHERE)), PRIMARY);
    assert_eq!(in_block(&client.ask(WRITE)), PRIMARY);
    client.ask("COMMIT");
}

#[test]
fn what_must_be_seen_is_seen_in_a_block() {
    let (world, mut client) = world_with("read_your_writes = \"session\"");
    world.pause_replay(true);
    let read = "SELECT a || ' ' || current_setting('otter.host') FROM t";
    client.ask("UPDATE t SET a = 7");
    begin(&mut client);
    assert_eq!(in_block(&client.ask(read)), format!("7 {PRIMARY}"));
    client.ask("COMMIT");
    let mut other = world.client();
    begin(&mut other);
    assert!(in_block(&other.ask(read)).starts_with("1 replica"), "the test would prove nothing");
    // Only what has been seen counts, and not what others have written.
    assert_eq!(in_block(&other.ask("UPDATE t SET a = a + 1 RETURNING a")), "8");
    assert_eq!(in_block(&other.ask(read)), format!("8 {PRIMARY}"));
    other.ask("COMMIT");
    world.pause_replay(false);
    until_apart(&mut client);
    begin(&mut client);
    let mut lsn = Raw::log_in(world.pgotter.port(), &[]);
    world.pause_replay(true);
    world.on_primary("UPDATE t SET a = 20");
    let lsn = lsn.value("SHOW pgotter.lsn");
    assert_eq!(status(&client.ask(&format!("SET LOCAL pgotter.after_lsn = '{lsn}'"))), 'T');
    assert_eq!(in_block(&client.ask(read)), format!("20 {PRIMARY}"));
    client.ask("COMMIT");
}

#[test]
fn only_blocks_whose_statements_have_each_a_snapshot_read_elsewhere() {
    let (world, mut client) = world();
    for text in [
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE",
        "BEGIN DEFERRABLE",
    ] {
        client.ask(text);
        assert_eq!(in_block(&client.ask(WHERE)), PRIMARY, "{text}");
        client.ask("COMMIT");
    }
    for text in [
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        "START TRANSACTION READ WRITE",
        "BEGIN TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    ] {
        client.ask(text);
        on_a_replica(&client.ask(WHERE));
        client.ask("COMMIT");
    }
    client.ask("SET default_transaction_isolation = 'repeatable read'");
    begin(&mut client);
    assert_eq!(in_block(&client.ask(WHERE)), PRIMARY);
    client.ask("COMMIT");
    client.ask("BEGIN ISOLATION LEVEL READ COMMITTED");
    on_a_replica(&client.ask(WHERE));
    client.ask("COMMIT");
    client.ask("RESET default_transaction_isolation");
    until_apart(&mut client);
    world.on_primary("CREATE DATABASE strict");
    world.on_primary("ALTER DATABASE strict SET default_transaction_isolation = 'repeatable read'");
    world.until_replayed();
    let mut strict = Raw::log_in(world.pgotter.port(), &[("database", "strict")]);
    eventually("reads run on replicas", || strict.value(WHERE) != PRIMARY);
    begin(&mut strict);
    assert_eq!(in_block(&strict.ask(WHERE)), PRIMARY);
    strict.ask("COMMIT");
}

#[test]
fn how_to_read_can_be_said_before_the_first_read_and_not_behind_it() {
    let (_world, mut client) = world();
    let strict = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    begin(&mut client);
    assert_eq!((tag(&client.ask(strict)).as_str(), in_block(&client.ask(WHERE)).as_str()), ("SET", PRIMARY));
    assert_eq!(client.value("SHOW transaction_isolation"), "repeatable read");
    client.ask("COMMIT");
    let forms: [fn(&str) -> Vec<u8>; 2] = [query, by_messages];
    for form in forms {
        for late in [strict, "SET transaction_isolation = 'serializable'", "SET TRANSACTION DEFERRABLE"] {
            until_apart(&mut client);
            begin(&mut client);
            on_a_replica(&client.ask(WHERE));
            client.send(&form(late));
            let frames = client.until_ready();
            assert_eq!((error_code(&frames).as_deref(), status(&frames)), (Some("25001"), 'E'), "{late}");
            assert_eq!(error_code(&client.ask(WRITE)).as_deref(), Some("25P02"));
            assert_eq!(tag(&client.ask("COMMIT")), "ROLLBACK");
        }
    }
    until_apart(&mut client);
    begin(&mut client);
    on_a_replica(&client.ask(WHERE));
    assert_eq!(tag(&client.ask("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")), "SET");
    assert_eq!(in_block(&client.ask(WHERE)), PRIMARY);
    client.ask("COMMIT");
}

#[test]
fn portals_that_outlast_their_request_are_the_primarys() {
    let (_world, mut client) = world();
    let many = "SELECT current_setting('otter.host') || n FROM generate_series(1, 4) n";
    // By a name; a part of the rows; bound now and executed later.
    let named = [parse("", many), bind("p", "", &[]), execute("p", 2), sync()].concat();
    let part = [parse("", many), bind("", "", &[]), execute("", 2), sync()].concat();
    for (first, portal) in [(named, "p"), (part, "")] {
        until_apart(&mut client);
        begin(&mut client);
        client.send(&first);
        let frames = client.until_ready();
        assert_eq!(
            (in_block(&frames), frames.iter().filter(|frame| frame.kind == b'D').count()),
            (format!("{PRIMARY}1"), 2)
        );
        client.send(&[execute(portal, 0), sync()].concat());
        assert_eq!(in_block(&client.until_ready()), format!("{PRIMARY}3"));
        client.ask("COMMIT");
    }
    until_apart(&mut client);
    begin(&mut client);
    client.send(&[parse("", many), bind("", "", &[]), sync()].concat());
    assert_eq!(status(&client.until_ready()), 'T');
    client.send(&[execute("", 0), sync()].concat());
    assert_eq!(in_block(&client.until_ready()), format!("{PRIMARY}1"));
    client.ask("COMMIT");
    // Several that are done with are plain reads.
    until_apart(&mut client);
    begin(&mut client);
    let each = || [parse("", WHERE), bind("", "", &[]), describe(b'P', ""), execute("", 0), close(b'P', "")].concat();
    client.send(&[each(), each(), sync()].concat());
    on_a_replica(&client.until_ready());
    // One statement that is none has all of its request on the primary.
    client.send(&[each(), parse("", WRITE), bind("", "", &[]), execute("", 0), sync()].concat());
    assert_eq!(in_block(&client.until_ready()), PRIMARY);
    client.ask("ROLLBACK");
}

#[test]
fn a_block_that_is_sent_at_once_is_answered_in_order() {
    let (world, mut client) = world();
    for _ in 0..10 {
        until_apart(&mut client);
        let texts = ["BEGIN", WHERE, "SELECT a FROM t", WHERE, WRITE, WHERE, "COMMIT", WHERE];
        client.send(&texts.map(query).concat());
        let answers: Vec<_> = texts.iter().map(|_| client.until_ready()).collect();
        let states: String = answers.iter().map(|frames| status(frames)).collect();
        assert_eq!(states, "TTTTTTII");
        on_a_replica(&answers[1]);
        on_a_replica(&answers[3]);
        assert_eq!((in_block(&answers[4]), in_block(&answers[5])), (PRIMARY.into(), PRIMARY.into()));
    }
    assert_eq!(world.on_primary("SELECT a FROM t"), "11");
}

#[test]
fn settings_go_with_the_reads_of_a_block_and_outlast_them() {
    let (_world, mut client) = world();
    client.ask("SET application_name = 'otter'; SET TimeZone = 'Asia/Tokyo'; SET app.tenant = '7'");
    until_apart(&mut client);
    begin(&mut client);
    let read = "SELECT current_setting('otter.host'), to_char('2000-01-01Z'::timestamptz, 'HH24'), current_setting('app.tenant')";
    let frames = client.ask(read);
    on_a_replica(&frames);
    let row = frames.iter().find(|frame| frame.kind == b'D').map(row_values).unwrap();
    assert_eq!(row[1..], [Some("09".into()), Some("7".into())]);
    // PgOtter's own, which need no server either: a read of the block neither ends nor undoes them.
    assert_eq!(status(&client.ask("SET LOCAL pgotter.route = 'replica'")), 'T');
    on_a_replica(&client.ask(WHERE));
    let route = |client: &mut Raw| {
        let frames = client.ask("SHOW pgotter.route");
        frames.iter().find(|frame| frame.kind == b'D').map(row_values).unwrap()[3].clone().unwrap()
    };
    assert_eq!(route(&mut client), "replica");
    client.ask("SET pgotter.route = 'replica stale'");
    on_a_replica(&client.ask(WHERE));
    client.ask("ROLLBACK");
    assert_eq!(route(&mut client), "");
    client.ask("LISTEN news");
    begin(&mut client);
    assert_eq!(in_block(&client.ask(WHERE)), PRIMARY, "a client that listens");
    client.ask("COMMIT");
}

#[test]
fn where_it_is_not_asked_for_a_block_that_may_write_is_the_primarys() {
    let mut world = World::new("transaction_reads = \"primary\"");
    let mut client = world.client();
    eventually("reads run on replicas", || client.value(WHERE) != PRIMARY);
    begin(&mut client);
    assert_eq!(in_block(&client.ask(WHERE)), PRIMARY);
    client.ask("COMMIT");
    world.reconfigure("\"primary\"", "\"replica_until_write\"");
    until_apart(&mut client);
    // And where it is only watched.
    world.reconfigure("\"split\"", "\"observe\"");
    let reads = world.decisions("replica", "read");
    eventually("it is counted and nothing else", || {
        begin(&mut client);
        assert_eq!(in_block(&client.ask(WHERE)), PRIMARY);
        client.ask("COMMIT");
        world.decisions("replica", "read") > reads
    });
}

#[test]
fn a_block_that_reads_elsewhere_has_the_time_of_a_transaction() {
    let limit = "[users.short]\npassword = \"short\"\ntransaction_timeout = \"2s\"";
    let (world, _client) = world_with(limit);
    world.on_primary("CREATE ROLE short LOGIN PASSWORD 'short'");
    world.until_replayed();
    let mut client = Raw::log_in(world.pgotter.port(), &[("user", "short")]);
    until_apart(&mut client);
    begin(&mut client);
    on_a_replica(&client.ask(WHERE));
    let code = client.until(b'E').last().and_then(|error| error.field(b'C'));
    assert_eq!(code.as_deref(), Some("25P04"));
}
