//! The primary is found, and found again where it has moved.

use super::load::Load;
use super::reloading::reload_with;
use super::talk::{Client, query};
use super::trio::{Trio, client, client_at, config, pgotter, port_of};
use super::world::eventually;
use crate::support::must;
use pgotter::cli::local_postgres::StopMode;
use std::collections::BTreeSet;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn the_primary_is_found_though_the_configuration_says_nothing_or_something_else() {
    let trio = Trio::start();
    let [primary, one, other] = trio.hosts().try_into().unwrap();
    let claimed = |host: &str, role: &str| {
        let port = host.trim_matches('"').rsplit_once(':').unwrap().1.to_owned();
        format!("{{ host = \"127.0.0.1\", port = {port}, role = \"{role}\" }}")
    };
    let lists = [
        vec![one.clone(), other.clone(), primary.clone()],
        vec![claimed(&one, "primary"), claimed(&primary, "replica"), other.clone()],
    ];
    for hosts in lists {
        let pooler = pgotter(&hosts, "", "");
        let mut client = client(&pooler);
        assert_eq!(port_of(&mut client), trio.primary.port());
        assert_eq!(client.query("INSERT INTO t VALUES (0)").tags, ["INSERT 0 1"]);
        let wrong = hosts[0].contains("role");
        eventually("both claims are held against what was found", || {
            pooler.log().matches("a host is not what `hosts` says").count() == if wrong { 2 } else { 0 }
        });
    }
}

#[test]
fn f26_a_replica_is_promoted_under_load_and_the_old_primary_acknowledges_nothing_more() {
    let mut trio = Trio::start();
    let pooler = pgotter(&trio.hosts(), "", "");
    let (port, load) = (pooler.port(), Load::default());
    let (old, new) = (trio.primary.port(), trio.replicas[0].port());
    let promoted = thread::scope(|scope| {
        let end = load.until_dropped();
        let load = &load;
        let clients: Vec<_> = (0..8).map(|me| scope.spawn(move || load.insert(me, port))).collect();
        eventually("they work", || load.count(old) > 200);
        // The old one goes on and knows nothing of it.
        must(trio.replicas[0].promote());
        let promoted = Instant::now();
        eventually("they go on at the new one", || load.count(new) > 200);
        drop(end);
        clients.into_iter().for_each(|client| client.join().unwrap());
        promoted
    });
    let acknowledged = load.acknowledged();
    let late = acknowledged.iter().filter(|one| one.by == old && one.at > promoted).map(|one| one.at - promoted).max();
    // Twice monitor_interval, and five times that for a machine with other things to do.
    assert!(late.is_none_or(|late| late < Duration::from_millis(5 * 200)), "{late:?}");
    let kept: BTreeSet<u64> =
        must(trio.replicas[0].psql("postgres", "SELECT v FROM t")).lines().map(|line| line.parse().unwrap()).collect();
    let lost = acknowledged.iter().filter(|one| one.by == new && !kept.contains(&one.number)).count();
    assert_eq!(lost, 0);
    let log = pooler.log();
    assert!(log.contains("a host is fenced") && !log.contains("panicked"), "{log}");
}

#[test]
fn f26_a_transaction_at_a_primary_that_was_replaced_is_not_acknowledged_whenever_it_ends() {
    let mut trio = Trio::start();
    let pooler = pgotter(&trio.hosts(), "", "");
    let mut late = client(&pooler);
    assert_eq!(late.query("BEGIN -- with a server").status, Some(b'T'));
    assert_eq!(late.query("INSERT INTO t VALUES (1)").tags, ["INSERT 0 1"]);
    must(trio.replicas[0].promote());
    client_at(&pooler, &trio.replicas[0]);
    // It is told at once, or for its COMMIT.
    let _ = late.stream.write_all(&query("COMMIT"));
    let answer = late.answer();
    assert!(["08006", "08007"].contains(&answer.code()), "{answer:?}");
    assert_eq!((answer.tags, answer.status), (Vec::new(), None));
}

#[test]
fn who_waits_for_a_server_of_a_primary_that_is_replaced_gets_one_of_the_next() {
    let mut trio = Trio::start();
    let pooler = pgotter(&trio.hosts(), "", "pool_size = 1");
    let (mut holder, mut waiting) = (client(&pooler), client(&pooler));
    assert_eq!(holder.query("BEGIN -- with a server").status, Some(b'T'));
    thread::scope(|scope| {
        let waits = scope.spawn(|| port_of(&mut waiting));
        let mut console = Client::connect(pooler.port(), "admin", "pgotter");
        eventually("it waits", || console.query("SHOW POOLS").rows.iter().any(|row| row[0] == "app" && row[3] == "1"));
        must(trio.replicas[1].promote());
        assert_eq!(waits.join().unwrap(), trio.replicas[1].port());
    });
}

