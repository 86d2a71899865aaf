//! A client and its server, linked: what is known of that time.

use super::listen::Held;
use super::stopwatch::Stopwatch;
use crate::clock::Instant;
use crate::config::PoolMode;
use crate::pool::Lane;
use crate::server::Server;
use crate::wire::backend::Status;
use std::sync::Arc;
use std::time::Duration;

/// What a request stands at the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The time with a server, which has yet to be brought into the client's settings.
    Link,
    /// A transaction, on a server that the client has kept.
    Transaction,
    Nothing,
}

/// A server while it is the client's.
pub(super) struct Link {
    pub(super) server: Box<Server>,
    // A request that waits for the hub. None behind it is sent.
    pub(super) held: Option<Box<Held>>,
    // One was turned down: what comes next is for another server.
    pub(super) turned_down: bool,
    pub(super) lane: Arc<Lane>,
    // As it was when the link began: what a session has left in its server is not another's, whatever a reload says.
    pub(super) mode: PoolMode,
    // A BEGIN that was answered before went in front of the first request.
    pub(super) began: bool,
    // When it was linked, when the last request went out, when the server last said something.
    pub(super) since: Instant,
    pub(super) sent: Instant,
    pub(super) heard: Instant,
    // Since something has happened last somebody has looked at a clock: for what the server said, or the client.
    pub(super) looked: bool,
    // Since when the server waits for more data of a COPY, as far as its client is concerned.
    pub(super) awaits_data: Option<Instant>,
    // Microseconds that the next statement has waited to be sent, most of all for the server.
    pub(super) waited_us: u32,
    pub(super) watch: Stopwatch,
    // How long the server was busy in the transaction under way, up to the last time that this waited for its client, if it did.
    pub(super) busy: Option<Duration>,
    // A statement was cancelled because its time was up: when patience ends.
    pub(super) overdue: Option<Instant>,
    // Another cancel came for what runs while one was on its way.
    pub(super) cancel_again: bool,
}

impl Link {
    /// A server that was just given a request, which was `received` before it was there.
    pub(super) fn new(server: Box<Server>, lane: Arc<Lane>, mode: PoolMode, received: Instant, now: Instant) -> Self {
        let watch = Stopwatch::new(received, now);
        Self {
            server,
            held: None,
            turned_down: false,
            lane,
            mode,
            began: false,
            since: now,
            sent: now,
            heard: now,
            looked: true,
            awaits_data: None,
            waited_us: watch.waited_us(),
            watch,
            busy: None,
            overdue: None,
            cancel_again: false,
        }
    }

    /// Between two transactions.
    pub(super) fn is_at_rest(&self) -> bool {
        let exchange = self.server.exchange();
        !exchange.owes() && !exchange.unsynced() && exchange.status() == Status::Idle
    }

    /// A cancel on its way would hit the client's next statement: that one waits until PostgreSQL has dealt with it.
    pub(super) fn awaits_cancel(&self) -> bool {
        self.server.cancel_under_way() && !self.server.exchange().owes()
    }

    /// The guard has failed and the request that it stopped has ended. The next one needs a guard of its own: it waits until
    /// the server has been given back, unless the client keeps it: then a guard has succeeded before, or it would not.
    pub(super) fn is_refused(&self) -> bool {
        self.server.lacks_settings() && !self.server.exchange().is_skipping()
    }
}
