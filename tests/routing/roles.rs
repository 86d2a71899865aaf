//! Where waits and transactions were, as /metrics tells them.

use crate::support::raw::{Raw, query, startup};
use crate::world::*;

/// How often this was observed, on primaries and on replicas.
fn counts(world: &World, family: &str) -> [u64; 2] {
    ["primary", "replica"].map(|role| world.metric(&format!("{family}_count{{database=\"postgres\",role=\"{role}\"}}")))
}

#[test]
fn waits_transactions_and_idle_time_are_told_of_where_they_were() {
    let world = World::new("");
    let families = [
        "pgotter_pool_wait_duration_seconds",
        "pgotter_transaction_duration_seconds",
        "pgotter_transaction_idle_duration_seconds",
    ];
    let mut client = world.client();
    let before = read(&world, families);
    let (mut ran, mut idle) = ([0, 0], [0, 0]);
    let mut note = |place: String, held: bool| {
        let role = usize::from(place != PRIMARY);
        ran[role] += 1;
        idle[role] += u64::from(held);
        role == 1
    };
    for _ in 0..5 {
        note(client.value(WHERE), false);
    }
    // Wherever it runs: a replica may be behind for a moment.
    eventually("a block that reads runs on a replica", || {
        client.ask("BEGIN READ ONLY");
        let place = client.value(WHERE);
        client.ask("COMMIT");
        note(place, true)
    });
    client.ask("BEGIN");
    let place = client.value(WHERE);
    client.ask("COMMIT");
    assert!(!note(place, true), "it may write");
    client.ask("CREATE TABLE t (a int)");
    client.ask("INSERT INTO t VALUES (1)");
    ran[0] += 2;
    assert!(ran[1] > 1, "{ran:?}");
    let mut grown = [[0; 2]; 3];
    eventually("the last one", || {
        let now = read(&world, families);
        grown = [0, 1, 2].map(|at| [0, 1].map(|role| now[at][role] - before[at][role]));
        grown[1].iter().sum::<u64>() >= ran.iter().sum()
    });
    assert_eq!(grown, [ran, ran, idle]);
}

/// All of it, from scrapes that were made behind this moment: each may be a second old, and has counted those before.
fn read(world: &World, families: [&str; 3]) -> [[u64; 2]; 3] {
    let answered = || world.metric("pgotter_http_connections_total{result=\"answered\"}");
    let before = answered();
    eventually("a fresh scrape", || answered() > before);
    families.map(|family| counts(world, family))
}

#[test]
fn clients_that_wait_for_a_replica_are_told_from_those_that_wait_for_the_primary() {
    let world = World::new("\n[users.small]\npool_size = 1");
    world.on_primary("CREATE ROLE small LOGIN");
    world.until_replayed();
    let small = || {
        let mut client = Raw::connect(world.pgotter.port());
        client.send(&startup(3, 0, &[("user", "small"), ("database", "postgres")]));
        client.welcomed();
        client
    };
    let waiting = |role: &str| {
        world.metric(&format!("pgotter_pool_waiting_clients{{database=\"postgres\",user=\"small\",role=\"{role}\"}}"))
    };
    // The only server of each replica.
    let mut taken = Vec::new();
    let mut holders = Vec::new();
    eventually("both replicas have a client", || {
        let mut holder = small();
        holder.ask("BEGIN READ ONLY");
        let at = holder.value(WHERE);
        if REPLICAS.contains(&at.as_str()) && !taken.contains(&at) {
            taken.push(at);
            holders.push(holder);
        }
        taken.len() == 2
    });
    // A read waits for a second there before the primary has it; while a replica is behind it goes there at once.
    let mut reader = small();
    let mut reads = 0;
    eventually("one that waits for a replica", || {
        reader.send(&query(WHERE));
        reads += 1;
        waiting("replica") == 1
    });
    drop(holders);
    for _ in 0..reads {
        reader.until_ready();
    }
    // And now for the primary.
    let mut writer = small();
    writer.ask("BEGIN -- with a server");
    writer.ask("SELECT txid_current()");
    reader.send(&query("SELECT txid_current()"));
    eventually("one that waits for the primary", || waiting("primary") == 1 && waiting("replica") == 0);
    writer.ask("COMMIT");
    reader.until_ready();
}
