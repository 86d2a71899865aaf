//! What goes to the server: an entry of the reply queue for each message that is answered.

use super::super::reply_queue::{Awaits, Disposition};
use super::Exchange;
use crate::session::Effect;
use crate::wire::frame::{HEAD, Head};
use crate::wire::frontend;
use bytes::BytesMut;

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
    /// with [`FAILS`](super::FAILS) in its text. If it fails for that (26000 or 42P05), the client is told `error`, an ErrorResponse, instead.
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

    /// Answers `message` to the client when everything sent before has been answered; see [`Exchange::take_due`].
    pub fn invent(&mut self, message: BytesMut) {
        if !self.doubt.is_lasting() {
            self.queue.push_invented(message);
        }
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
        if matches!(awaits, Awaits::Sync | Awaits::Query | Awaits::FunctionCall) {
            self.timing.end_request();
        }
        owed
    }
}

fn frame_len(frame: &[u8]) -> usize {
    Head::read(frame).and_then(Head::frame_len).unwrap_or(HEAD)
}
