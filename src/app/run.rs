//! `pgotter run`: starts everything, waits for an order to end, stops in order.

use super::alerts::watch;
use super::front::{Hall, PATIENCE, accept, sweep};
use super::operator::{Operator, Shutdown, expect_databases, since_1970};
use super::signals;
use super::worker::{Job, Shared, Workers, beat, work};
use super::{available, budget};
use crate::admin::{Desk, table, table_names, tables_of};
use crate::alerts::Board;
use crate::cli::ports::holder;
use crate::client::{Credentials, Gate, InForce, Partings, Presence, Registry, Seats};
use crate::clock::{self, Instant};
use crate::cluster::Cluster;
use crate::config::{Config, oddities};
use crate::http;
use crate::ids::WorkerId;
use crate::metrics;
use crate::net::{Crowd, Listener, Memory, Tls, listen_tcp, listen_unix};
use arc_swap::ArcSwap;
use std::cmp::Ordering;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

/// How often a drain looks whether everybody has left.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// Time to tell those who are thrown out why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Time to cancel what ran for them. PostgreSQL takes milliseconds for it.
const LAST_CANCELS: Duration = Duration::from_secs(1);

/// How the process came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Every client left in order.
    InOrder,
    /// Some were cut off.
    AtOnce,
}

/// Runs until an operator or a signal ends it.
///
/// # Errors
/// A listening socket could not be made, or a file of the TLS settings not be used; the message names it.
pub fn run(config: Config) -> io::Result<Stopped> {
    // A buffer would cost 2 MiB where the allocator may ask for huge pages. Kernels that do not know this have none.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let config = Arc::new(config);
    let (workers, queues) = Workers::new(config.pooler.workers);
    let (registry, leaving) = Registry::new();
    let endpoint = config.http.listen.map(endpoint).transpose()?;
    let metrics = count(&config);
    let memory = Arc::new(Memory::new(budget::usual_memory(available::memory())));
    memory.set_budget(config.pooler.memory_budget);
    let gate = open_gate(config.clone(), registry.clone(), memory.clone(), metrics.clone(), workers.clone())?;
    let shared = Arc::new(Shared {
        in_force: Arc::new(InForce::new(&config, memory, gate.cluster.clone())),
        registry: registry.clone(),
        clients: Arc::default(),
        metrics: metrics.clone(),
    });
    start_workers(queues, &shared)?;
    let door = Arc::new(ArcSwap::from_pointee(gate));
    let board = Arc::<Board>::default();
    let (ends, mut orders) = unbounded_channel();
    let operator = Arc::new(Operator::new(door.clone(), shared.in_force.clone(), ends));
    let cluster = door.load().cluster.clone();
    watch_hosts(cluster.clone())?;
    let watching = watch(door.clone(), board.clone())?;
    let desk = Arc::new(Desk::new(operator.clone(), cluster.clone(), metrics.clone(), board.clone()));
    if let Some(listening) = endpoint {
        serve_views(listening, &door, board, desk.clone())?;
    }
    let hall = Hall {
        door: door.clone(),
        workers,
        desk: desk.clone(),
        numbers: shared.clients.clone(),
        unproven: Rc::new(Crowd::new(PATIENCE)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    let stopped = runtime.block_on(async {
        // Whoever finds it listening may signal it: what nobody listens to ends the process.
        signals::listen(&operator)?;
        let mut accepting = Vec::new();
        for listener in listeners(&config)? {
            tracing::info!(address = listener.describe(), "listening");
            accepting.push(tokio::task::spawn_local(accept(listener, hall.clone())));
        }
        tokio::task::spawn_local(sweep(registry.clone(), leaving));
        tokio::task::spawn_local(beat(metrics.clone(), config.pooler.workers));
        tokio::task::spawn_local(async move { desk.keep_averages().await });
        tokio::task::spawn_local(async move { cluster.follow_names().await });
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
        let stopped = serve_until_the_end(&mut orders, &operator, &shared, &accepting).await;
        tracing::info!(clients = registry.len(), "stopped");
        Ok(stopped)
    });
    // A name may be looked up at this moment, for as long as the system likes.
    runtime.shutdown_background();
    watching.end();
    stopped
}

/// Starts the endpoint for monitoring, which shows what is behind the door.
fn serve_views(
    listening: http::Listening,
    door: &Arc<ArcSwap<Gate>>,
    alerts: Arc<Board>,
    desk: Arc<Desk<Arc<Operator>>>,
) -> io::Result<()> {
    let (gate, door) = (door.load_full(), door.clone());
    let (seats, registry) = (gate.seats.clone(), gate.registry.clone());
    let views = http::Views {
        metrics: gate.metrics.clone(),
        alerts,
        cluster: gate.cluster.clone(),
        memory: gate.memory.clone(),
        tables: http::Tables {
            names: table_names(),
            of: tables_of(),
            by_name: Box::new(move |name, argument| table(&desk, name, argument)),
        },
        clients: Box::new(move || registry.presences().iter().map(|presence| client_now(presence)).collect()),
        tls: gate.tls.clone(),
        config: Box::new(move || door.load().config.clone()),
        max_clients: Box::new(move || seats.limit()),
    };
    let serve = move || {
        if let Err(error) = http::serve(listening, views) {
            tracing::error!(%error, "the endpoint for monitoring has ended");
        }
    };
    std::thread::Builder::new().name("http".to_owned()).spawn(serve)?;
    Ok(())
}

fn client_now(presence: &Presence) -> http::ClientNow {
    let pin = presence.uncounted_pin();
    http::ClientNow { id: presence.id(), pool: presence.pool().clone(), doing: presence.doing(), pin }
}

/// Starts the thread that asks hosts what they are: nothing that a client does may delay it.
fn watch_hosts(cluster: Arc<Cluster>) -> io::Result<()> {
    let watch = move || match tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())
    {
        Ok(runtime) => runtime.block_on(cluster.watch_hosts()),
        Err(error) => tracing::error!(%error, "nobody asks the hosts what they are"),
    };
    std::thread::Builder::new().name("monitor".to_owned()).spawn(watch)?;
    Ok(())
}

fn start_workers(queues: Vec<UnboundedReceiver<Job>>, shared: &Arc<Shared>) -> io::Result<()> {
    for (number, queue) in (0u16..).zip(queues) {
        let shared = shared.clone();
        let run = move || work(WorkerId(number), queue, &shared);
        std::thread::Builder::new().name(format!("worker-{number}")).spawn(run)?;
    }
    Ok(())
}

/// What stands at the door, and the pools behind it.
fn open_gate(
    config: Arc<Config>,
    registry: Arc<Registry>,
    memory: Arc<Memory>,
    metrics: Arc<metrics::Registry>,
    workers: Workers,
) -> io::Result<Gate> {
    let budget = budget::budget(&config);
    budget::make_room(budget.descriptors);
    let start = move |steward: crate::pool::Steward, lane| workers.give(steward.home(), Job::Steward(steward, lane));
    let tls = Tls::load(&config).map_err(io::Error::other)?.share();
    let clients = registry.clone();
    let wake_clients = Box::new(move || clients.wake());
    let cluster = Arc::new(Cluster::new(config.clone(), tls.clone(), Box::new(start), wake_clients));
    cluster.keep_ready();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), workers = config.pooler.workers, "pgotter is starting");
    budget::log(budget, memory.budget(), &config);
    oddities(&config).iter().for_each(|oddity| tracing::warn!("{oddity}"));
    let credentials = Credentials::new(&config);
    let seats = Arc::new(Seats::new(budget.clients));
    let (strangers, unproven) = (Arc::default(), budget.unproven);
    Ok(Gate { config, credentials, registry, seats, unproven, memory, strangers, cluster, tls, metrics })
}

