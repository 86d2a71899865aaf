//! When a statement has ended and how, with hands on the clock.

use super::talk::{ERROR, Talk, frame, said, sent};
use crate::clock::{Instant, now};
use crate::ids::WorkerId;
use crate::metrics::{Call, Description, Meter, Meters, Name, Registry};
use crate::server::{Disposition, Outcome, Timed};
use std::sync::Arc;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A conversation whose statements are called 1, 2, 3, … in the order in which they are sent.
struct Watched {
    talk: Talk,
    meter: Meter,
    names: u64,
    start: Instant,
    ms: u64,
}

/// Name, how it ended, and in ms: how long the server took, if that is known.
type Ended = (u64, Outcome, Option<u64>);

impl Watched {
    fn new() -> Self {
        let registry = Arc::new(Registry::new(1, now()));
        let meter = Meters::new(&registry, WorkerId(0)).meter("shop");
        Self { talk: Talk::default(), meter, names: 0, start: now(), ms: 0 }
    }

    fn at(&self) -> Instant {
        self.start + ms(self.ms)
    }

    /// So many ms later.
    fn later(&mut self, ms: u64) -> &mut Self {
        self.ms += ms;
        self
    }

    /// Sends these messages now. `e` is an Execute that goes on with a portal, `a` one of several that are told apart.
    fn send(&mut self, kinds: &str) -> &mut Self {
        for kind in kinds.chars() {
            if matches!(kind, 'Q' | 'F' | 'E' | 'e' | 'a') {
                self.names += 1;
                let stat = self.meter.statement(Name::Fingerprint(self.names), Description::default);
                let timed = Timed { stat, sent: self.at(), waited_us: 0, goes_on: kind == 'e', kept: None };
                self.talk.exchange.time(Some(timed));
                if kind == 'a' {
                    self.talk.exchange.tell_apart();
                }
            }
            self.talk.exchange.sending(&sent(&kind.to_ascii_uppercase().to_string().replace('A', "E")));
        }
        self
    }

    /// Hears this now. What has ended since, the first one first.
    fn hear(&mut self, words: &str) -> Vec<Ended> {
        self.calls(words).into_iter().map(|(name, outcome, call)| (name, outcome, took(call))).collect()
    }

    fn calls(&mut self, words: &str) -> Vec<(u64, Outcome, Option<Call>)> {
        self.talk.hear(words);
        let now = self.at();
        self.talk.exchange.ended_at(now);
        self.taken()
    }

    fn taken(&mut self) -> Vec<(u64, Outcome, Option<Call>)> {
        let mut all = Vec::new();
        while let Some(ended) = self.talk.exchange.take_ended() {
            let name = (1..=self.names).find(|name| {
                Arc::ptr_eq(&ended.timed.stat, &self.meter.statement(Name::Fingerprint(*name), Description::default))
            });
            all.push((name.expect("it was sent"), ended.outcome, ended.call()));
        }
        all
    }
}

fn took(call: Option<Call>) -> Option<u64> {
    u64::try_from(call?.server?.as_millis()).ok()
}

use Outcome::{Done, Failed, FailedLate, Skipped};

#[test]
fn a_query_ends_with_ready_for_query() {
    let mut it = Watched::new();
    it.send("Q").later(5);
    assert_eq!(it.hear("T D D C:SELECT_2"), []);
    assert_eq!(it.later(20).hear("Zi"), [(1, Done, Some(25))]);
    assert_eq!(it.send("Q").later(7).hear("E Zi"), [(2, Failed, Some(7))]);
    assert_eq!(it.send("F").later(8).hear("V Zi"), [(3, Done, Some(8))]);
    assert_eq!(it.send("Q").later(1).hear("I Zi"), [(4, Done, Some(1))]);
}

