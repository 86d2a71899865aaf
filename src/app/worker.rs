//! Worker threads: each runs its clients, and the stewards of the lanes it is home to, on a runtime of its own.

use crate::client::{Client, InForce, Left, LoggedIn, Registry, Rules, serve, welcome};
use crate::clock;
use crate::ids::{ClientId, Numbers, WorkerId};
use crate::metrics::{self, Meters};
use crate::pool::{Lane, Steward};
use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::runtime::{LocalOptions, LocalRuntime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A steward that panicked begins again after this long: one that does so again and again must not keep the worker busy.
const STEWARDS_PAUSE: Duration = Duration::from_secs(1);

/// A worker that panicked begins again after this long, for the same reason; its stewards are missed.
const WORKERS_PAUSE: Duration = Duration::from_millis(100);

/// How often a thread says that it turns.
const BEAT: Duration = Duration::from_secs(1);

/// Something for a worker to run.
pub enum Job {
    /// A client that was let in.
    Client(Box<LoggedIn>),
    /// A lane's steward.
    Steward(Steward, Weak<Lane>),
}

/// The way to each worker.
#[derive(Clone)]
pub struct Workers(Arc<[UnboundedSender<Job>]>);

/// What every worker needs.
pub struct Shared {
    /// For every client.
    pub in_force: Arc<InForce>,
    /// Who is connected.
    pub registry: Arc<Registry>,
    /// Numbers for clients.
    pub clients: Arc<Numbers>,
    /// Everything that is counted.
    pub metrics: Arc<metrics::Registry>,
}

/// One worker, for the tasks of its clients.
struct Worker {
    shared: Arc<Shared>,
    id: WorkerId,
    // They stay on its thread.
    meters: Meters,
    // Those whose worker has panicked, to go on when that begins again.
    adrift: RefCell<Vec<(Steward, Weak<Lane>)>>,
}

impl Workers {
    /// The ends of the workers' job queues, to be run by [`work`].
    pub fn new(count: usize) -> (Self, Vec<UnboundedReceiver<Job>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| unbounded_channel()).unzip();
        (Self(senders.into()), receivers)
    }

    /// Gives a job to a worker.
    pub fn give(&self, worker: WorkerId, job: Job) {
        if let Some(sender) = self.0.get(usize::from(worker.0)) {
            // Closed only when the process ends.
            let _ = sender.send(job);
        }
    }
}

/// A worker's thread, until the job queue closes. Tasks are guarded one by one; a panic of the worker itself costs all the clients that it
/// had, whose servers are closed, and it begins again on a runtime of its own.
pub fn work(id: WorkerId, mut jobs: UnboundedReceiver<Job>, shared: &Arc<Shared>) {
    let meters = Meters::new(&shared.metrics, id);
    let worker = Rc::new(Worker { shared: shared.clone(), id, meters, adrift: RefCell::default() });
    while let Err(panic) = catch_unwind(AssertUnwindSafe(|| worker.clone().turn(&mut jobs))) {
        shared.metrics.process.worker_panics.fetch_add(1, Ordering::Relaxed);
        let panic = words(&*panic);
        tracing::error!(worker = id.0, panic, "a worker panicked; its clients are disconnected, and it begins again");
        std::thread::sleep(WORKERS_PAUSE);
    }
}

impl Worker {
    /// The runtime ends with it, also where it panics: what its tasks had is given back while that goes on.
    fn turn(self: Rc<Self>, jobs: &mut UnboundedReceiver<Job>) {
        let runtime = Runtime::new();
        // What is registered with the one that has ended.
        self.shared.in_force.cluster.close_idle_of(self.id);
        runtime.block_on(async {
            tokio::task::spawn_local(beat(self.shared.metrics.clone(), usize::from(self.id.0)));
            let adrift = self.adrift.take();
            adrift.into_iter().for_each(|(steward, lane)| self.tend(steward, lane));
            while let Some(job) = jobs.recv().await {
                match job {
                    Job::Client(client) => {
                        probe(&self.shared.in_force.rules(), &client);
                        drop(tokio::task::spawn_local(guarded(self.clone(), client)));
                    }
                    Job::Steward(steward, lane) => self.tend(steward, lane),
                }
            }
        });
    }

