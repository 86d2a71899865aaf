//! `[insight]`: its keys, defaults and ranges. What they mean is told in the model and in `config/reference.toml`.

use super::later;
use super::model::Insight;
use super::section::Section;
use super::values::*;

/// Reads the section.
pub(super) fn insight(s: &mut Section<'_>) -> Insight {
    let insight = Insight {
        max_fingerprints: s.or("max_fingerprints", 5_000, whole(100..=1_000_000)),
        insight_memory: s.or("insight_memory", 64 << 20, size(1 << 20..=1 << 40)),
        exported_fingerprints: s.or("exported_fingerprints", 50, whole(0..=1_000)),
    };
    s.unknown_keys(later::key);
    insight
}
