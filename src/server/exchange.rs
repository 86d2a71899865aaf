//! What a server still owes, in the order it will answer, and what becomes of each answer.
//!
//! Start at [`Exchange::sending`] (what goes to the server) and [`Exchange::receive`] (what comes back). Bodies are
//! not read, except those of the few small messages that must be understood. It knows neither sockets nor pools.
//!
//! Source: PostgreSQL `src/backend/tcop/postgres.c` (`PostgresMain`, `SocketBackend`).

mod counting;
mod doubt;
mod guard_watch;
mod outlet;
mod receive;
mod refusal;
mod sending;
mod tally;
mod tangle;
mod timing;

use super::reply_queue::ReplyQueue;
use crate::wire::backend::Status;
use bytes::BytesMut;
pub use counting::Told;
use doubt::Doubt;
use guard_watch::GuardWatch;
pub use outlet::{Outlet, Say};
pub(super) use refusal::FAILS;
use tally::Tally;
use tangle::Tangle;
use timing::Timing;
pub use timing::{Ended, Outcome, Timed};

/// More replies than this are never owed: the client is not read until some have come. PostgreSQL itself keeps back
/// at most 8 KiB of replies of 5 bytes each, so that a client that waits for nothing is never locked out.
const MAX_OWED: usize = 64 * 1024;

/// Nor is more sent behind so many bytes of answers of our own that wait for their turn: what makes them long are refusals, for which
/// PostgreSQL keeps nothing back. Those that only say that something is complete are bounded by [`MAX_OWED`] first.
const MAX_INVENTED: usize = 1024 * 1024;

/// The server broke the protocol; its connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation(pub &'static str);

/// Proof that the server owes nothing and is idle, outside any transaction. Made only by [`Exchange::boundary`].
#[derive(Debug)]
pub struct Boundary(());

/// Why a server can only be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// It has said FATAL; its end follows.
    Fatal,
    /// It broke the protocol.
    Violation,
}

/// The state of the conversation with one server.
pub struct Exchange {
    queue: ReplyQueue,
    status: Status,
    // Client to server: bytes still missing of the frame under way.
    outgoing: usize,
    // Extended messages were sent and no Sync behind them.
    unsynced: bool,
    // None of them did anything but prepare, describe or close a statement.
    only_prepared: bool,
    // The server reads CopyData, and no CopyDone or CopyFail was sent yet.
    copy_in: bool,
    doubt: Doubt,
    tangle: Tangle,
    guard: GuardWatch,
    // Server to client: bytes still missing of the frame under way, and whether the client sees them.
    incoming: usize,
    incoming_shown: bool,
    loss: Option<Loss>,
    // With nothing to do it has announced its end.
    said_goodbye: bool,
    // News for whoever asks next.
    swallowed_error: bool,
    erred: bool,
    told_error: bool,
    failed_begin: bool,
    tally: Tally,
    timing: Timing,
    // Of the last error.
    sqlstate: Option<[u8; 5]>,
    // Errors that the client was told and nobody has taken.
    told: Vec<Told>,
    // The last one is PgOtter's.
    refused: bool,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            queue: ReplyQueue::new(),
            status: Status::Idle,
            outgoing: 0,
            unsynced: false,
            only_prepared: true,
            copy_in: false,
            doubt: Doubt::None,
            tangle: Tangle::None,
            guard: GuardWatch::default(),
            incoming: 0,
            incoming_shown: true,
            loss: None,
            said_goodbye: false,
            swallowed_error: false,
            erred: false,
            told_error: false,
            failed_begin: false,
            tally: Tally::default(),
            timing: Timing::default(),
            sqlstate: None,
            told: Vec::new(),
            refused: false,
        }
    }
}

impl Exchange {
    /// Whether the next request depends on whether an earlier one was skipped, which is not known yet.
    pub fn awaits_effects(&self) -> bool {
        self.queue.awaits_effects()
    }

    /// The next answer of our own that the client may have now, if nothing comes from the server that would bring it.
    pub fn take_due(&mut self) -> Option<BytesMut> {
        if self.incoming > 0 { None } else { self.queue.take_due_invention() }
    }

    /// Marks the guard as sent: the next ReadyForQuery is its own.
    pub fn guard_sent(&mut self) {
        self.guard.sent();
    }

    /// Whether a guard has failed since the last call: its settings are not in force, and nothing behind it ran.
    pub fn take_failed_guard(&mut self) -> bool {
        self.guard.take_failed()
    }

    /// Whether a request behind the guard must wait until the guard has been answered.
    pub fn guard_pending(&self) -> bool {
        self.guard.is_pending()
    }

    /// Whether a failed guard swallowed a lone Query or FunctionCall, which has no Sync of its own: one must be sent, once.
    pub fn take_wanted_sync(&mut self) -> bool {
        self.outgoing == 0 && self.guard.take_wanted_sync()
    }

    /// The server has said FATAL; its end follows.
    pub fn said_fatal(&self) -> bool {
        self.loss == Some(Loss::Fatal)
    }

