//! An alert on replicas that are behind.

use crate::world::*;

/// Subject and state of each row of SHOW ALERTS.
fn alerts(world: &World) -> Vec<[String; 2]> {
    let rows = world.console("SHOW ALERTS");
    let columns = |row: &str| row.split('|').map(str::to_owned).collect::<Vec<_>>();
    // Alert, type, database, subject, state.
    rows.lines().map(columns).map(|columns| [columns[3].clone(), columns[4].clone()]).collect()
}

#[test]
fn replicas_that_are_far_behind_fire_their_alert_until_they_have_caught_up() {
    let alert = "[[alert]]\ntype = \"replica_lag\"\nover = \"500ms\"\nfor = 0\nclear_for = 0";
    let world = World::new(&format!("max_replica_lag = \"1h\"\n{alert}"));
    world.define("t (a int)", "");
    world.until_replayed();
    let calm = || alerts(&world).iter().map(|[_, state]| state.as_str() == "ok").eq([true]);
    eventually("nothing fires", calm);
    world.pause_replay(true);
    world.on_primary("INSERT INTO t VALUES (1)");
    eventually("both fire", || alerts(&world).iter().filter(|[_, state]| state == "firing").count() == 2);
    let subjects: Vec<_> = alerts(&world).into_iter().map(|[subject, _]| subject).collect();
    let hosts = world.console("SHOW HOSTS");
    for subject in &subjects {
        // Database, host, port, role.
        let columns = |row: &str| row.split('|').map(str::to_owned).collect::<Vec<_>>();
        let mut rows = hosts.lines().map(columns);
        let is_it = |row: &Vec<String>| *subject == format!("{}:{}", row[1], row[2]);
        let host = rows.find(is_it).unwrap_or_else(|| panic!("{subject}: {hosts}"));
        assert_ne!(host[3], "primary", "{hosts}");
    }
    world.pause_replay(false);
    eventually("it is over", calm);
}
