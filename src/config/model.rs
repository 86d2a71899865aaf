//! The configuration as the rest of the program sees it: complete, checked, defaults filled in.
//! Only `config::load` builds one.

use super::alerts::Alert;
use super::notify::Notify;
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Everything an operator decided. Immutable; a reload builds another.
pub struct Config {
    /// The file it came from; relative paths inside it are relative to its folder.
    pub file: PathBuf,
    /// `[pooler]`.
    pub pooler: Pooler,
    /// `[databases.NAME]`; the key `*` serves any other name.
    pub databases: BTreeMap<String, Database>,
    /// `[users.NAME]`.
    pub users: BTreeMap<String, User>,
    /// `[http]`.
    pub http: Http,
    /// `[routing]`.
    pub routing: Routing,
    /// `[insight]`.
    pub insight: Insight,
    /// `[[alert]]`. Default none, at most 100.
    pub alerts: Vec<Arc<Alert>>,
    /// `[notify]`.
    pub notify: Notify,
    /// `[slow_queries]`.
    pub slow_queries: SlowQueries,
}

/// When a server goes back to its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// When the client leaves.
    Session,
    /// When the transaction ends. Default.
    Transaction,
    /// After each statement; transaction blocks are refused.
    Statement,
}

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthType {
    /// No proof. The user must be listed in `auth_file` or under `[users]`, unless there is no `auth_file` at all; then
    /// PostgreSQL alone decides.
    Trust,
    /// The password in clear, against whatever `auth_file` holds for the user.
    Plain,
    /// md5 against md5 hashes and plain text in `auth_file`; SCRAM-SHA-256 where it holds a verifier.
    Md5,
    /// SCRAM-SHA-256 against a verifier or plain text in `auth_file`. Default.
    ScramSha256,
    /// A client's certificate, whose common name is the user's. The user must be listed in `auth_file` or under `[users]`.
    Cert,
}

