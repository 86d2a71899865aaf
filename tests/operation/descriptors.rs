//! A process that has run out of file descriptors.

use super::talk::{Client, query, startup};
use super::world::{cluster, config, eventually, fresh_role, holder, host};
use crate::support::{must, state};
use pgotter::cli::pooler_process::PoolerProcess;
use pgotter::cli::ports;
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// PgOtter with as few descriptors as that.
fn with_descriptors(limit: usize, pooler: &str) -> PoolerProcess {
    let program = must(state().runnable(Path::new(env!("CARGO_BIN_EXE_pgotter"))));
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join(format!("pgotter-with-{limit}-descriptors"));
    fs::write(&script, format!("#!/bin/sh\nulimit -n {limit}\nexec {} \"$@\"\n", program.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let port = ports::free_port();
    must(PoolerProcess::start(state(), &script, &config(port, &host(cluster()), pooler, ""), port))
}

/// What the line of log about the limits says of this.
fn limit(pooler: &PoolerProcess, name: &str) -> usize {
    let log = pooler.log();
    let (_, rest) = log.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{log}"));
    rest.split(|char: char| !char.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Source: proc(5), FDSize. It is doubled while clients come if there is no room from the start on, and the accept loop waits for that.
#[test]
fn there_is_room_for_the_descriptors_of_all_before_the_first_comes() {
    let pooler = with_descriptors(5_000, "");
    let status = fs::read_to_string(format!("/proc/{}/status", pooler.id())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
    assert!(size.trim().parse::<u64>().unwrap() >= 5_000, "{size}");
}

#[test]
fn f21_who_says_nothing_makes_room_for_who_does() {
    let role = fresh_role();
    let pooler = with_descriptors(300, "client_login_timeout = \"1h\"");
    let connect = || TcpStream::connect(("127.0.0.1", pooler.port())).unwrap();
    // More of them than descriptors.
    let silent: Vec<_> = (0..400).map(|_| connect()).collect();
    assert_eq!(Client::connect(pooler.port(), &role, "postgres").value("SELECT 'served'"), "served");
    let unproven = limit(&pooler, "unproven");
    assert!((10..100).contains(&unproven), "{unproven}");
    // The oldest have gone, and as many are left as may be.
    let is_closed = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let read = stream.read(&mut [0]);
        !read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    eventually("the oldest are closed", || silent[..silent.len() - unproven].iter().all(is_closed));
    // The client was one of them until it had proven who it is.
    assert!(!silent[silent.len() - unproven + 1..].iter().any(is_closed));
    assert!(!pooler.log().contains("cannot accept"), "{}", pooler.log());
}

/// Takes what descriptors it has not used from a process, but for so many.
fn leave_descriptors(pooler: &PoolerProcess, count: usize) {
    let used = fs::read_dir(format!("/proc/{}/fd", pooler.id())).unwrap().count();
    let mut prlimit = Command::new("prlimit");
    // As the user that the process runs as.
    state().adopt(&mut prlimit);
    let limit = used + count;
    prlimit.arg(format!("--pid={}", pooler.id())).arg(format!("--nofile={limit}:{limit}"));
    assert!(must(prlimit.status()).success());
}

#[test]
fn f21_without_descriptors_everybody_waits_and_nobody_is_lost() {
    let role = fresh_role();
    let lines = "query_wait_timeout = \"1min\"\nserver_login_retry = \"1h\"\nclient_login_timeout = \"1h\"";
    let mut pooler = with_descriptors(300, lines);
    let port = pooler.port();
    let mut busy = holder(port, &role);
    let mut waiting = Client::connect(port, &role, "postgres");
    // Fewer than are kept for those who say nothing.
    assert!(limit(&pooler, "unproven") > 8);
    leave_descriptors(&pooler, 6);
    let silent: Vec<_> = (0..310).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    eventually("a client cannot be accepted", || pooler.log().contains("cannot accept a connection"));
    waiting.send(&query("SELECT 'served'"));
    eventually("a server cannot be opened", || pooler.log().contains("cannot open a server"));
    let before = pooler.cpu();
    // The time that is measured. A loop that does not rest takes a processor, as far as others leave it one.
    thread::sleep(Duration::from_secs(3));
    let spent = pooler.cpu() - before;
    assert!(spent <= Duration::from_millis(300), "{spent:?}: it does not rest between two attempts");
    let mut late = Client::open(port);
    late.send(&startup(&[("user", &role), ("database", "postgres")]));
    assert_eq!(busy.value("SELECT 'still here'"), "still here");
    drop(silent);
    assert_eq!(waiting.answer().value(), "served");
    assert!(late.answer().status.is_some());
    assert_eq!(late.value("SELECT 1"), "1");
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    assert!(pooler.ended().is_none());
}

#[test]
fn f21_clients_beyond_what_the_descriptors_allow_are_told_53300_and_the_others_have_their_servers() {
    let role = fresh_role();
    let pooler = with_descriptors(240, "default_pool_size = 20");
    let fit = limit(&pooler, "max_clients");
    let login = || Client::try_connect(pooler.port(), &[("user", &role), ("database", "postgres")]);
    // PgOtter's start was observed with a connection that may still count.
    eventually("a first client", || login().is_ok());
    let mut clients: Vec<Client> = Vec::new();
    let mut refused = None;
    eventually("all places are taken", || {
        match login() {
            Ok(client) => clients.push(client),
            Err(answer) if clients.len() == fit => refused = Some(answer),
            Err(_) => (),
        }
        refused.is_some()
    });
    refused.unwrap().fatal("53300");
    for client in &mut clients[..20] {
        assert_eq!(client.query("BEGIN -- with a server").status, Some(b'T'), "a server for each place of the pool");
    }
    assert!(!pooler.log().contains("cannot accept") && !pooler.log().contains("cannot open"), "{}", pooler.log());
}
