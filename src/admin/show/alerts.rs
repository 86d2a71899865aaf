//! SHOW ALERTS: which alerts fire, and how near the others are. PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::wall::wall;
use super::{Row, numeric, text};
use crate::alerts;
use crate::wire::rows::{Cell, Column};

// Values have units, and so are texts.
pub(super) const COLUMNS: [Column; 11] = [
    text("alert"),
    text("type"),
    text("database"),
    text("subject"),
    text("state"),
    text("level"),
    text("value"),
    text("threshold"),
    text("since"),
    numeric("fired"),
    text("query"),
];

/// One row for each of what an alert fires about, or one for the alert.
pub(super) fn alerts<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    desk.alerts.rows().iter().map(|shown| row(desk, shown)).collect()
}

fn row<P: Process>(desk: &Desk<P>, shown: &alerts::Row) -> Row {
    let since = shown.since.map(|since| wall(desk.on_the_wall(since)));
    let text = |text: &String| Cell::from(text.as_str());
    let or_null = |text: Option<&String>| text.map_or(Cell::Null, |text| text.as_str().into());
    vec![
        text(&shown.name),
        shown.kind.into(),
        text(&shown.database),
        text(&shown.subject),
        shown.state.into(),
        shown.level.into(),
        or_null(shown.value.as_ref()),
        text(&shown.threshold),
        or_null(since.as_ref()),
        shown.fired.into(),
        text(&shown.query),
    ]
}
