//! What becomes of each answer, and what proves that none is owed.

use super::talk::{Talk, frame, said};
use crate::server::Disposition::{Hold, Swallow};
use crate::server::{Awaits, Disposition, ReplyQueue, Violation};
use crate::wire::backend::Status;
use bytes::BytesMut;

/// The client sees all that was said, and the server can go back.
fn passes_whole(kinds: &str, words: &str) {
    let mut talk = Talk::default();
    talk.send(kinds);
    assert!(!talk.at_boundary(), "{kinds}");
    talk.hear(words);
    assert_eq!(talk.seen.bytes, said(words), "{kinds}: {words}");
    assert!(talk.at_boundary(), "{kinds}: {words}");
}

#[test]
fn forwarded_answers_pass_untouched() {
    for (kinds, words) in [
        ("Q", "T D D C Zi"),
        ("Q", "I Zi"),
        ("Q", "E Zi"),
        ("Q", "T D C C T C I N A Zi"),
        ("Q", "T D E Zi"),
        ("Q", "H d d c C Zi"),
        ("F", "V Zi"),
        ("F", "E Zi"),
        ("S", "Zi"),
        ("S", "E Zi"),
        ("PBDES", "1 2 T D C Zi"),
        ("PDS", "1 t T Zi"),
        ("PDS", "1 t n Zi"),
        ("BDES", "2 n C Zi"),
        ("BES", "2 D s Zi"),
        ("BES", "2 I Zi"),
        ("BES", "2 H d c C Zi"),
        ("CS", "3 Zi"),
        ("PBES", "1 E Zi"),
        ("PBESPBES", "E Zi 1 2 C Zi"),
        ("PBESPBES", "1 2 C Zi 1 E Zi"),
        ("QQQ", "C Zi E Zi I Zi"),
        ("SSS", "Zi Zi Zi"),
        ("PBEQS", "1 2 C C Zi Zi"),
        ("QXH", "C Zi"),
    ] {
        passes_whole(kinds, words);
    }
}

#[test]
fn f5_what_an_error_makes_postgres_skip_is_not_waited_for() {
    for (kinds, words) in [
        ("PBDEPBDES", "E Zi"),
        ("PBDEPBDES", "1 2 T D E Zi"),
        ("PQS", "E Zi"),
        ("PFQPS", "E Zi"),
        ("PBHES", "1 E Zi"),
        ("PcfS", "E Zi"),
    ] {
        passes_whole(kinds, words);
    }
}

#[test]
fn f5_what_is_sent_while_postgres_skips_is_not_waited_for() {
    let mut talk = Talk::default();
    talk.send("PH").hear("E").send("BEQFcH");
    assert!(!talk.exchange.owes() && !talk.at_boundary());
    talk.send("S").hear("Zi");
    assert_eq!(talk.seen(), "EZ");
    assert!(talk.at_boundary());
}

#[test]
fn a_transaction_is_no_boundary() {
    let mut talk = Talk::default();
    talk.send("Q").hear("C Zt");
    assert_eq!(talk.exchange.status(), Status::InTransaction);
    assert!(!talk.at_boundary());
    talk.send("Q").hear("E Ze");
    assert_eq!(talk.exchange.status(), Status::Failed);
    assert!(!talk.at_boundary() && !talk.exchange.owes());
    talk.send("Q").hear("C Zi");
    assert!(talk.at_boundary());
}

#[test]
fn messages_without_a_sync_are_no_boundary() {
    let mut talk = Talk::default();
    talk.send("PH").hear("1");
    assert!(!talk.exchange.owes() && talk.exchange.unsynced() && !talk.at_boundary());
    talk.send("S").hear("Zi");
    assert!(talk.at_boundary());
}

#[test]
fn a_query_ends_what_was_not_synced() {
    // PostgreSQL commits the extended messages together with the Query behind them.
    let mut talk = Talk::default();
    talk.send("PBEQ").hear("1 2 C C Zi");
    assert!(talk.at_boundary());
    talk.send("PBEQP").hear("1 2 C C Zi");
    assert!(!talk.at_boundary());
    talk.hear("1");
    assert!(!talk.at_boundary() && talk.exchange.unsynced());
}

#[test]
fn f6_swallowed_answers_are_seen_by_nobody() {
    let mut talk = Talk::default();
    talk.send_own("PBDES", Swallow).send("Q").hear("1 2 T D C Zi");
    assert_eq!(talk.seen(), "");
    talk.hear("C Zi").send_own("QDSQ", Swallow).hear("T D E N Zi E Zi C Zi");
    assert_eq!(talk.seen(), "CZ");
    talk.send("Q").hear("N C Zi").send_own("S", Swallow).hear("Zi");
    assert_eq!(talk.seen(), "CZNCZ");
    assert!(talk.at_boundary());
}

