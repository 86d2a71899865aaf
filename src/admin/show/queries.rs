//! SHOW QUERIES: what statements take, those first that servers are busy with for longest. PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::{Row, decimal, ms, numeric, text};
use crate::metrics::Seen;
use crate::wire::rows::Column;
use std::cmp::Reverse;
use std::time::Duration;

/// Rows that are shown at most.
const ROWS_MAX: usize = 500;

pub(super) const COLUMNS: [Column; 15] = [
    text("database"),
    text("fingerprint"),
    text("kind"),
    numeric("calls"),
    numeric("errors"),
    numeric("rows"),
    decimal("total_ms"),
    decimal("mean_ms"),
    decimal("p50_ms"),
    decimal("p95_ms"),
    decimal("p99_ms"),
    decimal("wait_ms"),
    decimal("share"),
    text("query"),
    text("tables"),
];

/// One row for each database and fingerprint. All times but `wait_ms` are those of servers; `share` is in percent.
pub(super) fn queries<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let mut all = desk.metrics.statements();
    let busy: u64 = all.iter().map(|seen| seen.numbers.server_us).sum();
    all.sort_by_key(|seen| (Reverse(seen.numbers.server_us), Reverse(seen.numbers.calls)));
    all.truncate(ROWS_MAX);
    all.iter().map(|seen| row(seen, busy)).collect()
}

fn row(seen: &Seen, busy: u64) -> Row {
    let (numbers, description, server) = (&seen.numbers, seen.description(), seen.server());
    let quantile = |share| ms(server.quantile(share));
    // Those sent together with others have no time of their own.
    let mean = numbers.server_us.checked_div(server.count()).map(Duration::from_micros);
    let share = 100.0 * numbers.server_us as f64 / busy.max(1) as f64;
    let (us, kind) = (Duration::from_micros, description.kind);
    vec![
        (*seen.database).into(),
        seen.name.to_string().into(),
        kind.into(),
        numbers.calls.into(),
        numbers.errors.into(),
        numbers.rows.into(),
        ms(Some(us(numbers.server_us))),
        ms(mean),
        quantile(0.5),
        quantile(0.95),
        quantile(0.99),
        ms(Some(us(numbers.wait_us))),
        format!("{share:.1}").into(),
        (*description.text).into(),
        (*description.tables).into(),
    ]
}
