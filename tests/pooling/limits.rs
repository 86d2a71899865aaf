//! How many servers, how many clients, and who gets a place when several pools want it.

use super::reloading::change;
use super::talk::Client;
use super::world::{PATIENCE, eventually, fresh_role, holder, look, pgotter, servers_of};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Quick to say that a client waits, slow to give up.
const NOTIFY: &str = "query_wait_notify = \"50ms\"\nquery_wait_timeout = \"60s\"";

/// Refuses soon; [`transactions_until_one_waits_in_vain`] needs it.
const SHORT: &str = "query_wait_timeout = \"500ms\"";

/// Opens transactions until one is refused because all servers are in use; those that got one.
fn transactions_until_one_waits_in_vain(port: u16, user: &str, database: &str) -> Vec<Client> {
    let mut served = Vec::new();
    while served.len() <= 12 {
        let mut client = Client::connect(port, user, database);
        let answer = client.query("BEGIN -- with a server");
        if answer.status == Some(b'T') {
            served.push(client);
            continue;
        }
        answer.error("53300");
        // Unless the machine was too slow to open one in time.
        if answer.errors[0].detail.contains(" 0 being opened") {
            return served;
        }
    }
    panic!("no limit holds");
}

#[test]
fn a_pool_opens_default_pool_size_servers_and_no_more() {
    let role = fresh_role();
    let pooler = pgotter(&format!("{SHORT}\ndefault_pool_size = 3"), "");
    let served = transactions_until_one_waits_in_vain(pooler.port(), &role, "postgres");
    assert_eq!((served.len(), servers_of(&role)), (3, 3));
}

#[test]
fn a_database_and_a_user_may_have_pool_sizes_of_their_own() {
    let (anybody, somebody) = (fresh_role(), fresh_role());
    let host = super::world::host(super::world::cluster());
    let small = format!("[databases.small]\ndbname = \"postgres\"\nhosts = [\"{host}\"]\npool_size = 1");
    let user = format!("[users.{somebody}]\npool_size = 2");
    let pooler = pgotter(&format!("{SHORT}\ndefault_pool_size = 3"), &format!("{small}\n{user}"));
    let count = |user, database| transactions_until_one_waits_in_vain(pooler.port(), user, database).len();
    assert_eq!(count(&anybody, "small"), 1);
    assert_eq!(count(&anybody, "postgres"), 3);
    assert_eq!(count(&somebody, "small"), 2);
    assert_eq!(count(&somebody, "postgres"), 2);
}

#[test]
fn a_pool_with_a_forced_user_is_filled_before_any_client_comes() {
    let role = fresh_role();
    let host = super::world::host(super::world::cluster());
    let ready =
        format!("[databases.ready]\ndbname = \"postgres\"\nhosts = [\"{host}\"]\nuser = \"{role}\"\nmin_pool_size = 3");
    let _pooler = pgotter("", &ready);
    eventually("three servers without a client", || servers_of(&role) == 3);
}

#[test]
fn a_pool_without_a_forced_user_is_filled_while_it_has_a_client() {
    let role = fresh_role();
    let pooler = pgotter("min_pool_size = 2", "");
    let _client = Client::connect(pooler.port(), &role, "postgres");
    eventually("two servers for one idle client", || servers_of(&role) == 2);
}

#[test]
fn the_reserve_serves_who_has_waited_long_enough_and_goes_again() {
    let role = fresh_role();
    let reserve = "default_pool_size = 1\nreserve_pool_size = 1\nreserve_pool_timeout = \"200ms\"";
    let pooler = pgotter(&format!("query_wait_notify = \"50ms\"\n{reserve}"), "");
    let mut first = holder(pooler.port(), &role);
    let mut second = Client::connect(pooler.port(), &role, "postgres");
    assert_eq!(second.query("BEGIN -- with a server").status, Some(b'T'));
    assert_ne!(first.backend(), second.backend());
    let mut third = Client::connect(pooler.port(), &role, "postgres");
    third.queue("SELECT 1");
    assert_eq!(servers_of(&role), 2);
    second.query("COMMIT");
    assert_eq!(third.answer().value(), "1");
    first.query("COMMIT");
    eventually("the reserve is closed when nobody is in need", || servers_of(&role) == 1);
}

