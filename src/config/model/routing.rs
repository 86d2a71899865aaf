//! `[routing]`: where requests go, and what is asked of hosts for that.

use std::time::Duration;

/// What is done with what the router decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutingMode {
    /// Reads go to replicas.
    Split,
    /// It is decided and counted, and everything goes to the primary. Default.
    Observe,
    /// Everything goes to the primary.
    Primary,
}

/// Whose writes a read has to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadYourWrites {
    /// The client's own.
    Session,
    /// Those, and every other client's to the tables that are read. Default.
    Tables,
    /// Everybody's.
    Database,
    /// Nobody's.
    Off,
}

impl ReadYourWrites {
    /// Whether what one client writes matters to others.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Tables | Self::Database)
    }
}

/// Where the reads of a read-write transaction run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionReads {
    /// On the primary. Default.
    Primary,
    /// On a replica, up to the first statement that is no plain read.
    ReplicaUntilWrite,
}

/// `[routing]`: what holds for databases with more than one host.
pub struct Routing {
    /// Default split.
    pub mode: RoutingMode,
    /// Default tables.
    pub read_your_writes: ReadYourWrites,
    /// A replica further behind gets no reads. Default 10 s.
    pub max_replica_lag: Duration,
    /// How often each host is asked what it is and how far. Default 100 ms, at least 10 ms.
    pub monitor_interval: Duration,
    /// How long a transaction waits for a primary where none is confirmed. 0 = not at all. Default 10 s.
    pub failover_timeout: Duration,
    /// A read that no replica can serve is refused. Default false.
    pub replica_required: bool,
    /// Default primary.
    pub transaction_reads: TransactionReads,
    /// Functions of these names only read and leave nothing in their session, whatever the catalog says. As PostgreSQL compares names,
    /// without a schema. Default none.
    pub read_functions: Vec<String>,
    /// Functions of these names may write. As above.
    pub write_functions: Vec<String>,
    /// The first that is one for a request asks for its host. Default none, at most 1,000.
    pub rules: Vec<RouteRule>,
}

/// One of `[routing] rules`: all of what is given must be so. Texts may have `*` for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    /// The database that its client has logged in to.
    pub database: Option<String>,
    /// A table that the request names, perhaps with its schema.
    pub table: Option<String>,
    /// Of a text of the request.
    pub fingerprint: Option<u64>,
    /// What its client calls itself.
    pub application_name: Option<String>,
    /// As which its client has logged in.
    pub user: Option<String>,
    /// Where it is to run.
    pub route: RuleRoute,
}

/// Where a rule wants a request to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleRoute {
    /// On the primary.
    Primary,
    /// On a replica.
    Replica,
    /// On one, whatever that has replayed.
    ReplicaStale,
    /// On this host, with or without its port.
    Host(String),
    /// On the servers of this entry of `[databases]`. Such a rule has a `table`, and neither `fingerprint` nor `application_name`.
    Database(String),
}
