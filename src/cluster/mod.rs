//! The hosts of each database, and the pools on them, made here and changed in `reload`, `pause` and `names`. Where there are
//! several hosts, a `Watch` for each entry of the configuration says which one is the primary; `monitor` asks them.

use crate::auth::BorrowedKeys;
use crate::config::{Config, Database, Host, HostRole, Pooler, Resolved, Routing};
use crate::ids::{Numbers, WorkerId};
use crate::net::{Address, SharedTls, TcpOptions};
use crate::pool::core::Limits;
use crate::pool::{Backoff, Lane, LaneSpec, Ledger, Quota, Steward};
use crate::router::{ClusterView, Freshness, Role};
use crate::server::{Keyring, LoginSpec};
use crate::sql::StatementCache;
use parking_lot::Mutex;
use pause::Paused;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

mod catalog;
mod hub;
mod judge;
mod logins;
mod monitor;
mod names;
mod pause;
mod pool;
mod reload;
mod watch;

pub use catalog::{
    Catalog, Change, Claims, Loading, MARK as CATALOG_MARK, Prospect, Volatility, Writers, read_catalog,
    read_volatility,
};
pub use hub::{Channel, Hub, Listener};
pub use logins::logins_to_ask;
pub use pause::{NotPaused, NotResumed};
pub use pool::{Pool, Shape, Target};
pub use watch::{HostSeen, Waits, Watch};

/// Clients' names of databases and users open pools through `*`; above this many, those nobody uses are dropped.
const MANY_POOLS: usize = 1000;

/// Clients of one (database, user) for each home worker: a pool smaller than this stays on one worker.
const SERVERS_PER_WORKER: usize = 10;

/// Starts a lane's steward on its home worker.
pub type StartSteward = Box<dyn Fn(Steward, Weak<Lane>) + Send + Sync>;

/// Has every client's task look whether the server that it has may still be believed.
pub type WakeClients = Box<dyn Fn() + Send + Sync>;

/// All pools of the process.
pub struct Cluster {
    books: Mutex<Books>,
    backoffs: Mutex<HashMap<Address, Arc<Backoff>>>,
    ledger: Arc<Ledger>,
    keyring: Arc<Keyring>,
    statements: Arc<StatementCache>,
    server_numbers: Arc<Numbers>,
    // Of prepared statements, on whatever server.
    statement_numbers: Arc<Numbers>,
    workers: usize,
    tls: SharedTls,
    start: StartSteward,
    wake_clients: WakeClients,
    // There are other watches than before.
    watches_changed: Notify,
}

/// What changes together: a pool is made under the configuration in force, and a reload misses none.
struct Books {
    config: Arc<Config>,
    // Counts what makes servers outdated: reloads and RECONNECT. From 1.
    generation: u64,
    pools: HashMap<(String, String), Arc<Pool>>,
    // By database; kept by its pools.
    catalogs: HashMap<String, Weak<Catalog>>,
    // By entry of the configuration, for those with several hosts.
    watches: HashMap<String, Arc<Watch>>,
    // Of all their questions: fences outlive the watch that they were taken from.
    numbers: Freshness,
    paused: Paused,
}

impl Cluster {
    /// No pools yet; `start` is called for each lane that comes to be, `wake_clients` when servers may not be believed any more.
    pub fn new(config: Arc<Config>, tls: SharedTls, start: StartSteward, wake_clients: WakeClients) -> Self {
        let statements = Arc::new(StatementCache::new(config.pooler.statement_cache_size));
        let numbers = Freshness::new(0);
        Self {
            workers: config.pooler.workers.max(1),
            books: Mutex::new(Books {
                watches: watches(&config, &HashMap::new(), &numbers),
                numbers,
                config,
                generation: 1,
                pools: HashMap::new(),
                catalogs: HashMap::new(),
                paused: Paused::default(),
            }),
            backoffs: Mutex::default(),
            ledger: Arc::default(),
            keyring: Arc::default(),
            statements,
            server_numbers: Arc::default(),
            statement_numbers: Arc::default(),
            tls,
            start,
            wake_clients,
            watches_changed: Notify::new(),
        }
    }

