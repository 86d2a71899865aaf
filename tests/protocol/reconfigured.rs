//! PostgreSQL's configuration is changed while sessions go on: who has set nothing is told, and has what he is told.

use crate::support::raw::*;
use crate::support::waiting::eventually;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::Options;
use std::collections::HashMap;

const READ_ONLY: &str = "default_transaction_read_only";

/// A client, and what it was told last of each parameter.
struct Told {
    client: Raw,
    told: HashMap<String, String>,
}

impl Told {
    fn log_in(port: u16) -> Self {
        let client = Raw::log_in(port, &[]);
        let told = [(READ_ONLY.to_owned(), client.parameter(READ_ONLY).to_owned())].into();
        Self { client, told }
    }

    fn value(&mut self, sql: &str) -> String {
        let frames = self.client.ask(sql);
        self.told.extend(frames.iter().filter(|frame| frame.kind == b'S').map(Frame::parameter));
        first_value(&frames).unwrap_or_default()
    }

    /// What holds for it now, which is what it was told.
    fn read_only(&mut self) -> String {
        let shown = self.value(&format!("SHOW {READ_ONLY}"));
        assert_eq!(self.told[READ_ONLY], shown, "what was told");
        shown
    }
}

/// All at once, each on a server of its own.
fn together(clients: &mut [Told]) -> Vec<String> {
    clients.iter_mut().for_each(|client| drop(client.value("BEGIN")));
    let shown = clients.iter_mut().map(Told::read_only).collect();
    clients.iter_mut().for_each(|client| drop(client.value("COMMIT")));
    shown
}

fn follow(pool_mode: &str, pool_size: usize) {
    let server = postgres(&Options::default());
    let pooler = format!("pool_mode = \"{pool_mode}\"\ndefault_pool_size = {pool_size}");
    let pgotter = PgOtter::in_front_of(&server, &pooler);
    let mut direct = Told::log_in(server.port());
    let [mut these, mut those] = [(); 2].map(|()| [(); 2].map(|()| Told::log_in(pgotter.port())));
    assert_eq!([together(&mut these), together(&mut those)], [["off"; 2]; 2]);
    for sql in [&format!("ALTER SYSTEM SET {READ_ONLY} = on"), "SELECT pg_reload_conf()"] {
        must(server.psql("postgres", sql));
    }
    eventually("PostgreSQL follows", || direct.read_only() == "on");
    eventually("clients do", || together(&mut those) == ["on"; 2]);
    eventually("all of them", || together(&mut these) == ["on"; 2]);
    assert_eq!([together(&mut these), together(&mut those)], [["on"; 2]; 2]);
}

#[test]
fn a_changed_configuration_is_told_in_transaction_mode() {
    follow("transaction", 2);
}

#[test]
fn a_changed_configuration_is_told_in_session_mode() {
    follow("session", 4);
}
