//! The front thread: accepts, lets in, hands over to the workers. It serves nobody itself.

use super::worker::{Job, Workers};
use crate::client::{Gate, Opening, Registry, log_in};
use crate::clock;
use crate::cluster::tcp_options;
use crate::metrics::Repeated;
use crate::net::Listener;
use crate::wire::startup::CancelKey;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// After a failed accept (no descriptors left, most likely) the loop waits instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts on one listener for ever. Whoever comes is judged by what stands at the door at that moment.
pub async fn accept(listener: Listener, door: Arc<ArcSwap<Gate>>, workers: Workers) {
    let complaints = Repeated::new(1);
    loop {
        match listener.accept(|| tcp_options(&door.load().config.pooler)).await {
            Ok((stream, peer)) => {
                let (gate, workers) = (door.load_full(), workers.clone());
                tokio::task::spawn_local(async move {
                    if let Opening::Client(client) = log_in(stream, peer, &gate).await {
                        workers.give(client.pool.next_home(), Job::Client(client));
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

/// Removes the entries of clients that have left.
pub async fn sweep(registry: Arc<Registry>, mut leaving: UnboundedReceiver<CancelKey>) {
    while let Some(key) = leaving.recv().await {
        registry.remove(&key);
    }
}
