//! The waiters of one worker, first come, first served.
//!
//! Knows nothing of servers. A waiter that gives up leaves a hole behind, so that leaving costs a
//! binary search and not a shift of thousands of entries; there are never more holes than waiters
//! plus `HOLES_KEPT`.

use crate::clock::Instant;
use std::collections::VecDeque;

/// Below this many holes a queue is not worth tidying.
const HOLES_KEPT: usize = 32;

/// FIFO of waiters, ordered by their ever growing sequence numbers. The front is never a hole.
#[derive(Debug)]
pub(super) struct Queue<W> {
    entries: VecDeque<Entry<W>>,
    waiting: usize,
}

#[derive(Debug)]
struct Entry<W> {
    sequence: u64,
    since: Instant,
    /// None: it gave up.
    waiter: Option<W>,
}

/// When the first of a queue arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub sequence: u64,
    pub since: Instant,
}

impl<W> Queue<W> {
    pub fn new() -> Self {
        Self { entries: VecDeque::new(), waiting: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// `sequence` must be greater than any given before.
    pub fn push(&mut self, sequence: u64, since: Instant, waiter: W) {
        debug_assert!(self.entries.back().is_none_or(|last| last.sequence < sequence));
        self.entries.push_back(Entry { sequence, since, waiter: Some(waiter) });
        self.waiting += 1;
    }

    /// The arrival of the waiter that is next.
    pub fn first(&self) -> Option<Arrival> {
        self.entries.front().map(|entry| Arrival { sequence: entry.sequence, since: entry.since })
    }

    /// Takes the waiter that is next, with the time since when it waited.
    pub fn pop(&mut self) -> Option<(Instant, W)> {
        let Entry { since, waiter, .. } = self.entries.pop_front()?;
        self.waiting -= 1;
        self.drop_leading_holes();
        Some((since, waiter.expect("invariant: the front of a queue is never a hole")))
    }

    /// Removes one waiter wherever it stands; false if it is not here. O(log n) amortised.
    pub fn remove(&mut self, sequence: u64) -> bool {
        let Ok(place) = self.entries.binary_search_by_key(&sequence, |entry| entry.sequence) else { return false };
        if self.entries[place].waiter.take().is_none() {
            return false;
        }
        self.waiting -= 1;
        self.drop_leading_holes();
        if self.entries.len() > 2 * self.waiting + HOLES_KEPT {
            self.entries.retain(|entry| entry.waiter.is_some());
        }
        true
    }

    /// Takes all waiters, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = W> {
        self.waiting = 0;
        self.entries.drain(..).filter_map(|entry| entry.waiter)
    }

    fn drop_leading_holes(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.waiter.is_none()) {
            self.entries.pop_front();
        }
    }

    /// Entries held, holes included.
    #[cfg(test)]
    pub fn footprint(&self) -> usize {
        self.entries.len()
    }
}
