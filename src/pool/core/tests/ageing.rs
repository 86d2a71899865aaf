//! The tick: what is dead, idle or old goes.

use super::*;

#[test]
fn dead_idle_servers_are_closed_and_replaced_up_to_min() {
    let mut lane = Lane::with_idle(Limits { min: 2, ..limits(3) }, &[A, B]);
    let (mut server, _) = lane.take(B, 0);
    server.healthy = false;
    lane.checkin(B, server);
    lane.tick(true);
    assert_eq!(lane.closed, [(2, CloseReason::Dead)]);
    assert_eq!(lane.counts(), (1, 0, 1, 0));
    lane.tick(true);
    assert_eq!(lane.counts(), (1, 0, 1, 0), "one opening is enough");
}

#[test]
fn idle_servers_are_closed_after_their_timeout_but_not_below_min() {
    let mut lane = Lane::with_idle(Limits { min: 1, ..limits(3) }, &[A, B, A]);
    lane.now += secs(599);
    lane.tick(true);
    assert!(lane.closed.is_empty());
    lane.now += secs(1);
    lane.tick(true);
    assert_eq!(lane.closed.len(), 2);
    assert!(lane.closed.iter().all(|(_, reason)| *reason == CloseReason::IdleTooLong));
    assert_eq!(lane.counts(), (1, 0, 0, 0));
    lane.tick(false);
    assert_eq!(lane.counts(), (0, 0, 0, 0), "a pool without clients keeps none");
}

#[test]
fn min_is_opened_only_while_the_pool_is_live_and_never_above_size() {
    let mut lane = Lane::new(Limits { min: 9, ..limits(3) });
    lane.tick(false);
    assert_eq!(lane.counts(), (0, 0, 0, 0));
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 3, 0));
    (0..3).for_each(|_| lane.fail());
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 1, 0), "min is worth trying again without any waiter");
}

#[test]
fn the_closing_of_aged_servers_is_spaced() {
    let mut lane = Lane::with_idle(Limits { idle_timeout: None, ..limits(4) }, &[A, A, B, B]);
    lane.now += secs(3600);
    lane.tick(true);
    lane.tick(true);
    assert_eq!(lane.closed, [(1, CloseReason::Aged)]);
    lane.now += secs(900);
    lane.tick(true);
    assert_eq!(lane.closed.len(), 2, "a quarter of the lifetime later");
    lane.now += secs(2700);
    lane.tick(true);
    assert_eq!(lane.closed.len(), 4, "at twice the lifetime all go");
}

#[test]
fn an_aged_server_is_closed_at_check_in_and_replaced_for_a_waiter() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    lane.now += secs(3600);
    lane.checkin(A, server);
    assert_eq!(lane.closed, [(1, CloseReason::Aged)]);
    assert_eq!(lane.counts(), (0, 0, 1, 1));
}

#[test]
fn an_aged_server_lives_on_while_the_host_fails() {
    let mut lane = Lane::with_idle(limits(2), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    lane.fail();
    lane.now += secs(3600);
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [1]);
}

#[test]
fn with_a_lifetime_of_zero_a_server_serves_once() {
    let mut lane = Lane::new(Limits { lifetime: Duration::ZERO, min: 1, ..limits(1) });
    lane.tick(true);
    lane.open(A);
    lane.tick(true);
    assert_eq!(lane.counts(), (1, 0, 0, 0), "it has not served yet");
    let (server, _) = lane.take(A, 0);
    lane.checkin(A, server);
    assert_eq!(lane.closed, [(1, CloseReason::Aged)]);
}
