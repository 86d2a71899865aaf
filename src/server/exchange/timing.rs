//! How long the client's own statements take: what is under way, in the order in which it will be answered, and what has come of
//! what was. Knows no clock: whoever takes what has ended says when that was.
//!
//! A Query or FunctionCall has ended with its ReadyForQuery. An Execute has with its own answer, unless nothing but its Sync is
//! behind it: that may have to commit, or fail to, and ends with ReadyForQuery.
//!
//! Several that are sent together have no time of their own, unless a Flush goes behind each: then one begins where the one before it ends.

use crate::clock::Instant;
use crate::metrics::{Call, Stat};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A statement under way.
#[derive(Clone)]
pub struct Timed {
    /// What it is counted as.
    pub stat: Arc<Stat>,
    /// When it went to the server.
    pub sent: Instant,
    /// Microseconds that it had waited for it.
    pub waited_us: u32,
    /// It goes on with a portal that was begun before.
    pub goes_on: bool,
    /// It is one of several that are sent together, each with a Flush behind it: the server says of each when it has ended.
    pub apart: bool,
}

/// What came of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Done,
    /// With an error.
    Failed,
    /// Not at all: PostgreSQL skipped it behind an error of another.
    Skipped,
    /// It had been answered, and its transaction could not be committed.
    FailedLate,
}

/// A statement that has ended.
pub struct Ended {
    /// Which one.
    pub timed: Timed,
    /// How.
    pub outcome: Outcome,
    /// It was sent while others were under way, or others were sent while it was: how long it took is not known.
    pub together: bool,
    // It was in the way of another transaction.
    conflict: bool,
    rows: u64,
    // As soon as somebody has looked at a clock.
    at: Option<Instant>,
}

struct UnderWay {
    timed: Timed,
    rows: u64,
    failed: bool,
    conflict: bool,
    together: bool,
}

/// Statements under way, and those that have ended since they were taken last.
#[derive(Default)]
pub(super) struct Timing {
    // Goes with the next message that is a statement.
    next: Option<Timed>,
    under_way: VecDeque<UnderWay>,
    // An Execute that waits for the end of its Sync.
    ending: Option<UnderWay>,
    // The last Execute that did not: its Sync, which may still fail, was not sent yet.
    open: Option<Timed>,
    ended: Vec<Ended>,
    // Of the oldest one, so far.
    data_rows: u64,
    // What the last error is the end of.
    failing: Option<Arc<Stat>>,
    // The last that has ended was one of those with a time of their own.
    apart: bool,
}

impl Ended {
    /// When it did.
    pub fn at(&self) -> Instant {
        self.at.unwrap_or(self.timed.sent)
    }

    /// What is counted. `None`: nothing is, as it was not run.
    pub fn call(&self) -> Option<Call> {
        let Timed { sent, waited_us, goes_on, .. } = self.timed;
        let took = self.at().saturating_duration_since(sent);
        match self.outcome {
            Outcome::Skipped => None,
            // Its call and its time were counted.
            Outcome::FailedLate => {
                Some(Call { failed: true, conflict: self.conflict, goes_on: true, ..Call::default() })
            }
            // Whoever passes on what was answered knows how much that was.
            outcome => Some(Call {
                rows: self.rows,
                bytes: 0,
                waited_us,
                server: (!self.together).then_some(took),
                failed: outcome == Outcome::Failed,
                conflict: self.conflict && outcome == Outcome::Failed,
                goes_on,
                ..Call::default()
            }),
        }
    }

    /// Whether how long it took from its arrival is a sample of its own.
    pub fn is_sample(&self) -> bool {
        self.is_timed() && !self.timed.goes_on
    }

    fn is_timed(&self) -> bool {
        matches!(self.outcome, Outcome::Done | Outcome::Failed) && !self.together
    }
}

impl Timing {
    /// The next statement that is sent is this one.
    pub fn next(&mut self, timed: Option<Timed>) {
        self.next = timed;
    }

