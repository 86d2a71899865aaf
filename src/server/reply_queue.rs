//! The reply queue: one entry for each answer owed, with what becomes of it: forward, swallow, invent or hold.

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
}

/// Answers owed, oldest first. Two bytes each; the caller bounds the length.
#[derive(Default)]
pub struct ReplyQueue {
    entries: VecDeque<(Awaits, Disposition)>,
    invented: VecDeque<BytesMut>,
    // PostgreSQL skips what it gets until the next Sync.
    skipping: bool,
}

impl ReplyQueue {
    /// An empty queue; holds no memory until used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something was sent. While PostgreSQL skips, only a Sync will be answered.
    pub fn push(&mut self, awaits: Awaits, disposition: Disposition) {
        if self.skipping {
            if awaits != Awaits::Sync {
                return;
            }
            self.skipping = false;
        }
        self.entries.push_back((awaits, disposition));
    }

    /// An answer of our own, due when everything before it has been answered.
    pub fn push_invented(&mut self, message: BytesMut) {
        if !self.skipping {
            self.entries.push_back((Awaits::Invented, Disposition::Forward));
            self.invented.push_back(message);
        }
    }

    /// The oldest entry.
    pub fn front(&self) -> Option<(Awaits, Disposition)> {
        self.entries.front().copied()
    }

    /// Whether the client sees what comes now. With nothing owed it is something PostgreSQL says unasked.
    pub fn shows(&self) -> bool {
        self.entries.front().is_none_or(|(_, disposition)| *disposition == Disposition::Forward)
    }

    /// The oldest entry was answered. Ends of COPY behind it were for nothing: PostgreSQL ignores them.
    pub fn pop(&mut self) {
        self.entries.pop_front();
        while matches!(self.entries.front(), Some((Awaits::CopyEnd, _))) {
            self.entries.pop_front();
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

    /// An error in the extended protocol: drops what PostgreSQL will skip, up to the next Sync.
    pub fn skip_to_sync(&mut self) {
        while let Some((awaits, _)) = self.front() {
            match awaits {
                Awaits::Sync => return,
                Awaits::Invented => drop(self.invented.pop_front()),
                _ => (),
            }
            self.entries.pop_front();
        }
        self.skipping = true;
    }

    /// Whether the entry behind the oldest one is a Query or FunctionCall.
    pub fn is_next_simple(&self) -> bool {
        matches!(self.entries.get(1), Some((Awaits::Query | Awaits::FunctionCall, _)))
    }

    /// COPY asks for data: Syncs sent behind it are read as part of the data and ignored. Says whether data is still
    /// to come, that is, no end of it was sent already.
    pub fn copy_in_started(&mut self) -> bool {
        while let Some((awaits, _)) = self.entries.get(1) {
            match awaits {
                Awaits::Sync => drop(self.entries.remove(1)),
                Awaits::CopyEnd => {
                    self.entries.remove(1);
                    return false;
                }
                // Anything else makes PostgreSQL fail the COPY.
                _ => return false,
            }
        }
        true
    }

    /// The next invented answer, if its turn has come.
    pub fn take_due_invention(&mut self) -> Option<BytesMut> {
        if !self.has_due_invention() {
            return None;
        }
        self.pop();
        self.invented.pop_front()
    }

    /// Whether an invented answer's turn has come.
    pub fn has_due_invention(&self) -> bool {
        matches!(self.entries.front(), Some((Awaits::Invented, _)))
    }

    /// Whether a Sync is owed its answer.
    pub fn has_sync(&self) -> bool {
        self.entries.iter().any(|(awaits, _)| *awaits == Awaits::Sync)
    }

    /// Whether a ReadyForQuery is owed.
    pub fn has_sync_point(&self) -> bool {
        self.entries.iter().any(|(awaits, _)| awaits.is_sync_point())
    }

    /// Whether CopyData sent now may be data: something behind the last end of data may turn out to be a COPY.
    pub fn may_want_data(&self) -> bool {
        let behind_end = self.entries.iter().rev().take_while(|(awaits, _)| *awaits != Awaits::CopyEnd);
        behind_end.into_iter().any(|(awaits, _)| matches!(awaits, Awaits::Query | Awaits::Execute))
    }

    /// Whether PostgreSQL reads what it is sent, rather than skipping it up to a Sync.
    pub fn in_step(&self) -> bool {
        !self.skipping
    }

    /// Answers owed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
