//! What comes back: each message is judged by its type, few by their body, and passed on, hidden or replaced.

use super::super::reply_queue::{Awaits, Disposition, ReplyQueue};
use super::refusal::of_own_text;
use super::{Exchange, Loss, Outlet, Say, Told, Violation};
use crate::wire::backend::{self, Status, kind};
use crate::wire::frame::{HEAD, Head};
use crate::wire::frontend;
use bytes::{Buf, BytesMut};

/// The longest message that is kept back until it is whole because it must be understood.
const UNDERSTOOD: usize = 64 * 1024;

/// Bytes of the longest CommandComplete that is kept back for the number of rows in it. PostgreSQL's tags have 64.
const TAG: usize = 128;

impl Exchange {
    /// Walks over what has come from the server and passes on what the client is to see. What is left in `inbox` is
    /// the beginning of a message that cannot be judged yet.
    ///
    /// # Errors
    /// [`Violation`] for a message that cannot come now; the connection must be closed.
    pub fn receive(&mut self, inbox: &mut BytesMut, out: &mut impl Outlet) -> Result<(), Violation> {
        let walked = self.walk(inbox, out);
        if walked.is_err() {
            self.loss.get_or_insert(Loss::Violation);
        }
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
            let verdict = match (head.kind, self.needed(head.kind, total, out)) {
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

    pub(super) fn settle(&mut self, out: &mut impl Outlet) {
        while let Some(message) = self.queue.take_due_invention() {
            out.pass(message);
        }
    }

    /// Judges a message whose body matters.
    fn understand(&mut self, message: u8, body: &[u8], out: &mut impl Outlet) -> Result<Verdict, Violation> {
        match message {
            kind::READY_FOR_QUERY => {
                self.status = Status::read(body).ok_or(Violation("ReadyForQuery without a status"))?;
                let show = self.ready(out)?;
                if show && !out.ready(self.status) {
                    return Ok(Verdict::Stop);
                }
                let around = out.around(self.told_error).filter(|_| show);
                Ok(around.map_or(show.into(), |status| {
                    let mut message = BytesMut::new();
                    backend::ready_for_query(&mut message, status);
                    Verdict::Replace(message)
                }))
            }
            kind::PARAMETER_STATUS => {
                let (name, value) =
                    backend::parameter_status(body).ok_or(Violation("ParameterStatus without name and value"))?;
                Ok(match out.parameter(name, value) {
                    Say::It => Verdict::Show,
                    Say::Nothing => Verdict::Hide,
                    Say::Instead(message) => Verdict::Replace(message),
                })
            }
            kind::ERROR_RESPONSE => {
                let (left, erred, ended) = (self.queue.left_of_one(), self.erred, self.timing.len());
                let verdict = self.error(body);
                self.queue.take_undone().for_each(|(effect, failed)| out.take_back(effect, failed));
                let show = matches!(verdict, Verdict::Show);
                if show && out.cures(body, left.filter(|_| self.loss.is_none() && !self.doubt.is_lasting())) {
                    self.erred = erred;
                    self.tally.take_back_query();
                    self.timing.take_back(ended);
                    self.queue.hide_end();
                    return Ok(Verdict::Hide);
                }
                out.error();
                self.told_error |= !matches!(verdict, Verdict::Hide);
                // Behind the cure, of which the client hears nothing.
                self.note_told(&verdict);
                let instead = if show { out.reword(body) } else { None };
                Ok(instead.map_or(verdict, Verdict::Replace))
            }
            kind::COMMAND_COMPLETE => {
                if self.queue.is_timed() {
                    self.timing.tag(body);
                }
                let tag = body.strip_suffix(b"\0");
                if let Some(tag) = tag {
                    self.tangle.completed(tag);
                }
                let show = self.step(message)?;
                let instead = tag.filter(|_| show).and_then(|tag| out.complete(tag));
                Ok(instead.map_or(show.into(), Verdict::Replace))
            }
            kind::NOTIFICATION_RESPONSE => Ok(out.notification().into()),
            kind::NOTICE_RESPONSE => {
                // While something runs, it may be that statement's own doing.
                self.said_goodbye |= self.queue.is_empty() && backend::is_goodbye(body);
                Ok(self.step(message)?.into())
            }
            _ => Ok(self.step(message)?.into()),
        }
    }

    /// Bytes of a frame that must be there before it can be judged; 0 when the type is enough.
    fn needed(&self, message: u8, total: usize, out: &impl Outlet) -> usize {
        match message {
            kind::COMMAND_COMPLETE if total <= TAG && (self.queue.is_timed() || self.tangle.is_open()) => total,
            kind::COMMAND_COMPLETE if total <= UNDERSTOOD && out.watches() => total,
            // Not for what is in it.
            kind::NOTIFICATION_RESPONSE => HEAD,
            kind::READY_FOR_QUERY | kind::PARAMETER_STATUS if total <= UNDERSTOOD => total,
            // Severity and code come first; the rest may be a very long context.
            kind::ERROR_RESPONSE | kind::NOTICE_RESPONSE => total.min(UNDERSTOOD),
            _ => 0,
        }
    }

    fn ready(&mut self, out: &mut impl Outlet) -> Result<bool, Violation> {
        if self.doubt.is_lasting() {
            return Ok(true);
        }
        let answers = self.queue.front().map(|(awaits, _)| awaits);
        let by_sync = answers == Some(Awaits::Sync);
        let ends_statement = self.queue.is_timed();
        let disposition = self.queue.pop_sync_point().ok_or(Violation("ReadyForQuery that nothing asked for"))?;
        // A Query commits the extended messages before it.
        self.unsynced &= !self.queue.is_empty();
        self.copy_in = false;
        self.tangle.ready(self.status, by_sync, self.queue.is_empty() && !self.unsynced);
        self.doubt.answered(&self.queue);
        self.timing.ready(ends_statement);
        if disposition.is_shown() {
            if !by_sync {
                self.tally.query();
            }
            self.tally.ready(self.status);
        }
        if disposition == Disposition::Hold && self.guard.ready() {
            out.guard_done();
        }
        Ok(disposition.is_shown())
    }

    /// The client is told an error, by the server or in its place, unless that is hidden.
    fn note_told(&mut self, verdict: &Verdict) {
        let (statement, is_ours) = (self.timing.take_failing(), std::mem::take(&mut self.refused));
        let code = |error: &[u8]| backend::error_field(error.get(HEAD..)?, b'C')?.try_into().ok();
        let sqlstate = match verdict {
            Verdict::Show => self.sqlstate,
            Verdict::Replace(error) => code(error),
            Verdict::Hide | Verdict::Stop => return,
        };
        self.told.push(Told { sqlstate, is_ours, statement });
    }

    /// An error ends a simple query, and makes PostgreSQL skip extended messages, and everything behind them, up to
    /// the next Sync.
    fn error(&mut self, body: &[u8]) -> Verdict {
        self.sqlstate = backend::error_field(body, b'C').and_then(|code| code.try_into().ok());
        let conflict = matches!(self.sqlstate.as_ref(), Some(b"40001" | b"40P01"));
        if backend::is_fatal(body) {
            self.loss = Some(Loss::Fatal);
            self.timing.end_all();
            return Verdict::Show;
        }
        self.copy_in = false;
        self.erred = true;
        self.tangle.error();
        if self.doubt.error() {
            // From now on nothing is expected, and everything is passed on.
            self.queue = ReplyQueue::new();
            let _ = self.timing.lose();
            self.unsynced = false;
        }
        let Some((awaits, disposition)) = self.queue.front() else { return Verdict::Show };
        let before_simple = self.queue.is_next_simple();
        let refusal = if awaits.is_extended() {
            if disposition.is_shown() {
                self.tally.query();
            }
            self.timing.skip(self.queue.timed_to_sync(), conflict);
            self.queue.skip_to_sync()
        } else {
            match awaits {
                Awaits::Sync => self.timing.fail_at_sync(conflict),
                _ if self.queue.is_timed() => self.timing.fail(conflict),
                _ => (),
            }
            self.queue.fail_simple()
        };
        match disposition {
            Disposition::Forward => Verdict::Show,
            Disposition::Quiet => Verdict::Show,
            Disposition::Begin => {
                self.failed_begin = true;
                Verdict::Show
            }
            // PostgreSQL may have found something else to say first.
            Disposition::Refuse => {
                let code = backend::error_field(body, b'C').unwrap_or_default();
                // A Query, for want of its end.
                let is_simple = awaits == Awaits::Query;
                let of_ours = matches!(code, b"26000" | b"42P05") || is_simple && code == b"08P01";
                match refusal.filter(|_| of_ours) {
                    Some(error) => {
                        self.refused = true;
                        Verdict::Replace(error)
                    }
                    None if is_simple => Verdict::Replace(of_own_text(body)),
                    None => Verdict::Show,
                }
            }
            Disposition::Swallow => {
                self.swallowed_error = true;
                Verdict::Hide
            }
            Disposition::Hold if awaits == Awaits::Describe => {
                self.guard.failed(before_simple).map_or(Verdict::Show, Verdict::Replace)
            }
            Disposition::Hold => {
                self.guard.setting_failed(|| error_frame(body));
                Verdict::Hide
            }
        }
    }

    /// Judges a message by its type alone; says whether the client sees it.
    fn step(&mut self, message: u8) -> Result<bool, Violation> {
        use Awaits::*;
        if self.doubt.is_lasting() {
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
            kind::NOTICE_RESPONSE => return Ok(self.queue.shows_notices()),
            _ => return Err(Violation("unexpected message type")),
        };
        let (awaits, disposition) = self.queue.front().ok_or(Violation("reply that nothing asked for"))?;
        if !askers.contains(&awaits) {
            return Err(Violation("reply out of order"));
        }
        if awaits == Describe && self.guard.must_fail() {
            return Err(Violation("settings failed and their guard did not"));
        }
        if disposition == Disposition::Refuse && awaits != Query {
            return Err(Violation("what must fail did not"));
        }
        if message == kind::COPY_IN_RESPONSE {
            self.doubt.copy_in();
            self.copy_in = self.queue.copy_in_started();
            // The Sync behind Execute was read as part of the data; another one has to come.
            self.unsynced |= awaits == Execute && !self.queue.has_sync();
        }
        if complete && awaits != Query {
            if awaits == Execute {
                self.copy_in = false;
                if disposition.is_shown() {
                    self.tally.query();
                }
            }
            let timed = awaits == Execute && self.queue.is_timed();
            if timed && message == kind::PORTAL_SUSPENDED {
                self.timing.suspended();
            }
            self.queue.pop();
            if timed {
                self.timing.answered(self.queue.comes_to_sync());
            }
            self.doubt.answered(&self.queue);
        }
        Ok(disposition.is_shown())
    }

    /// A row, or a piece of COPY data; says whether the client sees it. Never a row that nobody asked for.
    fn row(&mut self) -> Result<bool, Violation> {
        if self.queue.is_timed() {
            self.timing.row();
        }
        match self.queue.front() {
            _ if self.doubt.is_lasting() => Ok(true),
            Some((Awaits::Query | Awaits::Execute, disposition)) => Ok(disposition.is_shown()),
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
