//! What clients say to a console, and what it answers: psql, tokio-postgres, and bytes.

use super::table::{BOSS, pgotter};
use crate::support::raw::{
    Frame, Raw, bind, close, copy_data, describe, error_code, execute, flush, function_call, message, parse, query,
    startup, sync, terminate,
};
use crate::support::{PgOtter, client, must};
use tokio_postgres::NoTls;

fn raw(pooler: &PgOtter) -> Raw {
    let mut client = Raw::connect(pooler.port());
    client.send(&startup(3, 0, &[("user", BOSS), ("database", "pgbouncer")]));
    client.welcomed();
    client
}

fn kinds(frames: &[Frame]) -> String {
    frames.iter().map(|frame| char::from(frame.kind)).collect()
}

/// What comes of some messages and a Sync.
fn batch(client: &mut Raw, messages: &[Vec<u8>]) -> Vec<Frame> {
    client.send(&[&messages.concat()[..], &sync()].concat());
    client.until_ready()
}

#[test]
fn the_extended_protocol_is_spoken() {
    let pooler = pgotter("", "");
    let client = &mut raw(&pooler);
    let run = [parse("", "SHOW VERSION"), bind("", "", &[]), describe(b'P', ""), execute("", 0)];
    assert_eq!(kinds(&batch(client, &run)), "12TDCZ");
    let prepared = [parse("s", "SHOW STATS"), describe(b'S', "s")];
    assert_eq!(kinds(&batch(client, &prepared)), "1tTZ");
    assert_eq!(kinds(&batch(client, &[bind("p", "s", &[]), execute("p", 0), execute("p", 0)])), "2DCCZ");
    assert_eq!(
        kinds(&batch(client, &[parse("r", "RELOAD"), describe(b'S', "r"), bind("", "r", &[]), execute("", 0)])),
        "1tn2CZ"
    );
    assert_eq!(
        kinds(&batch(client, &[parse("", "SHOW HELP"), bind("", "", &[]), describe(b'P', ""), execute("", 0)])),
        "12nNCZ"
    );
    assert_eq!(kinds(&batch(client, &[parse("", ""), bind("", "", &[]), execute("", 0)])), "12IZ");
    assert_eq!(
        kinds(&batch(client, &[parse("", "SET datestyle TO 'ISO'"), bind("", "", &[]), execute("", 0)])),
        "12NCZ"
    );
    // Rows a few at a time.
    let lists = batch(client, &[parse("", "SHOW LISTS"), bind("", "", &[]), execute("", 10), execute("", 10)]);
    assert_eq!(kinds(&lists), "12DDDDDDDDDDsDDDDCZ");
    assert_eq!(kinds(&batch(client, &[close(b'S', "s"), close(b'P', "nothing")])), "33Z");
    client.send(&[parse("", "SHOW STATE"), flush()].concat());
    assert_eq!(client.frame().map(|frame| frame.kind), Some(b'1'));
    assert_eq!(kinds(&batch(client, &[])), "Z");
}

#[test]
fn an_error_in_a_batch_skips_the_rest_of_it_and_nothing_else() {
    let pooler = pgotter("", "");
    let client = &mut raw(&pooler);
    let typed = message(b'P', b"\0SHOW POOLS\0\0\x01\0\0\0\x17");
    for (messages, code) in [
        (vec![typed], "08P01"),
        (vec![parse("", "SHOW POOLS $1")], "08P01"),
        (vec![parse("", "SHOW POOLS"), bind("", "", &[b"x"])], "08P01"),
        (vec![parse("", "SHOW NOTHING")], "08P01"),
        (vec![bind("", "unknown", &[])], "26000"),
        (vec![describe(b'S', "unknown")], "26000"),
        (vec![describe(b'P', "unknown")], "34000"),
        (vec![execute("unknown", 0)], "34000"),
        (vec![parse("twice", "RELOAD"), parse("twice", "RELOAD")], "42P05"),
        (vec![parse("", "KILL"), bind("", "", &[]), execute("", 0)], "08P01"),
        (vec![message(b'B', b"\0")], "08P01"),
        (vec![message(b'D', b"X\0")], "08P01"),
    ] {
        let skipped = [parse("never", "SHOW VERSION"), query("SHOW VERSION")];
        let frames = batch(client, &[messages.clone(), skipped.to_vec()].concat());
        assert_eq!(error_code(&frames).as_deref(), Some(code), "{messages:?}");
        assert_eq!(frames.iter().filter(|frame| frame.kind == b'Z').count(), 1);
        assert_eq!(error_code(&batch(client, &[describe(b'S', "never")])).as_deref(), Some("26000"));
        assert!(client.value("SHOW VERSION").starts_with("PgBouncer"));
    }
}

