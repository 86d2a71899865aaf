//! What is owed, and when no longer.

use super::*;

fn notified(text: &str) -> Notified {
    text.as_bytes().into()
}

#[test]
fn what_was_sent_is_owed_once_and_by_its_server() {
    let mut owed = Owed::default();
    owed.send(notified("a"));
    assert!(!owed.take(2, b"a", 1), "another process");
    assert!(owed.take(1, b"a", 1), "heard before its COMMIT was answered");
    assert!(!owed.take(1, b"a", 1));
    owed.send(notified("b"));
    owed.commit(1);
    assert!(owed.take(1, b"b", 7), "the client has another server by now");
    assert!(owed.committed.is_empty() && owed.bytes == 0);
}

#[test]
fn what_came_to_nothing_is_not_owed() {
    let mut owed = Owed::default();
    owed.send(notified("a"));
    owed.forget_sent();
    owed.commit(1);
    assert!(!owed.take(1, b"a", 1) && owed.bytes == 0);
}

#[test]
fn an_answer_ends_what_was_committed_before_the_question() {
    let mut owed = Owed::default();
    owed.send(notified("a"));
    owed.commit(1);
    owed.answer(Ticket(1));
    owed.ask(Ticket(2));
    owed.send(notified("b"));
    owed.commit(1);
    owed.ask(Ticket(3));
    owed.answer(Ticket(2));
    assert!(!owed.take(1, b"a", 1), "it would have come");
    assert!(owed.take(1, b"b", 1));
    assert_eq!(owed.bytes, 0);
}

#[test]
fn what_is_alike_comes_once_from_each_transaction() {
    let mut owed = Owed::default();
    (0..2).for_each(|_| owed.send(notified("a")));
    owed.commit(1);
    owed.ask(Ticket(1));
    owed.send(notified("a"));
    owed.commit(1);
    assert!(owed.is_unasked());
    assert!(owed.take(1, b"a", 1) && owed.take(1, b"a", 1) && !owed.take(1, b"a", 1));
    assert!(!owed.is_unasked() && owed.bytes == 0, "nothing is left to ask for");
}

#[test]
fn only_so_much_is_remembered() {
    let mut owed = Owed::default();
    (0..10_000).for_each(|at| owed.send(notified(&format!("payload {at}"))));
    assert!(owed.bytes <= OWED_MAX && owed.sent.len() > 100);
    owed.forget_sent();
    assert_eq!(owed.bytes, 0);
}
