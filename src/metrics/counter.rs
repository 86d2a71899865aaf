//! The cells that are counted in: each has one writer, and readers read it themselves.

use super::ladder::{BUCKETS, Histogram, bucket, micros};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that one thread counts up and any may read. About a nanosecond: a load and a store, no read-modify-write.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A [`Histogram`] that one thread counts in and any may read.
#[derive(Debug, Default)]
pub(super) struct SharedHistogram {
    buckets: [Counter; BUCKETS],
    sum_us: Counter,
}

impl SharedHistogram {
    pub(super) fn observe(&self, took: Duration) {
        self.buckets[bucket(took)].add(1);
        self.sum_us.add(micros(took));
    }

    /// Counts what another one has.
    pub(super) fn add(&self, other: &Histogram) {
        self.buckets.iter().zip(other.buckets).for_each(|(total, more)| total.add(more));
        self.sum_us.add(other.sum_us);
    }

    pub(super) fn read(&self) -> Histogram {
        let mut buckets = [0; BUCKETS];
        for (total, counter) in buckets.iter_mut().zip(&self.buckets) {
            *total = counter.get();
        }
        Histogram { buckets, sum_us: self.sum_us.get() }
    }
}
