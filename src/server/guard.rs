//! What the chosen server lacks goes in front of the request, in the same write, and stops the request if it fails.
//!
//! `Close(guard) · Close/Parse/Bind/Execute(settings) · Parse(guard) · Sync`, then `Describe(guard)` and the request. If
//! a setting fails, the guard does not exist, its Describe fails, and PostgreSQL skips the request up to the next Sync.
//! A simple SET in front would let the request run with the wrong settings.
//!
//! The settings are prepared anew each time: a client may have dropped the statement, without PostgreSQL telling, or put
//! one of its own in its place.

use super::connection::Server;
use super::reply_queue::Disposition::Hold;
use crate::session::Settings;
use crate::wire::frontend::{self, kind};
use bytes::BytesMut;
use std::fmt::Write;
use std::sync::Arc;

/// The statement that sets what is lacking.
const SET: &str = "pgotter.set";
/// The empty statement that exists only if the settings are in force.
const GUARD: &str = "pgotter.guard";
/// What [`Server::adopt`] sends, by type.
const SENT: [u8; 8] =
    [kind::CLOSE, kind::CLOSE, kind::PARSE, kind::BIND, kind::EXECUTE, kind::PARSE, kind::SYNC, kind::DESCRIBE];

impl Server {
    /// Queues what brings the server into the client's settings; nothing when it is in them already. The request must
    /// follow in the same write.
    pub fn adopt(&mut self, wanted: &mut Arc<Settings>) {
        if self.settings.as_ref().is_some_and(|believed| Arc::ptr_eq(believed, wanted)) {
            return;
        }
        let lacking: Vec<_> = wanted.lacking(self.settings.as_ref()).collect();
        if let (true, Some(believed)) = (lacking.is_empty(), &self.settings) {
            *wanted = believed.clone();
            return;
        }
        let mut out = BytesMut::with_capacity(512);
        frontend::close_statement(&mut out, GUARD);
        put_settings(&mut out, &lacking);
        frontend::parse(&mut out, GUARD, "");
        frontend::sync(&mut out);
        frontend::describe_statement(&mut out, GUARD);
        // Whatever is not reported back was already spelled as the server spells it.
        self.pending = Some(self.settings.clone().unwrap_or_else(|| wanted.clone()));
        for message in SENT {
            self.exchange.sending_own(message, Hold);
        }
        self.exchange.guard_sent();
        self.socket.queue(out);
    }
}

/// One statement for all of them: `select set_config($1, $2, false), set_config($3, $4, false)` and so on.
fn put_settings(out: &mut BytesMut, settings: &[(&str, &[u8])]) {
    let mut sql = String::from("select");
    for at in 0..settings.len() {
        let comma = if at > 0 { "," } else { "" };
        write!(sql, "{comma} pg_catalog.set_config(${}, ${}, false)", 2 * at + 1, 2 * at + 2)
            .expect("invariant: a String takes everything");
    }
    let parameters: Vec<_> = settings.iter().flat_map(|(name, value)| [name.as_bytes(), *value]).collect();
    frontend::close_statement(out, SET);
    frontend::parse(out, SET, &sql);
    frontend::bind(out, SET, &parameters);
    frontend::execute(out);
}
