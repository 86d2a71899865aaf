//! The hosts of each database, and the pools on them. Roles are what the configuration says; discovering and following
//! them comes later.

use crate::auth::Stored;
use crate::config::{Config, Database, Host, HostRole, Pooler, Resolved};
use crate::ids::{Numbers, WorkerId};
use crate::net::{Address, TcpOptions};
use crate::pool::core::Limits;
use crate::pool::{Backoff, Lane, LaneSpec, Ledger, Quota, Steward};
use crate::router::{ClusterView, HostView};
use crate::server::LoginSpec;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Clients' names of databases and users open pools through `*`; above this many, those nobody uses are dropped.
const MANY_POOLS: usize = 1000;

/// Clients of one (database, user) for each home worker: a pool smaller than this stays on one worker.
const SERVERS_PER_WORKER: usize = 10;

/// The servers of one (database, user).
pub struct Pool {
    /// As clients name it.
    pub database: String,
    /// As the client logged in; servers log in as the forced user if there is one.
    pub user: String,
    /// One for each host, in the configuration's order.
    pub lanes: Vec<Arc<Lane>>,
    /// What the router decides on.
    pub view: ClusterView,
    /// What the configuration says for this pool.
    pub settings: Resolved,
    homes: Vec<WorkerId>,
    next_home: AtomicUsize,
}

impl Pool {
    /// The worker for the next client.
    pub fn next_home(&self) -> WorkerId {
        let turn = self.next_home.fetch_add(1, Ordering::Relaxed);
        self.homes.get(turn % self.homes.len().max(1)).copied().unwrap_or(WorkerId(0))
    }

    fn is_unused(&self) -> bool {
        let now = crate::clock::now();
        self.lanes.iter().all(|lane| {
            let stats = lane.stats(now);
            !lane.is_live() && stats.idle + stats.active + stats.opening == 0
        })
    }
}

/// Starts a lane's steward on its home worker.
pub type StartSteward = Box<dyn Fn(Steward, Weak<Lane>) + Send + Sync>;

/// All pools of the process.
pub struct Cluster {
    pools: Mutex<HashMap<(String, String), Arc<Pool>>>,
    backoffs: Mutex<HashMap<Address, Arc<Backoff>>>,
    ledger: Arc<Ledger>,
    server_numbers: Arc<Numbers>,
    workers: usize,
    start: StartSteward,
}

impl Cluster {
    /// No pools yet; `start` is called for each lane that comes to be.
    pub fn new(workers: usize, start: StartSteward) -> Self {
        Self {
            pools: Mutex::default(),
            backoffs: Mutex::default(),
            ledger: Arc::default(),
            server_numbers: Arc::default(),
            workers: workers.max(1),
            start,
        }
    }

    /// The pool of an authenticated user; made if need be. `None`: no such database.
    pub fn pool(&self, config: &Config, database: &str, user: &str) -> Option<Arc<Pool>> {
        let entry = config.database(database)?;
        let settings = config.resolve(database, user)?;
        let mut pools = self.pools.lock();
        let name = (database.to_owned(), user.to_owned());
        if let Some(pool) = pools.get(&name) {
            return Some(pool.clone());
        }
        if pools.len() >= MANY_POOLS {
            pools.retain(|_, pool| !pool.is_unused());
        }
        let pool = Arc::new(self.make(config, entry, settings, &name, pools.len()));
        pools.insert(name, pool.clone());
        Some(pool)
    }

    /// Makes the pools that are known beforehand, those of databases with a forced user, so that `min_pool_size` holds
    /// before the first client comes.
    pub fn keep_ready(&self, config: &Config) {
        for (name, entry) in config.databases.iter().filter(|(name, _)| *name != "*") {
            if let Some(user) = &entry.user {
                self.pool(config, name, user);
            }
        }
    }