#[test]
fn f26_a_primary_that_dies_is_replaced_and_stays_fenced_when_it_comes_back() {
    let mut trio = Trio::start();
    let pooler = pgotter(&trio.hosts(), "", "");
    let mut waiting = client(&pooler);
    assert_eq!(port_of(&mut waiting), trio.primary.port());
    must(trio.primary.stop(StopMode::Immediate));
    thread::scope(|scope| {
        // A request that comes while there is none simply runs on the next one.
        let request = scope.spawn(|| port_of(&mut waiting));
        must(trio.replicas[1].promote());
        assert_eq!(request.join().unwrap(), trio.replicas[1].port());
    });
    // Whoever logs in is welcomed.
    assert_eq!(port_of(&mut client(&pooler)), trio.replicas[1].port());
    must(trio.primary.start());
    eventually("it is fenced", || pooler.log().contains("a host is fenced"));
    for _ in 0..20 {
        assert_eq!(port_of(&mut client(&pooler)), trio.replicas[1].port());
    }
    must(trio.replicas[1].stop(StopMode::Immediate));
    eventually("its loss is noticed", || pooler.log().matches("a host does not answer").count() >= 2);
    let cancelled = must(trio.primary.psql(
        "postgres",
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'otter' AND application_name <> 'pgotter monitor'",
    ));
    assert_eq!(cancelled, "0", "it has servers of clients");
}

#[test]
fn f26_a_write_that_is_refused_as_read_only_has_the_hosts_asked_at_once() {
    let mut trio = Trio::start();
    let pooler = pgotter(&trio.hosts(), "monitor_interval = \"1h\"", "");
    let mut client = client(&pooler);
    assert_eq!(port_of(&mut client), trio.primary.port());
    must(trio.replicas[0].promote());
    assert_eq!(port_of(&mut client), trio.primary.port(), "nobody has asked");
    // It may be what a standby says. Whoever is told so hears the answer to its end, however long it takes.
    client.query("BEGIN READ ONLY");
    client.send(&[query("INSERT INTO t VALUES (1)"), query("ROLLBACK"), query("SELECT pg_sleep(0.5)")].concat());
    assert_eq!(client.answer().code(), "25006");
    assert_eq!(client.answer().tags, ["ROLLBACK"]);
    assert_eq!(client.answer().tags, ["SELECT 1"]);
    client_at(&pooler, &trio.replicas[0]);
}

#[test]
fn a_listener_of_the_old_primary_is_told_and_listens_at_the_new_one() {
    let mut trio = Trio::start();
    let pooler = pgotter(&trio.hosts(), "", "");
    let mut listener = client(&pooler);
    assert_eq!(listener.query("LISTEN news").tags, ["LISTEN"]);
    must(trio.replicas[0].promote());
    let mut other = client_at(&pooler, &trio.replicas[0]);
    listener.answer().fatal("57P01");
    let mut listener = client(&pooler);
    assert_eq!(listener.query("LISTEN news").tags, ["LISTEN"]);
    assert_eq!(other.query("NOTIFY news, 'here'").tags, ["NOTIFY"]);
    assert_eq!(listener.message().map(|(kind, _)| kind), Some(b'A'));
}

#[test]
fn hosts_are_added_and_removed_by_a_reload_and_no_client_is_dropped() {
    let mut trio = Trio::start();
    let [primary, one, other] = trio.hosts().try_into().unwrap();
    let mut pooler = pgotter(&[primary.clone(), one.clone()], "", "");
    let mut kept = client(&pooler);
    assert_eq!(port_of(&mut kept), trio.primary.port());
    let lists = [vec![primary.clone(), one.clone(), other.clone()], vec![other.clone(), primary.clone()]];
    for hosts in lists {
        let text = config(pooler.port(), &hosts, "", "");
        assert!(reload_with(&mut pooler, &text));
        assert_eq!(port_of(&mut kept), trio.primary.port());
    }
    must(trio.primary.stop(StopMode::Fast));
    must(trio.replicas[1].promote());
    assert_eq!(port_of(&mut kept), trio.replicas[1].port(), "{}", pooler.log());
    // With one host that is left, nobody is asked any more.
    let text = config(pooler.port(), &[other], "", "");
    assert!(reload_with(&mut pooler, &text));
    assert_eq!(port_of(&mut kept), trio.replicas[1].port());
    eventually("nobody asks it", || {
        let asks = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgotter monitor'";
        must(trio.replicas[1].psql("postgres", asks)) == "0"
    });
}
