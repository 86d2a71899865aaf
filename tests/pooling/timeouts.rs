//! Deadlines that an operator sets, and what each costs whom.

use super::support::PgOtter;
use super::talk::{Client, FLUSH, extended, query, startup};
use super::world::{SOON, config, eventually, fresh_role, holder, look, pgotter, soon};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn a_statement_longer_than_query_timeout_is_cancelled_and_client_and_server_go_on() {
    let role = fresh_role();
    let pooler = pgotter("query_timeout = \"1s\"\ndefault_pool_size = 1", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    client.query("SELECT pg_sleep(100)").error("57014");
    assert_eq!(client.backend(), backend);
    // A transaction is not over because one of its statements was.
    client.query("BEGIN -- with a server");
    let failed = client.query("SELECT pg_sleep(100)");
    assert_eq!((failed.code(), failed.status), ("57014", Some(b'E')));
    assert_eq!(client.query("ROLLBACK").status, Some(b'I'));
    assert_eq!(client.backend(), backend);
}

#[test]
fn a_transaction_idle_for_too_long_ends_with_25p03_and_its_locks_are_free() {
    let role = fresh_role();
    look(&format!("CREATE TABLE rows_of_{role} AS SELECT 1 AS n; ALTER TABLE rows_of_{role} OWNER TO {role}"));
    let pooler = pgotter("idle_transaction_timeout = \"1s\"\ndefault_pool_size = 2", "");
    let mut idle = holder(pooler.port(), &role);
    let lock = format!("UPDATE rows_of_{role} SET n = n + 1 RETURNING n");
    assert_eq!(idle.query(&lock).status, Some(b'T'));
    let mut other = Client::connect(pooler.port(), &role, "postgres");
    other.send(&query(&lock));
    idle.answer().fatal("25P03");
    assert_eq!(other.answer().value(), "2");
}

#[test]
fn messages_without_a_sync_are_idle_for_too_long_as_well() {
    let role = fresh_role();
    look(&format!("CREATE TABLE rows_of_{role} (n int PRIMARY KEY); ALTER TABLE rows_of_{role} OWNER TO {role}"));
    let pooler = pgotter("idle_transaction_timeout = \"1s\"\ndefault_pool_size = 2", "");
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let insert = format!("INSERT INTO rows_of_{role} VALUES (1) RETURNING n");
    idle.send(&[extended(&insert), FLUSH.to_vec()].concat());
    let seen: Vec<_> = (0..4).map(|_| idle.message().unwrap().0).collect();
    assert_eq!(seen, [b'1', b'2', b'D', b'C']);
    let mut other = Client::connect(pooler.port(), &role, "postgres");
    // The same key: it waits for the end of the other's transaction, and fails if that is a commit.
    other.send(&query(&insert));
    idle.answer().fatal("25P03");
    assert_eq!(other.answer().value(), "1");
}

#[test]
fn a_transaction_that_is_busy_for_too_long_ends_with_25p04() {
    let role = fresh_role();
    let pooler = pgotter("transaction_timeout = \"500ms\"\ndefault_pool_size = 1", "");
    let mut busy = holder(pooler.port(), &role);
    // It may come while a statement runs, or between two.
    eventually("the end of its transaction", || {
        let answer = busy.query("SELECT pg_sleep(0.01)");
        if answer.status.is_none() {
            answer.fatal("25P04");
        }
        answer.status.is_none()
    });
    let mut next = Client::connect(pooler.port(), &role, "postgres");
    assert_eq!(next.query("SELECT 1").status, Some(b'I'));
}

#[test]
fn a_statement_longer_than_transaction_timeout_does_not_run_on() {
    let role = fresh_role();
    let pooler = pgotter("transaction_timeout = \"300ms\"\ndefault_pool_size = 1", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    client.query("SELECT pg_sleep(100)").fatal("25P04");
    let mut next = Client::connect(pooler.port(), &role, "postgres");
    assert_eq!(next.backend(), backend, "the statement was cancelled and the server kept");
}

#[test]
fn a_client_idle_for_too_long_ends_with_57p05_in_either_mode() {
    let role = fresh_role();
    let pooler = pgotter("client_idle_timeout = \"1s\"", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    assert_eq!(client.value("SELECT 1"), "1");
    client.answer().fatal("57P05");
    let pooler = pgotter("client_idle_timeout = \"1s\"\npool_mode = \"session\"\ndefault_pool_size = 1", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    client.answer().fatal("57P05");
    assert_eq!(Client::connect(pooler.port(), &role, "postgres").backend(), backend);
}

#[test]
fn a_connection_that_does_not_log_in_ends_after_client_login_timeout() {
    let role = fresh_role();
    let pooler = pgotter("client_login_timeout = \"1s\"", "");
    let mut silent = Client::open(pooler.port());
    let mut slow = Client::open(pooler.port());
    slow.send(&startup(&[("user", &role)])[..7]);
    for client in [&mut silent, &mut slow] {
        assert_eq!(client.answer().status, None);
    }
    assert_eq!(Client::connect(pooler.port(), &role, "postgres").value("SELECT 1"), "1");
}

#[test]
fn the_first_login_of_a_pool_ends_after_client_login_timeout_whatever_else_it_waits_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = silent.local_addr().unwrap();
    let long = "client_login_timeout = \"4s\"\nserver_connect_timeout = \"10min\"\nquery_wait_timeout = \"10min\"";
    let two = format!("[databases.shop]\nhosts = [\"{host}\", \"localhost:{}\"]\n", host.port());
    let two = format!("{two}[routing]\nfailover_timeout = \"10min\"");
    let pooler = PgOtter::start(|port| config(port, &host.to_string(), long, &two));
    for (database, message) in
        [("postgres", "no server connection could be opened"), ("shop", "no primary is confirmed")]
    {
        let answer = Client::try_connect(pooler.port(), &[("user", "postgres"), ("database", database)]).err().unwrap();
        answer.fatal("57P03");
        assert_eq!(answer.errors[0].message, message, "{answer:?}");
    }
}

#[test]
fn f15_a_client_that_takes_nothing_loses_its_server_after_client_write_timeout() {
    let role = fresh_role();
    let pooler = pgotter("client_write_timeout = \"500ms\"\ndefault_pool_size = 1\nquery_wait_notify = \"10ms\"", "");
    let mut zombie = Client::connect(pooler.port(), &role, "postgres");
    zombie.send(&query("SELECT repeat('x', 1000) FROM generate_series(1, 10000000)"));
    let mut next = Client::connect(pooler.port(), &role, "postgres");
    let since = Instant::now();
    next.queue("SELECT 'served'");
    assert_eq!(next.answer().value(), "served");
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    soon("its statement does not run on", || {
        look(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND state = 'active'")) == "0"
    });
}

#[test]
fn f15_a_client_that_asks_for_more_and_takes_nothing_loses_its_server_after_client_write_timeout() {
    let role = fresh_role();
    let pooler = pgotter("client_write_timeout = \"1s\"", "");
    let mut zombie = Client::open_narrow(pooler.port());
    zombie.send(&startup(&[("user", &role), ("database", "postgres")]));
    assert_eq!(zombie.answer().status, Some(b'I'));
    zombie.query("BEGIN -- with a server");
    // Less than makes PgOtter stop reading from the server, and so much more than the system takes that it goes on taking nothing.
    zombie.send(&query("SELECT repeat('x', 200000)"));
    let transactions = format!("SELECT count(xact_start) FROM pg_stat_activity WHERE usename = '{role}'");
    soon("its transaction is over", || {
        zombie.send(&query("SELECT 1"));
        look(&transactions) == "0"
    });
}

#[test]
fn f16_a_slow_reader_that_takes_a_little_at_a_time_keeps_its_server() {
    let role = fresh_role();
    let pooler = pgotter("client_write_timeout = \"1s\"", "");
    let mut slow = Client::connect(pooler.port(), &role, "postgres");
    slow.send(&query("SELECT repeat('x', 1000000) FROM generate_series(1, 20)"));
    let mut rows = 0;
    loop {
        match slow.message() {
            Some((b'D', _)) => rows += 1,
            Some((b'Z', _)) => break,
            Some(_) => (),
            None => panic!("it was closed after {rows} rows"),
        }
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(rows, 20);
}

#[test]
fn a_client_whose_statement_takes_longer_than_client_idle_timeout_was_not_idle() {
    let role = fresh_role();
    for mode in ["transaction", "session"] {
        let pooler = pgotter(&format!("client_idle_timeout = \"1s\"\npool_mode = \"{mode}\""), "");
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        assert_eq!(client.value("SELECT 'long' FROM pg_sleep(1.5)"), "long");
        assert_eq!(client.value("SELECT 'next'"), "next");
    }
}

#[test]
fn the_wait_for_a_server_does_not_count_against_query_timeout() {
    let role = fresh_role();
    // Who is told that it waits has waited for longer than a statement may take.
    let limits = "query_timeout = \"1s\"\nquery_wait_notify = \"2s\"";
    let pooler = pgotter(&format!("{limits}\ndefault_pool_size = 1"), "");
    let mut holder = holder(pooler.port(), &role);
    let mut waiter = Client::connect(pooler.port(), &role, "postgres");
    waiter.queue("SELECT 'served'");
    holder.query("COMMIT");
    assert_eq!(waiter.answer().value(), "served");
}

#[test]
fn in_session_mode_too_a_statement_longer_than_transaction_timeout_ends_with_25p04() {
    let role = fresh_role();
    let pooler = pgotter("transaction_timeout = \"300ms\"\npool_mode = \"session\"", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    client.query("SELECT pg_sleep(100)").fatal("25P04");
}
