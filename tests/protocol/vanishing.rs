//! A client that leaves in the middle of anything costs nobody else anything: its server is there again, clean.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::time::Duration;

/// One server, so that the next client meets whatever was left behind.
struct Stage {
    server: LocalPostgres,
    pgotter: PgOtter,
    backend: String,
}

impl Stage {
    fn new() -> Self {
        let server = postgres(&Options::default());
        must(server.psql("postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (0)"));
        let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 1");
        let backend = Raw::log_in(pgotter.port(), &[]).value("SELECT pg_backend_pid()");
        Self { server, pgotter, backend }
    }

    fn client(&self, name: &str) -> Raw {
        Raw::log_in(self.pgotter.port(), &[("application_name", name)])
    }

    /// The next client is served by the same backend, which is free within the test's patience.
    fn is_as_before(&self, what: &str) {
        let mut next = self.client("next");
        next.stream.set_read_timeout(Some(Duration::from_secs(5))).expect("timeout");
        assert_eq!(next.value("SELECT pg_backend_pid()"), self.backend, "{what}: the server was kept");
        assert_eq!(next.value("SHOW application_name"), "next", "{what}");
    }

    /// Rows in the table, as a client sees them that does not come through PgOtter.
    fn rows(&self) -> String {
        must(self.server.psql("postgres", "SELECT count(*) FROM kept"))
    }

    fn wait_for(&self, what: &str) {
        must(self.server.wait_until("postgres", what));
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Fin,
    Reset,
    Terminate,
}

fn leave(mut client: Raw, way: Way) {
    match way {
        Way::Fin => (),
        Way::Reset => {
            let linger = socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
            linger.expect("linger");
        }
        Way::Terminate => client.send(&terminate()),
    }
}

#[test]
fn f1_a_transaction_is_rolled_back_when_its_client_leaves() {
    let stage = Stage::new();
    for way in [Way::Fin, Way::Reset, Way::Terminate] {
        let mut client = stage.client("in transaction");
        client.ask("BEGIN -- with a server");
        client.ask("UPDATE kept SET n = n + 1");
        leave(client, way);
        let locked = "SET lock_timeout = '5s'; UPDATE kept SET n = n RETURNING n";
        assert_eq!(must(stage.server.psql("postgres", locked)).lines().find(|line| *line == "0"), Some("0"), "{way:?}");
        stage.is_as_before(&format!("{way:?}"));
    }
}

#[test]
fn f1_a_transaction_that_failed_is_rolled_back_when_its_client_leaves() {
    let stage = Stage::new();
    for way in [Way::Fin, Way::Terminate] {
        let mut client = stage.client("failed");
        client.ask("BEGIN; SELECT 1/0");
        leave(client, way);
        stage.is_as_before(&format!("{way:?}"));
    }
}

#[test]
fn f2_copy_in_is_failed_when_its_client_leaves() {
    let stage = Stage::new();
    for way in [Way::Fin, Way::Reset, Way::Terminate] {
        for begin in [query("COPY kept FROM STDIN"), [extended("COPY kept FROM STDIN", &[]), flush()].concat()] {
            let mut client = stage.client("copying");
            client.send(&begin);
            client.until(b'G');
            client.send(&[copy_data("1\n"), copy_data("2\n")].concat());
            leave(client, way);
            stage.is_as_before(&format!("{way:?}"));
            assert_eq!(stage.rows(), "1", "{way:?}");
        }
    }
}

#[test]
fn f2_a_client_that_leaves_inside_a_message_of_copy_data_harms_nobody() {
    let stage = Stage::new();
    let mut client = stage.client("copying");
    client.send(&query("COPY kept FROM STDIN"));
    client.until(b'G');
    let mut data = copy_data(&"1\n".repeat(1000));
    data.truncate(700);
    client.send(&data);
    drop(client);
    assert_eq!(stage.client("next").value("SELECT count(*) FROM kept"), "1");
}

#[test]
fn f2_copy_out_ends_when_its_client_leaves() {
    let stage = Stage::new();
    let copy = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 300000)) TO STDOUT";
    for begin in [query(copy), [extended(copy, &[]), sync()].concat(), [extended(copy, &[]), flush()].concat()] {
        let mut client = stage.client("copying");
        client.send(&begin);
        client.until(b'd');
        drop(client);
        stage.is_as_before("COPY OUT");
    }
}

