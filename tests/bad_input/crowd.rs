//! Thousands who connect and do not log in.

use super::raw::{Conn, startup};
use crate::support::{PgOtter, could_not_run, descriptors, psql, shared_postgres};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

const SOCKETS: usize = 5_000;
/// For each of them, in a debug build: 7 KiB were measured.
const ALLOWED_KIB: u64 = 16;
/// Descriptors for everything else that this process and PgOtter have open.
const OTHERS: u64 = 1_000;

/// As many sockets as the system lets a process have, up to [`SOCKETS`].
fn sockets() -> usize {
    let fit = usize::try_from(descriptors().saturating_sub(OTHERS)).unwrap_or(SOCKETS);
    if fit < SOCKETS {
        could_not_run("all of the 5,000 who say next to nothing", &format!("descriptors for {fit} only"));
    }
    fit.min(SOCKETS)
}

#[test]
fn five_thousand_who_say_next_to_nothing_cost_little_and_keep_nobody_out() {
    let login_timeout = Duration::from_secs(6);
    let pooler = PgOtter::in_front_of(
        shared_postgres(),
        &format!("client_login_timeout = \"{}s\"\nlog_pooler_errors = false", login_timeout.as_secs()),
    );
    assert_eq!(psql(pooler.port(), "SELECT 'before'"), "before");
    let (before, packet) = (pooler.resident_kib(), startup("postgres"));
    let mut crowd = Vec::new();
    for number in 0..sockets() {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, pooler.port())).expect("it listens");
        stream.write_all(&packet[..[0, 1, 7][number % 3]]).expect("sent");
        crowd.push(stream);
    }
    let since = Instant::now();
    assert_eq!(psql(pooler.port(), "SELECT 'meanwhile'"), "meanwhile");
    assert!(since.elapsed() < login_timeout, "served only when the others had gone");
    let grown = pooler.resident_kib().saturating_sub(before);
    let count = u64::try_from(crowd.len()).expect("few");
    println!("{grown} KiB for {count} sockets");
    assert!(grown < ALLOWED_KIB * count, "{grown} KiB for {count} sockets");
    for mut stream in crowd {
        stream.set_read_timeout(Some(5 * login_timeout)).expect("a timeout");
        let mut heard = Vec::new();
        match stream.read_to_end(&mut heard) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("it is not closed"),
            _ => assert!(heard.is_empty() || heard[0] == b'E', "{heard:?}"),
        }
    }
    assert_eq!(psql(pooler.port(), "SELECT 'after'"), "after");
}

#[test]
fn those_who_begin_long_packets_and_do_not_end_them_take_a_part_of_the_memory_and_others_log_in() {
    let pooler = PgOtter::in_front_of(shared_postgres(), "memory_budget = \"1MiB\"\nclient_login_timeout = \"4s\"");
    let begun = [&10_000_i32.to_be_bytes()[..], &[0, 3, 0, 0], &[b'x'; 9_000]].concat();
    let mut crowd: Vec<Conn> = (0..20).map(|_| Conn::open(pooler.port())).collect();
    crowd.iter_mut().for_each(|conn| conn.send(&begun));
    assert_eq!(psql(pooler.port(), "SELECT 'honest'"), "honest");
    let heard: Vec<_> = crowd.iter_mut().map(|conn| conn.until_closed().last_error()).collect();
    let refused = heard.iter().filter(|error| error.as_deref() == Some("FATAL 53200")).count();
    // Seven have room in a sixteenth of the budget.
    assert!(refused >= 13, "{heard:?}");
}
