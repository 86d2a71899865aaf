//! What a server still owes, in the order it will answer, and what becomes of each answer.
//!
//! Start at [`Exchange::sending`] (what goes to the server) and [`Exchange::receive`] (what comes back). Bodies are
//! not read, except those of the few small messages that must be understood. It knows neither sockets nor pools.
//!
//! Source: PostgreSQL `src/backend/tcop/postgres.c` (`PostgresMain`, `SocketBackend`).

mod doubt;
mod guard_watch;
mod receive;
mod refusal;
mod tally;
mod tangle;
mod timing;

use super::reply_queue::{Awaits, Disposition, ReplyQueue};
use crate::clock::Instant;
use crate::metrics::{Answered, Stat};
use crate::session::Effect;
use crate::wire::backend::Status;
use crate::wire::frame::{HEAD, Head};
use crate::wire::frontend;
use bytes::BytesMut;
use doubt::Doubt;
use guard_watch::GuardWatch;
pub(super) use refusal::FAILS;
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;
use tangle::Tangle;
use timing::Timing;
pub use timing::{Ended, Outcome, Timed};

/// More replies than this are never owed: the client is not read until some have come. PostgreSQL itself keeps back
/// at most 8 KiB of replies of 5 bytes each, so that a client that waits for nothing is never locked out.
const MAX_OWED: usize = 64 * 1024;

/// What a client is told of a message.
pub enum Say {
    /// As it came.
    It,
    /// Nothing.
    Nothing,
    /// Another message.
    Instead(BytesMut),
}

/// Where an [`Exchange`] puts what the client is to see.
pub trait Outlet {
    /// Bytes for the client, whole frames or the next part of one.
    fn pass(&mut self, chunk: BytesMut);
    /// A ParameterStatus; what the client is told.
    fn parameter(&mut self, name: &[u8], value: &[u8]) -> Say;
    /// What a message was taken to do is to be taken back: it was refused (`failed`) or skipped.
    fn take_back(&mut self, effect: Effect, failed: bool) {
        let _ = (effect, failed);
    }
    /// An ErrorResponse for the client, by its body. `left`: it answers a Bind or Describe, and what has been sent is the rest of one
    /// request, so many messages. True: the client is not told, nor is it told of the end of that request.
    fn cures(&mut self, error: &[u8], left: Option<usize>) -> bool {
        let _ = (error, left);
        false
    }
    /// An ErrorResponse for the client, by its body: another one in its place, if that says it in the client's own names.
    fn reword(&mut self, error: &[u8]) -> Option<BytesMut> {
        let _ = error;
        None
    }
    /// A ReadyForQuery for the client. False: it may not be in this state; it is told nothing further.
    fn ready(&mut self, status: Status) -> bool {
        let _ = status;
        true
    }
    /// The state of the block that the client is in, and the server knows nothing of; `failed`: the client was told an error. `None`: there
    /// is none.
    fn around(&self, failed: bool) -> Option<Status> {
        let _ = failed;
        None
    }
    /// The settings put in front of the request are in force; its replies follow.
    fn guard_done(&mut self);
    /// Whether [`Outlet::complete`] is to be asked.
    fn watches(&self) -> bool {
        false
    }
    /// A CommandComplete with this tag for the client; what it sees in its place.
    fn complete(&mut self, tag: &[u8]) -> Option<BytesMut> {
        let _ = tag;
        None
    }
    /// An ErrorResponse that does not end the connection.
    fn error(&mut self) {}
    /// A NotificationResponse; says whether the client is to be told.
    fn notification(&mut self) -> bool {
        true
    }
}

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