/// `[pooler]`: what PgBouncer calls `[pgbouncer]`, under PgBouncer's names.
pub struct Pooler {
    /// Worker threads. 0 in the file = half the cores, 1 to 8; here already resolved (≥ 1).
    pub workers: usize,
    /// Addresses to listen on. Default 127.0.0.1. Empty = no TCP.
    pub listen_addr: Vec<IpAddr>,
    /// TCP port and suffix of the unix socket. Default 6432.
    pub listen_port: u16,
    /// listen(2) backlog. Default 4096.
    pub listen_backlog: u32,
    /// Folder of the listening unix socket. Default none.
    pub unix_socket_dir: Option<PathBuf>,
    /// Mode of that socket. Default 0o777.
    pub unix_socket_mode: u32,
    /// When a server goes back. Default transaction.
    pub pool_mode: PoolMode,
    /// Clients at most. Default: from the file-descriptor budget (None here).
    pub max_client_conn: Option<usize>,
    /// Bytes that the buffers of all clients may take. Default: a quarter of what is available at start (None here).
    pub memory_budget: Option<usize>,
    /// Servers of one (database, user, host). 0 = unlimited. Default 20.
    pub default_pool_size: usize,
    /// Servers kept open. Default 0.
    pub min_pool_size: usize,
    /// Extra servers once a client has waited `reserve_pool_timeout`. Default 0.
    pub reserve_pool_size: usize,
    /// Default 5 s.
    pub reserve_pool_timeout: Duration,
    /// Servers of one database over all users. 0 = unlimited.
    pub max_db_connections: usize,
    /// Servers of one user over all databases. 0 = unlimited.
    pub max_user_connections: usize,
    /// Clients of one database. 0 = unlimited.
    pub max_db_client_connections: usize,
    /// Clients of one user. 0 = unlimited.
    pub max_user_client_connections: usize,
    /// Use idle servers in turn instead of the last used first. Default false.
    pub server_round_robin: bool,
    /// Longest wait for a server. 0 = no limit (None). Default 30 s.
    pub query_wait_timeout: Option<Duration>,
    /// NOTICE to a client that has waited this long. 0 = never (None). Default 5 s.
    pub query_wait_notify: Option<Duration>,
    /// A server this old is closed when idle. Default 1 h.
    pub server_lifetime: Duration,
    /// An idle server is closed after this (not below `min_pool_size`). 0 = never. Default 10 min.
    pub server_idle_timeout: Option<Duration>,
    /// Connecting and logging in to a server. Default 15 s.
    pub server_connect_timeout: Duration,
    /// Longest pause between two attempts on a host that refuses our login; the first is 1/64 of it, doubled each time.
    /// One that cannot be reached or is starting up is asked at least every 500 ms. Default 15 s.
    pub server_login_retry: Duration,
    /// How often hosts' names are looked up while servers are open. 0 = never (None). Default 15 s.
    pub dns_max_ttl: Option<Duration>,
    /// An idle server is probed before use after this long. 0 = always. Default 30 s.
    pub server_check_delay: Duration,
    /// Clients of a pool that may keep a server over transactions, because it has something of theirs that cannot be moved, on
    /// each host. 0 = half of `pool_size`, at least one. Default 0.
    pub max_pinned: usize,
    /// Prepared statements that a server keeps at most; the one unused for longest goes first. 0 = names of statements are not
    /// carried from server to server. Session mode does without. Default 200.
    pub max_prepared_statements: usize,
    /// Bytes that what is known of texts may take; a text that differs from another only in its constants needs no place. 0 = every
    /// text is read anew. Default 16 MiB.
    pub statement_cache_size: usize,
    /// Sent when a session-mode client leaves. Empty = none. Default DISCARD ALL.
    pub server_reset_query: String,
    /// It is sent behind each transaction in the other modes, too. Default false.
    pub server_reset_query_always: bool,
    /// Startup parameters that are dropped; `options` stands for all in it that is not tracked. Default none.
    pub ignore_startup_parameters: Vec<String>,
    /// What servers report beside PostgreSQL's own settings and is the client's. Default IntervalStyle, which is one of
    /// those.
    pub track_extra_parameters: Vec<String>,
    /// Add address and port of the client to its application_name. Default false.
    pub application_name_add_host: bool,
    /// A statement that runs longer is cancelled. Default none.
    pub query_timeout: Option<Duration>,
    /// Idle inside a transaction. Default none.
    pub idle_transaction_timeout: Option<Duration>,
    /// A whole transaction. Default none.
    pub transaction_timeout: Option<Duration>,
    /// Idle outside a transaction. Default none.
    pub client_idle_timeout: Option<Duration>,
    /// From connecting to the end of login. Default 15 s.
    pub client_login_timeout: Duration,
    /// Failed logins, and wrong cancel requests, of one address before its next ones wait. Default 20.
    pub login_failure_limit: u32,
    /// How long each then waits; also the time until one failure is forgiven. 0 = not at all. Default 1 s.
    pub login_failure_delay: Duration,
    /// After SIGTERM, time for transactions to end. Default 30 s.
    pub shutdown_timeout: Duration,
    /// A client that takes nothing of what is queued for it. Default 5 min.
    pub client_write_timeout: Option<Duration>,
    /// A cancel request on its way. Default 10 s.
    pub cancel_wait_timeout: Duration,
    /// SO_KEEPALIVE on both sides. Default true.
    pub tcp_keepalive: bool,
    /// Idle before the first probe. None = the system's for clients; `cluster::server_tcp_options` for servers.
    pub tcp_keepidle: Option<Duration>,
    /// Between probes. None: as above.
    pub tcp_keepintvl: Option<Duration>,
    /// Probes before giving up. None: as above.
    pub tcp_keepcnt: Option<u32>,
    /// TCP_USER_TIMEOUT. None: as above.
    pub tcp_user_timeout: Option<Duration>,
    /// A request is gathered up to this size before it is decided. Default 64 KiB.
    pub request_gather: usize,
    /// How clients log in. Default scram-sha-256.
    pub auth_type: AuthType,
    /// Path of the `auth_file`, already resolved.
    pub auth_file: Option<PathBuf>,
    /// What the `auth_file` held: (user, secret).
    pub auth_users: BTreeMap<String, Secret<String>>,
    /// Who may do everything in the console, see `config::is_console`. Default nobody.
    pub admin_users: Vec<String>,
    /// Who may look at what the console shows. Default nobody.
    pub stats_users: Vec<String>,
    /// What the averages of SHOW STATS are made over. Default 60 s, at least 1 s.
    pub stats_period: Duration,
    /// `client_tls_…`: TLS towards clients.
    pub client_tls: ClientTls,
    /// `server_tls_…`: TLS towards servers.
    pub server_tls: ServerTls,
    /// Log every login. Default false.
    pub log_connections: bool,
    /// Log every leave. Default false.
    pub log_disconnections: bool,
    /// Log errors sent to clients. Default true.
    pub log_pooler_errors: bool,
}

