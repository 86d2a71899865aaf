//! The arithmetic of `pgotter check`: how many servers the pools may open on each host. Knows only what the
//! configuration says; a host's `max_connections` is to be held against it by the reader.

use super::model::{Config, Database};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Servers that the pools may open on one host, as far as the configuration names their users; `None` = no limit.
pub struct HostSum {
    /// Name, IP or folder, and port, as configured.
    pub host: (String, u16),
    /// All pools together.
    pub servers: Option<usize>,
}

/// The pools' limits added up per host. Counts the users that the configuration names; others (and other names of `*`)
/// come on top.
pub fn sums_per_host(config: &Config) -> Vec<HostSum> {
    let sum = |((host, port), shares): ((&str, u16), Vec<Share>)| HostSum {
        host: (host.to_owned(), port),
        servers: shares.iter().map(|share| share.servers).sum(),
    };
    shares_per_host(config).into_iter().map(sum).collect()
}

fn shares_per_host(config: &Config) -> BTreeMap<(&str, u16), Vec<Share>> {
    let mut hosts: BTreeMap<(&str, u16), Vec<Share>> = BTreeMap::new();
    for (name, database) in &config.databases {
        for host in &database.hosts {
            hosts.entry((&host.host, host.port)).or_default().push(share(config, name, database));
        }
    }
    hosts
}

/// [`sums_per_host`] as text of several lines, with the shares of each database.
pub fn check_summary(config: &Config) -> String {
    let hosts = shares_per_host(config);
    let mut text = String::new();
    for ((host, port), shares) in &hosts {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "host {host} port {port}");
        for share in shares {
            let _ = writeln!(text, "  {}", share.line);
        }
        let total: Option<usize> = shares.iter().map(|share| share.servers).sum();
        let _ = match total {
            Some(total) => writeln!(text, "  together at most {total} servers; its max_connections must allow more"),
            None => writeln!(text, "  together without limit"),
        };
    }
    text
}

/// The queue against the pool: how long transactions may take for the last of so many clients to get a server in time, if all
/// of them want one at once. A line for each database.
pub fn queue_summary(config: &Config, clients: usize) -> String {
    let mut text = format!("clients at most {clients}; if all of them want a server at once\n");
    for (name, database) in &config.databases {
        let _ = writeln!(text, "  database {name}: {}", queue(config, name, database, clients));
    }
    text
}

fn queue(config: &Config, name: &str, database: &Database, clients: usize) -> String {
    let wait = database.query_wait_timeout.unwrap_or(config.pooler.query_wait_timeout);
    match (share(config, name, database).servers, wait) {
        (Some(servers), _) if servers >= clients => "nobody waits".to_owned(),
        (None, _) => "nobody waits, its servers have no limit".to_owned(),
        (Some(servers), None) => format!("{} wait for {servers} servers, without limit", clients - servers),
        (Some(servers), Some(wait)) => {
            let rounds = u32::try_from(clients.div_ceil(servers.max(1)) - 1).unwrap_or(u32::MAX).max(1);
            let (waiting, longest) = (clients - servers, wait / rounds);
            format!(
                "{waiting} wait for {servers} servers, within {wait:?} if a transaction takes {longest:.0?} at most"
            )
        }
    }
}

/// What one database may open on one of its hosts; `None` is without limit.
struct Share {
    line: String,
    servers: Option<usize>,
}

fn share(config: &Config, name: &str, database: &Database) -> Share {
    let users: BTreeSet<&str> = match &database.user {
        Some(forced) => BTreeSet::from([forced.as_str()]),
        None => config.pooler.auth_users.keys().chain(config.users.keys()).map(String::as_str).collect(),
    };
    let lane = |user: &str| {
        let resolved = config.resolve(name, user)?;
        (resolved.pool_size > 0).then_some(resolved.pool_size + resolved.reserve_pool_size)
    };
    let named = users.len();
    // Where no user is named, the arithmetic is that of one.
    let lanes: Option<usize> = if named == 0 { lane("") } else { users.into_iter().map(lane).sum() };
    let most = database.max_db_connections.unwrap_or(config.pooler.max_db_connections);
    let servers = match (lanes, most) {
        (lanes, 0) => lanes,
        (Some(lanes), most) => Some(lanes.min(most)),
        (None, most) => Some(most),
    };
    let who = match (named, &database.user) {
        (_, Some(user)) => format!("as {user}"),
        (0, None) => "for each user".to_owned(),
        (1, None) => "for 1 user".to_owned(),
        (named, None) => format!("for {named} users"),
    };
    let what = match servers {
        Some(servers) => format!("{servers} servers"),
        None => "servers without limit".to_owned(),
    };
    let capped = if most > 0 && servers == Some(most) { ", by max_db_connections" } else { "" };
    Share { line: format!("database {name}: {what} {who}{capped}"), servers }
}
