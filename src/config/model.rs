//! The configuration as the rest of the program sees it: complete, checked, defaults filled in.
//! Only `config::load` builds one.

mod databases;
mod routing;
mod tls;

pub use databases::{Access, Database, Host, HostRole, Resolved, User};
pub use routing::{ReadYourWrites, RouteRule, Routing, RoutingMode, RuleRoute, TransactionReads};
pub use tls::{ClientTls, ServerTls, SslMode, TlsProtocols};

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

/// How lines of log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// [`Self::Text`] on a terminal, else [`Self::Json`]. Default.
    Auto,
    /// To be read by people.
    Text,
    /// One object for each line.
    Json,
    /// As PgBouncer's, for tools that read those.
    PgBouncer,
}

impl LogFormat {
    /// Every one, with its word.
    pub(super) const ALL: [(&str, Self); 4] =
        [("auto", Self::Auto), ("text", Self::Text), ("json", Self::Json), ("pgbouncer", Self::PgBouncer)];
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
    /// What names that nobody has are answered by, the same after each start and by all who share it. 16 bytes or more. None = a random
    /// one of each start.
    pub mock_authentication_secret: Option<Secret<String>>,
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
    /// How lines of log look. Default auto.
    pub log_format: LogFormat,
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