#[test]
fn an_execute_ends_with_its_sync_that_commits() {
    for kinds in ["PBDES", "BES", "BECS"] {
        let mut it = Watched::new();
        it.send(kinds).later(5);
        let mut words: Vec<&str> = kinds
            .chars()
            .map(|kind| match kind {
                'P' => "1",
                'B' => "2",
                'D' => "n",
                'E' => "C:INSERT_0_1",
                'C' => "3",
                _ => "",
            })
            .collect();
        words.retain(|word| !word.is_empty());
        assert_eq!(it.hear(&words.join(" ")), [], "{kinds}");
        assert_eq!(it.later(30).hear("Zi"), [(1, Done, Some(35))], "{kinds}");
    }
}

#[test]
fn with_a_flush_behind_each_one_begins_where_the_one_before_it_has_ended() {
    let mut it = Watched::new();
    it.send("PBaBaBaS").later(5);
    assert_eq!(it.hear("1 2 C:SELECT_1"), [(1, Done, Some(5))]);
    assert_eq!(it.later(7).hear("2 C:SELECT_1"), [(2, Done, Some(7))]);
    assert_eq!(it.later(2).hear("2 C:SELECT_1"), []);
    assert_eq!(it.later(9).hear("Zi"), [(3, Done, Some(11))]);
    assert!(!it.talk.exchange.take_together());
    it.send("BaBaBaS").later(1);
    assert_eq!(it.hear("2 C:SELECT_1"), [(4, Done, Some(1))]);
    assert_eq!(it.later(2).hear("2 E"), [(5, Failed, Some(2)), (6, Skipped, None)]);
    assert_eq!(it.hear("Zi"), []);
    assert!(!it.talk.exchange.take_together());
    // The others are not.
    it.send("BEBES").later(4);
    assert_eq!(it.hear("2 C:SELECT_1 2 C:SELECT_1 Zi"), [(7, Done, None), (8, Done, None)]);
    assert!(it.talk.exchange.take_together() && !it.talk.exchange.take_together());
}

#[test]
fn what_is_sent_behind_the_end_of_those_has_no_time_and_takes_theirs_from_none() {
    let mut it = Watched::new();
    it.send("BaBaS").later(5);
    assert!(!it.talk.exchange.tells_apart(), "a Sync ends it");
    assert_eq!(it.hear("2 C:SELECT_1"), [(1, Done, Some(5))]);
    // More is sent in the middle of the second one.
    it.later(1).send("BEBESQ").later(2);
    assert_eq!(it.hear("2 C:SELECT_1"), []);
    assert_eq!(it.later(3).hear("Zi"), [(2, Done, Some(6))]);
    assert_eq!(it.later(4).hear("2 C:SELECT_1"), [(3, Done, None)]);
    assert_eq!(it.later(7).hear("2 C:SELECT_1 Zi"), [(4, Done, None)]);
    // It goes on and on.
    let mut answer = "C:SELECT_1 Zi";
    for name in 5..15 {
        it.send("BES");
        assert!(!it.talk.exchange.tells_apart());
        assert_eq!(it.later(8).hear(answer), [(name, Done, None)]);
        answer = "2 C:SELECT_1 Zi";
    }
    assert_eq!(it.later(8).hear("2 C:SELECT_1 Zi"), [(15, Done, None)]);
    // The time of all of them together is no sample, in which the first ones would be once more.
    assert!(!it.talk.exchange.take_together());
    // Of what is sent once that was asked for there is one again.
    it.send("BEBES").later(4);
    assert_eq!(it.hear("2 C:SELECT_1 2 C:SELECT_1 Zi"), [(16, Done, None), (17, Done, None)]);
    assert!(it.talk.exchange.take_together());
}

#[test]
fn a_query_ends_those_in_front_of_it_and_is_the_last_of_them() {
    let mut it = Watched::new();
    it.send("BaBaQ").send("Q").later(5);
    assert_eq!(it.hear("2 C:SELECT_1"), [(1, Done, Some(5))]);
    assert_eq!(it.later(2).hear("2 C:SELECT_1"), [(2, Done, Some(2))]);
    assert_eq!(it.later(3).hear("C:SELECT_1 Zi"), [(3, Done, Some(3))]);
    assert_eq!(it.later(4).hear("C:SELECT_1 Zi"), [(4, Done, None)]);
}

