//! What one client does.

use super::{ClientSeen, Line, Rest, Since};
use crate::clock::Instant;
use crate::ids::{ClientId, ServerId};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const IDLE: u64 = 0;
const WAITING: u64 = u64::MAX;

/// One client. Written by its own task alone.
#[derive(Debug)]
pub struct ClientActivity {
    /// Names it.
    pub id: ClientId,
    /// When it was let in.
    pub connected: Instant,
    /// Its connection.
    pub line: Line,
    requested: Since,
    // The number of its server, or one of the two above: servers are numbered from 1.
    link: AtomicU64,
    prepared: AtomicUsize,
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// It has asked for nothing.
    Idle,
    /// It waits for a server.
    Waiting,
    /// It has this one.
    Active(ServerId),
}

/// What a client does, as metrics call it. Every client does exactly one of these. The order is that of [`Doing::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Its statement runs; or nothing of that, and it keeps its server without being pinned, as in session mode.
    Active,
    /// It has no server, and has asked for none.
    Idle,
    /// It waits for a server.
    Waiting,
    /// It has a server, in a transaction, and everything it has asked for is answered.
    IdleInTransaction,
    /// The same between two transactions, and it is pinned: nobody else gets its server.
    Pinned,
}

impl Doing {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Active, "active"),
        (Self::Idle, "idle"),
        (Self::Waiting, "waiting"),
        (Self::IdleInTransaction, "idle_in_transaction"),
        (Self::Pinned, "pinned"),
    ];
}

impl ClientActivity {
    /// Of a client that has asked for nothing yet.
    pub fn new(id: ClientId, line: Line, now: Instant) -> Self {
        Self {
            id,
            connected: now,
            line,
            requested: Since::default(),
            link: AtomicU64::new(IDLE),
            prepared: AtomicUsize::new(0),
        }
    }

    /// A request has come.
    pub fn requests(&self, now: Instant) {
        self.requested.set(self.connected, now);
    }

    /// Everything is answered, and it keeps its server. Until it [`Self::requests`] again.
    pub fn rests(&self, rest: Rest) {
        self.requested.mark(rest as u64);
    }

    /// It does something else now.
    pub fn does(&self, state: ClientState) {
        let link = match state {
            ClientState::Idle => IDLE,
            ClientState::Waiting => WAITING,
            ClientState::Active(server) => server.0,
        };
        self.link.store(link, Ordering::Relaxed);
    }

    /// It has prepared so many statements that have names.
    pub fn has_prepared(&self, statements: usize) {
        self.prepared.store(statements, Ordering::Relaxed);
    }

    /// As it is now, under the names that whoever keeps the record knows.
    pub fn seen(&self, user: String, database: String, application_name: Vec<u8>) -> ClientSeen {
        ClientSeen {
            id: self.id,
            user,
            database,
            application_name,
            line: self.line,
            connected: self.connected,
            requested: self.requested.get(self.connected),
            state: self.state(),
            rest: self.rest(),
            pin: None,
            prepared: self.prepared.load(Ordering::Relaxed),
            statement: None,
        }
    }

    /// In one word, which whoever knows of its pins may ask for without a copy of its names.
    pub fn doing(&self, is_pinned: bool) -> Doing {
        match (self.state(), self.rest()) {
            (ClientState::Idle, _) => Doing::Idle,
            (ClientState::Waiting, _) => Doing::Waiting,
            (ClientState::Active(_), Rest::InTransaction) => Doing::IdleInTransaction,
            (ClientState::Active(_), Rest::Between) if is_pinned => Doing::Pinned,
            (ClientState::Active(_), Rest::No | Rest::Between) => Doing::Active,
        }
    }

    fn state(&self) -> ClientState {
        match self.link.load(Ordering::Relaxed) {
            IDLE => ClientState::Idle,
            WAITING => ClientState::Waiting,
            server => ClientState::Active(ServerId(server)),
        }
    }

    fn rest(&self) -> Rest {
        match self.requested.marked() {
            1 => Rest::InTransaction,
            2 => Rest::Between,
            _ => Rest::No,
        }
    }
}
