//! What has come of what was sent, for its client to ask: failures, requests to be sent once more, and statements that have ended.

use super::super::exchange::{Ended, Told};
use super::Server;
use crate::clock::Instant;
use crate::metrics::Answered;
use bytes::BytesMut;
use std::time::Duration;

impl Server {
    /// Whether a statement has been refused since the last call because its result would have other columns than when it was
    /// prepared.
    pub fn take_stale(&mut self) -> bool {
        std::mem::take(&mut self.stale)
    }

    /// Whether it has said since the last call what makes one ask whether its host is what it was taken for.
    pub fn take_role_in_doubt(&mut self) -> bool {
        std::mem::take(&mut self.role_in_doubt)
    }

    /// Whether the request sent last will be sent once more: nothing goes in front of that.
    pub fn awaits_again(&self) -> bool {
        self.again.is_due()
    }

    /// The request sent last, or the rest of it, if that is to be sent once more and the time has come; and the name of the statement
    /// that is to be prepared anew for it. Nothing of it was run, and its client was told nothing.
    pub fn take_again(&mut self) -> Option<(Box<[u8]>, BytesMut)> {
        if self.exchange.owes() { None } else { self.again.take() }
    }

    /// What was sent last is not sent once more, whatever becomes of it.
    pub fn send_only_once(&mut self) {
        self.again.forget();
    }

    /// Another transaction begins there: what has failed before is nothing to it.
    pub fn forget_failures(&mut self) {
        let _ = (self.exchange.take_erred(), self.exchange.take_failed_begin(), std::mem::take(&mut self.stale));
        self.exchange.forget_told();
        self.again.forget();
        self.statements.forget_drop();
        self.portals.end();
    }

    /// See [`Exchange::take_failed_begin`](super::super::Exchange::take_failed_begin).
    pub fn take_failed_begin(&mut self) -> bool {
        self.exchange.take_failed_begin()
    }

    /// Whether the client was told an error since the last call.
    pub fn take_erred(&mut self) -> bool {
        self.exchange.take_erred()
    }

    /// The same, and it goes on to be so.
    pub fn has_erred(&self) -> bool {
        self.exchange.has_erred()
    }

    /// Whether the client was told an error in the transaction under way.
    pub fn has_told_error(&self) -> bool {
        self.exchange.has_told_error()
    }

    /// Whether it reads the data of a COPY, and was sent all of it that is here.
    pub fn has_all_data(&self) -> bool {
        self.exchange.copy_in() && self.socket.queued() == 0
    }

    /// See [`Exchange::leave_out`](super::super::Exchange::leave_out).
    pub fn leave_out(&mut self, waited: Duration) {
        self.exchange.leave_out(waited);
    }

    /// Says when statements have ended that it has not been said of yet.
    pub fn ended_at(&mut self, now: Instant) {
        self.exchange.ended_at(now);
    }

    /// See [`Exchange::take_together`](super::super::Exchange::take_together).
    pub fn take_together(&mut self) -> bool {
        self.exchange.take_together()
    }

    /// See [`Exchange::take_ended`](super::super::Exchange::take_ended).
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.exchange.take_ended()
    }

    /// See [`Exchange::take_told`](super::super::Exchange::take_told).
    pub fn take_told(&mut self) -> Option<Told> {
        self.exchange.take_told()
    }

    /// See [`Exchange::lose_statements`](super::super::Exchange::lose_statements).
    pub fn lose_statements(&mut self) -> usize {
        self.exchange.lose_statements()
    }

    /// What has been answered to the client since the last call.
    pub fn take_answered(&mut self) -> Answered {
        self.exchange.take_answered()
    }
}
