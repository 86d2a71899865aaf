//! The endpoint for monitoring: what it counts is what happened, whatever is said to it, and whoever is down.

mod bad_requests;
mod counts;
mod doing;
mod health;
mod hosts;
mod limits;
mod pgbouncer;

use crate::support::{PgOtter, scrape};
use pgotter::cli::local_postgres::{LocalPostgres, SUPERUSER, SUPERUSER_PASSWORD};
use pgotter::cli::ports;
use std::ops::Deref;

/// A PgOtter with an endpoint.
struct Watched {
    pooler: PgOtter,
    /// The endpoint's port.
    http: u16,
}

impl Watched {
    /// In front of one server, which it calls `shop` and by any other name; `pooler` are lines for `[pooler]`.
    fn in_front_of(server: &LocalPostgres, pooler: &str) -> Self {
        Self::start(server, pooler, &[])
    }

    fn start(server: &LocalPostgres, pooler: &str, environment: &[(&str, &str)]) -> Self {
        let http = std::cell::Cell::new(0);
        let pooler = PgOtter::start_with(
            |port| {
                http.set(ports::free_port());
                config(server, port, http.get(), pooler)
            },
            environment,
        );
        Self { pooler, http: http.get() }
    }
}

impl Deref for Watched {
    type Target = PgOtter;
    fn deref(&self) -> &PgOtter {
        &self.pooler
    }
}

fn config(server: &LocalPostgres, port: u16, http: u16, pooler: &str) -> String {
    let host = format!("{}:{}", server.host(), server.port());
    format!(
        "[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\n{pooler}\n[http]\nlisten = \"127.0.0.1:{http}\"\n\
         [databases.shop]\nhosts = [\"{host}\"]\ndbname = \"postgres\"\n[databases.\"*\"]\nhosts = [\"{host}\"]\n\
         [users.{SUPERUSER}]\npassword = \"{SUPERUSER_PASSWORD}\"\n"
    )
}
