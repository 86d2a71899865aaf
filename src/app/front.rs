//! The front thread: accepts, lets in, hands over to the workers. It serves nobody itself.

use super::console::console;
use super::operator::Operator;
use super::worker::{Job, Workers};
use crate::admin::Desk;
use crate::client::{Gate, Opening, Registry, log_in};
use crate::clock;
use crate::cluster::tcp_options;
use crate::ids::{ClientId, Numbers};
use crate::metrics::{LoginResult, Repeated};
use crate::net::{Crowd, Listener, Patience, Peer, Place, Stream};
use crate::wire::startup::CancelKey;
use arc_swap::ArcSwap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// After a failed accept (no descriptors left, most likely) the loop waits instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Nobody is closed for others before all who came before could have been served, or heard where they say nothing: many come at once when
/// something has been started again. A login takes less of the processor, with TLS and all, and so does reading a first packet.
pub const PATIENCE: Patience = Patience { silent: Duration::from_micros(100), heard: Duration::from_millis(1) };

/// How long those who have left may wait for being forgotten. Short beside `run::DRAIN_LOOK`, which waits for that.
const SWEEP_PAUSE: Duration = Duration::from_millis(10);

/// Where those who are let in go.
#[derive(Clone)]
pub struct Hall {
    /// What stands at the door.
    pub door: Arc<ArcSwap<Gate>>,
    /// Clients go to a worker.
    pub workers: Workers,
    /// Consoles stay.
    pub desk: Arc<Desk<Arc<Operator>>>,
    /// As for clients.
    pub numbers: Arc<Numbers>,
    /// Those who have not proven who they are.
    pub unproven: Rc<Crowd>,
}

/// Accepts on one listener for ever.
pub async fn accept(listener: Listener, hall: Hall) {
    let (complaints, crowded) = (Repeated::new(1), Repeated::new(1));
    loop {
        match listener.accept(|| tcp_options(&hall.door.load().config.pooler)).await {
            Ok((stream, peer)) => {
                // In front of the place, with nothing in between: else it would be somebody else's time that is up.
                hall.unproven.room(hall.door.load().unproven).await;
                let gate = hall.door.load_full();
                let closed = hall.unproven.join(gate.unproven, |place| let_in(stream, peer, place, hall.clone()));
                (0..closed).for_each(|_| gate.metrics.front_login("", LoginResult::Limit));
                if closed > 0 {
                    if let Some(unreported) = crowded.note(clock::now()) {
                        let most = gate.unproven;
                        tracing::warn!(most, unreported, "too many connections that have not logged in: one is closed");
                    }
                    // Its descriptor is free when its task has been run.
                    tokio::task::yield_now().await;
                }
            }
            Err(error) => {
                if let Some(unreported) = complaints.note(clock::now()) {
                    tracing::warn!(%error, unreported, "cannot accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes a connection through its login, and hands it over.
async fn let_in(stream: Stream, peer: Peer, place: Place, hall: Hall) {
    match log_in(stream, peer, &place, &hall.door).await {
        Opening::Client(client) => hall.workers.give(client.pool.next_home(), Job::Client(client)),
        Opening::Console(caller) => {
            let id = ClientId(hall.numbers.next());
            // Apart: it has proven who it is, and makes room for nobody.
            tokio::task::spawn_local(async move { console(*caller, id, &hall.desk).await });
        }
        Opening::Over => (),
    }
}

/// Removes the entries of clients that have left. It does not listen all the time: a worker would have to wake this thread
/// for each of them.
pub async fn sweep(registry: Arc<Registry>, mut leaving: UnboundedReceiver<CancelKey>) {
    while let Some(key) = leaving.recv().await {
        registry.remove(&key);
        while let Ok(key) = leaving.try_recv() {
            registry.remove(&key);
        }
        tokio::time::sleep(SWEEP_PAUSE).await;
    }
}
