//! `pgotter run`: starts everything, waits for a signal, stops in order.

use super::budget::budget;
use super::front::{accept, sweep};
use super::worker::{Job, Shared, Workers, work};
use crate::client::{Credentials, Gate, Registry, Rules, Seats};
use crate::cluster::{Cluster, tcp_options};
use crate::config::Config;
use crate::ids::{Numbers, WorkerId};
use crate::net::{Listener, listen_tcp, listen_unix};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::unbounded_channel;

/// Longest wait for transactions to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(30);
/// How often a drain looks whether everybody has left.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// How the process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every client left in order.
    InOrder,
    /// Some were cut off.
    AtOnce,
    /// A worker's thread panicked: this is not the end anybody asked for.
    WorkerLost,
}

/// Runs until SIGTERM or SIGINT. A second one ends at once.
///
/// A worker whose thread panics ends the process in the same order, for the service manager to start it anew. Tasks are
/// guarded one by one, so such a panic comes from the runtime or from what holds everything together: nothing that the
/// thread had can be trusted, and the lanes whose stewards it ran have nobody to open servers.
///
/// # Errors
/// A listening socket could not be made; the message names it.
pub fn run(config: Config) -> io::Result<Stopped> {
    // A buffer would cost 2 MiB where the allocator may ask for huge pages. Kernels that do not know this have none.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let config = Arc::new(config);
    let budget = budget(&config);
    let (workers, queues) = Workers::new(config.pooler.workers);
    let (registry, leaving) = Registry::new();
    let shared = Arc::new(Shared {
        rules: Arc::new(Rules::new(&config)),
        registry: registry.clone(),
        clients: Numbers::default(),
        panics: AtomicU64::new(0),
    });
    let (lost, mut losses) = unbounded_channel();
    for (number, queue) in (0u16..).zip(queues) {
        let (shared, lost) = (shared.clone(), lost.clone());
        let run = move || {
            if catch_unwind(AssertUnwindSafe(|| work(WorkerId(number), queue, &shared))).is_err() {
                let _ = lost.send(number);
            }
        };
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
    }
    let to_workers = workers.clone();
    let start = move |steward: crate::pool::Steward, lane| to_workers.give(steward.home(), Job::Steward(steward, lane));
    let cluster = Arc::new(Cluster::new(config.pooler.workers, Box::new(start)));
    cluster.keep_ready(&config);
    let gate = Arc::new(Gate {
        credentials: Credentials::new(&config),
        registry: registry.clone(),
        seats: Seats::new(budget.clients),
        cluster,
        config: config.clone(),
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        workers = config.pooler.workers,
        max_clients = budget.clients,
        server_descriptors = budget.servers,
        descriptors = budget.descriptors,
        "pgotter is starting"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        let listeners = listeners(&config)?;
        let mut accepting = Vec::new();
        for listener in listeners {
            tracing::info!(address = listener.describe(), "listening");
            accepting.push(tokio::task::spawn_local(accept(listener, gate.clone(), workers.clone())));
        }
        tokio::task::spawn_local(sweep(registry.clone(), leaving));
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        // The reload comes later; until then the signal must not end the process.
        let _hangup = signal(SignalKind::hangup())?;
        let lost = tokio::select! {
            () = next(&mut terminate, &mut interrupt) => None,
            worker = losses.recv() => worker,
        };
        if let Some(worker) = lost {
            tracing::error!(worker, "a worker's thread panicked; the process ends");
        }
        tracing::info!(clients = registry.len(), "shutting down: transactions may end, idle clients leave");
        accepting.iter().for_each(tokio::task::JoinHandle::abort);
        registry.dismiss(false);
        let emptied = tokio::select! {
            () = empty(&registry) => true,
            () = tokio::time::sleep(DRAIN) => false,
            () = next(&mut terminate, &mut interrupt) => false,
        };
        if !emptied {
            registry.dismiss(true);
            let _ = tokio::time::timeout(Duration::from_secs(1), empty(&registry)).await;
        }
        tracing::info!(clients = registry.len(), "stopped");
        Ok(match lost {
            Some(_) => Stopped::WorkerLost,
            None if emptied => Stopped::InOrder,
            None => Stopped::AtOnce,
        })
    })
}

async fn next(terminate: &mut tokio::signal::unix::Signal, interrupt: &mut tokio::signal::unix::Signal) {
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
}

async fn empty(registry: &Registry) {
    while !registry.is_empty() {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}

fn listeners(config: &Config) -> io::Result<Vec<Listener>> {
    let pooler = &config.pooler;
    let mut listeners = Vec::new();
    let named = |what: String| {
        move |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {what}: {error}"))
    };
    for address in &pooler.listen_addr {
        let address = SocketAddr::new(*address, pooler.listen_port);
        let listener = listen_tcp(address, pooler.listen_backlog, tcp_options(pooler));
        listeners.push(listener.map_err(named(address.to_string()))?);
    }
    if let Some(folder) = &pooler.unix_socket_dir {
        let listener = listen_unix(folder, pooler.listen_port, pooler.unix_socket_mode);
        listeners.push(listener.map_err(named(folder.display().to_string()))?);
    }
    if listeners.is_empty() {
        return Err(io::Error::other("nothing to listen on: listen_addr and unix_socket_dir are both empty"));
    }
    Ok(listeners)
}
