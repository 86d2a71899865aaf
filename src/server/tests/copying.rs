//! COPY: data that is not answered, Syncs that are read as data, ends that came too early or for nothing.

use super::talk::{Talk, said};

#[test]
fn copy_in_by_query_ends_with_done_or_fail() {
    for (end, answer) in [("c", "C Zi"), ("f", "E Zi")] {
        let mut talk = Talk::default();
        talk.send("Q").hear("G");
        assert!(talk.exchange.copy_in() && talk.exchange.owes());
        talk.send("dd");
        assert!(talk.exchange.copy_in());
        talk.send(end);
        assert!(!talk.exchange.copy_in() && !talk.at_boundary());
        talk.hear(answer);
        assert!(talk.at_boundary());
    }
}

#[test]
fn copy_in_sent_ahead_with_its_end_is_known_to_be_over() {
    let mut talk = Talk::default();
    talk.send("QddcQ").hear("G");
    assert!(!talk.exchange.copy_in());
    talk.hear("C Zi C Zi");
    assert!(talk.at_boundary());
}

#[test]
fn two_copies_of_one_query_end_one_after_the_other() {
    let mut talk = Talk::default();
    talk.send("Q").hear("G").send("dc").hear("C G");
    assert!(talk.exchange.copy_in());
    talk.send("dc").hear("C Zi");
    assert!(talk.at_boundary());
    talk.send("Qdcdc").hear("G C G C Zi");
    assert!(talk.at_boundary() && !talk.exchange.copy_in());
    talk.send("Qdc").hear("G C G");
    assert!(talk.exchange.copy_in() && !talk.at_boundary());
    talk.send("f").hear("E Zi");
    assert!(talk.at_boundary());
}

#[test]
fn an_error_ends_copy_in() {
    let mut talk = Talk::default();
    talk.send("Q").hear("G").send("d").hear("E");
    assert!(!talk.exchange.copy_in());
    talk.send("dc").hear("Zi");
    assert!(talk.at_boundary(), "data and its end came too late, and PostgreSQL ignores them");
    talk.send("c").send("Q").hear("C Zi");
    assert!(talk.at_boundary());
}

#[test]
fn copy_in_by_execute_swallows_the_sync_behind_it() {
    for syncs in ["", "S", "SS"] {
        let mut talk = Talk::default();
        talk.send(&format!("PBE{syncs}")).hear("1 2 G");
        assert!(talk.exchange.copy_in() && talk.exchange.unsynced(), "{syncs}");
        talk.send("dcS").hear("C");
        assert!(!talk.at_boundary());
        talk.hear("Zi");
        assert!(talk.at_boundary(), "{syncs}");
        assert_eq!(talk.seen(), "12GCZ");
    }
}

#[test]
fn a_sync_in_the_middle_of_data_is_not_answered() {
    let mut talk = Talk::default();
    talk.send("PBEH").hear("1 2 G").send("dSdHSdcS").hear("C Zi");
    assert!(talk.at_boundary());
}

#[test]
fn copy_in_by_execute_sent_ahead() {
    let mut talk = Talk::default();
    talk.send("PBESddcSQ").hear("1 2 G C Zi C Zi");
    assert!(talk.at_boundary());
    talk.send("PBEdcS").hear("1 2 G C Zi");
    assert!(talk.at_boundary());
}

#[test]
fn copy_in_by_execute_that_never_starts_leaves_its_data_for_nothing() {
    let mut talk = Talk::default();
    talk.send("PBESddcSQ").hear("1 2 E Zi Zi C Zi");
    assert_eq!(talk.seen(), "12EZZCZ");
    assert!(talk.at_boundary());
}

#[test]
fn copy_in_by_execute_that_fails_skips_to_the_sync() {
    let mut talk = Talk::default();
    talk.send("PBEH").hear("1 2 G").send("d").hear("E").send("dcPBE");
    assert!(!talk.exchange.owes() && !talk.at_boundary());
    talk.send("S").hear("Zi");
    assert!(talk.at_boundary());
    talk.send("PBESdfS").hear("1 2 G E Zi");
    assert!(talk.at_boundary());
}

#[test]
fn f3_stray_copy_messages_are_ignored() {
    let mut talk = Talk::default();
    talk.send("dcf");
    assert!(talk.at_boundary());
    talk.send("QcdfQ").hear("C Zi C Zi");
    assert!(talk.at_boundary());
    talk.send("PcBfEcSc").hear("1 2 C Zi");
    assert!(talk.at_boundary());
    talk.send("Q").hear("C Zt").send("cf").send("Q").hear("C Zi");
    assert!(talk.at_boundary());
}

#[test]
fn copy_out_needs_nothing_of_the_client() {
    let mut talk = Talk::default();
    talk.send("Q").hear("H d d d c C Zi");
    assert!(talk.at_boundary() && talk.seen.bytes == said("H d d d c C Zi"));
}

#[test]
fn a_copy_of_replication_is_a_violation() {
    let mut talk = Talk::default();
    assert!(talk.send("Q").try_hear(&said("W")).is_err());
}
