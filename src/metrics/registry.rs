//! Every shard by database and worker, and their sums.

use super::applications::{self, ApplicationRow, Roll};
use super::errors::Errors;
use super::long::Long;
use super::process::Process;
use super::shard::{Counts, LoginResult, Prepared, Shard};
use super::slow::SlowLog;
use super::statements::{Book, Exported, Limits, Seen, Series, Shelf, see};
use super::windows::Windows;
use crate::clock::Instant;
use crate::ids::WorkerId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Databases that the configuration does not name (`*` serves any name) and that are counted by their own name. Further
/// ones are counted together: a counter never changes its label.
const UNNAMED_MAX: usize = 100;

/// The name they are counted under.
pub const OTHER: &str = "other";

/// What is counted for each database, and for the process.
pub struct Registry {
    /// What concerns the process as a whole.
    pub process: Process,
    /// Single statements that took long.
    pub long: Arc<Long>,
    /// What was counted lately. Whoever keeps them ticks once a second; see [`Windows`].
    pub windows: Windows,
    workers: usize,
    databases: Mutex<Databases>,
    // Of each worker's statements.
    shelves: Vec<Arc<Shelf>>,
    limits: Arc<Limits>,
    exported: Exported,
    slow: Arc<SlowLog>,
    errors: Arc<Errors>,
    // Of each worker's applications.
    rolls: Vec<Arc<Roll>>,
    exported_applications: applications::Exported,
    // And of its users.
    users: Vec<Arc<Roll>>,
    exported_users: applications::Exported,
}

#[derive(Default)]
struct Databases {
    shards: BTreeMap<Arc<str>, Vec<Arc<Shard>>>,
    unnamed: usize,
}

/// A database's totals since the start of the process, as `SHOW STATS` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// A client got a server.
    pub server_assignment_count: u64,
    /// Transactions.
    pub xact_count: u64,
    /// Queries, function calls and executions.
    pub query_count: u64,
    /// From clients.
    pub bytes_received: u64,
    /// To clients, of what servers said.
    pub bytes_sent: u64,
    /// With a server, in a transaction.
    pub xact_time_us: u64,
    /// With a server, while it owed an answer.
    pub query_time_us: u64,
    /// Waiting for a server.
    pub wait_time_us: u64,
    /// Parse messages of clients for statements that have a name and are carried from server to server, as with PgBouncer; so are the next
    /// two.
    pub client_parse_count: u64,
    /// Parse messages that servers got for them: clients' own, and those of PgOtter's where a server lacked a statement.
    pub server_parse_count: u64,
    /// Bind messages of clients.
    pub bind_count: u64,
    /// Logins that succeeded.
    pub client_login_count: u64,
}

impl Registry {
    /// Nothing counted yet; `workers` threads will count, and the front. `now` is when the process starts.
    pub fn new(workers: usize, now: Instant) -> Self {
        let databases = Databases { shards: BTreeMap::from([(OTHER.into(), shards(workers))]), unnamed: 0 };
        Self {
            process: Process::new(workers, now),
            long: Arc::default(),
            windows: Windows::new(now),
            workers,
            databases: Mutex::new(databases),
            shelves: (0..workers).map(|_| Arc::default()).collect(),
            limits: Arc::default(),
            exported: Exported::default(),
            slow: Arc::default(),
            errors: Arc::new(Errors::new(workers)),
            rolls: (0..workers).map(|_| Arc::default()).collect(),
            exported_applications: applications::Exported::default(),
            users: (0..workers).map(|_| Arc::default()).collect(),
            exported_users: applications::Exported::default(),
        }
    }

    /// The configuration names this database: it is counted by its name, however many others there are.
    pub fn expect(&self, database: &str) {
        let workers = self.workers;
        self.databases.lock().shards.entry(database.into()).or_insert_with(|| shards(workers));
    }

    /// This database is known to exist: it is counted by its name, if there are not too many.
    pub(super) fn name(&self, database: &str) {
        let mut databases = self.databases.lock();
        if !databases.shards.contains_key(database) && databases.unnamed < UNNAMED_MAX {
            databases.unnamed += 1;
            databases.shards.insert(database.into(), shards(self.workers));
        }
    }

    /// Where this thread counts for a database, and under which name.
    pub(super) fn shard(&self, writer: usize, database: &str) -> (Arc<str>, Arc<Shard>) {
        self.databases.lock().shard(writer, database)
    }

    /// Where this worker counts for statements.
    pub(super) fn book(&self, worker: WorkerId) -> Book {
        let shelf = self.shelves.get(usize::from(worker.0)).cloned();
        let shelf = shelf.expect("invariant: there is a shelf for every worker");
        Book::new(shelf, self.limits.clone(), self.workers)
    }

    /// For how many fingerprints each worker counts, and how many bytes of memory all of them take for it. What there is beyond that
    /// is folded into `other` when the next one comes.
    pub fn limit_statements(&self, fingerprints: usize, bytes: usize) {
        self.limits.fingerprints.store(fingerprints, Ordering::Relaxed);
        self.limits.bytes.store(bytes, Ordering::Relaxed);
    }