/// `[http]`: the endpoint for monitoring.
pub struct Http {
    /// Where it listens. None = off. Default 127.0.0.1:9127.
    pub listen: Option<SocketAddr>,
    /// Names, beside localhost and IP addresses, that requests may call it by in their Host header. Empty = on loopback none, elsewhere any.
    /// Default empty.
    pub allowed_hosts: Vec<String>,
    /// What /ready asks for. Default the primary.
    pub ready: Ready,
    /// The names of pgbouncer_exporter are served as well. Default true.
    pub pgbouncer_metrics: bool,
}

/// When clients could be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The primary of each database can serve.
    Primary,
    /// It can, or a replica.
    AnyHost,
    /// Always, until the process is ended.
    Listening,
}

/// `[insight]`: what is counted for each statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insight {
    /// Fingerprints that each worker counts by themselves. Default 5,000, 100 to 1,000,000.
    pub max_fingerprints: usize,
    /// Bytes that all workers together take for it. Default 64 MiB, 1 MiB to 1 TiB.
    pub insight_memory: usize,
    /// Fingerprints that have series of their own in /metrics. Default 50, at most 1,000.
    pub exported_fingerprints: usize,
}

/// `[slow_queries]`: which statements are told of one by one, in the log and by SHOW SLOW_QUERIES.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowQueries {
    /// What took as long, from its arrival until PostgreSQL was done with it. Default 100 ms. 0 = none (None).
    pub log: Option<Duration>,
    /// The same for DDL, VACUUM, ANALYZE, CLUSTER, REINDEX, REFRESH and CHECKPOINT. Default 10 min. 0 = none (None).
    pub utilities: Option<Duration>,
    /// With their constants and parameters. Default false.
    pub parameters: bool,
    /// Of one fingerprint that are told of in a minute. Default 10, 1 to 1,000,000.
    pub per_minute: u32,
    /// Rows of SHOW SLOW_QUERIES. Default 1,000, at most 100,000.
    pub keep: usize,
}

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

/// How much TLS is asked for, in libpq's words; from less to more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// None.
    Disable,
    /// Clients: if they want it. Servers: if they refuse us without.
    Allow,
    /// Clients: if they want it. Servers: if they have it.
    Prefer,
    /// Always, whatever the peer's certificate.
    Require,
    /// Always, and the peer's certificate is verified.
    VerifyCa,
    /// Towards servers, the certificate must also be for this host.
    VerifyFull,
}

/// Versions of TLS that are spoken. There is none below 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsProtocols {
    /// 1.2 and 1.3. Default.
    All,
    /// 1.2.
    Only12,
    /// 1.3.
    Only13,
}

/// TLS towards clients. The key and the certificate are there unless it is disabled, the CA for `VerifyCa` and above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Default disable.
    pub sslmode: SslMode,
    /// Our private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Our certificate and what is needed to verify it, PEM.
    pub cert_file: Option<PathBuf>,
    /// Whose signatures clients' certificates must have, PEM. None = they are asked for none.
    pub ca_file: Option<PathBuf>,
    /// Default all.
    pub protocols: TlsProtocols,
}

/// TLS towards servers; never on unix sockets. The key and the certificate are there both or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Default prefer.
    pub sslmode: SslMode,
    /// Whose signatures servers' certificates must have, PEM. None with `VerifyFull` = the system's.
    pub ca_file: Option<PathBuf>,
    /// Our private key, PEM, for servers that ask for a certificate.
    pub key_file: Option<PathBuf>,
    /// Its certificate, PEM.
    pub cert_file: Option<PathBuf>,
    /// Default all.
    pub protocols: TlsProtocols,
}

impl Default for ServerTls {
    fn default() -> Self {
        let protocols = TlsProtocols::All;
        Self { sslmode: SslMode::Prefer, ca_file: None, key_file: None, cert_file: None, protocols }
    }
}

/// What a host was configured as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostRole {
    /// To be discovered. Where that cannot be done, the first such host is taken for the primary.
    Auto,
    /// Claimed primary. What is found out counts.
    Primary,
    /// Claimed replica. What is found out counts.
    Replica,
}

/// One PostgreSQL instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name, IP, or `/folder` of a unix socket.
    pub host: String,
    /// Default 5432.
    pub port: u16,
    /// Default auto.
    pub role: HostRole,
    /// Share of the reads. Default 1.
    pub weight: u32,
}