#[test]
fn what_one_console_keeps_is_bounded() {
    let pooler = pgotter("", "");
    let client = &mut raw(&pooler);
    let statements: Vec<_> = (0..1001).map(|number| parse(&format!("s{number}"), "SHOW CLIENTS")).collect();
    let frames = batch(client, &statements);
    assert_eq!((frames.len(), error_code(&frames).as_deref()), (1002, Some("54000")));
    let portals: Vec<_> = (0..11).map(|number| bind(&format!("p{number}"), "s1", &[])).collect();
    let frames = batch(client, &portals);
    assert_eq!((kinds(&frames).as_str(), error_code(&frames).as_deref()), ("2222222222EZ", Some("54000")));
    // A batch of its own has portals of its own.
    assert_eq!(kinds(&batch(client, &portals[..10])), "2222222222Z");
    // One that takes the place of another needs no room.
    assert_eq!(kinds(&batch(client, &[&portals[..10], &portals[..1]].concat())), "22222222222Z");
    let long = "n".repeat(256);
    assert_eq!(error_code(&batch(client, &[close(b'S', "s1"), parse(&long, "RELOAD")])).as_deref(), Some("54000"));
    assert_eq!(kinds(&batch(client, &[parse(&long[1..], "RELOAD")])), "1Z");
}

#[test]
fn one_portal_keeps_the_rest_of_its_rows_and_others_are_run_beside_it() {
    let pooler = pgotter("", "");
    let client = &mut raw(&pooler);
    // SHOW LISTS has 14 rows, SHOW STATE 3.
    let begin = [parse("", "SHOW LISTS"), parse("s", "SHOW STATE"), bind("a", "", &[]), bind("b", "s", &[])].concat();
    let frames = batch(client, &[begin.clone(), execute("a", 13), execute("b", 0), execute("a", 0)]);
    assert_eq!(kinds(&frames), format!("1122{}sDDDCDCZ", "D".repeat(13)));
    let frames = batch(client, &[bind("a", "s", &[]), bind("b", "s", &[]), execute("a", 1), execute("b", 1)]);
    assert_eq!((kinds(&frames).as_str(), error_code(&frames).as_deref()), ("22DsDEZ", Some("54000")));
    let ended = [close(b'P', "a"), execute("a", 0)];
    for (end, answered) in ended.iter().zip(["3", "DDC"]) {
        let some = [bind("a", "s", &[]), bind("b", "s", &[]), execute("a", 1), end.clone(), execute("b", 1)];
        assert_eq!(kinds(&batch(client, &some)), format!("22Ds{answered}DsZ"));
    }
}

#[test]
fn what_is_no_command_is_answered_and_the_connection_lives_on() {
    let pooler = pgotter("", "");
    let client = &mut raw(&pooler);
    for said in ["SELECT 1", "BEGIN", "SHOW", "SHOW POOLS; SHOW POOLS", "DROP TABLE t"] {
        let frames = client.ask(said);
        assert_eq!(kinds(&frames), "EZ");
        let field = |letter| frames[0].field(letter).unwrap();
        assert_eq!((field(b'S'), field(b'V'), field(b'C')), ("ERROR".into(), "ERROR".into(), "08P01".into()));
        assert_eq!(field(b'M'), format!("invalid command '{said}', use SHOW HELP;"));
    }
    assert_eq!(kinds(&client.ask("")), "IZ");
    for said in ["SHOW FDS", "SUSPEND", "SET default_pool_size = 3"] {
        assert_eq!(error_code(&client.ask(said)).as_deref(), Some("08P01"), "{said}");
    }
    client.send(&message(b'Q', b"SHOW \xff\xfe\0"));
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("08P01"));
    client.send(&message(b'Q', b"no terminator"));
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("08P01"));
    client.send(&function_call(1, &[]));
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("08P01"));
    client.send(&copy_data("a rest"));
    for (setting, value) in [("client_encoding", "UTF-8"), ("DateStyle", "ISO"), ("extra_float_digits", "2")] {
        assert_eq!(client.value(&format!("SHOW {setting}")), value);
        assert_eq!(kinds(&client.ask(&format!("SET {setting} = '{value}'"))), "NCZ");
    }
    // Many at once.
    client.send(&query("SELECT version").repeat(50));
    (0..50).for_each(|_| assert_eq!(kinds(&client.until_ready()), "TDCZ"));
}