    fn tend(self: &Rc<Self>, steward: Steward, lane: Weak<Lane>) {
        let office = Office { worker: self.clone(), of: Some((steward, lane)) };
        drop(tokio::task::spawn_local(office.tend()));
    }
}

/// A worker's. It ends at once, whatever name is being looked up.
struct Runtime(Option<LocalRuntime>);

impl Runtime {
    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build_local(LocalOptions::default());
        Self(Some(runtime.expect("invariant: a runtime needs two descriptors, which the budget keeps")))
    }
}

impl Deref for Runtime {
    type Target = LocalRuntime;

    fn deref(&self) -> &LocalRuntime {
        self.0.as_ref().expect("invariant: only its drop takes it")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A lane's steward at work. A lane without one would serve nobody.
struct Office {
    worker: Rc<Worker>,
    of: Option<(Steward, Weak<Lane>)>,
}

impl Office {
    /// One that panicked goes on with its next chore.
    async fn tend(mut self) {
        let Some((steward, lane)) = &mut self.of else { return };
        while let Err(panic) = caught(pin!(steward.run(lane))).await {
            self.worker.shared.metrics.process.steward_panics.fetch_add(1, Ordering::Relaxed);
            tracing::error!(panic = words(&*panic), "the steward of a pool panicked; it goes on");
            tokio::time::sleep(STEWARDS_PAUSE).await;
        }
        self.of = None;
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(of) = self.of.take() {
            self.worker.adrift.borrow_mut().push(of);
        }
    }
}

/// Says once a second that this thread turns.
pub async fn beat(metrics: Arc<metrics::Registry>, thread: usize) {
    loop {
        metrics.process.beat(thread, clock::now());
        tokio::time::sleep(BEAT).await;
    }
}

/// A place where a test can make the worker itself panic.
fn probe(rules: &Rules, client: &LoggedIn) {
    if rules.panic_probe {
        assert!(!client.startup.settings.iter().any(|(_, value)| **value == *b"panic at Worker"), "the panic probe");
    }
}

/// A bug in one client's task closes that client and its server, and is counted.
async fn guarded(worker: Rc<Worker>, logged_in: Box<LoggedIn>) {
    let id = ClientId(worker.shared.clients.next());
    let task = pin!(run_client(&worker, id, logged_in));
    if let Err(panic) = caught(task).await {
        worker.shared.metrics.process.client_panics.fetch_add(1, Ordering::Relaxed);
        tracing::error!(client = %id, panic = words(&*panic), "a client's task panicked; its connection is closed");
    }
}

/// What a task comes to, or what it panicked with.
async fn caught<F: Future>(mut task: Pin<&mut F>) -> Result<F::Output, Box<dyn Any + Send>> {
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("?")
}

async fn run_client(worker: &Worker, id: ClientId, logged_in: Box<LoggedIn>) {
    let waker = std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let Some(mut client) = welcomed(worker, id, logged_in, waker).await else { return };
    let left = serve(&mut client).await;
    Box::pin(part(client, left)).await;
}

/// Boxed, and beside the client's task, which would keep what it came with, emptied, for as long as the client stays.
fn welcomed(
    worker: &Worker,
    id: ClientId,
    logged_in: Box<LoggedIn>,
    waker: Waker,
) -> Pin<Box<dyn Future<Output = Option<Client>> + '_>> {
    let shared = &worker.shared;
    Box::pin(welcome(*logged_in, id, worker.id, shared.in_force.clone(), &shared.registry, &worker.meters, waker))
}

async fn part(mut client: Client, left: Left) {
    client.log_leave(&left);
    if let Left::Refused(fault) = left {
        client.note_fault(&fault);
        client.socket().part(&fault).await;
    } else {
        client.flush_briefly().await;
    }
}

#[cfg(test)]
mod tests;
