//! The demo's words.

use super::*;

#[test]
fn times_are_read_with_and_without_units() {
    for (text, seconds) in [("30s", 30), ("45", 45), ("5m", 300), ("2h", 7200)] {
        assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
}

#[test]
fn what_is_no_time_is_refused_with_an_example() {
    for text in ["", "s", "0s", "-3s", "1.5s", "3 days", "99999999999999999999s", "18446744073709551615h"] {
        assert!(parse_duration(text).is_err_and(|error| error.contains("30s")), "{text}");
    }
}
