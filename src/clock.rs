//! The one place that reads the monotonic clock, and what it says.
//!
//! Pure rooms (L0 to L2, and `pool::core`) take `now` as an argument and never call this.

use nix::time::{ClockId, clock_gettime};
use std::num::NonZeroU64;
use std::ops::{Add, AddAssign, Sub};
use std::sync::OnceLock;
use std::time::Duration;

/// A moment on the monotonic clock of this process: nanoseconds, so that to compare two or to subtract them, which every statement
/// does a dozen times, is one instruction. Where there may be none it takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

/// A moment, and tokio's name for it.
static ORIGIN: OnceLock<(Instant, tokio::time::Instant)> = OnceLock::new();

/// Behind what [`Instant`]s count from: there are moments before it.
const AT_ORIGIN: NonZeroU64 = NonZeroU64::MIN.saturating_add(1 << 60);

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// Monotonic now (CLOCK_MONOTONIC).
///
/// In debug builds, which most tests are, it follows tokio's clock, which can be paused and turned by hand.
pub fn now() -> Instant {
    if cfg!(debug_assertions) {
        let (origin, tokios) = origin();
        let now = tokio::time::Instant::now();
        match now.checked_duration_since(tokios) {
            Some(after) => origin + after,
            None => origin - (tokios - now),
        }
    } else {
        of_the_system()
    }
}

fn of_the_system() -> Instant {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("invariant: Linux has this clock");
    // Neither is ever negative.
    let nanos = now.tv_sec().cast_unsigned() * u64::from(NANOS_PER_SECOND) + now.tv_nsec().cast_unsigned();
    Instant(AT_ORIGIN.saturating_add(nanos))
}

fn origin() -> (Instant, tokio::time::Instant) {
    // In this order: no timer is early.
    *ORIGIN.get_or_init(|| (of_the_system(), tokio::time::Instant::now()))
}

impl Instant {
    /// How long ago `earlier` was then; zero if it was later.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        duration(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// `None`: nobody waits that long.
    pub fn checked_add(self, after: Duration) -> Option<Self> {
        self.0.checked_add(u64::try_from(after.as_nanos()).ok()?).map(Self)
    }

    /// How long ago `earlier` was then; `None` if it was later.
    pub fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        self.0.get().checked_sub(earlier.0.get()).map(duration)
    }

    /// `None`: there is no moment so long ago.
    pub fn checked_sub(self, before: Duration) -> Option<Self> {
        let nanos = self.0.get().checked_sub(u64::try_from(before.as_nanos()).ok()?)?;
        NonZeroU64::new(nanos).map(Self)
    }
}

/// Nearly all are shorter than a second: those are made without a division.
fn duration(nanos: u64) -> Duration {
    match u32::try_from(nanos) {
        Ok(nanos) if nanos < NANOS_PER_SECOND => Duration::new(0, nanos),
        _ => Duration::from_nanos(nanos),
    }
}

/// For tokio's timers.
impl From<Instant> for tokio::time::Instant {
    fn from(at: Instant) -> Self {
        let (origin, tokios) = origin();
        match at.checked_duration_since(origin) {
            Some(after) => tokios + after,
            None => tokios - (origin - at),
        }
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// The last moment there is, if that is beyond it: in some 500 years.
    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(nanos(after)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, after: Duration) {
        *self = *self + after;
    }
}

/// As [`Instant::saturating_duration_since`].
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, before: Duration) -> Self {
        let nanos = self.0.get().saturating_sub(nanos(before));
        Self(NonZeroU64::new(nanos).unwrap_or(NonZeroU64::MIN))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_follows_tokios_clock_and_goes_to_its_timers_and_back() {
        let (before, tokios) = (now(), tokio::time::Instant::now());
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(now() - before, Duration::from_millis(1500));
        assert_eq!(tokio::time::Instant::from(before), tokios);
        let later = before + Duration::from_nanos(7);
        assert_eq!(tokio::time::Instant::from(later), tokios + Duration::from_nanos(7));
    }

    #[test]
    fn there_are_moments_before_the_first_and_none_beyond_the_last() {
        let (now, day) = (now(), Duration::from_secs(86_400));
        let before = now - day;
        assert_eq!(
            (now.saturating_duration_since(before), before.saturating_duration_since(now)),
            (day, Duration::ZERO)
        );
        assert_eq!((now.checked_duration_since(before), before.checked_duration_since(now)), (Some(day), None));
        assert_eq!(tokio::time::Instant::from(before) + day, tokio::time::Instant::from(now));
        assert!(before < now && now.checked_sub(day) == Some(before) && before.checked_add(day) == Some(now));
        assert_eq!((now.checked_add(Duration::MAX), now.checked_sub(Duration::MAX)), (None, None));
        assert_eq!(now + Duration::MAX, now + Duration::MAX + day, "the last moment there is");
    }
}
