//! Dates.

use super::wall::wall;
use std::time::{Duration, SystemTime};

#[test]
fn a_moment_is_written_in_utc() {
    // As `date -u -d @… '+%F %T UTC'` has it.
    for (seconds, written) in [
        (0, "1970-01-01 00:00:00 UTC"),
        (951_782_399, "2000-02-28 23:59:59 UTC"),
        (951_782_400, "2000-02-29 00:00:00 UTC"),
        (951_868_800, "2000-03-01 00:00:00 UTC"),
        (1_767_225_599, "2025-12-31 23:59:59 UTC"),
        (4_107_542_400, "2100-03-01 00:00:00 UTC"),
    ] {
        assert_eq!(wall(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), written);
    }
    assert_eq!(wall(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01 00:00:00 UTC");
}
