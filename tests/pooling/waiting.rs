//! What a client that waits for a server sees, and what becomes of it.

use super::support::PgOtter;
use super::talk::{Client, FLUSH, SYNC, extended, message, query};
use super::world::{eventually, fresh_role, holder, look, pgotter};

fn one_server(more: &str) -> PgOtter {
    pgotter(&format!("default_pool_size = 1\n{more}"), "")
}

const NOTIFY: &str = "query_wait_notify = \"10ms\"\nquery_wait_timeout = \"60s\"";
const SHORT: &str = "query_wait_timeout = \"300ms\"";

#[test]
fn f35_waiters_are_served_in_order_of_arrival() {
    let role = fresh_role();
    look(&format!("CREATE SEQUENCE turns_of_{role}; ALTER SEQUENCE turns_of_{role} OWNER TO {role}"));
    let pooler = one_server(&format!("workers = 2\n{NOTIFY}"));
    let mut holder = holder(pooler.port(), &role);
    let mut waiters: Vec<_> = (0..8)
        .map(|_| {
            let mut waiter = Client::connect(pooler.port(), &role, "postgres");
            waiter.queue(&format!("SELECT nextval('turns_of_{role}')"));
            waiter
        })
        .collect();
    holder.query("COMMIT");
    let turns: Vec<_> = waiters.iter_mut().map(|waiter| waiter.answer().value().to_owned()).collect();
    assert_eq!(turns, ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[test]
fn a_waiter_is_told_once_that_it_waits() {
    let role = fresh_role();
    let pooler = one_server(NOTIFY);
    let mut holder = holder(pooler.port(), &role);
    let mut waiter = Client::connect(pooler.port(), &role, "postgres");
    waiter.send(&query("SELECT 1"));
    let notice = waiter.notice();
    assert_eq!((&*notice.severity, &*notice.code), ("NOTICE", "00000"));
    holder.query("COMMIT");
    let answer = waiter.answer();
    assert_eq!((answer.value(), answer.notices.len()), ("1", 0));
}

/// Lets `request` wait in vain; the client must hear of it and be in step.
#[track_caller]
fn waits_in_vain(request: &[u8], rest: &[u8]) {
    let role = fresh_role();
    let pooler = one_server(SHORT);
    let mut holder = holder(pooler.port(), &role);
    let mut waiter = Client::connect(pooler.port(), &role, "postgres");
    waiter.send(request);
    if !rest.is_empty() {
        // The rest of the request comes after the refusal.
        let refusal = waiter.message();
        assert!(matches!(refusal, Some((b'E', _))), "{refusal:?}");
        waiter.send(rest);
        let answer = waiter.answer();
        assert_eq!((answer.errors.len(), answer.status), (0, Some(b'I')), "{answer:?}");
    } else {
        let answer = waiter.answer();
        answer.error("53300");
        let said = &answer.errors[0];
        assert!(said.detail.contains("1 servers in use, 0 idle"), "{said:?}");
        assert!(said.hint.contains("query_wait_timeout"), "{said:?}");
    }
    // Not one message too many or too few: the next answer belongs to the next question.
    waiter.query("SELECT 'again'").error("53300");
    holder.query("COMMIT");
    assert_eq!(waiter.value("SELECT 'now'"), "now");
    waiter.send(&[extended("SELECT 'extended'"), SYNC.to_vec()].concat());
    assert_eq!(waiter.answer().value(), "extended");
}

#[test]
fn f35_a_query_that_waited_too_long_is_refused_and_its_client_goes_on() {
    waits_in_vain(&query("SELECT 1"), b"");
}

#[test]
fn f35_a_batch_with_a_sync_that_waited_too_long_is_refused_once() {
    waits_in_vain(&[extended("SELECT 1"), extended("SELECT 2"), SYNC.to_vec()].concat(), b"");
}

#[test]
fn f35_a_batch_with_a_flush_that_waited_too_long_is_skipped_up_to_its_sync() {
    let rest = [extended("SELECT 2"), query("SELECT 3"), SYNC.to_vec()].concat();
    waits_in_vain(&[extended("SELECT 1"), FLUSH.to_vec()].concat(), &rest);
}

#[test]
fn a_query_of_a_megabyte_that_waited_too_long_is_skipped_to_its_end() {
    waits_in_vain(&query(&format!("SELECT '{}'", "x".repeat(1 << 20))), b"");
}

#[test]
fn a_bind_of_a_megabyte_that_waited_too_long_is_skipped_up_to_its_sync() {
    let value = vec![b'x'; 1 << 20];
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    let parse = message(b'P', b"\0SELECT length($1::text)\0\0\0");
    let bind = message(b'B', &[b"\0\0\0\0\0\x01", &length[..], &value, b"\0\0"].concat());
    let execute = message(b'E', &[0; 5]);
    waits_in_vain(&[parse, bind, execute, SYNC.to_vec()].concat(), b"");
}

#[test]
fn a_waiter_can_be_cancelled_and_goes_on() {
    let role = fresh_role();
    let pooler = one_server(NOTIFY);
    let mut holder = holder(pooler.port(), &role);
    let mut waiter = Client::connect(pooler.port(), &role, "postgres");
    waiter.queue("SELECT 1");
    waiter.cancel();
    waiter.answer().error("57014");
    assert_eq!(holder.query("SELECT 1").status, Some(b'T'), "the cancel hit somebody else");
    holder.query("COMMIT");
    assert_eq!(waiter.value("SELECT 2"), "2");
}

#[test]
fn a_waiter_that_vanishes_leaves_the_queue_and_its_statement_never_runs() {
    let role = fresh_role();
    look(&format!("CREATE TABLE ran_{role} (n int); ALTER TABLE ran_{role} OWNER TO {role}"));
    let pooler = one_server(NOTIFY);
    let mut holder = holder(pooler.port(), &role);
    let waiter = |sql: &str| {
        let mut waiter = Client::connect(pooler.port(), &role, "postgres");
        waiter.queue(sql);
        waiter
    };
    drop(waiter(&format!("INSERT INTO ran_{role} VALUES (1)")));
    waiter(&format!("INSERT INTO ran_{role} VALUES (2)")).reset();
    // A refusal tells how many others wait.
    let mut last = waiter("SELECT 'served'");
    let role_sql = format!("SELECT count(*) FROM ran_{role}");
    eventually("they have gone", || holder.value(&role_sql) == "0");
    holder.query("COMMIT");
    assert_eq!(last.answer().value(), "served");
    assert_eq!(last.value(&role_sql), "0");
}

#[test]
fn f35_a_crowd_that_waited_in_vain_is_served_on_the_same_connections() {
    let role = fresh_role();
    let pooler = one_server(SHORT);
    let mut holder = holder(pooler.port(), &role);
    let mut crowd: Vec<_> = (0..30).map(|_| Client::connect(pooler.port(), &role, "postgres")).collect();
    crowd.iter_mut().for_each(|client| client.send(&query("SELECT 1")));
    crowd.iter_mut().for_each(|client| client.answer().error("53300"));
    let backend = holder.backend();
    holder.query("COMMIT");
    for client in &mut crowd {
        assert_eq!(client.backend(), backend);
    }
}
