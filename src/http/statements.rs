//! What /metrics says of single statements: the busiest by their fingerprints, the others together.

use super::Views;
use super::family::Families;
use crate::metrics::Numbers;

/// Bytes of a query's text that a label gets.
const QUERY_MAX: usize = 160;

/// Adds their families.
pub(super) fn statements(out: &mut Families, views: &Views) {
    let all = views.metrics.exported_statements((views.config)().insight.exported_fingerprints);
    let named: Vec<_> = all.iter().map(|series| (series, series.name.to_string())).collect();
    type Value = fn(&Numbers) -> f64;
    let counters: [(&str, &str, Value); 6] = [
        (
            "pgotter_fingerprint_calls_total",
            "Statements run, by what is left of their text without constants.",
            |numbers| numbers.calls as f64,
        ),
        ("pgotter_fingerprint_errors_total", "Those among them that failed.", |numbers| numbers.errors as f64),
        ("pgotter_fingerprint_rows_total", "Rows that they returned or changed.", |numbers| numbers.rows as f64),
        ("pgotter_fingerprint_bytes_total", "Bytes of their answers.", |numbers| numbers.bytes as f64),
        ("pgotter_fingerprint_wait_seconds_total", "How long they waited for a server.", |numbers| {
            numbers.wait_us as f64 / 1e6
        }),
        ("pgotter_fingerprint_server_seconds_total", "How long servers were busy with them.", |numbers| {
            numbers.server_us as f64 / 1e6
        }),
    ];
    for (name, help, value) in counters {
        let mut family = out.counter(name, help);
        for (series, fingerprint) in &named {
            family.value(&[("database", &*series.database), ("fingerprint", fingerprint)], value(&series.numbers));
        }
    }
    let mut family = out.histogram(
        "pgotter_fingerprint_duration_seconds",
        "From a statement's arrival until its client had the answer, the wait included.",
    );
    for (series, fingerprint) in &named {
        family.durations(&[("database", &*series.database), ("fingerprint", fingerprint)], &series.numbers.total);
    }
    drop(family);
    let mut family = out.gauge("pgotter_fingerprint_info", "Always 1; what a fingerprint stands for.");
    for (series, fingerprint) in &named {
        let Some(seen) = series.seen.as_ref().filter(|seen| !seen.description().text.is_empty()) else { continue };
        let description = seen.description();
        let query = &description.text[..description.text.floor_char_boundary(QUERY_MAX)];
        let labels = [
            ("database", &*series.database),
            ("fingerprint", fingerprint),
            ("kind", description.kind),
            ("tables", &description.tables),
            ("query", query),
        ];
        family.count(&labels, 1u64);
    }
}
