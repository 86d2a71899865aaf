//! What a reload makes of servers: how many, how they log in, where they are, and how long a client keeps one.

use super::reloading::{change, reload_with};
use super::talk::{Client, startup};
use super::world::{cluster, config, eventually, fresh_role, holder, host, look, pgotter, servers_of};
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{Options, SUPERUSER};

const NOTIFY: &str = "query_wait_notify = \"50ms\"\nquery_wait_timeout = \"60s\"";

#[test]
fn a_smaller_pool_closes_servers_as_they_come_in_and_a_larger_one_serves_who_waits() {
    let role = fresh_role();
    let mut pooler = pgotter(&format!("{NOTIFY}\ndefault_pool_size = 3"), "");
    let port = pooler.port();
    let mut holders: Vec<_> = (0..3).map(|_| holder(port, &role)).collect();
    change(&mut pooler, &format!("{NOTIFY}\ndefault_pool_size = 1"), "");
    let mut waiting = Client::connect(port, &role, "postgres");
    waiting.queue("SELECT 'served'");
    for client in &mut holders[1..] {
        assert_eq!(client.query("COMMIT").tags, ["COMMIT"]);
    }
    eventually("two are closed", || servers_of(&role) == 1);
    change(&mut pooler, &format!("{NOTIFY}\ndefault_pool_size = 2"), "");
    assert_eq!(waiting.answer().value(), "served");
    assert_eq!(holders[0].query("COMMIT").tags, ["COMMIT"]);
}

#[test]
fn a_limit_over_all_users_that_is_raised_serves_who_waits() {
    let (one, other) = (fresh_role(), fresh_role());
    let mut pooler = pgotter(NOTIFY, "max_db_connections = 2");
    let port = pooler.port();
    let (_first, mut idle) = (holder(port, &one), holder(port, &other));
    idle.query("COMMIT");
    let _second = holder(port, &other);
    let mut waiting = Client::connect(port, &one, "postgres");
    waiting.queue("SELECT 'served'");
    change(&mut pooler, NOTIFY, "max_db_connections = 3");
    assert_eq!(waiting.answer().value(), "served");
}

#[test]
fn servers_whose_login_has_changed_are_replaced_idle_ones_at_once_and_others_when_they_come_in() {
    let role = fresh_role();
    let database = |size| format!("connect_query = \"SET work_mem = '{size}MB'\"");
    let mut pooler = pgotter(NOTIFY, &database(5));
    let port = pooler.port();
    let (mut busy, mut idle) = (holder(port, &role), holder(port, &role));
    idle.query("COMMIT");
    change(&mut pooler, NOTIFY, &database(6));
    eventually("the idle one is closed", || servers_of(&role) == 1);
    assert_eq!(busy.value("SHOW work_mem"), "5MB");
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    eventually("the other one is closed", || servers_of(&role) == 0);
    assert_eq!(idle.value("SHOW work_mem"), "6MB");
    let backend = idle.backend();
    change(&mut pooler, &format!("{NOTIFY}\nserver_lifetime = \"2h\""), &database(6));
    assert_eq!(idle.backend(), backend, "a server was closed for nothing");
}

#[test]
fn nobody_goes_on_as_a_forced_user_that_a_reload_has_taken_away() {
    let (owner, alice) = (fresh_role(), fresh_role());
    let mut pooler = pgotter(NOTIFY, &format!("user = \"{owner}\""));
    let mut busy = holder(pooler.port(), &alice);
    let mut idle = Client::connect(pooler.port(), &alice, "postgres");
    assert_eq!(busy.value("SELECT current_user"), owner);
    change(&mut pooler, NOTIFY, "");
    let answer = idle.answer();
    answer.fatal("57P01");
    assert_eq!(busy.value("SELECT current_user"), owner);
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    busy.answer().fatal("57P01");
    let mut again = Client::connect(pooler.port(), &alice, "postgres");
    assert_eq!(again.value("SELECT current_user"), alice);
    change(&mut pooler, NOTIFY, &format!("user = \"{owner}\""));
    again.answer().fatal("57P01");
    assert_eq!(Client::connect(pooler.port(), &alice, "postgres").value("SELECT current_user"), owner);
}

#[test]
fn f30_a_host_that_moved_takes_the_waiting_along_and_lets_transactions_end() {
    let role = fresh_role();
    let new = postgres(&Options::default());
    must(new.psql("postgres", &format!("CREATE ROLE {role} LOGIN")));
    let lines = format!("{NOTIFY}\ndefault_pool_size = 1");
    let mut pooler = pgotter(&lines, "");
    let place = "SELECT inet_server_port()";
    let (before, after) = (cluster().port().to_string(), new.port().to_string());
    let mut busy = holder(pooler.port(), &role);
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let mut waiting = Client::connect(pooler.port(), &role, "postgres");
    waiting.queue(place);
    let text = config(pooler.port(), &host(&new), &lines, "");
    assert!(reload_with(&mut pooler, &text));
    assert_eq!(waiting.answer().value(), after);
    assert_eq!(busy.value(place), before);
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    eventually("the old host is left", || servers_of(&role) == 0);
    for client in [&mut busy, &mut idle] {
        assert_eq!(client.value(place), after);
    }
}

#[test]
fn the_places_of_servers_on_a_host_that_was_left_are_given_back() {
    let new = postgres(&Options::default());
    let rest = "max_db_connections = 2";
    let lines = format!("{NOTIFY}\ndefault_pool_size = 5");
    let text = |port, server| config(port, &host(server), &lines, rest);
    let mut pooler = PgOtter::start(|port| text(port, cluster()));
    let port = pooler.port();
    let mut left: Vec<_> = (0..2).map(|_| holder(port, SUPERUSER)).collect();
    let backend = left[0].backend();
    let moved = text(port, &new);
    assert!(reload_with(&mut pooler, &moved));
    // The new host has to be asked for its welcome: even a login needs a place.
    let mut waiting = Client::open(port);
    waiting.send(&startup(&[("user", SUPERUSER), ("database", "postgres")]));
    // One server goes in order. The other is lost, and with it the last that knew of its host.
    left.pop().unwrap().leave();
    assert!(waiting.answer().status.is_some());
    look(&format!("SELECT pg_terminate_backend({backend})"));
    left[0].answer().fatal("57P01");
    let held: Vec<_> = (0..2).map(|_| holder(port, SUPERUSER)).collect();
    assert_eq!(held.len(), 2);
}

#[test]
fn a_session_that_has_begun_stays_one_whatever_pool_mode_becomes() {
    let role = fresh_role();
    let mut pooler = pgotter("pool_mode = \"session\"", "");
    let port = pooler.port();
    let mut session = Client::connect(port, &role, "postgres");
    session.query("CREATE TEMP TABLE mine AS SELECT 'kept' AS word");
    change(&mut pooler, "pool_mode = \"transaction\"\ndefault_pool_size = 2", "");
    assert_eq!(session.value("SELECT word FROM mine"), "kept");
    let mut one = Client::connect(port, &role, "postgres");
    let mut other = Client::connect(port, &role, "postgres");
    assert_eq!(one.backend(), other.backend(), "they share the server that the session leaves over");
    change(&mut pooler, "pool_mode = \"session\"\ndefault_pool_size = 3", "");
    assert_ne!(one.backend(), other.backend(), "each keeps its own");
    assert_eq!(session.value("SELECT word FROM mine"), "kept");
    session.leave();
    assert_eq!(one.query("SELECT word FROM mine").code(), "42P01");
}