    /// A statement of the client's goes to the server. True: it is timed, and so is to be its entry.
    pub fn sent(&mut self) -> bool {
        let Some(timed) = self.next.take() else { return false };
        let together = !timed.apart && (!self.under_way.is_empty() || self.ending.is_some());
        // Where the newest one is already, all in front of it are.
        if together && !self.under_way.back().is_some_and(|newest| newest.together) {
            self.under_way.iter_mut().chain(&mut self.ending).for_each(|other| other.together = true);
        }
        self.under_way.push_back(UnderWay { timed, rows: 0, failed: false, conflict: false, together });
        true
    }

    /// So long the oldest one has waited for its client: as if it had been sent so much later.
    pub fn leave_out(&mut self, waited: Duration) {
        if let Some(first) = self.under_way.front_mut() {
            first.timed.sent += waited;
        }
    }

    /// The oldest one is answered with this tag.
    pub fn tag(&mut self, tag: &[u8]) {
        if let Some(first) = self.under_way.front_mut() {
            first.rows = first.rows.saturating_add(rows(tag));
        }
    }

    /// A row of the oldest one.
    pub fn row(&mut self) {
        self.data_rows += 1;
    }

    /// The oldest one is answered as far as it was asked for: no tag tells how many rows that were.
    pub fn suspended(&mut self) {
        let rows = self.data_rows;
        if let Some(first) = self.under_way.front_mut() {
            first.rows = first.rows.saturating_add(rows);
        }
    }

    /// The oldest one, which goes on to its ReadyForQuery, has failed.
    pub fn fail(&mut self, conflict: bool) {
        if let Some(first) = self.under_way.front_mut() {
            (first.failed, first.conflict) = (true, conflict);
            self.failing = Some(first.timed.stat.clone());
        }
    }

    /// An error is the end of everything: of the oldest one, if any is under way.
    pub fn end_all(&mut self) {
        self.failing = self.under_way.front().map(|first| first.timed.stat.clone());
    }

    /// What the last error was the end of. `None`: no statement that was to run.
    pub fn take_failing(&mut self) -> Option<Arc<Stat>> {
        self.failing.take()
    }

    /// The oldest one has been answered. `ending`: it has ended when its Sync has.
    pub fn answered(&mut self, ending: bool) {
        self.data_rows = 0;
        let Some(first) = self.under_way.pop_front() else { return };
        self.end_last();
        self.open = None;
        if ending {
            self.ending = Some(first);
        } else {
            self.open = Some(first.timed.clone());
            self.end(first);
        }
    }

    /// An error in the extended protocol: of these that are under way the oldest has failed, be it in a message in front of it, and the
    /// others are skipped.
    pub fn skip(&mut self, count: usize, conflict: bool) {
        self.data_rows = 0;
        self.end_last();
        for at in 0..count {
            let Some(mut first) = self.under_way.pop_front() else { return };
            if at == 0 {
                (first.failed, first.conflict) = (true, conflict);
                self.failing = Some(first.timed.stat.clone());
            }
            let outcome = if at == 0 { Outcome::Failed } else { Outcome::Skipped };
            self.put(first, outcome);
        }
    }

    /// A Sync has failed, and with it what stands in front of it.
    pub fn fail_at_sync(&mut self, conflict: bool) {
        if let Some(ending) = &mut self.ending {
            (ending.failed, ending.conflict) = (true, conflict);
            self.failing = Some(ending.timed.stat.clone());
        } else if let Some(timed) = self.open.take() {
            self.failing = Some(timed.stat.clone());
            self.put(UnderWay { timed, rows: 0, failed: true, conflict, together: false }, Outcome::FailedLate);
        }
    }

    /// A ReadyForQuery came.
    pub fn ready(&mut self) {
        self.end_last();
        self.open = None;
    }

    /// Nothing is known any more, or is going to be: all that is under way has failed.
    pub fn lose(&mut self) {
        self.next = None;
        self.end_last();
        // Only the first one was run for all we know.
        self.under_way.iter_mut().skip(1).for_each(|other| other.together = true);
        while let Some(first) = self.under_way.pop_front() {
            self.put(first, Outcome::Failed);
        }
    }

