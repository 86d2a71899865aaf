//! What a server still owes, in the order it will answer, and what becomes of each answer.
//!
//! Start at [`Exchange::sending`] (what goes to the server) and [`Exchange::receive`] (what comes back). Bodies are
//! not read, except those of the few small messages that must be understood. It knows neither sockets nor pools.
//!
//! Source: PostgreSQL `src/backend/tcop/postgres.c` (`PostgresMain`, `SocketBackend`), `src/backend/commands/copyfromparse.c`.

use super::reply_queue::{Awaits, Disposition, ReplyQueue};
use crate::wire::backend::{self, Status, kind};
use crate::wire::frame::{HEAD, Head};
use crate::wire::frontend;
use bytes::{Buf, BytesMut};

/// The longest message that is kept back until it is whole because it must be understood.
const UNDERSTOOD: usize = 64 * 1024;

/// More replies than this are never owed: the client is not read until some have come. PostgreSQL itself keeps back
/// at most 8 KiB of replies of 5 bytes each, so that a client that waits for nothing is never locked out.
const MAX_OWED: usize = 64 * 1024;

/// Where an [`Exchange`] puts what the client is to see.
pub trait Outlet {
    /// Bytes for the client, whole frames or the next part of one.
    fn pass(&mut self, chunk: BytesMut);
    /// A ParameterStatus; says whether the client is to be told.
    fn parameter(&mut self, name: &[u8], value: &[u8]) -> bool;
    /// A ReadyForQuery for the client. False: it may not be in this state; it is told nothing further.
    fn ready(&mut self, status: Status) -> bool {
        let _ = status;
        true
    }
    /// The settings put in front of the request are in force; its replies follow.
    fn guard_done(&mut self);
}

/// The server broke the protocol; its connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation(pub &'static str);

/// Proof that the server owes nothing and is idle, outside any transaction. Made only by [`Exchange::boundary`].
#[derive(Debug)]
pub struct Boundary(());

/// How the settings put in front of a request fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// None is under way.
    None,
    /// Sent, its ReadyForQuery has not come.
    Pending,
    /// The settings are in force. Cleared by [`Exchange::guard_seen`].
    Done,
    /// A setting failed: nothing behind it ran. Cleared by [`Exchange::guard_seen`].
    Failed,
}

/// A Query behind executed messages without a Sync. Since PostgreSQL 18 it leaves the implicit transaction block open,
/// the Sync behind it does not really end that block, although it says so, and the next statement, whoever sends it,
/// fails with an internal error (XX000). That the statement before is lost its client must hear, and nobody else: the
/// client keeps the server until the error has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tangle {
    None,
    /// Such a Query was sent.
    Possible,
    /// It was answered from inside a block, which another Query may still end properly.
    Open,
    /// A Sync said that the block has ended.
    Certain,
}

/// The state of the conversation with one server.
pub struct Exchange {
    queue: ReplyQueue,
    status: Status,
    // Client to server: bytes still missing of the frame under way.
    outgoing: usize,
    // Extended messages were sent and no Sync behind them.
    unsynced: bool,
    tangle: Tangle,
    // The server reads CopyData, and no CopyDone or CopyFail was sent yet.
    copy_in: bool,
    // Server to client: bytes still missing of the frame under way, and whether the client sees them.
    incoming: usize,
    incoming_shown: bool,
    guard: Guard,
    held_error: BytesMut,
    wants_sync: bool,
    fatal: bool,
    broken: bool,
    lost_names: bool,
    doubt: Doubt,
    swallowed_error: bool,
}

