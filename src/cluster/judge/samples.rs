//! Where the primary's log has been, and when: what replicas are measured by.

use super::Lsn;
use crate::clock::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// Positions kept. With one every 100 ms they reach back for a minute and a half, and further, more coarsely, for whoever is
/// further behind.
const MAX: usize = 1024;

/// Positions of one primary on one timeline, rising.
#[derive(Clone, Debug, Default)]
pub struct Samples(VecDeque<Sample>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    lsn: Lsn,
    // The greatest number of a question that was answered with it.
    number: u64,
    // When it was answered first.
    since: Instant,
}

impl Samples {
    /// Another answer of the primary. What lay ahead of it is gone: it has been started anew and has lost what was not on its disk.
    pub fn add(&mut self, number: u64, lsn: Lsn, now: Instant) {
        while self.0.back().is_some_and(|last| last.lsn > lsn) {
            self.0.pop_back();
        }
        match self.0.back_mut() {
            Some(last) if last.lsn == lsn => last.number = number,
            _ => self.0.push_back(Sample { lsn, number, since: now }),
        }
        if self.0.len() > MAX {
            self.thin();
        }
    }

    /// Every second one of the older half goes, but never the oldest: replay may stand still there. The next one stands for it, from the time on from which it would have, so that a lag
    /// shows too long rather than too short.
    fn thin(&mut self) {
        let mut kept = VecDeque::with_capacity(MAX + 1);
        let mut gone: Option<Instant> = None;
        for (at, sample) in self.0.drain(..).enumerate() {
            if at < MAX / 2 && at % 2 == 1 {
                gone = Some(sample.since);
            } else {
                kept.push_back(Sample { since: gone.take().unwrap_or(sample.since), ..sample });
            }
        }
        self.0 = kept;
    }

    /// The greatest number of a question whose answer is not ahead of `replayed`. 0: there is none.
    pub fn covered_by(&self, replayed: Lsn) -> u64 {
        self.up_to(replayed).checked_sub(1).and_then(|at| self.0.get(at)).map_or(0, |sample| sample.number)
    }

    /// The age of the oldest one that is ahead of `replayed`; nothing if there is none.
    pub fn age_of_missing(&self, replayed: Lsn, now: Instant) -> Duration {
        let missing = self.0.get(self.up_to(replayed));
        missing.map_or(Duration::ZERO, |sample| now.saturating_duration_since(sample.since))
    }

    fn up_to(&self, replayed: Lsn) -> usize {
        self.0.partition_point(|sample| sample.lsn <= replayed)
    }

    /// Where the primary was last.
    pub fn newest(&self) -> Option<Lsn> {
        self.0.back().map(|sample| sample.lsn)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    //! Positions.
    use super::*;

    #[test]
    fn what_is_thinned_out_shows_no_shorter_lag_and_covers_nothing_more() {
        let start = crate::clock::now();
        let mut samples = Samples::default();
        for number in 1..=5_000u64 {
            samples.add(number, number * 10, start + Duration::from_millis(number));
        }
        assert!(samples.0.len() <= MAX);
        let now = start + Duration::from_millis(6_000);
        for replayed in (0..50_000).step_by(7) {
            let exact = replayed / 10;
            assert!(samples.covered_by(replayed) <= exact);
            let lag = Duration::from_millis(6_000 - exact - 1).min(Duration::from_millis(5_999));
            assert!(samples.age_of_missing(replayed, now) >= lag, "{replayed}");
        }
        assert_eq!((samples.covered_by(50_000), samples.age_of_missing(50_000, now)), (5_000, Duration::ZERO));
    }

    #[test]
    fn a_primary_that_stands_still_keeps_its_number_rising() {
        let now = crate::clock::now();
        let mut samples = Samples::default();
        (1..=9).for_each(|number| samples.add(number, 100, now));
        assert_eq!((samples.0.len(), samples.covered_by(100), samples.covered_by(99)), (1, 9, 0));
    }

    #[test]
    fn what_a_crash_has_taken_back_is_not_waited_for() {
        let now = crate::clock::now();
        let mut samples = Samples::default();
        samples.add(1, 100, now);
        samples.add(2, 300, now);
        samples.add(3, 200, now);
        assert_eq!((samples.newest(), samples.covered_by(200), samples.covered_by(150)), (Some(200), 3, 1));
    }
}