/// Waits for the first order to end, and carries it out.
async fn serve_until_the_end(
    orders: &mut UnboundedReceiver<Shutdown>,
    operator: &Operator,
    shared: &Shared,
    accepting: &[JoinHandle<()>],
) -> Stopped {
    let registry = &*shared.registry;
    let order = orders.recv().await.unwrap_or(Shutdown::Now);
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    shared.metrics.process.stopping();
    accepting.iter().for_each(JoinHandle::abort);
    let emptied = drain(order, orders, registry, || operator.config().pooler.shutdown_timeout).await;
    if !emptied {
        registry.dismiss(true);
        empty(registry, Some(clock::now() + LAST_WORDS)).await;
    }
    // Also where everybody has left: some may have vanished in the middle of a statement.
    cancelled(&shared.in_force.partings, clock::now() + LAST_CANCELS).await;
    if emptied { Stopped::InOrder } else { Stopped::AtOnce }
}

/// Sees the clients off, as `order` says or a harder one that comes meanwhile; the same once more means now. Whether all
/// have left.
async fn drain(
    mut order: Shutdown,
    orders: &mut UnboundedReceiver<Shutdown>,
    registry: &Registry,
    shutdown_timeout: impl Fn() -> Duration,
) -> bool {
    loop {
        tracing::info!(clients = registry.len(), ?order, "shutting down");
        let deadline = match order {
            Shutdown::WaitForClients => None,
            Shutdown::WaitForTransactions => {
                registry.dismiss(false);
                Some(clock::now() + shutdown_timeout())
            }
            Shutdown::Now => return false,
        };
        let harder = async {
            loop {
                let further = orders.recv().await.unwrap_or(Shutdown::Now);
                match further.cmp(&order) {
                    Ordering::Less => (),
                    Ordering::Equal => return Shutdown::Now,
                    Ordering::Greater => return further,
                }
            }
        };
        order = tokio::select! {
            () = empty(registry, deadline) => return registry.is_empty(),
            harder = harder => harder,
        };
    }
}

