//! Where what a server says goes: to its client, or to nobody.

use super::again::{Again, is_stale};
use super::belief::{Belief, Heard};
use super::exchange::Outlet;
use crate::net::Socket;
use crate::session::{Effect, ServerStatements, Settings, Statements};
use crate::wire::backend::{self, Status};
use crate::wire::frame;
use crate::wire::frontend;
use bytes::BytesMut;
use std::sync::Arc;

/// Who looks at what is said to a client.
pub trait Witness {
    /// A statement was completed with this tag; what the client sees in its place.
    fn complete(&mut self, tag: &[u8]) -> Option<BytesMut>;
    /// Something has failed.
    fn error(&mut self);
    /// The client may have this ReadyForQuery now. False: it is kept back.
    fn ready(&mut self, status: Status) -> bool;
}

/// What comes from a server goes to its client.
pub(super) struct ToClient<'a, 'w> {
    pub(super) client: &'a mut Socket,
    pub(super) told: &'a mut Arc<Settings>,
    pub(super) belief: &'a mut Belief,
    pub(super) prepared: Option<&'a mut Statements>,
    pub(super) statements: &'a mut ServerStatements,
    pub(super) again: &'a mut Again,
    pub(super) stale: &'a mut bool,
    pub(super) blocks: bool,
    pub(super) hears: bool,
    pub(super) witness: Option<&'a mut (dyn Witness + 'w)>,
    pub(super) kept: bool,
    pub(super) leaked: bool,
}

impl Outlet for ToClient<'_, '_> {
    fn pass(&mut self, chunk: BytesMut) {
        self.client.queue(chunk);
    }

    fn parameter(&mut self, name: &[u8], value: &[u8]) -> bool {
        match self.belief.hear(name, value) {
            Heard::Foreign => return true,
            Heard::OfGuard => return false,
            Heard::News => (),
        }
        if self.told.get(name) == Some(value) {
            return false;
        }
        Arc::make_mut(self.told).hear(name, value);
        self.belief.share_with(self.told);
        true
    }

    fn take_back(&mut self, effect: Effect, failed: bool) {
        effect.take_back(failed, self.prepared.as_deref_mut(), self.statements);
    }

    fn cures(&mut self, error: &[u8], left: Option<usize>) -> bool {
        *self.stale |= is_stale(error);
        let (Some(left), Some(prepared)) = (left, self.prepared.as_deref()) else { return false };
        self.again.cures(error, left, prepared, self.told)
    }

    fn reword(&mut self, error: &[u8]) -> Option<BytesMut> {
        let names = self.prepared.as_deref()?;
        let mut reworded = BytesMut::new();
        frontend::message(&mut reworded, backend::kind::ERROR_RESPONSE, |out| names.reword(error, out));
        (reworded.len() > frame::HEAD).then_some(reworded)
    }

    fn ready(&mut self, status: Status) -> bool {
        if !self.blocks && status != Status::Idle {
            return false;
        }
        self.kept = self.witness.as_mut().is_some_and(|witness| !witness.ready(status));
        !self.kept
    }

    fn watches(&self) -> bool {
        self.witness.is_some() || self.statements.awaits_drop()
    }

    fn complete(&mut self, tag: &[u8]) -> Option<BytesMut> {
        if let Some(prepared) = self.prepared.as_mut().filter(|_| self.statements.hears_drop(tag)) {
            prepared.clear_named();
        }
        self.witness.as_mut()?.complete(tag)
    }

    fn error(&mut self) {
        if let Some(witness) = &mut self.witness {
            witness.error();
        }
    }

    fn notification(&mut self) -> bool {
        // Somebody's trigger has made this server listen. Whose, nobody knows.
        self.leaked |= !self.hears;
        self.hears
    }

    fn guard_done(&mut self) {
        let Some(now) = self.belief.guard_done() else { return };
        if Arc::ptr_eq(&now, self.told) {
            return;
        }
        // The server's spelling of a value is what PostgreSQL would have told the client.
        let mut news = BytesMut::new();
        for (name, value) in now.reported().filter(|(name, value)| self.told.get(name) != Some(*value)) {
            backend::put_parameter_status(&mut news, name, value);
        }
        self.client.queue(news);
        *self.told = now;
    }
}

/// Nobody is there to see what comes from the server.
pub(super) struct Nowhere<'a> {
    pub(super) belief: &'a mut Belief,
    pub(super) statements: &'a mut ServerStatements,
    pub(super) passed: bool,
}

impl Outlet for Nowhere<'_> {
    fn pass(&mut self, chunk: BytesMut) {
        // Notices are no sign that anything is wrong.
        self.passed |= chunk.first() != Some(&backend::kind::NOTICE_RESPONSE);
    }

    fn parameter(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.belief.hear(name, value);
        false
    }

    fn take_back(&mut self, effect: Effect, failed: bool) {
        effect.take_back(failed, None, self.statements);
    }

    fn guard_done(&mut self) {
        self.belief.guard_done();
    }
}
