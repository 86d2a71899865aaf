//! Which addresses are lost to a name. The clock is the number of answers.

use super::*;
use std::net::Ipv4Addr;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const NEW: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99));

/// Servers are at A and B.
fn hear(answers: &mut Answers, answer: &[IpAddr]) {
    answers.heard(answer, [A, B]);
}

/// How often `answer` has to come before A is lost; `None`: it never is.
fn answers_until_a_is_lost(answers: &mut Answers, answer: &[IpAddr]) -> Option<u64> {
    (1..=10 * LOST_IN_ROTATION).find(|_| {
        hear(answers, answer);
        answers.have_lost(A)
    })
}

#[test]
fn an_address_is_lost_once_three_answers_in_a_row_lack_it() {
    let mut answers = Answers::default();
    hear(&mut answers, &[A, B]);
    assert_eq!(answers_until_a_is_lost(&mut answers, &[NEW, B]), Some(LOST));
    assert!(!answers.have_lost(B) && !answers.have_lost(NEW));
    hear(&mut answers, &[A]);
    assert!(!answers.have_lost(A), "it has come back");
}

#[test]
fn an_address_that_was_never_answered_is_missed_from_the_first_answer_on() {
    assert_eq!(answers_until_a_is_lost(&mut Answers::default(), &[NEW]), Some(LOST));
    // And not from the time before anybody was there.
    let mut answers = Answers::default();
    (0..100).for_each(|_| answers.heard(&[NEW], []));
    assert_eq!(answers_until_a_is_lost(&mut answers, &[NEW]), Some(LOST));
}

#[test]
fn without_an_answer_nothing_is_lost() {
    let mut answers = Answers::default();
    assert_eq!(answers_until_a_is_lost(&mut answers, &[]), None);
    hear(&mut answers, &[A]);
    assert_eq!(answers_until_a_is_lost(&mut answers, &[]), None);
    hear(&mut answers, &[NEW]);
    hear(&mut answers, &[]);
    assert_eq!(answers_until_a_is_lost(&mut answers, &[NEW]), Some(LOST - 1), "it stops nothing either");
}

#[test]
fn a_name_that_gives_its_addresses_out_in_turn_loses_none_of_them() {
    let mut answers = Answers::default();
    let turn = [A, B, NEW, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 4))];
    for round in 0..100 {
        for answer in turn {
            hear(&mut answers, &[answer]);
            // In the first round nobody can know.
            assert!(round == 0 || turn.iter().all(|address| !answers.have_lost(*address)), "in round {round}");
        }
    }
    // It moves after all.
    let last = answers_until_a_is_lost(&mut answers, &[NEW]);
    assert_eq!(last, Some(LOST_IN_ROTATION - 4), "four of those without it were in turn");
}

#[test]
fn a_name_that_has_long_stopped_to_rotate_moves_at_once_again() {
    let mut answers = Answers::default();
    [A, B, A].iter().for_each(|address| hear(&mut answers, &[*address]));
    (0..=LOST_IN_ROTATION).for_each(|_| hear(&mut answers, &[A]));
    assert_eq!(answers_until_a_is_lost(&mut answers, &[B]), Some(LOST));
}

#[test]
fn what_is_remembered_of_a_name_that_never_answers_the_same_is_bounded() {
    let mut answers = Answers::default();
    for number in 0..10_000 {
        hear(&mut answers, &[IpAddr::V4(Ipv4Addr::from_bits(number))]);
    }
    let known = answers.addresses.len();
    assert!(known <= 43, "the last 41 and those in use, not {known}");
}
