//! Which server a checkout gets.

use super::*;

#[test]
fn the_last_used_server_of_the_own_worker_goes_first() {
    let mut lane = Lane::with_idle(limits(4), &[A, B, A]);
    let (server, moved) = lane.take(A, 0);
    assert_eq!((server.id, moved), (3, false));
    assert_eq!(lane.counts(), (2, 1, 0, 0));
}

#[test]
fn with_round_robin_the_longest_idle_server_goes_first() {
    let mut lane = Lane::with_idle(Limits { round_robin: true, ..limits(3) }, &[A, A, A]);
    for expected in [1, 2, 3, 1, 2] {
        let (server, _) = lane.take(A, 0);
        assert_eq!(server.id, expected);
        lane.checkin(A, server);
    }
}

#[test]
fn a_server_in_the_clients_state_is_preferred_among_the_next_eight() {
    let mut lane = Lane::with_idle(limits(10), &[A; 10]);
    let mut servers: Vec<_> = (0..10).map(|_| lane.take(A, 0).0).collect();
    servers.sort_by_key(|server| server.id);
    for (place, mut server) in (0..).zip(servers) {
        server.key = place;
        lane.checkin(A, server);
    }
    assert_eq!(lane.take(A, 2).0.id, 3, "the eighth from the end has key 2");
    assert_eq!(lane.take(A, 0).0.id, 10, "the key 0 is too far away now");
}

#[test]
fn a_server_with_the_upper_half_of_the_key_is_the_next_best() {
    let mut lane = Lane::with_idle(limits(3), &[A; 3]);
    let mut servers: Vec<_> = (0..3).map(|_| lane.take(A, 0).0).collect();
    servers.sort_by_key(|server| server.id);
    for (key, mut server) in [7 << 32 | 1, 7 << 32 | 2, 8 << 32 | 3].into_iter().zip(servers) {
        server.key = key;
        lane.checkin(A, server);
    }
    assert_eq!(lane.take(A, 7 << 32 | 9).0.id, 2, "the last used of its half");
    assert_eq!(lane.take(A, 7 << 32 | 1).0.id, 1);
    assert_eq!(lane.take(A, 7 << 32 | 1).0.id, 3, "any one at all");
}

#[test]
fn a_free_slot_is_used_before_a_server_moves() {
    let mut lane = Lane::with_idle(limits(2), &[B]);
    lane.wait(A, 7);
    assert_eq!(lane.counts(), (1, 0, 1, 1));
    assert_eq!(lane.attempts[0].worker(), A);
    lane.open(A);
    assert_eq!(lane.one_grant().0, 7);
}

#[test]
fn at_the_limit_an_idle_server_of_another_worker_moves() {
    let mut lane = Lane::with_idle(limits(1), &[B]);
    let (server, moved) = lane.take(A, 0);
    assert!(moved);
    lane.checkin(A, server);
    assert!(!lane.take(A, 0).1, "it stays where it moved to");
}

#[test]
fn several_servers_open_at_once_up_to_the_limit() {
    let mut lane = Lane::new(limits(3));
    for waiter in 0..5 {
        lane.wait(A, waiter);
    }
    assert_eq!(lane.counts(), (0, 0, 3, 5));
}

#[test]
fn an_opening_that_lost_its_waiter_serves_the_next_one() {
    let mut lane = Lane::new(limits(3));
    let first = lane.wait(A, 1);
    assert!(lane.core.give_up(first));
    lane.wait(A, 2);
    assert_eq!(lane.counts(), (0, 0, 1, 1));
    lane.open(A);
    assert_eq!(lane.granted(), [2]);
}

#[test]
fn a_size_of_zero_means_no_limit_and_keeps_min() {
    let mut lane = Lane::new(Limits { min: 2, ..limits(0) });
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 2, 0));
    for waiter in 0..50 {
        lane.wait(A, waiter);
    }
    assert_eq!(lane.counts(), (0, 0, 50, 50));
}
