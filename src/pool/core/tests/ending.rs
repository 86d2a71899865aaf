//! Another configuration, a pause, the end.

use super::*;

#[test]
fn servers_of_an_older_generation_retire_now_if_idle_and_else_at_check_in() {
    let mut lane = Lane::with_idle(limits(3), &[A, B]);
    let (server, _) = lane.take(A, 0);
    lane.wait(A, 5);
    lane.generation = 2;
    lane.act(|core, now, actions| core.retire(now, 2, actions));
    assert_eq!(lane.closed, [(2, CloseReason::Retired)]);
    lane.checkin(A, server);
    assert_eq!(lane.closed[1], (1, CloseReason::Retired));
    lane.open(A);
    assert_eq!(lane.granted(), [5]);
}

#[test]
fn what_is_idle_on_a_worker_that_ends_is_closed_and_its_place_is_for_who_waits() {
    let mut lane = Lane::with_idle(limits(3), &[A, A, B]);
    let _ = lane.take(B, 0);
    let _ = lane.take(A, 0);
    lane.act(|core, now, actions| core.close_idle_of(now, A, actions));
    assert_eq!(lane.closed, [(1, CloseReason::Dead)]);
    assert_eq!(lane.counts(), (0, 2, 0, 0));
    lane.wait(B, 1);
    assert_eq!(lane.counts(), (0, 2, 1, 1));
}

#[test]
fn a_server_that_has_to_go_in_any_case_retires_although_no_configuration_is_newer() {
    let mut lane = Lane::with_idle(limits(3), &[A, A]);
    let (mut server, _) = lane.take(A, 0);
    server.generation = 0;
    lane.checkin(A, server);
    assert_eq!(lane.closed, [(2, CloseReason::Retired)]);
    assert_eq!(lane.counts(), (1, 0, 0, 0), "the other one stays");
}

#[test]
fn a_server_opened_with_a_replaced_configuration_is_closed_and_opened_again() {
    let mut lane = Lane::new(limits(1));
    lane.wait(A, 1);
    lane.act(|core, now, actions| core.retire(now, 2, actions));
    lane.open(A);
    assert_eq!(lane.closed, [(1, CloseReason::Retired)]);
    assert_eq!(lane.counts(), (0, 0, 1, 1));
}

#[test]
fn what_failed_with_a_replaced_configuration_says_nothing_about_the_one_in_force() {
    let mut lane = Lane::new(limits(2));
    lane.wait(A, 1);
    lane.act(|core, now, actions| core.retire(now, 2, actions));
    assert_eq!(lane.fail_for_good(), [0_u32; 0]);
    assert!(!lane.core.is_failing());
    assert_eq!(lane.counts(), (0, 0, 1, 1), "it is tried at once with the new one");
    assert_eq!(lane.fail_for_good(), [1]);
}

#[test]
fn smaller_limits_close_what_is_idle_and_the_rest_at_check_in() {
    let mut lane = Lane::with_idle(limits(3), &[A, A, A]);
    let (one, _) = lane.take(A, 0);
    let (two, _) = lane.take(A, 0);
    lane.act(|core, now, actions| core.set_limits(now, limits(1), actions));
    assert_eq!(lane.closed, [(1, CloseReason::OverLimit)]);
    lane.checkin(A, one);
    lane.checkin(A, two);
    assert_eq!(lane.counts(), (1, 0, 0, 0));
}

#[test]
fn larger_limits_open_for_those_who_wait() {
    let mut lane = Lane::new(limits(1));
    for waiter in 0..3 {
        lane.wait(A, waiter);
    }
    lane.act(|core, now, actions| core.set_limits(now, limits(2), actions));
    assert_eq!(lane.counts(), (0, 0, 2, 3));
}

#[test]
fn a_paused_lane_closes_its_servers_and_serves_who_waited_when_it_goes_on() {
    let mut lane = Lane::with_idle(limits(3), &[A, B, B]);
    let (server, _) = lane.take(A, 0);
    lane.act(|core, _, actions| core.pause(actions));
    lane.act(|core, _, actions| core.pause(actions));
    assert_eq!(lane.closed, [(2, CloseReason::Paused), (3, CloseReason::Paused)]);
    lane.wait(B, 7);
    lane.checkin(A, server);
    assert_eq!(lane.closed[2], (1, CloseReason::Paused));
    lane.now += secs(100);
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 0, 1), "it is quiet");
    assert_eq!(lane.core.next_deadline(), None);
    lane.act(|core, now, actions| core.resume(now, actions));
    lane.open(A);
    assert_eq!(lane.granted(), [7]);
}

#[test]
fn an_opening_under_way_when_the_pause_began_ends_closed() {
    let mut lane = Lane::new(limits(1));
    lane.wait(A, 1);
    lane.act(|core, _, actions| core.pause(actions));
    lane.open(A);
    assert_eq!(lane.closed, [(1, CloseReason::Paused)]);
    assert_eq!(lane.counts(), (0, 0, 0, 1));
}

#[test]
fn nobody_is_refused_for_a_failed_login_while_the_lane_is_paused() {
    let mut lane = Lane::new(limits(1));
    lane.wait(A, 1);
    lane.act(|core, _, actions| core.pause(actions));
    assert_eq!(lane.fail_for_good(), [0_u32; 0]);
    lane.wait(A, 2);
    lane.rest();
    lane.act(|core, now, actions| core.resume(now, actions));
    lane.open(A);
    assert_eq!(lane.granted(), [1]);
}

#[test]
fn the_reserve_is_no_reason_to_look_at_a_paused_lane() {
    let mut lane = Lane::new(Limits { reserve: 1, ..limits(1) });
    lane.wait(A, 1);
    lane.act(|core, _, actions| core.pause(actions));
    lane.wait(A, 2);
    assert_eq!(lane.core.next_deadline(), None);
}

#[test]
fn a_closed_lane_sends_everybody_away_and_keeps_no_server() {
    let mut lane = Lane::with_idle(limits(2), &[A, B]);
    let (one, _) = lane.take(A, 0);
    let (two, _) = lane.take(B, 0);
    lane.wait(B, 4);
    lane.wait(B, 5);
    let sent_away = lane.act(|core, _, actions| core.close(actions));
    assert_eq!(sent_away, [4, 5]);
    assert!(matches!(lane.checkout(A, 0, 6), Checkout::Closed));
    lane.checkin(A, one);
    lane.discard(two);
    lane.act(|core, now, actions| core.resume(now, actions));
    lane.tick(true);
    assert_eq!(lane.counts(), (0, 0, 0, 0));
    assert_eq!(lane.closed, [(1, CloseReason::Retired)]);
}
