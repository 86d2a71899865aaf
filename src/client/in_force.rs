//! What a client takes over of a reload, and when: between two transactions, never within one.

use super::connection::{Client, Rules, Step};
use super::serve::Left;
use super::take_back::Partings;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::fault::{Blame, Fault, SqlState};
use crate::net::Memory;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The rules in force, for all clients.
pub struct InForce {
    rules: ArcSwap<Rules>,
    // Counts reloads. Pools and rules are in place before it goes up.
    generation: AtomicU32,
    /// Servers that clients have left and that are not back yet.
    pub partings: Partings,
    /// All pools; clients find that of another entry than their own here.
    pub cluster: Arc<Cluster>,
}

impl InForce {
    /// The rules at start.
    pub fn new(config: &Config, memory: Arc<Memory>, cluster: Arc<Cluster>) -> Self {
        Self {
            rules: ArcSwap::from_pointee(Rules::new(config, memory)),
            generation: AtomicU32::new(0),
            partings: Partings::default(),
            cluster,
        }
    }

    /// For a client that comes.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The pools have been reloaded: now the clients look again.
    pub fn reload(&self, config: &Config) {
        let renewed = self.rules.load().renewed(config);
        self.rules.store(Arc::new(renewed));
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// How many reloads there have been. Costs one load.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }
}

impl Client {
    /// Takes over what a reload has changed, if there was one. To be called between two transactions; in a block that has read elsewhere it waits
    /// for the end of that.
    pub(super) fn renew(&mut self) -> Result<(), Left> {
        self.step(Step::Renew);
        if self.in_force.generation() == self.generation || self.has_read_in_block() {
            Ok(())
        } else {
            self.look_again()
        }
    }

    /// As [`Client::renew`], whether the reload is complete or not: the lane that this client knew is gone.
    #[cold]
    pub(super) fn look_again(&mut self) -> Result<(), Left> {
        self.generation = self.in_force.generation();
        self.rules = self.in_force.rules();
        self.shape = self.pool.shape();
        self.forget_replicas();
        self.look_for_elsewhere();
        self.meter.keep_circles(&self.rules.circles);
        // Elsewhere that is an error of one request.
        if self.shape.lanes.is_empty() && !self.is_visiting() { Err(Left::Refused(database_removed())) } else { Ok(()) }
    }
}

/// PgBouncer's words.
pub(super) fn database_removed() -> Fault {
    Fault::fatal(Blame::Pooler, SqlState::ADMIN_SHUTDOWN, "database removed")
        .with_hint("It is not in the configuration of PgOtter any more, or it has another forced user: reconnect.")
}
