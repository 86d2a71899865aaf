//! The idle servers of one worker, ordered by the time they became idle.
//!
//! Knows nothing of waiters or limits.

use crate::clock::Instant;
use std::collections::VecDeque;

/// How many of the servers that are next in line are asked for a matching state: a match saves the
/// server one small statement, a long search would cost more than that under the pool's lock.
const STATE_SEARCH: usize = 8;

/// Idle servers, longest idle first.
#[derive(Debug)]
pub(super) struct Shelf<S> {
    idle: VecDeque<Idle<S>>,
}

#[derive(Debug)]
pub(super) struct Idle<S> {
    pub server: S,
    pub since: Instant,
    /// A copy, so that a search touches no server.
    state_key: u64,
}

impl<S> Shelf<S> {
    pub fn new() -> Self {
        Self { idle: VecDeque::new() }
    }

    pub fn len(&self) -> usize {
        self.idle.len()
    }

    pub fn put(&mut self, server: S, state_key: u64, since: Instant) {
        self.idle.push_back(Idle { server, since, state_key });
    }

    /// Takes the server that is next in line (the last used, or with `in_turn` the longest idle),
    /// or one of the few behind it if only that one has `state_key`, or at least its upper half.
    pub fn take(&mut self, state_key: u64, in_turn: bool) -> Option<S> {
        let last = self.idle.len().checked_sub(1)?;
        let place = if in_turn {
            nearest(self.idle.iter(), state_key)
        } else {
            last - nearest(self.idle.iter().rev(), state_key)
        };
        self.idle.remove(place).map(|idle| idle.server)
    }

    /// Takes the one that is meant, if it is here.
    pub fn take_which(&mut self, is_it: impl Fn(&S) -> bool) -> Option<S> {
        let place = self.idle.iter().position(|idle| is_it(&idle.server))?;
        self.idle.remove(place).map(|idle| idle.server)
    }

    /// How many have been idle since then or longer.
    pub fn idle_since(&self, then: Instant) -> usize {
        self.idle.iter().take_while(|idle| idle.since <= then).count()
    }

    /// Since when the longest idle server has been idle.
    pub fn oldest(&self) -> Option<Instant> {
        self.idle.front().map(|idle| idle.since)
    }

    /// Takes the longest idle server.
    pub fn take_oldest(&mut self) -> Option<S> {
        self.idle.pop_front().map(|idle| idle.server)
    }

    /// Takes out every server for which `verdict` has a word, and hands both to `taken`; the
    /// others keep their order.
    pub fn sweep<R>(&mut self, mut verdict: impl FnMut(&mut Idle<S>) -> Option<R>, mut taken: impl FnMut(S, R)) {
        for _ in 0..self.idle.len() {
            let Some(mut idle) = self.idle.pop_front() else { return };
            match verdict(&mut idle) {
                Some(word) => taken(idle.server, word),
                None => self.idle.push_back(idle),
            }
        }
    }
}

/// Which of the first few is nearest to a state, counted from the first.
fn nearest<'a, S: 'a>(line: impl Iterator<Item = &'a Idle<S>>, state_key: u64) -> usize {
    let mut half = None;
    for (place, idle) in line.take(STATE_SEARCH).enumerate() {
        let unlike = idle.state_key ^ state_key;
        if unlike == 0 {
            return place;
        }
        if unlike >> 32 == 0 {
            half.get_or_insert(place);
        }
    }
    half.unwrap_or(0)
}
