//! `mode = "observe"`: all is decided and counted, and nothing runs elsewhere.

use crate::world::*;

#[test]
fn reads_are_counted_for_replicas_and_run_on_the_primary() {
    let world = World::with("mode = \"observe\"", "");
    let mut client = world.client();
    let (reads, writes) = (world.decisions("replica", "read"), world.decisions("primary", "write"));
    for _ in 0..5 {
        assert_eq!(client.value(WHERE), PRIMARY);
    }
    client.ask("CREATE TABLE t (a int)");
    client.ask("INSERT INTO t VALUES (1)");
    client.ask("BEGIN; SELECT 1; COMMIT");
    assert!(world.decisions("replica", "read") >= reads + 5);
    assert_eq!(world.decisions("primary", "write"), writes + 1);
    assert_eq!(world.decisions("primary", "ddl"), 1);
}
