//! SHOW ACTIVE: clients that something is done for, or that keep a transaction open, those first that have been at it for longest.
//! PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::{Row, decimal, int4, ms, numeric, text};
use crate::activity::{ClientSeen, ClientState, Rest};
use crate::clock;
use crate::ids::ServerId;
use crate::wire::rows::{Cell, Column};
use std::collections::HashMap;

pub(super) const COLUMNS: [Column; 11] = [
    numeric("id"),
    text("database"),
    text("user"),
    text("application_name"),
    text("addr"),
    int4("port"),
    text("state"),
    decimal("age_ms"),
    text("server"),
    int4("server_pid"),
    text("pin"),
];

/// One row for each; `age_ms` since its last request came. Consoles are not among them.
pub(super) fn active<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let now = clock::now();
    let mut clients = desk.process.clients();
    clients.retain(|client| state(client).is_some());
    clients.sort_by_key(|client| (client.requested, client.id));
    let servers = servers(desk);
    let row = |client: &ClientSeen| {
        let server = match client.state {
            ClientState::Active(server) => servers.get(&server),
            ClientState::Idle | ClientState::Waiting => None,
        };
        let peer = client.line.peer;
        vec![
            Cell::Number(client.id.0),
            (*client.database).into(),
            (*client.user).into(),
            String::from_utf8_lossy(&client.application_name).into_owned().into(),
            peer.map_or_else(|| "unix".to_owned(), |end| end.ip.to_string()).into(),
            peer.map(|end| u64::from(end.port)).into(),
            state(client).into(),
            ms(Some(now.saturating_duration_since(client.requested))),
            server.map(|(address, _)| address.as_str()).into(),
            server.map(|(_, pid)| u64::from(*pid)).into(),
            client.pin.as_ref().map(|(why, _)| why.as_str()).into(),
        ]
    };
    clients.iter().map(row).collect()
}

/// As the metrics call it; `None`: it wants nothing, and keeps nobody's transaction open.
pub(super) fn state(client: &ClientSeen) -> Option<&'static str> {
    match (client.state, client.rest) {
        (ClientState::Idle, _) | (ClientState::Active(_), Rest::Between) => None,
        (ClientState::Waiting, _) => Some("waiting"),
        (ClientState::Active(_), Rest::No) => Some("active"),
        (ClientState::Active(_), Rest::InTransaction) => Some("idle_in_transaction"),
    }
}

/// Address and process of each server.
fn servers<P: Process>(desk: &Desk<P>) -> HashMap<ServerId, (String, u32)> {
    let pools = desk.cluster.pools();
    let shapes = pools.iter().map(|pool| pool.shape());
    let lanes = shapes.flat_map(|shape| shape.lanes.clone());
    let servers = lanes.flat_map(|lane| {
        let address = lane.address().to_string();
        lane.servers().into_iter().map(move |server| (server.id, (address.clone(), server.line.pid)))
    });
    servers.collect()
}
