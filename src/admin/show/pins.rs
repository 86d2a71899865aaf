//! SHOW PINS: clients that keep a server of their own over transactions, those first that have kept it for longest. PgBouncer has
//! nothing like it.

use super::super::desk::{Desk, Process};
use super::wall::wall;
use super::{Row, decimal, numeric, seconds, text};
use crate::activity::ClientSeen;
use crate::clock;
use crate::wire::rows::{Cell, Column};

pub(super) const COLUMNS: [Column; 8] = [
    numeric("id"),
    text("database"),
    text("user"),
    text("application_name"),
    text("addr"),
    text("reason"),
    text("since"),
    decimal("seconds"),
];

/// One row for each; `reason` has the words of all that keeps it there.
pub(super) fn pins<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let now = clock::now();
    let mut clients = desk.process.clients();
    clients.sort_by_key(|client| (client.pin.as_ref().map(|(_, since)| *since), client.id));
    let row = |client: &ClientSeen| {
        let (reason, since) = client.pin.as_ref()?;
        Some(vec![
            Cell::Number(client.id.0),
            (*client.database).into(),
            (*client.user).into(),
            String::from_utf8_lossy(&client.application_name).into_owned().into(),
            client.line.peer.map_or_else(|| "unix".to_owned(), |end| end.ip.to_string()).into(),
            (**reason).into(),
            wall(desk.on_the_wall(*since)).into(),
            seconds(now.saturating_duration_since(*since)),
        ])
    };
    clients.iter().filter_map(row).collect()
}
