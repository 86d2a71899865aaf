//! SHOW IDLE_TRANSACTIONS: whose transactions wait for their clients, by user and by application, those first that have waited for longest.
//! PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::active::state;
use super::{Row, decimal, ms, numeric, text};
use crate::activity::ClientSeen;
use crate::metrics::ApplicationRow;
use crate::wire::rows::Column;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

/// Users that are shown at most, and as many applications.
const ROWS_MAX: usize = 500;

pub(super) const COLUMNS: [Column; 6] = [
    text("database"),
    text("by"),
    text("name"),
    numeric("idle_clients"),
    numeric("idle_transactions"),
    decimal("idle_ms"),
];

/// One row for each user and each application of which a transaction has waited.
pub(super) fn idle_transactions<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let seen = desk.process.clients();
    let mut rows = found(desk, "user", desk.metrics.users(), &seen, |client| client.user.clone());
    let application = |client: &ClientSeen| String::from_utf8_lossy(&client.application_name).into_owned();
    rows.extend(found(desk, "application", desk.metrics.applications(), &seen, application));
    rows.sort_by_key(|(idle_us, _)| Reverse(*idle_us));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Rows by one of both, with what they are put in order by. A transaction that goes on is not counted yet: who has one for the first time is
/// there with 0.
fn found<P: Process>(
    desk: &Desk<P>,
    by: &str,
    counted: Vec<ApplicationRow>,
    seen: &[ClientSeen],
    name: impl Fn(&ClientSeen) -> String,
) -> Vec<(u64, Row)> {
    let mut now: HashMap<(String, String), usize> = HashMap::new();
    for client in seen.iter().filter(|client| state(client) == Some("idle_in_transaction")) {
        *now.entry((desk.metrics.label(&client.database).to_owned(), name(client))).or_default() += 1;
    }
    let mut rows: Vec<_> = counted
        .into_iter()
        .map(|row| {
            let clients = now.remove(&(row.database.to_string(), row.name.to_string())).unwrap_or(0);
            (row.database.to_string(), row.name.to_string(), clients, row.numbers.idle, row.numbers.idle_us)
        })
        .filter(|(_, _, clients, idle, _)| *clients > 0 || *idle > 0)
        .collect();
    rows.extend(now.into_iter().map(|((database, name), clients)| (database, name, clients, 0, 0)));
    rows.sort_by_key(|(.., idle_us)| Reverse(*idle_us));
    rows.truncate(ROWS_MAX);
    let row = |(database, name, clients, idle, idle_us): (String, String, usize, u64, u64)| {
        let waited = ms(Some(Duration::from_micros(idle_us)));
        (idle_us, vec![database.into(), by.into(), name.into(), clients.into(), idle.into(), waited])
    };
    rows.into_iter().map(row).collect()
}
