//! PostgreSQL's configuration is changed while sessions go on: who has set nothing follows it, there and back, as a session of
//! PostgreSQL's own does.

use crate::support::raw::*;
use crate::support::waiting::eventually;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
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

fn configure(server: &LocalPostgres, value: &str) {
    for sql in [format!("ALTER SYSTEM SET {READ_ONLY} = {value}"), "SELECT pg_reload_conf()".to_owned()] {
        must(server.psql("postgres", &sql));
    }
}

fn comes(pgotter: &PgOtter) -> Told {
    Told::log_in(pgotter.port())
}

/// Two that say themselves how they want it.
fn who_set_it(pgotter: &PgOtter) -> [Told; 2] {
    ["on", "off"].map(|value| {
        let mut client = comes(pgotter);
        client.value(&format!("SET {READ_ONLY} = {value}"));
        client
    })
}

#[test]
fn a_changed_configuration_is_followed_there_and_back() {
    let server = postgres(&Options::default());
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2");
    let [mut these, mut those] = [(); 2].map(|()| [(); 2].map(|()| comes(&pgotter)));
    assert_eq!([together(&mut these), together(&mut those)], [["off"; 2]; 2]);
    for _ in 0..2 {
        configure(&server, "on");
        eventually("both servers follow", || together(&mut those) == ["on"; 2]);
        assert_eq!(together(&mut these), ["on"; 2]);
        let mut came = comes(&pgotter);
        assert_eq!(came.read_only(), "on");
        let mut set = who_set_it(&pgotter);
        for _ in 0..2 {
            assert_eq!(set.each_mut().map(Told::read_only), ["on", "off"]);
            assert_eq!([together(&mut these), together(&mut those)], [["on"; 2]; 2]);
        }

        configure(&server, "off");
        eventually("both servers follow", || together(&mut those) == ["off"; 2]);
        assert_eq!(together(&mut these), ["off"; 2]);
        assert_eq!([came.read_only(), comes(&pgotter).read_only()], ["off"; 2]);
        for _ in 0..2 {
            assert_eq!(set.each_mut().map(Told::read_only), ["on", "off"]);
            these.reverse();
            assert_eq!([together(&mut these), together(&mut those)], [["off"; 2]; 2]);
        }
    }
}

#[test]
fn in_session_mode_a_changed_configuration_is_followed_too() {
    let server = postgres(&Options::default());
    let pgotter = PgOtter::in_front_of(&server, "pool_mode = \"session\"\ndefault_pool_size = 9");
    let mut clients = [(); 3].map(|()| comes(&pgotter));
    assert_eq!(together(&mut clients), ["off"; 3]);
    configure(&server, "on");
    eventually("all follow", || together(&mut clients) == ["on"; 3]);
    let mut set = who_set_it(&pgotter);
    assert_eq!(set.each_mut().map(Told::read_only), ["on", "off"]);
    let [mut stays, leaves, _other] = clients;
    drop(leaves);
    let back = "SELECT count(*) FROM pg_stat_activity WHERE query = 'DISCARD ALL' AND state = 'idle'";
    let is_back = || eventually("its server is back", || must(server.psql("postgres", back)).trim() == "1");
    is_back();
    configure(&server, "off");
    eventually("who stays follows", || stays.read_only() == "off");
    // By turns on that server, which says so to the first of them.
    for _ in 0..3 {
        assert_eq!(comes(&pgotter).read_only(), "off");
        is_back();
    }
    assert_eq!(set.each_mut().map(Told::read_only), ["on", "off"]);
}
