//! A client that says nothing within a transaction: its machine may have died without a word, and what the transaction has locked would stay
//! locked for as long as the system takes to look, which is hours. So the system is told to look at once, until the transaction is over.

use super::connection::Client;
use super::link::Link;
use crate::clock::Instant;
use crate::cluster::{server_tcp_options, tcp_options};
use crate::config::Pooler;
use crate::net::TcpOptions;
use crate::wire::backend::Status;
use std::time::Duration;

/// How long it may say nothing.
const SILENT: Duration = Duration::from_secs(1);

/// How a client's machine is asked whether it is still there.
pub(super) struct Probes {
    // As a server's host: its locks are waited for no less. What was sent to it may take longer: it need not read all the time.
    silent: TcpOptions,
    usual: TcpOptions,
}

impl Probes {
    /// `None`: it is the operator who has said when, or the system does not tell what is usual.
    pub(super) fn new(pooler: &Pooler) -> Option<Self> {
        let usual = tcp_options(pooler);
        if !usual.keepalive || usual.keepidle.is_some() {
            return None;
        }
        let silent = TcpOptions { user_timeout: None, ..server_tcp_options(pooler) };
        Some(Self { silent, usual: usual.or_system().ok()? })
    }
}

impl Client {
    /// When its machine is to be asked. `None`: it is asked, or nobody waits for it.
    pub(super) fn silence_deadline(&self, link: &Link) -> Option<Instant> {
        (!self.probed && holds(link) && self.rules.probes.is_some()).then(|| self.now + SILENT)
    }

    /// It is asked from now on, until [`Client::end_probing`].
    pub(super) fn probe_client(&mut self) {
        if let Some(probes) = &self.rules.probes {
            self.probed = true;
            self.socket.set_keepalive(&probes.silent);
        }
    }

    /// Once its transaction is over it may be silent.
    pub(super) fn end_probing(&mut self, link: &Link) {
        if self.probed
            && !holds(link)
            && let Some(probes) = &self.rules.probes
        {
            self.probed = false;
            self.socket.set_keepalive(&probes.usual);
        }
    }
}

/// Whether PostgreSQL waits for what its client says next, within a transaction: one of its own, or that of a COPY or of messages without a Sync.
fn holds(link: &Link) -> bool {
    let exchange = link.server.exchange();
    exchange.status() != Status::Idle || exchange.unsynced() || exchange.copy_in()
}
