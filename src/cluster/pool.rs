//! The servers of one (database, user), and what the configuration in force makes of them.

use super::catalog::Catalog;
use super::hub::Hubs;
use super::watch::Watch;
use crate::config::Resolved;
use crate::ids::{Numbers, ServerId, WorkerId};
use crate::pool::Lane;
use crate::router::To;
use crate::session::{Applications, StatementTable};
use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of statements that all clients of a pool may have prepared together.
const STATEMENTS: usize = 512 * 1024 * 1024;

/// The servers of one (database, user). Lives until nobody uses it, through every reload.
pub struct Pool {
    /// As clients name it.
    pub database: String,
    /// As servers log in: the database's forced user, or what all of the pool's clients have logged in as.
    pub user: String,
    /// The former.
    pub forced: bool,
    shape: ArcSwap<Shape>,
    clients: Arc<AtomicUsize>,
    statements: Mutex<StatementTable>,
    catalog: Arc<Catalog>,
    /// The applications that call currval or lastval, as far as that has been seen.
    pub asks_for_sequences: Applications,
    /// Those that have called them in vain behind the transaction in which they had drawn.
    pub keeps_for_sequences: Applications,
    home: WorkerId,
    next_home: AtomicUsize,
    pub(super) hubs: Hubs,
}

/// What the configuration in force makes of a pool, replaced as a whole by a reload. A client keeps one for the time of a
/// transaction.
pub struct Shape {
    /// One for each host, in the configuration's order. None: the database has been removed.
    pub lanes: Vec<Arc<Lane>>,
    /// What is found out about the hosts. None: there is only one.
    pub watch: Option<Arc<Watch>>,
    /// What the configuration says for this pool.
    pub settings: Resolved,
    pub(super) homes: Vec<WorkerId>,
}

impl Pool {
    /// Without lanes until it gets its shape.
    pub(super) fn new(
        (database, user): (&str, &str),
        forced: bool,
        home: WorkerId,
        settings: Resolved,
        (numbers, statement_numbers): (Arc<Numbers>, Arc<Numbers>),
        catalog: Arc<Catalog>,
    ) -> Self {
        Self {
            database: database.to_owned(),
            user: user.to_owned(),
            forced,
            shape: ArcSwap::from_pointee(Shape::removed(settings)),
            clients: Arc::default(),
            statements: Mutex::new(StatementTable::new(STATEMENTS, statement_numbers)),
            catalog,
            asks_for_sequences: Applications::default(),
            keeps_for_sequences: Applications::default(),
            home,
            next_home: AtomicUsize::new(0),
            hubs: Hubs::new(numbers),
        }
    }

    /// What its clients have prepared. Never held over an await, nor with another lock.
    pub fn statements(&self) -> MutexGuard<'_, StatementTable> {
        self.statements.lock()
    }

    /// What its database's functions do.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// What the configuration in force makes of it.
    pub fn shape(&self) -> Arc<Shape> {
        self.shape.load_full()
    }

    pub(super) fn set_shape(&self, shape: Shape) {
        self.shape.store(Arc::new(shape));
    }

    /// For a connection beside its servers.
    pub fn fresh_server_id(&self) -> ServerId {
        ServerId(self.hubs.numbers.next())
    }

    /// The worker for the next client.
    pub fn next_home(&self) -> WorkerId {
        let turn = self.next_home.fetch_add(1, Ordering::Relaxed);
        let shape = self.shape.load();
        shape.homes.get(turn % shape.homes.len().max(1)).copied().unwrap_or(self.home)
    }

    /// A client has come; the pool is kept warm while there is one.
    pub fn client_came(&self) {
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    /// A client has left.
    pub fn client_left(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// The first of its home workers, and that of its stewards.
    pub(super) fn home(&self) -> WorkerId {
        self.home
    }

    /// Its clients.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    pub(super) fn client_count(&self) -> Arc<AtomicUsize> {
        self.clients.clone()
    }

    pub(super) fn is_unused(&self) -> bool {
        self.shape.load().lanes.iter().all(|lane| !lane.is_live() && lane.is_empty())
    }
}

/// Where a request goes.
pub enum Target<'a> {
    /// To a server of this lane.
    Lane(&'a Arc<Lane>),
    /// Nowhere, until a primary is confirmed.
    NoPrimary(&'a Arc<Watch>),
    /// Nowhere: the database has been removed.
    Removed,
}

impl Shape {
    /// Of a pool whose database is not there any more, or has another forced user.
    pub(super) fn removed(settings: Resolved) -> Self {
        Self { lanes: Vec::new(), watch: None, settings, homes: Vec::new() }
    }

    /// Where a request goes. With one host this costs nothing, with several one load.
    pub fn target(&self, to: To) -> Target<'_> {
        let host = match (to, &self.watch) {
            (To::Replica(replica), _) => replica.host(),
            (To::Primary, None) => 0,
            (To::Primary, Some(watch)) => match watch.primary() {
                Some(primary) => primary,
                None => return Target::NoPrimary(watch),
            },
        };
        self.lanes.get(host).map_or(Target::Removed, Target::Lane)
    }

    /// The lane of the primary, if one is confirmed.
    pub fn lane(&self) -> Option<&Arc<Lane>> {
        match self.target(To::Primary) {
            Target::Lane(lane) => Some(lane),
            Target::NoPrimary(_) | Target::Removed => None,
        }
    }

    /// The same, or that of the last one; for what writes nothing.
    pub fn lane_or_last(&self) -> Option<&Arc<Lane>> {
        let last = || self.watch.as_ref().and_then(|watch| self.lanes.get(watch.last_primary()?));
        self.lane().or_else(last).or(self.lanes.first())
    }

    /// Whether `lane` is still the one: its host may have lost its office, or its trust, while its server was waited for.
    pub fn leads_to(&self, to: To, lane: &Arc<Lane>) -> bool {
        let Some(watch) = &self.watch else { return true };
        match to {
            To::Primary => self.lane().is_some_and(|own| Arc::ptr_eq(own, lane)),
            To::Replica(replica) => watch.freshness.covers(replica.host()) > 0,
        }
    }
}
