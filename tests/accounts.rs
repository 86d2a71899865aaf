//! Who has asked for what, and what came of it: errors by SQLSTATE and statement, applications, and who keeps transactions open; on the
//! console and at /metrics, in front of real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "http/scrape.rs"]
#[allow(dead_code, reason = "shared with the tests of the endpoint, which use more of it")]
mod scrape;
mod support;
#[path = "console/table.rs"]
#[allow(dead_code, reason = "shared with the tests of the console, which use more of it")]
mod table;
#[allow(dead_code, reason = "shared with the tests of pooling, which use more of it")]
#[path = "pooling/talk.rs"]
mod talk;
#[allow(dead_code, reason = "as above")]
#[path = "pooling/world.rs"]
mod world;

#[path = "accounts/amounts.rs"]
mod amounts;
#[path = "accounts/applications.rs"]
mod applications;
#[path = "accounts/errors.rs"]
mod errors;
#[path = "accounts/idle.rs"]
mod idle;
#[path = "accounts/whose.rs"]
mod whose;

use pgotter::cli::ports;
use support::PgOtter;
use table::{Table, console, pgotter, show};
use talk::Client;

/// With an endpoint, whose port it says.
fn watched(pooler: &str, rest: &str) -> (PgOtter, u16) {
    let http = ports::free_port();
    (pgotter(pooler, &format!("{rest}[http]\nlisten = \"127.0.0.1:{http}\"\n")), http)
}

fn shown(pooler: &PgOtter, what: &str) -> Table {
    show(&mut console(pooler), what)
}

/// A client that calls itself so.
fn named(pooler: &PgOtter, role: &str, application: &str) -> Client {
    let parameters = [("user", role), ("database", "postgres"), ("application_name", application)];
    Client::connect_with(pooler.port(), &parameters)
}