#[test]
fn clients_above_max_client_conn_are_told_53300_until_one_leaves() {
    let role = fresh_role();
    let pooler = pgotter("max_client_conn = 2", "");
    let login = || Client::try_connect(pooler.port(), &[("user", &role), ("database", "postgres")]);
    // PgOtter's start was observed with a connection that may still count.
    eventually("a first client", || login().is_ok());
    let (mut kept, mut refused) = (Vec::new(), None);
    eventually("the two places are taken", || {
        match login() {
            Ok(client) => kept.push(client),
            Err(answer) if kept.len() == 2 => refused = Some(answer),
            Err(_) => (),
        }
        refused.is_some()
    });
    let refused = refused.unwrap();
    refused.fatal("53300");
    assert!(refused.errors[0].detail.contains("max_client_conn is 2"), "{refused:?}");
    kept.pop().unwrap().leave();
    eventually("the place is free again", || login().is_ok());
    assert_eq!(kept[0].value("SELECT 1"), "1");
}

#[test]
fn clients_of_one_database_and_of_one_user_are_limited() {
    let (one, other) = (fresh_role(), fresh_role());
    let pooler = pgotter("", &format!("max_db_client_connections = 3\n[users.{one}]\nmax_user_client_connections = 2"));
    let login = |user: &str, database| Client::try_connect(pooler.port(), &[("user", user), ("database", database)]);
    let mut kept = vec![login(&one, "postgres").unwrap(), login(&one, "postgres").unwrap()];
    for database in ["postgres", "template1"] {
        let refused = login(&one, database).err().unwrap();
        refused.fatal("53300");
        assert!(refused.errors[0].detail.contains("max_user_client_connections is 2"), "{refused:?}");
    }
    kept.push(login(&other, "postgres").unwrap());
    let refused = login(&other, "postgres").err().unwrap();
    refused.fatal("53300");
    assert!(refused.errors[0].detail.contains("max_db_client_connections is 3"), "{refused:?}");
    assert!(login(&other, "template1").is_ok(), "another database has its own count");
    kept.remove(0).leave();
    eventually("a place is free again", || login(&other, "postgres").is_ok());
}

#[test]
fn limits_that_a_reload_brings_count_who_is_there_already() {
    let (one, other) = (fresh_role(), fresh_role());
    let mut pooler = pgotter("", "");
    let port = pooler.port();
    let login = |user: &str, database| Client::try_connect(port, &[("user", user), ("database", database)]);
    let kept = [(&one, "postgres"), (&one, "postgres"), (&other, "template1")];
    let [first, _second, _third] = kept.map(|(user, database)| login(user, database).unwrap());
    let limits = format!("max_db_client_connections = 2\n[users.{other}]\nmax_user_client_connections = 1");
    change(&mut pooler, "", &limits);
    for (user, database, setting) in [
        (&one, "postgres", "max_db_client_connections is 2"),
        (&other, "template1", "max_user_client_connections is 1"),
    ] {
        let refused = login(user, database).err().unwrap();
        refused.fatal("53300");
        assert!(refused.errors[0].detail.contains(setting), "{refused:?}");
    }
    first.leave();
    eventually("a place is free again", || login(&one, "postgres").is_ok());
}

#[test]
fn clients_are_limited_by_the_name_they_log_in_with_and_not_by_a_forced_user() {
    let (forced, limited, other) = (fresh_role(), fresh_role(), fresh_role());
    let host = super::world::host(super::world::cluster());
    let database = format!("[databases.all]\ndbname = \"postgres\"\nhosts = [\"{host}\"]\nuser = \"{forced}\"");
    let users = format!(
        "[users.{forced}]\nmax_user_client_connections = 1\n[users.{limited}]\nmax_user_client_connections = 2"
    );
    let pooler = pgotter("", &format!("{database}\n{users}"));
    let login = |user: &str| Client::try_connect(pooler.port(), &[("user", user), ("database", "all")]);
    let _kept = [&limited, &limited, &other, &other].map(|user| login(user).unwrap());
    let refused = login(&limited).err().unwrap();
    refused.fatal("53300");
    assert!(refused.errors[0].detail.contains("max_user_client_connections is 2"), "{refused:?}");
    assert_eq!(login(&other).unwrap().value("SELECT current_user"), forced);
}

