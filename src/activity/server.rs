//! What one server does.

use super::{Line, ServerSeen, Since};
use crate::clock::Instant;
use crate::ids::{ClientId, ServerId};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

const IDLE: u64 = 0;
const REPAIR: u64 = u64::MAX;

/// Older than every configuration: those are numbered from 1.
const OUTDATED: u64 = 0;

/// One server. Written by whoever holds it.
#[derive(Debug)]
pub struct ServerActivity {
    /// Names it.
    pub id: ServerId,
    /// When it was opened.
    pub connected: Instant,
    /// Its connection; the process is PostgreSQL's.
    pub line: Line,
    generation: AtomicU64,
    // Its host may not be written to any more.
    revoked: AtomicBool,
    requested: Since,
    // The number of its client, or one of the two above: clients are numbered from 1.
    link: AtomicU64,
    prepared: AtomicUsize,
    cancelled: AtomicBool,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// It can be had.
    Idle,
    /// Its client has left it in the middle of something; or its session is being reset.
    InRepair,
    /// It serves this one.
    Active(ClientId),
}

impl ServerActivity {
    /// Of a server that has served nobody yet.
    pub fn new(id: ServerId, line: Line, generation: u64, now: Instant) -> Self {
        let (generation, link) = (AtomicU64::new(generation), AtomicU64::new(IDLE));
        let revoked = AtomicBool::new(false);
        let (requested, prepared, cancelled) = (Since::default(), AtomicUsize::new(0), AtomicBool::new(false));
        Self { id, connected: now, line, generation, revoked, requested, link, prepared, cancelled }
    }

    /// Of the configuration that it was opened with, or 0.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// It is to be closed when it is idle, whatever it was opened with. False: it was so already.
    pub fn outdate(&self) -> bool {
        self.generation.swap(OUTDATED, Ordering::Relaxed) != OUTDATED
    }

    /// Nothing that it says from now on is to be believed: its host is not what it was taken for. It is outdated as well.
    pub fn revoke(&self) {
        self.outdate();
        self.revoked.store(true, Ordering::Release);
    }

    /// See [`Self::revoke`]. Costs one load.
    pub fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }

    /// It gets a request.
    pub fn requests(&self, now: Instant) {
        self.requested.set(self.connected, now);
    }

    /// It does something else now.
    pub fn does(&self, state: ServerState) {
        let link = match state {
            ServerState::Idle => IDLE,
            ServerState::InRepair => REPAIR,
            ServerState::Active(client) => client.0,
        };
        self.link.store(link, Ordering::Relaxed);
    }

    /// It has prepared so many statements under PgOtter's names.
    pub fn has_prepared(&self, statements: usize) {
        self.prepared.store(statements, Ordering::Relaxed);
    }

    /// Whether a cancel request for it is on its way.
    pub fn is_cancelled(&self, cancelled: bool) {
        self.cancelled.store(cancelled, Ordering::Relaxed);
    }

    /// As it is now. What is older than `generation` is closed when it is idle.
    pub fn seen(&self, generation: u64) -> ServerSeen {
        let state = match self.link.load(Ordering::Relaxed) {
            IDLE => ServerState::Idle,
            REPAIR => ServerState::InRepair,
            client => ServerState::Active(ClientId(client)),
        };
        ServerSeen {
            id: self.id,
            line: self.line,
            connected: self.connected,
            requested: self.requested.get(self.connected),
            state,
            outdated: self.generation() < generation,
            prepared: self.prepared.load(Ordering::Relaxed),
            is_cancelled: self.cancelled.load(Ordering::Relaxed),
        }
    }
}
