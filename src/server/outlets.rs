//! Where what a server says goes: to its client, or to nobody.

use super::again::{Again, is_stale};
use super::belief::{Belief, Heard};
use super::exchange::{Outlet, Say};
use crate::net::Socket;
use crate::session::{Effect, Resets, ServerStatements, Settings, Statements};
use crate::wire::backend::{self, Status};
use crate::wire::frame;
use crate::wire::frontend;
use bytes::BytesMut;
use std::sync::Arc;

/// Reported by a standby that has been promoted. Source: PostgreSQL documentation, "Protocol Flow", ParameterStatus.
const IN_HOT_STANDBY: &[u8] = b"in_hot_standby";

/// What a standby says to a write, and any server in a read-only transaction.
const READ_ONLY: &[u8] = b"25006";

/// Who looks at what is said to a client.
pub trait Witness {
    /// A statement was completed with this tag; what the client sees in its place.
    fn complete(&mut self, tag: &[u8]) -> Option<BytesMut>;
    /// Something has failed.
    fn error(&mut self);
    /// The client may have this ReadyForQuery now. False: it is kept back.
    fn ready(&mut self, status: Status) -> bool;
}

/// What a client may hear of its server.
pub struct Hearing<'a> {
    /// Blocks. If not, nothing is passed on from the ReadyForQuery on that shows an open transaction.
    pub blocks: bool,
    /// What runs is a part of a block that the server knows nothing of.
    pub apart: bool,
    /// What the server listens to: it does so for this client.
    pub notifications: bool,
    /// Settings that RESET brings to the server's default, and PgOtter then to what the client came with: it is told of that.
    pub resets: Option<&'a Resets>,
    /// What it came with.
    pub base: &'a Settings,
    /// Where it could write, if it came to where it cannot.
    pub writer: Option<&'a str>,
}

impl Hearing<'_> {
    fn restored(&self, name: &[u8]) -> Option<&[u8]> {
        if self.resets?.are_said_of(name) { self.base.own(name) } else { None }
    }
}

/// What comes from a server goes to its client.
pub(super) struct ToClient<'a, 'w> {
    pub(super) client: &'a mut Socket,
    pub(super) held: Option<&'a mut BytesMut>,
    pub(super) told: &'a mut Arc<Settings>,
    pub(super) belief: &'a mut Belief,
    pub(super) prepared: Option<&'a mut Statements>,
    pub(super) statements: &'a mut ServerStatements,
    pub(super) again: &'a mut Again,
    pub(super) stale: &'a mut bool,
    pub(super) role_in_doubt: &'a mut bool,
    pub(super) hearing: &'a Hearing<'a>,
    pub(super) witness: Option<&'a mut (dyn Witness + 'w)>,
    pub(super) kept: bool,
    pub(super) leaked: bool,
}

impl Outlet for ToClient<'_, '_> {
    fn pass(&mut self, chunk: BytesMut) {
        match &mut self.held {
            Some(held) if held.is_empty() => **held = chunk,
            Some(held) => held.extend_from_slice(&chunk),
            None => self.client.queue(chunk),
        }
    }

    fn parameter(&mut self, name: &[u8], value: &[u8]) -> Say {
        match self.belief.hear(name, value) {
            Heard::Foreign => {
                *self.role_in_doubt |= name == IN_HOT_STANDBY;
                return Say::It;
            }
            Heard::OfGuard => return Say::Nothing,
            Heard::News => (),
        }
        let is_default = self.belief.home().get(name) == Some(value);
        let restored = if is_default { self.hearing.restored(name) } else { None };
        let news = restored.unwrap_or(value);
        if self.told.get(name) == Some(news) {
            return Say::Nothing;
        }
        Arc::make_mut(self.told).hear(name, news);
        self.belief.share_with(self.told);
        if restored.is_none() {
            return Say::It;
        }
        let mut message = BytesMut::new();
        backend::put_parameter_status(&mut message, name, news);
        Say::Instead(message)
    }

    fn take_back(&mut self, effect: Effect, failed: bool) {
        effect.take_back(failed, self.prepared.as_deref_mut(), self.statements);
    }

    fn cures(&mut self, error: &[u8], left: Option<usize>) -> bool {
        *self.stale |= is_stale(error);
        // A client that only reads by its own will has nothing to say of its server.
        *self.role_in_doubt |= self.hearing.writer.is_none() && backend::error_field(error, b'C') == Some(READ_ONLY);
        let (Some(left), Some(prepared)) = (left, self.prepared.as_deref()) else { return false };
        self.again.cures(error, left, prepared, self.told)
    }

    fn reword(&mut self, error: &[u8]) -> Option<BytesMut> {
        if let Some(writer) = self.hearing.writer
            && backend::error_field(error, b'C') == Some(READ_ONLY)
        {
            return Some(backend::with_hint(error, &format!("Connect to database \"{writer}\" to write.")));
        }
        let names = self.prepared.as_deref()?;
        let mut reworded = BytesMut::new();
        frontend::message(&mut reworded, backend::kind::ERROR_RESPONSE, |out| names.reword(error, out));
        (reworded.len() > frame::HEAD).then_some(reworded)
    }

    fn ready(&mut self, status: Status) -> bool {
        if !self.hearing.blocks && status != Status::Idle {
            return false;
        }
        self.kept = self.witness.as_mut().is_some_and(|witness| !witness.ready(status));
        !self.kept
    }

    fn around(&self, failed: bool) -> Option<Status> {
        let status = if failed { Status::Failed } else { Status::InTransaction };
        self.hearing.apart.then_some(status)
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
        self.leaked |= !self.hearing.notifications;
        self.hearing.notifications
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

    fn parameter(&mut self, name: &[u8], value: &[u8]) -> Say {
        self.belief.hear(name, value);
        Say::Nothing
    }

    fn take_back(&mut self, effect: Effect, failed: bool) {
        effect.take_back(failed, None, self.statements);
    }

    fn guard_done(&mut self) {
        self.belief.guard_done();
    }
}
