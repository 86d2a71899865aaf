//! The thread that looks once a second at what was counted and at what is there, says which alerts fire, and has webhooks told. It reads what others
//! have written and asks nobody anything.

use crate::alerts::{Alerts, Board, Ending, Event, Look, PoolLook, ReplicaLook, Stamp};
use crate::client::Gate;
use crate::clock::{self, Instant};
use crate::cluster::{HostSeen, Pool};
use crate::config::{Alert, Config};
use crate::metrics::Windows;
use crate::notify::{Message, Notifier};
use crate::router::Role;
use crate::secret;
use arc_swap::ArcSwap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// Between two looks. The finest windows are as fine.
const LOOK: Duration = Duration::from_secs(1);

/// At the end of the process, time for what is not told yet.
const LAST_MESSAGES: Duration = Duration::from_secs(1);

/// The thread, until it is told to end.
pub struct Watching {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

struct Watch {
    door: Arc<ArcSwap<Gate>>,
    board: Arc<Board>,
    notifier: Notifier,
    config: Option<Arc<Config>>,
    alerts: Alerts,
    // Of applications that alerts want to hear of by themselves: what was counted lately.
    circles: Vec<(Arc<str>, Arc<Windows>)>,
    names: Names,
}

/// What events are called.
struct Names {
    pgotter: String,
    run: String,
    events: u64,
}

/// Starts it.
///
/// # Errors
/// The system has no thread, or no descriptors for one more runtime.
pub fn watch(door: Arc<ArcSwap<Gate>>, board: Arc<Board>) -> io::Result<Watching> {
    let notifier = Notifier::start(board.clone())?;
    let names = Names::new(door.load().config.pooler.listen_port);
    let mut watch =
        Watch { door, board, notifier, config: None, alerts: Alerts::default(), circles: Vec::new(), names };
    let (end, ended) = channel();
    let run = move || {
        // The first look puts the configuration in force.
        watch.look();
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            watch.look();
        }
        watch.notifier.end(LAST_MESSAGES);
    };
    let thread = std::thread::Builder::new().name("alerts".to_owned()).spawn(run)?;
    Ok(Watching { end, thread })
}

impl Watching {
    /// Ends it, and waits a moment for webhooks that are being told.
    pub fn end(self) {
        drop(self.end);
        // One that panicked has ended, too.
        let _ = self.thread.join();
    }
}

impl Watch {
    /// A bug in here costs one look.
    fn look(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.look_once())).is_err() {
            tracing::error!("looking at alerts panicked; it goes on");
        }
    }

    fn look_once(&mut self) {
        let (now, gate) = (clock::now(), self.door.load_full());
        let mut events = Vec::new();
        let mut notify = None;
        if self.config.as_ref().is_none_or(|config| !Arc::ptr_eq(config, &gate.config)) {
            events = self.alerts.define(now, &gate.config.alerts);
            notify = Some(&gate.config.notify);
            self.form_circles(&gate, now);
            gate.metrics.long.set_over(self.alerts.single_over());
            self.config = Some(gate.config.clone());
        }
        // Who is taken out now was told that they fire.
        let removed: Vec<_> = events.drain(..).map(|event| self.message(&event, now)).collect();
        match notify {
            Some(notify) => self.notifier.configure(notify, removed),
            None => removed.into_iter().for_each(|message| self.notifier.send(message)),
        }
        let seen = Look { circles: self.circles.clone(), ..see(&gate, now) };
        let statements = gate.metrics.statements();
        gate.metrics.windows.tick(now, &statements);
        for (pattern, windows) in &self.circles {
            windows.tick(now, &gate.metrics.statements_in(pattern));
        }
        events.extend(self.alerts.look(now, &gate.metrics.windows, &seen));
        self.board.show(self.alerts.rows());
        for event in events {
            let message = self.message(&event, now);
            self.notifier.send(message);
        }
    }

    /// Logs it, and says what is to be told of it.
    fn message(&mut self, event: &Event, now: Instant) -> Message {
        log(event);
        let stamp = self.names.stamp(event, now);
        Message { json: event.json(&stamp).into(), slack: event.slack(&stamp).into() }
    }

    /// For each application that an alert wants to hear of by itself. They share what all statements together may take.
    fn form_circles(&mut self, gate: &Gate, now: Instant) {
        let wanted = Alert::circles(&gate.config.alerts);
        let known = std::mem::take(&mut self.circles);
        self.circles = wanted
            .into_iter()
            .map(|pattern| {
                let windows = known.iter().find(|(known, _)| *known == pattern).map(|(_, windows)| windows.clone());
                let windows = windows.unwrap_or_else(|| {
                    let windows = Windows::new(now);
                    // What a worker may still have of the same pattern, from before another reload, is not new.
                    windows.begin(&gate.metrics.statements_in(&pattern));
                    Arc::new(windows)
                });
                (pattern, windows)
            })
            .collect();
        self.circles.iter().for_each(|(_, windows)| windows.share(self.circles.len()));
    }
}

