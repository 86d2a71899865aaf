//! A primary with two streaming replicas, and a PgOtter in front of such hosts.

use super::talk::Client;
use super::world::{PATIENCE, host};
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::time::Instant;

/// Who asks and who works: a role with LOGIN and nothing else.
pub const ROLE: &str = "otter";

/// Streams within milliseconds.
pub struct Trio {
    pub replicas: Vec<LocalPostgres>,
    pub primary: LocalPostgres,
}

impl Trio {
    /// Three of the test's own, with a table `t`.
    pub fn start() -> Self {
        let mut primary = postgres(&Options::default());
        must(primary.psql("postgres", &format!("CREATE ROLE {ROLE} LOGIN; GRANT ALL ON SCHEMA public TO PUBLIC")));
        must(primary.psql("postgres", "CREATE TABLE t (v int8); GRANT ALL ON t TO PUBLIC"));
        let replicas: Vec<_> = (0..2).map(|_| must(primary.replica())).collect();
        must(primary.wait_for_replicas(2));
        Self { replicas, primary }
    }

    /// As a configuration lists them.
    pub fn hosts(&self) -> Vec<String> {
        [&self.primary].into_iter().chain(&self.replicas).map(|server| format!("\"{}\"", host(server))).collect()
    }
}

/// In front of hosts as they are written in a list. `routing` are lines for `[routing]`, `database` for the database `app`.
pub fn pgotter(hosts: &[String], routing: &str, database: &str) -> PgOtter {
    PgOtter::start(|port| config(port, hosts, routing, database))
}

/// See [`pgotter`].
pub fn config(port: u16, hosts: &[String], routing: &str, database: &str) -> String {
    let hosts = hosts.join(", ");
    format!(
        "[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\nadmin_users = [\"admin\"]\n[databases.app]\ndbname = \"postgres\"\n\
         hosts = [{hosts}]\n{database}\n[routing]\n{routing}\n"
    )
}

/// A client of that database.
pub fn client(pooler: &PgOtter) -> Client {
    Client::connect(pooler.port(), ROLE, "app")
}

/// The port of the server that answers.
pub fn port_of(client: &mut Client) -> u16 {
    client.query("SELECT inet_server_port()").value().parse().unwrap()
}

/// A client, once this is where requests go. A request that is under way at that moment is told so, and is not this one's.
pub fn client_at(pooler: &PgOtter, server: &LocalPostgres) -> Client {
    let since = Instant::now();
    loop {
        let mut client = client(pooler);
        let answer = client.query("SELECT inet_server_port()");
        if answer.errors.is_empty() && answer.value() == server.port().to_string() {
            return client;
        }
        assert!(since.elapsed() < PATIENCE, "{answer:?}");
    }
}

/// Asks until there is an answer without an error; what other clients get meanwhile is their business.
pub fn eventually_answers(client: &mut Client, sql: &str) -> String {
    let since = Instant::now();
    loop {
        let answer = client.query(sql);
        if answer.errors.is_empty() {
            return answer.rows.first().and_then(|row| row.first()).cloned().unwrap_or_default();
        }
        assert!(answer.status.is_some() && since.elapsed() < PATIENCE, "{answer:?}");
    }
}
