//! The names of prometheus-community's pgbouncer_exporter, for dashboards and alerts that were written for it: what it makes of PgBouncer's
//! console is made of the same tables here.
//!
//! Its labels are bounded as all are: databases, users and applications that have no label of their own are one `other` together.
//!
//! Source of names, types, factors and labels: pgbouncer_exporter, `collector.go`; PgBouncer's columns as in `admin`.

use super::Views;
use super::family::Families;
use super::pools::busiest;
use crate::metrics::OTHER;
use crate::wire::rows::{Cell, Table};
use std::collections::{BTreeMap, BTreeSet};

/// The console itself, which is a database as well.
const CONSOLE: &str = "pgbouncer";

/// Applications with a label of their own.
const APPLICATIONS: usize = 50;

const MICROSECONDS: f64 = 1e-6;

/// A table of the console, which columns of it are labels, and what is made of others.
struct Mapping {
    table: &'static str,
    labels: &'static [&'static str],
    is_counter: bool,
    metrics: &'static [(&'static str, &'static str, f64, &'static str)],
}

const DATABASES: Mapping = Mapping {
    table: "databases",
    labels: &["name", "host", "port", "database", "force_user", "pool_mode"],
    is_counter: false,
    metrics: &[
        ("pool_size", "pgbouncer_databases_pool_size", 1.0, "Servers of a pool at most."),
        ("reserve_pool_size", "pgbouncer_databases_reserve_pool", 1.0, "Servers of a pool beyond that."),
        ("max_connections", "pgbouncer_databases_max_connections", 1.0, "Servers of a database at most; 0: no limit."),
        ("current_connections", "pgbouncer_databases_current_connections", 1.0, "Servers of a database."),
        ("paused", "pgbouncer_databases_paused", 1.0, "1 for a database that is paused, else 0."),
        ("disabled", "pgbouncer_databases_disabled", 1.0, "1 for a database that is disabled, else 0."),
    ],
};

const STATS: Mapping = Mapping {
    table: "stats_totals",
    labels: &["database"],
    is_counter: true,
    metrics: &[
        ("query_count", "pgbouncer_stats_totals_queries_pooled_total", 1.0, "Queries."),
        (
            "query_time",
            "pgbouncer_stats_totals_queries_duration_seconds_total",
            MICROSECONDS,
            "How long servers were busy with queries.",
        ),
        ("bytes_received", "pgbouncer_stats_totals_received_bytes_total", 1.0, "Bytes from clients."),
        ("bytes_sent", "pgbouncer_stats_totals_sent_bytes_total", 1.0, "Bytes to clients."),
        (
            "wait_time",
            "pgbouncer_stats_totals_client_wait_seconds_total",
            MICROSECONDS,
            "How long clients have waited for a server.",
        ),
        ("xact_count", "pgbouncer_stats_totals_sql_transactions_pooled_total", 1.0, "Transactions."),
        (
            "xact_time",
            "pgbouncer_stats_totals_server_in_transaction_seconds_total",
            MICROSECONDS,
            "How long servers were in a transaction.",
        ),
        (
            "client_parse_count",
            "pgbouncer_stats_totals_client_parses_total",
            1.0,
            "Parse messages of clients for named statements.",
        ),
        (
            "server_parse_count",
            "pgbouncer_stats_totals_server_parses_total",
            1.0,
            "Parse messages to servers for those.",
        ),
        ("bind_count", "pgbouncer_stats_totals_binds_total", 1.0, "Bind messages of clients for those."),
    ],
};

