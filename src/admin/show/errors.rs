//! SHOW ERRORS: which errors clients were told, by SQLSTATE and statement, those first of which there were most. PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::wall::wall;
use super::{Row, numeric, text};
use crate::metrics::ErrorRow;
use crate::wire::rows::{Cell, Column};

pub(super) const COLUMNS: [Column; 10] = [
    text("database"),
    text("sqlstate"),
    text("source"),
    text("fingerprint"),
    numeric("errors"),
    text("last"),
    text("user"),
    text("application_name"),
    text("kind"),
    text("query"),
];

/// One row for each database, SQLSTATE, source and statement. `fingerprint` is NULL where no statement was to run; `last`, `user` and
/// `application_name` are those of the last error.
pub(super) fn errors<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    desk.metrics.errors().rows().iter().map(|error| row(desk, error)).collect()
}

fn row<P: Process>(desk: &Desk<P>, error: &ErrorRow) -> Row {
    vec![
        (*error.database).into(),
        error.state.to_string().into(),
        error.source.word().into(),
        Cell::from(error.name.map(|name| name.to_string())),
        error.count.into(),
        wall(desk.on_the_wall(error.last)).into(),
        (*error.user).into(),
        (*error.application).into(),
        error.description.kind.into(),
        (*error.description.text).into(),
    ]
}