#[test]
fn all_clients_of_a_database_with_a_forced_user_share_one_pool() {
    let (forced, users) = (fresh_role(), [fresh_role(), fresh_role(), fresh_role()]);
    let host = super::world::host(super::world::cluster());
    let database = format!("[databases.all]\ndbname = \"postgres\"\nhosts = [\"{host}\"]\nuser = \"{forced}\"");
    let settings = format!("[users.{forced}]\npool_size = 2\n[users.{}]\npool_size = 9", users[0]);
    let pooler = pgotter(NOTIFY, &format!("{database}\n{settings}"));
    let mut clients = users.each_ref().map(|user| Client::connect(pooler.port(), user, "all"));
    let [one, other, third] = &mut clients;
    assert_eq!(one.query("BEGIN -- with a server").status, Some(b'T'));
    assert_eq!(other.query("BEGIN -- with a server").status, Some(b'T'));
    third.queue("SELECT current_user");
    assert_eq!(servers_of(&forced), 2);
    one.query("COMMIT");
    assert_eq!(third.answer().value(), forced);
    other.query("COMMIT");
}

#[test]
fn a_starving_user_gets_the_place_of_anothers_idle_server() {
    let (rich, poor) = (fresh_role(), fresh_role());
    let pooler = pgotter(&format!("{NOTIFY}\ndefault_pool_size = 5"), "max_db_connections = 2");
    let port = pooler.port();
    let mut served = [holder(port, &rich), holder(port, &rich)];
    assert_eq!(servers_of(&rich), 2);
    // Even a first login needs a server: it waits too.
    let mut starving = Client::open(port);
    starving.send(&super::talk::startup(&[("user", &poor), ("database", "postgres")]));
    served[1].query("COMMIT");
    assert!(starving.answer().status.is_some());
    let mut rich_waits = Client::connect(port, &rich, "postgres");
    assert_eq!(starving.query("BEGIN -- with a server").status, Some(b'T'));
    rich_waits.queue("SELECT 1");
    assert_eq!((servers_of(&rich), servers_of(&poor)), (1, 1));
    starving.query("COMMIT");
    assert_eq!(rich_waits.answer().value(), "1");
    assert!(servers_of(&rich) + servers_of(&poor) <= 2);
    assert_eq!(served[0].query("COMMIT").status, Some(b'I'));
}

#[test]
fn one_users_servers_are_limited_over_all_databases() {
    let role = fresh_role();
    let pooler = pgotter(NOTIFY, &format!("[users.{role}]\nmax_user_connections = 1"));
    let port = pooler.port();
    let mut here = Client::connect(port, &role, "postgres");
    assert_eq!(here.value("SELECT 1"), "1");
    let mut there = Client::connect(port, &role, "template1");
    assert_eq!(there.query("BEGIN -- with a server").status, Some(b'T'));
    here.queue("SELECT current_database()");
    assert_eq!(servers_of(&role), 1);
    there.query("COMMIT");
    assert_eq!(here.answer().value(), "postgres");
    assert_eq!(there.value("SELECT current_database()"), "template1");
    assert_eq!(servers_of(&role), 1);
}

#[test]
fn a_pool_between_two_full_limits_gets_the_places_of_two_idle_servers() {
    let (role, other) = (fresh_role(), fresh_role());
    let limits = format!("max_db_connections = 1\n[users.{role}]\nmax_user_connections = 1");
    let pooler = pgotter(NOTIFY, &limits);
    assert_eq!(Client::connect(pooler.port(), &other, "postgres").value("SELECT 1"), "1");
    assert_eq!(Client::connect(pooler.port(), &role, "template1").value("SELECT 1"), "1");
    let mut between = Client::connect(pooler.port(), &role, "postgres");
    assert_eq!(between.value("SELECT current_database()"), "postgres");
    eventually("both have closed", || (servers_of(&role), servers_of(&other)) == (1, 0));
}

