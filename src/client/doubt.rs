//! What a client sends in a block that a replica has, while the catalog is in doubt: it would be refused (`client/route/seen.rs`), and most changes
//! are over in a moment. So it waits that long, and nothing of it has been sent anywhere.

use super::connection::Client;
use super::link::Link;
use super::wanted::texts;
use crate::activity::ClientState;
use crate::clock::{self, Instant};
use crate::router::To;
use crate::sql::Verdict;
use std::time::Duration;

/// How often it is looked whether the catalog is known again: whoever changes or reads it does not call those who wait here.
const LOOK: Duration = Duration::from_millis(10);

impl Client {
    /// Whether the whole request in `bytes` of the inbox waits, for as long as a read does for a server of a replica.
    pub(super) fn awaits_catalog(&mut self, bytes: usize, link: &Link) -> bool {
        if self.to() == To::Primary {
            return false;
        }
        let before = self.route.as_mut().and_then(|route| route.doubt.take());
        if before.is_none() && !self.pool.catalog().is_uncertain() {
            return false;
        }
        let now = clock::now();
        let until = before.or_else(|| now.checked_add(self.patience()?));
        let waits = until.is_some_and(|until| now < until) && self.is_in_doubt(bytes, link);
        if let Some(route) = self.route.as_mut().filter(|_| waits) {
            route.doubt = until;
        }
        self.does(if waits { ClientState::Waiting } else { ClientState::Active(link.server.id) });
        waits
    }

    /// Whether a text of it may be a read, once the catalog is known.
    fn is_in_doubt(&self, bytes: usize, link: &Link) -> bool {
        let readings = self.readings(&link.server);
        let request = self.socket.received().get(..bytes).unwrap_or_default();
        self.pool.catalog().is_uncertain()
            && texts(self, request).any(|text| self.read(text, readings).verdict() == Verdict::Function)
    }

    /// Whether a request waits so.
    pub(super) fn is_held_by_doubt(&self) -> bool {
        self.doubt().is_some()
    }

    fn doubt(&self) -> Option<Instant> {
        self.route.as_ref()?.doubt
    }

    /// When to look next.
    pub(super) fn next_look_at_catalog(&self) -> Option<Instant> {
        self.doubt().and_then(|_| clock::now().checked_add(LOOK))
    }

    /// The client has cancelled what waits.
    pub(super) fn end_doubt(&mut self) {
        if let Some(until) = self.route.as_mut().and_then(|route| route.doubt.as_mut()) {
            *until = clock::now();
        }
    }
}
