//! Settings in front of a request: what the client sees when they take, and when they do not.

use super::talk::{ERROR, Talk, frame, said};
use crate::server::Disposition::Hold;

/// `Close(guard) Close Parse Bind Execute Parse(guard) Sync Describe(guard)`.
fn guarded(kinds: &str) -> Talk {
    let mut talk = Talk::default();
    talk.send_own("CCPBEPSD", Hold);
    talk.exchange.guard_sent();
    assert!(talk.exchange.guard_pending());
    talk.send(kinds);
    talk
}

const GOOD: &str = "3 3 1 2 D S:hidden:x C 1 Zi t n ";

/// All the ways in which the settings fail.
const BAD: [&str; 6] = ["E Zi E", "3 E Zi E", "3 3 E Zi E", "3 3 1 E Zi E", "3 3 1 2 E Zi E", "3 3 1 2 D C E Zi E"];

#[test]
fn settings_that_take_are_seen_by_nobody() {
    for (kinds, words) in [("Q", "T D C Zi"), ("PBDES", "1 2 T D C Zi"), ("PBEH", "1 2 C"), ("F", "V Zi")] {
        let mut talk = guarded(kinds);
        talk.hear(GOOD);
        assert_eq!((talk.seen(), talk.seen.guards), (String::new(), 1), "{kinds}");
        assert!(!talk.exchange.take_failed_guard());
        assert!(!talk.exchange.guard_pending());
        talk.hear(words);
        assert_eq!(talk.seen.bytes, said(words));
        assert_eq!(talk.at_boundary(), words.contains("Zi"));
    }
}

#[test]
fn settings_that_fail_stop_a_query_and_a_sync_is_wanted_for_it() {
    for kinds in ["Q", "F"] {
        for bad in BAD {
            let mut talk = guarded(kinds);
            talk.hear(bad);
            assert!(talk.exchange.take_failed_guard(), "{bad}");
            assert_eq!(talk.seen.bytes, frame(b'E', ERROR), "the first error, once");
            assert!(talk.exchange.guard_pending() && !talk.at_boundary());
            assert!(talk.exchange.take_wanted_sync() && !talk.exchange.take_wanted_sync());
            assert!(!talk.exchange.guard_pending());
            talk.send("S").hear("Zi");
            assert_eq!((talk.seen(), talk.seen.guards), ("EZ".to_owned(), 0));
            assert!(talk.at_boundary());
        }
    }
}

#[test]
fn settings_that_fail_stop_a_batch_up_to_its_own_sync() {
    for bad in BAD {
        let mut talk = guarded("PBDES");
        talk.hear(bad);
        assert!(!talk.exchange.take_wanted_sync() && !talk.exchange.guard_pending());
        talk.hear("Zi");
        assert_eq!(talk.seen(), "EZ");
        assert!(talk.at_boundary());
    }
}

#[test]
fn settings_that_fail_stop_a_flushed_batch_until_the_client_syncs() {
    for bad in BAD {
        let mut talk = guarded("PDH");
        talk.hear(bad);
        assert_eq!(talk.seen(), "E");
        assert!(!talk.exchange.take_wanted_sync() && !talk.exchange.guard_pending());
        talk.send("BEQ");
        assert!(!talk.exchange.owes() && !talk.at_boundary());
        talk.send("S").hear("Zi");
        assert_eq!(talk.seen(), "EZ");
        assert!(talk.at_boundary());
    }
}

#[test]
fn a_query_behind_unsynced_messages_is_skipped_with_them() {
    // PostgreSQL would skip it after an error in the Parse, and answer only the Sync.
    for bad in BAD {
        let mut talk = guarded("PBEQ");
        talk.hear(bad);
        assert!(!talk.exchange.take_wanted_sync(), "a Sync of our own would be one ReadyForQuery too many");
        talk.send("S").hear("Zi");
        assert_eq!(talk.seen(), "EZ");
        assert!(talk.at_boundary());
    }
}

#[test]
fn settings_that_fail_in_front_of_a_long_query_wait_for_its_end() {
    let query = frame(b'Q', &[b'x'; 1000]);
    let mut talk = guarded("");
    talk.exchange.sending(&query[..100]);
    talk.hear(BAD[1]);
    assert!(talk.exchange.guard_pending() && talk.exchange.cut_outgoing());
    assert!(!talk.exchange.take_wanted_sync(), "it would stand in the middle of the Query");
    talk.exchange.sending(&query[100..500]);
    assert!(!talk.exchange.take_wanted_sync());
    talk.exchange.sending(&query[500..]);
    assert!(talk.exchange.take_wanted_sync());
    talk.send("S").hear("Zi");
    assert_eq!(talk.seen(), "EZ");
    assert!(talk.at_boundary());
}

#[test]
fn settings_that_fail_in_front_of_a_long_batch_skip_all_of_it() {
    let parse = frame(b'P', &[b'x'; 1000]);
    let mut talk = guarded("");
    talk.exchange.sending(&parse[..100]);
    talk.hear(BAD[1]);
    assert!(!talk.exchange.guard_pending());
    talk.exchange.sending(&parse[100..]);
    talk.send("BES").hear("Zi");
    assert_eq!(talk.seen(), "EZ");
    assert!(talk.at_boundary());
}

#[test]
fn a_cancel_that_hits_the_guard_is_told() {
    let mut talk = guarded("Q");
    talk.hear("3 3 1 2 D C 1 Zi E");
    assert_eq!(talk.seen(), "E");
    assert!(talk.exchange.take_failed_guard() && talk.exchange.take_wanted_sync());
    talk.send("S").hear("Zi");
    assert!(talk.at_boundary());
}

#[test]
fn a_guard_that_exists_although_settings_failed_is_a_violation() {
    for kind in ["t n", "T"] {
        let mut talk = guarded("Q");
        assert!(talk.try_hear(&said(&format!("3 E Zi {kind}"))).is_err());
    }
}

#[test]
fn a_very_long_error_of_a_setting_reaches_the_client_as_one_frame() {
    let mut talk = guarded("Q");
    let long = frame(b'E', &[b"SERROR\0VERROR\0C22023\0M", &[b'x'; 100_000][..], b"\0\0"].concat());
    talk.try_hear(&[said("3"), long, said("Zi E")].concat()).unwrap();
    assert_eq!(talk.seen(), "E");
    assert!(talk.seen.bytes.ends_with(b"\0\0") && talk.seen.bytes.len() > 60_000);
}

#[test]
fn what_comes_in_the_middle_of_settings_is_not_for_the_client() {
    let mut talk = guarded("Q");
    talk.hear("3 3 1 N 2 S:hidden:x D N C 1 Zi N t n N C Zi");
    assert_eq!(talk.seen(), "NCZ");
}
