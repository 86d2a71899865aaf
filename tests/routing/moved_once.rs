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
    world.run_ahead();
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

/// What the console counts of decisions, whatever they were.
fn decided(world: &World) -> u64 {
    let rows = world.console("SHOW ROUTES");
    let of = |row: &str| row.strip_prefix("postgres|")?.split('|').nth(2)?.parse::<u64>().ok();
    rows.lines().filter_map(of).sum()
}

#[test]
fn a_read_that_is_moved_is_one_decision_where_it_ran_and_two_assignments() {
    let world = World::new("read_your_writes = \"off\"");
    world.define("t (a int)", "INSERT INTO t VALUES (7)");
    world.run_ahead();
    let mut client = world.client();
    let assigned = || {
        let rows = world.console("SHOW STATS_TOTALS");
        let row = rows.lines().find(|row| row.starts_with("postgres|")).unwrap_or_else(|| panic!("{rows}"));
        row.split('|').nth(1).and_then(|count| count.parse::<u64>().ok()).unwrap_or_else(|| panic!("{row}"))
    };
    let (decisions, retries, assignments) = (decided(&world), world.decisions("primary", "retry"), assigned());
    for _ in 0..5 {
        assert_eq!(client.value("SELECT b FROM t"), "new");
    }
    // Having seen what replicas have not, the client asks none of them any more.
    let moved = world.decisions("primary", "retry") - retries;
    assert!(moved > 0, "a replica was asked");
    assert_eq!(decided(&world), decisions + 5);
    assert_eq!(assigned(), assignments + 5 + moved);
    // And one that stays there is one as well.
    let before = (decided(&world), world.decisions("replica", "hint"));
    assert_eq!(client.value("/* pgotter: replica stale */ SELECT a FROM t"), "7");
    assert_eq!((decided(&world), world.decisions("replica", "hint")), (before.0 + 1, before.1 + 1));
}

#[test]
fn the_time_of_a_read_that_is_moved_begins_when_its_client_has_sent_it() {
    let world = World::new("read_your_writes = \"off\"");
    world.define("t (a int)", "INSERT INTO t VALUES (0)");
    world.pause_replay(true);
    world.on_primary("UPDATE t SET a = 1");
    let longer = || {
        let sample = |what: &str, more: &str| {
            let labels = format!("{{database=\"postgres\",kind=\"read\",role=\"primary\"{more}}}");
            world.metric(&format!("pgotter_query_duration_seconds_{what}{labels}"))
        };
        sample("count", "") - sample("bucket", ",le=\"0.2\"")
    };
    mark(&world, "before");
    let before = longer();
    // Slow on a replica, and refused there; neither on the primary.
    assert_eq!(world.client().value("SELECT 1 / a FROM t WHERE pg_sleep(0.4 * (1 - a)) IS NOT NULL"), "1");
    mark(&world, "behind");
    assert_eq!(world.retries("other_error"), 1);
    // The server that has answered did so at once; before that the read has waited for it.
    let queries = world.console("SHOW QUERIES");
    let row = queries.lines().find(|row| row.contains("pg_sleep")).unwrap_or_else(|| panic!("{queries}"));
    let waited: Option<f64> = row.split('|').nth(11).and_then(|ms| ms.parse().ok());
    assert!(waited.is_some_and(|ms| ms >= 400.0), "{row}");
    assert!(longer() > before, "the whole of it is told of as well");
}
