//! The ends that a worker counts with. They stay on its thread, so that each cell has one writer.

use super::applications::{Application, Roll};
use super::errors::{ErrorBook, ToldError};
use super::ladder::micros;
use super::long::Long;
use super::registry::Registry;
use super::shard::{Answered, CheckoutFailure, LoginResult, Prepared, Retry, Shard};
use super::slow::SlowLog;
use super::statements::{Book, Call, Description, Name, Place, Stat};
use crate::ids::WorkerId;
use foldhash::HashMap;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

/// What one worker counts with, for all databases.
pub struct Meters(Rc<Worker>);

struct Worker {
    registry: Arc<Registry>,
    worker: WorkerId,
    book: Rc<Book>,
    errors: Rc<ErrorBook>,
    roll: Arc<Roll>,
    users: Arc<Roll>,
    databases: RefCell<HashMap<Arc<str>, Meter>>,
}

/// Counts for one database, for one worker. Not Send: two threads that count in one cell would lose counts.
#[derive(Clone)]
pub struct Meter(Rc<Counting>);

struct Counting {
    shard: Arc<Shard>,
    book: Rc<Book>,
    place: Place,
    circles: RefCell<HashMap<Arc<str>, Place>>,
    long: Arc<Long>,
    worker: Weak<Worker>,
    slow: Arc<SlowLog>,
    errors: Rc<ErrorBook>,
    roll: Arc<Roll>,
    users: Arc<Roll>,
}

impl Meters {
    /// Only for this worker's thread, and only once.
    pub fn new(registry: &Arc<Registry>, worker: WorkerId) -> Self {
        let book = Rc::new(registry.book(worker));
        let errors = Rc::new(registry.errors().book(worker));
        let (roll, users) = registry.rolls(worker);
        let registry = registry.clone();
        Self(Rc::new(Worker { registry, worker, book, errors, roll, users, databases: RefCell::default() }))
    }

    /// For clients of a database that is known to exist.
    pub fn meter(&self, database: &str) -> Meter {
        self.0.meter(database)
    }

    /// For clients of a database that may not exist: whatever they say gets no name of its own.
    pub fn known_meter(&self, database: &str) -> Meter {
        self.0.known_meter(database)
    }
}

impl Worker {
    fn meter(self: &Rc<Self>, database: &str) -> Meter {
        self.registry.name(database);
        self.known_meter(database)
    }

    fn known_meter(self: &Rc<Self>, database: &str) -> Meter {
        let (label, shard) = self.registry.shard(usize::from(self.worker.0), database);
        let mut databases = self.databases.borrow_mut();
        let meter = databases.entry(label).or_insert_with_key(|label| {
            let (book, place) = (self.book.clone(), self.book.place(label.clone(), None));
            let circles = RefCell::default();
            let (long, slow) = (self.registry.long.clone(), self.registry.slow().clone());
            let (errors, roll, users) = (self.errors.clone(), self.roll.clone(), self.users.clone());
            let worker = Rc::downgrade(self);
            Meter(Rc::new(Counting { shard, book, place, circles, long, slow, errors, roll, users, worker }))
        });
        meter.clone()
    }
}

#[cfg(test)]
impl Meters {
    pub(super) fn book(&self) -> &Book {
        &self.0.book
    }
}

impl Meter {
    /// The one of another database that is known to exist.
    pub fn of(&self, database: &str) -> Self {
        // The worker goes when all of its clients have gone.
        self.0.worker.upgrade().map_or_else(|| self.clone(), |worker| worker.meter(database))
    }

    /// A login has ended.
    pub fn login(&self, result: LoginResult) {
        self.0.shard.login(result);
    }

    /// A client has got a server; 0 if it did not have to wait.
    pub fn assigned(&self, waited: Duration, on_replica: bool) {
        self.0.shard.waits.of(on_replica).observe(waited);
    }

    /// A client's request was refused because there is no server for it.
    pub fn not_assigned(&self, why: CheckoutFailure) {
        self.0.shard.checkout_failures[why as usize].add(1);
    }

    /// A client's request was sent once more in place of its error.
    pub fn retried(&self, why: Retry) {
        self.0.shard.retries[why as usize].add(1);
    }

    /// A client's message needs a named statement of its server.
    pub fn prepared(&self, prepared: Prepared) {
        self.0.shard.prepared[prepared as usize].add(1);
    }

    /// A client prepares a statement that has a name.
    pub fn parsed_named(&self) {
        self.0.shard.named_parses.add(1);
    }

    /// A client binds a statement that has a name.
    pub fn bound_named(&self) {
        self.0.shard.named_binds.add(1);
    }

    /// A client has kept its server for so long, for the reasons of these bits.
    pub fn pinned(&self, reasons: u8, took: Duration) {
        for (bit, total) in self.0.shard.pinned_us.iter().enumerate() {
            if reasons >> bit & 1 == 1 {
                total.add(micros(took));
            }
        }
    }

    /// The router has decided so for a transaction; kinds from [`ROUTES`] on are not counted.
    pub fn routed(&self, kind: usize) {
        if let Some(routed) = self.0.shard.routes.get(kind) {
            routed.decisions.add(1);
        }
    }

    /// A block that has read on replicas is begun on the primary, as this decision wants it.
    pub fn promoted(&self, kind: usize) {
        if let Some(routed) = self.0.shard.routes.get(kind) {
            routed.promotions.add(1);
        }
    }