    /// Whether the server has announced its end, with nothing owed: it is still there, but not for anybody else.
    pub fn said_goodbye(&self) -> bool {
        self.said_goodbye
    }

    /// Whether nothing that could be sent brings the server to a boundary: it can only be closed.
    pub fn is_beyond_repair(&self) -> bool {
        self.loss.is_some() || self.doubt.is_lasting() || self.cut_outgoing()
    }

    /// Whether a message whose answer nobody sees has failed since the last call.
    pub fn take_swallowed_error(&mut self) -> bool {
        std::mem::take(&mut self.swallowed_error)
    }

    /// Whether a BEGIN that its client takes for done has failed since the last call.
    pub fn take_failed_begin(&mut self) -> bool {
        std::mem::take(&mut self.failed_begin)
    }

    /// In which state the client is if nothing of its own is under way, but perhaps something of ours. `None`: it is.
    pub fn status_behind_ours(&self) -> Option<Status> {
        if self.unsynced && !self.queue.has_begin() || !self.queue.is_ours() {
            return None;
        }
        Some(if self.queue.has_begin() { Status::InTransaction } else { self.status })
    }

    /// Whether an error has come since the last call.
    pub fn take_erred(&mut self) -> bool {
        std::mem::take(&mut self.erred)
    }

    /// Whether one has come since the last call of [`Self::take_erred`].
    pub fn has_erred(&self) -> bool {
        self.erred
    }

    /// Whether the client was told an error since [`Self::forget_told`].
    pub fn has_told_error(&self) -> bool {
        self.told_error
    }

    /// Another transaction begins.
    pub fn forget_told(&mut self) {
        self.told_error = false;
    }

    /// Transaction status of the last ReadyForQuery.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether an earlier request of the client's is not answered to its end.
    pub fn owes_request(&self) -> bool {
        self.queue.has_shown_sync_point()
    }

    /// Whether any reply is owed, or may be.
    pub fn owes(&self) -> bool {
        !self.queue.is_empty() || self.doubt.is_lasting()
    }

    /// Whether something that was not asked for may still come, which is this client's alone: nobody else gets the
    /// server, even if it owes nothing.
    pub fn is_tied_to_client(&self) -> bool {
        self.doubt.is_lasting() || self.tangle.is_certain()
    }

    /// Whether the server skips what it gets, up to a Sync that has not been sent.
    pub fn is_skipping(&self) -> bool {
        !self.queue.in_step()
    }

    /// Whether replies are owed that come without anything more being sent. Those to unsynced messages may not.
    pub fn will_answer(&self) -> bool {
        let coming = if self.unsynced { self.queue.has_sync_point() } else { !self.queue.is_empty() };
        coming && !self.copy_in
    }

    /// Bytes of answers of our own that wait for their turn.
    pub fn invented(&self) -> usize {
        self.queue.invented()
    }

    /// Whether no more requests may be sent until replies have come.
    pub fn is_full(&self) -> bool {
        self.queue.len() >= MAX_OWED || self.queue.invented() >= MAX_INVENTED
    }

    /// The server is reading COPY data.
    pub fn copy_in(&self) -> bool {
        self.copy_in
    }

    /// What is sent now may be read by a COPY that has not begun yet.
    pub fn may_want_data(&self) -> bool {
        self.copy_in || self.queue.may_want_data()
    }

    /// Statements were prepared and described, and a Flush has brought the answers; a Sync would end nothing, and nothing is
    /// wrong.
    pub fn has_only_prepared(&self) -> bool {
        self.unsynced
            && self.only_prepared
            && self.queue.is_empty()
            && self.queue.in_step()
            && self.status == Status::Idle
            && !self.cut_outgoing()
            && !self.guard_pending()
    }

    /// COPY data was sent, and it is not known yet whether it is data.
    pub fn may_be_copying(&self) -> bool {
        self.doubt.is_open() && !self.copy_in && !self.queue.is_empty()
    }

    /// Extended messages were sent without a Sync behind them.
    pub fn unsynced(&self) -> bool {
        self.unsynced
    }

    /// A frame to the server is only partly sent.
    pub fn cut_outgoing(&self) -> bool {
        self.outgoing > 0
    }

    /// So many bytes would be the rest of it.
    pub fn ends_outgoing(&self, bytes: usize) -> bool {
        self.outgoing == bytes
    }

    /// The client has seen only a part of a frame: nothing but the rest of it would be understood.
    pub fn cut_incoming(&self) -> bool {
        self.incoming > 0 && self.incoming_shown
    }

    /// Nothing owed, nothing half sent or half received, status idle, and no hidden block left open.
    pub fn boundary(&self) -> Option<Boundary> {
        let quiet = self.queue.is_empty()
            && self.queue.in_step()
            && self.status == Status::Idle
            && self.outgoing == 0
            && self.incoming == 0
            && !self.unsynced
            && !self.copy_in
            && !self.is_tied_to_client()
            && self.loss.is_none();
        quiet.then_some(Boundary(()))
    }
}
