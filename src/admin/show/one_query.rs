//! One query more closely: SHOW HISTOGRAM, SHOW CALLERS and SHOW ROUTES of a fingerprint. PgBouncer has nothing like it.

use super::super::command::fault;
use super::super::desk::{Desk, Process};
use super::{Row, decimal, int4, ms, numeric, text};
use crate::activity::ClientState;
use crate::fault::{Fault, SqlState};
use crate::metrics::{Name, Seen};
use crate::router::kinds;
use crate::wire::rows::{Cell, Column};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

/// Callers that are shown at most.
const CALLERS_MAX: usize = 100;

pub(super) const HISTOGRAM: [Column; 5] =
    [text("database"), decimal("from_ms"), decimal("to_ms"), numeric("server_calls"), numeric("total_calls")];

pub(super) const ROUTES: [Column; 4] = [text("database"), text("role"), text("reason"), numeric("calls")];

pub(super) const CALLERS: [Column; 7] = [
    text("database"),
    text("user"),
    text("application_name"),
    int4("clients"),
    int4("active"),
    int4("slow"),
    decimal("slowest_ms"),
];

/// What is known of one caller.
#[derive(Default)]
struct Caller {
    clients: u64,
    active: u64,
    slow: u64,
    slowest: Option<Duration>,
}

/// One row for each database and bucket that is not empty: calls by how long servers took, and by how long it took in all.
pub(super) fn histogram<P: Process>(desk: &Desk<P>, name: Name) -> Result<Vec<Row>, Fault> {
    let us = Duration::from_micros;
    let mut rows = Vec::new();
    for seen in of(desk, name)? {
        for ((from, to, server), (_, _, total)) in seen.server().ranges().zip(seen.total().ranges()) {
            if server + total > 0 {
                let bounds = [ms(Some(us(from))), ms(to.map(us))];
                rows.push(
                    [(*seen.database).into()]
                        .into_iter()
                        .chain(bounds)
                        .chain([server, total].map(Cell::Number))
                        .collect(),
                );
            }
        }
    }
    Ok(rows)
}

/// One row for each database, role and reason that there was.
pub(super) fn routes<P: Process>(desk: &Desk<P>, name: Name) -> Result<Vec<Row>, Fault> {
    let rows = |seen: &Seen| {
        let routes = seen.routes();
        let row = |((role, reason), calls): ((&str, crate::router::Reason), &u64)| {
            (*calls > 0).then(|| vec![(*seen.database).into(), role.into(), reason.word().into(), (*calls).into()])
        };
        kinds().zip(&routes).filter_map(row).collect::<Vec<_>>()
    };
    Ok(of(desk, name)?.iter().flat_map(rows).collect())
}

/// One row for each database, user and application that is seen to call it: clients that are connected and have asked for nothing else
/// since, and slow statements that are kept. Those first that run it.
pub(super) fn callers<P: Process>(desk: &Desk<P>, name: Name) -> Result<Vec<Row>, Fault> {
    of(desk, name)?;
    let mut callers: BTreeMap<(String, String, String), Caller> = BTreeMap::new();
    for client in desk.process.clients() {
        // Who waits has not asked for it yet.
        if client.statement == Some(name) && client.state != ClientState::Waiting {
            let application = String::from_utf8_lossy(&client.application_name).into_owned();
            let is_active = super::active::runs(&client);
            let caller = callers.entry((client.database, client.user, application)).or_default();
            caller.clients += 1;
            caller.active += u64::from(is_active);
        }
    }
    for slow in desk.metrics.slow().newest().iter().filter(|slow| slow.name == name) {
        let key = [&slow.database, &slow.user, &slow.application_name].map(|text| text.to_string());
        let caller = callers.entry(key.into()).or_default();
        caller.slow += 1;
        caller.slowest = caller.slowest.max(Some(slow.total));
    }
    let mut callers: Vec<_> = callers.into_iter().collect();
    callers.sort_by_key(|(_, caller)| Reverse((caller.active, caller.clients, caller.slow)));
    callers.truncate(CALLERS_MAX);
    let row = |((database, user, application), caller): ((String, String, String), Caller)| {
        let Caller { clients, active, slow, slowest } = caller;
        let names = [database, user, application].map(Cell::from);
        let numbers = [clients.into(), active.into(), slow.into(), ms(slowest)];
        names.into_iter().chain(numbers).collect()
    };
    Ok(callers.into_iter().map(row).collect())
}

/// What is counted under this name, by database.
fn of<P: Process>(desk: &Desk<P>, name: Name) -> Result<Vec<Seen>, Fault> {
    let mut seen = desk.metrics.statements();
    seen.retain(|seen| seen.name == name);
    seen.sort_by(|one, other| one.database.cmp(&other.database));
    if seen.is_empty() {
        let message = format!("there is no query with the fingerprint {name}");
        let hint = "SHOW QUERIES has those that there are; what is called least may have been folded into \"other\".";
        return Err(fault(SqlState::UNDEFINED_OBJECT, message).with_hint(hint));
    }
    Ok(seen)
}
