//! File descriptors and memory: how many clients fit, and what they may hold.

use super::available;
use crate::config::{self, Config, HostSum, sums_per_host};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fmt::Write;
use std::io;

/// Descriptors for 30 consoles, 40 wrong cancel requests, 32 requests for metrics, and some for listeners, runtimes and logs.
const OWN: u64 = 128;

/// Servers that pools which nobody can foresee may open.
const FORESEEN_POOLS: u64 = 4;

/// Connections that have not proven who they are, where there are descriptors enough: who comes in numbers is let in at some
/// thousands a second.
const UNPROVEN_MOST: usize = 10_000;

/// Descriptors for which there is room from the start on, where the limit allows so many: 512 KiB of the system's.
const ROOM: u64 = 1 << 16;

/// Memory of a machine that does not say how much it has.
const MEMORY_UNKNOWN: usize = 1 << 30;

/// The least that buffers may take, unless the configuration says less: some big results at a time.
const MEMORY_LEAST: usize = 16 << 20;

/// Descriptors and what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The process's limit, raised as far as the system allows.
    pub descriptors: u64,
    /// Kept for servers.
    pub servers: u64,
    /// Clients at most: `max_client_conn`, or what is left.
    pub clients: usize,
    /// Connections at most that have not proven who they are: what is left beside clients, and a quarter is kept for them.
    pub unproven: usize,
}

/// Raises the limit and shares it out.
pub fn budget(config: &Config) -> Budget {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the limit stays what it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
    share(descriptors, config)
}

/// Makes room for so many descriptors, 65,536 at most, in the system's table of them; to be called while there is one thread. The system
/// doubles the table when it is full, and then the thread that wants the next descriptor, most often the one that accepts, waits until no
/// other thread can be looking at the old one: some 10 ms each time. Source: Linux, `fs/file.c`, `expand_fdtable`.
pub fn make_room(descriptors: u64) {
    // The highest number there is room for takes the table along, which keeps its size. Where that fails it grows as ever.
    let highest = i32::try_from(descriptors.min(ROOM)).unwrap_or(i32::MAX).saturating_sub(1);
    let _ = fcntl_dupfd_cloexec(io::stderr(), highest);
}

/// What the buffers of all clients may take where the configuration does not say: a quarter of what there is.
pub fn usual_memory(available: Option<usize>) -> usize {
    (available.unwrap_or(MEMORY_UNKNOWN) / 4).max(MEMORY_LEAST)
}

/// One line for each host, and a warning if the pools may want more descriptors than there are for them.
pub fn log(budget: Budget, memory_budget: usize, config: &Config) {
    let Budget { descriptors, servers, clients, unproven } = budget;
    tracing::info!(descriptors, server_descriptors = servers, max_clients = clients, unproven, memory_budget, "limits");
    for HostSum { host: (host, port), servers } in sums_per_host(config) {
        match servers {
            Some(servers) => tracing::info!(host, port, servers, "the pools may open"),
            None => tracing::info!(host, port, "the pools may open without limit"),
        }
    }
    if wanted(config).is_none_or(|wanted| u64::try_from(wanted).is_ok_and(|wanted| wanted > servers)) {
        tracing::warn!(server_descriptors = servers, "the pools may want more servers than there are descriptors for");
    }
}

/// The same for people, as `pgotter check` prints it. Descriptors and memory are those of whoever asks, at this moment.
pub fn describe(config: &Config) -> String {
    let Budget { descriptors, servers, clients, unproven } = budget(config);
    let memory = config.pooler.memory_budget.unwrap_or_else(|| usual_memory(available::memory()));
    let mut text = config::check_summary(config);
    text += &config::queue_summary(config, clients);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "file descriptors {descriptors}: {servers} for servers, {OWN} for itself, {unproven} for connections that have not logged in, the rest for clients"
    );
    let _ = writeln!(text, "memory for clients' buffers {} MiB, and 64 KiB for each client beside it", memory >> 20);
    text
}

/// Servers on all hosts, as far as the configuration names their users. `None`: without limit.
fn wanted(config: &Config) -> Option<usize> {
    sums_per_host(config).iter().map(|sum| sum.servers).sum()
}

fn share(descriptors: u64, config: &Config) -> Budget {
    let foreseen =
        FORESEEN_POOLS * u64::try_from(config.pooler.default_pool_size.max(20)).unwrap_or(u64::MAX / FORESEEN_POOLS);
    let wanted = wanted(config).map_or(u64::MAX, |servers| u64::try_from(servers).unwrap_or(u64::MAX));
    let servers = wanted.max(foreseen).min(descriptors / 2);
    // Those of several hosts are asked what they are, over a connection to each. Webhooks have one each.
    let asked: usize = config.databases.values().map(|entry| entry.hosts.len()).filter(|hosts| *hosts > 1).sum();
    let asked = asked + config.notify.webhook.len();
    let own = OWN + u64::try_from(asked).unwrap_or(0);
    let left = usize::try_from(descriptors.saturating_sub(servers + own)).unwrap_or(usize::MAX);
    let fits = (left - (left / 4).min(UNPROVEN_MOST)).max(1);
    let clients = config.pooler.max_client_conn.unwrap_or(fits).min(fits);
    Budget { descriptors, servers, clients, unproven: left.saturating_sub(clients).clamp(1, UNPROVEN_MOST) }
}
