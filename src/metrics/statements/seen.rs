//! Statements as a reader sees them: those of all workers, added up, while the workers go on counting.

use super::{Description, Name, Shelf, Stat};
use crate::metrics::ladder::Histogram;
use crate::metrics::latency::Latency;
use crate::metrics::shard::ROUTES;
use foldhash::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

/// How often a reader that a folding came in between of begins again before it keeps the worker from folding.
const ATTEMPTS: usize = 3;

/// What was counted for one statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// How often it was run; what was skipped behind an error is not counted.
    pub calls: u64,
    /// How often it failed.
    pub errors: u64,
    /// Those among them that were in the way of another transaction: 40001, 40P01.
    pub conflicts: u64,
    /// Returned or changed.
    pub rows: u64,
    /// Of their answers, as clients get them.
    pub bytes: u64,
    /// Waiting for a server.
    pub wait_us: u64,
    /// With a server.
    pub server_us: u64,
    /// From its arrival to the end of its answer.
    pub total: Histogram,
}

impl Numbers {
    /// Adds another one's.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.conflicts += other.conflicts;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.wait_us += other.wait_us;
        self.server_us += other.server_us;
        self.total.add(&other.total);
    }

    /// What came since it was `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut total = self.total;
        total.buckets.iter_mut().zip(before.total.buckets).for_each(|(now, before)| *now -= before.min(*now));
        total.sum_us = total.sum_us.saturating_sub(before.total.sum_us);
        Self {
            calls: self.calls.saturating_sub(before.calls),
            errors: self.errors.saturating_sub(before.errors),
            conflicts: self.conflicts.saturating_sub(before.conflicts),
            rows: self.rows.saturating_sub(before.rows),
            bytes: self.bytes.saturating_sub(before.bytes),
            wait_us: self.wait_us.saturating_sub(before.wait_us),
            server_us: self.server_us.saturating_sub(before.server_us),
            total,
        }
    }
}

/// One statement of one database, by all workers together.
pub struct Seen {
    /// As it is counted under.
    pub database: Arc<str>,
    /// Within it.
    pub name: Name,
    /// What was counted.
    pub numbers: Numbers,
    // One for each worker that has met it.
    first: Arc<Stat>,
    more: Vec<Arc<Stat>>,
}

impl Seen {
    /// What there is to say of it.
    pub fn description(&self) -> &Description {
        &self.first.description
    }

    /// How long servers took for it.
    pub fn server(&self) -> Latency {
        self.latency(|stat| stat.server.read())
    }

    /// How long it took from its arrival to the end of its answer.
    pub fn total(&self) -> Latency {
        self.latency(|stat| stat.total.read())
    }

    /// How many of its calls ran where, and why, by the kinds that the router knows.
    pub fn routes(&self) -> [u64; ROUTES] {
        let mut calls = [0; ROUTES];
        for stat in std::iter::once(&self.first).chain(&self.more) {
            calls.iter_mut().zip(&*stat.routes).for_each(|(total, more)| *total += more.get());
        }
        calls
    }

    /// The same statement of another worker.
    fn add(&mut self, other: Self) {
        self.numbers.add(&other.numbers);
        self.more.push(other.first);
    }

    fn latency(&self, read: impl Fn(&Stat) -> Latency) -> Latency {
        let mut latency = Latency::default();
        std::iter::once(&self.first).chain(&self.more).for_each(|stat| latency.add(&read(stat)));
        latency
    }
}

/// What all of these have in this circle, or in none of them, each statement once, in no order. Those that are to be kept are not folded from
/// then on.
pub(in crate::metrics) fn see(
    shelves: &[Arc<Shelf>],
    circle: Option<&str>,
    keep: &dyn Fn(&str, Name) -> bool,
) -> Vec<Seen> {
    let mut shelves = shelves.iter();
    // A worker has each once, and mostly there is one worker.
    let mut seen = shelves.next().map_or_else(Vec::new, |first| first.read(circle, keep));
    let mut places: HashMap<(Arc<str>, Name), usize> = HashMap::default();
    let place = |one: &Seen| (one.database.clone(), one.name);
    for shelf in shelves {
        if places.is_empty() {
            places.extend(seen.iter().enumerate().map(|(at, one)| (place(one), at)));
        }
        for one in shelf.read(circle, keep) {
            match places.entry(place(&one)) {
                Entry::Occupied(at) => seen[*at.get()].add(one),
                Entry::Vacant(new) => {
                    new.insert(seen.len());
                    seen.push(one);
                }
            }
        }
    }
    seen
}

impl Shelf {
    /// Every statement, none of them counted in `other` as well: that is looked at behind the reading, as with a seqlock.
    fn read(&self, circle: Option<&str>, keep: &dyn Fn(&str, Name) -> bool) -> Vec<Seen> {
        let is_of_it = |stat: &&Arc<Stat>| stat.place.circle.as_deref() == circle;
        let list = |listed: &[Arc<Stat>]| listed.iter().filter(is_of_it).cloned().collect::<Vec<_>>();
        for _ in 0..ATTEMPTS {
            let (stats, folds) = {
                let listed = self.stats.lock();
                (list(&listed), self.folds.load(Ordering::Relaxed))
            };
            let read = stats.into_iter().map(|stat| stat.read(keep)).collect();
            // Either this sees that a folding has begun, or that sees what is to be kept.
            fence(Ordering::SeqCst);
            if self.folds.load(Ordering::Relaxed) == folds {
                return read;
            }
        }
        let listed = self.stats.lock();
        list(&listed).into_iter().map(|stat| stat.read(keep)).collect()
    }
}

impl Stat {
    fn read(self: Arc<Self>, keep: &dyn Fn(&str, Name) -> bool) -> Seen {
        if keep(&self.place.label, self.name) {
            self.kept.store(true, Ordering::Relaxed);
        }
        let numbers = Numbers {
            calls: self.calls.get(),
            errors: self.errors.get(),
            conflicts: self.conflicts.get(),
            rows: self.rows.get(),
            bytes: self.bytes.get(),
            wait_us: self.wait_us.get(),
            server_us: self.server_us.get(),
            total: self.ladder.read(),
        };
        Seen { database: self.place.label.clone(), name: self.name, numbers, first: self, more: Vec::new() }
    }
}
