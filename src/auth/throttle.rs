//! Who fails again and again has to wait: a bucket of failures for each address, that fills up again with time. Pure: `now`
//! is an argument, and waiting is the caller's.
//!
//! Deliberately does not know the users: what a stranger is made to wait for depends on its address alone, so that it says
//! nothing about them. A delay and no refusal: behind one address there may be many, and the right password gets in, in its
//! turn.

use crate::clock::Instant;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// What an address may owe beyond what is free, in delays: who stops is forgiven in a known time.
const OWED_MOST: u32 = 60;

/// What the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Failures that cost nothing.
    pub free: u32,
    /// What each attempt waits beyond them, behind those that wait already; also how long it takes until one more is
    /// forgiven. 0 = nobody waits.
    pub delay: Duration,
}

/// The failures of each address. An IPv6 network of 64 bits counts as one address: it is the least that anybody is given.
pub struct Throttle {
    // When the last of its failures will be forgiven. Who is not here has none.
    forgiven: HashMap<IpAddr, Instant>,
    // By which they were counted.
    pace: Pace,
    most: usize,
}

impl Throttle {
    /// Remembers `most` addresses; beyond that the one is forgotten that would be forgiven first.
    pub fn new(most: usize) -> Self {
        Self { forgiven: HashMap::new(), pace: Pace::default(), most }
    }

    /// How long an attempt from there has to wait before it is looked at. 0: not at all. One that waits counts as a failure
    /// from now on, so that the next one waits behind it: if it turns out to be none, [`Throttle::forgive`] it. One that
    /// does not wait is yet to fail.
    pub fn enter(&mut self, from: IpAddr, pace: Pace, now: Instant) -> Duration {
        self.count_by(pace);
        let Some(forgiven) = self.forgiven.get(&network(from)) else { return Duration::ZERO };
        let debt = forgiven.saturating_duration_since(now);
        // Compared so that a part of the last one's delay is still a failure.
        let wait = debt.saturating_sub(pace.delay.saturating_mul(pace.free.saturating_sub(1)));
        if !wait.is_zero() {
            self.failed(from, pace, now);
        }
        wait
    }

    /// An attempt from there has failed that had not to wait.
    pub fn failed(&mut self, from: IpAddr, pace: Pace, now: Instant) {
        self.count_by(pace);
        if pace.delay.is_zero() {
            return;
        }
        let from = network(from);
        if !self.forgiven.contains_key(&from) {
            self.make_room(now);
        }
        let forgiven = self.forgiven.entry(from).or_insert(now);
        let most = pace.delay.saturating_mul(pace.free.saturating_add(OWED_MOST));
        let debt = (*forgiven).saturating_duration_since(now).saturating_add(pace.delay).min(most);
        *forgiven = now.checked_add(debt).unwrap_or(*forgiven);
    }

    /// An attempt from there that waited, or began to, has not failed.
    pub fn forgive(&mut self, from: IpAddr, pace: Pace, now: Instant) {
        let from = network(from);
        if self.pace == pace
            && let Some(forgiven) = self.forgiven.get_mut(&from)
        {
            *forgiven = forgiven.checked_sub(pace.delay).unwrap_or(now);
            if *forgiven <= now {
                self.forgiven.remove(&from);
            }
        }
    }

    /// After a reload that changes the pace, what is owed is forgiven: by the new one it would be something else.
    fn count_by(&mut self, pace: Pace) {
        if self.pace != pace {
            self.forgiven.clear();
            self.pace = pace;
        }
    }

    fn make_room(&mut self, now: Instant) {
        if self.forgiven.len() < self.most {
            return;
        }
        self.forgiven.retain(|_, forgiven| *forgiven > now);
        if self.forgiven.len() >= self.most {
            let first = self.forgiven.iter().min_by_key(|(_, forgiven)| **forgiven).map(|(from, _)| *from);
            first.map(|from| self.forgiven.remove(&from));
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}
