//! Who does what: a small record for each client and each server, written on the query path by the one task that owns
//! it and read by whoever asks. Writing is a relaxed store: no lock, no clock, no allocation.
//!
//! Knows nothing of pools, names or sockets: whoever keeps a record knows what it belongs to. What is read may be a moment
//! old, and two records that are read one after the other may not agree.

mod client;
mod line;
mod server;

pub use client::{ClientActivity, ClientState, Doing};
pub use line::{End, Line, cipher_suite_name};
pub use server::{ServerActivity, ServerState};

use crate::clock::Instant;
use crate::ids::{ClientId, ServerId};
use crate::metrics::Name;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One client as it was seen.
#[derive(Clone, Debug)]
pub struct ClientSeen {
    /// Names it.
    pub id: ClientId,
    /// As it logged in.
    pub user: String,
    /// As it asked for.
    pub database: String,
    /// What it says of itself; may be anything but UTF-8.
    pub application_name: Vec<u8>,
    /// Its connection.
    pub line: Line,
    /// Since when.
    pub connected: Instant,
    /// When its last request came; when it was let in, before the first.
    pub requested: Instant,
    /// What it does.
    pub state: ClientState,
    /// What it asked for last is answered.
    pub rest: Rest,
    /// Why it keeps its server over transactions, in words, and since when.
    pub pin: Option<(String, Instant)>,
    /// Statements with names that it has prepared; 0 in session mode.
    pub prepared: usize,
    /// What it has asked for last, as it is counted; `None`: nothing, or it is not known. While it waits for a server that is what it
    /// had asked for before.
    pub statement: Option<Name>,
}

/// What a client that has a server waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// An answer.
    No,
    /// Nothing, in a transaction.
    InTransaction,
    /// Nothing, between two transactions: the server is kept for it.
    Between,
}

/// One server as it was seen.
#[derive(Clone, Debug)]
pub struct ServerSeen {
    /// Names it.
    pub id: ServerId,
    /// Its connection.
    pub line: Line,
    /// Since when.
    pub connected: Instant,
    /// When it last got a request.
    pub requested: Instant,
    /// What it does.
    pub state: ServerState,
    /// It is closed when it is idle.
    pub outdated: bool,
    /// Statements that it is known to have prepared under PgOtter's names, when it was idle last.
    pub prepared: usize,
    /// A cancel request for it is on its way.
    pub is_cancelled: bool,
}

/// A moment behind a fixed one, which is kept elsewhere, and a mark of two bits.
#[derive(Debug, Default)]
struct Since(AtomicU64);

const MARK: u64 = 3;

impl Since {
    fn set(&self, start: Instant, now: Instant) {
        let passed = now.saturating_duration_since(start);
        // A century fits.
        let nanos = passed.as_secs().wrapping_mul(1_000_000_000).wrapping_add(passed.subsec_nanos().into());
        self.0.store(nanos << MARK.count_ones(), Ordering::Relaxed);
    }

    /// Until it is set anew. There is one writer.
    fn mark(&self, mark: u64) {
        self.0.store(self.0.load(Ordering::Relaxed) & !MARK | mark, Ordering::Relaxed);
    }

    fn marked(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & MARK
    }

    fn get(&self, start: Instant) -> Instant {
        start + Duration::from_nanos(self.0.load(Ordering::Relaxed) >> MARK.count_ones())
    }
}

#[cfg(test)]
mod tests;
