//! Log-linear histograms of durations, from which quantiles come: 8 sub-buckets for each octave from 16 µs to 1 h, one for what
//! is shorter and one for what takes longer. A sub-bucket is at most 12.5 % wide. Pure.

use super::counter::Counter;
use std::sync::OnceLock;
use std::time::Duration;

/// Sub-buckets of an octave: a power of two.
const SUBS: usize = 1 << SUB_BITS;
const SUB_BITS: u32 = 3;

/// The first octave begins at 2^4 µs.
const FIRST: u32 = 4;

/// What takes this long or longer, an hour, is in the last bucket.
const END_US: u64 = 3_600_000_000;

/// Up to the one that an hour is in.
const OCTAVES: usize = (END_US.ilog2() - FIRST) as usize + 1;

/// Those of the octaves, and the two at the ends.
const BUCKETS: usize = OCTAVES * SUBS + 2;

/// Bytes that [`SharedLatency::observe`] takes when it needs a block: that, and what the allocator rounds up.
pub(super) const BLOCK: usize = SUBS * size_of::<Counter>();

/// Which bucket counts this duration: 0 for what is below 16 µs, the last one for an hour and more.
pub(super) fn index(took: Duration) -> usize {
    let us = took.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(took.subsec_micros()));
    if us >= END_US {
        return BUCKETS - 1;
    }
    let octave = (us | 1).ilog2();
    if octave < FIRST {
        return 0;
    }
    let sub = us >> (octave - SUB_BITS) & (SUBS as u64 - 1);
    1 + (octave - FIRST) as usize * SUBS + sub as usize
}

/// From where to where a bucket counts, in microseconds; the last one has no end.
fn bounds(index: usize) -> (u64, u64) {
    let Some(at) = index.checked_sub(1) else { return (0, 1 << FIRST) };
    if at >= OCTAVES * SUBS {
        return (END_US, END_US);
    }
    let (octave, sub) = (at / SUBS + FIRST as usize, at % SUBS);
    let width = 1u64 << (octave - SUB_BITS as usize);
    let from = (SUBS + sub) as u64 * width;
    (from, from + width)
}

/// How many durations fell into each bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency([u64; BUCKETS]);

impl Default for Latency {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Latency {
    /// Counts one duration.
    pub fn observe(&mut self, took: Duration) {
        self.0[index(took)] += 1;
    }

    /// Adds another one's.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(total, more)| *total += more);
    }

    /// Durations counted.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What is in each bucket, in order.
    pub(super) fn buckets(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    /// From where to where each bucket counts, in microseconds, and what is in it, in order; the last one has no end.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, Option<u64>, u64)> {
        let range = |(index, count): (usize, &u64)| {
            let (from, to) = bounds(index);
            (from, Some(to).filter(|to| *to > from), *count)
        };
        self.0.iter().enumerate().map(range)
    }

    /// Counts in a bucket, if there is one of this number.
    pub(super) fn add_to(&mut self, index: usize, count: u64) {
        if let Some(bucket) = self.0.get_mut(index) {
            *bucket += count;
        }
    }

    /// The duration that this share of all (0 to 1) does not exceed: the middle of the sub-bucket that it is in, which is at most
    /// 6.25 % off; an hour for what takes longer. `None`: nothing was counted.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        // Counted from 1.
        let rank = ((share * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut below = 0;
        let reaches = |bucket: &u64| {
            below += bucket;
            below >= rank
        };
        let (from, to) = bounds(self.0.iter().position(reaches)?);
        Some(Duration::from_nanos((from + to) * 500))
    }
}

/// A [`Latency`] that one thread counts in and any may read. An octave takes memory once something falls into it.
#[derive(Debug, Default)]
pub(super) struct SharedLatency {
    octaves: [OnceLock<Box<[Counter; SUBS]>>; OCTAVES],
    below: Counter,
    above: Counter,
}

impl SharedLatency {
    /// Counts one duration. True: that took [`BLOCK`] bytes more.
    pub fn observe(&self, took: Duration) -> bool {
        self.add(index(took), 1)
    }

    fn add(&self, index: usize, count: u64) -> bool {
        let Some(at) = index.checked_sub(1) else {
            self.below.add(count);
            return false;
        };
        let (Some(octave), sub) = (self.octaves.get(at / SUBS), at % SUBS) else {
            self.above.add(count);
            return false;
        };
        match octave.get() {
            Some(block) => {
                block[sub].add(count);
                false
            }
            None => {
                octave.get_or_init(Box::default)[sub].add(count);
                true
            }
        }
    }

    /// Counts what another one has, which nobody counts in any more. How many blocks that took.
    pub fn take_over(&self, other: &Self) -> usize {
        let counts = other.read();
        let found = counts.0.iter().enumerate().filter(|(_, count)| **count > 0);
        found.filter(|(index, count)| self.add(*index, **count)).count()
    }

    /// What has been counted until now.
    pub fn read(&self) -> Latency {
        let mut latency = Latency::default();
        latency.0[0] = self.below.get();
        latency.0[BUCKETS - 1] = self.above.get();
        for (octave, block) in self.octaves.iter().enumerate() {
            for (sub, counter) in block.get().into_iter().flat_map(|block| block.iter()).enumerate() {
                latency.0[1 + octave * SUBS + sub] = counter.get();
            }
        }
        latency
    }

    /// Octaves that take memory.
    pub fn blocks(&self) -> usize {
        self.octaves.iter().filter(|octave| octave.get().is_some()).count()
    }
}

#[cfg(test)]
mod tests;
