//! SIGTERM: who may finish, who must go, and the exit status.

use super::talk::{Client, startup};
use super::world::{PATIENCE, exit_code, fresh_role, holder, pgotter};
use rustix::process::Signal;
use std::time::Instant;

#[test]
fn f23_at_sigterm_idle_clients_get_57p01_and_a_transaction_may_end() {
    let role = fresh_role();
    let mut pooler = pgotter("", "");
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let mut used = Client::connect(pooler.port(), &role, "postgres");
    used.query("SELECT 1");
    let mut busy = holder(pooler.port(), &role);
    pooler.signal(Signal::TERM);
    idle.answer().fatal("57P01");
    used.answer().fatal("57P01");
    assert_eq!(busy.query("SELECT 'still here'").value(), "still here");
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    busy.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
}

#[test]
fn f23_at_sigterm_a_session_may_end_its_transaction() {
    let role = fresh_role();
    let mut pooler = pgotter("pool_mode = \"session\"", "");
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    idle.query("SELECT 1");
    let mut busy = holder(pooler.port(), &role);
    pooler.signal(Signal::TERM);
    idle.answer().fatal("57P01");
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    busy.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
}

#[test]
fn f23_a_second_sigterm_waits_for_nobody() {
    let role = fresh_role();
    let mut pooler = pgotter("", "");
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let mut busy = holder(pooler.port(), &role);
    pooler.signal(Signal::TERM);
    idle.answer().fatal("57P01");
    let since = Instant::now();
    pooler.signal(Signal::TERM);
    busy.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
    assert!(since.elapsed() < PATIENCE / 2, "it waited for the transaction");
}

#[test]
fn f23_a_client_that_is_logging_in_at_sigterm_holds_nothing_up() {
    let role = fresh_role();
    let mut pooler = pgotter("", "");
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let mut busy = holder(pooler.port(), &role);
    let mut late = Client::open(pooler.port());
    let packet = startup(&[("user", &role), ("database", "postgres")]);
    late.send(&packet[..9]);
    // Both are accepted in turn: when this one is served, the other has been accepted.
    assert_eq!(Client::connect(pooler.port(), &role, "postgres").value("SELECT 1"), "1");
    pooler.signal(Signal::TERM);
    idle.answer().fatal("57P01");
    let since = Instant::now();
    late.send(&packet[9..]);
    let answer = late.answer();
    let answer = if answer.status.is_some() { late.answer() } else { answer };
    answer.fatal("57P01");
    assert!(since.elapsed() < PATIENCE / 2, "it heard nothing until everybody was thrown out");
    busy.query("COMMIT");
    assert_eq!(exit_code(&mut pooler), Some(0));
}

#[test]
fn f23_at_sigterm_a_request_that_waits_is_served_before_its_client_goes() {
    let role = fresh_role();
    let mut pooler = pgotter("default_pool_size = 1\nquery_wait_notify = \"10ms\"", "");
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let mut busy = holder(pooler.port(), &role);
    let mut waiter = Client::connect(pooler.port(), &role, "postgres");
    waiter.queue("SELECT 'served'");
    pooler.signal(Signal::TERM);
    idle.answer().fatal("57P01");
    busy.query("COMMIT");
    assert_eq!(waiter.answer().value(), "served");
    waiter.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
}
