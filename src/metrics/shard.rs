//! What one worker has counted for one database, and the end that it counts with.

use super::counter::{Counter, SharedHistogram};
use super::ladder::Histogram;

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
    /// It would have been one too many to keep its server, or to be listened for.
    Limit,
}

impl CheckoutFailure {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 3] =
        [(Self::Timeout, "timeout"), (Self::NoServer, "no_server"), (Self::Limit, "limit")];
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

/// Whether a server had the named statement that a client's message needs. The order is that of [`Prepared::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It had it.
    Hit,
    /// It was prepared there.
    Miss,
    /// It was, and another one was closed for it.
    Evicted,
}

impl Prepared {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 3] = [(Self::Hit, "hit"), (Self::Miss, "miss"), (Self::Evicted, "evicted")];
}

/// What statements are, in the order in which they are counted. Of the first nothing is known.
pub const KINDS: [&str; 5] = ["unknown", "read", "write", "ddl", "utility"];

/// Where something ran: on primaries, or on replicas.
pub const ROLES: [&str; 2] = ["primary", "replica"];

/// One of each for every one of [`ROLES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByRole<T>([T; ROLES.len()]);

impl<T> ByRole<T> {
    /// The one of primaries, or of replicas.
    pub fn of(&self, on_replica: bool) -> &T {
        let [primary, replica] = &self.0;
        if on_replica { replica } else { primary }
    }

    /// Both, each with its word.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &T)> {
        ROLES.into_iter().zip(&self.0)
    }
}

impl ByRole<Histogram> {
    /// Both together.
    pub fn sum(&self) -> Histogram {
        let mut sum = Histogram::default();
        self.0.iter().for_each(|one| sum.add(one));
        sum
    }

    fn add(&mut self, more: &ByRole<SharedHistogram>) {
        self.0.iter_mut().zip(&more.0).for_each(|(total, more)| total.add(&more.read()));
    }
}

/// One of each for every one of [`KINDS`], on primaries and on replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByKind<T>([[T; KINDS.len()]; ROLES.len()]);

impl<T> ByKind<T> {
    /// The one of this kind, by its number in [`KINDS`].
    pub fn of(&self, kind: usize, on_replica: bool) -> Option<&T> {
        self.0[usize::from(on_replica)].get(kind)
    }

    /// Every one, with the word for its kind and for where it was.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, &T)> {
        let roles = ROLES.into_iter().zip(&self.0);
        roles.flat_map(|(role, kinds)| KINDS.into_iter().zip(kinds).map(move |(kind, one)| (kind, role, one)))
    }
}

impl ByKind<Histogram> {
    fn add(&mut self, more: &ByKind<SharedHistogram>) {
        let totals = self.0.iter_mut().flatten();
        totals.zip(more.0.iter().flatten()).for_each(|(total, more)| total.add(&more.read()));
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

/// Reasons for which clients keep a server, as many as a byte has bits. Which they are, the session knows.
pub const PINS: usize = u8::BITS as usize;

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

impl Answered {
    /// Adds another one's.
    pub fn add(&mut self, more: Self) {
        self.queries += more.queries;
        self.transactions += more.transactions;
    }
}

// As [`Routed`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub decisions: Counter,
    pub served_us: Counter,
    pub promotions: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub logins: [Counter; LoginResult::ALL.len()],
    pub checkout_failures: [Counter; CheckoutFailure::ALL.len()],
    pub retries: [Counter; Retry::ALL.len()],
    pub prepared: [Counter; Prepared::ALL.len()],
    pub pinned_us: [Counter; PINS],
    pub rows_returned: Counter,
    pub rows_changed: Counter,
    pub routes: Routes<Tally>,
    pub named_parses: Counter,
    pub named_binds: Counter,
    pub waits: ByRole<SharedHistogram>,
    pub queries: ByKind<SharedHistogram>,
    pub servers: ByKind<SharedHistogram>,
    pub pipelines: SharedHistogram,
    pub served_us: Counter,
    pub transactions: ByRole<SharedHistogram>,
    pub idle: ByRole<SharedHistogram>,
    pub query_count: Counter,
    pub transaction_count: Counter,
    pub bytes_received: Counter,
    pub bytes_sent: Counter,
}

impl Shard {
    /// A login has ended.
    pub fn login(&self, result: LoginResult) {
        self.logins[result as usize].add(1);
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
    /// In the order of [`Prepared::ALL`].
    pub prepared: [u64; Prepared::ALL.len()],
    /// For how long clients have kept servers, by why: by the bits of the reasons. What goes on is not in it.
    pub pinned_us: [u64; PINS],
    /// Of statements that read, and of those of which that is not known.
    pub rows_returned: u64,
    /// Of statements that write.
    pub rows_changed: u64,
    /// By kind of decision.
    pub routes: Routes<Routed>,
    /// Parse messages of clients for statements that have a name, and Bind messages of such.
    pub named_parses: u64,
    /// See there.
    pub named_binds: u64,
    /// From a request to its server, for each that got one.
    pub waits: ByRole<Histogram>,
    /// From a statement's arrival until its client has all of the answer.
    pub queries: ByKind<Histogram>,
    /// How long servers took for it.
    pub servers: ByKind<Histogram>,
    /// From the arrival of several that were sent at once to the end of their answers.
    pub pipelines: Histogram,
    /// How long servers were busy with any of them.
    pub served_us: u64,
    /// From the first request to the end of the transaction, without the wait for a server.
    pub transactions: ByRole<Histogram>,
    /// How long transactions that have waited for their clients did so.
    pub idle: ByRole<Histogram>,
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
        each(&mut self.prepared, &shard.prepared);
        each(&mut self.pinned_us, &shard.pinned_us);
        self.rows_returned += shard.rows_returned.get();
        self.rows_changed += shard.rows_changed.get();
        for (total, routed) in self.routes.iter_mut().zip(&*shard.routes) {
            total.decisions += routed.decisions.get();
            total.served_us += routed.served_us.get();
            total.promotions += routed.promotions.get();
        }
        self.named_parses += shard.named_parses.get();
        self.named_binds += shard.named_binds.get();
        self.waits.add(&shard.waits);
        self.queries.add(&shard.queries);
        self.servers.add(&shard.servers);
        self.pipelines.add(&shard.pipelines.read());
        self.served_us += shard.served_us.get();
        self.transactions.add(&shard.transactions);
        self.idle.add(&shard.idle);
        self.query_count += shard.query_count.get();
        self.transaction_count += shard.transaction_count.get();
        self.bytes_received += shard.bytes_received.get();
        self.bytes_sent += shard.bytes_sent.get();
    }
}