#[test]
fn those_that_are_answered_at_once_share_the_time() {
    let mut it = Watched::new();
    it.send("BaBaBaS").later(4);
    assert_eq!(it.hear("2 C:SELECT_1 2 C:SELECT_1"), [(1, Done, Some(2)), (2, Done, Some(2))]);
    assert_eq!(it.later(3).hear("2 C:SELECT_1 Zi"), [(3, Done, Some(3))]);
    // None has begun before it was sent, nor ends later than it was heard of; what behind their end is not told apart has a share, too.
    it.send("Ba").later(9).send("BaS").later(1);
    assert_eq!(it.hear("2 C:SELECT_1 2 C:SELECT_1 Zi"), [(4, Done, Some(5)), (5, Done, Some(1))]);
    it.send("BaBaS").send("BEBES").later(8);
    let answers = "2 C:SELECT_1 2 C:SELECT_1 Zi 2 C:SELECT_1 2 C:SELECT_1 Zi";
    assert_eq!(it.hear(answers), [(6, Done, Some(2)), (7, Done, Some(2)), (8, Done, None), (9, Done, None)]);
}

#[test]
fn an_error_behind_its_command_complete_is_its_error() {
    let mut it = Watched::new();
    it.send("BES").later(5);
    assert_eq!(it.hear("2 C:INSERT_0_1"), []);
    assert_eq!(it.later(3).hear("E Zi"), [(1, Failed, Some(8))]);
    // It was told before that it had ended.
    assert_eq!(it.send("BEH").later(2).hear("2 C:INSERT_0_1"), [(2, Done, Some(2))]);
    assert_eq!(it.later(1000).send("S").hear("E"), [(2, FailedLate, None)]);
    assert_eq!(it.hear("Zi"), []);
    let Call { failed, goes_on, rows, .. } = {
        it.send("BEH").hear("2 C:INSERT_0_1");
        it.send("S").calls("E Zi")[0].2.expect("it counts")
    };
    assert!(failed && goes_on && rows == 0);
}

#[test]
fn a_prepare_that_fails_fails_the_statement_behind_it_and_skips_the_others() {
    let mut it = Watched::new();
    assert_eq!(it.send("PBDES").later(4).hear("E Zi"), [(1, Failed, Some(4))]);
    let piped = it.send("PBEPBEPBES").later(4).hear("1 2 C:SELECT_1 E Zi");
    assert_eq!(piped, [(2, Done, None), (3, Failed, None), (4, Skipped, None)]);
    // Prepared, and not run.
    assert_eq!(it.send("PS").hear("E Zi"), []);
    assert_eq!(it.send("PH").hear("E"), []);
    // What is skipped because of that is not there.
    assert_eq!(it.send("BEQS").hear("Zi"), []);
    assert_eq!(it.send("Q").later(3).hear("C:SELECT_1 Zi"), [(7, Done, Some(3))]);
}

#[test]
fn several_have_a_time_in_common_however_many_of_them_were_run() {
    let mut it = Watched::new();
    assert_eq!(it.send("BEBES").later(4).hear("2 E Zi"), [(1, Failed, None), (2, Skipped, None)]);
    assert!(it.talk.exchange.take_together());
    // One alone has its own, whatever else was asked for.
    assert_eq!(it.send("PBDES").later(4).hear("E Zi"), [(3, Failed, Some(4))]);
    assert!(!it.talk.exchange.take_together());
    it.send("BEBES");
    assert_eq!(it.talk.exchange.lose_statements(), 2);
    assert_eq!(it.taken().len(), 2);
    assert!(it.talk.exchange.take_together());
}

#[test]
fn one_that_is_sent_when_the_one_before_it_was_answered_has_its_own_time_though_more_is_owed() {
    let mut it = Watched::new();
    it.send("BEDH").later(3);
    assert_eq!(it.hear("2 C:SELECT_1"), [(1, Done, Some(3))]);
    it.send("BES").later(2);
    assert_eq!(it.hear("n 2 C:SELECT_1 Zi"), [(2, Done, Some(2))]);
    assert!(!it.talk.exchange.take_together(), "nor is their time told twice");
}

