//! One host: what it said last, and what is thought of it.

use super::samples::Samples;
use super::{Answer, Lsn};
use crate::clock::Instant;
use crate::router::Role;
use std::fmt;
use std::time::Duration;

/// A replica that was ejected stays away for this long at least, doubled each time, up to the second.
const REST: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(30);

/// One that has been fit for so long is not held to what it was before.
const FORGIVEN: Duration = Duration::from_secs(60);

/// What is thought of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has neither answered nor failed to.
    Unheard,
    /// It does not answer.
    Down,
    /// It says that it is the primary, and others are still to be heard.
    Claiming,
    /// The confirmed primary.
    Primary,
    /// A replica that may serve reads.
    Ready,
    /// A replica that may not.
    Ejected(Why),
    /// It gets nothing.
    Fenced(Why),
}

/// Why a host is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is further behind than `max_replica_lag`.
    Lag,
    /// How far it is is not known yet.
    LagUnknown,
    /// It was ejected and is back too early.
    Resting,
    /// It does not follow the primary.
    OtherTimeline,
    /// No primary has been confirmed yet.
    NoPrimary,
    /// It belongs to another cluster: its system identifier is not that of the others.
    Foreign,
    /// It claims to be the primary, and another host is or was on a later timeline.
    OlderTimeline,
    /// It claims to be the primary on the same timeline as another host.
    Contested,
    /// It claims to be the primary, and on which timeline cannot be told.
    TimelineUnknown,
}

impl State {
    /// For people and labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unheard => "unheard",
            Self::Down => "down",
            Self::Claiming => "claiming",
            Self::Primary => "primary",
            Self::Ready => "ready",
            Self::Ejected(_) => "ejected",
            Self::Fenced(_) => "fenced",
        }
    }

    /// Why it is not used, if it answers.
    pub fn why(self) -> Option<Why> {
        match self {
            Self::Ejected(why) | Self::Fenced(why) => Some(why),
            _ => None,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lag => "it is behind by more than max_replica_lag",
            Self::LagUnknown => "how far it is is not known yet",
            Self::Resting => "it was ejected a moment ago",
            Self::OtherTimeline => "it does not follow the primary's timeline",
            Self::NoPrimary => "no primary has been confirmed",
            Self::Foreign => "its system identifier is another one than that of the database's other hosts",
            Self::OlderTimeline => "it claims to be the primary, and another host has a later timeline",
            Self::Contested => "two hosts claim to be the primary on the same timeline",
            Self::TimelineUnknown => "it claims to be the primary, and its timeline cannot be read",
        })
    }
}

/// One host.
#[derive(Clone, Debug)]
pub struct Host {
    /// As configured; `None`: to be found out.
    pub claim: Option<Role>,
    /// As configured.
    pub weight: u32,
    /// Its cluster's system identifier.
    pub identity: Option<u64>,
    /// The latest timeline that it has been on.
    pub highest: Option<u32>,
    // It was the primary there, as far as it was concerned.
    has_claimed: bool,
    /// Why it did not answer, while it does not.
    pub failure: Option<String>,
    last: Option<(Answer, Instant)>,
    // What it has replayed is known: it has answered on the connection that there is.
    positioned: bool,
    covered: u64,
    state: State,
    rest_until: Option<Instant>,
    strikes: u32,
    // It may serve reads, or did before something that is not held against it.
    ready_since: Option<Instant>,
}

impl Host {
    pub(super) fn new(claim: Option<Role>, weight: u32) -> Self {
        Self {
            claim,
            weight,
            identity: None,
            highest: None,
            has_claimed: false,
            failure: None,
            last: None,
            positioned: false,
            covered: 0,
            state: State::Unheard,
            rest_until: None,
            strikes: 0,
            ready_since: None,
        }
    }

    pub(super) fn renewed(&self, claim: Option<Role>, weight: u32) -> Self {
        Self { claim, weight, ..self.clone() }
    }

    pub(super) fn connected(&mut self, identity: u64) {
        if self.identity != Some(identity) {
            // Another cluster in its place: what was known is of the former one.
            (self.highest, self.has_claimed) = (None, false);
            self.last = None;
        }
        self.identity = Some(identity);
        self.forget_position();
    }

    pub(super) fn forget_position(&mut self) {
        self.positioned = false;
        self.covered = 0;
    }

    pub(super) fn failed(&mut self, why: String, gone: bool) {
        self.forget_position();
        self.failure = Some(why);
        if gone {
            self.last = None;
        }
    }