    /// What has been counted for each statement of each database. The workers go on counting meanwhile.
    pub fn statements(&self) -> Vec<Seen> {
        see(&self.shelves, None, &|_, _| false)
    }

    /// The same of clients whose application fits this pattern; see [`Meter::called_in`](super::Meter::called_in).
    pub fn statements_in(&self, circle: &str) -> Vec<Seen> {
        see(&self.shelves, Some(circle), &|_, _| false)
    }

    /// The same, with at most so many fingerprints by name; see [`Series`]. Numbers never go down from one call to the next.
    pub fn exported_statements(&self, max: usize) -> Vec<Series> {
        self.exported.series(max, &|keep| see(&self.shelves, None, keep))
    }

    /// Those that took long.
    pub fn slow(&self) -> &Arc<SlowLog> {
        &self.slow
    }

    /// What clients were told.
    pub fn errors(&self) -> &Arc<Errors> {
        &self.errors
    }

    /// What has been counted for each application of each database, those first that servers were busy with for longest.
    pub fn applications(&self) -> Vec<ApplicationRow> {
        applications::applications(&self.rolls)
    }

    /// The same, the fifty busiest by name. Numbers never go down from one call to the next.
    pub fn exported_applications(&self) -> Vec<ApplicationRow> {
        self.exported_applications.rows(&self.rolls)
    }

    /// How long transactions have waited for each user of each database, those first that have kept them open for longest.
    pub fn users(&self) -> Vec<ApplicationRow> {
        applications::applications(&self.users)
    }

    /// The same, fifty by name. Numbers never go down from one call to the next.
    pub fn exported_users(&self) -> Vec<ApplicationRow> {
        self.exported_users.rows(&self.users)
    }

    /// Where this worker counts for applications, and for users.
    pub(super) fn rolls(&self, worker: WorkerId) -> (Arc<Roll>, Arc<Roll>) {
        let of = |rolls: &[Arc<Roll>]| rolls.get(usize::from(worker.0)).cloned();
        let both = of(&self.rolls).zip(of(&self.users));
        both.expect("invariant: there are rolls for every worker")
    }

    /// A login has ended on the front thread. The database is what the client says.
    pub fn front_login(&self, database: &str, result: LoginResult) {
        self.shard(self.workers, database).1.login(result);
    }

    /// The name that this database is counted under.
    pub fn label<'a>(&self, database: &'a str) -> &'a str {
        if self.databases.lock().shards.contains_key(database) { database } else { OTHER }
    }

    /// What has been counted for each database, by name. The workers go on counting meanwhile.
    pub fn counts(&self) -> Vec<(String, Counts)> {
        let shards = self.databases.lock().shards.clone();
        let sum = |shards: Vec<Arc<Shard>>| {
            let mut counts = Counts::default();
            shards.iter().for_each(|shard| counts.add(shard));
            counts
        };
        shards.into_iter().map(|(name, shards)| (name.to_string(), sum(shards))).collect()
    }

    /// Totals of every database that is known, by name; [`OTHER`] only once something was counted there.
    pub fn databases(&self) -> Vec<(String, Totals)> {
        let counts = self.counts().into_iter();
        let used = counts.filter(|(name, counts)| name != OTHER || *counts != Counts::default());
        used.map(|(name, counts)| (name, Totals::from(&counts))).collect()
    }
}

impl Databases {
    fn shard(&self, writer: usize, database: &str) -> (Arc<str>, Arc<Shard>) {
        let found = self.shards.get_key_value(database).or_else(|| self.shards.get_key_value(OTHER));
        let shard = found.and_then(|(label, shards)| Some((label.clone(), shards.get(writer)?.clone())));
        shard.expect("invariant: there are shards for every worker and the front")
    }
}

impl From<&Counts> for Totals {
    fn from(counts: &Counts) -> Self {
        let (waits, transactions) = (counts.waits.sum(), counts.transactions.sum());
        let prepared = |result| counts.prepared[result as usize];
        Self {
            server_assignment_count: waits.count(),
            xact_count: counts.transaction_count,
            query_count: counts.query_count,
            bytes_received: counts.bytes_received,
            bytes_sent: counts.bytes_sent,
            xact_time_us: transactions.sum_us,
            query_time_us: counts.served_us,
            wait_time_us: waits.sum_us,
            client_parse_count: counts.named_parses,
            server_parse_count: prepared(Prepared::Miss) + prepared(Prepared::Evicted),
            bind_count: counts.named_binds,
            client_login_count: counts.logins[LoginResult::Ok as usize],
        }
    }
}

/// One for each worker, and the front's behind them.
fn shards(workers: usize) -> Vec<Arc<Shard>> {
    (0..=workers).map(|_| Arc::default()).collect()
}