    /// Every pool there is.
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        self.pools.lock().values().cloned().collect()
    }

    fn make(
        &self,
        config: &Config,
        entry: &Database,
        settings: Resolved,
        (database, user): &(String, String),
        number: usize,
    ) -> Pool {
        let wanted = match settings.pool_size {
            0 => self.workers,
            size => size.div_ceil(SERVERS_PER_WORKER),
        };
        let count = wanted.min(self.workers);
        let homes: Vec<_> = (0..count).map(|step| self.worker(number + step)).collect();
        let view = view(entry);
        let primary = crate::router::decide(&view).host;
        let lane = |(index, host): (usize, &Host)| {
            let home = homes.first().copied().unwrap_or(WorkerId(0));
            let spec = LaneSpec {
                login: login(config, entry, host, database, user),
                limits: limits(&config.pooler, &settings, index == primary),
                quota: Quota {
                    database: database.clone(),
                    database_limit: settings.max_db_connections,
                    user: entry.user.clone().unwrap_or_else(|| user.clone()),
                    user_limit: settings.max_user_connections,
                },
                connect_timeout: config.pooler.server_connect_timeout,
                always_live: entry.user.is_some(),
            };
            self.lane(spec, home, config.pooler.server_login_retry)
        };
        let lanes = entry.hosts.iter().enumerate().map(lane).collect();
        Pool {
            database: database.clone(),
            user: user.clone(),
            lanes,
            view,
            settings,
            homes,
            next_home: AtomicUsize::new(0),
        }
    }

    fn lane(&self, spec: LaneSpec, home: WorkerId, retry: std::time::Duration) -> Arc<Lane> {
        let backoff = self
            .backoffs
            .lock()
            .entry(spec.login.address.clone())
            .or_insert_with(|| Arc::new(Backoff::new(retry)))
            .clone();
        let (steward, chores) = Steward::new(home, self.server_numbers.clone());
        let lane = Lane::new(spec, self.workers, self.ledger.clone(), chores, backoff);
        (self.start)(steward, Arc::downgrade(&lane));
        lane
    }

    fn worker(&self, number: usize) -> WorkerId {
        WorkerId(u16::try_from(number % self.workers).expect("invariant: there are at most 64 workers"))
    }
}

fn view(entry: &Database) -> ClusterView {
    let claimed = entry.hosts.iter().any(|host| host.role == HostRole::Primary);
    let primary = |host: &Host| host.role == HostRole::Primary || (!claimed && host.role == HostRole::Auto);
    ClusterView { hosts: entry.hosts.iter().map(|host| HostView { primary: primary(host) }).collect() }
}

fn limits(pooler: &Pooler, settings: &Resolved, primary: bool) -> Limits {
    Limits {
        size: settings.pool_size,
        min: if primary { settings.min_pool_size } else { 0 },
        reserve: settings.reserve_pool_size,
        reserve_timeout: settings.reserve_pool_timeout,
        lifetime: settings.server_lifetime,
        idle_timeout: pooler.server_idle_timeout,
        round_robin: pooler.server_round_robin,
    }
}

fn login(config: &Config, entry: &Database, host: &Host, database: &str, user: &str) -> LoginSpec {
    let role = entry.user.as_deref().unwrap_or(user);
    let own = if entry.user.is_some() { entry.password.as_ref() } else { None };
    let listed = || config.users.get(role).and_then(|user| user.password.as_ref());
    let text = own.or_else(listed).or_else(|| config.pooler.auth_users.get(role));
    let parameters = [
        ("client_encoding", &entry.client_encoding),
        ("datestyle", &entry.datestyle),
        ("timezone", &entry.timezone),
        ("application_name", &entry.application_name),
    ];
    LoginSpec {
        address: Address::new(&host.host, host.port),
        options: server_tcp_options(&config.pooler),
        user: role.to_owned(),
        database: entry.dbname.clone().unwrap_or_else(|| database.to_owned()),
        secret: text.and_then(|text| Stored::parse(text.expose()).ok()),
        parameters: parameters
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .collect(),
        connect_query: entry.connect_query.clone(),
        generation: 0,
    }
}

/// As [`tcp_options`], towards servers: where nothing is configured, a host that died without a word is found within 5
/// seconds. Silence is asked about after 2, then each second; sent data must be acknowledged in 5.
pub fn server_tcp_options(pooler: &Pooler) -> TcpOptions {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let given = tcp_options(pooler);
    TcpOptions {
        keepalive: given.keepalive,
        keepidle: given.keepidle.or(seconds(2)),
        keepintvl: given.keepintvl.or(seconds(1)),
        keepcnt: given.keepcnt.or(Some(3)),
        user_timeout: given.user_timeout.or(seconds(5)),
    }
}

/// Keepalive and dead-peer detection as configured.
pub fn tcp_options(pooler: &Pooler) -> TcpOptions {
    TcpOptions {
        keepalive: pooler.tcp_keepalive,
        keepidle: pooler.tcp_keepidle,
        keepintvl: pooler.tcp_keepintvl,
        keepcnt: pooler.tcp_keepcnt,
        user_timeout: pooler.tcp_user_timeout,
    }
}

#[cfg(test)]
mod tests;