    /// The pool for an authenticated user; made if need be. A database with a forced user has one pool for everybody.
    /// `None`: no such database.
    pub fn pool(&self, database: &str, user: &str) -> Option<Arc<Pool>> {
        let books = &mut *self.books.lock();
        let forced = books.config.database(database)?.user.as_deref();
        let name = (database.to_owned(), forced.unwrap_or(user).to_owned());
        if let Some(pool) = books.pools.get(&name) {
            return Some(pool.clone());
        }
        if books.pools.len() >= MANY_POOLS {
            books.pools.retain(|_, pool| Arc::strong_count(pool) > 1 || !pool.is_unused());
        }
        let settings = books.config.resolve(database, &name.1)?;
        let numbers = (self.server_numbers.clone(), self.statement_numbers.clone());
        let home = self.home(books.pools.len());
        let catalog = self.catalog(&mut books.catalogs, &books.config.routing, database);
        let pool = Pool::new((database, &name.1), forced.is_some(), home, settings, numbers, catalog);
        pool.set_shape(self.shape(books, &pool, &[])?);
        let pool = Arc::new(pool);
        if let Some(watch) = &pool.shape().watch
            && books.config.database(database).is_some_and(logins::clients_may_ask)
        {
            // Its login may do where no other did.
            watch.see_again();
            watch.ask_now();
        }
        books.pools.insert(name, pool.clone());
        Some(pool)
    }

    /// Makes the pools that are known beforehand, those of databases with a forced user, so that `min_pool_size` holds
    /// before the first client comes.
    pub fn keep_ready(&self) {
        let config = self.books.lock().config.clone();
        for (name, entry) in config.databases.iter().filter(|(name, _)| *name != "*") {
            if let Some(user) = &entry.user {
                self.pool(name, user);
            }
        }
    }

    /// Keys for logins to servers.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// A client's login has shown the keys of `user`. New ones are tried at once: they may be what the last login lacked.
    pub fn learn(&self, user: &str, keys: BorrowedKeys) {
        if self.keyring.learn(user, keys) {
            let pools = self.pools().into_iter().filter(|pool| pool.user == user);
            pools.for_each(|pool| {
                let shape = pool.shape();
                shape.lanes.iter().for_each(|lane| lane.try_again());
                shape.watch.iter().for_each(|watch| watch.ask_now());
            });
        }
    }

    /// Every pool there is.
    pub fn pools(&self) -> Vec<Arc<Pool>> {
        self.books.lock().pools.values().cloned().collect()
    }

    fn lanes(&self) -> Vec<Arc<Lane>> {
        self.pools().iter().flat_map(|pool| pool.shape().lanes.clone()).collect()
    }

    /// A worker's runtime has ended: the idle servers that are registered with it are closed.
    pub fn close_idle_of(&self, worker: WorkerId) {
        self.lanes().iter().for_each(|lane| lane.close_idle_of(worker));
    }

    /// The hosts that `config` names, by database and in its order, with what was counted for each. The flag is on the one
    /// that requests go to.
    pub fn hosts(&self, config: &Config) -> Vec<(String, Address, Arc<Backoff>, bool)> {
        let mut hosts = Vec::new();
        let watches = self.watches();
        for (name, entry) in &config.databases {
            let watch = watches.iter().find(|watch| watch.entry == *name);
            let chosen = watch.map_or_else(|| claimed(entry).primary, |watch| watch.primary());
            for (index, host) in entry.hosts.iter().enumerate() {
                let address = Address::new(&host.host, host.port);
                let backoff = self.backoff(&address, config.pooler.server_login_retry);
                hosts.push((name.clone(), address, backoff, chosen == Some(index)));
            }
        }
        hosts
    }

    /// What is found out about the hosts of those entries that have several.
    pub fn watches(&self) -> Vec<Arc<Watch>> {
        let mut watches: Vec<_> = self.books.lock().watches.values().cloned().collect();
        watches.sort_by(|one, other| one.entry.cmp(&other.entry));
        watches
    }

    /// What the configuration in force makes of a pool. Lanes that can go on are taken from `before`, as they are. `None`:
    /// the database is not there any more, or who is in the pool is not to be served as its role any more.
    fn shape(&self, books: &Books, pool: &Pool, before: &[Arc<Lane>]) -> Option<Shape> {
        let config = &books.config;
        let entry = config.database(&pool.database)?;
        if pool.forced != entry.user.is_some() || entry.user.as_ref().is_some_and(|role| *role != pool.user) {
            return None;
        }
        let settings = config.resolve(&pool.database, &pool.user)?;
        let specs = self.specs(books, pool, entry, &settings);
        let lane = |spec: LaneSpec| match before.iter().find(|lane| lane.can_become(&spec)) {
            Some(lane) => lane.clone(),
            None => self.lane(spec, pool, books),
        };
        let wanted = match settings.pool_size {
            0 => self.workers,
            size => size.div_ceil(SERVERS_PER_WORKER),
        };
        let homes = (0..wanted.min(self.workers)).map(|step| self.home(usize::from(pool.home().0) + step)).collect();
        let watch = books.watches.get(entry_name(config, &pool.database)).cloned();
        Some(Shape { lanes: specs.into_iter().map(lane).collect(), watch, settings, homes })
    }

