//! The endpoint for monitoring: /metrics, /live, /ready, and JSON under /api/v1/. It runs on a thread and a runtime of its own, reads what others
//! have counted, and asks no worker anything.
//!
//! It is for the operator's machines: nobody is asked for a password, and everybody may only look. What a peer can do
//! is bounded: so many connections, so long a request, so much time.

mod alerts;
mod answer;
mod api;
mod applications;
mod errors;
mod export;
mod family;
mod host;
mod pgbouncer;
mod pins;
mod pools;
mod ready;
mod serve;
mod slow;
mod statements;

pub use serve::{Listening, bind, serve};

use crate::activity::Doing;
use crate::alerts::Board;
use crate::clock::Instant;
use crate::cluster::{Cluster, Pool};
use crate::config::Config;
use crate::fault::Fault;
use crate::ids::ClientId;
use crate::metrics::Registry;
use crate::net::{Memory, SharedTls};
use crate::session::Pins;
use crate::wire::rows::Table;
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
    /// What the console shows.
    pub tables: Tables,
    /// Everybody who is connected.
    pub clients: Box<dyn Fn() -> Vec<ClientNow> + Send + Sync>,
    /// The TLS in force.
    pub tls: SharedTls,
    /// Clients at most, as the budget of descriptors allows.
    pub max_clients: Box<dyn Fn() -> usize + Send + Sync>,
}

/// A client, as metrics tell of it.
pub struct ClientNow {
    /// Names it.
    pub id: ClientId,
    /// Where it has logged in to.
    pub pool: Arc<Pool>,
    /// What it does.
    pub doing: Doing,
    /// Why it keeps its server over transactions, and since when just for these reasons; what was before that is counted.
    pub pin: Option<(Pins, Instant)>,
}

/// The console's tables.
pub struct Tables {
    /// As they are called, in the order of the alphabet.
    pub names: Vec<&'static str>,
    /// Those that can be asked for more closely, and what for.
    pub of: &'static [(&'static str, &'static str)],
    /// Makes one, as it is at this moment; `None`: there is none of this name.
    pub by_name: ByName,
}

/// A table of the console's, by its name and by what it is asked for more closely; or why there is none.
pub type ByName = Box<dyn Fn(&str, Option<(&str, &str)>) -> Option<Result<Table, Fault>> + Send + Sync>;

impl Views {
    /// Whether the configuration in force names this database.
    fn config_names(&self, database: &str) -> bool {
        (self.config)().databases.contains_key(database)
    }
}
