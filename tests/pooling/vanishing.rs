//! A client goes in the middle of something: its transaction is rolled back and its server serves the next.

use super::support::PgOtter;
use super::talk::{Client, FLUSH, SYNC, extended, message, query};
use super::world::{eventually, fresh_role, holder, look, pgotter, until_it_sleeps};
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::time::Duration;

/// How a client goes.
const WAYS: [fn(Client); 3] = [drop, Client::reset, Client::leave];

struct Place {
    role: String,
    pooler: PgOtter,
}

impl Place {
    /// One server, and a table with one row.
    fn new() -> Self {
        let role = fresh_role();
        look(&format!("CREATE TABLE kept_by_{role} AS SELECT 1 AS n; ALTER TABLE kept_by_{role} OWNER TO {role}"));
        Self { role, pooler: pgotter("default_pool_size = 1", "") }
    }

    fn client(&self) -> Client {
        Client::connect(self.pooler.port(), &self.role, "postgres")
    }

    fn add(&self) -> String {
        format!("INSERT INTO kept_by_{} VALUES (2)", self.role)
    }

    /// The next client gets the same backend, idle, and sees one row that nobody has locked.
    #[track_caller]
    fn is_as_before(&self, backend: &str) {
        let mut next = self.client();
        let seen = next.query(&format!("SELECT pg_backend_pid(), count(*) FROM kept_by_{}", self.role));
        assert_eq!((seen.rows, seen.status), (vec![vec![backend.to_owned(), "1".to_owned()]], Some(b'I')));
        assert_eq!(next.query(&format!("LOCK TABLE kept_by_{} NOWAIT", self.role)).code(), "25P01");
        let locks = format!("SELECT count(*) FROM pg_locks WHERE relation = 'kept_by_{}'::regclass", self.role);
        assert_eq!(look(&locks), "0");
    }
}

#[test]
fn f1_a_client_that_goes_in_a_transaction_is_rolled_back() {
    let place = Place::new();
    for go in WAYS {
        let mut client = place.client();
        client.query("BEGIN -- with a server");
        let backend = client.backend();
        client.query(&place.add());
        go(client);
        place.is_as_before(&backend);
    }
}

#[test]
fn f1_a_statement_whose_client_vanished_is_cancelled() {
    let place = Place::new();
    for go in [drop, Client::reset] {
        let mut client = place.client();
        let backend = client.backend();
        client.send(&query(&format!("{}; SELECT pg_sleep(100)", place.add())));
        until_it_sleeps(&backend);
        go(client);
        place.is_as_before(&backend);
    }
}

#[test]
fn f4_a_pipeline_without_a_sync_is_not_committed() {
    let place = Place::new();
    for go in WAYS {
        let mut client = place.client();
        let backend = client.backend();
        client.send(&[extended(&place.add()), FLUSH.to_vec()].concat());
        // ParseComplete, BindComplete, CommandComplete: it has run.
        let seen: Vec<_> = (0..3).map(|_| client.message().unwrap().0).collect();
        assert_eq!(seen, [b'1', b'2', b'C']);
        go(client);
        place.is_as_before(&backend);
    }
}

#[test]
fn f4_a_pipeline_without_a_sync_is_not_committed_whatever_others_have_prepared() {
    let place = Place::new();
    let mut stranger = place.client();
    stranger.query("PREPARE \"pgotter.nothing\" AS SELECT 1");
    // While it stays, the server is its own.
    drop(stranger);
    for go in WAYS {
        let mut client = place.client();
        let backend = client.backend();
        client.send(&[extended(&place.add()), FLUSH.to_vec()].concat());
        // Its CommandComplete.
        while client.message().unwrap().0 != b'C' {}
        go(client);
        place.is_as_before(&backend);
    }
}

#[test]
fn f2_a_copy_that_was_not_finished_is_not_committed() {
    let place = Place::new();
    for go in WAYS {
        let mut client = place.client();
        let backend = client.backend();
        client.send(&query(&format!("COPY kept_by_{} FROM STDIN", place.role)));
        assert_eq!(client.message().unwrap().0, b'G');
        client.send(&message(b'd', b"2\n"));
        go(client);
        place.is_as_before(&backend);
    }
}

#[test]
fn f2_a_copy_out_that_nobody_reads_any_more_is_stopped() {
    let place = Place::new();
    for go in [drop, Client::reset] {
        let mut client = place.client();
        let backend = client.backend();
        client.send(&query("COPY (SELECT repeat('x', 1000), generate_series(1, 100000000)) TO STDOUT"));
        assert_eq!(client.message().unwrap().0, b'H');
        go(client);
        place.is_as_before(&backend);
    }
}

