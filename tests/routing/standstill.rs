//! A primary that keeps what was committed in its memory, and does nothing more: its replicas get it all the same when somebody waits for that.

use crate::support::raw::error_code;
use crate::world::*;

#[test]
fn an_idle_primary_that_has_not_flushed_a_commit_is_made_to_when_a_read_waits_for_it() {
    let world = World::new("");
    world.define("t (n int)", "INSERT INTO t VALUES (0)");
    for setting in ["wal_writer_delay = '10s'", "synchronous_commit = off", "autovacuum = off"] {
        world.on_primary(&format!("ALTER SYSTEM SET {setting}"));
    }
    world.on_primary("SELECT pg_reload_conf()");
    let mut client = world.client();
    eventually("the primary commits so", || client.value("/* pgotter: primary */ SHOW synchronous_commit") == "off");
    let asked = || world.primary.log().matches("pg_logical_emit_message").count();
    // Each that is not flushed by chance is: PostgreSQL itself takes up to 30 s.
    eventually("one is made to flush", || {
        let before = asked();
        assert_eq!(error_code(&client.ask("UPDATE t SET n = n + 1")), None);
        eventually("reads run on replicas again", || client.value(&format!("{WHERE} FROM t")) != PRIMARY);
        asked() > before
    });
    let written = client.value("SELECT n FROM t");
    assert_eq!(written, world.on_primary("SELECT n FROM t"));
}
