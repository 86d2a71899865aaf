//! A server that nobody uses, or no longer: whether it may serve another client, and how it is closed.

use super::super::outlets::Nowhere;
use super::Server;
use crate::activity::ServerState;
use crate::clock::Instant;
use crate::wire::frontend;
use bytes::BytesMut;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An idle server that has more to say than fits into so many receives, of 8 KiB each, is of no use.
const TALKATIVE: usize = 16;

/// See [`Server::is_newborn`].
const NEWBORN: Duration = Duration::from_secs(1);

impl Server {
    /// When it last went idle.
    pub fn last_used(&self) -> Instant {
        self.last_used
    }

    /// Whether its login was a moment ago and it has not gone idle since: if it is dead, its host throws out whom it
    /// lets in.
    pub fn is_newborn(&self, now: Instant) -> bool {
        self.last_used <= self.opened && now.saturating_duration_since(self.opened) < NEWBORN
    }

    /// Notes that it goes idle.
    pub fn used(&mut self, now: Instant) {
        self.last_used = now;
        self.activity.does(ServerState::Idle);
        self.activity.has_prepared(self.statements.count());
        // What was answered when its client had gone is not the next one's, nor what it has sent.
        let _ = self.exchange.take_answered();
        self.exchange.forget_statements();
        self.portals.end();
        self.again.forget();
        self.socket.end_bulk();
    }

    /// Whether a cancel request for it may still be on its way.
    pub fn cancel_under_way(&self) -> bool {
        Arc::strong_count(&self.cancel) > 1
    }

    /// Something has been found there that is nobody's: no other client gets it.
    pub fn doom(&mut self) {
        self.leaked = true;
    }

    /// Whether nobody else may get it: a cancel request may still hit it although nobody waits for that any more, it has
    /// announced its end, or something was found there that nobody has asked of it.
    pub fn has_no_future(&self) -> bool {
        let doomed = self.leaked || self.exchange.said_goodbye() || self.belief.is_beyond_memory();
        doomed || self.cancel.astray.load(Ordering::Relaxed) > 0
    }

    /// An idle server that the runtime knows to have something to say. Parameters and notices are taken in; false when
    /// it said anything else, or is gone: it must be closed.
    pub fn still_idle(&mut self) -> bool {
        for _ in 0..TALKATIVE {
            match self.socket.try_recv() {
                Ok(None) => return self.socket.received().is_empty(),
                Err(_) | Ok(Some(0)) => return false,
                Ok(Some(_)) if !self.take_in() => return false,
                Ok(Some(_)) => (),
            }
        }
        false
    }

    /// Takes in parameters and notices that an idle server has sent; false when it said anything else.
    pub(in crate::server) fn take_in(&mut self) -> bool {
        let mut out = Nowhere { belief: &mut self.belief, statements: &mut self.statements, passed: false };
        let received = self.exchange.receive(self.socket.inbox(), &mut out);
        received.is_ok() && !out.passed && self.exchange.boundary().is_some() && !self.exchange.said_goodbye()
    }

    /// Brings an idle server to this worker's runtime. False: it is gone, or has something to say that this runtime
    /// would not know of in time: it must be closed.
    pub fn move_here(&mut self) -> bool {
        matches!(self.socket.move_here(), Ok(true))
    }

    /// Closes it for a pool that has freed the slot already.
    pub fn retire(mut self) {
        self.slot.keep();
        self.say_goodbye();
    }

    /// Sends Terminate if that can be done at once; PostgreSQL would end without it too.
    fn say_goodbye(&mut self) {
        let mut goodbye = BytesMut::new();
        frontend::terminate(&mut goodbye);
        self.socket.queue(goodbye);
        self.socket.flush_now();
    }
}
