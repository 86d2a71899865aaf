//! What an operator sees of hosts: SHOW HOSTS, /metrics, /ready.

use super::reloading::reload_with;
use super::talk::Client;
use super::trio::{ROLE, Trio, client, config, pgotter, port_of};
use super::world::eventually;
use crate::support::{PgOtter, must};
use pgotter::cli::local_postgres::StopMode;
use pgotter::cli::ports;
use std::io::{Read, Write};
use std::net::TcpStream;

/// Rows of SHOW HOSTS: port, role, state, timeline, lag in bytes, reason.
fn hosts(pooler: &PgOtter) -> Vec<[String; 6]> {
    let answer = Client::connect(pooler.port(), "admin", "pgotter").query("SHOW HOSTS");
    assert!(answer.errors.is_empty(), "{answer:?}");
    let row = |row: &Vec<String>| [2, 3, 4, 6, 8, 10].map(|column| row[column].clone());
    answer.rows.iter().map(row).collect()
}

/// What the endpoint answers: its status, and the body.
pub fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

fn with_endpoint(hosts: &[String], http: u16, database: &str) -> PgOtter {
    PgOtter::start(|port| format!("{}\n[http]\nlisten = \"127.0.0.1:{http}\"\n", config(port, hosts, "", database)))
}

#[test]
fn an_operator_sees_who_is_what_and_how_far() {
    let mut trio = Trio::start();
    let http = ports::free_port();
    let pooler = with_endpoint(&trio.hosts(), http, &format!("user = \"{ROLE}\""));
    eventually("a primary is confirmed", || get(http, "/ready").0 == "200");
    assert_eq!(get(http, "/ready").1, "ok\n");
    eventually("both replicas are ready", || hosts(&pooler).iter().filter(|row| row[2] == "ready").count() == 2);
    let [primary, one, other] = hosts(&pooler).try_into().unwrap();
    let expected = [trio.primary.port().to_string(), "primary".to_owned(), "primary".to_owned(), "1".to_owned()];
    assert_eq!(primary[..4], expected);
    assert_eq!((&*one[1], &*one[3], &*other[4]), ("standby", "1", "0"), "{one:?} {other:?}");
    let line = |name: &str, server: u16, value: &str| {
        format!("{name}{{database=\"app\",host=\"127.0.0.1:{server}\"}} {value}\n")
    };
    let (port, replica) = (trio.primary.port(), trio.replicas[0].port());
    eventually("the metrics say the same", || {
        let metrics = get(http, "/metrics").1;
        let lines = [
            line("pgotter_host_is_primary", port, "1"),
            line("pgotter_host_is_primary", replica, "0"),
            line("pgotter_host_up", replica, "1"),
            line("pgotter_host_ejected", replica, "0"),
            line("pgotter_replica_lag_bytes", replica, "0"),
            line("pgotter_replica_lag_seconds", replica, "0"),
            "pgotter_monitor_up{database=\"app\"} 1\n".to_owned(),
        ];
        lines.iter().all(|line| metrics.contains(line))
    });
    must(trio.replicas[0].stop(StopMode::Fast));
    eventually("one is down", || hosts(&pooler)[1][2] == "down" && hosts(&pooler)[1][5].contains("cannot connect"));
    must(trio.replicas[1].psql("postgres", "SELECT pg_wal_replay_pause()"));
    must(trio.primary.psql("postgres", "INSERT INTO t SELECT generate_series(1, 10000)"));
    eventually("the other is behind", || hosts(&pooler)[2][4].parse::<u64>().is_ok_and(|bytes| bytes > 100_000));
    must(trio.primary.stop(StopMode::Fast));
    eventually("there is no primary", || get(http, "/ready").0 == "503");
    assert!(get(http, "/ready").1.contains("no primary is confirmed"));
    eventually("the metrics see it", || get(http, "/metrics").1.contains(&line("pgotter_host_ejected", replica, "1")));
}

#[test]
fn where_nobody_is_let_in_who_could_ask_the_configuration_is_believed_and_that_is_said() {
    let trio = Trio::start();
    let http = ports::free_port();
    let mut pooler = with_endpoint(&trio.hosts(), http, "monitor_user = \"nobody\"");
    eventually("it is said", || get(http, "/ready").1.contains("roles are those of `hosts`: nobody:"));
    let mut client = client(&pooler);
    assert_eq!(port_of(&mut client), trio.primary.port(), "the first of `hosts`");
    eventually("a server has let a client in", || get(http, "/ready").0 == "200");
    assert!(get(http, "/metrics").1.contains("pgotter_monitor_up{database=\"app\"} 0\n"));
    assert_eq!(hosts(&pooler)[0][2], "believed");
    assert_eq!(pooler.log().matches("nobody can ask the hosts").count(), 1, "{}", pooler.log());
    // Everybody is what he is as soon as somebody may ask.
    let mut listed = trio.hosts();
    listed.rotate_left(1);
    let text = config(pooler.port(), &listed, "", &format!("monitor_user = \"{ROLE}\""));
    assert!(reload_with(&mut pooler, &format!("{text}\n[http]\nlisten = \"127.0.0.1:{http}\"\n")));
    assert_eq!(port_of(&mut client), trio.primary.port());
    eventually("they are asked", || hosts(&pooler)[2][2] == "primary");
    assert_eq!(get(http, "/ready").1, "ok\n");
}

#[test]
fn a_replica_that_falls_back_too_far_is_ejected_and_returns() {
    let trio = Trio::start();
    let pooler = pgotter(&trio.hosts(), "max_replica_lag = \"2s\"", &format!("user = \"{ROLE}\""));
    let state = |at: usize| hosts(&pooler)[at][2].clone();
    eventually("both replicas are ready", || state(1) == "ready" && state(2) == "ready");
    must(trio.replicas[0].psql("postgres", "SELECT pg_wal_replay_pause()"));
    must(trio.primary.psql("postgres", "INSERT INTO t VALUES (1)"));
    eventually("it is ejected", || hosts(&pooler)[1][5].contains("behind by more than max_replica_lag"));
    eventually("the other serves", || state(2) == "ready");
    must(trio.replicas[0].psql("postgres", "SELECT pg_wal_replay_resume()"));
    eventually("it is back", || state(1) == "ready");
}
