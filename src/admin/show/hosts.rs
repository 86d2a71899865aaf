//! SHOW HOSTS: the hosts of each database of the configuration, and what was found out about them. PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::{Row, int4, numeric, text};
use crate::cluster::{HostSeen, Watch};
use crate::config::{Host, HostRole};
use crate::router::Role;
use crate::wire::rows::{Cell, Column};

pub(super) const COLUMNS: [Column; 11] = [
    text("database"),
    text("host"),
    int4("port"),
    text("role"),
    text("state"),
    int4("weight"),
    numeric("timeline"),
    text("lsn"),
    numeric("lag_bytes"),
    numeric("lag_ms"),
    text("reason"),
];

/// One row for each host of each entry, in the configuration's order. A database's only host is not watched.
pub(super) fn hosts<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let config = desk.process.config();
    let watches = desk.cluster.watches();
    let rows_of = |(name, hosts): (&str, &[Host])| {
        let watch = watches.iter().find(|watch| watch.entry == name);
        let seen = watch.map(|watch| watch.seen()).unwrap_or_default();
        let blind = watch.and_then(|watch| watch.blindness());
        let row = |(at, host): (usize, &Host)| match (seen.get(at), &blind) {
            (Some(seen), None) => watched_row(name, host, seen),
            (Some(_), Some(why)) => believed_row(name, host, watch.is_some_and(|watch| is_primary(watch, at)), why),
            (None, _) => unwatched_row(name, host),
        };
        hosts.iter().enumerate().map(row).collect::<Vec<_>>()
    };
    config.databases.iter().flat_map(|(name, entry)| rows_of((name, &entry.hosts))).collect()
}

fn watched_row(database: &str, host: &Host, seen: &HostSeen) -> Row {
    let role = match seen.role {
        Role::Primary => "primary",
        Role::Standby => "standby",
        Role::Unknown => "unknown",
    };
    let (lag, bytes) = seen.lag.unzip();
    let lag = lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
    vec![
        database.into(),
        host.host.as_str().into(),
        u64::from(host.port).into(),
        role.into(),
        seen.state.word().into(),
        u64::from(host.weight).into(),
        seen.timeline.map(u64::from).into(),
        seen.lsn.map(|lsn| format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)).into(),
        bytes.into(),
        lag.into(),
        seen.reason.clone().into(),
    ]
}

/// Where nobody can be asked.
fn believed_row(database: &str, host: &Host, primary: bool, why: &str) -> Row {
    let role = if primary { "primary" } else { "unknown" };
    unasked_row(database, host, role, "believed", Some(why))
}

fn unwatched_row(database: &str, host: &Host) -> Row {
    let role = if host.role == HostRole::Replica { "standby" } else { "primary" };
    unasked_row(database, host, role, "single", None)
}

fn unasked_row(database: &str, host: &Host, role: &str, state: &str, reason: Option<&str>) -> Row {
    let mut row: Row = vec![database.into(), host.host.as_str().into(), u64::from(host.port).into()];
    row.extend([role.into(), state.into(), u64::from(host.weight).into()]);
    row.extend([Cell::Null, Cell::Null, Cell::Null, Cell::Null, reason.into()]);
    row
}

fn is_primary(watch: &Watch, at: usize) -> bool {
    watch.primary() == Some(at)
}
