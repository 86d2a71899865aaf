//! `[databases]` and `[users]`, and what holds for one of each together.

use super::PoolMode;
use crate::secret::Secret;
use std::time::Duration;

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
    /// See [`Pooler::min_pool_size`](super::Pooler::min_pool_size).
    pub min_pool_size: Option<usize>,
    /// See [`Pooler::reserve_pool_size`](super::Pooler::reserve_pool_size).
    pub reserve_pool_size: Option<usize>,
    /// See [`Pooler::pool_mode`](super::Pooler::pool_mode).
    pub pool_mode: Option<PoolMode>,
    /// See [`Pooler::max_db_connections`](super::Pooler::max_db_connections).
    pub max_db_connections: Option<usize>,
    /// See [`Pooler::max_db_client_connections`](super::Pooler::max_db_client_connections).
    pub max_db_client_connections: Option<usize>,
    /// See [`Pooler::server_lifetime`](super::Pooler::server_lifetime).
    pub server_lifetime: Option<Duration>,
    /// See [`Pooler::query_wait_timeout`](super::Pooler::query_wait_timeout). `Some(None)` = no limit here.
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
    /// See [`Pooler::pool_mode`](super::Pooler::pool_mode).
    pub pool_mode: Option<PoolMode>,
    /// Lane size.
    pub pool_size: Option<usize>,
    /// See [`Pooler::reserve_pool_size`](super::Pooler::reserve_pool_size).
    pub reserve_pool_size: Option<usize>,
    /// See [`Pooler::max_user_connections`](super::Pooler::max_user_connections).
    pub max_user_connections: Option<usize>,
    /// See [`Pooler::max_user_client_connections`](super::Pooler::max_user_client_connections).
    pub max_user_client_connections: Option<usize>,
    /// `Some(None)` = no limit, here and below.
    pub query_timeout: Option<Option<Duration>>,
    /// See [`Pooler::query_wait_timeout`](super::Pooler::query_wait_timeout).
    pub query_wait_timeout: Option<Option<Duration>>,
    /// See [`Pooler::idle_transaction_timeout`](super::Pooler::idle_transaction_timeout).
    pub idle_transaction_timeout: Option<Option<Duration>>,
    /// See [`Pooler::transaction_timeout`](super::Pooler::transaction_timeout).
    pub transaction_timeout: Option<Option<Duration>>,
    /// See [`Pooler::client_idle_timeout`](super::Pooler::client_idle_timeout).
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
