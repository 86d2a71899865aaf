//! A client between two requests: it has no server, and waits for what comes next.

use super::connection::{Client, Step};
use super::deadlines::transaction_timed_out;
use super::request::{Gathered, is_copy};
use super::serve::{Left, shutting_down, take};
use super::turn::{Event, earlier, turn};
use crate::clock::{self, Instant};
use crate::fault::{Blame, Fault, SqlState};
use crate::wire::frame::HEAD;
use crate::wire::frontend::kind;
use bytes::BytesMut;

/// A request, as far as it has been gathered.
pub(super) struct Request {
    pub(super) bytes: BytesMut,
    // The message that ended it; None while it goes on.
    pub(super) end: Option<u8>,
    // The message it begins with.
    pub(super) first: u8,
    // When its client had sent it, wherever it has been since.
    pub(super) received: Instant,
}

impl Client {
    /// Waits for a request while no server is linked.
    pub(super) async fn next_request(&mut self) -> Result<Request, Left> {
        loop {
            // Apart: what a look finds would stay in the future of every client that waits.
            if let Some(found) = self.find_request() {
                return found;
            }
            self.step(Step::Gather);
            self.idle().await?;
        }
    }

    /// A request that is there already, or why there will be none.
    fn find_request(&mut self) -> Option<Result<Request, Left>> {
        if let Some(request) = self.take_again() {
            return Some(Ok(request));
        }
        if let Some(fault) = self.deafness() {
            return Some(Err(Left::Refused(fault)));
        }
        loop {
            match self.gather.look(self.socket.received(), self.rules.request_gather) {
                Err(fault) => return Some(Err(Left::Refused(fault))),
                Ok(Gathered::Terminate) => return Some(Err(Left::Terminated)),
                Ok(Gathered::Take { bytes, end, first }) => {
                    if let Some(request) = self.begin(bytes, end, first) {
                        return Some(Ok(request));
                    }
                }
                // Who is in the middle of a block may end it, as one that holds a server may.
                Ok(Gathered::More)
                    if self.draining && self.gather.is_between(self.socket.received()) && !self.has_read_in_block() =>
                {
                    return Some(Err(Left::Refused(shutting_down())));
                }
                Ok(Gathered::More) => return self.renew().err().map(Err),
            }
        }
    }

    /// What needs no server is dealt with here: a lone Sync or Flush, and what is left of a COPY or of a refused request.
    fn begin(&mut self, bytes: usize, end: Option<u8>, first: Option<u8>) -> Option<Request> {
        let chunk = take(self.socket.inbox(), bytes);
        if let Some(last) = self.skip_to {
            if end == Some(last) {
                self.skip_to = None;
                self.tell_ready();
            }
            return None;
        }
        match first {
            None => None,
            Some(first) if is_copy(first) => None,
            // PostgreSQL complains of either with a body.
            Some(kind::FLUSH) if chunk.len() == HEAD => None,
            Some(kind::SYNC) if chunk.len() == HEAD => {
                self.tell_ready();
                None
            }
            Some(first) => Some(Request { bytes: chunk, end, first, received: self.now }),
        }
    }

    async fn idle(&mut self) -> Result<(), Left> {
        let limits = &self.shape.settings;
        let in_block = limits.idle_transaction_timeout.filter(|_| self.block.is_some());
        let limit = in_block.or(limits.client_idle_timeout);
        let deadline = earlier(self.end_of_block(), limit.and_then(|limit| self.now.checked_add(limit)));
        match turn(self, None, deadline).await {
            Event::Client => {
                self.now = clock::now();
                Ok(())
            }
            Event::ClientGone => Err(Left::Gone),
            Event::Mail(mail) => {
                self.draining |= mail.drain;
                self.hear_hub(mail.hub);
                if self.block.is_none() {
                    self.tell_news();
                }
                // A cancel finds nothing to cancel.
                if mail.kill { Err(Left::Refused(self.dismissal())) } else { Ok(()) }
            }
            Event::Deadline if self.end_of_block().is_some_and(|end| end <= clock::now()) => {
                Err(Left::Refused(transaction_timed_out()))
            }
            Event::Deadline if in_block.is_some() => Err(Left::Refused(Fault::fatal(
                Blame::Limit,
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle_transaction_timeout",
            ))),
            Event::Deadline => Err(Left::Refused(Fault::fatal(
                Blame::Limit,
                SqlState::IDLE_SESSION_TIMEOUT,
                "terminating connection due to client_idle_timeout",
            ))),
            Event::TooMuch => Err(Left::Refused(self.holding.shed())),
            Event::Server | Event::ServerGone => Ok(()),
        }
    }
}
