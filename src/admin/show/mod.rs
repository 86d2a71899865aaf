//! What SHOW shows: PgBouncer's columns, of its names, in its order and its types, and what is in them here. Nobody is
//! asked: what workers and pools have written is read, each for itself, so that two numbers may not agree for a moment.
//!
//! Source of columns and types: PgBouncer 1.25, `src/admin.c` and `src/stats.c`; of meanings: its documentation, "Admin
//! console".

mod alerts;
mod configured;
mod counted;
mod hosts;
mod pools;
mod queries;
mod routes;
mod slow_queries;
mod sockets;
mod wall;

use super::command::Show;
use super::desk::{Desk, Process};
use crate::wire::rows::ColumnKind::{Int4, Numeric, Text};
use crate::wire::rows::{Cell, Column, ColumnKind};

/// Of PgBouncer, whose columns these are.
pub(super) const VERSION: &str = "1.25.2";

/// One line of an answer.
pub(super) type Row = Vec<Cell>;

const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind }
}

const fn text(name: &'static str) -> Column {
    column(name, Text)
}

const fn int4(name: &'static str) -> Column {
    column(name, Int4)
}

const fn numeric(name: &'static str) -> Column {
    column(name, Numeric)
}

/// What the rows of an answer have. Empty: it has none, and is a notice.
pub(super) fn columns(show: Show) -> Vec<Column> {
    match show {
        Show::Alerts => alerts::COLUMNS.to_vec(),
        Show::Clients | Show::Servers => sockets::COLUMNS.to_vec(),
        Show::Config => configured::CONFIG.to_vec(),
        Show::Databases => configured::DATABASES.to_vec(),
        Show::Users => configured::USERS.to_vec(),
        Show::Help => Vec::new(),
        Show::Hosts => hosts::COLUMNS.to_vec(),
        Show::Lists => vec![text("list"), int4("items")],
        Show::Pools => pools::COLUMNS.to_vec(),
        Show::Queries => queries::COLUMNS.to_vec(),
        Show::Routes => routes::COLUMNS.to_vec(),
        Show::SlowQueries => slow_queries::COLUMNS.to_vec(),
        Show::State => vec![text("key"), text("value")],
        Show::Stats => counted::STATS.to_vec(),
        Show::StatsTotals => counted::STATS_TOTALS.to_vec(),
        Show::StatsAverages => counted::STATS_AVERAGES.to_vec(),
        Show::Totals => vec![text("name"), numeric("value")],
        Show::Version => vec![text("version")],
        Show::Parameter(name, _) => vec![text(name)],
    }
}

/// The rows of an answer.
pub(super) fn rows<P: Process>(desk: &Desk<P>, show: Show) -> Vec<Row> {
    match show {
        Show::Alerts => alerts::alerts(desk),
        Show::Clients => sockets::clients(desk),
        Show::Servers => sockets::servers(desk),
        Show::Config => configured::config(desk),
        Show::Databases => configured::databases(desk),
        Show::Users => configured::users(desk),
        Show::Help => Vec::new(),
        Show::Hosts => hosts::hosts(desk),
        Show::Lists => counted::lists(desk),
        Show::Pools => pools::pools(desk),
        Show::Queries => queries::queries(desk),
        Show::Routes => routes::routes(desk),
        Show::SlowQueries => slow_queries::slow_queries(desk),
        Show::State => counted::state(desk),
        Show::Stats | Show::StatsTotals | Show::StatsAverages => counted::stats(desk, show),
        Show::Totals => counted::totals(desk),
        Show::Version => vec![vec![format!("PgBouncer {VERSION} (PgOtter {})", env!("CARGO_PKG_VERSION")).into()]],
        Show::Parameter(_, value) => vec![vec![value.into()]],
    }
}

#[cfg(test)]
mod tests;
