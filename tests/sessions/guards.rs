//! What goes in front of a request of a client that keeps its server, whether that request waits for the hub or not; and what
//! becomes of both if it fails.

use super::sequences::{asker_that_is_pinned, server};
use crate::support::raw::*;
use crate::support::{PgOtter, simple_config};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const DISCARD: &[u8] = b"DISCARD SEQUENCES";

/// Passes bytes to a port on loopback and back. While the flag is set, it spoils what discards sequences.
fn spoiler(port: u16, spoils: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let spoils = spoils.clone();
    thread::spawn(move || {
        for from in listener.incoming().flatten() {
            let Ok(to) = TcpStream::connect(("127.0.0.1", port)) else { return };
            let (back_from, back_to) = (to.try_clone().unwrap(), from.try_clone().unwrap());
            thread::spawn(move || pump(back_from, back_to, &AtomicBool::new(false)));
            let spoils = spoils.clone();
            thread::spawn(move || pump(from, to, &spoils));
        }
    });
    own
}

fn pump(mut from: TcpStream, mut to: TcpStream, spoils: &AtomicBool) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let chunk = &mut buffer[..read];
        let at = chunk.windows(DISCARD.len()).position(|window| window == DISCARD);
        if let (Some(at), true) = (at, spoils.load(Ordering::SeqCst)) {
            chunk[at..at + DISCARD.len()].fill(b'X');
        }
        if to.write_all(chunk).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// All do the same: listen, draw and ask.
fn requests() -> [Vec<u8>; 3] {
    let draws = ["SELECT nextval('one')", "SELECT lastval()"].map(|sql| extended(sql, &[])).concat();
    [
        query("SELECT nextval('one'); SELECT lastval()"),
        query("LISTEN a; SELECT nextval('one'); SELECT lastval()"),
        [extended("LISTEN a", &[]), draws, sync()].concat(),
    ]
}

#[test]
fn others_numbers_are_forgotten_in_front_of_a_request_that_waits_for_the_hub_too() {
    for request in requests() {
        let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 1\nmax_pinned = 1");
        let (mut client, _other) = asker_that_is_pinned(&pgotter);
        client.send(&request);
        let answer = client.until_ready();
        let rows: Vec<_> = answer.iter().filter(|frame| frame.kind == b'D').map(row_values).collect();
        assert_eq!(rows.len(), 2, "{}", print(&answer));
        assert_eq!(rows[0], rows[1]);
    }
}

#[test]
fn what_cannot_be_forgotten_stops_such_a_request_and_nothing_else() {
    for request in requests() {
        let spoils = Arc::new(AtomicBool::new(false));
        let port = spoiler(server().port(), &spoils);
        let real = format!(":{}\"", server().port());
        let pooler = "default_pool_size = 1\nmax_pinned = 1\nquery_wait_timeout = \"20s\"";
        let pgotter = PgOtter::start(|own| simple_config(own, server(), pooler).replace(&real, &format!(":{port}\"")));
        let (mut client, mut other) = asker_that_is_pinned(&pgotter);
        spoils.store(true, Ordering::SeqCst);
        client.send(&request);
        let answer = client.until_ready();
        assert_eq!(error_code(&answer).as_deref(), Some("42601"), "{}", print(&answer));
        assert!(!answer.iter().any(|frame| frame.kind == b'D'), "{}", print(&answer));
        spoils.store(false, Ordering::SeqCst);
        // It does not listen, has its table, and its session is known.
        other.send(&query("NOTIFY a"));
        client.ask("SET work_mem = '7MB'");
        assert_eq!(client.value("SELECT count(*) FROM mine"), "0");
        assert!(error_code(&client.ask("DROP TABLE mine")).is_none());
        other.until_ready();
        assert_eq!(other.value("SHOW work_mem"), "4MB");
        let shown = client.ask("SHOW work_mem");
        assert_eq!(first_value(&shown).as_deref(), Some("7MB"));
        assert!(!shown.iter().any(|frame| frame.kind == b'A'), "{}", print(&shown));
        client.send(&request);
        assert!(error_code(&client.until_ready()).is_none());
    }
}
