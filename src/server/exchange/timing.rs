//! How long the client's own statements take: what is under way, in the order in which it will be answered, and what has come of
//! what was. Knows no clock: whoever takes what has ended says when that was.
//!
//! A Query or FunctionCall has ended with its ReadyForQuery. An Execute has with its own answer, unless nothing but its Sync is
//! behind it: that may have to commit, or fail to, and ends with ReadyForQuery.
//!
//! Several that are sent together have no time of their own, unless a Flush goes behind each: then one begins where the one before it ends.

use crate::clock::Instant;
use crate::metrics::{Call, Stat};
use crate::session::Kept;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What is known of a statement when it is sent.
pub struct Timed {
    /// What it is counted as.
    pub stat: Arc<Stat>,
    /// When it went to the server.
    pub sent: Instant,
    /// Microseconds that it had waited for it.
    pub waited_us: u32,
    /// It goes on with a portal that was begun before.
    pub goes_on: bool,
    /// What it says of itself.
    pub kept: Option<Kept>,
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

/// A statement that has ended; within this file also one that will.
pub struct Ended {
    /// Which one.
    pub timed: Timed,
    /// How.
    pub outcome: Outcome,
    /// It was sent while others were under way, or others were sent while it was: how long it took is not known.
    pub together: bool,
    // Those that are sent behind it do not change that.
    apart: bool,
    // It was in the way of another transaction.
    conflict: bool,
    rows: u64,
    // As soon as somebody has looked at a clock; until then, when it was sent.
    at: Instant,
}

/// Statements under way, and those that have ended since they were taken last.
#[derive(Default)]
pub(super) struct Timing {
    // Goes with the next message that is a statement.
    next: Option<Timed>,
    // In the order in which they were sent, which is that of their answers. Each stays in its place until it is taken.
    statements: VecDeque<Ended>,
    // So many of them, the oldest, have ended; and of those it is known of so many when.
    ended: usize,
    dated: usize,
    // The one behind those is an Execute that was answered, and waits for the end of its Sync.
    ending: bool,
    // The last Execute that did not: its Sync, which may still fail, was not sent yet.
    open: Option<Timed>,
    // Of the oldest one under way, so far.
    data_rows: u64,
    // What the last error is the end of.
    failing: Option<Arc<Stat>>,
    // What is sent now is answered one by one.
    telling_apart: bool,
    // As was something that was sent since this was asked for last.
    apart: bool,
    // Of what was taken since then something has run that has no time of its own.
    together: bool,
}

impl Ended {
    fn new(timed: Timed, outcome: Outcome) -> Self {
        Self { at: timed.sent, timed, outcome, together: false, apart: false, conflict: false, rows: 0 }
    }

    /// When it did.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// What is counted. `None`: nothing is, as it was not run.
    pub fn call(&self) -> Option<Call> {
        let Timed { sent, waited_us, goes_on, .. } = self.timed;
        let took = self.at.saturating_duration_since(sent);
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

    fn fail(&mut self, conflict: bool) -> Arc<Stat> {
        (self.outcome, self.conflict) = (Outcome::Failed, conflict);
        self.timed.stat.clone()
    }
}

impl Timing {
    /// The next statement that is sent is this one.
    pub fn next(&mut self, timed: Option<Timed>) {
        self.next = timed;
    }

    /// Whether the next one is known: its entry is to be timed.
    pub fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// It goes to the server.
    pub fn sent(&mut self) {
        let Some(timed) = self.next.take() else { return };
        let apart = self.telling_apart;
        let together = !apart && !self.runs_nothing();
        // Where the newest one is already, all in front of it are that are to be.
        if together && !self.statements.back().is_some_and(|newest| newest.together) {
            self.statements.range_mut(self.ended..).for_each(|other| other.together = !other.apart);
        }
        self.statements.push_back(Ended { together, apart, ..Ended::new(timed, Outcome::Done) });
    }