    /// Whether none is under way.
    pub fn runs_nothing(&self) -> bool {
        self.under_way.is_empty() && self.ending.is_none()
    }

    /// Whether several were sent together that are still under way.
    pub fn is_together(&self) -> bool {
        self.under_way.iter().any(|one| one.together)
    }

    /// How many have ended that nobody has taken.
    pub fn len(&self) -> usize {
        self.ended.len()
    }

    /// Those that have ended since there were so many have not: they are sent once more.
    pub fn take_back(&mut self, len: usize) {
        self.ended.truncate(len);
        self.failing = None;
    }

    /// Those of which it was not said yet have ended now. Whether there are any is what it is asked for in front.
    pub fn at(&mut self, now: Instant) {
        let from = self.ended.iter().rposition(|ended| ended.at.is_some()).map_or(0, |last| last + 1);
        self.ended.iter_mut().skip(from).for_each(|ended| ended.at = Some(now));
        if self.apart && from < self.ended.len() {
            self.share_out(from, now);
        }
    }

    /// Each of those that are told apart has begun when the one before it had ended. Several that were answered at once share the time.
    #[cold]
    fn share_out(&mut self, from: usize, now: Instant) {
        if let Some(next) = self.ending.as_mut().or(self.under_way.front_mut()).filter(|next| next.timed.apart) {
            next.timed.sent = next.timed.sent.max(now);
        }
        let is_one = |ended: &&mut Ended| ended.timed.apart && ended.is_timed();
        let mut ended: Vec<_> = self.ended.iter_mut().skip(from).filter(is_one).collect();
        let Some(begun) = ended.first().map(|first| first.timed.sent) else { return };
        let each = now.saturating_duration_since(begun) / u32::try_from(ended.len()).unwrap_or(u32::MAX);
        let mut begin = begun;
        for one in &mut ended {
            one.timed.sent = begin;
            begin += each;
            one.at = Some(begin);
        }
    }

    /// Whether those that have ended since the last call had a time of their own, although they were sent together.
    pub fn take_apart(&mut self) -> bool {
        std::mem::take(&mut self.apart)
    }

    /// Whether it is to be said when something has ended.
    pub fn awaits_time(&self) -> bool {
        self.ended.last().is_some_and(|ended| ended.at.is_none())
    }

    /// One that has ended, the last one first.
    pub fn take(&mut self) -> Option<Ended> {
        self.ended.pop()
    }

    /// Nobody asks any more.
    pub fn forget(&mut self) {
        (self.next, self.ending, self.open, self.data_rows) = (None, None, None, 0);
        self.failing = None;
        self.apart = false;
        self.under_way.clear();
        self.ended.clear();
    }

    fn end_last(&mut self) {
        if let Some(ending) = self.ending.take() {
            self.end(ending);
        }
    }

    fn end(&mut self, one: UnderWay) {
        let outcome = if one.failed { Outcome::Failed } else { Outcome::Done };
        self.put(one, outcome);
    }

    fn put(&mut self, UnderWay { timed, rows, conflict, together, .. }: UnderWay, outcome: Outcome) {
        self.apart = timed.apart && !together;
        self.ended.push(Ended { timed, outcome, together, conflict, rows, at: None });
    }
}

/// Rows that a command says it has returned or changed: the last word of its tag, if that is a number. Source: PostgreSQL
/// documentation, "Message Formats", CommandComplete.
fn rows(tag: &[u8]) -> u64 {
    let tag = tag.strip_suffix(b"\0").unwrap_or(tag);
    let (mut rows, mut unit) = (0u64, 1u64);
    for &byte in tag.iter().rev() {
        match byte {
            b'0'..=b'9' => {
                rows = rows.saturating_add(u64::from(byte - b'0').saturating_mul(unit));
                unit = unit.saturating_mul(10);
            }
            b' ' => return rows,
            _ => return 0,
        }
    }
    0
}
