//! Where it is not certain who the primary is, nobody is written to.

use super::talk::Client;
use super::trio::{ROLE, Trio, client, eventually_answers, pgotter, port_of};
use super::world::{eventually, host};
use crate::support::{must, postgres, state};
use pgotter::cli::local_postgres::{LocalPostgres, Options, StopMode};
use std::process::Command;

const SOON: &str = "failover_timeout = \"500ms\"";

#[test]
fn f26_of_two_that_were_promoted_to_the_same_timeline_none_is_written_to_until_one_yields() {
    let mut trio = Trio::start();
    let pooler = pgotter(&trio.hosts(), SOON, "");
    let mut client = client(&pooler);
    assert_eq!(port_of(&mut client), trio.primary.port());
    must(trio.primary.stop(StopMode::Fast));
    must(trio.replicas[0].promote());
    must(trio.replicas[1].promote());
    eventually("both are fenced", || pooler.log().matches("two hosts claim to be the primary").count() >= 2);
    let answer = client.query("INSERT INTO t VALUES (1)");
    assert_eq!(answer.code(), "57P03");
    assert!(answer.errors[0].detail.contains("same timeline"), "{answer:?}");
    assert_eq!(answer.status, Some(b'I'), "the client goes on");
    must(trio.replicas[0].stop(StopMode::Fast));
    eventually_answers(&mut client, "INSERT INTO t VALUES (2)");
    assert_eq!(port_of(&mut client), trio.replicas[1].port());
}

/// A cluster of another initdb: the others are copies of one, and so of one system identifier.
fn stranger() -> LocalPostgres {
    let mut server = postgres(&Options::default());
    must(server.stop(StopMode::Fast));
    let initdb = must(state().programs.server_program("initdb").ok_or("no initdb"));
    let data = server.data_dir();
    let script = format!(
        "cp {data}/postgresql.conf {data}/pg_hba.conf {data}/.. && rm -rf {data} && {initdb} -D {data} -U postgres -A trust --no-sync && \
         mv {data}/../postgresql.conf {data}/../pg_hba.conf {data}",
        data = data.display(),
        initdb = initdb.display()
    );
    let mut shell = Command::new("sh");
    let output = state().adopt(shell.arg("-c").arg(script)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    must(server.start());
    server
}

#[test]
fn a_host_of_another_cluster_gets_nothing_and_the_others_go_on() {
    let trio = Trio::start();
    let stranger = stranger();
    must(stranger.psql("postgres", &format!("CREATE ROLE {ROLE} LOGIN")));
    let mut hosts = trio.hosts();
    hosts.insert(0, format!("\"{}\"", host(&stranger)));
    let pooler = pgotter(&hosts, "", "");
    assert_eq!(port_of(&mut client(&pooler)), trio.primary.port());
    eventually("the alarm", || pooler.log().contains("its system identifier is another one"));
    // Of two that differ nobody can say which one is meant.
    let two = [format!("\"{}\"", host(&stranger)), trio.hosts()[0].clone()];
    let pooler = pgotter(&two, SOON, "");
    let Err(answer) = Client::try_connect(pooler.port(), &[("user", ROLE), ("database", "app")]) else {
        panic!("welcome")
    };
    answer.fatal("57P03");
}

#[test]
fn where_no_host_is_left_requests_wait_and_are_then_told() {
    let mut trio = Trio::start();
    let pooler = pgotter(&trio.hosts(), SOON, "");
    let mut client = client(&pooler);
    assert_eq!(port_of(&mut client), trio.primary.port());
    for server in trio.replicas.iter_mut().chain([&mut trio.primary]) {
        must(server.stop(StopMode::Immediate));
    }
    eventually("all are missed", || pooler.log().matches("a host does not answer").count() >= 3);
    let answer = client.query("SELECT 1");
    assert_eq!((answer.code(), answer.status), ("57P03", Some(b'I')));
    assert!(answer.errors[0].message.contains("no primary is confirmed"), "{answer:?}");
    assert!(answer.errors[0].detail.contains("is down"), "{answer:?}");
    must(trio.primary.start());
    eventually_answers(&mut client, "INSERT INTO t VALUES (3)");
}
