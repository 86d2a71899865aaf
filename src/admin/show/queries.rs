//! SHOW QUERIES: what statements take, those first that servers are busy with for longest, since the start or lately. PgBouncer has
//! nothing like it.

use super::super::desk::{Desk, Process};
use super::{Row, decimal, ms, numeric, text};
use crate::metrics::{Description, Latency, Name, ROUTES, Recent, Seen};
use crate::router::kinds;
use crate::wire::rows::{Cell, Column};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

/// Rows that are shown at most.
const ROWS_MAX: usize = 500;

pub(super) const COLUMNS: [Column; 16] = [
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
    numeric("replica_calls"),
];

/// What a row is made of.
struct Query<'a> {
    database: &'a Arc<str>,
    name: Name,
    description: &'a Description,
    calls: u64,
    errors: u64,
    rows: u64,
    server_us: u64,
    wait_us: u64,
    server: Latency,
    replica_calls: Option<u64>,
}

/// One row for each database and fingerprint. All times but `wait_ms` are those of servers; `share` is in percent.
pub(super) fn queries<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let mut all = desk.metrics.statements();
    let busy: u64 = all.iter().map(|seen| seen.numbers.server_us).sum();
    all.sort_by(|one, other| {
        let order = |seen: &Seen| (Reverse(seen.numbers.server_us), Reverse(seen.numbers.calls), seen.name);
        order(one).cmp(&order(other)).then_with(|| one.database.cmp(&other.database))
    });
    all.truncate(ROWS_MAX);
    all.iter().map(|seen| Query::from(seen).row(busy)).collect()
}

/// The same of the last `window`, as far as windows keep it: nothing of routes, and less of texts.
pub(super) fn recent<P: Process>(desk: &Desk<P>, window: Duration) -> Vec<Row> {
    let found = desk.metrics.windows.recent(window);
    let busy: u64 = found.values().map(|recent| recent.server_us).sum();
    let mut all: Vec<_> = found.into_iter().collect();
    all.sort_by(|(one_key, one), (other_key, other)| {
        let order = |recent: &Recent| (Reverse(recent.server_us), Reverse(recent.calls));
        order(one).cmp(&order(other)).then_with(|| one_key.cmp(other_key))
    });
    all.truncate(ROWS_MAX);
    let query = |(key, recent): &(_, Recent)| {
        let crate::metrics::Key { database, name } = key;
        let Recent { description, calls, errors, rows, wait_us, server_us, .. } = recent;
        let (calls, errors, rows, wait_us, server_us) = (*calls, *errors, *rows, *wait_us, *server_us);
        let (name, server) = (*name, recent.server());
        let replica_calls = None;
        Query { database, name, description, calls, errors, rows, server_us, wait_us, server, replica_calls }.row(busy)
    };
    all.iter().map(query).collect()
}

/// Calls on replicas among these.
fn on_replicas(routes: &[u64; ROUTES]) -> u64 {
    kinds().zip(routes).filter(|((role, _), _)| *role == "replica").map(|(_, calls)| calls).sum()
}

impl<'a> From<&'a Seen> for Query<'a> {
    fn from(seen: &'a Seen) -> Self {
        let numbers = &seen.numbers;
        Self {
            database: &seen.database,
            name: seen.name,
            description: seen.description(),
            calls: numbers.calls,
            errors: numbers.errors,
            rows: numbers.rows,
            server_us: numbers.server_us,
            wait_us: numbers.wait_us,
            server: seen.server(),
            replica_calls: Some(on_replicas(&seen.routes())),
        }
    }
}

impl Query<'_> {
    fn row(&self, busy: u64) -> Row {
        let quantile = |share| ms(self.server.quantile(share));
        // Those sent together with others have no time of their own.
        let mean = self.server_us.checked_div(self.server.count()).map(Duration::from_micros);
        let share = 100.0 * self.server_us as f64 / busy.max(1) as f64;
        let us = Duration::from_micros;
        vec![
            (**self.database).into(),
            self.name.to_string().into(),
            self.description.kind.into(),
            self.calls.into(),
            self.errors.into(),
            self.rows.into(),
            ms(Some(us(self.server_us))),
            ms(mean),
            quantile(0.5),
            quantile(0.95),
            quantile(0.99),
            ms(Some(us(self.wait_us))),
            format!("{share:.1}").into(),
            (*self.description.text).into(),
            (*self.description.tables).into(),
            Cell::from(self.replica_calls),
        ]
    }
}
