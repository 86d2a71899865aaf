//! A role that PostgreSQL bars, where only replicas have servers of it.

use crate::support::raw::{Raw, error_code, startup, terminate};
use crate::world::*;
use pgotter::cli::local_postgres::StopMode;

/// Why the role is not let in, if it is not.
fn knock(world: &World) -> Option<String> {
    let mut client = Raw::connect(world.pgotter.port());
    client.send(&startup(3, 0, &[("user", "barred"), ("database", "postgres")]));
    let frames = client.until_ready();
    client.send(&terminate());
    error_code(&frames)
}

#[test]
fn a_role_that_is_barred_is_refused_although_only_replicas_have_servers_of_it() {
    let world = World::new("");
    world.on_primary("CREATE ROLE barred LOGIN");
    world.until_replayed();
    let mut client = Raw::log_in(world.pgotter.port(), &[("user", "barred"), ("database", "postgres")]);
    eventually("a replica has a server of it", || client.value(WHERE) != PRIMARY);
    world.on_primary("ALTER ROLE barred NOLOGIN");
    world.until_replayed();
    world.on_primary("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'barred'");
    let left = || world.console("SHOW SERVERS").lines().filter(|line| line.contains("barred")).count();
    eventually("the primary has none", || left() == 1);
    eventually("it is refused", || knock(&world).as_deref() == Some("28000"));
    assert_eq!(knock(&world).as_deref(), Some("28000"));
}

#[test]
fn a_role_that_is_barred_is_refused_while_no_primary_is_confirmed() {
    let mut world = World::new("");
    world.on_primary("CREATE ROLE barred LOGIN");
    world.until_replayed();
    let mut client = Raw::log_in(world.pgotter.port(), &[("user", "barred"), ("database", "postgres")]);
    eventually("a replica has a server of it", || client.value(WHERE) != PRIMARY);
    assert_eq!(knock(&world), None);
    world.on_primary("ALTER ROLE barred NOLOGIN");
    world.until_replayed();
    let is_confirmed = |row: &str| row.contains("|primary|primary|");
    assert!(world.console("SHOW HOSTS").lines().any(is_confirmed));
    world.primary.stop(StopMode::Fast).unwrap();
    eventually("there is no primary", || !world.console("SHOW HOSTS").lines().any(is_confirmed));
    eventually("it is refused", || knock(&world).as_deref() == Some("28000"));
    let mut other = world.client();
    assert_ne!(other.value(WHERE), PRIMARY, "who is not barred is let in, and reads");
}
