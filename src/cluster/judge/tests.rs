//! Judgements, on a clock turned by hand and answers from a script.

use super::*;

mod sequences;

const LAG: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(100);
const MEASURE: Measure = Measure { max_replica_lag: LAG, interval: INTERVAL };
const OURS: u64 = 7;
const THEIRS: u64 = 8;

/// A judge, its clock, and the numbers of questions.
struct Court {
    judge: Judge,
    now: Instant,
    number: u64,
}

impl Court {
    /// Of so many hosts of which nothing is configured.
    fn of(hosts: usize) -> Self {
        Self::with(vec![None; hosts])
    }

    fn with(claims: Vec<Option<Role>>) -> Self {
        let now = crate::clock::now();
        Self { judge: Judge::new(claims.into_iter().map(|claim| (claim, 1)), MEASURE), now, number: 0 }
    }

    /// A primary and two replicas that have been heard, on timeline 1 at position 1000.
    fn in_session() -> Self {
        let mut court = Self::of(3);
        court.primary(0, 1, 1000);
        court.standby(1, 1, 1000);
        court.standby(2, 1, 1000);
        court.primary(0, 1, 1000);
        court.standby(1, 1, 1000);
        court.standby(2, 1, 1000);
        assert_eq!(court.states(), [State::Primary, State::Ready, State::Ready]);
        court
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.judge.judge(self.now);
    }

    fn answer(&mut self, host: usize, answer: Answer) -> u64 {
        self.number += 1;
        if self.judge.hosts()[host].identity.is_none() {
            self.judge.connected(host, OURS, self.now);
        }
        self.judge.answered(host, Answer { number: self.number, ..answer }, self.now);
        self.number
    }

    fn primary(&mut self, host: usize, timeline: u32, lsn: Lsn) -> u64 {
        let timeline = Some(timeline);
        self.answer(host, Answer { number: 0, standby: false, timeline, exact: true, lsn: Some(lsn), flushed: None })
    }

    fn standby(&mut self, host: usize, timeline: u32, lsn: Lsn) -> u64 {
        let timeline = Some(timeline);
        self.answer(host, Answer { number: 0, standby: true, timeline, exact: true, lsn: Some(lsn), flushed: None })
    }

    fn dies(&mut self, host: usize) {
        self.judge.lost(host, self.now);
        self.judge.failed(host, "connection refused".to_owned(), true, self.now);
    }

    fn states(&self) -> Vec<State> {
        self.judge.hosts().iter().map(Host::state).collect()
    }

    fn writable(&self) -> Option<usize> {
        self.judge.view(self.now).primary
    }
}

#[test]
fn replicas_serve_behind_a_primary_that_was_confirmed_by_another_hosts_answer_and_then_fell_silent() {
    let mut court = Court::of(3);
    court.primary(0, 1, 1000);
    court.standby(1, 1, 900);
    court.standby(2, 1, 900);
    assert_eq!(court.states()[0], State::Primary);
    court.judge.failed(0, "it shuts down".to_owned(), true, court.now);
    court.standby(1, 1, 1000);
    court.standby(2, 1, 1000);
    assert_eq!(court.states(), [State::Down, State::Ready, State::Ready]);
}

#[test]
fn a_position_behind_a_page_header_is_the_pages_beginning() {
    let (page, segment) = (8192, 16 << 20);
    assert_eq!(without_header(8192 + 24, page, segment), 8192);
    assert_eq!(without_header(segment + 40, page, segment), segment);
    for lsn in [0, 24, 8192, 8192 + 32, 8192 + 40, segment + 24, segment + 48, u64::MAX] {
        assert_eq!(without_header(lsn, page, segment), lsn);
    }
    assert_eq!(without_header(40, 0, 0), 40);
}

#[test]
fn nobody_is_written_to_before_every_host_was_heard_or_had_its_time() {
    let mut court = Court::of(2);
    court.primary(0, 1, 1000);
    assert_eq!((court.writable(), court.states()[0]), (None, State::Claiming), "the other may have a later timeline");
    court.dies(1);
    assert_eq!(court.writable(), Some(0));
    let mut court = Court::of(2);
    court.primary(0, 1, 1000);
    court.pass(FIRST_WORDS);
    assert_eq!(court.writable(), Some(0));
}

#[test]
fn what_a_host_is_counts_and_not_what_the_configuration_says() {
    let mut court = Court::with(vec![Some(Role::Primary), Some(Role::Standby)]);
    court.standby(0, 1, 1000);
    court.primary(1, 1, 1000);
    court.standby(0, 1, 1000);
    assert_eq!((court.writable(), court.states()), (Some(1), vec![State::Ready, State::Primary]));
}

