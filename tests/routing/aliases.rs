//! Databases under names that only read, or only write.

use crate::support::raw::*;
use crate::world::*;

fn come(port: u16, database: &str) -> Raw {
    let mut client = Raw::connect(port);
    client.send(&startup(3, 0, &[("user", "postgres"), ("database", database)]));
    client.welcomed();
    client
}

fn run(client: &mut Raw, text: &str) -> Vec<Frame> {
    client.send(&[parse("", text), bind("", "", &[]), execute("", 0), sync()].concat());
    client.until_ready()
}

fn hint(frames: &[Frame]) -> Option<String> {
    frames.iter().find(|frame| frame.kind == b'E')?.field(b'H')
}

#[test]
fn who_only_reads_does_so_on_replicas_and_is_told_where_to_write() {
    let world = World::new("");
    world.define("t (a int)", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING a'");
    let pgotter = world.shop();
    let mut client = come(pgotter.port(), "shop_ro");
    assert_eq!((client.parameter("in_hot_standby"), client.parameter("default_transaction_read_only")), ("on", "on"));
    eventually("reads run on replicas", || client.value(WHERE) != PRIMARY);
    client.ask("BEGIN");
    assert_ne!(client.value(WHERE), PRIMARY, "a plain BEGIN only reads");
    client.ask("COMMIT");
    let to_write = Some("Connect to database \"shop_rw\" to write.".to_owned());
    for text in [
        "INSERT INTO t VALUES (1)",
        "SELECT f()",
        "CREATE TABLE u (a int)",
        "SELECT a FROM t FOR UPDATE",
        "BEGIN READ WRITE",
        "START TRANSACTION READ WRITE",
        "SET default_transaction_read_only = off",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SELECT set_config('default_transaction_read_only', 'off', false)",
    ] {
        for frames in [client.ask(text), run(&mut client, text)] {
            assert_eq!(error_code(&frames).as_deref(), Some("25006"), "{text}: {}", print(&frames));
            assert_eq!(hint(&frames), to_write, "{text}");
        }
    }
    for text in ["SET TRANSACTION READ WRITE", "SET transaction_read_only = off", "INSERT INTO t VALUES (1)"] {
        for extended in [false, true] {
            client.ask("BEGIN");
            let frames = if extended { run(&mut client, text) } else { client.ask(text) };
            assert_eq!((error_code(&frames).as_deref(), hint(&frames)), (Some("25006"), to_write.clone()), "{text}");
            client.ask("ROLLBACK");
        }
    }
    // What PgOtter cannot read is no reason by itself.
    client.ask("SET client_encoding = 'GBK'");
    client.send(&message(b'Q', b"SELECT '\xd6\xd0'\0"));
    assert_eq!(error_code(&client.until_ready()), None);
    client.ask("RESET client_encoding");
    for text in ["SET work_mem = '1MB'", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "RESET ALL", "DISCARD ALL"]
    {
        assert_eq!(error_code(&client.ask(text)), None, "{text}");
    }
    assert_eq!(client.value("SHOW default_transaction_read_only"), "on");
    let mut other = come(pgotter.port(), "shop");
    assert_eq!(error_code(&other.ask("INSERT INTO t VALUES (2)")), None, "nobody else is kept from writing");
    assert_eq!(other.value("SHOW default_transaction_read_only"), "off");
    assert_eq!(other.value("SELECT count(*) FROM t"), "1");
    assert_eq!(hint(&other.ask("BEGIN READ ONLY; INSERT INTO t VALUES (1)")), None);
}

#[test]
fn who_writes_runs_on_the_primary() {
    let world = World::new("");
    let pgotter = world.shop();
    let mut usual = come(pgotter.port(), "shop");
    eventually("reads run on replicas", || usual.value(WHERE) != PRIMARY);
    let mut client = come(pgotter.port(), "shop_rw");
    for _ in 0..8 {
        assert_eq!(client.value(WHERE), PRIMARY);
    }
    client.ask("SET pgotter.route = 'replica'");
    assert_ne!(client.value(WHERE), PRIMARY, "its own word counts");
    client.ask("DISCARD ALL");
    assert_eq!(client.value(WHERE), PRIMARY);
    let mut refused = Raw::connect(pgotter.port());
    refused.send(&startup(3, 0, &[("user", "postgres"), ("database", "shop_xx")]));
    assert_eq!(refused.until(b'E').last().and_then(|error| error.field(b'C')).as_deref(), Some("3D000"));
}
