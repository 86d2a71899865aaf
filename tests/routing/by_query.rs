//! Of each query it is counted how many of its calls ran on the primary and on replicas, and why.

use crate::world::*;
use std::collections::BTreeMap;

const READ: &str = "SELECT current_setting('otter.host') AS routed";

/// The columns of the row of the queries that this one is.
fn row(world: &World) -> Vec<String> {
    let rows = world.console("SHOW QUERIES");
    let row = rows.lines().find(|row| row.contains("select current_setting(?) as routed"));
    row.unwrap_or_else(|| panic!("{rows}")).split('|').map(str::to_owned).collect()
}

fn routes(world: &World, fingerprint: &str) -> BTreeMap<(String, String), u64> {
    let rows = world.console(&format!("SHOW ROUTES {fingerprint}"));
    let read = |row: &str| {
        let [database, role, reason, calls] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        assert_eq!(database, "postgres");
        ((role.to_owned(), reason.to_owned()), calls.parse().unwrap())
    };
    rows.lines().map(read).collect()
}

#[test]
fn calls_of_a_query_are_counted_where_they_ran() {
    let mut world = World::new("");
    world.define("written (a int)", "");
    let mut client = world.client();
    let mut on = [0, 0];
    for _ in 0..7 {
        on[usize::from(client.value(READ) != PRIMARY)] += 1;
    }
    client.ask("BEGIN");
    client.ask("INSERT INTO written VALUES (1)");
    for _ in 0..3 {
        assert_eq!(client.value(READ), PRIMARY);
        on[0] += 1;
    }
    client.ask("COMMIT");
    let found = row(&world);
    let (fingerprint, replica_calls) = (found[1].as_str(), found.last().unwrap());
    let counted = routes(&world, fingerprint);
    assert_eq!(
        ([sum(&counted, "primary"), sum(&counted, "replica")], replica_calls.clone()),
        (on, on[1].to_string()),
        "{counted:?}"
    );
    assert!(on[1] > 0);
    assert_eq!(counted[&("replica".to_owned(), "read".to_owned())], on[1]);
    assert_eq!(counted[&("primary".to_owned(), "write".to_owned())], 3, "{counted:?}");
    // What would have run there did not.
    world.reconfigure("mode = \"split\"", "mode = \"observe\"");
    let (mut client, before) = (world.client(), world.decisions("replica", "read"));
    eventually("replicas would have run it", || {
        assert_eq!(client.value(READ), PRIMARY);
        on[0] += 1;
        world.decisions("replica", "read") > before
    });
    let counted = routes(&world, fingerprint);
    assert_eq!((sum(&counted, "primary"), sum(&counted, "replica")), (on[0], on[1]), "{counted:?}");
}

fn sum(counted: &BTreeMap<(String, String), u64>, role: &str) -> u64 {
    counted.iter().filter(|((of, _), _)| of == role).map(|(_, calls)| calls).sum()
}