const POOLS: Mapping = Mapping {
    table: "pools",
    labels: &["database", "user"],
    is_counter: false,
    metrics: &[
        ("cl_active", "pgbouncer_pools_client_active_connections", 1.0, "Clients that wait for no server."),
        ("cl_active_cancel_req", "pgbouncer_pools_client_active_cancel_connections", 1.0, "Cancel requests under way."),
        ("cl_waiting", "pgbouncer_pools_client_waiting_connections", 1.0, "Clients that wait for a server."),
        (
            "cl_waiting_cancel_req",
            "pgbouncer_pools_client_waiting_cancel_connections",
            1.0,
            "Cancel requests that wait.",
        ),
        ("sv_active", "pgbouncer_pools_server_active_connections", 1.0, "Servers that a client has."),
        (
            "sv_active_cancel",
            "pgbouncer_pools_server_active_cancel_connections",
            1.0,
            "Servers that get a cancel request.",
        ),
        (
            "sv_being_canceled",
            "pgbouncer_pools_server_being_canceled_connections",
            1.0,
            "Servers that wait for cancel requests to end.",
        ),
        ("sv_idle", "pgbouncer_pools_server_idle_connections", 1.0, "Servers that can be had."),
        ("sv_used", "pgbouncer_pools_server_used_connections", 1.0, "Servers that are to be probed."),
        ("sv_tested", "pgbouncer_pools_server_testing_connections", 1.0, "Servers that are brought back or reset."),
        ("sv_login", "pgbouncer_pools_server_login_connections", 1.0, "Servers that log in."),
        ("maxwait", "pgbouncer_pools_client_maxwait_seconds", 1.0, "How long the first client that waits has waited."),
    ],
};

/// Rows of SHOW LISTS.
const LISTS: [(&str, &str, &str); 11] = [
    ("databases", "pgbouncer_databases", "Databases."),
    ("users", "pgbouncer_users", "Users."),
    ("pools", "pgbouncer_pools", "Pools."),
    ("free_clients", "pgbouncer_free_clients", "Always 0."),
    ("used_clients", "pgbouncer_used_clients", "Clients."),
    ("login_clients", "pgbouncer_login_clients", "Clients that log in."),
    ("free_servers", "pgbouncer_free_servers", "Always 0."),
    ("used_servers", "pgbouncer_used_servers", "Servers."),
    ("dns_names", "pgbouncer_cached_dns_names", "Always 0."),
    ("dns_zones", "pgbouncer_cached_dns_zones", "Always 0."),
    ("dns_queries", "pgbouncer_in_flight_dns_queries", "Always 0."),
];

/// Rows of SHOW CONFIG.
const CONFIG: [(&str, &str, &str); 2] = [
    ("max_client_conn", "pgbouncer_config_max_client_connections", "Clients at most."),
    ("max_user_connections", "pgbouncer_config_max_user_connections", "Servers of a user at most; 0: no limit."),
];

/// Adds its families.
pub(super) fn pgbouncer(out: &mut Families, views: &Views) {
    let table = |name| (views.tables.by_name)(name, None).and_then(Result::ok).unwrap_or_default();
    out.gauge("pgbouncer_up", "Always 1: it is PgOtter that answers.").count(&[], 1u64);
    let version = table("version");
    let version = version.rows.first().map_or(String::new(), |row| text(row.first()));
    out.gauge("pgbouncer_version_info", "Always 1; what SHOW VERSION says.").count(&[("version", &version)], 1u64);
    for (table, metrics) in [(table("lists"), &LISTS[..]), (table("config"), &CONFIG)] {
        for (key, name, help) in metrics {
            let row = table.rows.iter().find(|row| text(row.first()) == *key);
            if let Some(value) = row.and_then(|row| number(row.get(1))) {
                out.gauge(name, help).value(&[], value);
            }
        }
    }
    let pools = table(POOLS.table);
    let users = named_users(&pools);
    for (mapping, table) in [(&DATABASES, table(DATABASES.table)), (&STATS, table(STATS.table)), (&POOLS, pools)] {
        mapped(out, views, mapping, &table, &users);
    }
    clients(out, views, &table("clients"), &users);
}

/// Those who have a label of their own.
fn named_users(pools: &Table) -> BTreeSet<String> {
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    for row in &pools.rows {
        let connections = ["cl_active", "cl_waiting", "sv_active", "sv_idle"];
        let connections = connections.iter().filter_map(|name| number(cell(pools, row, name))).sum::<f64>();
        *users.entry(text(cell(pools, row, "user"))).or_default() += connections as usize;
    }
    let named = busiest(users.iter().map(|(user, connections)| (user.as_str(), *connections)).collect());
    named.into_iter().map(str::to_owned).collect()
}