#[test]
fn a_skipped_statement_is_no_call() {
    let mut it = Watched::new();
    let ended = {
        it.send("PBEBES");
        it.calls("E Zi")
    };
    assert_eq!(
        ended.iter().map(|(_, outcome, call)| (*outcome, call.is_some())).collect::<Vec<_>>(),
        [(Failed, true), (Skipped, false)]
    );
}

#[test]
fn time_between_statements_is_nobodys() {
    let mut it = Watched::new();
    assert_eq!(it.send("Q").later(1).hear("C:BEGIN Zt"), [(1, Done, Some(1))]);
    assert_eq!(it.later(500).send("BES").later(2).hear("2 C:SELECT_1 Zt"), [(2, Done, Some(2))]);
    assert_eq!(it.later(500).send("Q").later(3).hear("C:COMMIT Zi"), [(3, Done, Some(3))]);
    // With a Flush, and its Sync later.
    assert_eq!(it.send("PBEH").later(2).hear("1 2 C:SELECT_1"), [(4, Done, Some(2))]);
    assert_eq!(it.later(900).send("S").hear("Zi"), []);
}

#[test]
fn a_portal_that_is_fetched_from_again_is_one_call() {
    let mut it = Watched::new();
    let first = it.send("BES").later(2).calls("2 D s Zt");
    let second = it.later(500).send("eS").later(3).calls("D D s Zt");
    let last = it.send("eS").later(4).calls("D C:SELECT_21 Zt");
    let calls: Vec<_> = [first, second, last]
        .concat()
        .into_iter()
        .map(|(_, outcome, call)| (outcome, call.expect("counted")))
        .collect();
    let of: Vec<_> =
        calls.iter().map(|(outcome, call)| (*outcome, call.goes_on, call.rows, took(Some(*call)))).collect();
    assert_eq!(of, [(Done, false, 1, Some(2)), (Done, true, 2, Some(3)), (Done, true, 21, Some(4))]);
}

#[test]
fn those_sent_together_have_no_time_of_their_own() {
    let mut it = Watched::new();
    assert_eq!(it.send("BEBES").later(9).hear("2 C:SELECT_1 2 C:SELECT_1 Zi"), [(1, Done, None), (2, Done, None)]);
    assert_eq!(it.send("QQ").later(9).hear("C:SELECT_1 Zi"), [(3, Done, None)]);
    assert_eq!(it.send("Q").hear("C:SELECT_1 Zi C:SELECT_1 Zi"), [(4, Done, None), (5, Done, None)]);
    // One whose Sync is not answered is under way.
    it.send("BES");
    assert_eq!(it.hear("2 C:SELECT_1"), []);
    assert_eq!(it.send("Q").hear("Zi C:SELECT_1 Zi"), [(6, Done, None), (7, Done, None)]);
    assert_eq!(it.send("Q").later(6).hear("C:SELECT_1 Zi"), [(8, Done, Some(6))]);
}

#[test]
fn several_statements_of_one_query_are_one_sample_with_all_their_rows() {
    let mut it = Watched::new();
    it.send("Q").later(6);
    let ended = it.calls("T D C:SELECT_1 C:INSERT_0_12 C:BEGIN C:COPY_3000000000 C:CREATE_TABLE C:x9 I Zi");
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].2.map(|call| (call.rows, took(Some(call)))), Some((3_000_000_013, Some(6))));
}

#[test]
fn what_a_copy_waits_for_its_client_is_left_out() {
    for (kinds, begun, end) in [("Q", "G", "c"), ("BES", "2 G", "cS")] {
        let mut it = Watched::new();
        assert_eq!(it.send(kinds).later(2).hear(begun), []);
        it.later(1000).talk.exchange.leave_out(ms(1000));
        it.talk.exchange.sending(&sent("d"));
        it.later(3);
        it.later(500).talk.exchange.leave_out(ms(500));
        it.talk.exchange.sending(&sent(end));
        assert_eq!(it.later(4).hear("C:COPY_2 Zi"), [(1, Done, Some(9))], "{kinds}");
        // Nothing is under way that it could be left out of.
        it.talk.exchange.leave_out(ms(1000));
        assert_eq!(it.send("Q").later(5).hear("C:SELECT_1 Zi"), [(2, Done, Some(5))]);
    }
}

