//! SHOW APPLICATIONS: what applications have asked of servers, those first that servers were busy with for longest. PgBouncer has nothing
//! like it.

use super::super::desk::{Desk, Process};
use super::{Row, decimal, ms, numeric, text};
use crate::metrics::{ApplicationNumbers, ApplicationRow};
use crate::wire::rows::Column;
use std::time::Duration;

/// Rows that are shown at most.
const ROWS_MAX: usize = 500;

pub(super) const COLUMNS: [Column; 5] =
    [text("database"), text("application_name"), numeric("queries"), numeric("errors"), decimal("server_ms")];

/// One row for each database and name.
pub(super) fn applications<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let mut rows = desk.metrics.applications();
    rows.retain(|row| row.numbers != ApplicationNumbers::default());
    rows.truncate(ROWS_MAX);
    rows.iter().map(row).collect()
}

fn row(ApplicationRow { database, name, numbers }: &ApplicationRow) -> Row {
    vec![
        (**database).into(),
        (**name).into(),
        numbers.queries.into(),
        numbers.errors.into(),
        ms(Some(Duration::from_micros(numbers.server_us))),
    ]
}