impl Names {
    fn new(port: u16) -> Self {
        // Source: proc(5).
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let run = secret::random::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { pgotter: format!("{}:{port}", machine.trim()), run, events: 0 }
    }

    fn stamp(&mut self, event: &Event, now: Instant) -> Stamp {
        self.events += 1;
        // In whole milliseconds.
        let on_the_wall = |moment: Instant| {
            let ago = now.saturating_duration_since(moment);
            let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            (at.saturating_sub(ago).as_secs_f64() * 1e3).round() / 1e3
        };
        Stamp {
            id: format!("{}-{}", self.run, self.events),
            pgotter: self.pgotter.clone(),
            at: on_the_wall(event.at),
            since: on_the_wall(event.since),
        }
    }
}

/// Texts of queries are not for the log.
fn log(event: &Event) {
    let (alert, kind, about) = (&event.alert.name, event.alert.condition.word(), event.measured.subject.to_string());
    let (value, threshold, level) = (event.measured.value, event.threshold, event.level);
    match event.ending {
        None => tracing::warn!(alert, kind, about, level, value, threshold, "an alert fires"),
        Some(Ending::Cleared) => tracing::info!(alert, kind, about, value, threshold, "an alert is over"),
        Some(Ending::Removed) => tracing::info!(alert, kind, about, "an alert is not configured any more"),
    }
}

/// What there is at this moment. Locks each lane's books for a moment.
fn see(gate: &Gate, now: Instant) -> Look {
    let (long, more_long) = gate.metrics.long.take();
    let pools = gate.cluster.pools().iter().map(|pool| see_pool(gate, pool, now)).collect();
    let mut replicas = Vec::new();
    for watch in gate.cluster.watches() {
        let database: Arc<str> = watch.entry.as_str().into();
        let seen = watch.seen().into_iter().filter(|host| host.role != Role::Primary);
        let look = |host: HostSeen| (host.address.to_string(), host.lag.map(|(lag, _)| lag));
        replicas.extend(seen.map(look).map(|(host, lag)| ReplicaLook { database: database.clone(), host, lag }));
    }
    let reload_failed = !gate.metrics.process.reload().0;
    Look { long, more_long, circles: Vec::new(), pools, replicas, reload_failed }
}

fn see_pool(gate: &Gate, pool: &Pool, now: Instant) -> PoolLook {
    let shape = pool.shape();
    let size = shape.settings.pool_size;
    let share = |places: usize| (size > 0).then(|| places as f64 / size as f64);
    let (mut oldest_wait, mut taken, mut pinned) = (Duration::ZERO, 0, 0);
    for lane in &shape.lanes {
        let stats = lane.stats(now);
        oldest_wait = oldest_wait.max(stats.oldest_wait);
        taken = taken.max(stats.active);
        pinned = pinned.max(lane.pinned());
    }
    PoolLook {
        database: gate.metrics.label(&pool.database).into(),
        user: pool.user.clone(),
        oldest_wait,
        taken: share(taken),
        pinned: share(pinned),
    }
}