#[test]
fn what_no_client_says_ends_the_connection() {
    let pooler = pgotter("", "");
    let long = message(b'Q', &[b'x'; 64 * 1024]);
    for bytes in [&b"!\0\0\0\x04"[..], b"p\0\0\0\x05x", b"Q\0\0\0\x03", b"Q\xff\xff\xff\xff", b"S\0\x01\0\0", &long] {
        let mut client = raw(&pooler);
        client.send(bytes);
        let frames = client.until_end();
        assert_eq!(kinds(&frames), "E");
        assert_eq!(error_code(&frames).as_deref(), Some("08P01"));
        assert_eq!(frames[0].field(b'V').as_deref(), Some("FATAL"));
    }
    let mut client = raw(&pooler);
    client.send(&terminate());
    assert_eq!(client.until_end(), []);
    let mut client = raw(&pooler);
    client.send(&message(b'Q', &[b"SHOW ".as_slice(), &[b' '; 60 * 1024], b"VERSION\0"].concat()));
    assert_eq!(kinds(&client.until_ready()), "TDCZ", "what fits is read");
}

#[test]
fn psql_shows_tables_and_help() {
    let pooler = pgotter("", "");
    let psql = |database: &str, command: &str| {
        let output = must(client("psql", pooler.port(), &["-X", "-U", BOSS, "-d", database, "-c", command]).output());
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (shown, table) = psql("pgbouncer", "SHOW POOLS;");
    assert!(
        shown && table.contains("load_balance_hosts") && table.contains("pgbouncer") && table.contains("(1 row)"),
        "{table}"
    );
    let (shown, help) = psql("pgotter", "SHOW HELP");
    assert!(shown && help.contains("NOTICE:  Console usage") && help.contains("\tRELOAD\n"), "{help}");
    let (shown, error) = psql("pgotter", "SELECT 1");
    assert!(!shown && error.contains("ERROR:  invalid command 'SELECT 1', use SHOW HELP;"), "{error}");
    assert_eq!(psql("pgotter", "RELOAD"), (true, "RELOAD\n".to_owned()));
}

#[test]
fn tokio_postgres_reads_rows_in_text_and_in_binary() {
    let pooler = pgotter("", "");
    let runtime = must(tokio::runtime::Builder::new_current_thread().enable_all().build());
    runtime.block_on(async {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(pooler.port()).dbname("pgbouncer").user(BOSS).application_name("rust");
        let (client, connection) = must(config.connect(NoTls).await);
        tokio::spawn(connection);
        let rows = must(client.query("SHOW POOLS", &[]).await);
        assert_eq!((rows[0].get::<_, &str>("database"), rows[0].get::<_, i32>("cl_active")), ("pgbouncer", 1));
        assert_eq!(rows[0].get::<_, Option<&str>>("load_balance_hosts"), None);
        let rows = must(client.query("SHOW CLIENTS", &[]).await);
        assert!(rows[0].get::<_, i32>("id") > 0 && rows[0].get::<_, &str>("type") == "C");
        assert_eq!(must(client.query("SHOW STATS", &[]).await).len(), 1);
        assert_eq!(must(client.simple_query("SHOW VERSION").await).len(), 3);
        let error = client.query("SHOW POOLS WHERE $1", &[&1i32]).await.unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("08P01"));
        must(client.batch_execute("RELOAD").await);
        assert_eq!(must(client.execute("PAUSE", &[]).await), 0);
        assert_eq!(must(client.execute("RESUME", &[]).await), 0);
    });
}
