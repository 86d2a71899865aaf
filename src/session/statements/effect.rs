//! What a message was taken to do when it was sent, kept until it is answered, and how that is taken back if PostgreSQL
//! refused or skipped it.

use super::client::{Named, Portal};
use super::server::Believed;
use super::{ServerName, ServerStatements, Statement, Statements};
use std::sync::Arc;

/// One message's doing, as what held before it.
#[derive(Debug)]
pub enum Effect {
    /// The client's name got or lost a statement.
    Name {
        /// The client's name.
        name: Box<[u8]>,
        /// What it stood for.
        before: Option<Arc<Statement>>,
    },
    /// All of the client's names lost their statements, and the server perhaps, too.
    AllNames {
        /// The client's.
        client: Named,
        /// The server's.
        server: Believed,
    },
    /// As `Name`, and the server was sent the statement for it.
    NameAndParse {
        /// The client's name.
        name: Box<[u8]>,
        /// What the server calls it.
        parsed: ServerName,
    },
    /// These names were taken away, and perhaps the unnamed statement was dropped before.
    Names {
        /// With what they stood for.
        names: Vec<(Box<[u8]>, Arc<Statement>)>,
        /// So many of them are gone, although what is behind them is refused.
        gone: usize,
        /// Where a Query did it.
        unnamed: Option<Unnamed>,
        /// What was known of portals whose names it has taken.
        portals: Vec<(Box<[u8]>, Portal)>,
    },
    /// The client's portal was bound anew, or closed.
    Portal {
        /// Its name.
        portal: Box<[u8]>,
        /// What was known of it.
        before: Option<Portal>,
    },
    /// The server was sent a statement that it lacked.
    Parse(ServerName),
    /// The server was told to close one.
    Close(ServerName),
    /// The unnamed statement was replaced or dropped.
    Unnamed {
        /// The client's before; `None` as well where it keeps what it has.
        client: Change,
        /// The server's before.
        server: Option<Arc<Statement>>,
    },
}

/// The unnamed statements that a Query has dropped.
#[derive(Debug)]
pub struct Unnamed {
    /// The client's.
    pub client: Option<Arc<Statement>>,
    /// The server's.
    pub server: Option<Arc<Statement>>,
}

/// What was done to the client's unnamed statement.
#[derive(Debug)]
pub enum Change {
    /// Nothing: its own was put on the server.
    Kept,
    /// It was another one before, or none.
    From(Option<Arc<Statement>>),
}

impl Effect {
    /// The message was refused (`failed`) or skipped. Without a client, only the server is put right.
    pub fn take_back(self, failed: bool, mut client: Option<&mut Statements>, server: &mut ServerStatements) {
        match self {
            Self::Names { names, gone, unnamed, portals } => {
                for (portal, known) in portals {
                    client.as_deref_mut().and_then(|client| client.put_portal(&portal, Some(known)));
                }
                for (name, statement) in names.into_iter().skip(if failed { gone } else { 0 }) {
                    // A failed one may have been followed by others.
                    if client.as_ref().is_some_and(|client| client.get(&name).is_none()) {
                        put(client.as_deref_mut(), &name, Some(statement));
                    }
                }
                if !failed && let Some(unnamed) = unnamed {
                    server.put_unnamed(unnamed.server);
                    put(client, b"", unnamed.client);
                }
            }
            Self::Name { name, before } => put(client, &name, before),
            Self::AllNames { client: named, server: believed } => {
                if let Some(client) = client {
                    client.put_back(named);
                }
                server.believe(believed);
            }
            Self::NameAndParse { name, parsed } => {
                put(client, &name, None);
                server.forget(parsed);
            }
            Self::Portal { portal, before } => {
                client.and_then(|client| client.put_portal(&portal, before));
            }
            Self::Parse(name) => server.forget(name),
            Self::Close(name) => server.still_has(name),
            // A Parse that fails has dropped the unnamed statement before it looks at the text.
            Self::Unnamed { client: change, server: before } => {
                server.put_unnamed(if failed { None } else { before });
                if let Change::From(before) = change {
                    put(client, b"", if failed { None } else { before });
                }
            }
        }
    }
}

fn put(client: Option<&mut Statements>, name: &[u8], statement: Option<Arc<Statement>>) {
    if let Some(client) = client {
        client.put(name, statement);
    }
}
