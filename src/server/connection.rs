//! One connection to PostgreSQL, logged in, with what is believed of its state.

mod idle;
mod news;

use super::again::Again;
use super::belief::Belief;
use super::cancel::CancelTarget;
use super::exchange::{Boundary, Exchange, Violation};
use super::outlets::{Hearing, ToClient, Witness};
use super::portals::Portals;
use super::sequences::Sequences;
use super::slot::Slot;
use crate::activity::{Line, ServerActivity, ServerState};
use crate::clock::Instant;
use crate::ids::{ClientId, ServerId};
use crate::net::Socket;
use crate::session::{ServerStatements, Settings, Statements};
use crate::wire::frontend;
use bytes::BytesMut;
use std::sync::Arc;

/// Any host's kernel takes this much from us without its PostgreSQL reading it. What is more may close the window, and
/// TCP_USER_TIMEOUT counts the time for which a window is closed as if the host were dead.
const ANY_WINDOW: usize = 32 * 1024;

/// Of so many pipelines of a server the statements of one are told apart, up to its Sync, however long its client goes on behind that: each
/// Flush costs the server a write, and us a read.
const PIPELINES: u8 = 16;

impl Drop for Server {
    /// A bug in its client's task drops it in the middle of a statement, without a [`repair`](super::repair()).
    fn drop(&mut self) {
        if std::thread::panicking() && self.exchange.owes() {
            self.slot.forsaken = Some(self.cancel.clone());
        }
    }
}

/// A connection to PostgreSQL. Dropping it closes it and gives its slot back.
pub struct Server {
    /// Names it in logs.
    pub id: ServerId,
    pub(super) socket: Socket,
    pub(super) exchange: Exchange,
    pub(super) belief: Belief,
    pub(super) cancel: Arc<CancelTarget>,
    // Whose sequences currval and lastval would tell of.
    pub(super) sequences: Sequences,
    // What it has prepared.
    pub(super) statements: ServerStatements,
    // The request sent last, as far as it may be sent once more.
    pub(super) again: Again,
    // As what its client is counted when it executes one.
    pub(super) portals: Portals,
    // Since the last one whose statements were told apart.
    pipelines: u8,
    // A statement was refused because of what has changed since it was prepared.
    stale: bool,
    // It has said what the primary does not say, or a read-only transaction does.
    role_in_doubt: bool,
    // It holds what some client has left there, and nobody knows whose it is: it listens, for one.
    leaked: bool,
    // PostgreSQL has asked for a password that it keeps, and looked at its end.
    pub(super) role_is_proven: bool,
    // Bytes of the client sent since nothing was owed; above ANY_WINDOW there is no TCP_USER_TIMEOUT.
    unread: usize,
    opened: Instant,
    last_used: Instant,
    activity: Arc<ServerActivity>,
    slot: Slot,
}

const _: () = {
    const fn is_send<T: Send>() {}
    // An idle server may move to another worker.
    is_send::<Server>();
};

/// A server that may serve another client: nothing owed, nothing left behind. Made only in this room.
pub struct CleanServer(pub(super) Box<Server>);

impl CleanServer {
    /// For the pool that takes it in.
    pub fn into_inner(self) -> Box<Server> {
        self.0
    }

    /// In transaction mode nothing needs to be undone: the next client's settings go in front of its first request.
    pub fn kept(server: Box<Server>, _proof: Boundary) -> Self {
        Self(server)
    }
}

impl Server {
    /// Wraps a connection that has just logged in. For `home` see [`Settings::lacking`].
    pub(super) fn new(
        id: ServerId,
        socket: Socket,
        (settings, home): (Arc<Settings>, Arc<Settings>),
        cancel: CancelTarget,
        now: Instant,
        generation: u64,
    ) -> Self {
        let line = Line { pid: u32::try_from(cancel.key.pid).unwrap_or(0), ..socket.line() };
        Self {
            id,
            activity: Arc::new(ServerActivity::new(id, line, generation, now)),
            socket,
            exchange: Exchange::default(),
            belief: Belief::new(settings, home),
            cancel: Arc::new(cancel),
            sequences: Sequences::Nobodys,
            statements: ServerStatements::default(),
            again: Again::default(),
            portals: Portals::default(),
            // Also servers that have few have their share.
            pipelines: u8::try_from(id.0 % u64::from(PIPELINES)).unwrap_or(0),
            stale: false,
            role_in_doubt: false,
            leaked: false,
            role_is_proven: false,
            unread: 0,
            opened: now,
            last_used: now,
            slot: Slot::default(),
        }
    }

    /// Gives it the pool's slot.
    pub fn with_slot(mut self: Box<Self>, slot: Slot) -> Box<Self> {
        self.slot = slot;
        self
    }

    /// Gives the slot back, although it is still open.
    pub(super) fn leave_slot(&mut self) {
        self.slot = Slot::default();
    }

    /// When it logged in.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Whether PostgreSQL has looked at the role's `VALID UNTIL` when it let this in.
    pub fn is_role_proven(&self) -> bool {
        self.role_is_proven
    }

    /// Generation of the configuration it was opened with; 0 if it is to be closed whatever that was.
    pub fn generation(&self) -> u64 {
        self.activity.generation()
    }

    /// What it does, for whoever asks.
    pub fn activity(&self) -> &Arc<ServerActivity> {
        &self.activity
    }

    /// It serves this client from now on, until it is used or brought back.
    pub fn serves(&self, client: ClientId, now: Instant) {
        self.activity.does(ServerState::Active(client));
        self.activity.requests(now);
    }

