//! Who has asked for what, and what came of it: errors by SQLSTATE and statement, applications, and who keeps transactions open; on the
//! console and at /metrics, in front of real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

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

use support::{PgOtter, scrape, table, talk, world};
use table::{Table, console, show, watched};
use talk::Client;

fn shown(pooler: &PgOtter, what: &str) -> Table {
    show(&mut console(pooler), what)
}

/// A client that calls itself so.
fn named(pooler: &PgOtter, role: &str, application: &str) -> Client {
    let parameters = [("user", role), ("database", "postgres"), ("application_name", application)];
    Client::connect_with(pooler.port(), &parameters)
}
