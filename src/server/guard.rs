//! What the chosen server lacks goes in front of the request, in the same write, and stops the request if it fails.
//!
//! `Close(guard) · Bind/Execute(settings) · Parse(guard) · Sync`, then `Describe(guard)` and the request. If a setting
//! fails, the guard does not exist, its Describe fails, and PostgreSQL skips the request up to the next Sync. A
//! simple SET in front would let the request run with the wrong settings.

use super::connection::Server;
use super::reply_queue::Disposition::Hold;
use crate::session::{Settings, array_literal};
use crate::wire::frontend::{self, kind};
use bytes::BytesMut;
use std::sync::Arc;

/// The statement that sets any number of settings.
const SET: &str = "pgotter.set";
const SET_SQL: &str = "select pg_catalog.set_config(n, v, false) from rows from (pg_catalog.unnest($1::pg_catalog.text[]), \
                       pg_catalog.unnest($2::pg_catalog.text[])) t(n, v)";
/// The empty statement that exists only if the settings are in force.
const GUARD: &str = "pgotter.guard";

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
        if self.exchange.take_lost_names() {
            self.knows_set = false;
        }
        let names = array_literal(lacking.iter().map(|(name, _)| name.as_bytes()));
        let values = array_literal(lacking.iter().map(|(_, value)| *value));
        // Whatever is not reported back was already spelled as the server spells it.
        self.pending = Some(self.settings.clone().unwrap_or_else(|| wanted.clone()));
        let mut out = BytesMut::with_capacity(512);
        frontend::close_statement(&mut out, GUARD);
        if !self.knows_set {
            frontend::close_statement(&mut out, SET);
            frontend::parse(&mut out, SET, SET_SQL);
        }
        frontend::bind(&mut out, SET, &[&names, &values]);
        frontend::execute(&mut out);
        frontend::parse(&mut out, GUARD, "");
        frontend::sync(&mut out);
        frontend::describe_statement(&mut out, GUARD);
        let prepare: &[u8] = if self.knows_set { &[] } else { &[kind::CLOSE, kind::PARSE] };
        let guard = [kind::BIND, kind::EXECUTE, kind::PARSE, kind::SYNC, kind::DESCRIBE];
        for message in [kind::CLOSE].iter().chain(prepare).chain(&guard) {
            self.exchange.sending_own(*message, Hold);
        }
        self.exchange.guard_sent();
        self.knows_set = true;
        self.socket.queue(out);
    }
}