    /// So long the oldest one has waited for its client: as if it had been sent so much later.
    pub fn leave_out(&mut self, waited: Duration) {
        if let Some(oldest) = self.oldest() {
            oldest.timed.sent += waited;
        }
    }

    /// The oldest one is answered with this tag.
    pub fn tag(&mut self, tag: &[u8]) {
        if let Some(oldest) = self.oldest() {
            oldest.rows = oldest.rows.saturating_add(rows(tag));
        }
    }

    /// A row of the oldest one.
    pub fn row(&mut self) {
        self.data_rows += 1;
    }

    /// The oldest one is answered as far as it was asked for: no tag tells how many rows that were.
    pub fn suspended(&mut self) {
        let rows = self.data_rows;
        if let Some(oldest) = self.oldest() {
            oldest.rows = oldest.rows.saturating_add(rows);
        }
    }

    /// The oldest one, which goes on to its ReadyForQuery, has failed.
    pub fn fail(&mut self, conflict: bool) {
        if let Some(oldest) = self.oldest() {
            self.failing = Some(oldest.fail(conflict));
        }
    }

    /// An error is the end of everything: of the oldest one, if any is under way.
    pub fn end_all(&mut self) {
        self.failing = self.oldest().map(|oldest| oldest.timed.stat.clone());
    }

    /// What the last error was the end of. `None`: no statement that was to run.
    pub fn take_failing(&mut self) -> Option<Arc<Stat>> {
        self.failing.take()
    }

    /// The oldest one, an Execute, has been answered. `ending`: it has ended when its Sync has.
    pub fn answered(&mut self, ending: bool) {
        self.data_rows = 0;
        let Some(oldest) = self.oldest() else { return };
        let timed = &oldest.timed;
        let open = if ending { None } else { Some(Timed { stat: timed.stat.clone(), kept: None, ..*timed }) };
        self.end_last();
        self.open = open;
        self.ending = ending;
        self.ended += usize::from(!ending);
    }

    /// An error in the extended protocol: of these that are under way the oldest has failed, be it in a message in front of it, and the
    /// others are skipped.
    pub fn skip(&mut self, count: usize, conflict: bool) {
        self.data_rows = 0;
        self.end_last();
        for at in 0..count {
            let Some(oldest) = self.oldest() else { return };
            if at == 0 {
                self.failing = Some(oldest.fail(conflict));
            } else {
                oldest.outcome = Outcome::Skipped;
            }
            self.ended += 1;
        }
    }

    /// A Sync has failed, and with it what stands in front of it.
    pub fn fail_at_sync(&mut self, conflict: bool) {
        if self.ending {
            self.failing = self.statements.get_mut(self.ended).map(|ending| ending.fail(conflict));
        } else if let Some(timed) = self.open.take() {
            self.failing = Some(timed.stat.clone());
            let failed = Ended { conflict, ..Ended::new(timed, Outcome::FailedLate) };
            self.statements.insert(self.ended, failed);
            self.ended += 1;
        }
    }

    /// A ReadyForQuery came. `statement`: it is the end of the oldest one, a Query or FunctionCall.
    pub fn ready(&mut self, statement: bool) {
        self.end_last();
        self.open = None;
        if statement && !self.runs_nothing() {
            self.data_rows = 0;
            self.ended += 1;
        }
    }

    /// Nothing is known any more, or is going to be: all that is under way has failed. How many that are.
    pub fn lose(&mut self) -> usize {
        self.next = None;
        self.end_last();
        let lost = self.statements.len() - self.ended;
        for (at, one) in self.statements.range_mut(self.ended..).enumerate() {
            one.outcome = Outcome::Failed;
            // Only the first one was run for all we know.
            one.together |= at > 0;
        }
        self.ended = self.statements.len();
        lost
    }

    /// Whether none is under way.
    pub fn runs_nothing(&self) -> bool {
        self.statements.len() == self.ended
    }

