//! Who may ask for the time of day: a clock that somebody sets must move no deadline, so timers are made of `Instant`.
//!
//! Looks at names only, and not into unit tests. What the log, TLS (a certificate's dates) and tokio do inside is theirs;
//! all of tokio's timers are monotonic.

use crate::scan::words;

/// Files that tell an operator when something happened, and wait for nothing with it.
const ALLOWED: &[&str] =
    &["src/admin/desk.rs", "src/admin/show/wall.rs", "src/app/alerts.rs", "src/app/operator.rs", "src/app/run.rs"];

/// What asks the system for any of its clocks, and the one file that does: for the monotonic one.
const ASKING: &[&str] = &["ClockId", "clock_gettime"];
const CLOCK: &str = "src/clock.rs";

/// Names of the time of day, in the standard library, the system and the usual crates.
const WALL_CLOCKS: &[&str] = &[
    "SystemTime",
    "UNIX_EPOCH",
    "CLOCK_REALTIME",
    "CLOCK_REALTIME_COARSE",
    "CLOCK_TAI",
    "gettimeofday",
    "chrono",
    "OffsetDateTime",
    "Zoned",
];

/// Every place in `file` (its path in the repository) that names one: `file:line: complaint`.
pub fn check(file: &str, source: &str) -> Vec<String> {
    if ALLOWED.contains(&file) || file.ends_with("/tests.rs") {
        return Vec::new();
    }
    let asks = |word: &str| ASKING.contains(&word) && file != CLOCK;
    let named = words(source).into_iter().filter(|word| WALL_CLOCKS.contains(&word.text) || asks(word.text));
    named.map(|word| format!("{file}:{}: `{}` can jump; deadlines are made of Instant", word.line, word.text)).collect()
}

#[test]
fn a_timer_on_the_time_of_day_is_named() {
    let source = "use std::time::Instant; // SystemTime\nlet end = SystemTime::now() + wait;\nlet text = \"chrono\";\n";
    let complaints = check("src/client/timer.rs", source);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].starts_with("src/client/timer.rs:2: `SystemTime`"), "{complaints:?}");
    assert_eq!(check(ALLOWED[0], source), [""; 0]);
    let source = "let now = clock_gettime(ClockId::CLOCK_MONOTONIC);\n";
    assert_eq!((check(CLOCK, source).len(), check("src/net/bulk.rs", source).len()), (0, 2));
    assert_eq!(check(CLOCK, "ClockId::CLOCK_REALTIME").len(), 1);
}
