//! The demo's load.

use super::*;

fn said(lines: &[&str]) -> Seen {
    let mut seen = Seen::default();
    lines.iter().for_each(|line| seen.line(line));
    seen
}

#[test]
fn progress_lines_add_up() {
    let seen = said(&[
        "progress: 2.0 s, 300.0 tps, lat 1.530 ms stddev 0.903, 0 failed, lag 0.100 ms",
        "progress: 4.0 s, 310.0 tps, lat 2.500 ms stddev 0.903, 3 failed, lag 0.100 ms",
    ]);
    assert_eq!((whole(seen.transactions), seen.failed), (1220, 3));
    assert_eq!((seen.tps, seen.latency_ms), (310.0, 2.5));
}

#[test]
fn the_final_count_replaces_the_sum() {
    let seen = said(&[
        "progress: 2.0 s, 300.0 tps, lat 1.530 ms stddev 0.903, 1 failed",
        "number of transactions actually processed: 612",
        "number of failed transactions: 2 (0.326%)",
    ]);
    assert_eq!((seen.counted, seen.failed), (Some(612), 2));
}

#[test]
fn a_client_that_gives_up_counts_as_failed() {
    let seen = said(&["pgbench: error: client 3 script 0 aborted in command 4 query 0: ERROR:  deadlock detected"]);
    assert_eq!((seen.aborted, seen.complaints.len()), (1, 1));
}
