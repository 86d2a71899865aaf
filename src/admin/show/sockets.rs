//! SHOW CLIENTS and SHOW SERVERS.

use super::super::desk::{Desk, Process};
use super::wall::wall;
use super::{Row, int4, text};
use crate::activity::{ClientSeen, ClientState, End, ServerSeen, ServerState, cipher_suite_name};
use crate::clock::{self, Instant};
use crate::ids::{ClientId, ServerId};
use crate::net::Address;
use crate::wire::rows::Column;
use std::collections::HashMap;
use std::time::Duration;

pub(super) const COLUMNS: [Column; 21] = [
    text("type"),
    text("user"),
    text("database"),
    text("replication"),
    text("state"),
    text("addr"),
    int4("port"),
    text("local_addr"),
    int4("local_port"),
    text("connect_time"),
    text("request_time"),
    int4("wait"),
    int4("wait_us"),
    int4("close_needed"),
    text("ptr"),
    text("link"),
    int4("remote_pid"),
    text("tls"),
    text("application_name"),
    int4("prepared_statements"),
    int4("id"),
];

/// Everybody who is connected, consoles among them.
pub(super) fn clients<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let now = clock::now();
    let closing = desk.process.is_closing();
    let mut clients = desk.process.clients();
    let consoles = desk.consoles();
    let first_console = clients.len();
    clients.extend(consoles);
    let mut numbered: Vec<(usize, ClientSeen)> = clients.into_iter().enumerate().collect();
    numbered.sort_by(|(_, one), (_, other)| {
        (&one.database, &one.user, one.id).cmp(&(&other.database, &other.user, other.id))
    });
    let row = |(place, client): &(usize, ClientSeen)| {
        let leaves = closing && *place < first_console;
        client_row(desk, client, leaves, now)
    };
    numbered.iter().map(row).collect()
}

fn client_row<P: Process>(desk: &Desk<P>, client: &ClientSeen, leaves: bool, now: Instant) -> Row {
    let (state, link) = match client.state {
        ClientState::Idle => ("idle", String::new()),
        ClientState::Waiting => ("waiting", String::new()),
        ClientState::Active(server) => ("active", server_pointer(server)),
    };
    let waiting = client.state == ClientState::Waiting;
    Socket {
        kind: "C",
        user: &client.user,
        database: &client.database,
        state,
        line: client.line,
        // The port that a unix socket is named after.
        unix_port: desk.process.config().pooler.listen_port,
        connected: client.connected,
        requested: client.requested,
        wait: if waiting { now.saturating_duration_since(client.requested) } else { Duration::ZERO },
        close_needed: leaves,
        pointer: client_pointer(client.id),
        link,
        application_name: &String::from_utf8_lossy(&client.application_name),
        prepared: client.prepared,
        id: client.id.0,
    }
    .row(desk)
}

/// Every server that is open.
pub(super) fn servers<P: Process>(desk: &Desk<P>) -> Vec<Row> {
    let mut pools = desk.cluster.pools();
    pools.sort_by(|one, other| (&one.database, &one.user).cmp(&(&other.database, &other.user)));
    // What a server calls itself is its client's name.
    let names: HashMap<_, _> =
        desk.process.clients().into_iter().map(|client| (client.id, client.application_name)).collect();
    let mut rows = Vec::new();
    for pool in pools {
        for lane in &pool.shape().lanes {
            let (role, unix_port) = (lane.role(), port_of(&lane.address()));
            let row = |server: &ServerSeen| {
                let client = match server.state {
                    ServerState::Active(client) => names.get(&client),
                    ServerState::Idle | ServerState::InRepair => None,
                };
                let name = client.map_or("".into(), |name| String::from_utf8_lossy(name));
                server_row(desk, server, [&pool.database, &role, &name], unix_port)
            };
            rows.extend(lane.servers().iter().map(row));
        }
    }
    rows
}

/// A unix socket ends in its port.
fn port_of(address: &Address) -> u16 {
    match address {
        Address::Tcp(_, port) => *port,
        Address::Unix(path) => path.extension().and_then(|port| port.to_str()?.parse().ok()).unwrap_or(0),
    }
}

fn server_row<P: Process>(desk: &Desk<P>, server: &ServerSeen, names: [&str; 3], unix_port: u16) -> Row {
    let [database, role, application_name] = names;
    let (state, link) = match server.state {
        ServerState::Idle => ("idle", String::new()),
        ServerState::InRepair => ("tested", String::new()),
        ServerState::Active(client) => ("active", client_pointer(client)),
    };
    Socket {
        kind: "S",
        user: role,
        database,
        state,
        line: server.line,
        unix_port,
        connected: server.connected,
        requested: server.requested,
        wait: Duration::ZERO,
        close_needed: server.outdated,
        pointer: server_pointer(server.id),
        link,
        application_name,
        prepared: server.prepared,
        id: server.id.0,
    }
    .row(desk)
}

/// What clients and servers have in common.
struct Socket<'a> {
    kind: &'static str,
    user: &'a str,
    database: &'a str,
    state: &'static str,
    line: crate::activity::Line,
    unix_port: u16,
    connected: Instant,
    requested: Instant,
    wait: Duration,
    close_needed: bool,
    pointer: String,
    link: String,
    application_name: &'a str,
    prepared: usize,
    id: u64,
}

impl Socket<'_> {
    fn row<P>(self, desk: &Desk<P>) -> Row
    where
        P: Process,
    {
        let ip = |end: Option<End>| end.map_or_else(|| "unix".to_owned(), |end| end.ip.to_string());
        let port = |end: Option<End>| u64::from(end.map_or(self.unix_port, |end| end.port));
        let time = |moment| wall(desk.on_the_wall(moment));
        vec![
            self.kind.into(),
            self.user.into(),
            self.database.into(),
            "none".into(),
            self.state.into(),
            ip(self.line.peer).into(),
            port(self.line.peer).into(),
            ip(self.line.local).into(),
            port(self.line.local).into(),
            time(self.connected).into(),
            time(self.requested).into(),
            self.wait.as_secs().into(),
            u64::from(self.wait.subsec_micros()).into(),
            u64::from(self.close_needed).into(),
            self.pointer.into(),
            self.link.into(),
            u64::from(self.line.pid).into(),
            cipher_suite_name(self.line.cipher_suite).into(),
            self.application_name.into(),
            self.prepared.into(),
            self.id.into(),
        ]
    }
}

/// PgBouncer shows where in its memory a client is. Ours has a number that looks like that, and says nothing of memory.
fn client_pointer(client: ClientId) -> String {
    format!("0xc{:012x}", client.0)
}

fn server_pointer(server: ServerId) -> String {
    format!("0x5{:012x}", server.0)
}
