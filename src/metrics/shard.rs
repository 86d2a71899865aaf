//! What one worker has counted for one database, and the end that it counts with.

use super::counter::{Counter, SharedHistogram};
use super::ladder::{Histogram, micros};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// How a login ended. The order is that of [`LoginResult::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginResult {
    /// Let in.
    Ok,
    /// Wrong name, database or proof.
    Auth,
    /// A limit on clients.
    Limit,
    /// TLS was refused, or failed.
    Tls,
    /// `client_login_timeout` passed.
    Timeout,
    /// It did not speak as a client does, or asked for what there is not.
    Protocol,
    /// Nothing is known of the servers it is for, and none could be opened.
    NoServer,
}

impl LoginResult {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 7] = [
        (Self::Ok, "ok"),
        (Self::Auth, "auth"),
        (Self::Limit, "limit"),
        (Self::Tls, "tls"),
        (Self::Timeout, "timeout"),
        (Self::Protocol, "protocol"),
        (Self::NoServer, "no_server"),
    ];
}

/// Why a client that asked for a server got none. The order is that of [`CheckoutFailure::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckoutFailure {
    /// None became free in time.
    Timeout,
    /// None could be opened.
    NoServer,
}

impl CheckoutFailure {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 2] = [(Self::Timeout, "timeout"), (Self::NoServer, "no_server")];
}

/// Why a request was sent once more. The order is that of [`Retry::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The plan of a statement prepared before had gone stale.
    StalePlan,
    /// A replica was to write (25006).
    ReadOnly,
    /// It was in the way of replay (40001, 40P01).
    Conflict,
    /// It did not know something that is not replayed yet (42P01, 42703, 42704, 42883, 22023).
    NotReplayed,
    /// A replica cannot do this (0A000, 55000).
    NotSupported,
    /// A replica failed in another way, or for a mistake in the text.
    OtherError,
    /// A replica was lost.
    Lost,
    /// A replica had no server for it.
    NoServer,
}

impl Retry {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 8] = [
        (Self::StalePlan, "stale_plan"),
        (Self::ReadOnly, "read_only"),
        (Self::Conflict, "conflict"),
        (Self::NotReplayed, "not_replayed"),
        (Self::NotSupported, "not_supported"),
        (Self::OtherError, "other_error"),
        (Self::Lost, "lost"),
        (Self::NoServer, "no_server"),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Kinds of decisions of the router that can be told apart.
pub const ROUTES: usize = 40;

/// One of each for every kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes<T>([T; ROUTES]);

impl<T: Default> Default for Routes<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| T::default()))
    }
}

impl<T> std::ops::Deref for Routes<T> {
    type Target = [T; ROUTES];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> std::ops::DerefMut for Routes<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// What came of decisions of one kind. Which kind that is, the router knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    /// Decisions: one for each transaction.
    pub decisions: u64,
    /// How long servers were busy with these transactions.
    pub served_us: u64,
    /// Blocks that have read on replicas, and were then begun on the primary.
    pub promotions: u64,
}

/// What servers have answered since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Queries, function calls and executions of portals, failed ones included, skipped ones not.
    pub queries: u32,
    /// Transactions that held at least one of them and are over.
    pub transactions: u32,
}

// As [`Routed`].
#[derive(Debug, Default)]
struct Tally {
    decisions: Counter,
    served_us: Counter,
    promotions: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    logins: [Counter; LoginResult::ALL.len()],
    checkout_failures: [Counter; CheckoutFailure::ALL.len()],
    retries: [Counter; Retry::ALL.len()],
    routes: Routes<Tally>,
    waits: SharedHistogram,
    queries: SharedHistogram,
    pipelines: SharedHistogram,
    served_us: Counter,
    transactions: SharedHistogram,
    query_count: Counter,
    transaction_count: Counter,
    bytes_received: Counter,
    bytes_sent: Counter,
}

/// Counts for one database. A shard has one writer: all its meters are on one worker's thread.
#[derive(Clone)]
pub struct Meter {
    shard: Arc<Shard>,
    // Not Send: two threads that count in one cell would lose counts.
    _one_thread: PhantomData<*const ()>,
}

impl Meter {
    pub(super) fn new(shard: Arc<Shard>) -> Self {
        Self { shard, _one_thread: PhantomData }
    }

    /// A login has ended.
    pub fn login(&self, result: LoginResult) {
        self.shard.logins[result as usize].add(1);
    }