/// An error that a client was told.
pub struct Told {
    /// `None`: it says nothing of itself.
    pub sqlstate: Option<[u8; 5]>,
    /// In the server's place.
    pub is_ours: bool,
    /// What it was the end of; `None`: no statement that was to run.
    pub statement: Option<Arc<Stat>>,
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
    /// Takes note of bytes of the client that are about to be sent. They begin where the last ones ended, and no
    /// head is cut in two; heads were checked by `wire::frontend::check`.
    pub fn sending(&mut self, mut bytes: &[u8]) {
        loop {
            let body = self.outgoing.min(bytes.len());
            self.outgoing -= body;
            bytes = bytes.get(body..).unwrap_or_default();
            let Some(head) = Head::read(bytes) else { return };
            self.outgoing = head.frame_len().unwrap_or(HEAD);
            self.sent(head.kind, Disposition::Forward);
        }
    }

    /// As [`Self::sending`], for a frame of so many bytes in all of which the first ones go now.
    pub fn sending_frame(&mut self, kind: u8, total: usize, now: usize) {
        self.outgoing = total.saturating_sub(now);
        self.sent(kind, Disposition::Forward);
    }

    /// Takes note of one whole frame of our own.
    pub fn sending_own(&mut self, kind: u8, disposition: Disposition) {
        self.sent(kind, disposition);
    }

    /// Takes note of one frame, or the beginning of one, that is sure to fail for the statement it names; a Query behind other statements,
    /// with [`FAILS`] in its text. If it fails for that (26000 or 42P05), the client is told `error`, an ErrorResponse, instead.
    pub fn sending_refused(&mut self, frame: &[u8], error: BytesMut) {
        if let Some(head) = Head::read(frame)
            && self.sent(head.kind, Disposition::Refuse)
        {
            self.queue.expect_refusal(error);
        }
        self.outgoing = frame_len(frame).saturating_sub(frame.len());
    }

    /// The Query whose last bytes are about to be sent will be refused for them; its client is told `error`, an ErrorResponse, instead.
    pub fn refuse_under_way(&mut self, error: BytesMut) {
        if !self.doubt.is_lasting() {
            self.queue.refuse_query(error);
        }
    }

    /// What the message that was sent last is taken to do, to be taken back if it is refused or skipped.
    pub fn attach(&mut self, effect: Effect) {
        self.queue.attach(effect);
    }

    /// Whether the next request depends on whether an earlier one was skipped, which is not known yet.
    pub fn awaits_effects(&self) -> bool {
        self.queue.awaits_effects()
    }

    /// Answers `message` to the client when everything sent before has been answered; see [`Exchange::take_due`].
    pub fn invent(&mut self, message: BytesMut) {
        if !self.doubt.is_lasting() {
            self.queue.push_invented(message);
        }
    }

    /// The next answer of our own that the client may have now, if nothing comes from the server that would bring it.
    pub fn take_due(&mut self) -> Option<BytesMut> {
        if self.incoming > 0 { None } else { self.queue.take_due_invention() }
    }

    /// Whether an answer to it is owed from now on.
    fn sent(&mut self, kind: u8, disposition: Disposition) -> bool {
        use frontend::kind::*;
        if self.doubt.is_lasting() {
            return false;
        }
        self.doubt.sending(kind, &self.queue, self.copy_in);
        let awaits = match kind {
            QUERY => Awaits::Query,
            FUNCTION_CALL => Awaits::FunctionCall,
            SYNC => {
                if self.copy_in {
                    return false; // PostgreSQL ignores a Sync in the middle of COPY data
                }
                self.unsynced = false;
                self.only_prepared = true;
                Awaits::Sync
            }
            COPY_DONE | COPY_FAIL => {
                if std::mem::take(&mut self.copy_in) || self.queue.is_empty() {
                    return false; // the end of the COPY we know of, or a stray one that PostgreSQL ignores
                }
                Awaits::CopyEnd
            }
            PARSE => Awaits::Parse,
            BIND => Awaits::Bind,
            DESCRIBE => Awaits::Describe,
            EXECUTE => Awaits::Execute,
            CLOSE => Awaits::Close,
            _ => return false, // Flush, CopyData, Terminate: no answer of their own
        };
        // Our BEGIN is executed without a Sync, and opens a block that any COMMIT ends.
        let is_alone = matches!(disposition, Disposition::Begin | Disposition::Swallow | Disposition::Hold);
        if awaits.is_extended() && !is_alone {
            self.unsynced = true;
            self.only_prepared &= matches!(awaits, Awaits::Parse | Awaits::Describe | Awaits::Close);
        }
        if matches!(awaits, Awaits::Query | Awaits::FunctionCall) && self.unsynced {
            self.tangle.query_unsynced();
        }
        let is_statement = matches!(awaits, Awaits::Query | Awaits::FunctionCall | Awaits::Execute);
        let timed = is_statement && disposition.is_shown() && self.timing.has_next();
        let owed = self.queue.push(awaits, disposition, timed);
        if owed && timed {
            self.timing.sent();
        }
        owed
    }

