//! SHOW ROUTES: where transactions were sent, or would have been, and why. PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::{Row, numeric, text};
use crate::router::kinds;
use crate::wire::rows::Column;

pub(super) const COLUMNS: [Column; 5] =
    [text("database"), text("role"), text("reason"), numeric("decisions"), numeric("server_time")];

/// One row for each database, role and reason that there was; `server_time` in microseconds.
pub(super) fn routes<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (database, counts) in desk.metrics.counts() {
        for ((role, reason), routed) in kinds().zip(&*counts.routes) {
            if routed.decisions > 0 {
                let labels = [database.as_str(), role, reason.word()].map(Into::into);
                rows.push(labels.into_iter().chain([routed.decisions.into(), routed.served_us.into()]).collect());
            }
        }
    }
    rows
}