#[test]
fn a_notification_is_shown_whatever_is_owed() {
    for disposition in [Swallow, Hold] {
        let mut talk = Talk::default();
        talk.send_own("Q", disposition).hear("A");
        assert_eq!(talk.seen(), "A");
    }
    assert_eq!(Talk::default().hear("A N S:search_path:x").seen(), "ANS");
}

#[test]
fn f6_an_invented_answer_comes_when_all_before_it_have_come() {
    let invention = || BytesMut::from(&said("3")[..]);
    let mut talk = Talk::default();
    talk.exchange.invent(invention());
    talk.settle();
    assert_eq!(talk.seen(), "3", "nothing was owed");
    talk.send("PB");
    talk.exchange.invent(invention());
    talk.settle();
    talk.send("ES").hear("1");
    assert_eq!(talk.seen(), "31");
    talk.hear("2 C Zi");
    assert_eq!(talk.seen(), "3123CZ");
    assert!(talk.at_boundary());
}

#[test]
fn f6_an_invented_answer_is_skipped_with_the_others() {
    let mut talk = Talk::default();
    talk.send("P");
    talk.exchange.invent(BytesMut::from(&said("3")[..]));
    talk.settle();
    talk.send("BS").hear("E");
    talk.exchange.invent(BytesMut::from(&said("3")[..]));
    talk.settle();
    talk.hear("Zi");
    assert_eq!(talk.seen(), "EZ3", "the second one came behind the Sync");
    talk.send("P").hear("E");
    talk.exchange.invent(BytesMut::from(&said("3")[..]));
    talk.settle();
    assert_eq!(talk.seen(), "EZ3E");
}

#[test]
fn parameters_are_shown_as_the_outlet_decides() {
    let mut talk = Talk::default();
    talk.send("Q").hear("S:TimeZone:UTC S:hidden:1 C S:hidden:2 Zi");
    assert_eq!(talk.seen(), "SCZ");
    assert_eq!(talk.seen.parameters, ["TimeZone=UTC", "hidden=1", "hidden=2"]);
}

#[test]
fn a_fatal_error_is_shown_and_never_a_boundary() {
    for (kinds, own) in [("", ""), ("Q", ""), ("PBE", ""), ("", "Q"), ("", "PBS")] {
        for disposition in [Swallow, Hold] {
            let mut talk = Talk::default();
            talk.send(kinds).send_own(own, disposition).hear("FATAL");
            assert_eq!(talk.seen(), "E");
            assert!(talk.exchange.said_fatal() && !talk.at_boundary());
        }
    }
}

#[test]
fn half_a_frame_is_no_boundary() {
    let mut talk = Talk::default();
    let query = frame(b'Q', b"select 1");
    talk.exchange.sending(&query[..7]);
    assert!(talk.exchange.cut_outgoing());
    talk.hear("C Zi");
    assert!(!talk.at_boundary());
    talk.exchange.sending(&query[7..]);
    assert!(!talk.exchange.cut_outgoing() && talk.at_boundary());
    talk.send("Q");
    let row = said("D");
    talk.try_hear(&row[..6]).unwrap();
    assert!(talk.exchange.cut_incoming());
    assert_eq!(talk.seen.bytes[talk.seen.bytes.len() - 6..], row[..6], "a row is not waited for");
    talk.try_hear(&row[6..]).unwrap();
    assert!(!talk.exchange.cut_incoming());
}

#[test]
fn only_what_the_client_sees_in_part_counts_as_cut() {
    let mut talk = Talk::default();
    talk.send_own("Q", Swallow).try_hear(&said("D")[..6]).unwrap();
    assert!(!talk.exchange.cut_incoming() && !talk.at_boundary());
}

#[test]
fn what_cannot_come_now_is_a_violation() {
    for (kinds, words) in [
        ("", "Zi"),
        ("", "C"),
        ("", "1"),
        ("", "D"),
        ("", "d"),
        ("", "G"),
        ("", "H"),
        ("", "c"),
        ("", "V"),
        ("", "t"),
        ("", "T"),
        ("Q", "1"),
        ("Q", "C Zi Zi"),
        ("Q", "W"),
        ("Q", "R"),
        ("Q", "K"),
        ("Q", "v"),
        ("Q", "x"),
        ("Q", "Q"),
        ("Q", "s"),
        ("Q", "V"),
        ("Q", "t"),
        ("PS", "2"),
        ("PS", "Zi"),
        ("PS", "D"),
        ("PS", "G"),
        ("BES", "2 Zi"),
        ("BES", "2 T"),
        ("PBS", "1 1"),
        ("S", "C"),
        ("S", "D"),
        ("F", "C"),
        ("F", "D"),
    ] {
        let mut talk = Talk::default();
        assert!(talk.send(kinds).try_hear(&said(words)).is_err(), "{kinds}: {words}");
        // Not even if all else looks well.
        assert!(!talk.at_boundary() && talk.exchange.is_beyond_repair(), "{kinds}: {words}");
    }
}

