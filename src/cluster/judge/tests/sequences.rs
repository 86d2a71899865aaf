//! Random histories: whatever hosts say in whatever order, some things never come about.

use super::*;
use proptest::prelude::*;

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    Connected(usize, u64),
    Lost(usize),
    Failed(usize, bool),
    Answered(usize, Answer),
    Late(usize, Answer),
    Passes(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let host = 0..4usize;
    let identity = prop_oneof![6 => Just(OURS), 1 => Just(THEIRS)];
    let timeline = prop_oneof![8 => (1..4u32).prop_map(Some), 1 => Just(None)];
    let lsn = prop_oneof![9 => (1..2000u64).prop_map(Some), 1 => Just(None)];
    let answer = (any::<bool>(), timeline, any::<bool>(), lsn);
    let answer = answer.prop_map(|(standby, timeline, exact, lsn)| Answer {
        number: 0,
        standby,
        timeline,
        exact: exact || !standby,
        lsn,
        flushed: None,
    });
    prop_oneof![
        2 => (host.clone(), identity).prop_map(|(host, identity)| Step::Connected(host, identity)),
        1 => host.clone().prop_map(Step::Lost),
        2 => (host.clone(), any::<bool>()).prop_map(|(host, gone)| Step::Failed(host, gone)),
        12 => (host.clone(), answer.clone()).prop_map(|(host, answer)| Step::Answered(host, answer)),
        1 => (host, answer).prop_map(|(host, answer)| Step::Late(host, answer)),
        2 => (0..5000u64).prop_map(Step::Passes),
    ]
}

/// What the court is held to, by bookkeeping of its own.
#[derive(Default)]
struct Witness {
    // Each primary's word: its number, host, timeline and position.
    words: Vec<(u64, usize, Option<u32>, Option<Lsn>)>,
    // By host: its last answer, and when that was.
    last: [Option<(Answer, Instant)>; 4],
    identities: [Option<u64>; 4],
}

impl Witness {
    fn check(&self, court: &Court) {
        let view = court.judge.view(court.now);
        let states = court.states();
        let writable: Vec<_> = (0..4).filter(|at| states[*at] == State::Primary).collect();
        assert!(writable.len() <= 1);
        assert_eq!(view.primary, writable.first().copied());
        for (at, host) in view.hosts.iter().enumerate() {
            assert!(!host.fenced || !host.eligible && view.primary != Some(at));
        }
        if let Some(primary) = view.primary {
            self.check_primary(primary, court.now, court.judge.recent());
        }
        for at in 0..4 {
            self.check_replica(at, court.judge.covers(at));
        }
    }

    fn check_primary(&self, primary: usize, now: Instant, recent: Duration) {
        let (answer, since) = self.last[primary].expect("a primary has answered");
        assert!(!answer.standby && now - since <= recent);
        for (at, other) in self.last.iter().enumerate().filter(|(at, _)| *at != primary) {
            let rival = other.filter(|(said, _)| !said.standby && self.identities[at] == self.identities[primary]);
            assert!(rival.is_none_or(|(said, _)| said.timeline < answer.timeline), "{rival:?} was passed over");
        }
    }

    fn check_replica(&self, at: usize, covers: u64) {
        if covers == 0 {
            return;
        }
        let (answer, _) = self.last[at].expect("a replica that may be used has answered");
        let word = self.words.iter().find(|(number, ..)| *number == covers);
        let (_, primary, timeline, lsn) = word.expect("the number is that of a primary's answer");
        assert!(answer.standby && at != *primary && answer.timeline == *timeline);
        assert!(*lsn <= answer.lsn, "it has replayed {:?} and is said to cover {lsn:?}", answer.lsn);
    }
}

fn play(steps: Vec<Step>) {
    let mut court = Court::of(4);
    let mut witness = Witness::default();
    for step in steps {
        match step {
            Step::Connected(host, identity) => {
                court.judge.connected(host, identity, court.now);
                if witness.identities[host] != Some(identity) {
                    witness.last[host] = None;
                }
                witness.identities[host] = Some(identity);
            }
            Step::Lost(host) => court.judge.lost(host, court.now),
            Step::Failed(host, gone) => {
                court.judge.failed(host, "no".to_owned(), gone, court.now);
                if gone {
                    witness.last[host] = None;
                }
            }
            Step::Answered(host, answer) => {
                witness.identities[host].get_or_insert(OURS);
                let number = court.number + 1;
                if !answer.standby {
                    witness.words.push((number, host, answer.timeline, answer.lsn));
                }
                witness.last[host] = Some((Answer { number, ..answer }, court.now));
                court.answer(host, answer);
            }
            Step::Late(host, answer) => {
                let Some((last, _)) = witness.last[host] else { continue };
                court.judge.answered(host, Answer { number: last.number, ..answer }, court.now);
            }
            Step::Passes(time) => court.pass(Duration::from_millis(time)),
        }
        witness.check(&court);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn whatever_hosts_say_two_are_never_written_to_and_no_replica_is_taken_for_newer_than_it_is(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        play(steps);
    }
}
