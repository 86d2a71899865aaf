//! SHOW SLOW_QUERIES: statements that took long, one by one, the newest first. PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::wall::wall;
use super::{Row, decimal, ms, numeric, text};
use crate::config::Rights;
use crate::metrics::SlowQuery;
use crate::wire::rows::{Cell, Column};

pub(super) const COLUMNS: [Column; 26] = [
    text("time"),
    text("database"),
    text("fingerprint"),
    text("kind"),
    decimal("total_ms"),
    decimal("wait_ms"),
    decimal("server_ms"),
    decimal("transaction_ms"),
    numeric("rows"),
    numeric("bytes"),
    text("failed"),
    text("sqlstate"),
    text("user"),
    text("application_name"),
    text("client"),
    text("server"),
    text("role"),
    text("reason"),
    text("trace_id"),
    text("route"),
    text("action"),
    text("application"),
    numeric("suppressed"),
    text("query"),
    text("text"),
    text("parameters"),
];

/// One row for each that was told of and is kept. What is not known is NULL, and so are constants and parameters for who may only look.
pub(super) fn slow_queries<P: Process>(desk: &Desk<P>, rights: Rights) -> Vec<Row> {
    let shown = |slow: &SlowQuery| SlowQuery { text: None, parameters: None, ..slow.clone() };
    let newest = desk.metrics.slow().newest();
    newest
        .iter()
        .map(|slow| if rights == Rights::Everything { row(desk, slow) } else { row(desk, &shown(slow)) })
        .collect()
}

fn row<P: Process>(desk: &Desk<P>, slow: &SlowQuery) -> Row {
    let known = |text: &Option<Box<str>>| Cell::from(text.as_deref().map(str::to_owned));
    let tags = &slow.tags;
    vec![
        wall(desk.on_the_wall(slow.ended)).into(),
        (*slow.database).into(),
        slow.name.to_string().into(),
        slow.kind.into(),
        ms(Some(slow.total)),
        ms(Some(slow.waited)),
        ms(Some(slow.server_time)),
        ms(Some(slow.transaction)),
        slow.rows.into(),
        slow.bytes.into(),
        if slow.failed { "yes" } else { "no" }.into(),
        known(&slow.sqlstate),
        (*slow.user).into(),
        (*slow.application_name).into(),
        (*slow.client).into(),
        (*slow.server).into(),
        slow.role.into(),
        slow.reason.into(),
        known(&tags.trace_id),
        known(&tags.route),
        known(&tags.action),
        known(&tags.application),
        slow.suppressed.into(),
        (*slow.query).into(),
        known(&slow.text),
        known(&slow.parameters),
    ]
}
