//! The endpoint for monitoring: /metrics, /live, /ready. It runs on a thread and a runtime of its own, reads what others
//! have counted, and asks no worker anything.
//!
//! It is for the operator's machines: nobody is asked for a password, and everybody may only look. What a peer can do
//! is bounded: so many connections, so long a request, so much time.

mod alerts;
mod answer;
mod export;
mod family;
mod pools;
mod ready;
mod serve;
mod slow;
mod statements;

pub use serve::{Listening, bind, serve};

use crate::alerts::Board;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::metrics::Registry;
use crate::net::{Memory, SharedTls};
use std::sync::Arc;

/// What there is to show.
pub struct Views {
    /// What was counted.
    pub metrics: Arc<Registry>,
    /// What fires.
    pub alerts: Arc<Board>,
    /// Pools and hosts.
    pub cluster: Arc<Cluster>,
    /// The configuration in force.
    pub config: Box<dyn Fn() -> Arc<Config> + Send + Sync>,
    /// What the buffers of all clients take.
    pub memory: Arc<Memory>,
    /// The TLS in force.
    pub tls: SharedTls,
    /// Clients at most, as the budget of descriptors allows.
    pub max_clients: Box<dyn Fn() -> usize + Send + Sync>,
}

impl Views {
    /// Whether the configuration in force names this database.
    fn config_names(&self, database: &str) -> bool {
        (self.config)().databases.contains_key(database)
    }
}