/// A Sync among COPY data is ignored while COPY goes on and answered once it has failed. Which of the two it was
/// cannot be told from outside when COPY fails at about the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doubt {
    #[default]
    None,
    // CopyData was sent, and no end of it.
    Data,
    // A Sync was sent behind it.
    Sync,
    // COPY failed: what will be answered is not known any more. The client hears all there is, as long as it stays,
    // and nobody else gets this server.
    Lasting,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            queue: ReplyQueue::new(),
            status: Status::Idle,
            outgoing: 0,
            unsynced: false,
            tangle: Tangle::None,
            copy_in: false,
            incoming: 0,
            incoming_shown: true,
            guard: Guard::None,
            held_error: BytesMut::new(),
            wants_sync: false,
            fatal: false,
            broken: false,
            lost_names: false,
            doubt: Doubt::None,
            swallowed_error: false,
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

    /// Takes note of one whole frame of our own.
    pub fn sending_own(&mut self, kind: u8, disposition: Disposition) {
        self.sent(kind, disposition);
    }

    fn sent(&mut self, kind: u8, disposition: Disposition) {
        use frontend::kind::*;
        self.doubt = match (self.doubt, kind) {
            (Doubt::Lasting, _) => return,
            (Doubt::None, COPY_DATA) if self.queue.may_want_data() => Doubt::Data,
            (Doubt::Data, SYNC) => Doubt::Sync,
            (Doubt::Data, COPY_DONE | COPY_FAIL) => Doubt::None,
            (doubt, _) => doubt,
        };
        let awaits = match kind {
            QUERY => Awaits::Query,
            FUNCTION_CALL => Awaits::FunctionCall,
            SYNC => {
                if self.copy_in {
                    return; // PostgreSQL ignores a Sync in the middle of COPY data
                }
                self.unsynced = false;
                Awaits::Sync
            }
            COPY_DONE | COPY_FAIL => {
                if std::mem::take(&mut self.copy_in) || self.queue.is_empty() {
                    return; // the end of the COPY we know of, or a stray one that PostgreSQL ignores
                }
                Awaits::CopyEnd
            }
            PARSE => Awaits::Parse,
            BIND => Awaits::Bind,
            DESCRIBE => Awaits::Describe,
            EXECUTE => Awaits::Execute,
            CLOSE => Awaits::Close,
            _ => return, // Flush, CopyData, Terminate: no answer of their own
        };
        if awaits.is_extended() && disposition == Disposition::Forward {
            self.unsynced = true;
        }
        if matches!(awaits, Awaits::Query | Awaits::FunctionCall) && self.unsynced && self.tangle == Tangle::None {
            self.tangle = Tangle::Possible;
        }
        self.queue.push(awaits, disposition);
    }

    /// Answers `message` to the client when everything sent before has been answered.
    pub fn invent(&mut self, message: BytesMut, out: &mut impl Outlet) {
        self.queue.push_invented(message);
        self.settle(out);
    }

    /// Marks the guard as sent: the next ReadyForQuery is its own.
    pub fn guard_sent(&mut self) {
        self.guard = Guard::Pending;
    }

    /// How the guard fared; a final answer is given once.
    pub fn guard_seen(&mut self) -> Guard {
        let seen = self.guard;
        if seen != Guard::Pending {
            self.guard = Guard::None;
        }
        seen
    }

    /// Whether a request behind the guard must wait until the guard has been answered.
    pub fn guard_pending(&self) -> bool {
        self.guard == Guard::Pending || self.wants_sync
    }

    /// Whether a failed guard swallowed a lone Query or FunctionCall, which has no Sync of its own: one must be sent, once.
    pub fn take_wanted_sync(&mut self) -> bool {
        self.outgoing == 0 && std::mem::take(&mut self.wants_sync)
    }

    /// The server has said FATAL; its end follows.
    pub fn said_fatal(&self) -> bool {
        self.fatal
    }

    /// The server can only be closed: it has said FATAL or broken the protocol.
    pub fn is_lost(&self) -> bool {
        self.fatal || self.broken
    }

    /// Whether DISCARD ALL or DEALLOCATE ALL ran since the last call: prepared statements are gone.
    pub fn take_lost_names(&mut self) -> bool {
        std::mem::take(&mut self.lost_names)
    }

    /// Whether a message whose answer nobody sees has failed since the last call.
    pub fn take_swallowed_error(&mut self) -> bool {
        std::mem::take(&mut self.swallowed_error)
    }

    /// Transaction status of the last ReadyForQuery.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether any reply is owed, or may be.
    pub fn owes(&self) -> bool {
        !self.queue.is_empty() || self.is_in_doubt()
    }

    /// Whether it is not known any more what is owed. Such a server serves its client to the end and nobody else.
    pub fn is_in_doubt(&self) -> bool {
        self.doubt == Doubt::Lasting
    }

    /// Whether the server may have something left for its client alone, although it owes nothing: nobody else gets it.
    pub fn is_withheld(&self) -> bool {
        self.is_in_doubt() || self.tangle == Tangle::Certain
    }

    /// Whether the server skips what it gets, up to a Sync that has not been sent.
    pub fn is_skipping(&self) -> bool {
        !self.queue.in_step()
    }

    /// Whether replies are owed that come without anything more being sent.
    pub fn will_answer(&self) -> bool {
        !self.queue.is_empty() && !self.unsynced && !self.copy_in
    }

    /// Whether no more requests may be sent until replies have come.
    pub fn is_full(&self) -> bool {
        self.queue.len() >= MAX_OWED
    }

    /// The server is reading COPY data.
    pub fn copy_in(&self) -> bool {
        self.copy_in
    }

    /// Extended messages were sent without a Sync behind them.
    pub fn unsynced(&self) -> bool {
        self.unsynced
    }

    /// A frame to the server is only partly sent.
    pub fn cut_outgoing(&self) -> bool {
        self.outgoing > 0
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
            && !self.is_withheld()
            && !self.is_lost();
        quiet.then_some(Boundary(()))
    }

    /// Walks over what has come from the server and passes on what the client is to see. What is left in `inbox` is
    /// the beginning of a message that cannot be judged yet.
    ///
    /// # Errors
    /// [`Violation`] for a message that cannot come now; the connection must be closed.
    pub fn receive(&mut self, inbox: &mut BytesMut, out: &mut impl Outlet) -> Result<(), Violation> {
        let walked = self.walk(inbox, out);
        self.broken |= walked.is_err();
        walked
    }

    fn walk(&mut self, inbox: &mut BytesMut, out: &mut impl Outlet) -> Result<(), Violation> {
        // Bytes before `at` have been judged and are to be passed.
        let mut at = 0;
        loop {
            if self.incoming > 0 {
                let part = self.incoming.min(inbox.len() - at);
                if part == 0 {
                    break;
                }
                self.incoming -= part;
                if self.incoming_shown {
                    at += part;
                } else {
                    hand_on(inbox, &mut at, out);
                    inbox.advance(part);
                }
                continue;
            }
            if self.queue.has_due_invention() {
                hand_on(inbox, &mut at, out);
                self.settle(out);
            }
            let Some(head) = inbox.get(at..).and_then(Head::read) else { break };
            let total = head.frame_len().ok_or(Violation("message length below 4"))?;
            let verdict = match (head.kind, needed(head.kind, total)) {
                (kind::DATA_ROW | kind::COPY_DATA, _) => self.row()?.into(),
                (other, 0) => self.step(other)?.into(),
                (other, bytes) => {
                    let Some(body) = inbox.get(at + HEAD..at + bytes) else { break };
                    self.understand(other, body, out)?
                }
            };
            if let Verdict::Replace(message) = &verdict {
                hand_on(inbox, &mut at, out);
                out.pass(message.clone());
            }
            if matches!(verdict, Verdict::Stop) {
                hand_on(inbox, &mut at, out);
                // It was judged by its body, so it is here whole.
                inbox.advance(total);
                return Ok(());
            }
            self.incoming = total;
            self.incoming_shown = matches!(verdict, Verdict::Show);
        }
        hand_on(inbox, &mut at, out);
        Ok(())
    }

    fn settle(&mut self, out: &mut impl Outlet) {
        while let Some(message) = self.queue.take_due_invention() {
            out.pass(message);
        }
    }

    /// Judges a message whose body matters.
    fn understand(&mut self, message: u8, body: &[u8], out: &mut impl Outlet) -> Result<Verdict, Violation> {
        match message {
            kind::READY_FOR_QUERY => {
                self.status = Status::read(body).ok_or(Violation("ReadyForQuery without a status"))?;
                let show = self.ready()?;
                if self.guard == Guard::Done {
                    self.guard = Guard::None;
                    out.guard_done();
                }
                Ok(if show && !out.ready(self.status) { Verdict::Stop } else { show.into() })
            }
            kind::PARAMETER_STATUS => {
                let (name, value) =
                    backend::parameter_status(body).ok_or(Violation("ParameterStatus without name and value"))?;
                Ok(out.parameter(name, value).into())
            }
            kind::ERROR_RESPONSE => Ok(self.error(body)),
            _ => {
                self.lost_names |= matches!(body, b"DISCARD ALL\0" | b"DEALLOCATE ALL\0");
                Ok(self.step(message)?.into())
            }
        }
    }

    fn ready(&mut self) -> Result<bool, Violation> {
        if self.is_in_doubt() {
            return Ok(true);
        }
        let by_sync = matches!(self.queue.front(), Some((Awaits::Sync, _)));
        let disposition = self.queue.pop_sync_point().ok_or(Violation("ReadyForQuery that nothing asked for"))?;
        if disposition == Disposition::Hold && self.held_error.is_empty() {
            self.guard = Guard::Done;
        }
        // A Query commits the extended messages before it.
        self.unsynced &= !self.queue.is_empty();
        self.copy_in = false;
        self.tangle = match (self.tangle, self.status) {
            (Tangle::Possible, Status::InTransaction) => Tangle::Open,
            (Tangle::Open, Status::Idle) if by_sync => Tangle::Certain,
            (Tangle::Possible | Tangle::Open, Status::Idle) if self.queue.is_empty() && !self.unsynced => Tangle::None,
            (as_before, _) => as_before,
        };
        if self.queue.is_empty() {
            self.doubt = Doubt::None;
        }
        Ok(disposition == Disposition::Forward)
    }

    /// An error ends a simple query, and makes PostgreSQL skip extended messages, and everything behind them, up to
    /// the next Sync.
    fn error(&mut self, body: &[u8]) -> Verdict {
        if backend::is_fatal(body) {
            self.fatal = true;
            return Verdict::Show;
        }
        self.copy_in = false;
        if self.tangle != Tangle::None {
            // Errors end the hidden block; whether this one did, the ReadyForQuery behind it tells.
            self.tangle = Tangle::Possible;
        }
        if self.doubt == Doubt::Sync {
            self.begin_doubt();
        }
        let Some((awaits, disposition)) = self.queue.front() else { return Verdict::Show };
        let before_simple = self.queue.is_next_simple();
        if awaits.is_extended() {
            self.queue.skip_to_sync();
        }
        match disposition {
            Disposition::Forward => Verdict::Show,
            Disposition::Swallow => {
                self.swallowed_error = true;
                Verdict::Hide
            }
            Disposition::Hold if awaits == Awaits::Describe => {
                // The guard does not exist, so nothing behind it runs. What the client hears is why.
                self.guard = Guard::Failed;
                self.wants_sync = before_simple;
                match std::mem::take(&mut self.held_error) {
                    first if first.is_empty() => Verdict::Show,
                    first => Verdict::Replace(first),
                }
            }
            Disposition::Hold => {
                if self.held_error.is_empty() {
                    self.held_error = error_frame(body);
                }
                Verdict::Hide
            }
        }
    }

    /// From now on nothing is expected, and everything is passed on.
    fn begin_doubt(&mut self) {
        self.doubt = Doubt::Lasting;
        self.queue = ReplyQueue::new();
        self.unsynced = false;
    }

    /// Judges a message by its type alone; says whether the client sees it.
    fn step(&mut self, message: u8) -> Result<bool, Violation> {
        use Awaits::*;
        if self.is_in_doubt() {
            return Ok(true);
        }
        // Who may be told this, and whether it completes the answer.
        let (askers, complete) = match message {
            kind::PARSE_COMPLETE => (&[Parse][..], true),
            kind::BIND_COMPLETE => (&[Bind][..], true),
            kind::CLOSE_COMPLETE => (&[Close][..], true),
            kind::PARAMETER_DESCRIPTION => (&[Describe][..], false),
            kind::NO_DATA => (&[Describe][..], true),
            // Inside a simple query these complete nothing; PostgreSQL ends it with ReadyForQuery.
            kind::ROW_DESCRIPTION => (&[Describe, Query][..], true),
            kind::COMMAND_COMPLETE | kind::EMPTY_QUERY => (&[Execute, Query][..], true),
            kind::PORTAL_SUSPENDED => (&[Execute][..], true),
            kind::COPY_IN_RESPONSE | kind::COPY_OUT_RESPONSE | kind::COPY_DONE => (&[Execute, Query][..], false),
            kind::FUNCTION_CALL_RESPONSE => (&[FunctionCall][..], false),
            kind::NOTICE_RESPONSE => return Ok(self.queue.shows()),
            kind::NOTIFICATION_RESPONSE => return Ok(true),
            _ => return Err(Violation("unexpected message type")),
        };
        let (awaits, disposition) = self.queue.front().ok_or(Violation("reply that nothing asked for"))?;
        if !askers.contains(&awaits) {
            return Err(Violation("reply out of order"));
        }
        if awaits == Describe && !self.held_error.is_empty() {
            return Err(Violation("settings failed and their guard did not"));
        }
        if message == kind::COPY_IN_RESPONSE {
            self.copy_in = self.queue.copy_in_started();
            // The Sync behind Execute was read as part of the data; another one has to come.
            self.unsynced |= awaits == Execute && !self.queue.has_sync();
        }
        if complete && awaits != Query {
            if awaits == Execute {
                self.copy_in = false;
            }
            self.queue.pop();
        }
        Ok(disposition == Disposition::Forward)
    }

    /// A row, or a piece of COPY data; says whether the client sees it. Never a row that nobody asked for.
    fn row(&self) -> Result<bool, Violation> {
        match self.queue.front() {
            _ if self.is_in_doubt() => Ok(true),
            Some((Awaits::Query | Awaits::Execute, disposition)) => Ok(disposition == Disposition::Forward),
            _ => Err(Violation("row that nothing asked for")),
        }
    }
}

