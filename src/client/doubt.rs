//! What a client sends in a block that a replica has, while the catalog is in doubt: it would be refused (`client/route/seen.rs`), and most changes
//! are over in a moment. So it waits that long, and nothing of it has been sent anywhere.

use super::checkout::canceled;
use super::connection::Client;
use super::link::Link;
use super::wanted::texts;
use crate::activity::ClientState;
use crate::clock::{self, Instant};
use crate::fault::Fault;
use crate::router::To;
use crate::sql::Verdict;
use crate::wire::backend::Status;
use std::time::Duration;

/// How often it is looked whether the catalog is known again: whoever changes or reads it does not call those who wait here.
const LOOK: Duration = Duration::from_millis(10);

/// How a request waits for the catalog.
#[derive(Clone, Copy)]
pub(super) struct Doubt {
    // At most.
    until: Instant,
    // Its client has cancelled it.
    cancelled: bool,
}

/// What comes of it.
pub(super) enum Awaits {
    /// It need not wait, or not any longer.
    Nothing,
    Catalog,
    /// It must not run.
    Refusal(Fault),
}

impl Client {
    /// Whether the whole request in `bytes` of the inbox waits, for as long as a read does for a server of a replica.
    pub(super) fn awaits_catalog(&mut self, bytes: usize, link: &Link) -> Awaits {
        if self.to() == To::Primary {
            return Awaits::Nothing;
        }
        let before = self.route.as_mut().and_then(|route| route.doubt.take());
        if before.is_some_and(|doubt| doubt.cancelled) {
            self.does(ClientState::Active(link.server.id));
            return Awaits::Refusal(canceled());
        }
        if before.is_none() && !self.pool.catalog().is_doubtful() {
            return Awaits::Nothing;
        }
        let now = clock::now();
        let until = before.map(|doubt| doubt.until).or_else(|| now.checked_add(self.patience()?));
        let waits = until.filter(|until| now < *until && self.is_in_doubt(bytes, link));
        if let Some(route) = &mut self.route {
            route.doubt = waits.map(|until| Doubt { until, cancelled: false });
        }
        self.does(if waits.is_some() { ClientState::Waiting } else { ClientState::Active(link.server.id) });
        if waits.is_some() { Awaits::Catalog } else { Awaits::Nothing }
    }

    /// Whether a text of it may be a read, once the catalog is known. Nothing runs in a block that has failed.
    fn is_in_doubt(&self, bytes: usize, link: &Link) -> bool {
        if !self.pool.catalog().is_doubtful() || link.server.exchange().status() == Status::Failed {
            return false;
        }
        let readings = self.readings(&link.server);
        let request = self.socket.received().get(..bytes).unwrap_or_default();
        texts(self, request).any(|text| self.read(text, readings).verdict() == Verdict::Function)
    }

    /// Whether a request waits so.
    pub(super) fn is_held_by_doubt(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.doubt.is_some())
    }

    /// When to look next.
    pub(super) fn next_look_at_catalog(&self) -> Option<Instant> {
        let doubt = self.route.as_ref()?.doubt?;
        clock::now().checked_add(if doubt.cancelled { Duration::ZERO } else { LOOK })
    }

    /// The client has cancelled what waits.
    pub(super) fn end_doubt(&mut self) {
        if let Some(doubt) = self.route.as_mut().and_then(|route| route.doubt.as_mut()) {
            doubt.cancelled = true;
        }
    }
}
