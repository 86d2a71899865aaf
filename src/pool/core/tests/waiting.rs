//! Who waits: the order, the reserve, giving up.

use super::*;

#[test]
fn waiters_are_served_in_order_of_arrival() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    for waiter in 1..=3 {
        lane.wait(A, waiter);
    }
    lane.checkin(A, server);
    for expected in 1..=3 {
        let (waiter, server, moved) = lane.one_grant();
        assert_eq!((waiter, moved), (expected, false));
        lane.checkin(A, server);
    }
    assert_eq!(lane.counts(), (1, 0, 0, 0));
}

#[test]
fn own_waiters_come_first_when_the_others_waited_little_longer() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(B, 1);
    lane.now += millis(1);
    lane.wait(A, 2);
    lane.checkin(A, server);
    let (waiter, server, _) = lane.one_grant();
    assert_eq!(waiter, 2);
    lane.checkin(A, server);
    let (waiter, _, moved) = lane.one_grant();
    assert_eq!((waiter, moved), (1, true));
}

#[test]
fn a_waiter_elsewhere_that_waited_much_longer_comes_before_ones_own() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(B, 1);
    lane.now += millis(2);
    lane.wait(A, 2);
    lane.checkin(A, server);
    let (waiter, _, moved) = lane.one_grant();
    assert_eq!((waiter, moved), (1, true));
}

#[test]
fn a_waiter_alone_on_its_worker_is_not_starved_by_a_busy_worker() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (mut server, _) = lane.take(A, 0);
    for waiter in 1..=20 {
        lane.wait(A, waiter);
    }
    lane.wait(B, 999);
    for turn in 0.. {
        assert!(turn < 200, "starved");
        lane.now += millis(1);
        lane.checkin(A, server);
        let (waiter, granted, _) = lane.one_grant();
        if waiter == 999 {
            break;
        }
        server = granted;
        lane.wait(A, waiter);
    }
}

#[test]
fn a_discarded_servers_slot_is_used_for_a_waiter() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    assert!(lane.attempts.is_empty());
    lane.discard(server);
    assert_eq!(lane.counts(), (0, 0, 1, 1));
    lane.open(B);
    let (waiter, _, moved) = lane.one_grant();
    assert_eq!((waiter, moved), (1, true));
}

#[test]
fn an_opened_server_that_nobody_waits_for_any_more_becomes_idle() {
    let mut lane = Lane::with_idle(limits(2), &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [1]);
    lane.open(A);
    assert_eq!(lane.counts(), (1, 1, 0, 0));
}

#[test]
fn the_reserve_opens_only_when_the_oldest_waiter_has_waited_for_it() {
    let mut lane = Lane::with_idle(Limits { reserve: 1, ..limits(1) }, &[A]);
    let _held = lane.take(A, 0);
    assert_eq!(lane.core.next_deadline(), None);
    let arrived = lane.now;
    lane.wait(A, 1);
    lane.wait(B, 2);
    assert_eq!(lane.core.next_deadline(), Some(arrived + secs(5)));
    lane.now += secs(5) - millis(1);
    lane.tick(true);
    assert_eq!(lane.attempts.len(), 0);
    lane.now += millis(1);
    lane.act(|core, now, actions| core.deadline_passed(now, actions));
    assert_eq!(lane.counts(), (0, 1, 1, 2));
    assert_eq!(lane.core.next_deadline(), None, "there is no more of it");
}

#[test]
fn a_server_of_the_reserve_goes_when_it_is_idle() {
    let mut lane = Lane::with_idle(Limits { reserve: 1, ..limits(1) }, &[A]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 1);
    lane.now += secs(5);
    lane.tick(true);
    lane.open(A);
    lane.checkin(A, server);
    assert_eq!(lane.counts(), (1, 1, 0, 0));
    lane.tick(true);
    assert_eq!(lane.closed, [(1, CloseReason::OverLimit)]);
    assert_eq!(lane.counts(), (0, 1, 0, 0));
}

#[test]
fn the_idle_server_that_is_meant_is_found_wherever_it_is_and_no_other_is_given() {
    let mut lane = Lane::with_idle(limits(3), &[A, A, B]);
    let mut which =
        |id: u32| lane.core.checkout_which(A, |server| server.id == id).map(|(server, moved)| (server.id, moved));
    assert_eq!([1, 3, 3, 9].map(&mut which), [Some((1, false)), Some((3, true)), None, None]);
    assert_eq!(lane.counts(), (1, 2, 0, 0));
}

#[test]
fn a_waiter_that_gives_up_is_passed_over() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    let ids: Vec<_> = (1..=3).map(|waiter| lane.wait(A, waiter)).collect();
    assert!(lane.core.give_up(ids[0]));
    assert!(lane.core.give_up(ids[1]));
    assert!(!lane.core.give_up(ids[1]), "only once");
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [3]);
}

#[test]
fn a_waiter_that_was_granted_a_server_cannot_give_up_and_hands_it_on() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let (server, _) = lane.take(A, 0);
    let first = lane.wait(A, 1);
    lane.wait(A, 2);
    lane.checkin(A, server);
    let (_, server, _) = lane.one_grant();
    assert!(!lane.core.give_up(first));
    lane.checkin(A, server);
    assert_eq!(lane.granted(), [2]);
}

#[test]
fn thousands_that_give_up_leave_no_holes_behind() {
    let mut lane = Lane::with_idle(limits(1), &[A]);
    let _held = lane.take(A, 0);
    lane.wait(A, 0);
    for waiter in 1..=10_000 {
        let id = lane.wait(A, waiter);
        assert!(lane.core.give_up(id));
    }
    assert_eq!(lane.counts(), (0, 1, 0, 1));
    assert!(lane.core.seats[0].waiters.footprint() < 100);
}
