//! LISTEN for the clients of a pool that share servers: one connection, the *hub*, listens for all of them and passes on
//! what it hears, in order. One for each `client_encoding`, because channels and payloads come in it.
//!
//! A channel belongs to the whole database and needs no privilege, so it does not matter that a hub logs in as its pool's
//! role. Opened by the first LISTEN; closed [`LINGER`] after the last listener has gone. When its connection is lost, or
//! leads to another host than the pool's servers, every listener is told so, and the next LISTEN opens another one; so it is
//! when the pool is paused and its last server has gone. It counts in no pool's size.
//!
//! It does not know when a client's transaction ends: what a client listens to for its transaction only, and what it is
//! to see of all that comes, is the client's business.

use super::Pool;
use crate::ids::{ClientId, Numbers};
use crate::pool::{Lane, Mailbox, Ticket};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

mod book;
mod conversation;
mod task;

/// How long a hub stays open that nobody listens through.
const LINGER: Duration = Duration::from_secs(30);

/// Name of a channel as PostgreSQL has it, in the hub's encoding.
pub type Channel = Box<[u8]>;

/// Who listens.
#[derive(Clone)]
pub struct Listener {
    /// Its number.
    pub id: ClientId,
    /// Where it is told.
    pub mailbox: Arc<Mailbox>,
}

/// The way to one hub. Sending neither blocks nor locks. A hub that has ended tells its listeners, and hears nothing more.
#[derive(Clone)]
pub struct Hub(UnboundedSender<Order>);

/// What a hub is to do. A client mostly asks when it has the answer to what it asked before, and waits for that of a Listen, so that few lie in
/// the queue.
enum Order {
    Listen(Listener, Vec<Channel>, Ticket),
    Unlisten(ClientId, Vec<Channel>),
    Ask(Listener, Ticket),
}

/// The hubs of one pool, by encoding.
pub(super) struct Hubs {
    open: Mutex<HashMap<Box<[u8]>, Hub>>,
    pub(super) numbers: Arc<Numbers>,
}

impl Hubs {
    /// None is open.
    pub fn new(numbers: Arc<Numbers>) -> Self {
        Self { open: Mutex::default(), numbers }
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.lock().is_empty()
    }
}

impl Pool {
    /// Listens through the hub for this encoding; opened if need be, over `lane`, and run on the worker that calls. The
    /// answer lies in the mailbox when it is in force, or cannot be.
    pub fn listen(
        self: &Arc<Self>,
        lane: &Arc<Lane>,
        encoding: &[u8],
        who: Listener,
        channels: Vec<Channel>,
        ticket: Ticket,
    ) -> Hub {
        // Under the lock, so that a hub does not end between being found and being sent something.
        let mut open = self.hubs.open.lock();
        let hub = open.entry(encoding.into()).or_insert_with(|| {
            let (sender, orders) = unbounded_channel();
            tokio::task::spawn_local(task::Task::new(self, lane, encoding, orders).run());
            Hub(sender)
        });
        hub.listen(who, channels, ticket);
        hub.clone()
    }
}

impl Hub {
    /// Listens to further channels; see [`Pool::listen`]. False: the hub has ended.
    pub fn listen(&self, who: Listener, channels: Vec<Channel>, ticket: Ticket) -> bool {
        self.0.send(Order::Listen(who, channels, ticket)).is_ok()
    }

    /// Hears no more of these. There is no answer.
    pub fn unlisten(&self, who: ClientId, channels: Vec<Channel>) {
        let _ = self.0.send(Order::Unlisten(who, channels));
    }

    /// Asks to be answered when everything has been heard that PostgreSQL has committed. False: the hub has ended.
    pub fn ask(&self, who: Listener, ticket: Ticket) -> bool {
        self.0.send(Order::Ask(who, ticket)).is_ok()
    }
}

#[cfg(test)]
impl Hub {
    /// One that does nothing, and says how many orders lie in its queue.
    pub fn stopped() -> (Self, impl Fn() -> usize) {
        let (sender, orders) = unbounded_channel();
        (Self(sender), move || orders.len())
    }
}

#[cfg(test)]
mod tests;