#[test]
fn f4_what_was_never_synced_is_never_committed() {
    let stage = Stage::new();
    let insert = || extended("INSERT INTO kept VALUES (1)", &[]);
    for way in [Way::Fin, Way::Reset, Way::Terminate] {
        for (what, bytes, heard) in [
            ("executed and flushed", [insert(), flush()].concat(), Some(b'C')),
            ("executed behind a synced one", [parse("", ""), sync(), insert(), flush()].concat(), Some(b'C')),
            ("sent", insert(), None),
            ("sent, half of the next message too", [insert(), vec![b'P', 0, 0]].concat(), None),
            ("failed and flushed", [insert(), parse("", "SELEKT"), flush()].concat(), Some(b'E')),
        ] {
            let mut client = stage.client("pipelining");
            client.send(&bytes);
            if let Some(kind) = heard {
                client.until(kind);
            }
            leave(client, way);
            stage.is_as_before(&format!("{what}, {way:?}"));
            assert_eq!(stage.rows(), "1", "{what}, {way:?}");
        }
    }
}

#[test]
fn f1_a_running_statement_is_cancelled_when_its_client_vanishes() {
    let stage = Stage::new();
    let sleep = "SELECT pg_sleep(100)";
    for way in [Way::Fin, Way::Reset] {
        for begin in [
            query(sleep),
            [extended(sleep, &[]), sync()].concat(),
            [extended(sleep, &[]), flush()].concat(),
            [query("BEGIN"), query(sleep), query(sleep)].concat(),
        ] {
            let mut client = stage.client("sleeping");
            client.send(&begin);
            stage.wait_for("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
            leave(client, way);
            stage.is_as_before(&format!("{way:?}"));
        }
    }
}

#[test]
fn f4_a_pipeline_whose_client_vanishes_is_over_when_the_next_client_comes() {
    let stage = Stage::new();
    let mut client = stage.client("pipelining");
    let mut bytes = Vec::new();
    for _ in 0..200 {
        bytes.extend([extended("SELECT repeat('x', 10000)", &[]), sync()].concat());
    }
    client.send(&bytes);
    client.until_ready();
    drop(client);
    stage.is_as_before("a pipeline");
}

#[test]
fn what_stands_in_front_of_terminate_is_done() {
    let stage = Stage::new();
    let insert = "INSERT INTO kept VALUES (1)";
    let slow = "INSERT INTO kept SELECT 1 FROM pg_sleep(0.5)";
    let mut expected = 1;
    for sql in [insert, slow] {
        for bytes in [query(sql), [extended(sql, &[]), sync()].concat(), [query("SELECT 1"), query(sql)].concat()] {
            let mut client = stage.client(&format!("leaving {expected}"));
            client.send(&[bytes, terminate()].concat());
            drop(client);
            expected += 1;
            stage.wait_for(&format!("SELECT count(*) = {expected} FROM kept"));
            stage.is_as_before(sql);
        }
    }
}

#[test]
fn what_was_executed_without_a_sync_in_front_of_terminate_is_done_as_by_postgres() {
    let stage = Stage::new();
    let extended = |sql: &str| extended(sql, &[]);
    let insert = || extended("INSERT INTO kept VALUES (1)");
    let block = || [extended("BEGIN"), insert(), extended("COMMIT")].concat();
    let long = format!("INSERT INTO kept SELECT length('{}')", "x".repeat(300_000));
    for (what, bytes, rows) in [
        ("a block", block(), 1),
        ("a block and half of the next", [block(), extended("BEGIN"), insert()].concat(), 1),
        ("a block and one more", [block(), insert()].concat(), 1),
        ("a block that was begun by a Query", [query("BEGIN"), insert(), extended("COMMIT")].concat(), 1),
        ("a block behind a Sync", [insert(), sync(), block()].concat(), 2),
        ("a block and a Flush", [block(), flush()].concat(), 1),
        ("a long block", [extended("BEGIN"), extended(&long), extended("COMMIT")].concat(), 1),
        ("a block that fails", [extended("BEGIN"), insert(), parse("", "SELEKT"), extended("COMMIT")].concat(), 0),
        ("no block", insert(), 0),
    ] {
        for (who, port) in [("PostgreSQL", stage.server.port()), ("PgOtter", stage.pgotter.port())] {
            must(stage.server.psql("postgres", "DELETE FROM kept"));
            let mut client = Raw::log_in(port, &[("application_name", "leaving")]);
            client.send(&[bytes.clone(), terminate()].concat());
            client.until_end();
            stage.is_as_before(what);
            let running = "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'leaving'";
            stage.wait_for(running);
            assert_eq!(stage.rows(), rows.to_string(), "{what}, {who}");
        }
    }
}

#[test]
fn replies_in_front_of_terminate_arrive() {
    let stage = Stage::new();
    let slow = "SELECT 'slept' FROM pg_sleep(0.2)";
    let pipeline = [extended("SELECT 1", &[]), sync(), extended("SELECT 2", &[]), sync(), query("SELECT 3")].concat();
    let unsynced = extended("SELECT 'nobody hears of it'", &[]);
    let goodbyes = [
        query("SELECT 1"),
        query(slow),
        query("BEGIN"),
        [pipeline.clone(), unsynced.clone()].concat(),
        pipeline,
        [query(slow), query("SELECT 2")].concat(),
        [query(slow), unsynced].concat(),
    ];
    for bytes in goodbyes {
        let answers = [stage.server.port(), stage.pgotter.port()].map(|port| {
            let mut client = Raw::log_in(port, &[("application_name", "leaving")]);
            client.send(&[bytes.clone(), terminate()].concat());
            print(&client.until_end())
        });
        assert_eq!(answers[1], answers[0]);
        stage.is_as_before("goodbye");
    }
}

#[test]
fn what_stands_in_front_of_terminate_is_done_when_it_has_to_wait_for_a_server() {
    let stage = Stage::new();
    let mut holder = stage.client("holder");
    holder.ask("BEGIN -- with a server");
    let mut client = stage.client("leaving");
    client.send(&[query("INSERT INTO kept VALUES (1)"), terminate()].concat());
    drop(client);
    // Long enough for the end of the connection to be seen; if it is not, the test proves less, and passes.
    holder.ask("SELECT pg_sleep(0.2)");
    holder.ask("COMMIT");
    stage.wait_for("SELECT count(*) = 2 FROM kept");
}

#[test]
fn a_client_that_vanishes_while_it_waits_takes_no_server() {
    let stage = Stage::new();
    let mut holder = stage.client("holder");
    holder.ask("BEGIN -- with a server");
    let mut waiter = stage.client("waiter");
    waiter.send(&query("INSERT INTO kept VALUES (1)"));
    drop(waiter);
    holder.ask("SELECT pg_sleep(0.2)");
    holder.ask("COMMIT");
    stage.is_as_before("a waiter");
    assert_eq!(stage.rows(), "1");
}

#[test]
fn a_client_whose_turn_never_came_may_ask_again() {
    let server = postgres(&Options::default());
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 1\nquery_wait_timeout = \"300ms\"");
    let mut holder = Raw::log_in(pgotter.port(), &[]);
    let mut waiter = Raw::log_in(pgotter.port(), &[]);
    holder.ask("BEGIN -- with a server");
    let long = format!("SELECT '{}'", "x".repeat(300_000));
    for (bytes, answers) in [
        (query("SELECT 1"), 1),
        ([extended("SELECT 1", &[]), extended("SELECT 2", &[]), sync()].concat(), 1),
        ([extended("SELECT 1", &[]), flush(), query("SELECT 'skipped'"), sync()].concat(), 1),
        (query(&long), 1),
        ([extended(&long, &[]), extended(&long, &[]), sync()].concat(), 1),
        (function_call(1397, &["-1"]), 1),
        ([query("COPY kept FROM STDIN"), copy_data("1\n"), copy_done()].concat(), 1),
        ([query("SELECT 1"), query("SELECT 2")].concat(), 2),
    ] {
        waiter.send(&bytes);
        for _ in 0..answers {
            let frames = waiter.until_ready();
            assert_eq!(error_code(&frames).as_deref(), Some("53300"), "{}", print(&frames));
            assert_eq!(frames.len(), 2, "{}", print(&frames));
        }
    }
    holder.ask("COMMIT");
    assert_eq!(waiter.value("SELECT 'now'"), "now");
}
