//! The front thread: accepts, lets in, hands over to the workers. It serves nobody itself.

use super::console::console;
use super::operator::Operator;
use super::worker::{Job, Workers};
use crate::admin::Desk;
use crate::client::{Gate, Opening, Registry, log_in};
use crate::clock;
use crate::cluster::tcp_options;
use crate::ids::{ClientId, Numbers};
use crate::metrics::Repeated;
use crate::net::Listener;
use crate::wire::startup::CancelKey;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// After a failed accept (no descriptors left, most likely) the loop waits instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
}

/// Accepts on one listener for ever. Whoever comes is judged by what stands at the door at that moment.
pub async fn accept(listener: Listener, hall: Hall) {
    let complaints = Repeated::new(1);
    loop {
        match listener.accept(|| tcp_options(&hall.door.load().config.pooler)).await {
            Ok((stream, peer)) => {
                let (gate, hall) = (hall.door.load_full(), hall.clone());
                tokio::task::spawn_local(async move {
                    let opening = log_in(stream, peer, &gate).await;
                    // A console may stay for longer than a configuration.
                    drop(gate);
                    match opening {
                        Opening::Client(client) => hall.workers.give(client.pool.next_home(), Job::Client(client)),
                        Opening::Console(caller) => {
                            let id = ClientId(hall.numbers.next());
                            Box::pin(console(*caller, id, &hall.desk)).await;
                        }
                        Opening::Over => (),
                    }
                });
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
