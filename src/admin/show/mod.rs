//! What SHOW shows: PgBouncer's columns, of its names, in its order and its types, and what is in them here. Nobody is
//! asked: what workers and pools have written is read, each for itself, so that two numbers may not agree for a moment.
//!
//! Source of columns and types: PgBouncer 1.25, `src/admin.c` and `src/stats.c`; of meanings: its documentation, "Admin
//! console".

mod active;
mod alerts;
mod applications;
mod configured;
mod counted;
mod errors;
mod hosts;
mod idle_transactions;
mod one_query;
mod pins;
mod pools;
mod queries;
mod routes;
mod slow_queries;
mod sockets;
mod wall;

use super::command::{SHOWN, SHOWN_OF, Show, fault, shown_of};
use super::desk::{Desk, Process};
use crate::config::Rights;
use crate::fault::{Fault, SqlState};
use crate::wire::rows::ColumnKind::{Decimal, Int4, Numeric, Text};
use crate::wire::rows::{Cell, Column, ColumnKind, Table};
use std::time::Duration;

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

/// With digits behind the point.
const fn decimal(name: &'static str) -> Column {
    column(name, Decimal)
}

/// Milliseconds to the microsecond; empty where nothing is known.
fn ms(duration: Option<Duration>) -> Cell {
    duration.map_or(String::new(), |duration| format!("{:.3}", duration.as_secs_f64() * 1e3)).into()
}

/// To the millisecond.
fn seconds(duration: Duration) -> Cell {
    format!("{:.3}", duration.as_secs_f64()).into()
}

/// What the rows of an answer have. Empty: it has none, and is a notice.
pub(super) fn columns(show: Show) -> Vec<Column> {
    match show {
        Show::Alerts => alerts::COLUMNS.to_vec(),
        Show::Active => active::COLUMNS.to_vec(),
        Show::Callers(_) => one_query::CALLERS.to_vec(),
        Show::Histogram(_) => one_query::HISTOGRAM.to_vec(),
        Show::Applications => applications::COLUMNS.to_vec(),
        Show::Pins => pins::COLUMNS.to_vec(),
        Show::Clients | Show::Servers => sockets::COLUMNS.to_vec(),
        Show::Config => configured::CONFIG.to_vec(),
        Show::Databases => configured::DATABASES.to_vec(),
        Show::Users => configured::USERS.to_vec(),
        Show::Errors => errors::COLUMNS.to_vec(),
        Show::Help => Vec::new(),
        Show::Hosts => hosts::COLUMNS.to_vec(),
        Show::IdleTransactions => idle_transactions::COLUMNS.to_vec(),
        Show::Lists => vec![text("list"), int4("items")],
        Show::Pools => pools::COLUMNS.to_vec(),
        Show::Queries(_) => queries::COLUMNS.to_vec(),
        Show::Routes(None) => routes::COLUMNS.to_vec(),
        Show::Routes(Some(_)) => one_query::ROUTES.to_vec(),
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
///
/// # Errors
/// ERROR 42704: there is no query of this name.
pub(super) fn rows<P: Process>(desk: &Desk<P>, show: Show, rights: Rights) -> Result<Vec<Row>, Fault> {
    Ok(match show {
        Show::Alerts => alerts::alerts(desk),
        Show::Active => active::active(desk),
        Show::Callers(name) => one_query::callers(desk, name)?,
        Show::Histogram(name) => one_query::histogram(desk, name)?,
        Show::Applications => applications::applications(desk),
        Show::Pins => pins::pins(desk),
        Show::Clients => sockets::clients(desk),
        Show::Servers => sockets::servers(desk),
        Show::Config => configured::config(desk),
        Show::Databases => configured::databases(desk),
        Show::Users => configured::users(desk),
        Show::Errors => errors::errors(desk),
        Show::Help => Vec::new(),
        Show::Hosts => hosts::hosts(desk),
        Show::IdleTransactions => idle_transactions::idle_transactions(desk),
        Show::Lists => counted::lists(desk),
        Show::Pools => pools::pools(desk),
        Show::Queries(None) => queries::queries(desk),
        Show::Queries(Some(window)) => queries::recent(desk, window),
        Show::Routes(None) => routes::routes(desk),
        Show::Routes(Some(name)) => one_query::routes(desk, name)?,
        Show::SlowQueries => slow_queries::slow_queries(desk, rights),
        Show::State => counted::state(desk),
        Show::Stats | Show::StatsTotals | Show::StatsAverages => counted::stats(desk, show),
        Show::Totals => counted::totals(desk),
        Show::Version => vec![vec![format!("PgBouncer {VERSION} (PgOtter {})", env!("CARGO_PKG_VERSION")).into()]],
        Show::Parameter(_, value) => vec![vec![value.into()]],
    })
}

/// What [`table`] has without an argument, in the order of the alphabet.
pub fn table_names() -> Vec<&'static str> {
    SHOWN.iter().filter(|(_, show)| *show != Show::Help).map(|(name, _)| *name).collect()
}

/// What [`table`] has with one, and what that is called.
pub fn tables_of() -> &'static [(&'static str, &'static str)] {
    &SHOWN_OF
}

/// What SHOW of this name, in lower case, shows to whoever may only look; with an argument, under its name. `None`: there is no such, or it is no table.
///
/// # Errors
/// ERROR 22023, 42704: the argument is wrong, or missing.
pub fn table<P: Process>(desk: &Desk<P>, name: &str, argument: Option<(&str, &str)>) -> Option<Result<Table, Fault>> {
    let of = SHOWN_OF.iter().find(|(known, _)| *known == name).map(|(_, of)| *of);
    let plain = SHOWN.iter().find(|(known, show)| *known == name && *show != Show::Help).map(|(_, show)| *show);
    let wrong = |message| Err(fault(SqlState::INVALID_PARAMETER_VALUE, message));
    let show = match (argument, of, plain) {
        (_, None, None) => return None,
        (None, _, Some(show)) => Ok(show),
        (Some((key, value)), Some(of), _) if key == of => shown_of(name, value).transpose()?,
        (None, Some(of), None) => wrong(format!("{name} needs {of}=")),
        (Some(_), Some(of), _) => wrong(format!("{name} takes {of}= and nothing else")),
        (Some(_), None, _) => wrong(format!("{name} takes nothing behind a question mark")),
    };
    Some(show.and_then(|show| Ok(Table { columns: columns(show), rows: rows(desk, show, Rights::Look)? })))
}

#[cfg(test)]
mod tests;
