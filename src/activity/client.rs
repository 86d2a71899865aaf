//! What one client does.

use super::{ClientSeen, Line, Rest, Since};
use crate::clock::Instant;
use crate::ids::{ClientId, ServerId};
use std::sync::atomic::{AtomicU64, Ordering};

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

impl ClientActivity {
    /// Of a client that has asked for nothing yet.
    pub fn new(id: ClientId, line: Line, now: Instant) -> Self {
        Self { id, connected: now, line, requested: Since::default(), link: AtomicU64::new(IDLE) }
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

    /// As it is now, under the names that whoever keeps the record knows.
    pub fn seen(&self, user: String, database: String, application_name: Vec<u8>) -> ClientSeen {
        let state = match self.link.load(Ordering::Relaxed) {
            IDLE => ClientState::Idle,
            WAITING => ClientState::Waiting,
            server => ClientState::Active(ServerId(server)),
        };
        ClientSeen {
            id: self.id,
            user,
            database,
            application_name,
            line: self.line,
            connected: self.connected,
            requested: self.requested.get(self.connected),
            state,
            rest: match self.requested.marked() {
                1 => Rest::InTransaction,
                2 => Rest::Between,
                _ => Rest::No,
            },
            pin: None,
            statement: None,
        }
    }
}
