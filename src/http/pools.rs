//! What the pools hold at one moment, by database and user, with a bound on how many of each are named.

use super::{ClientNow, Views};
use crate::activity::{Doing, ServerSeen, ServerState};
use crate::clock::Instant;
use crate::cluster::{Pool, Shape};
use crate::ids::ClientId;
use crate::metrics::{OTHER, ROLES};
use crate::pool::core::Stats;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Users with a label of their own: those with the most connections.
const USERS: usize = 50;

/// Every pool, added up under its labels.
pub(super) struct Pools {
    pub rows: BTreeMap<(String, String), Row>,
    /// By database, or by user: the other one is empty.
    pub client_limits: BTreeMap<(String, String), usize>,
}

/// One database and user, or several that share the label.
#[derive(Default)]
pub(super) struct Row {
    /// Clients, in the order of [`Doing::ALL`].
    pub doing: [usize; Doing::ALL.len()],
    // Of the primary, and of the replicas; None: it has none.
    queues: [Option<Queue>; ROLES.len()],
    /// By host.
    pub servers: BTreeMap<String, Servers>,
    /// Servers at most; None = no limit.
    pub limit: Option<usize>,
}

/// Clients that wait for servers of one role.
#[derive(Default)]
pub(super) struct Queue {
    pub waiting: usize,
    pub oldest_wait: Duration,
}

impl Row {
    /// One for each role that a host of it has, with the word for it.
    pub fn queues(&self) -> impl Iterator<Item = (&'static str, &Queue)> {
        ROLES.into_iter().zip(&self.queues).filter_map(|(role, queue)| Some((role, queue.as_ref()?)))
    }
}

#[derive(Default)]
pub(super) struct Servers {
    // Those that clients have, pinned ones among them, or that are brought back.
    taken: usize,
    idle: usize,
    login: usize,
    testing: usize,
    pinned: usize,
}

impl Servers {
    /// Each is in exactly one state. They are read one after the other, so that they may not agree for a moment.
    pub fn states(&self) -> [(&'static str, usize); 5] {
        let testing = self.testing.min(self.taken);
        let pinned = self.pinned.min(self.taken - testing);
        [
            ("active", self.taken - testing - pinned),
            ("idle", self.idle),
            ("login", self.login),
            ("testing", testing),
            ("pinned", pinned),
        ]
    }
}

impl Pools {
    /// Every row with its labels.
    pub fn labelled(&self) -> impl Iterator<Item = ([(&str, &str); 2], &Row)> {
        self.rows
            .iter()
            .map(|((database, user), row)| ([("database", database.as_str()), ("user", user.as_str())], row))
    }

    /// Locks each lane's books for a moment. `present` are all clients.
    pub fn take(views: &Views, present: &[ClientNow], now: Instant) -> Self {
        let pools = views.cluster.pools();
        // One shape for all of a pool: a reload may replace it meanwhile.
        let shapes: Vec<Arc<Shape>> = pools.iter().map(|pool| pool.shape()).collect();
        let stats = |shape: &Shape| shape.lanes.iter().map(|lane| lane.stats(now)).collect();
        let stats: Vec<Vec<Stats>> = shapes.iter().map(|shape| stats(shape)).collect();
        let mut busy: BTreeMap<&str, usize> = BTreeMap::new();
        for (pool, stats) in pools.iter().zip(&stats) {
            let servers: usize = stats.iter().map(|stats| stats.active + stats.idle).sum();
            *busy.entry(&pool.user).or_default() += pool.clients() + servers;
        }
        let named = busiest(busy);
        let mut doing: HashMap<*const Pool, [usize; Doing::ALL.len()]> = HashMap::new();
        let mut resting = HashSet::new();
        for client in present {
            doing.entry(Arc::as_ptr(&client.pool)).or_default()[client.doing as usize] += 1;
            if client.doing == Doing::Pinned {
                resting.insert(client.id);
            }
        }
        let mut found = Self { rows: BTreeMap::new(), client_limits: BTreeMap::new() };
        for ((pool, shape), stats) in pools.iter().zip(&shapes).zip(&stats) {
            let database = views.metrics.label(&pool.database);
            let user = if named.contains(pool.user.as_str()) { pool.user.as_str() } else { OTHER };
            let row = found.add((database, user), pool, shape, stats);
            let doing = doing.get(&Arc::as_ptr(pool)).into_iter().flatten();
            row.doing.iter_mut().zip(doing).for_each(|(total, more)| *total += more);
            for lane in &shape.lanes {
                let servers = row.servers.entry(lane.address().to_string()).or_default();
                servers.look_at(&lane.servers(), &resting);
            }
        }
        found
    }

    fn add(&mut self, (database, user): (&str, &str), pool: &Pool, shape: &Shape, stats: &[Stats]) -> &mut Row {
        let settings = &shape.settings;
        let limits =
            [(settings.max_db_client_connections, (database, "")), (settings.max_user_client_connections, ("", user))];
        for (limit, (database, user)) in limits {
            // Those who share a label have no limit in common, and a forced user's clients are limited by their own names.
            if limit == 0 || database == OTHER || user == OTHER || pool.forced && !user.is_empty() {
                continue;
            }
            self.client_limits.insert((database.to_owned(), user.to_owned()), limit);
        }
        let labels = (database.to_owned(), user.to_owned());
        let alone = !self.rows.contains_key(&labels);
        let row = self.rows.entry(labels).or_default();
        let limit = (settings.pool_size > 0).then_some(settings.pool_size + settings.reserve_pool_size);
        row.limit = limit.filter(|_| alone);
        // Where none is confirmed, nobody waits for servers of the last one, nor are they a replica's.
        let primary = shape.watch.as_ref().map_or(Some(0), |watch| watch.last_primary());
        for (at, (lane, stats)) in shape.lanes.iter().zip(stats).enumerate() {
            let queue = row.queues[usize::from(primary.is_some_and(|primary| primary != at))].get_or_insert_default();
            queue.waiting += stats.waiting;
            queue.oldest_wait = queue.oldest_wait.max(stats.oldest_wait);
            let servers = row.servers.entry(lane.address().to_string()).or_default();
            servers.taken += stats.active;
            servers.idle += stats.idle;
            servers.login += stats.opening;
        }
        row
    }
}

impl Servers {
    /// `resting` are the pinned clients that want nothing now.
    fn look_at(&mut self, servers: &[ServerSeen], resting: &HashSet<ClientId>) {
        for server in servers {
            match server.state {
                ServerState::InRepair => self.testing += 1,
                ServerState::Active(client) if resting.contains(&client) => self.pinned += 1,
                ServerState::Active(_) | ServerState::Idle => (),
            }
        }
    }
}

/// Those with the most connections; of equals the first by name.
pub(super) fn busiest(users: BTreeMap<&str, usize>) -> BTreeSet<&str> {
    let mut users: Vec<_> = users.into_iter().collect();
    users.sort_by_key(|(user, connections)| (std::cmp::Reverse(*connections), *user));
    users.into_iter().take(USERS).map(|(user, _)| user).collect()
}

#[cfg(test)]
mod tests {
    //! Who is named.
    use super::*;

    #[test]
    fn the_fifty_busiest_users_are_named() {
        let names: Vec<String> = (0..60).map(|number| format!("user{number:02}")).collect();
        let busy = names.iter().enumerate().map(|(number, name)| (name.as_str(), number / 2)).collect();
        let named = busiest(busy);
        assert_eq!(named.len(), 50);
        assert!(named.contains("user10") && named.contains("user59") && !named.contains("user09"), "{named:?}");
    }
}
