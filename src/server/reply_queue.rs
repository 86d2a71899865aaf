//! The reply queue: one entry for each answer owed, with what becomes of it: forward, swallow, invent or hold.

use super::line::Line;
use crate::session::Effect;
use bytes::BytesMut;
use std::collections::VecDeque;

/// What was sent, and so what answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// Query: everything up to ReadyForQuery.
    Query,
    /// FunctionCall: everything up to ReadyForQuery.
    FunctionCall,
    /// Sync: ReadyForQuery.
    Sync,
    /// Parse: ParseComplete.
    Parse,
    /// Bind: BindComplete.
    Bind,
    /// Describe: RowDescription or NoData, after a ParameterDescription for a statement.
    Describe,
    /// Execute: rows, then CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute,
    /// Close: CloseComplete.
    Close,
    /// CopyDone or CopyFail: no answer of its own; ends COPY data if there is any.
    CopyEnd,
    /// Nothing: the answer is PgOtter's own.
    Invented,
}

impl Awaits {
    /// A message of the extended protocol, which an error makes PostgreSQL skip.
    pub fn is_extended(self) -> bool {
        matches!(self, Self::Parse | Self::Bind | Self::Describe | Self::Execute | Self::Close)
    }

    fn is_sync_point(self) -> bool {
        matches!(self, Self::Query | Self::FunctionCall | Self::Sync)
    }
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The client sees it.
    Forward,
    /// Nobody sees it.
    Swallow,
    /// It belongs to the guard: dropped when good; the first error is kept for the client.
    Hold,
    /// Ours, in the client's place: nobody sees it when good, and the client sees its error.
    Quiet,
    /// As Quiet, of a BEGIN that its client takes for done.
    Begin,
    /// It is sure to fail; the client is told an error of ours in place of PostgreSQL's. It sees what may stand in front of that.
    Refuse,
}

impl Disposition {
    /// Whether it answers something of the client's, and not of ours.
    pub fn is_shown(self) -> bool {
        matches!(self, Self::Forward | Self::Refuse)
    }
}

#[derive(Clone, Copy)]
struct Entry {
    awaits: Awaits,
    disposition: Disposition,
    // The first of `effects` is of this entry, or of one behind it.
    effect: bool,
    // It is a statement whose time is taken.
    timed: bool,
}

/// Our own answers and refusals, in the order of their entries.
#[derive(Default)]
struct Inventions {
    messages: VecDeque<BytesMut>,
    bytes: usize,
}