#[test]
fn f26_a_promoted_replica_is_followed_at_its_first_word_and_the_old_primary_fenced() {
    let mut court = Court::in_session();
    court.primary(1, 2, 1100);
    assert_eq!(court.writable(), Some(1));
    assert_eq!(court.states()[0], State::Fenced(Why::OlderTimeline));
    court.primary(0, 1, 5000);
    assert_eq!((court.writable(), court.states()[0]), (Some(1), State::Fenced(Why::OlderTimeline)));
}

#[test]
fn f26_a_fenced_primary_stays_fenced_while_the_one_that_replaced_it_is_away() {
    let mut court = Court::in_session();
    court.dies(0);
    assert_eq!(court.writable(), None);
    court.primary(2, 2, 1100);
    court.dies(2);
    court.primary(0, 1, 1000);
    court.pass(Duration::from_secs(3600));
    court.primary(0, 1, 1000);
    assert_eq!((court.writable(), court.states()[0]), (None, State::Fenced(Why::OlderTimeline)));
}

#[test]
fn a_usurper_that_was_set_back_to_follow_the_old_primary_gives_the_office_back() {
    let mut court = Court::in_session();
    court.primary(2, 2, 1100);
    court.dies(2);
    court.primary(0, 1, 1000);
    assert_eq!(court.writable(), None);
    court.standby(2, 1, 900);
    court.primary(0, 1, 1000);
    assert_eq!(court.writable(), Some(0));
}

#[test]
fn a_standby_whose_timeline_is_a_guess_takes_no_evidence_back() {
    let mut court = Court::in_session();
    court.standby(1, 2, 1100);
    assert_eq!(court.writable(), None, "somebody writes on timeline 2");
    let guess = Answer { number: 0, standby: true, timeline: Some(1), exact: false, lsn: Some(1100), flushed: None };
    court.answer(1, guess);
    court.primary(0, 1, 1000);
    assert_eq!(court.writable(), None);
}

#[test]
fn of_two_that_claim_one_timeline_nobody_is_written_to_until_one_yields() {
    let mut court = Court::in_session();
    court.primary(1, 1, 1100);
    assert_eq!(court.writable(), None);
    assert_eq!(court.states()[..2], [State::Fenced(Why::Contested); 2]);
    // Silence is not yielding.
    court.judge.failed(1, "no answer".to_owned(), false, court.now);
    court.primary(0, 1, 1000);
    assert_eq!(court.writable(), None);
    court.standby(1, 1, 1000);
    court.primary(0, 1, 1000);
    assert_eq!(court.writable(), Some(0));
}

#[test]
fn of_two_one_of_which_cannot_tell_its_timeline_nobody_is_written_to() {
    let mut court = Court::in_session();
    court.answer(1, Answer { number: 0, standby: false, timeline: None, exact: true, lsn: Some(1100), flushed: None });
    assert_eq!(court.writable(), None);
    assert_eq!(court.states()[..2], [State::Fenced(Why::TimelineUnknown); 2]);
}

#[test]
fn a_host_of_another_cluster_gets_nothing() {
    let mut court = Court::in_session();
    court.dies(1);
    court.judge.connected(1, THEIRS, court.now);
    court.primary(1, 9, 99_999);
    assert_eq!((court.writable(), court.states()[1]), (Some(0), State::Fenced(Why::Foreign)));
    assert_eq!(court.judge.covers(1), 0);
}

#[test]
fn of_two_hosts_of_two_clusters_nobody_is_written_to() {
    let mut court = Court::of(2);
    court.judge.connected(1, THEIRS, court.now);
    court.primary(0, 1, 1000);
    court.primary(1, 1, 1000);
    court.pass(Duration::from_secs(60));
    assert_eq!((court.writable(), court.states()), (None, vec![State::Fenced(Why::Foreign); 2]));
}

#[test]
fn the_majority_or_a_claim_says_which_cluster_is_meant() {
    let mut court = Court::of(3);
    court.judge.connected(0, THEIRS, court.now);
    court.primary(0, 5, 1000);
    court.primary(1, 1, 1000);
    court.standby(2, 1, 1000);
    assert_eq!((court.writable(), court.states()[0]), (Some(1), State::Fenced(Why::Foreign)));
    let mut court = Court::with(vec![None, Some(Role::Primary)]);
    court.judge.connected(0, THEIRS, court.now);
    court.primary(0, 5, 1000);
    court.primary(1, 1, 1000);
    assert_eq!(court.writable(), Some(1));
}

#[test]
fn who_is_configured_to_be_the_primary_says_later_as_well_that_others_are_foreign() {
    let mut court = Court::with(vec![Some(Role::Primary), None]);
    court.judge.failed(0, "connection refused".to_owned(), true, court.now);
    court.judge.connected(1, THEIRS, court.now);
    court.primary(1, 5, 1000);
    court.primary(1, 5, 1000);
    assert_eq!(court.writable(), Some(1), "nothing is known against it");
    court.primary(0, 1, 1000);
    court.primary(0, 1, 1000);
    assert_eq!((court.writable(), court.states()[1]), (Some(0), State::Fenced(Why::Foreign)));
}