#[test]
fn malformed_bodies_that_must_be_understood_are_violations() {
    for bytes in [
        frame(b'Z', b""),
        frame(b'Z', b"X"),
        frame(b'Z', b"II"),
        frame(b'Z', &[b'I'; 70_000]),
        frame(b'S', b""),
        frame(b'S', b"TimeZone\0UTC"),
        frame(b'S', b"TimeZone\0UTC\0more"),
        b"C\0\0\0\x03".to_vec(),
        b"C\0\0\0\0".to_vec(),
        b"D\xff\xff\xff\xff".to_vec(),
        b"\0\0\0\0\x04".to_vec(),
    ] {
        let mut talk = Talk::default();
        assert!(talk.send("Q").try_hear(&bytes).is_err(), "{:?}", &bytes[..bytes.len().min(20)]);
        assert!(!talk.at_boundary());
    }
}

#[test]
fn an_error_without_fields_is_an_error() {
    let mut talk = Talk::default();
    let bare = [frame(b'E', b""), frame(b'Z', b"I")].concat();
    talk.send("Q").try_hear(&bare).unwrap();
    assert_eq!(talk.seen.bytes, bare);
    assert!(talk.at_boundary());
}

#[test]
fn a_very_long_error_is_not_kept_back() {
    let long = frame(b'E', &[b"SERROR\0VERROR\0C22012\0M", &[b'x'; 300_000][..], b"\0\0"].concat());
    let mut talk = Talk::default();
    talk.send("Q").try_hear(&long[..70_000]).unwrap();
    assert_eq!(talk.seen.bytes.len(), 70_000);
    talk.try_hear(&long[70_000..]).unwrap();
    talk.hear("Zi");
    assert!(talk.at_boundary());
}

#[test]
fn more_than_a_bound_is_never_owed() {
    let mut talk = Talk::default();
    while !talk.exchange.is_full() {
        talk.send("SSSSSSSSSSSSSSSS");
        assert!(talk.seen.bytes.is_empty());
    }
    talk.hear("Zi");
    assert!(!talk.exchange.is_full());
}

#[test]
fn nor_more_of_its_own_than_a_bound() {
    let mut queue = ReplyQueue::new();
    queue.push(Awaits::Query, Disposition::Forward, false);
    for name in [&[b'a'; 40_000][..], &[b'b'; 2000]] {
        queue.push_invented(name.into());
    }
    queue.push(Awaits::Parse, Disposition::Refuse, false);
    queue.expect_refusal(b"no"[..].into());
    assert_eq!(queue.invented(), 42_002);
    queue.pop_sync_point();
    while queue.take_due_invention().is_some() {}
    assert_eq!(queue.invented(), 2);
    queue.pop();
    assert_eq!(queue.invented(), 0);
}

#[test]
fn the_queue_knows_its_oldest_entry_and_its_length() {
    let mut queue = ReplyQueue::new();
    assert!(queue.is_empty() && queue.front().is_none() && queue.shows_notices() && !queue.has_sync());
    queue.push(Awaits::Parse, Hold, false);
    queue.push(Awaits::Sync, Disposition::Forward, false);
    assert_eq!((queue.len(), queue.front(), queue.shows_notices()), (2, Some((Awaits::Parse, Hold)), false));
    assert_eq!(queue.pop_sync_point(), None, "a Parse is none");
    queue.pop();
    assert!(queue.has_sync() && queue.shows_notices());
    assert_eq!(queue.pop_sync_point(), Some(Disposition::Forward));
    assert_eq!(queue.pop_sync_point(), None);
    queue.pop();
    assert!(queue.is_empty() && queue.in_step());
}

#[test]
fn a_violation_says_why() {
    let mut talk = Talk::default();
    assert_eq!(talk.try_hear(&said("Zi")), Err(Violation("ReadyForQuery that nothing asked for")));
}

#[test]
fn a_begin_of_ours_that_failed_is_told_of_once() {
    let mut talk = Talk::default();
    talk.send_own("BE", Disposition::Begin).send("Q").send("S").hear("E");
    assert!(talk.exchange.take_failed_begin());
    talk.hear("Zi");
    assert!(talk.at_boundary());
    assert!(!talk.exchange.take_failed_begin(), "the next client is told of another's");
    assert_eq!(talk.seen(), "EZ");
}