    /// False: it is out of date.
    pub(super) fn answered(&mut self, answer: Answer, now: Instant) -> bool {
        if self.last.is_some_and(|(last, _)| last.number >= answer.number) {
            return false;
        }
        self.failure = None;
        self.positioned = true;
        if answer.standby && answer.timeline < self.highest {
            // It may have been set back to follow an earlier timeline, and is no witness of the later one then. PostgreSQL has its
            // timeline on disk before it takes writes on it, so that of a former primary the disk tells as much.
            if answer.exact || self.has_claimed {
                (self.highest, self.has_claimed) = (answer.timeline.or(self.highest), false);
            }
        } else if answer.timeline > self.highest {
            (self.highest, self.has_claimed) = (answer.timeline, !answer.standby);
        } else if answer.timeline == self.highest {
            self.has_claimed |= !answer.standby;
        }
        self.last = Some((answer, now));
        true
    }

    /// Something has been heard of it, good or bad.
    pub fn is_heard(&self) -> bool {
        self.last.is_some() || self.failure.is_some()
    }

    /// It said last that it is the primary, whether it can be reached now or not.
    pub(super) fn claims(&self) -> bool {
        self.last.is_some_and(|(answer, _)| !answer.standby)
    }

    pub(super) fn is_up_and_recent(&self, now: Instant, recent: Duration) -> bool {
        let is_recent = |at: Instant| now.saturating_duration_since(at) <= recent;
        self.failure.is_none() && self.last.is_some_and(|(_, at)| is_recent(at))
    }

    /// What it is, by its last answer.
    pub fn role(&self, now: Instant, recent: Duration) -> Role {
        match self.last {
            Some((answer, _)) if self.is_up_and_recent(now, recent) => {
                if answer.standby {
                    Role::Standby
                } else {
                    Role::Primary
                }
            }
            _ => Role::Unknown,
        }
    }

    /// What keeps a host that does not claim to be the primary from serving reads, but for its lag and a rest. `timeline` is the primary's.
    pub(super) fn unfit(&self, timeline: Option<Option<u32>>, now: Instant, recent: Duration) -> Option<State> {
        if !self.is_heard() {
            return Some(State::Unheard);
        }
        if !self.is_up_and_recent(now, recent) {
            return Some(State::Down);
        }
        let Some(timeline) = timeline else { return Some(State::Ejected(Why::NoPrimary)) };
        if timeline.is_none() || self.timeline() != timeline {
            return Some(State::Ejected(Why::OtherTimeline));
        }
        (self.covered == 0).then_some(State::Ejected(Why::LagUnknown))
    }

    /// It was ejected a moment ago.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.rest_until.is_some_and(|until| now < until)
    }

    pub(super) fn become_state(&mut self, state: State, now: Instant) {
        let held_against_it = matches!(state, State::Down | State::Ejected(Why::Lag));
        if held_against_it && let Some(since) = self.ready_since.take() {
            if now.saturating_duration_since(since) >= FORGIVEN {
                self.strikes = 0;
            }
            let rest = REST.saturating_mul(1 << self.strikes.min(6)).min(REST_MAX);
            self.rest_until = Some(now + rest);
            self.strikes += 1;
        }
        if state == State::Ready {
            self.ready_since.get_or_insert(now);
        }
        self.state = state;
    }

    /// `samples`: of another host.
    pub(super) fn measure(&mut self, samples: Option<&Samples>) {
        self.covered = self.replayed().zip(samples).map_or(0, |(replayed, samples)| samples.covered_by(replayed));
    }

    /// `None`: how far it is is not known.
    pub(super) fn lag(&self, samples: &Samples, now: Instant) -> Option<Duration> {
        self.replayed().filter(|_| self.covered > 0).map(|replayed| samples.age_of_missing(replayed, now))
    }

    pub(super) fn covered(&self) -> u64 {
        self.covered
    }

    /// What it has replayed, if it is a standby and can be asked.
    pub fn replayed(&self) -> Option<Lsn> {
        self.last.filter(|(answer, _)| self.positioned && answer.standby).and_then(|(answer, _)| answer.lsn)
    }

    /// The number of the question that it has answered last, the position in that, and when.
    pub(super) fn position(&self) -> Option<(u64, Lsn, Instant)> {
        self.last.and_then(|(answer, at)| Some((answer.number, answer.lsn?, at)))
    }

    /// The position in its last answer.
    pub fn lsn(&self) -> Option<Lsn> {
        self.last.and_then(|(answer, _)| answer.lsn)
    }

    /// On which it is, by its last answer.
    pub fn timeline(&self) -> Option<u32> {
        self.last.and_then(|(answer, _)| answer.timeline)
    }

    /// What is thought of it.
    pub fn state(&self) -> State {
        self.state
    }
}