impl Inventions {
    fn push(&mut self, message: BytesMut) {
        self.bytes += message.len();
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<BytesMut> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

/// Answers owed, oldest first. Four bytes each, and what is invented; the caller bounds both.
#[derive(Default)]
pub struct ReplyQueue {
    entries: Line<Entry>,
    // How many there have ever been, without those that were taken out in front of others.
    sent: u64,
    invented: Inventions,
    effects: VecDeque<Effect>,
    // Effects of what was refused (true) or skipped since they were taken last, oldest first.
    undone: Vec<(Effect, bool)>,
    // PostgreSQL skips what it gets until the next Sync.
    skipping: bool,
}

impl ReplyQueue {
    /// An empty queue; holds no memory until used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something was sent; `timed`: a statement whose time is taken. While PostgreSQL skips, only a Sync will be answered: whether this
    /// will be.
    pub fn push(&mut self, awaits: Awaits, disposition: Disposition, timed: bool) -> bool {
        if self.skipping && awaits != Awaits::Sync {
            return false;
        }
        self.skipping = false;
        self.entries.push(Entry { awaits, disposition, effect: false, timed });
        self.sent += 1;
        true
    }

    /// An answer of our own, due when everything before it has been answered.
    pub fn push_invented(&mut self, message: BytesMut) {
        if !self.skipping {
            self.entries.push(Entry {
                awaits: Awaits::Invented,
                disposition: Disposition::Forward,
                effect: false,
                timed: false,
            });
            self.sent += 1;
            self.invented.push(message);
        }
    }

    /// Counts what was ever pushed. Less what is owed it is how much of that has been answered.
    pub fn count_sent(&self) -> u64 {
        self.sent
    }

    /// What was pushed last, to be refused, is answered by `error`.
    pub fn expect_refusal(&mut self, error: BytesMut) {
        self.invented.push(error);
    }

    /// The last message is a Query that is sure to fail, and is answered by `error` then.
    pub fn refuse_query(&mut self, error: BytesMut) {
        if let Some(last) = self.entries.last_mut().filter(|last| last.awaits == Awaits::Query && !self.skipping) {
            last.disposition = Disposition::Refuse;
            self.invented.push(error);
        }
    }

    /// What the last message was taken to do, should it be refused or skipped. Only behind what was pushed.
    pub fn attach(&mut self, effect: Effect) {
        if let Some(last) = self.entries.last_mut().filter(|last| !last.effect) {
            last.effect = true;
            self.effects.push_back(effect);
        }
    }

    /// Whether the oldest entry is a statement whose time is taken.
    pub fn is_timed(&self) -> bool {
        self.entries.first().is_some_and(|entry| entry.timed)
    }

    /// How many of them are in front of the next Sync.
    pub fn timed_to_sync(&self) -> usize {
        let to_sync = self.entries.iter().take_while(|entry| entry.awaits != Awaits::Sync);
        to_sync.filter(|entry| entry.timed).count()
    }

    /// Whether a Sync comes behind nothing of the client's that runs.
    pub fn comes_to_sync(&self) -> bool {
        self.entries.iter().find(|entry| entry.timed || entry.awaits == Awaits::Sync).is_some_and(|entry| !entry.timed)
    }

    /// The oldest entry.
    pub fn front(&self) -> Option<(Awaits, Disposition)> {
        self.entries.first().map(|entry| (entry.awaits, entry.disposition))
    }

    /// Whether the client hears a notice that comes now. With nothing owed it is something PostgreSQL says unasked.
    pub fn shows_notices(&self) -> bool {
        self.entries.first().is_none_or(|entry| entry.disposition.is_shown())
    }

    /// The oldest entry was answered. Ends of COPY behind it were for nothing: PostgreSQL ignores them.
    pub fn pop(&mut self) {
        if let Some(entry) = self.entries.pop() {
            if entry.effect {
                self.effects.pop_front();
            }
            if entry.disposition == Disposition::Refuse {
                self.invented.pop();
            }
        }
        while self.entries.first().is_some_and(|entry| entry.awaits == Awaits::CopyEnd) {
            self.entries.pop();
        }
    }

    /// ReadyForQuery answers the oldest entry, if that is a Query, FunctionCall or Sync.
    pub fn pop_sync_point(&mut self) -> Option<Disposition> {
        let (awaits, disposition) = self.front()?;
        if !awaits.is_sync_point() {
            return None;
        }
        self.pop();
        Some(disposition)
    }

    /// An error in the extended protocol: drops what PostgreSQL will skip, up to the next Sync. The oldest entry has failed.
    /// Gives its refusal, if it is one.
    pub fn skip_to_sync(&mut self) -> Option<BytesMut> {
        let mut refusal = None;
        let (mut failed, mut answered) = (true, false);
        while let Some(entry) = self.entries.first().copied() {
            if entry.awaits == Awaits::Sync {
                if answered && entry.disposition == Disposition::Swallow {
                    // It ends what an answer of ours to a Query stood behind; that answer had the ReadyForQuery in it.
                    self.show_end(Disposition::Forward);
                }
                return refusal;
            }
            answered = entry.awaits == Awaits::Invented;
            self.entries.pop();
            if entry.effect {
                self.undone.extend(self.effects.pop_front().map(|effect| (effect, failed)));
            }
            if entry.awaits == Awaits::Invented || entry.disposition == Disposition::Refuse {
                let message = self.invented.pop();
                refusal = refusal.or(message.filter(|_| failed));
            }
            failed = false;
        }
        self.skipping = true;
        refusal
    }

    /// A Query has failed, which nothing skips. It has dropped the unnamed statement all the same, but not those with names. Gives its
    /// refusal, if it is one.
    pub fn fail_simple(&mut self) -> Option<BytesMut> {
        let front = self.entries.first_mut()?;
        if front.effect && matches!(self.effects.front(), Some(Effect::Names { .. })) {
            front.effect = false;
            self.undone.extend(self.effects.pop_front().map(|effect| (effect, true)));
        }
        if front.disposition != Disposition::Refuse {
            return None;
        }
        front.disposition = Disposition::Forward;
        self.invented.pop()
    }

    /// How many messages of the client's are not answered yet, if the first of them is a Bind or Describe, the last one a Sync, and all
    /// of them one request.
    pub fn left_of_one(&self) -> Option<usize> {
        let shown = |entry: &Entry| entry.disposition.is_shown();
        let front = self.entries.first().filter(|front| front.disposition == Disposition::Forward)?;
        let sync = self.entries.iter().position(|entry| entry.awaits == Awaits::Sync)?;
        let is_one = sync + 1 == self.entries.len()
            && self
                .entries
                .iter()
                .take(sync)
                .all(|entry| entry.awaits.is_extended() || entry.awaits == Awaits::Invented);
        let begins = matches!(front.awaits, Awaits::Bind | Awaits::Describe);
        (is_one && begins).then(|| self.entries.iter().filter(|entry| shown(entry)).count())
    }

    /// Nobody sees the answer to the Sync that comes next.
    pub fn hide_end(&mut self) {
        self.show_end(Disposition::Swallow);
    }

    fn show_end(&mut self, disposition: Disposition) {
        if let Some(front) = self.entries.first_mut() {
            front.disposition = disposition;
        }
    }

    /// Whether all that is owed answers what we have sent.
    pub fn is_ours(&self) -> bool {
        self.entries.iter().all(|entry| !entry.disposition.is_shown())
    }

    /// Whether a BEGIN of ours is under way.
    pub fn has_begin(&self) -> bool {
        self.entries.iter().any(|entry| entry.awaits == Awaits::Execute && entry.disposition == Disposition::Begin)
    }

    /// Whether it is still open what becomes of a message that was taken to do something, and a request goes on behind it: if
    /// it is skipped, that one will not be.
    pub fn awaits_effects(&self) -> bool {
        let mut open = false;
        !self.effects.is_empty()
            && self.entries.iter().any(|entry| {
                let ended = open && entry.awaits.is_sync_point();
                open |= entry.effect;
                ended
            })
    }

    /// Effects of what was refused or skipped, the last one first: they are to be taken back in this order. True: refused.
    pub fn take_undone(&mut self) -> impl Iterator<Item = (Effect, bool)> {
        std::mem::take(&mut self.undone).into_iter().rev()
    }

    /// Whether what the client has sent behind the oldest entry begins with a Query or FunctionCall. Behind messages of the extended
    /// protocol it sends a Sync of its own, as it would behind an error in them.
    pub fn is_next_simple(&self) -> bool {
        let next = self.entries.iter().skip(1).find(|entry| entry.disposition.is_shown());
        next.is_some_and(|next| matches!(next.awaits, Awaits::Query | Awaits::FunctionCall))
    }

    /// COPY asks for data: Syncs sent behind it are read as part of the data and ignored. Says whether data is still
    /// to come, that is, no end of it was sent already.
    pub fn copy_in_started(&mut self) -> bool {
        let syncs = self.entries.iter().skip(1).take_while(|entry| entry.awaits == Awaits::Sync).count();
        let ends = self.entries.get(1 + syncs).is_some_and(|entry| entry.awaits == Awaits::CopyEnd);
        let read = syncs + usize::from(ends);
        if read > 0 {
            self.entries.remove_behind_first(read);
            self.sent -= read as u64;
        }
        // Anything else makes PostgreSQL fail the COPY.
        !ends && self.entries.len() < 2
    }

    /// The next invented answer, if its turn has come.
    pub fn take_due_invention(&mut self) -> Option<BytesMut> {
        if !self.has_due_invention() {
            return None;
        }
        self.pop();
        self.invented.pop()
    }

    /// Whether an invented answer's turn has come.
    pub fn has_due_invention(&self) -> bool {
        self.entries.first().is_some_and(|entry| entry.awaits == Awaits::Invented)
    }

    /// Whether a Sync is owed its answer.
    pub fn has_sync(&self) -> bool {
        self.entries.iter().any(|entry| entry.awaits == Awaits::Sync)
    }

    /// Whether a ReadyForQuery is owed that the client will see.
    pub fn has_shown_sync_point(&self) -> bool {
        self.entries.iter().any(|entry| entry.awaits.is_sync_point() && entry.disposition.is_shown())
    }

    /// Whether a ReadyForQuery is owed.
    pub fn has_sync_point(&self) -> bool {
        self.entries.iter().any(|entry| entry.awaits.is_sync_point())
    }

    /// Whether CopyData sent now may be data: something behind the last end of data may turn out to be a COPY.
    pub fn may_want_data(&self) -> bool {
        let behind_end = self.entries.iter().rev().take_while(|entry| entry.awaits != Awaits::CopyEnd);
        behind_end.into_iter().any(|entry| matches!(entry.awaits, Awaits::Query | Awaits::Execute))
    }

    /// Whether PostgreSQL reads what it is sent, rather than skipping it up to a Sync.
    pub fn in_step(&self) -> bool {
        !self.skipping
    }

    /// Answers owed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of answers of our own whose turn has not come. A client's names may be in them, as long as it has made them.
    pub fn invented(&self) -> usize {
        self.invented.bytes
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
