//! SHOW APPLICATIONS: what applications have asked of servers, and how long their transactions have waited for them, those first that
//! servers were busy with for longest. PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::active::state;
use super::{Row, decimal, ms, numeric, text};
use crate::activity::ClientSeen;
use crate::metrics::{ApplicationNumbers, ApplicationRow};
use crate::wire::rows::Column;
use std::collections::HashMap;
use std::time::Duration;

/// Rows that are shown at most.
const ROWS_MAX: usize = 500;

pub(super) const COLUMNS: [Column; 9] = [
    text("database"),
    text("application_name"),
    numeric("clients"),
    numeric("idle_clients"),
    numeric("queries"),
    numeric("errors"),
    decimal("server_ms"),
    numeric("idle_transactions"),
    decimal("idle_ms"),
];

/// Clients of one application that are there now, and those among them that keep a transaction open and ask for nothing.
type Clients = [usize; 2];

/// One row for each database and name.
pub(super) fn applications<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let mut rows = desk.metrics.applications();
    rows.retain(|row| row.numbers != ApplicationNumbers::default());
    rows.truncate(ROWS_MAX);
    let seen = desk.process.clients();
    let clients = clients(desk, &seen);
    let of = |row: &ApplicationRow| clients.get(&(row.database.to_string(), row.name.to_string())).copied();
    rows.iter().map(|one| row(one, of(one).unwrap_or_default())).collect()
}

/// By database and name.
fn clients<P: Process>(desk: &Desk<P>, seen: &[ClientSeen]) -> HashMap<(String, String), Clients> {
    let mut all: HashMap<_, Clients> = HashMap::new();
    for client in seen {
        let name = String::from_utf8_lossy(&client.application_name).into_owned();
        let [clients, idle] = all.entry((desk.metrics.label(&client.database).to_owned(), name)).or_default();
        *clients += 1;
        *idle += usize::from(state(client) == Some("idle_in_transaction"));
    }
    all
}

fn row(ApplicationRow { database, name, numbers }: &ApplicationRow, [clients, idle]: Clients) -> Row {
    let us = |us| ms(Some(Duration::from_micros(us)));
    vec![
        (**database).into(),
        (**name).into(),
        clients.into(),
        idle.into(),
        numbers.queries.into(),
        numbers.errors.into(),
        us(numbers.server_us),
        numbers.idle.into(),
        us(numbers.idle_us),
    ]
}
