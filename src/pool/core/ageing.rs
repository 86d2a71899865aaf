//! When a server is too old to go on, so that a pool opened at once does not die at once.

use crate::clock::Instant;
use std::time::Duration;

/// Spaces the closing of aged servers: at most one per `lifetime / servers`, except those older
/// than twice their lifetime.
#[derive(Debug, Default)]
pub(super) struct Ageing {
    last_closed: Option<Instant>,
}

impl Ageing {
    /// Whether a server opened at `opened` has to be closed now; the caller then does so.
    ///
    /// While the host is `failing` a server cannot be replaced and lives on, up to twice its
    /// lifetime. A lifetime of 0 means that a server serves once.
    pub fn due(&mut self, now: Instant, opened: Instant, lifetime: Duration, servers: usize, failing: bool) -> bool {
        let age = now.saturating_duration_since(opened);
        if age < lifetime {
            return false;
        }
        if age < lifetime.saturating_mul(2) && (failing || !self.turn_has_come(now, lifetime, servers)) {
            return false;
        }
        self.last_closed = Some(now);
        true
    }

    fn turn_has_come(&self, now: Instant, lifetime: Duration, servers: usize) -> bool {
        let spacing = lifetime / u32::try_from(servers.max(1)).unwrap_or(u32::MAX);
        self.last_closed.is_none_or(|last| now.saturating_duration_since(last) >= spacing)
    }
}
