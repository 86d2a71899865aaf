//! The one place that reads the monotonic clock.
//!
//! Pure rooms (L0 to L2, and `pool::core`) take `now` as an argument and never call this.

use std::time::Instant;

/// Monotonic now. Follows tokio's paused clock inside a paused test runtime. About 25 ns.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
