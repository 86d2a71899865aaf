//! What an operator can do to the running process. Signals and the console call the same.

use super::budget;
use crate::client::{Credentials, Gate, InForce, Registry, Seats};
use crate::cluster::{Cluster, NotPaused, NotResumed};
use crate::config::{self, AnybodyCouldCome, Config, Report};
use crate::metrics;
use crate::net::Tls;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc::UnboundedSender;

/// How the process is to end, from the softest to the hardest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Nobody new is let in; clients stay until they leave by themselves.
    WaitForClients,
    /// Idle clients are told to leave, the others at the end of their transaction, `shutdown_timeout` at most.
    WaitForTransactions,
    /// Everybody is told to leave at once.
    Now,
}

/// A reload that was refused: everything is as before. The log has every mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotReloaded;

/// What an operator can do.
pub struct Operator {
    door: Arc<ArcSwap<Gate>>,
    in_force: Arc<InForce>,
    pub(super) registry: Arc<Registry>,
    cluster: Arc<Cluster>,
    pub(super) seats: Arc<Seats>,
    metrics: Arc<metrics::Registry>,
    // One at a time.
    reloading: tokio::sync::Mutex<()>,
    ends: UnboundedSender<Shutdown>,
}

impl Operator {
    /// `ends` is where the process waits for its end.
    pub fn new(door: Arc<ArcSwap<Gate>>, in_force: Arc<InForce>, ends: UnboundedSender<Shutdown>) -> Self {
        let gate = door.load_full();
        Self {
            in_force,
            registry: gate.registry.clone(),
            cluster: gate.cluster.clone(),
            seats: gate.seats.clone(),
            metrics: gate.metrics.clone(),
            door,
            reloading: tokio::sync::Mutex::default(),
            ends,
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.door.load().config.clone()
    }

    /// Reads the configuration's file anew, with all it refers to, and puts it in force as a whole: nobody is
    /// disconnected but clients of databases that are not in it any more. Must run in a tokio runtime; what takes long is
    /// done on a thread of its own.
    ///
    /// # Errors
    /// There are mistakes in it, which were logged. Nothing was changed.
    pub async fn reload(&self) -> Result<(), NotReloaded> {
        let _one_at_a_time = self.reloading.lock().await;
        let before = self.door.load_full();
        let read = tokio::task::spawn_blocking(move || {
            let config = config::load(&before.config.file)?;
            let credentials = before.credentials.renewed(&config);
            let tls = Tls::load(&config)?;
            Ok::<_, Report>((config, credentials, tls))
        });
        let outcome = match read.await {
            Ok(Ok((mut config, credentials, tls))) => match config.keep_what_applies_at_start(&self.config()) {
                Ok(changed) => {
                    for setting in changed {
                        tracing::warn!(setting, "a change of this setting applies at restart");
                    }
                    self.put_in_force(config, credentials, tls);
                    Ok(())
                }
                Err(AnybodyCouldCome) => {
                    tracing::error!(
                        "auth_type \"trust\" without auth_file is for loopback addresses only, and listen_addr applies at restart"
                    );
                    Err(NotReloaded)
                }
            },
            Ok(Err(report)) => {
                log_mistakes(&report);
                Err(NotReloaded)
            }
            Err(panic) => {
                tracing::error!(%panic, "the configuration could not be read");
                Err(NotReloaded)
            }
        };
        match outcome {
            Ok(()) => {
                self.metrics.process.reloaded(since_1970(SystemTime::now()));
                tracing::info!("configuration reloaded");
            }
            Err(NotReloaded) => {
                self.metrics.process.reload_failed();
                tracing::error!("reload refused: the configuration stays as it was");
            }
        }
        outcome
    }

    /// The pools before the door: whom only the new configuration lets in finds its database.
    fn put_in_force(&self, config: Config, credentials: Credentials, tls: Tls) {
        let before = self.door.load_full();
        before.tls.store(Arc::new(tls));
        let config = Arc::new(config);
        let budget = budget::budget(&config);
        before.memory.set_budget(config.pooler.memory_budget);
        budget::log(budget, before.memory.budget(), &config);
        self.seats.set_limit(budget.clients);
        expect_databases(&self.metrics, &config);
        self.cluster.reload(config.clone());
        self.door.store(Arc::new(Gate {
            config: config.clone(),
            credentials,
            registry: self.registry.clone(),
            seats: self.seats.clone(),
            unproven: budget.unproven,
            memory: before.memory.clone(),
            strangers: before.strangers.clone(),
            cluster: self.cluster.clone(),
            tls: before.tls.clone(),
            metrics: self.metrics.clone(),
        }));
        self.cluster.keep_ready();
        self.in_force.reload(&config);
        self.registry.wake();
    }

    /// Begins to let go of all servers of a database, or of all; see [`Cluster::begin_pause`].
    ///
    /// # Errors
    /// See [`NotPaused`].
    pub fn pause(&self, database: Option<&str>) -> Result<bool, NotPaused> {
        self.cluster.begin_pause(database)
    }

    /// Ends this pause alone; see [`Cluster::take_back_pause`].
    pub fn take_back_pause(&self, database: Option<&str>) {
        self.cluster.take_back_pause(database);
    }

    /// As [`Operator::pause`] of everything; that it is complete goes to the log. Needs a `LocalRuntime`.
    pub fn begin_pause(&self) {
        // Begun here and not in the task: a RESUME right behind it must find it.
        if let Err(why) = self.cluster.begin_pause(None) {
            tracing::info!(%why, "not paused again");
            return;
        }
        let cluster = self.cluster.clone();
        tokio::task::spawn_local(async move {
            cluster.until_quiet(None).await;
            if cluster.is_paused(None) {
                tracing::info!("paused: no server is open");
            }
        });
    }

    /// Ends a pause; see [`Cluster::resume`].
    ///
    /// # Errors
    /// See [`NotResumed`].
    pub fn resume(&self, database: Option<&str>) -> Result<(), NotResumed> {
        self.cluster.resume(database)
    }

    /// Replaces all servers of a database, or of all; see [`Cluster::reconnect`]. False: no such database.
    pub fn reconnect(&self, database: Option<&str>) -> bool {
        self.cluster.reconnect(database)
    }

    /// Ends the process. A further order counts if it is harder; the same once more is [`Shutdown::Now`].
    pub fn shutdown(&self, how: Shutdown) {
        // Closed only when the process ends.
        let _ = self.ends.send(how);
    }
}

/// The databases that `config` names are counted by their names, and as many statements and slow ones as it says.
pub(super) fn expect_databases(metrics: &metrics::Registry, config: &Config) {
    config.databases.keys().filter(|name| *name != "*").for_each(|name| metrics.expect(name));
    metrics.limit_statements(config.insight.max_fingerprints, config.insight.insight_memory);
    metrics.slow().limit(config.slow_queries.keep, config.slow_queries.per_minute);
}

pub(super) fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn log_mistakes(report: &Report) {
    for mistake in report.mistakes() {
        let (file, line, column) = (mistake.file.display(), mistake.line, mistake.column);
        let (label, help) = (&mistake.label, mistake.help.as_deref().unwrap_or_default());
        tracing::error!(%file, line, column, label, help, "{}", mistake.message);
    }
}
