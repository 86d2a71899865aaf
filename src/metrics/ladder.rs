//! Histograms of durations on the fixed ladder that every exported one has.

use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Upper bounds of the buckets, themselves included; one more bucket holds what took longer.
pub const LADDER: [Duration; 15] = [
    Duration::from_micros(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(20),
    ms(50),
    ms(100),
    ms(200),
    ms(500),
    ms(1_000),
    ms(2_000),
    ms(5_000),
    ms(10_000),
    ms(30_000),
];

pub(super) const BUCKETS: usize = LADDER.len() + 1;

/// How many durations fell into each bucket, and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Not cumulative; the last one is what took longer than the ladder is high.
    pub buckets: [u64; BUCKETS],
    /// Each rounded to a microsecond.
    pub sum_us: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&mut self, took: Duration) {
        self.buckets[bucket(took)] += 1;
        self.sum_us += micros(took);
    }

    /// Durations counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds another one's.
    pub fn add(&mut self, other: &Self) {
        for (total, more) in self.buckets.iter_mut().zip(other.buckets) {
            *total += more;
        }
        self.sum_us = self.sum_us.wrapping_add(other.sum_us);
    }
}

/// From below: most durations are short.
pub(super) fn bucket(took: Duration) -> usize {
    LADDER.iter().take_while(|bound| **bound < took).count()
}

/// Rounded, so that the sum of many short ones is right on the average.
pub(super) fn micros(took: Duration) -> u64 {
    let below = u64::from((took.subsec_nanos() + 500) / 1_000);
    // Most are below a second.
    if took.as_secs() == 0 { below } else { took.as_secs().saturating_mul(1_000_000).saturating_add(below) }
}
