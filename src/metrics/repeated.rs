//! Events that come in numbers: a few lines of log in each window, the rest is counted.

use crate::clock::Instant;
use parking_lot::Mutex;
use std::time::Duration;

/// Lines in one window, and how long that is.
const WINDOW: Duration = Duration::from_secs(10);

/// One kind of event.
pub struct Repeated {
    lines: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    since: Option<Instant>,
    logged: u32,
    unreported: u64,
}

impl Repeated {
    /// At most so many lines in ten seconds.
    pub fn new(lines: u32) -> Self {
        Self { lines, state: Mutex::default() }
    }

    /// It has happened. `Some`: to be logged, with how many were not since the last line.
    pub fn note(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        if state.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            (state.since, state.logged) = (Some(now), 0);
        }
        if state.logged >= self.lines {
            state.unreported += 1;
            return None;
        }
        state.logged += 1;
        Some(std::mem::take(&mut state.unreported))
    }
}

#[cfg(test)]
mod tests {
    //! Lines and windows.
    use super::*;

    #[test]
    fn a_storm_is_a_few_lines_in_each_window_and_the_next_one_says_how_many_there_were() {
        let (storm, start) = (Repeated::new(2), crate::clock::now());
        let noted: Vec<_> = (0..5).map(|_| storm.note(start)).collect();
        assert_eq!(noted, [Some(0), Some(0), None, None, None]);
        assert_eq!(storm.note(start + WINDOW - Duration::from_millis(1)), None);
        assert_eq!(storm.note(start + WINDOW), Some(4));
        assert_eq!(storm.note(start + WINDOW), Some(0));
        assert_eq!(storm.note(start + WINDOW), None);
    }
}
