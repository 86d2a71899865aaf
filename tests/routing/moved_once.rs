//! A read that is moved to the primary is one statement of its client's, wherever statements are counted.

use crate::support::raw::*;
use crate::world::*;

/// What the console counts of queries and transactions.
fn counted(world: &World) -> [u64; 2] {
    let rows = world.console("SHOW STATS_TOTALS");
    let row = rows.lines().find(|row| row.starts_with("postgres|")).unwrap_or_else(|| panic!("{rows}"));
    let columns: Vec<&str> = row.split('|').collect();
    [columns[3], columns[2]].map(|count| count.parse().unwrap_or_else(|_| panic!("{row}")))
}

/// What /metrics counts of reads on primaries and replicas, and of all applications' queries.
fn sampled(world: &World) -> [u64; 2] {
    let reads = |role: &str| {
        let labels = format!("{{database=\"postgres\",kind=\"read\",role=\"{role}\"}}");
        world.metric(&format!("pgotter_query_duration_seconds_count{labels}"))
    };
    let application = "pgotter_application_queries_total{database=\"postgres\",application=\"\"}";
    [reads("primary") + reads("replica"), world.metric(application)]
}

/// Has /metrics show what there was until now: a scrape may be a second old.
fn mark(world: &World, application: &str) {
    let mut client = Raw::log_in(world.pgotter.port(), &[("application_name", application)]);
    client.value("SELECT 1");
    let sample = format!("pgotter_application_queries_total{{database=\"postgres\",application=\"{application}\"}}");
    eventually("the mark is seen", || world.metric(&sample) == 1);
}

#[test]
fn a_read_that_is_moved_is_counted_once() {
    let world = World::new("read_your_writes = \"off\"");
    world.define("t (a int)", "INSERT INTO t VALUES (7)");
    world.pause_replay(true);
    world.on_primary("ALTER TABLE t ADD COLUMN b text DEFAULT 'new'");
    let [mut simple, mut prepared] = [(); 2].map(|()| world.client());
    let moved = world.retries("not_replayed");
    mark(&world, "before");
    let (counts, samples) = (counted(&world), sampled(&world));
    assert_eq!(simple.value("SELECT b FROM t"), "new");
    prepared.send(&[parse("", "SELECT b, 'as well' FROM t"), bind("", "", &[]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&prepared.until_ready()).as_deref(), Some("new"));
    eventually("both were tried on a replica", || world.retries("not_replayed") == moved + 2);
    mark(&world, "behind");
    // And the mark, whose application is its own.
    assert_eq!(counted(&world), counts.map(|count| count + 3));
    assert_eq!(sampled(&world), [samples[0] + 3, samples[1] + 2]);
    let queries = world.console("SHOW QUERIES");
    for text in ["|select b from t|", "|select b, ? from t|"] {
        let row = queries.lines().find(|row| row.contains(text)).unwrap_or_else(|| panic!("{queries}"));
        // Database, fingerprint, kind, calls, errors.
        let columns: Vec<&str> = row.split('|').collect();
        assert!(columns.contains(&"read"), "{row}");
        assert_eq!(columns[3..5], ["1", "0"], "{row}");
    }
}