/// `[databases.NAME]`. `None` = the value of `[pooler]`.
pub struct Database {
    /// Database on the server. None = the name the client asked for.
    pub dbname: Option<String>,
    /// At least one.
    pub hosts: Vec<Host>,
    /// Forced user: every client uses this login.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// Who asks the hosts what they are. None = `user`, else the first of `admin_users` with a secret, else who has a pool.
    pub monitor_user: Option<String>,
    /// Its password. None = what `monitor_user` has under `[users]`, else in `auth_file`.
    pub monitor_password: Option<Secret<String>>,
    /// Database in which it asks. None = `dbname`, else the entry's name; for `*` that of a pool, else `postgres`.
    pub monitor_dbname: Option<String>,
    /// Lane size.
    pub pool_size: Option<usize>,
    /// See [`Pooler::min_pool_size`].
    pub min_pool_size: Option<usize>,
    /// See [`Pooler::reserve_pool_size`].
    pub reserve_pool_size: Option<usize>,
    /// See [`Pooler::pool_mode`].
    pub pool_mode: Option<PoolMode>,
    /// See [`Pooler::max_db_connections`].
    pub max_db_connections: Option<usize>,
    /// See [`Pooler::max_db_client_connections`].
    pub max_db_client_connections: Option<usize>,
    /// See [`Pooler::server_lifetime`].
    pub server_lifetime: Option<Duration>,
    /// See [`Pooler::query_wait_timeout`]. `Some(None)` = no limit here.
    pub query_wait_timeout: Option<Option<Duration>>,
    /// Run after login; a failure is logged and the server used all the same, as in PgBouncer.
    pub connect_query: Option<String>,
    /// Sent in the server's StartupMessage, as are the next three.
    pub client_encoding: Option<String>,
    /// See `client_encoding`.
    pub datestyle: Option<String>,
    /// See `client_encoding`.
    pub timezone: Option<String>,
    /// See `client_encoding`.
    pub application_name: Option<String>,
    /// It is there under its name with `_ro`, for who only reads, and with `_rw`, for who wants the primary, too. Default false.
    pub aliases: bool,
}

/// What an alias of a database is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// NAME_ro.
    ReadOnly,
    /// NAME_rw.
    ReadWrite,
}

/// `[users.NAME]`. `None` = the database's, else the value of `[pooler]`. With a forced user, that user's.
#[derive(Default)]
pub struct User {
    /// Password for servers (and clients) of this user, if not in `auth_file`.
    pub password: Option<Secret<String>>,
    /// See [`Pooler::pool_mode`].
    pub pool_mode: Option<PoolMode>,
    /// Lane size.
    pub pool_size: Option<usize>,
    /// See [`Pooler::reserve_pool_size`].
    pub reserve_pool_size: Option<usize>,
    /// See [`Pooler::max_user_connections`].
    pub max_user_connections: Option<usize>,
    /// See [`Pooler::max_user_client_connections`].
    pub max_user_client_connections: Option<usize>,
    /// `Some(None)` = no limit, here and below.
    pub query_timeout: Option<Option<Duration>>,
    /// See [`Pooler::query_wait_timeout`].
    pub query_wait_timeout: Option<Option<Duration>>,
    /// See [`Pooler::idle_transaction_timeout`].
    pub idle_transaction_timeout: Option<Option<Duration>>,
    /// See [`Pooler::transaction_timeout`].
    pub transaction_timeout: Option<Option<Duration>>,
    /// See [`Pooler::client_idle_timeout`].
    pub client_idle_timeout: Option<Option<Duration>>,
}

/// What holds for one (database, user): user before database before `[pooler]`, as in PgBouncer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// When a server goes back.
    pub pool_mode: PoolMode,
    /// Servers of one lane. 0 = unlimited.
    pub pool_size: usize,
    /// Kept open.
    pub min_pool_size: usize,
    /// Extra after a wait.
    pub reserve_pool_size: usize,
    /// That wait.
    pub reserve_pool_timeout: Duration,
    /// 0 = unlimited, as the next three.
    pub max_db_connections: usize,
    /// Servers of this user.
    pub max_user_connections: usize,
    /// Clients of this database.
    pub max_db_client_connections: usize,
    /// Clients of this user.
    pub max_user_client_connections: usize,
    /// Age at which a server is retired.
    pub server_lifetime: Duration,
    /// None = no limit, as the rest.
    pub query_wait_timeout: Option<Duration>,
    /// A statement.
    pub query_timeout: Option<Duration>,
    /// Idle inside a transaction.
    pub idle_transaction_timeout: Option<Duration>,
    /// A whole transaction.
    pub transaction_timeout: Option<Duration>,
    /// Idle outside a transaction.
    pub client_idle_timeout: Option<Duration>,
}