#[test]
fn a_full_database_costs_other_databases_no_server() {
    let (role, bystander) = (fresh_role(), fresh_role());
    let host = super::world::host(super::world::cluster());
    let full = format!("[databases.full]\ndbname = \"postgres\"\nhosts = [\"{host}\"]\nmax_db_connections = 1");
    let pooler = pgotter(NOTIFY, &full);
    let mut idle = Client::connect(pooler.port(), &bystander, "postgres");
    let backend = idle.backend();
    let mut held = Client::connect(pooler.port(), &role, "full");
    held.query("BEGIN -- with a server");
    let mut waits = Client::connect(pooler.port(), &role, "full");
    waits.queue("SELECT 1");
    assert_eq!(idle.backend(), backend, "its server was given up for nothing");
    held.query("COMMIT");
    assert_eq!(waits.answer().value(), "1");
    assert_eq!(idle.backend(), backend, "its server was given up for nothing");
}

#[test]
fn f20_a_herd_of_new_clients_is_served_by_a_small_pool() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 4", "");
    let backends: HashSet<String> = std::thread::scope(|scope| {
        let client = || Client::connect(pooler.port(), &role, "postgres").backend();
        let herd: Vec<_> = (0..200).map(|_| scope.spawn(client)).collect();
        herd.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(backends.len() <= 4, "{backends:?}");
    // One may have been opened for somebody who was served by another in the meantime.
    let open: usize = look(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'")).parse().unwrap();
    assert!((backends.len()..=4).contains(&open), "{open} open, of which {backends:?} served");
}

#[test]
fn a_place_given_up_for_another_user_is_one_and_not_every_idle_server() {
    let (rich, poor) = (fresh_role(), fresh_role());
    let pooler = pgotter(&format!("{NOTIFY}\ndefault_pool_size = 5"), "max_db_connections = 4");
    let mut holders: Vec<_> = (0..4).map(|_| holder(pooler.port(), &rich)).collect();
    holders.iter_mut().for_each(|client| assert_eq!(client.query("COMMIT").status, Some(b'I')));
    for _ in 0..3 {
        assert_eq!(Client::connect(pooler.port(), &poor, "postgres").value("SELECT 1"), "1");
    }
    assert_eq!((servers_of(&rich), servers_of(&poor)), (3, 1));
}

#[test]
fn two_users_who_share_too_few_places_are_both_served() {
    let (one, other) = (fresh_role(), fresh_role());
    let pooler = pgotter("query_wait_timeout = \"20s\"\nworkers = 2", "max_db_connections = 2");
    std::thread::scope(|scope| {
        for user in [&one, &other].into_iter().cycle().take(12) {
            scope.spawn(|| {
                let mut client = Client::connect(pooler.port(), user, "postgres");
                for _ in 0..20 {
                    assert_eq!(client.value("SELECT 1"), "1");
                }
            });
        }
    });
    assert!(servers_of(&one) + servers_of(&other) <= 2);
}

#[test]
fn a_pool_that_always_has_waiters_does_not_starve_another() {
    let (rich, poor) = (fresh_role(), fresh_role());
    let pooler = pgotter("query_wait_timeout = \"20s\"\nserver_connect_timeout = \"20s\"", "max_db_connections = 1");
    let (served, since) = (AtomicBool::new(false), Instant::now());
    let busy: Vec<_> = (0..6).map(|_| Client::connect(pooler.port(), &rich, "postgres")).collect();
    std::thread::scope(|scope| {
        for mut client in busy {
            let served = &served;
            scope.spawn(move || {
                while !served.load(Ordering::Relaxed) && since.elapsed() < PATIENCE {
                    assert_eq!(client.value("SELECT 1 FROM pg_sleep(0.005)"), "1");
                }
            });
        }
        // Even its login needs a server.
        assert_eq!(Client::connect(pooler.port(), &poor, "postgres").value("SELECT 1"), "1");
        served.store(true, Ordering::Relaxed);
    });
}