/// Waits until everybody has left, or for the deadline.
async fn empty(registry: &Registry, deadline: Option<Instant>) {
    while !registry.is_empty() && deadline.is_none_or(|at| clock::now() < at) {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}

/// Waits until what ran for those who were thrown out is cancelled: the connections' end alone would let it run on.
async fn cancelled(partings: &Partings, deadline: Instant) {
    while partings.count() > 0 && clock::now() < deadline {
        tokio::time::sleep(DRAIN_LOOK).await;
    }
}

/// What is counted from now on.
fn count(config: &Config) -> Arc<metrics::Registry> {
    let metrics = metrics::Registry::new(config.pooler.workers, clock::now());
    expect_databases(&metrics, config);
    metrics.process.reloaded(since_1970(SystemTime::now()));
    Arc::new(metrics)
}

/// The address of the endpoint for monitoring. One that is taken ends the start, as any other listener's does: a pooler that
/// runs on unseen is found out too late.
fn endpoint(address: SocketAddr) -> io::Result<http::Listening> {
    let listening = http::bind(address).map_err(|error| {
        let hint = "set `listen` under [http] to another address, or to \"\" for no endpoint";
        cannot_listen(&error, format_args!("{address} for [http]"), format_args!("{}; {hint}", why(&error, address)))
    })?;
    tracing::info!(%address, "serving /metrics, /live, /ready and /api/v1/");
    Ok(listening)
}

fn cannot_listen(error: &io::Error, place: impl Display, why: impl Display) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {place}: {why}"))
}

/// Why one cannot listen there, with whoever does.
fn why(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("{error} by {}", holder(address.port())),
        _ => error.to_string(),
    }
}

fn listeners(config: &Config) -> io::Result<Vec<Listener>> {
    let pooler = &config.pooler;
    let mut listeners = Vec::new();
    for address in &pooler.listen_addr {
        let address = SocketAddr::new(*address, pooler.listen_port);
        let listener = listen_tcp(address, pooler.listen_backlog);
        listeners.push(listener.map_err(|error| cannot_listen(&error, address, why(&error, address)))?);
    }
    if let Some(folder) = &pooler.unix_socket_dir {
        let listener = listen_unix(folder, pooler.listen_port, pooler.unix_socket_mode);
        listeners.push(listener.map_err(|error| cannot_listen(&error, folder.display(), &error))?);
    }
    if listeners.is_empty() {
        return Err(io::Error::other("nothing to listen on: listen_addr and unix_socket_dir are both empty"));
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests;
