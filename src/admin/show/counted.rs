//! What is counted: SHOW STATS and its relatives, SHOW LISTS, SHOW STATE.

use super::super::averages::NUMBERS;
use super::super::command::Show;
use super::super::desk::{Desk, Process};
use super::configured::{database_names, user_counts};
use super::pools::{self, Seen};
use super::{Row, numeric, text};
use crate::clock;
use crate::wire::rows::{Cell, Column};

pub(super) const STATS: [Column; 1 + 2 * NUMBERS] = [
    text("database"),
    numeric("total_server_assignment_count"),
    numeric("total_xact_count"),
    numeric("total_query_count"),
    numeric("total_received"),
    numeric("total_sent"),
    numeric("total_xact_time"),
    numeric("total_query_time"),
    numeric("total_wait_time"),
    numeric("total_client_parse_count"),
    numeric("total_server_parse_count"),
    numeric("total_bind_count"),
    numeric("total_client_login_count"),
    numeric("avg_server_assignment_count"),
    numeric("avg_xact_count"),
    numeric("avg_query_count"),
    numeric("avg_recv"),
    numeric("avg_sent"),
    numeric("avg_xact_time"),
    numeric("avg_query_time"),
    numeric("avg_wait_time"),
    numeric("avg_client_parse_count"),
    numeric("avg_server_parse_count"),
    numeric("avg_bind_count"),
    numeric("avg_client_login_count"),
];

pub(super) const STATS_TOTALS: [Column; 1 + NUMBERS] = [
    text("database"),
    numeric("server_assignment_count"),
    numeric("xact_count"),
    numeric("query_count"),
    numeric("bytes_received"),
    numeric("bytes_sent"),
    numeric("xact_time"),
    numeric("query_time"),
    numeric("wait_time"),
    numeric("client_parse_count"),
    numeric("server_parse_count"),
    numeric("bind_count"),
    numeric("client_login_count"),
];

pub(super) const STATS_AVERAGES: [Column; 1 + NUMBERS] = [
    text("database"),
    numeric("server_assignment_count"),
    numeric("xact_count"),
    numeric("query_count"),
    numeric("bytes_received"),
    numeric("bytes_sent"),
    numeric("xact_time"),
    numeric("query_time"),
    numeric("wait_time"),
    numeric("avg_client_parse_count"),
    numeric("avg_server_parse_count"),
    numeric("avg_bind_count"),
    numeric("avg_client_login_count"),
];

/// As the rows of SHOW TOTALS are called, behind `total_` and `avg_`.
const TOTALS: [&str; NUMBERS] = [
    "server_assignment_count",
    "xact_count",
    "query_count",
    "client_bytes",
    "server_bytes",
    "xact_time",
    "query_time",
    "wait_time",
    "ps_client_parse_count",
    "ps_server_parse_count",
    "ps_bind_count",
    "client_login_count",
];

/// One row for each database.
pub(super) fn stats<P: Process>(desk: &Desk<P>, show: Show) -> Vec<Row> {
    let now = clock::now();
    let totals = desk.totals();
    let row = |(name, totals)| {
        let (total, average) = desk.averages.of(now, [(name, totals)].into_iter());
        let numbers = match show {
            Show::StatsTotals => total.to_vec(),
            Show::StatsAverages => average.to_vec(),
            _ => [total, average].concat(),
        };
        std::iter::once(name.into()).chain(numbers.into_iter().map(Cell::Number)).collect()
    };
    totals.iter().map(|(name, totals)| row((name.as_str(), totals))).collect()
}

/// All databases together.
pub(super) fn totals<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let totals = desk.totals();
    let (total, average) = desk.averages.of(clock::now(), totals.iter().map(|(name, totals)| (name.as_str(), totals)));
    let rows = |prefix: &'static str, numbers: [u64; NUMBERS]| {
        TOTALS.iter().zip(numbers).map(move |(name, number)| vec![format!("{prefix}{name}").into(), number.into()])
    };
    rows("total_", total).chain(rows("avg_", average)).collect()
}

/// What there is 0 of does not exist here: peers, tables of clients that are kept for others, zones. Nobody counts lookups that
/// are under way: each lasts a moment.
pub(super) fn lists<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let config = desk.process.config();
    let pools = pools::seen(desk);
    let (_, taken) = desk.process.seats();
    let seen = desk.process.clients();
    let (clients, consoles) = (seen.len(), desk.consoles().len());
    let items = [
        ("databases", database_names(&config, &pools).len() + 1),
        ("users", user_counts(&config, &pools, &seen).len()),
        ("peers", 0),
        ("pools", pools.len() + 1),
        ("peer_pools", 0),
        ("free_clients", 0),
        ("used_clients", taken.max(clients) + consoles),
        ("login_clients", taken.saturating_sub(clients)),
        ("free_servers", 0),
        ("used_servers", pools.iter().map(Seen::servers).sum()),
        ("dns_names", desk.cluster.host_names().len()),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
    ];
    items.into_iter().map(|(list, items)| vec![list.into(), items.into()]).collect()
}

/// Whether everything is paused.
pub(super) fn state<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let paused = desk.cluster.is_paused(None);
    let states = [("active", !paused), ("paused", paused), ("suspended", false)];
    let row = |(key, is): (&str, bool)| vec![key.into(), if is { "yes" } else { "no" }.into()];
    states.into_iter().map(row).collect()
}
