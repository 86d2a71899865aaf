//! File descriptors: how many clients fit.

use crate::config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for listeners, runtimes, logs and cancel connections.
const OWN: u64 = 100;

/// Servers that pools which nobody can foresee may open.
const FORESEEN_POOLS: u64 = 4;

/// Descriptors and what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The process's limit, raised as far as the system allows.
    pub descriptors: u64,
    /// Kept for servers.
    pub servers: u64,
    /// Clients at most: `max_client_conn`, or what is left.
    pub clients: usize,
}

/// Raises the limit and shares it out.
pub fn budget(config: &Config) -> Budget {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the limit stays what it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    share(descriptors, config)
}

fn share(descriptors: u64, config: &Config) -> Budget {
    let named = u64::try_from(config.databases.len()).unwrap_or(u64::MAX).max(FORESEEN_POOLS);
    let pool = u64::try_from(config.pooler.default_pool_size.max(20)).unwrap_or(u64::MAX);
    let servers = named.saturating_mul(pool).min(descriptors / 2);
    let fits = usize::try_from(descriptors.saturating_sub(servers + OWN)).unwrap_or(usize::MAX).max(1);
    Budget { descriptors, servers, clients: config.pooler.max_client_conn.unwrap_or(fits).min(fits) }
}
