//! What these tests stand on: one cluster, a role of its own for each test, and a PgOtter.

use super::talk::Client;
use super::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options, SUPERUSER};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

#[allow(unused_imports)]
pub use super::waiting::{PATIENCE, SOON, eventually, soon};

/// The cluster for tests that do not stop it.
pub fn cluster() -> &'static LocalPostgres {
    static CLUSTER: OnceLock<LocalPostgres> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = postgres(&Options { max_connections: 300, ..Options::default() });
        must(cluster.psql("postgres", "GRANT ALL ON SCHEMA public TO PUBLIC"));
        cluster
    })
}

/// What the superuser sees, without a pooler between.
pub fn look(sql: &str) -> String {
    must(cluster().psql("postgres", sql))
}

/// A role nobody else uses, so that its servers can be counted.
pub fn fresh_role() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let role = format!("role_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    look(&format!("CREATE ROLE {role} LOGIN"));
    role
}

/// Servers that this role has open.
pub fn servers_of(role: &str) -> usize {
    look(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'")).parse().unwrap()
}

/// In front of [`cluster`], trusting clients. `pooler` are lines for `[pooler]`; `rest` begins with lines for
/// `[databases."*"]` and goes on with further sections.
pub fn pgotter(pooler: &str, rest: &str) -> PgOtter {
    PgOtter::start(|port| config(port, &host(cluster()), pooler, rest))
}

/// See [`pgotter`].
pub fn config(port: u16, host: &str, pooler: &str, rest: &str) -> String {
    let auth = if pooler.contains("auth_type") { "" } else { "auth_type = \"trust\"\n" };
    format!("[pooler]\nlisten_port = {port}\n{auth}{pooler}\n[databases.\"*\"]\nhosts = [\"{host}\"]\n{rest}\n")
}

/// As a host is written in a configuration.
pub fn host(server: &LocalPostgres) -> String {
    format!("127.0.0.1:{}", server.port())
}

/// How the process ends, which it must do soon.
pub fn exit_code(pooler: &mut PgOtter) -> Option<i32> {
    let mut status = None;
    eventually("the end of the process", || {
        status = pooler.ended();
        status.is_some()
    });
    status.and_then(|status| status.code())
}

/// Waits until this backend is in the middle of a `pg_sleep`.
pub fn until_it_sleeps(backend: &str) {
    until_it_waits_for(backend, "PgSleep");
}

/// Waits until this backend waits for the event, in PostgreSQL's name for it.
pub fn until_it_waits_for(backend: &str, event: &str) {
    eventually("it runs", || look(&format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {backend}")) == event);
}

/// A statement that lasts until the gate is opened or dropped, however slow the machine is. In PostgreSQL it waits for an
/// advisory lock that another connection, past the pooler, holds.
pub struct Gate {
    keeper: Client,
    number: u32,
}

impl Gate {
    /// A closed one.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut keeper = Client::connect(cluster().port(), SUPERUSER, "postgres");
        keeper.value(&format!("SELECT pg_advisory_lock({number})"));
        Self { keeper, number }
    }

    /// Answers `value` once the gate is open.
    pub fn select(&self, value: &str) -> String {
        format!("SELECT '{value}' FROM pg_advisory_xact_lock_shared({})", self.number)
    }

    /// Waits until this backend stands before it.
    pub fn until_it_is_reached(&self, backend: &str) {
        until_it_waits_for(backend, "advisory");
    }

    pub fn open(mut self) {
        self.keeper.value(&format!("SELECT pg_advisory_unlock({})", self.number));
    }
}

/// A client that has a server and keeps it: its transaction is open.
pub fn holder(port: u16, role: &str) -> Client {
    let mut client = Client::connect(port, role, "postgres");
    assert_eq!(client.query("BEGIN -- with a server").status, Some(b'T'));
    client
}
