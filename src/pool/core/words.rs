//! What a lane and its caller say to each other. Values only: no rule lives here.

use crate::clock::Instant;
use std::time::Duration;

#[cfg(doc)]
use super::PoolCore;
use crate::ids::WorkerId;

/// What bounds a lane. Replaced as a whole by a reload.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Servers at most, openings included. 0 = unlimited.
    pub size: usize,
    /// Servers kept open while the pool is live; at most `size` of them.
    pub min: usize,
    /// Servers on top of `size` while the oldest waiter has waited `reserve_timeout`.
    pub reserve: usize,
    /// See `reserve`.
    pub reserve_timeout: Duration,
    /// A server this old is closed when idle. 0 = a server serves once.
    pub lifetime: Duration,
    /// A server idle for this long is closed, but not below `min`. None = never.
    pub idle_timeout: Option<Duration>,
    /// Hand out the longest idle server instead of the last used.
    pub round_robin: bool,
}

impl Limits {
    /// Servers at most while nobody has waited long.
    pub(super) fn ordinary(&self) -> usize {
        if self.size == 0 { usize::MAX } else { self.size }
    }

    /// Servers at most in any case.
    pub(super) fn utmost(&self) -> usize {
        self.ordinary().saturating_add(self.reserve)
    }
}

/// What the book-keeping asks of a server.
pub trait Pooled {
    /// Names the session state that the server is in; equal keys mean equal states, and
    /// where the upper halves differ the server may be of no use to the client. Asked when the
    /// server comes in.
    fn state_key(&self) -> u64;
    /// When it was opened.
    fn opened(&self) -> Instant;
    /// The generation of the configuration it was opened with, from 1; 0 if it has to go in any case. See
    /// [`PoolCore::retire`].
    fn generation(&self) -> u64;
}

impl<T: Pooled + ?Sized> Pooled for Box<T> {
    fn state_key(&self) -> u64 {
        (**self).state_key()
    }

    fn opened(&self) -> Instant {
        (**self).opened()
    }

    fn generation(&self) -> u64 {
        (**self).generation()
    }
}

/// Names one wait; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaiterId {
    pub(super) sequence: u64,
    pub(super) worker: WorkerId,
}

/// The answer to a checkout.
#[derive(Debug)]
pub enum Checkout<S> {
    /// A server at once.
    Server {
        /// It is the caller's until it is checked in or discarded.
        server: S,
        /// It was registered with another worker's runtime and has to be registered anew.
        moved: bool,
    },
    /// The waiter was queued; a [`Action::Grant`] will come.
    Wait(WaiterId),
    /// The last attempt failed for good, and that was a moment ago: its reason is the answer.
    Refused,
    /// The lane serves nobody any more, see [`PoolCore::close`].
    Closed,
}

/// Whether servers are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// As the limits allow.
    Open,
    /// None until the pause ends: who comes waits.
    Paused,
    /// None any more: who comes has to go elsewhere.
    Closed,
}

/// What a failed attempt asks of those that come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// No attempt begins before then.
    pub until: Instant,
    /// Trying again is useless until an operator acts (wrong password, no such database): while no server is open,
    /// whoever waits or comes in the meantime is refused.
    pub refuse: bool,
}

/// One permission to open one server. Answered exactly once: by [`PoolCore::opened`],
/// [`PoolCore::open_failed`] or [`PoolCore::open_refused`]. Until then it holds a slot.
#[derive(Debug)]
#[must_use = "an attempt that is not answered holds its slot for ever"]
pub struct Attempt {
    pub(super) worker: WorkerId,
    /// How often the pool had been poked before.
    pub(super) pokes: u64,
    /// Of the configuration in force when it was asked for.
    pub(super) generation: u64,
}

impl Attempt {
    /// The worker that the server had best be opened on.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }
}

/// Why a server is closed; becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// It was found closed or in an unknown state while idle.
    Dead,
    /// `server_idle_timeout`.
    IdleTooLong,
    /// `server_lifetime`.
    Aged,
    /// Opened with a configuration that has been replaced.
    Retired,
    /// More servers than the limits allow now.
    OverLimit,
    /// Another lane had waited for its place in the Ledger.
    Forfeited,
    /// The lane is paused.
    Paused,
}

/// What the caller has to do after unlocking.
#[derive(Debug)]
pub enum Action<S, W> {
    /// Put the server into the waiter's mailbox and wake it.
    Grant {
        /// Whose turn it is.
        waiter: W,
        /// Where the waiter runs.
        worker: WorkerId,
        /// Counts as handed out from now on, whether the waiter is still there or not.
        server: S,
        /// See [`Checkout::Server`].
        moved: bool,
        /// From its checkout until now.
        waited: Duration,
    },
    /// Try once to open a server.
    Open(Attempt),
    /// Close the server; its slot is already free.
    Close {
        /// No longer the pool's.
        server: S,
        /// Why.
        reason: CloseReason,
    },
}

/// Filled by the calls, drained by the caller, reused.
pub type Actions<S, W> = Vec<Action<S, W>>;

/// Counts at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Servers that nobody holds.
    pub idle: usize,
    /// Servers handed out, those still in a mailbox included.
    pub active: usize,
    /// Attempts under way.
    pub opening: usize,
    /// Clients in the queue.
    pub waiting: usize,
    /// How long the first of them has waited; 0 without waiters.
    pub oldest_wait: Duration,
}