    /// How many have ended that nobody has taken. An Execute that only waits for the end of its Sync is none of them, and need not be: a
    /// request is not sent once more ([`Self::take_back`]) when any Execute in it was answered.
    pub fn len(&self) -> usize {
        self.ended
    }

    /// Those that have ended since there were so many have not: they are sent once more.
    pub fn take_back(&mut self, len: usize) {
        self.statements.drain(len..self.ended);
        (self.ended, self.dated) = (len, self.dated.min(len));
        // Or it were the statement of the next error, if that is of none, where the client keeps its server.
        self.failing = None;
    }

    /// Those of which it was not said yet have ended now. Whether there are any is what it is asked for in front.
    pub fn at(&mut self, now: Instant) {
        let from = std::mem::replace(&mut self.dated, self.ended);
        for at in from..self.ended {
            // Mostly there is one, for which a range costs more than all the rest.
            if let Some(ended) = self.statements.get_mut(at) {
                ended.at = now;
            }
        }
        if self.apart && from < self.ended {
            self.share_out(from, now);
        }
    }

    /// Each of those that are told apart has begun when the one before it had ended. Several that were answered at once share the time.
    #[cold]
    fn share_out(&mut self, from: usize, now: Instant) {
        if let Some(next) = self.statements.get_mut(self.ended) {
            next.timed.sent = next.timed.sent.max(now);
        }
        // Those that are not told apart have taken their share as well, and nobody asks for it.
        let ran = |one: &&mut Ended| matches!(one.outcome, Outcome::Done | Outcome::Failed);
        let mut ended: Vec<_> = self.statements.range_mut(from..self.ended).filter(ran).collect();
        let Some(begun) = ended.first().map(|first| first.timed.sent) else { return };
        let each = now.saturating_duration_since(begun) / u32::try_from(ended.len()).unwrap_or(u32::MAX);
        let mut begin = begun;
        for one in &mut ended {
            // Not before it was sent, nor for longer than until now.
            begin = begin.max(one.timed.sent);
            one.timed.sent = begin;
            begin = (begin + each).min(now);
            one.at = begin;
        }
    }

    /// What is sent now, and until [`Self::end_request`], is answered one by one.
    pub fn tell_apart(&mut self) {
        (self.telling_apart, self.apart) = (true, true);
    }

    /// Whether it is: the server has to be asked for that.
    pub fn tells_apart(&self) -> bool {
        self.telling_apart
    }

    /// The end of a request is sent: a client that sends more before it has its answers would have all of them told apart, for as long as
    /// it does so. What it sends has no time of its own, as anywhere.
    pub fn end_request(&mut self) {
        self.telling_apart = false;
    }

    /// Whether what has ended since the last call has one time in common, be it that of a single one that was run of several. It has not
    /// if something of it was told apart: that would be in it once more. What is sent from now on is not told apart.
    pub fn take_together(&mut self) -> bool {
        self.telling_apart = false;
        let apart = std::mem::take(&mut self.apart);
        std::mem::take(&mut self.together) && !apart
    }

    /// Whether it is to be said when something has ended.
    pub fn awaits_time(&self) -> bool {
        self.dated < self.ended
    }

    /// One that has ended, the first one first.
    pub fn take(&mut self) -> Option<Ended> {
        self.ended = self.ended.checked_sub(1)?;
        self.dated = self.dated.saturating_sub(1);
        let ended = self.statements.pop_front()?;
        self.together |= ended.together && ended.outcome != Outcome::Skipped;
        Some(ended)
    }

    /// Nobody asks any more.
    pub fn forget(&mut self) {
        (self.next, self.open, self.failing) = (None, None, None);
        (self.ended, self.dated, self.ending, self.data_rows) = (0, 0, false, 0);
        (self.telling_apart, self.apart, self.together) = (false, false, false);
        self.statements.clear();
    }

    fn oldest(&mut self) -> Option<&mut Ended> {
        self.statements.get_mut(self.ended + usize::from(self.ending))
    }

    fn end_last(&mut self) {
        self.ended += usize::from(std::mem::take(&mut self.ending));
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