    /// Its process in PostgreSQL.
    pub fn pid(&self) -> i32 {
        self.cancel.key.pid
    }

    /// Where a cancel request for it goes.
    pub fn cancel_target(&self) -> Arc<CancelTarget> {
        self.cancel.clone()
    }

    /// The conversation.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The socket, for `client::turn`.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Nothing owed and nothing left in a buffer.
    pub fn boundary(&self) -> Option<Boundary> {
        if self.socket.received().is_empty() && self.socket.queued() == 0 { self.exchange.boundary() } else { None }
    }

    /// Queues bytes of the client.
    pub fn send(&mut self, chunk: BytesMut) {
        self.again.forget();
        self.exchange.sending(&chunk);
        self.queue(chunk);
    }

    /// It was asked how many statements it has under names of ours. Any other number than is believed: some have been dropped, and
    /// nobody knows which.
    pub fn note_statements(&mut self, count: usize) {
        if self.statements.count() != count {
            self.statements.doubt();
        }
    }

    /// See [`Exchange::refuse_under_way`].
    pub fn refuse_under_way(&mut self, error: BytesMut) {
        self.exchange.refuse_under_way(error);
    }

    /// All its statements may be dropped by what was sent last. Nothing is sent behind it while that is open.
    pub fn await_drop(&mut self) {
        self.statements.await_drop();
    }

    /// Whether that is open: what is dropped in it is dropped for the client as well.
    pub fn awaits_drop(&self) -> bool {
        self.statements.awaits_drop()
    }

    /// Whether it has an unnamed statement, which a Query would drop.
    pub fn has_unnamed(&self) -> bool {
        self.statements.has_any_unnamed()
    }

    /// The next answer of our own that the client may have now; see [`Exchange::take_due`].
    pub fn take_due(&mut self) -> Option<BytesMut> {
        self.exchange.take_due()
    }

    /// Queues bytes that the exchange knows of already.
    pub(super) fn queue(&mut self, chunk: BytesMut) {
        let before = self.unread;
        self.unread = before.saturating_add(chunk.len());
        if before <= ANY_WINDOW && self.unread > ANY_WINDOW {
            self.socket.set_user_timeout(None);
        }
        self.socket.queue(chunk);
    }

    /// Several statements are sent together. They are told apart in one pipeline of [`PIPELINES`].
    pub(super) fn begin_pipeline(&mut self) {
        self.pipelines = (self.pipelines + 1) % PIPELINES;
        if self.pipelines == 0 {
            self.exchange.tell_apart();
        }
    }

    /// Everything sent has been read.
    pub(super) fn note_all_read(&mut self) {
        if std::mem::take(&mut self.unread) > ANY_WINDOW {
            self.socket.set_user_timeout(self.cancel.options.user_timeout);
        }
    }

    /// Behind statements that were only prepared a client may fall silent, and needs no server for that: sends the Sync that
    /// it has not sent, whose answer nobody sees.
    pub fn send_early_sync(&mut self) {
        if self.exchange.has_only_prepared() {
            self.send_sync(super::Disposition::Swallow);
        }
    }

    /// A request that a failed guard swallowed has no Sync of its own: sends one, whose ReadyForQuery is the client's.
    pub fn send_wanted_sync(&mut self) {
        if self.exchange.take_wanted_sync() {
            self.send_sync(super::Disposition::Forward);
        }
    }

    /// Has PostgreSQL say what it keeps back. In the middle of a COPY it ignores this.
    pub fn send_flush(&mut self) {
        let mut flush = BytesMut::new();
        frontend::message(&mut flush, frontend::kind::FLUSH, |_| ());
        self.socket.queue(flush);
    }

    pub(super) fn send_sync(&mut self, disposition: super::Disposition) {
        let mut sync = BytesMut::new();
        frontend::sync(&mut sync);
        self.exchange.sending_own(frontend::kind::SYNC, disposition);
        self.socket.queue(sync);
    }

    /// Passes what has come from the server to the client's socket, or adds it to what is `held` back. `settings` are the client's, as it was last told;
    /// `statements` what it has prepared, as far as was believed until now. True: the `witness` keeps a ReadyForQuery back; behind it nothing has been passed on yet.
    ///
    /// # Errors
    /// [`Violation`]: the server must be closed.
    pub fn receive(
        &mut self,
        client: &mut Socket,
        held: Option<&mut BytesMut>,
        settings: &mut Arc<Settings>,
        statements: Option<&mut Statements>,
        hearing: &Hearing<'_>,
        witness: Option<&mut dyn Witness>,
    ) -> Result<bool, Violation> {
        let mut out = ToClient {
            client,
            held,
            told: settings,
            belief: &mut self.belief,
            prepared: statements,
            statements: &mut self.statements,
            again: &mut self.again,
            stale: &mut self.stale,
            role_in_doubt: &mut self.role_in_doubt,
            hearing,
            witness,
            kept: false,
            leaked: false,
        };
        self.exchange.receive(self.socket.inbox(), &mut out)?;
        let (kept, leaked) = (out.kept, out.leaked);
        self.leaked |= leaked;
        if !self.exchange.owes() {
            self.note_all_read();
            self.statements.end_drop();
            if !self.again.is_due() {
                self.again.forget();
            }
        }
        self.note_failed_guard();
        Ok(kept)
    }

    /// A guard may have failed: what it was to do is undone.
    pub(super) fn note_failed_guard(&mut self) {
        if self.exchange.take_failed_guard() {
            self.belief.guard_failed();
            self.doubt_sequences();
        }
    }
}