/// What becomes of one message.
enum Verdict {
    Show,
    Hide,
    /// As Hide, and what follows is not looked at now.
    Stop,
    /// Another message goes to the client in its place.
    Replace(BytesMut),
}

impl From<bool> for Verdict {
    fn from(show: bool) -> Self {
        if show { Self::Show } else { Self::Hide }
    }
}

/// Bytes of a frame that must be there before it can be judged; 0 when the type is enough.
fn needed(message: u8, total: usize) -> usize {
    const DISCARD_ALL: usize = HEAD + b"DISCARD ALL\0".len();
    const DEALLOCATE_ALL: usize = HEAD + b"DEALLOCATE ALL\0".len();
    match message {
        kind::READY_FOR_QUERY | kind::PARAMETER_STATUS if total <= UNDERSTOOD => total,
        // Severity and code come first; the rest may be a very long context.
        kind::ERROR_RESPONSE => total.min(UNDERSTOOD),
        kind::COMMAND_COMPLETE if total == DISCARD_ALL || total == DEALLOCATE_ALL => total,
        _ => 0,
    }
}

/// An ErrorResponse of this body; one that was cut short is ended properly.
fn error_frame(body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frontend::message(&mut frame, kind::ERROR_RESPONSE, |out| {
        out.extend_from_slice(body);
        if !body.ends_with(b"\0\0") {
            out.extend_from_slice(b"\0\0");
        }
    });
    frame
}

/// Passes on what was judged; a chunk that was used up moves whole.
fn hand_on(inbox: &mut BytesMut, at: &mut usize, out: &mut impl Outlet) {
    if *at > 0 {
        let chunk = if *at == inbox.len() { std::mem::take(inbox) } else { inbox.split_to(*at) };
        out.pass(chunk);
        *at = 0;
    }
}