    /// A client has got a server; 0 if it did not have to wait.
    pub fn assigned(&self, waited: Duration) {
        self.shard.waits.observe(waited);
    }

    /// A client's request was refused because there is no server for it.
    pub fn not_assigned(&self, why: CheckoutFailure) {
        self.shard.checkout_failures[why as usize].add(1);
    }

    /// A client's request was sent once more in place of its error.
    pub fn retried(&self, why: Retry) {
        self.shard.retries[why as usize].add(1);
    }

    /// The router has decided so for a transaction; kinds from [`ROUTES`] on are not counted.
    pub fn routed(&self, kind: usize) {
        if let Some(routed) = self.shard.routes.get(kind) {
            routed.decisions.add(1);
        }
    }

    /// A block that has read on replicas is begun on the primary, as this decision wants it.
    pub fn promoted(&self, kind: usize) {
        if let Some(routed) = self.shard.routes.get(kind) {
            routed.promotions.add(1);
        }
    }

    /// A server was busy with such a transaction.
    pub fn served(&self, kind: usize, took: Duration) {
        if let Some(routed) = self.shard.routes.get(kind) {
            routed.served_us.add(micros(took));
        }
    }

    /// Bytes have come from a client.
    pub fn received(&self, bytes: usize) {
        self.shard.bytes_received.add(bytes as u64);
    }

    /// A server has said something that its client gets: bytes, and what they were the end of.
    pub fn heard(&self, bytes: usize, answered: Answered) {
        self.shard.bytes_sent.add(bytes as u64);
        if answered != Answered::default() {
            self.shard.query_count.add(answered.queries.into());
            self.shard.transaction_count.add(answered.transactions.into());
        }
    }

    /// Everything asked for has been answered: `queries` of them, `total` after they were received and `server` after
    /// they were sent. Several at once are one sample.
    pub fn answered(&self, queries: u32, total: Duration, server: Duration) {
        match queries {
            0 => return,
            1 => self.shard.queries.observe(total),
            _ => self.shard.pipelines.observe(total),
        }
        self.shard.served_us.add(micros(server));
    }

    /// A transaction is over, or several in a pipeline: how long it had its server.
    pub fn transaction(&self, took: Duration) {
        self.shard.transactions.observe(took);
    }
}

/// Everything counted for one database, by all workers together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the order of [`LoginResult::ALL`].
    pub logins: [u64; LoginResult::ALL.len()],
    /// In the order of [`CheckoutFailure::ALL`].
    pub checkout_failures: [u64; CheckoutFailure::ALL.len()],
    /// In the order of [`Retry::ALL`].
    pub retries: [u64; Retry::ALL.len()],
    /// By kind of decision.
    pub routes: Routes<Routed>,
    /// From a request to its server, for each that got one.
    pub waits: Histogram,
    /// From a query to the end of its answer.
    pub queries: Histogram,
    /// The same, for several queries sent at once.
    pub pipelines: Histogram,
    /// The sum of both, without the wait for a server.
    pub served_us: u64,
    /// From the first request to the end of the transaction, without the wait for a server.
    pub transactions: Histogram,
    /// Queries, each of a pipeline counted.
    pub query_count: u64,
    /// Transactions, each of a pipeline counted.
    pub transaction_count: u64,
    /// From clients.
    pub bytes_received: u64,
    /// To clients, of what servers said.
    pub bytes_sent: u64,
}

impl Counts {
    pub(super) fn add(&mut self, shard: &Shard) {
        let each = |totals: &mut [u64], counters: &[Counter]| {
            totals.iter_mut().zip(counters).for_each(|(total, counter)| *total += counter.get());
        };
        each(&mut self.logins, &shard.logins);
        each(&mut self.checkout_failures, &shard.checkout_failures);
        each(&mut self.retries, &shard.retries);
        for (total, routed) in self.routes.iter_mut().zip(&*shard.routes) {
            total.decisions += routed.decisions.get();
            total.served_us += routed.served_us.get();
            total.promotions += routed.promotions.get();
        }
        self.waits.add(&shard.waits.read());
        self.queries.add(&shard.queries.read());
        self.pipelines.add(&shard.pipelines.read());
        self.served_us += shard.served_us.get();
        self.transactions.add(&shard.transactions.read());
        self.query_count += shard.query_count.get();
        self.transaction_count += shard.transaction_count.get();
        self.bytes_received += shard.bytes_received.get();
        self.bytes_sent += shard.bytes_sent.get();
    }
}