    /// The next statement of the client's is this one; `None`: it is not known yet.
    pub fn time(&mut self, timed: Option<Timed>) {
        self.timing.next(timed);
    }

    /// So long the server has waited for data of the statement that it is at: the statement has not taken that.
    pub fn leave_out(&mut self, waited: Duration) {
        self.timing.leave_out(waited);
    }

    /// Whether statements have ended of which it is to be said when that was, see [`Self::ended_at`].
    pub fn awaits_time(&self) -> bool {
        self.timing.awaits_time()
    }

    /// They have ended now.
    pub fn ended_at(&mut self, now: Instant) {
        self.timing.at(now);
    }

    /// A statement that has ended since the last call, the first one first.
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.timing.take()
    }

    /// The client does not hear how those end that are under way: they have failed.
    pub fn lose_statements(&mut self) {
        if self.loss != Some(Loss::Fatal) {
            self.sqlstate = None;
        }
        self.timing.lose();
    }

    /// Whether statements are under way that were sent together, whose times nobody can tell.
    pub fn has_pipeline(&self) -> bool {
        self.timing.is_together()
    }

    /// The server is asked to answer one by one what is sent now, and whatever is until all of it was answered.
    pub fn tell_apart(&mut self) {
        self.timing.tell_apart();
    }

    /// Whether it is.
    pub fn tells_apart(&self) -> bool {
        self.timing.tells_apart()
    }

    /// Whether it was for what has been answered since the last call: each statement had a time of its own.
    pub fn take_apart(&mut self) -> bool {
        self.timing.take_apart()
    }

    /// Whether no statement is under way.
    pub fn runs_nothing(&self) -> bool {
        self.timing.runs_nothing()
    }

    /// Of the last error that the server has told. `None`: there was none, or what has failed since then has without a word.
    pub fn sqlstate(&self) -> Option<&str> {
        std::str::from_utf8(self.sqlstate.as_ref()?).ok()
    }

    /// They are nobody's any more.
    pub fn forget_statements(&mut self) {
        self.timing.forget();
        self.told.clear();
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

    /// What was answered was PgOtter's own question: it was no query of the client's, and what failed in it the client was not told.
    pub fn forget_own_answer(&mut self) {
        let _ = self.take_answered();
        self.told.clear();
    }

    /// An error that the client was told since the last call, the last one first.
    pub fn take_told(&mut self) -> Option<Told> {
        self.told.pop()
    }

    /// Another transaction begins.
    pub fn forget_told(&mut self) {
        self.told_error = false;
    }

    /// What has been answered to the client since the last call.
    pub fn take_answered(&mut self) -> Answered {
        self.tally.take()
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

    /// Whether no more requests may be sent until replies have come.
    pub fn is_full(&self) -> bool {
        self.queue.len() >= MAX_OWED
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

fn frame_len(frame: &[u8]) -> usize {
    Head::read(frame).and_then(Head::frame_len).unwrap_or(HEAD)
}
