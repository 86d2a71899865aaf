//! Clients that are owed much and read nothing, or send much that nobody takes: what all of them hold is bounded, and the
//! others are served.

use super::talk::{Answer, Client, message, query, startup};
use super::world::{PATIENCE, config, eventually, host};
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// 100 MB in rows of a kilobyte.
const BIG: &str = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";

/// The budget, a quarter above it, 64 KiB for each of the clients, and what the allocator and the rest of the process have
/// grown by. Measured: 11 to 14 MiB; without a budget 31.
const ALLOWED_KIB: u64 = 16 << 10;
const HOGS: usize = 80;
const LOGIN: &[(&str, &str)] = &[("user", "app"), ("database", "postgres")];

/// In front of a PostgreSQL of its own: with that of the others there would not be servers for all.
fn with_budget(budget: &str) -> (LocalPostgres, PgOtter) {
    let server = postgres(&Options { max_connections: 120, ..Options::default() });
    must(server.psql("postgres", "CREATE ROLE app LOGIN"));
    let lines = "client_write_timeout = \"1h\"\ndefault_pool_size = 100\nworkers = 2";
    let lines = format!("{lines}\nmemory_budget = \"{budget}\"");
    // Without huge pages: with them the allocator takes 2 MiB at a time.
    let pooler = PgOtter::start_with(|port| config(port, &host(&server), &lines, ""), &[("MIMALLOC_ALLOW_THP", "0")]);
    (server, pooler)
}

fn login(pooler: &PgOtter) -> Result<Client, Answer> {
    Client::try_connect(pooler.port(), LOGIN)
}

/// Highest resident memory of the process so far.
fn peak_kib(pooler: &PgOtter) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pooler.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn shed(pooler: &PgOtter) -> usize {
    pooler.log().lines().filter(|line| line.contains("\"53200\"") && line.contains("\"client\"")).count()
}

/// Sets it when dropped, by a failure as well.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn f22_results_that_nobody_reads_take_no_more_than_the_budget_and_small_queries_go_on() {
    let (_server, pooler) = with_budget("4MiB");
    let mut honest = login(&pooler).unwrap();
    let mut hogs: Vec<_> = (0..HOGS).map(|_| Client::open_narrow(pooler.port())).collect();
    for hog in &mut hogs {
        hog.send(&startup(LOGIN));
        assert!(hog.answer().status.is_some());
    }
    // Their servers are there before what is measured.
    for words in ["BEGIN -- with a server", "COMMIT"] {
        hogs.iter_mut().for_each(|hog| assert!(hog.query(words).status.is_some()));
    }
    let (before, over) = (peak_kib(&pooler), AtomicBool::new(false));
    thread::scope(|scope| {
        let until_the_end = SetAtEnd(&over);
        let served = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(honest.value("SELECT 'served'"), "served");
            }
        });
        for hog in &mut hogs {
            hog.send(&query(BIG));
        }
        let refused = || login(&pooler).err().is_some_and(|answer| answer.code() == "53200");
        eventually("a login is refused", refused);
        eventually("those who read nothing are closed", || shed(&pooler) >= HOGS / 2);
        drop(until_the_end);
        served.join().unwrap();
    });
    let grown = peak_kib(&pooler) - before;
    println!("{grown} KiB more than the {before} KiB before");
    assert!(grown < ALLOWED_KIB, "{grown} KiB more than the {before} KiB before");
    drop(hogs);
    eventually("logins are let in again", || login(&pooler).is_ok());
    let mut reader = login(&pooler).unwrap();
    assert_eq!(reader.query(BIG).rows.len(), 100_000);
    assert!(!pooler.log().contains("panicked"));
}

#[test]
fn f22_no_more_are_closed_than_must_be_and_who_reads_a_big_result_reads_on() {
    let (server, pooler) = with_budget("4MiB");
    let mut reader = login(&pooler).unwrap();
    let stuck = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'ClientWrite'";
    let mut hogs = Vec::new();
    // One after the other, so that it is the last one that is too much.
    for _ in 0..HOGS {
        if shed(&pooler) > 0 {
            break;
        }
        let mut hog = Client::open_narrow(pooler.port());
        hog.send(&startup(LOGIN));
        if hog.answer().status.is_none() {
            // For a moment it was too much.
            continue;
        }
        hog.send(&query(BIG));
        hogs.push(hog);
        let all_are_stuck = || must(server.psql("postgres", stuck)) == hogs.len().to_string();
        eventually("nothing more is read for it", || all_are_stuck() || shed(&pooler) > 0);
    }
    eventually("one is closed", || shed(&pooler) > 0);
    for _ in 0..2 {
        assert_eq!(reader.query(BIG).rows.len(), 100_000);
    }
    let (closed, of) = (shed(&pooler), hogs.len());
    println!("{closed} of {of} were closed");
    assert!(closed * 2 < of, "{closed} of {of} were closed");
}

#[test]
fn f22_messages_that_no_server_takes_are_refused_when_memory_is_short() {
    let (server, pooler) = with_budget("1MiB");
    let clients: Vec<_> = (0..6).map(|_| login(&pooler).unwrap()).collect();
    let codes: Vec<_> = thread::scope(|scope| {
        let send = |mut client: Client| {
            client.stream.set_write_timeout(Some(PATIENCE)).unwrap();
            // Not read before the first has ended.
            client.send(&query("SELECT pg_sleep(1000)"));
            client.send(&message(b'Q', &[vec![b' '; 16 << 20], b"\0".to_vec()].concat()));
            client.answer().errors.first().map(|error| error.code.clone())
        };
        let sending: Vec<_> = clients.into_iter().map(|client| scope.spawn(move || send(client))).collect();
        eventually("some are refused", || shed(&pooler) >= 1);
        let others = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
        must(server.psql("postgres", others));
        sending.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(codes.contains(&Some("53200".to_owned())), "{codes:?}");
    eventually("logins are let in again", || login(&pooler).is_ok());
}
