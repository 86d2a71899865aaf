//! Who has asked for what, and what came of it: errors by SQLSTATE and statement, applications, and who keeps transactions open; on the
//! console and at /metrics, in front of real PostgreSQL.

mod amounts;
mod applications;
mod errors;
mod idle;
mod whose;

use crate::support::{PgOtter, scrape, table, talk, world};
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
