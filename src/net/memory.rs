//! What the buffers of all clients take together, held against a budget. Knows no client: each notes what it holds, and
//! is told whether that is too much.
//!
//! Only who holds more than [`SMALL`] is counted, so that a small query costs a comparison and nothing shared.

use super::socket::HIGH_WATER;
use crate::clock::{self, Instant};
use crate::fault::{Blame, Fault, SqlState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Who holds no more than this, in bytes, is not counted and never shed.
pub const SMALL: usize = 64 * 1024;

/// Of somebody who has not logged in no more than this, in bytes, is not counted: a first packet and a proof fit.
const STRANGER: usize = 4 * 1024;

/// The part of the budget that all may take together who have not logged in.
const STRANGERS: usize = 16;

/// When the budget is used up, whoever holds more than [`SMALL`] and moves nothing for so long is shed. Until then he
/// may just be slow. Also between two looks at that.
const GRACE: Duration = Duration::from_secs(1);

/// The account of all.
pub struct Memory {
    usual: usize,
    budget: AtomicUsize,
    held: AtomicUsize,
    // By those who have not logged in; apart, so that nobody who has is closed for them.
    strangers: AtomicUsize,
    shed: AtomicU64,
}

/// What somebody holds who has not logged in. Dropped, it holds nothing.
pub struct Strange {
    all: Arc<Memory>,
    bytes: usize,
}

/// What one client holds. Dropped, it holds nothing.
pub struct Holding {
    all: Arc<Memory>,
    bytes: usize,
    // While it is counted. Boxed: most clients never are.
    watch: Option<Box<Watch>>,
}

/// Whether it moves.
struct Watch {
    // Bytes sent on so far, and since when no more.
    sent: u64,
    since: Instant,
    next_look: Instant,
}

impl Memory {
    /// `usual` is the budget, in bytes, where the configuration names none.
    pub fn new(usual: usize) -> Self {
        let budget = AtomicUsize::new(usual);
        let (held, strangers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { usual, budget, held, strangers, shed: AtomicU64::new(0) }
    }

    /// What the configuration says, at start and after a reload.
    pub fn set_budget(&self, budget: Option<usize>) {
        self.budget.store(budget.unwrap_or(self.usual), Ordering::Relaxed);
    }

    /// Bytes that may be held.
    pub fn budget(&self) -> usize {
        self.budget.load(Ordering::Relaxed)
    }

    /// Bytes held by those who hold more than [`SMALL`].
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Clients that were closed because they held too much.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// The budget is used up: nobody new is let in, and nobody is read further than [`SMALL`] ahead of his peer.
    pub fn is_tight(&self) -> bool {
        self.held() > self.budget()
    }

    /// A quarter more is used up: nobody may hold more than [`SMALL`] any more.
    fn is_exhausted(&self) -> bool {
        let budget = self.budget();
        self.held() > budget.saturating_add(budget / 4)
    }

    /// Whether so many queued bytes are so much that the other side is not to be read.
    pub fn is_full(&self, queued: usize) -> bool {
        queued > SMALL && (queued > HIGH_WATER || self.is_tight())
    }

    /// How far somebody may be read on who is not read as usual, where `most` is the most.
    pub fn room_to_read_on(&self, most: usize) -> usize {
        if self.is_tight() { most.min(SMALL) } else { most }
    }

    /// Whether somebody new may come in.
    ///
    /// # Errors
    /// FATAL 53200.
    pub fn admit(&self) -> Result<(), Fault> {
        if self.is_tight() { Err(out_of_memory().with_hint("Try again soon, or raise memory_budget.")) } else { Ok(()) }
    }
}

impl Strange {
    /// Nothing yet.
    pub fn new(all: Arc<Memory>) -> Self {
        Self { all, bytes: 0 }
    }

    /// Notes what is held now. Most hold less than is counted.
    ///
    /// # Errors
    /// FATAL 53200: it is more than a login takes, and all such together hold a sixteenth of the budget.
    pub fn note(&mut self, bytes: usize) -> Result<(), Fault> {
        let bytes = if bytes > STRANGER { bytes } else { 0 };
        move_by(&self.all.strangers, self.bytes, bytes);
        self.bytes = bytes;
        if bytes == 0 || self.all.strangers.load(Ordering::Relaxed) <= self.all.budget() / STRANGERS {
            return Ok(());
        }
        Err(Fault::fatal(Blame::Limit, SqlState::OUT_OF_MEMORY, "out of memory")
            .with_detail("Connections that have not logged in take more than a sixteenth of memory_budget together.")
            .with_hint("Send less before the login is over, or raise memory_budget."))
    }
}

impl Drop for Strange {
    fn drop(&mut self) {
        move_by(&self.all.strangers, self.bytes, 0);
    }
}

impl Holding {
    /// Nothing yet.
    pub fn new(all: Arc<Memory>) -> Self {
        Self { all, bytes: 0, watch: None }
    }

    /// The account it is part of.
    pub fn all(&self) -> &Memory {
        &self.all
    }

    /// Notes what is held now, and how many bytes have been sent on so far, to either side. Whether that is still fine.
    pub fn note(&mut self, bytes: usize, sent: u64) -> bool {
        bytes <= SMALL && self.bytes == 0 || self.count(bytes, sent)
    }

    /// When to note it again although nothing has happened.
    pub fn deadline(&self) -> Option<Instant> {
        self.watch.as_ref().map(|watch| watch.next_look)
    }

    /// It is too much, and its client is closed. As that is told. What it holds counts no more from now on: its farewell may
    /// take a second, and others would have to go for it meanwhile.
    pub fn shed(&mut self) -> Fault {
        self.set(0);
        self.watch = None;
        self.all.shed.fetch_add(1, Ordering::Relaxed);
        out_of_memory().with_hint("Read results as they come, send less at once, or raise memory_budget.")
    }

    fn count(&mut self, bytes: usize, sent: u64) -> bool {
        self.set(if bytes > SMALL { bytes } else { 0 });
        if self.bytes == 0 {
            self.watch = None;
            return true;
        }
        let now = clock::now();
        let watch = self.watch.get_or_insert_with(|| Box::new(Watch { sent, since: now, next_look: now }));
        watch.next_look = now + GRACE;
        if watch.sent != sent {
            (watch.sent, watch.since) = (sent, now);
        }
        let stuck = now.saturating_duration_since(watch.since);
        !(self.all.is_exhausted() || self.all.is_tight() && stuck >= GRACE)
    }

    fn set(&mut self, bytes: usize) {
        if bytes == self.bytes {
            // Nothing to tell the other threads' processors.
            return;
        }
        move_by(&self.all.held, self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// One of those who make up a sum holds `after` in place of `before`.
fn move_by(sum: &AtomicUsize, before: usize, after: usize) {
    match after.checked_sub(before) {
        Some(0) => 0,
        Some(more) => sum.fetch_add(more, Ordering::Relaxed),
        None => sum.fetch_sub(before - after, Ordering::Relaxed),
    };
}

fn out_of_memory() -> Fault {
    Fault::fatal(Blame::Limit, SqlState::OUT_OF_MEMORY, "out of memory")
        .with_detail("The buffers of all clients together take more than memory_budget.")
}

#[cfg(test)]
mod tests;
