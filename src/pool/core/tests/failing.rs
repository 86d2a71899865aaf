//! A host that fails, and the book of the host's connections.

use super::*;

#[test]
fn while_the_host_fails_one_attempt_is_made_after_each_rest() {
    let mut lane = Lane::new(limits(5));
    for waiter in 0..4 {
        lane.wait(A, waiter);
    }
    (0..4).for_each(|_| lane.fail());
    lane.wait(A, 4);
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 0, 5), "a new client waits for the end of the rest");
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 1, 5));
    lane.wait(B, 5);
    assert_eq!(lane.counts(), (0, 0, 1, 6), "a new client waits for the attempt");
    lane.fail();
    assert_eq!(lane.counts(), (0, 0, 0, 6));
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 1, 6));
}

#[test]
fn after_the_first_success_the_other_openings_begin() {
    let mut lane = Lane::new(limits(5));
    for waiter in 0..8 {
        lane.wait(A, waiter);
    }
    for _ in 0..5 {
        lane.fail();
    }
    lane.rest();
    lane.open(A);
    assert_eq!(lane.granted(), [0]);
    assert_eq!(lane.counts(), (0, 1, 4, 7));
}

#[test]
fn a_host_that_failed_is_left_alone_when_nobody_waits_any_more() {
    let mut lane = Lane::new(limits(5));
    let waiter = lane.wait(A, 1);
    lane.fail();
    assert!(lane.core.give_up(waiter));
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 0, 0));
    assert_eq!(lane.core.next_deadline(), None);
    lane.wait(A, 2);
    assert_eq!(lane.attempts.len(), 1, "the next client tries anew");
}

#[test]
fn a_server_that_is_dead_before_it_served_counts_as_a_failed_opening() {
    let mut lane = Lane::new(limits(5));
    lane.wait(A, 1);
    lane.open(A);
    assert_eq!(lane.granted(), [1]);
    let rest = Rest { until: lane.now + REST, refuse: false };
    lane.act(|core, now, actions| core.stillborn(now, rest, actions));
    lane.wait(A, 1);
    assert_eq!(lane.counts(), (0, 0, 0, 1), "its client waits for the end of the rest");
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 1, 1));
}

#[test]
fn a_failed_opening_hands_its_waiter_an_idle_server_of_another_worker() {
    let mut lane = Lane::with_idle(limits(2), &[B]);
    lane.wait(A, 1);
    lane.fail();
    let (waiter, _, moved) = lane.one_grant();
    assert_eq!((waiter, moved), (1, true));
}

#[test]
fn while_the_host_fails_a_server_moves_rather_than_a_slot_is_used() {
    let mut lane = Lane::with_idle(limits(5), &[B]);
    lane.wait(A, 1);
    lane.fail();
    let (_, server, _) = lane.one_grant();
    lane.checkin(B, server);
    assert!(lane.take(A, 0).1);
}

#[test]
fn after_a_final_failure_everybody_is_refused_until_the_rest_is_over() {
    let mut lane = Lane::new(limits(5));
    let first = lane.wait(B, 1);
    lane.wait(A, 2);
    assert_eq!(lane.fail_for_good(), [1, 2]);
    assert!(!lane.core.give_up(first));
    assert!(matches!(lane.checkout(A, 0, 3), Checkout::Refused));
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 1, 0), "the other attempt was under way");
    lane.fail_for_good();
    lane.rest();
    assert_eq!(lane.counts(), (0, 0, 0, 0), "nobody asks, nobody tries");
    lane.wait(A, 4);
    lane.wait(B, 5);
    assert_eq!(lane.counts(), (0, 0, 1, 2), "one tries for all who come now");
    assert_eq!(lane.fail_for_good(), [4, 5]);
    lane.rest();
    lane.wait(A, 6);
    lane.open(A);
    assert_eq!(lane.granted(), [6]);
    lane.wait(A, 7);
}

#[test]
fn a_final_failure_refuses_nobody_who_can_have_a_server_that_is_open() {
    let mut lane = Lane::with_idle(limits(2), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    assert_eq!(lane.fail_for_good(), [0; 0]);
    lane.wait(B, 2);
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [1]);
    assert_eq!(lane.counts(), (0, 1, 0, 1));
    lane.rest();
    assert_eq!(lane.counts(), (0, 1, 1, 1));
}

#[test]
fn a_new_configuration_ends_a_rest() {
    let mut lane = Lane::new(limits(1));
    lane.wait(A, 1);
    assert_eq!(lane.fail_for_good(), [1]);
    lane.act(|core, now, actions| core.retire(now, 2, actions));
    lane.wait(A, 2);
    assert_eq!(lane.attempts.len(), 1);
}

#[test]
fn an_opening_that_hangs_keeps_no_waiter_from_an_idle_server_for_long() {
    let mut lane = Lane::with_idle(limits(2), &[B]);
    lane.wait(A, 1);
    lane.now += secs(1);
    lane.tick(true);
    assert_eq!(lane.granted(), [1]);
}

#[test]
fn what_the_ledger_refuses_is_not_asked_again_before_a_poke() {
    let mut lane = Lane::new(limits(5));
    lane.wait(A, 1);
    lane.refuse();
    lane.wait(A, 2);
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 0, 2));
    lane.poke();
    assert_eq!(lane.counts(), (0, 0, 2, 2));
}

#[test]
fn a_poke_that_overtakes_a_refusal_is_not_lost() {
    let mut lane = Lane::new(limits(5));
    lane.wait(A, 1);
    lane.poke();
    lane.refuse();
    assert_eq!(lane.attempts.len(), 1, "it asks again");
    lane.refuse();
    assert_eq!(lane.attempts.len(), 0, "once");
}

#[test]
fn a_refused_opening_hands_its_waiter_an_idle_server_of_another_worker() {
    let mut lane = Lane::with_idle(limits(2), &[B]);
    lane.wait(A, 1);
    lane.refuse();
    assert_eq!(lane.granted(), [1]);
}

#[test]
fn eviction_takes_the_longest_idle_server_of_all_workers() {
    let mut lane = Lane::with_idle(limits(3), &[A, B, A]);
    let (first, _) = lane.take(B, 0);
    lane.now += millis(1);
    lane.checkin(B, first);
    let order: Vec<_> = std::iter::from_fn(|| lane.core.take_idle_oldest()).map(|server| server.id).collect();
    assert_eq!(order, [1, 3, 2]);
    assert_eq!(lane.counts(), (0, 0, 0, 0));
}
