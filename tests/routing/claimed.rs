//! `read_functions` and `write_functions`: what the configuration says of functions goes before what the catalog says.

use crate::support::raw::row_values;
use crate::world::*;

#[test]
fn functions_are_what_the_configuration_says_from_one_reload_to_the_next() {
    let mut world =
        World::new("read_functions = [\"total\", \"computed\", '\"Total\"']\nwrite_functions = [\"audit\"]");
    world.define(
        "t (a int)",
        "CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t'; \
         CREATE FUNCTION \"Total\"() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t'; \
         CREATE FUNCTION other() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM t'; \
         CREATE FUNCTION computed() RETURNS bigint LANGUAGE plpgsql AS \
             $$ DECLARE found bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || 't' INTO found; RETURN found; END $$; \
         CREATE FUNCTION audit() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM t'; \
         CREATE VIEW totals AS SELECT total() AS a",
    );
    let mut client = world.client();
    let from = |what: &str| format!("SELECT current_setting('otter.host') FROM (SELECT * FROM {what}) AS a");
    for reads in ["total()", "\"Total\"()", "computed()", "totals"] {
        eventually(reads, || client.value(&from(reads)) != PRIMARY);
    }
    for writes in ["other()", "audit()"] {
        assert_eq!(client.value(&from(writes)), PRIMARY, "{writes}");
    }
    world.reconfigure("\"total\", ", "\"other\", ");
    world.reconfigure("write_functions = [\"audit\"]", "");
    for reads in ["other()", "audit()", "computed()"] {
        eventually(reads, || client.value(&from(reads)) != PRIMARY);
    }
    for writes in ["total()", "totals"] {
        assert_eq!(client.value(&from(writes)), PRIMARY, "{writes}");
    }
}

#[test]
fn what_is_said_to_read_and_deletes_a_replica_refuses_once_and_then_it_counts_as_a_write() {
    let world = World::new("read_functions = [\"prune\"]\nread_your_writes = \"off\"");
    world.define(
        "t (a int)",
        "INSERT INTO t SELECT generate_series(1, 10); \
         CREATE FUNCTION prune(int) RETURNS bigint LANGUAGE sql AS \
             'WITH gone AS (DELETE FROM t WHERE a = $1 RETURNING 1) SELECT count(*) FROM gone'",
    );
    for (gone, reason) in [(1, "retry"), (2, "write"), (3, "write"), (4, "write")] {
        // Another client than the one that was refused.
        let mut client = world.client();
        assert_eq!(client.value(&format!("SELECT prune({gone})")), "1");
        let route = client.ask("SHOW pgotter.route");
        let row = route.iter().find(|frame| frame.kind == b'D').unwrap();
        assert_eq!(row_values(row)[2].as_deref(), Some(reason), "{gone}");
    }
    eventually("it was refused once, as one that writes", || world.retries("read_only") == 1);
    assert_eq!(world.on_primary("SELECT count(*) FROM t"), "6");
}
