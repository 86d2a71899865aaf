//! SHOW ACTIVE: clients that something is done for, or that keep a transaction open, those first that have been at it for longest.
//! PgBouncer has nothing like it.

use super::super::desk::{Desk, Process};
use super::{Row, decimal, int4, ms, numeric, text};
use crate::activity::{ClientSeen, ClientState, Rest};
use crate::clock;
use crate::ids::ServerId;
use crate::metrics::Name;
use crate::wire::rows::{Cell, Column};
use std::collections::{HashMap, HashSet};

pub(super) const COLUMNS: [Column; 13] = [
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
    text("fingerprint"),
    text("query"),
];

/// One row for each; `age_ms` since its last request came, `query` what that was. Consoles are not among them.
pub(super) fn active<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let now = clock::now();
    let mut clients = desk.process.clients();
    clients.retain(|client| state(client).is_some());
    clients.sort_by_key(|client| (client.requested, client.id));
    let servers = servers(desk);
    let statements = statements(desk, &clients);
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
            asked(client).map(|name| name.to_string()).into(),
            asked(client).and_then(|name| statements.get(&name)).map(String::as_str).into(),
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

/// Whether its statement runs.
pub(super) fn runs(client: &ClientSeen) -> bool {
    state(client) == Some("active")
}

/// What it has asked for last, as it is counted. Of one that waits that is not known yet.
fn asked(client: &ClientSeen) -> Option<Name> {
    client.statement.filter(|_| client.state != ClientState::Waiting)
}

/// Normal forms of what these have asked for, as far as they have not been folded.
fn statements<P: Process>(desk: &Desk<P>, clients: &[ClientSeen]) -> HashMap<Name, String> {
    let wanted: HashSet<Name> = clients.iter().filter_map(asked).collect();
    if wanted.is_empty() {
        return HashMap::new();
    }
    let seen = desk.metrics.statements();
    let found = seen.iter().filter(|seen| wanted.contains(&seen.name));
    found.map(|seen| (seen.name, seen.description().text.to_string())).collect()
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