/// Rows that come to the same labels are one, added up; the longest wait is the longest.
fn mapped(out: &mut Families, views: &Views, mapping: &Mapping, table: &Table, users: &BTreeSet<String>) {
    let mut rows: BTreeMap<Vec<String>, Vec<f64>> = BTreeMap::new();
    for row in &table.rows {
        let mut labels: Vec<String> = mapping.labels.iter().map(|name| text(cell(table, row, name))).collect();
        let database = labels[0].as_str();
        if !is_named(views, database) {
            // What else there is to say of it is its own.
            labels = labels.into_iter().map(|_| String::new()).collect();
            labels[0] = OTHER.to_owned();
        }
        if let Some(user) = labels.get_mut(1).filter(|_| mapping.labels[1..].first() == Some(&"user")) {
            *user = text(cell(table, row, "user"));
            if !users.contains(user) {
                *user = OTHER.to_owned();
            }
        }
        let values = mapping.metrics.iter().map(|(column, ..)| number(cell(table, row, column)).unwrap_or(0.0));
        let sums = rows.entry(labels).or_insert_with(|| vec![0.0; mapping.metrics.len()]);
        for ((sum, value), (column, ..)) in sums.iter_mut().zip(values).zip(mapping.metrics) {
            *sum = if matches!(*column, "maxwait" | "paused" | "disabled") { sum.max(value) } else { *sum + value };
        }
    }
    for (at, (_, name, factor, help)) in mapping.metrics.iter().enumerate() {
        let mut family = if mapping.is_counter { out.counter(name, help) } else { out.gauge(name, help) };
        for (labels, values) in &rows {
            let labels: Vec<_> = mapping.labels.iter().copied().zip(labels.iter().map(String::as_str)).collect();
            family.value(&labels, values[at] * factor);
        }
    }
}

fn clients(out: &mut Families, views: &Views, table: &Table, users: &BTreeSet<String>) {
    let application = |row: &[Cell]| text(cell(table, row, "application_name"));
    let mut applications: BTreeMap<String, usize> = BTreeMap::new();
    table.rows.iter().for_each(|row| *applications.entry(application(row)).or_default() += 1);
    let mut named: Vec<_> = applications.into_iter().collect();
    named.sort_by(|(one, ones), (other, others)| (others, one).cmp(&(ones, other)));
    let named: BTreeSet<String> = named.into_iter().take(APPLICATIONS).map(|(name, _)| name).collect();
    let bounded = |is_named: bool, name: String| if is_named { name } else { OTHER.to_owned() };
    let mut counts: BTreeMap<[String; 4], u64> = BTreeMap::new();
    for row in &table.rows {
        let [database, user, state] = ["database", "user", "state"].map(|name| text(cell(table, row, name)));
        let application = application(row);
        let labels = [
            bounded(is_named(views, &database), database),
            bounded(users.contains(&user), user),
            bounded(named.contains(&application), application),
            state,
        ];
        *counts.entry(labels).or_default() += 1;
    }
    let mut family = out.gauge("pgbouncer_client_connections", "Clients, by who they are and what they do.");
    for (labels, count) in &counts {
        let names = ["database", "user", "application_name", "state"];
        let labels: Vec<_> = names.into_iter().zip(labels.iter().map(String::as_str)).collect();
        family.count(&labels, *count);
    }
}

fn is_named(views: &Views, database: &str) -> bool {
    database == CONSOLE || views.metrics.label(database) == database || views.config_names(database)
}

fn cell<'a>(table: &Table, row: &'a [Cell], name: &str) -> Option<&'a Cell> {
    row.get(table.columns.iter().position(|column| column.name == name)?)
}

/// Empty for NULL.
fn text(cell: Option<&Cell>) -> String {
    match cell {
        None | Some(Cell::Null) => String::new(),
        Some(Cell::Text(text)) => text.clone(),
        Some(Cell::Number(number)) => number.to_string(),
    }
}

fn number(cell: Option<&Cell>) -> Option<f64> {
    match cell? {
        Cell::Null => None,
        Cell::Text(text) => text.parse().ok(),
        Cell::Number(number) => Some(*number as f64),
    }
}