    /// Bytes have come from a client.
    pub fn received(&self, bytes: usize) {
        self.0.shard.bytes_received.add(bytes as u64);
    }

    /// A server has said something that its client gets: bytes, and what they were the end of.
    pub fn heard(&self, bytes: usize, answered: Answered) {
        self.0.shard.bytes_sent.add(bytes as u64);
        if answered != Answered::default() {
            self.0.shard.query_count.add(answered.queries.into());
            self.0.shard.transaction_count.add(answered.transactions.into());
        }
    }

    /// What is counted for the application of this name: text of at most 63 bytes, empty where clients do not tell. Takes a lock.
    pub fn application(&self, name: &str) -> Arc<Application> {
        self.0.roll.application(&self.0.place.label, name)
    }

    /// What is counted for the user of this name. Takes a lock.
    pub fn user(&self, name: &str) -> Arc<Application> {
        self.0.users.application(&self.0.place.label, name)
    }

    /// Everything asked for has been answered, or never will be: `queries` of them, with which a server was busy for so long, where a
    /// decision of kind `route` has sent them.
    pub fn answered(&self, application: &Application, route: usize, queries: u32, server: Duration) {
        let server_us = micros(server);
        if let Some(routed) = self.0.shard.routes.get(route) {
            routed.served_us.add(server_us);
        }
        application.answered(queries, server_us);
        if queries > 0 {
            self.0.shard.served_us.add(server_us);
        }
    }

    /// Several of them had one time in common, `total` from when they were received and `server` from when they were sent. `bytes` belong
    /// to them that no statement has taken.
    pub fn pipeline(&self, total: Duration, server: Duration, bytes: usize) {
        self.0.shard.pipelines.observe(total);
        self.0.book.pipeline(&self.0.place, total, server, bytes);
    }

    /// A transaction is over, or several in a pipeline: how long it had its server.
    pub fn transaction(&self, took: Duration, on_replica: bool) {
        self.0.shard.transactions.of(on_replica).observe(took);
    }

    /// A transaction is over that has waited for its client for so long, in all.
    pub fn idled(&self, (application, user): (&Application, &Application), idle: Duration, on_replica: bool) {
        self.0.shard.idle.of(on_replica).observe(idle);
        application.idled(micros(idle));
        user.idled(micros(idle));
    }

    /// What is counted for the statement of this name, which is described if it was not met before. A look into a table; no lock,
    /// unless it is new.
    pub fn statement(&self, name: Name, describe: impl FnOnce() -> Description) -> Arc<Stat> {
        self.0.book.stat(&self.0.place, name, describe)
    }

    /// A statement has been answered.
    pub fn called(&self, stat: &Stat, call: &Call) {
        if call.rows > 0 {
            let shard = &self.0.shard;
            let rows = if stat.changes() { &shard.rows_changed } else { &shard.rows_returned };
            rows.add(call.rows);
        }
        if let Some(took) = call.server.filter(|_| !call.goes_on)
            && let Some(servers) = self.0.shard.servers.of(stat.kind(), call.on_replica)
        {
            servers.observe(took);
        }
        self.0.book.count(stat, call);
    }

    /// It was of a client whose application fits this pattern, for which it is counted once more: see [`Self::keep_circles`].
    pub fn called_in(&self, circle: &Arc<str>, stat: &Stat, call: &Call) {
        let mut circles = self.0.circles.borrow_mut();
        if !circles.contains_key(circle) {
            let place = self.0.book.place(self.0.place.label.clone(), Some(circle.clone()));
            circles.insert(circle.clone(), place);
        }
        let Some(place) = circles.get(circle) else { return };
        let stat = self.0.book.stat(place, stat.name(), || stat.description().clone());
        self.0.book.count(&stat, call);
    }

    /// Nobody wants to hear of applications of other patterns than these: what their worker has counted for them is forgotten.
    pub fn keep_circles(&self, kept: &[Arc<str>]) {
        if let Some(worker) = self.0.worker.upgrade()
            && self.0.book.keep_circles(kept)
        {
            let meters = worker.databases.borrow();
            meters.values().for_each(|meter| meter.0.circles.borrow_mut().retain(|circle, _| kept.contains(circle)));
        }
    }

    /// A client was told an error. Takes a lock where it is of a new kind.
    pub fn erred(&self, application: &Application, error: &ToldError<'_>) {
        application.erred();
        self.0.errors.note(&self.0.place.label, error);
    }

    /// Where what took long goes, and the name under which the database is counted.
    pub fn slow(&self) -> (&SlowLog, &Arc<str>) {
        (&self.0.slow, &self.0.place.label)
    }

    /// Its client has all of the answer, so long after the statement had arrived. True: somebody wants to hear of it by itself.
    pub fn delivered(&self, stat: &Stat, total: Duration, on_replica: bool) -> bool {
        if let Some(queries) = self.0.shard.queries.of(stat.kind(), on_replica) {
            queries.observe(total);
        }
        self.0.book.observe_total(stat, total);
        self.0.long.is_long(total)
    }

    /// One of those, of a client that calls itself so.
    pub fn took_long(&self, stat: &Stat, total: Duration, application: &str) {
        self.0.long.note(stat, total, application);
    }
}
