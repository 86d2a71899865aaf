//! `[insight]` and `[slow_queries]`: their keys, defaults and ranges. What they mean is told in the model and in `config/reference.toml`.

use super::later;
use super::model::{Insight, SlowQueries};
use super::section::Section;
use super::values::*;
use std::time::Duration;

/// Reads `[insight]`.
pub(super) fn insight(s: &mut Section<'_>) -> Insight {
    let insight = Insight {
        max_fingerprints: s.or("max_fingerprints", 5_000, whole(100..=1_000_000)),
        insight_memory: s.or("insight_memory", 64 << 20, size(1 << 20..=1 << 40)),
        exported_fingerprints: s.or("exported_fingerprints", 50, whole(0..=1_000)),
    };
    s.unknown_keys(later::key);
    insight
}

/// Reads `[slow_queries]`.
pub(super) fn slow_queries(s: &mut Section<'_>) -> SlowQueries {
    let slow_queries = SlowQueries {
        log: s.or("log", Some(Duration::from_millis(100)), limit),
        utilities: s.or("utilities", Some(Duration::from_secs(600)), limit),
        parameters: s.or("parameters", false, boolean),
        per_minute: s.or("per_minute", 10, whole(1..=COUNT_MAX)),
        keep: s.or("keep", 1_000, whole(0..=100_000)),
    };
    s.unknown_keys(later::key);
    slow_queries
}