#[test]
fn a_lost_connection_alone_costs_no_office_and_silence_does() {
    let mut court = Court::in_session();
    court.judge.lost(0, court.now);
    assert_eq!(court.writable(), Some(0));
    court.pass(court.judge.recent());
    assert_eq!(court.writable(), Some(0));
    court.pass(Duration::from_millis(1));
    assert_eq!(court.writable(), None);
    court.primary(0, 1, 1000);
    assert_eq!(court.writable(), Some(0));
}

#[test]
fn a_replica_covers_the_newest_question_whose_answer_it_has_replayed() {
    let mut court = Court::in_session();
    let earlier = court.primary(0, 1, 2000);
    let later = court.primary(0, 1, 3000);
    court.standby(1, 1, 2999);
    assert_eq!(court.judge.covers(1), earlier);
    court.standby(1, 1, 3000);
    assert_eq!(court.judge.covers(1), later);
    court.judge.lost(1, court.now);
    assert_eq!(court.judge.covers(1), 0, "it may come back older than it was");
    court.standby(1, 1, 2000);
    assert_eq!(court.judge.covers(1), earlier);
}

#[test]
fn nothing_that_was_replayed_of_a_former_primary_counts_for_the_next_one() {
    let mut court = Court::in_session();
    assert!(court.judge.covers(2) > 0);
    court.primary(1, 2, 900);
    assert_eq!((court.judge.covers(2), court.states()[2]), (0, State::Ejected(Why::OtherTimeline)));
    court.standby(2, 2, 950);
    let number = court.primary(1, 2, 950);
    court.standby(2, 2, 950);
    assert_eq!((court.judge.covers(2), court.states()[2]), (number, State::Ready));
}

#[test]
fn a_replica_that_lags_is_ejected_and_comes_back_after_a_rest_that_grows() {
    let mut court = Court::in_session();
    for rest in [500, 1000, 2000] {
        let behind = court.number * 1000 + 10_000;
        court.primary(0, 1, behind);
        for _ in 0..=11 {
            court.pass(Duration::from_secs(1));
            court.primary(0, 1, behind);
            court.standby(1, 1, 1000);
            court.standby(2, 1, behind);
        }
        assert_eq!((court.states()[1], court.judge.covers(1)), (State::Ejected(Why::Lag), 0));
        assert!(court.judge.lag(1, court.now).unwrap().0 > LAG);
        court.standby(1, 1, behind);
        let state = court.states()[1];
        // The lag has lasted for longer than the first rests.
        assert!(matches!(state, State::Ready | State::Ejected(Why::Resting)), "{state:?} {rest}");
        court.pass(Duration::from_millis(rest));
        court.standby(1, 1, behind);
        assert_eq!((court.states()[1], court.judge.lag(1, court.now)), (State::Ready, Some((Duration::ZERO, 0))));
    }
    court.dies(2);
    court.dies(1);
    court.standby(1, 1, 1_000_000);
    assert_eq!(court.states()[1], State::Ejected(Why::Resting), "for the fourth time within a minute");
}

#[test]
fn the_last_replica_is_kept_whatever_its_lag_where_the_primary_cannot_serve() {
    let mut court = Court::in_session();
    court.primary(0, 1, 9000);
    court.standby(2, 1, 2000);
    for _ in 0..11 {
        court.pass(Duration::from_secs(1));
        court.standby(1, 1, 1000);
        court.standby(2, 1, 2000);
    }
    assert_eq!(court.writable(), None);
    assert_eq!(court.states()[1..], [State::Ejected(Why::Lag), State::Ready], "the one that is least behind");
    court.primary(0, 1, 9000);
    assert_eq!(court.states()[2], State::Ejected(Why::Lag));
}

#[test]
fn how_far_a_replica_is_must_be_known_before_it_serves() {
    let mut court = Court::of(2);
    court.standby(1, 1, 500);
    court.primary(0, 1, 1000);
    court.standby(1, 1, 600);
    assert_eq!((court.states()[1], court.judge.lag(1, court.now)), (State::Ejected(Why::LagUnknown), None));
}

#[test]
fn a_reload_keeps_what_is_known_of_the_hosts_that_stay() {
    let mut court = Court::in_session();
    let covered = court.judge.covers(2);
    court.judge = court.judge.renewed([(None, 1, Some(2)), (None, 1, None), (None, 1, Some(0))], MEASURE);
    court.judge.judge(court.now);
    assert_eq!(court.writable(), Some(2));
    assert_eq!((court.states(), court.judge.covers(0)), (vec![State::Ready, State::Unheard, State::Primary], covered));
    court.judge = court.judge.renewed([(None, 1, Some(0)), (None, 1, Some(1))], MEASURE);
    court.judge.judge(court.now);
    assert_eq!(court.writable(), None, "the primary is not there any more");
    assert_eq!(court.states()[0], State::Ejected(Why::NoPrimary));
}
