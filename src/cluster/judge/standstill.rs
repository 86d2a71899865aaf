//! A primary that has written to its log what it has not flushed, and does nothing more: replicas get only what is flushed, and until they have it,
//! whoever must see it reads on the primary. Where `synchronous_commit` is off, or a read has tidied up a page, PostgreSQL flushes it within
//! three times `wal_writer_delay`: a quarter of a second where that is the default of 200 ms, and 24 s were seen with 10 s (PostgreSQL 15).
//!
//! Says when the primary is to be made to flush. Pure, and knows of one primary.

use super::Lsn;
use crate::clock::Instant;
use std::time::Duration;

/// It stands still for so long before it is made to.
const STANDS: Duration = Duration::from_millis(500);

/// It is made to at most so often.
const APART: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standstill {
    // Where it has come to: what is written and what is flushed, and since when.
    at: Option<(Lsn, Lsn, Instant)>,
    // Since then a read has been kept from replicas.
    awaited: bool,
    flushed: Option<Instant>,
    // It was made to in vain when this was flushed.
    stuck: Option<Lsn>,
}

impl Standstill {
    /// What is `written` and what is `flushed`; `awaited`: a read has been kept from replicas since the last look. Says whether it is to flush now.
    pub fn look(&mut self, written: Lsn, flushed: Lsn, awaited: bool, now: Instant) -> bool {
        let since = match self.at {
            Some((before, on_disk, since)) if (before, on_disk) == (written, flushed) => since,
            _ => {
                self.awaited = false;
                now
            }
        };
        self.at = Some((written, flushed, since));
        self.awaited |= awaited;
        let rests = |since: Instant, time: Duration| now.saturating_duration_since(since) >= time;
        let is_due = written > flushed
            && self.awaited
            && rests(since, STANDS)
            && self.stuck != Some(flushed)
            && self.flushed.is_none_or(|flushed| rests(flushed, APART));
        if is_due {
            self.flushed = Some(now);
        }
        is_due
    }

    /// It was made to, and has not done it in time: its disk stands still. Until that gets on nobody else is to hang there.
    pub fn hangs(&mut self) {
        self.stuck = self.at.map(|(_, flushed, _)| flushed);
    }
}

#[cfg(test)]
mod tests {
    //! On a clock turned by hand.
    use super::*;

    /// What is said at these milliseconds.
    fn said(looks: &[(u64, Lsn, Lsn, bool)]) -> Vec<bool> {
        let (start, mut standstill) = (crate::clock::now(), Standstill::default());
        let look = |&(at, written, flushed, awaited): &(u64, Lsn, Lsn, bool)| {
            standstill.look(written, flushed, awaited, start + Duration::from_millis(at))
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn it_is_made_to_flush_what_is_awaited_when_it_has_stood_still() {
        let looks = [(0, 9, 7, true), (300, 9, 7, false), (499, 9, 7, false), (500, 9, 7, false)];
        assert_eq!(said(&looks), [false, false, false, true], "once awaited is enough");
        let looks = [(0, 9, 7, false), (600, 9, 7, false), (700, 9, 7, true)];
        assert_eq!(said(&looks), [false, false, true], "who comes late does not wait for that again");
    }

    #[test]
    fn it_is_left_alone_while_nobody_waits_or_anything_moves_or_all_is_flushed() {
        assert_eq!(said(&[(0, 9, 7, false), (1000, 9, 7, false), (5000, 9, 7, false)]), [false; 3]);
        assert_eq!(said(&[(0, 9, 7, true), (400, 10, 7, true), (800, 11, 7, true), (1200, 11, 8, true)]), [false; 4]);
        assert_eq!(said(&[(0, 9, 9, true), (1000, 9, 9, true), (2000, 9, 10, true)]), [false; 3]);
        let looks = [(0, 9, 7, true), (100, 10, 7, false), (700, 10, 7, false)];
        assert_eq!(said(&looks), [false; 3], "whoever waited for that may have what he wants");
    }

    #[test]
    fn one_that_hangs_is_left_alone_until_its_disk_gets_on() {
        let (start, mut standstill) = (crate::clock::now(), Standstill::default());
        let look = |standstill: &mut Standstill, at: u64, written: Lsn, flushed: Lsn| {
            standstill.look(written, flushed, true, start + Duration::from_millis(at))
        };
        assert!(!look(&mut standstill, 0, 9, 7));
        assert!(look(&mut standstill, 500, 9, 7));
        standstill.hangs();
        for at in [1500, 5000, 60_000] {
            assert!(!look(&mut standstill, at, 9, 7), "at {at}");
        }
        assert!(!look(&mut standstill, 61_000, 10, 7));
        assert!(!look(&mut standstill, 62_000, 10, 7), "what is written only is on no disk");
        assert!(!look(&mut standstill, 63_000, 12, 10));
        assert!(look(&mut standstill, 64_000, 12, 10));
    }

    #[test]
    fn it_is_made_to_once_a_second_at_most() {
        let looks = [(0, 9, 7, true), (500, 9, 7, true), (600, 9, 7, true), (1499, 9, 7, true), (1500, 9, 7, true)];
        assert_eq!(said(&looks), [false, true, false, false, true]);
        let looks = [(0, 9, 7, true), (500, 9, 7, true), (600, 12, 7, true), (1100, 12, 7, true), (1600, 12, 7, true)];
        assert_eq!(said(&looks), [false, true, false, false, true]);
    }
}