#[test]
fn half_a_message_never_reaches_the_next_client() {
    let place = Place::new();
    let whole = query(&format!("{} /* {} */", place.add(), "x".repeat(200_000)));
    for part in [3, 5, 20, 100_000] {
        let mut client = place.client();
        client.query("BEGIN -- with a server");
        client.send(&whole[..part]);
        drop(client);
        // Half a message can only be taken back by closing the server.
        let mut next = place.client();
        let backend = next.backend();
        drop(next);
        place.is_as_before(&backend);
    }
}

/// Sends statements of 1000 bytes until so many are on their way or nobody takes any more: a message may be cut in two.
fn send_much(client: &mut Client, sql: &str, mebibytes: usize) {
    let statement = query(&format!("{sql} -- {}", "x".repeat(1000)));
    let much = statement.repeat((mebibytes << 20) / statement.len());
    client.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    match client.stream.write_all(&much) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => (),
        sent => sent.unwrap(),
    }
}

#[test]
fn a_client_that_vanishes_behind_more_than_its_server_takes_is_missed() {
    let place = Place::new();
    let locks = format!("SELECT count(*) FROM pg_locks WHERE relation = 'kept_by_{}'::regclass", place.role);
    // What a client is read on for, and more. One that has more to say is missed only if it resets its connection: no
    // other end comes through behind what nobody reads.
    for (mebibytes, ways) in [(1, &[drop, Client::reset][..]), (64, &[Client::reset])] {
        for go in ways {
            let mut client = place.client();
            client.query("BEGIN -- with a server");
            let backend = client.backend();
            client.query(&place.add());
            client.send(&query("SELECT pg_sleep(100)"));
            eventually("it runs", || {
                look(&format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}")) == "PgSleep"
            });
            send_much(&mut client, &place.add(), mebibytes);
            go(client);
            eventually(&format!("the lock is free, {mebibytes} MiB"), || look(&locks) == "0");
            assert_eq!(place.client().value(&format!("SELECT count(*) FROM kept_by_{}", place.role)), "1");
        }
    }
}

#[test]
fn a_statement_in_front_of_half_a_message_is_cancelled() {
    let place = Place::new();
    let locks = format!("SELECT count(*) FROM pg_locks WHERE relation = 'kept_by_{}'::regclass", place.role);
    for go in [drop, Client::reset] {
        let mut client = place.client();
        client.query("BEGIN -- with a server");
        client.query(&place.add());
        let backend = client.backend();
        let long = query(&format!("{} /* {} */", place.add(), "x".repeat(200_000)));
        client.send(&[&query("SELECT pg_sleep(100)"), &long[..100_000]].concat());
        eventually("it runs", || {
            look(&format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}")) == "PgSleep"
        });
        go(client);
        eventually("the lock is free", || look(&locks) == "0");
    }
}

#[test]
fn a_client_that_vanishes_in_the_queue_behind_a_long_request_is_missed() {
    let role = fresh_role();
    look(&format!("CREATE TABLE kept_by_{role} (n int); ALTER TABLE kept_by_{role} OWNER TO {role}"));
    let pooler = pgotter("default_pool_size = 1\nlog_disconnections = true", "");
    for kibibytes in [300, 1500, 3000] {
        for go in [drop, Client::reset] {
            let mut holder = holder(pooler.port(), &role);
            let mut waiter = Client::connect(pooler.port(), &role, "postgres");
            waiter.send(&query(&format!("INSERT INTO kept_by_{role} VALUES (2) -- {}", "x".repeat(kibibytes << 10))));
            let left = || pooler.log().matches("connection lost").count();
            let before = left();
            go(waiter);
            eventually("it has left", || left() > before);
            holder.query("COMMIT");
            assert_eq!(holder.value(&format!("SELECT count(*) FROM kept_by_{role}")), "0");
            // Dropped, it would be lost, too, and taken for the next one.
            holder.leave();
        }
    }
}

#[test]
fn a_long_pipeline_in_front_of_terminate_is_done() {
    let place = Place::new();
    let (statement, rows) = ([extended(&place.add()), SYNC.to_vec()].concat(), 10_000);
    let mut client = place.client();
    let mut heard = client.stream.try_clone().unwrap();
    // As PostgreSQL does, only for a client that still takes its replies.
    let reader = std::thread::spawn(move || std::io::copy(&mut heard, &mut std::io::sink()));
    client.send(&[query("SELECT pg_sleep(1)"), statement.repeat(rows), message(b'X', b"")].concat());
    client.stream.shutdown(Shutdown::Write).unwrap();
    reader.join().unwrap().unwrap();
    assert_eq!(look(&format!("SELECT count(*) FROM kept_by_{}", place.role)), (rows + 1).to_string());
}