    /// For each host of a pool, what its lane is to be.
    fn specs(&self, books: &Books, pool: &Pool, entry: &Database, settings: &Resolved) -> Vec<LaneSpec> {
        let config = &books.config;
        let watch = books.watches.get(entry_name(config, &pool.database));
        let primary = watch.map_or(Some(0), |watch| watch.primary());
        let found = |index: usize| watch.and_then(|watch| watch.hosts().get(index)).map(|host| host.found.clone());
        let spec = |(index, host): (usize, &Host)| LaneSpec {
            login: LoginSpec {
                generation: books.generation,
                found: found(index).unwrap_or_default(),
                ..self.login(config, entry, host, pool)
            },
            limits: limits(&config.pooler, settings, primary == Some(index)),
            quota: Quota {
                database: pool.database.clone(),
                database_limit: settings.max_db_connections,
                user: pool.user.clone(),
                user_limit: settings.max_user_connections,
            },
            connect_timeout: config.pooler.server_connect_timeout,
            always_live: pool.forced,
        };
        entry.hosts.iter().enumerate().map(spec).collect()
    }

    fn lane(&self, spec: LaneSpec, pool: &Pool, books: &Books) -> Arc<Lane> {
        let backoff = self.backoff(&spec.login.address, books.config.pooler.server_login_retry);
        let (steward, chores) = Steward::new(pool.home(), self.server_numbers.clone());
        let lane = Lane::new(spec, self.workers, self.ledger.clone(), chores, backoff, pool.client_count());
        if books.paused.holds(&pool.database) {
            lane.pause();
        }
        (self.start)(steward, Arc::downgrade(&lane));
        lane
    }

    fn backoff(&self, address: &Address, retry: Duration) -> Arc<Backoff> {
        let mut backoffs = self.backoffs.lock();
        backoffs.entry(address.clone()).or_insert_with(|| Arc::new(Backoff::new(retry))).clone()
    }

    /// One for all pools of a database.
    fn catalog(
        &self,
        catalogs: &mut HashMap<String, Weak<Catalog>>,
        routing: &Routing,
        database: &str,
    ) -> Arc<Catalog> {
        if let Some(catalog) = catalogs.get(database).and_then(Weak::upgrade) {
            return catalog;
        }
        catalogs.retain(|_, catalog| catalog.strong_count() > 0);
        let catalog = Catalog::new(self.statements.clone());
        catalog.claim(Arc::new(Claims::new(routing)));
        catalogs.insert(database.to_owned(), Arc::downgrade(&catalog));
        catalog
    }

    fn home(&self, number: usize) -> WorkerId {
        WorkerId(u16::try_from(number % self.workers).expect("invariant: there are at most 64 workers"))
    }
}

/// The entry that serves this database.
fn entry_name<'a>(config: &Config, database: &'a str) -> &'a str {
    if config.databases.contains_key(database) { database } else { "*" }
}

/// One for each entry with several hosts; those that are there already are kept where the hosts are the same.
fn watches(config: &Config, before: &HashMap<String, Arc<Watch>>, numbers: &Freshness) -> HashMap<String, Arc<Watch>> {
    let several = config.databases.iter().filter(|(_, entry)| entry.hosts.len() > 1);
    let watch = |(name, entry): (&String, &Database)| {
        let watch = match before.get(name) {
            Some(watch) if watch.is_of(entry) => {
                watch.set_rules(&config.routing);
                watch.clone()
            }
            Some(watch) => Arc::new(watch.renewed(entry, &config.routing)),
            None => Arc::new(Watch::new(name, entry, &config.routing, numbers)),
        };
        (name.clone(), watch)
    };
    several.map(watch).collect()
}

/// What the configuration claims.
fn claimed(entry: &Database) -> ClusterView {
    let claimed = entry.hosts.iter().any(|host| host.role == HostRole::Primary);
    let role = |host: &Host| match host.role {
        HostRole::Primary => Role::Primary,
        HostRole::Auto if !claimed => Role::Primary,
        HostRole::Auto | HostRole::Replica => Role::Standby,
    };
    ClusterView::fixed(entry.hosts.iter().map(|host| (role(host), host.weight)))
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