#[test]
fn a_long_tag_is_not_waited_for() {
    let mut it = Watched::new();
    it.send("Q");
    let long = frame(b'C', &[b'x'; 4000]);
    it.talk.inbox.extend_from_slice(&long[..10]);
    it.talk.exchange.receive(&mut it.talk.inbox, &mut it.talk.seen).unwrap();
    assert!(it.talk.inbox.is_empty(), "the beginning of it is passed on");
    it.talk.inbox.extend_from_slice(&long[10..]);
    assert_eq!(it.hear("Zi"), [(1, Done, Some(0))]);
}

#[test]
fn what_is_ours_is_not_counted_and_its_error_is_the_clients() {
    let mut it = Watched::new();
    it.talk.send_own("PBE", Disposition::Quiet);
    it.send("BES").later(3);
    assert_eq!(it.hear("1 2 C:SET 2 C:SELECT_1 Zi"), [(1, Done, Some(3))]);
    it.talk.send_own("P", Disposition::Quiet);
    assert_eq!(it.send("BES").later(3).hear("E Zi"), [(2, Failed, Some(3))]);
}

#[test]
fn what_is_lost_has_failed() {
    let mut it = Watched::new();
    it.send("Q").later(3);
    it.talk.exchange.lose_statements();
    let now = it.at();
    it.talk.exchange.ended_at(now);
    let lost: Vec<_> = it.taken().into_iter().map(|(name, outcome, call)| (name, outcome, took(call))).collect();
    assert_eq!(lost, [(1, Failed, Some(3))]);
    // Its answer is nobody's.
    assert_eq!(it.hear("C:SELECT_1 Zi"), []);
    assert!(it.talk.at_boundary() && !it.talk.exchange.awaits_time());
}

#[test]
fn rows_and_ends_are_the_same_wherever_the_answer_is_cut() {
    let words = "1 2 T D C:SELECT_17 2 C:INSERT_0_4 Zi C:UPDATE_5 Zi";
    let all = said(words);
    for cut in 0..all.len() {
        let mut it = Watched::new();
        it.send("PBDEBESQ");
        for part in [&all[..cut], &all[cut..]] {
            it.talk.inbox.extend_from_slice(part);
            it.talk.exchange.receive(&mut it.talk.inbox, &mut it.talk.seen).unwrap();
        }
        assert_eq!(it.talk.seen.bytes, all, "cut at {cut}");
        let rows: Vec<_> = it.taken().into_iter().map(|(name, _, call)| (name, call.map(|call| call.rows))).collect();
        assert_eq!(rows, [(1, Some(17)), (2, Some(4)), (3, Some(5))], "cut at {cut}");
    }
}

#[test]
fn one_that_is_sent_once_more_is_not_counted_twice() {
    // As `Outlet::cures` says of the first error.
    struct Cures(bool);
    impl crate::server::Outlet for Cures {
        fn pass(&mut self, _: bytes::BytesMut) {}
        fn parameter(&mut self, _: &[u8], _: &[u8]) -> crate::server::Say {
            crate::server::Say::It
        }
        fn guard_done(&mut self) {}
        fn cures(&mut self, _: &[u8], left: Option<usize>) -> bool {
            left.is_some() && std::mem::take(&mut self.0)
        }
    }
    let mut it = Watched::new();
    let mut out = Cures(true);
    it.send("BES");
    for _ in 0..2 {
        it.talk.inbox.extend_from_slice(&[frame(b'E', ERROR), frame(b'Z', b"I")].concat());
        it.talk.exchange.receive(&mut it.talk.inbox, &mut out).unwrap();
        if it.names == 1 {
            assert!(it.taken().is_empty() && !it.talk.exchange.awaits_time());
            it.send("BES");
        }
    }
    assert_eq!(it.taken().iter().map(|(name, outcome, _)| (*name, *outcome)).collect::<Vec<_>>(), [(2, Failed)]);
}
