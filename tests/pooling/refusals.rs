//! PostgreSQL refuses our login: whoever waits hears of it in PostgreSQL's words, and PostgreSQL hears little of us.

use super::proxy::Proxy;
use super::support::{PgOtter, must, postgres};
use super::talk::{Answer, Client};
use super::world::{config, eventually};
use pgotter::cli::local_postgres::{HostAuth, LocalPostgres, Options};
use std::thread;
use std::time::Instant;

/// Longer than a test waits for an answer.
const PATIENT: &str =
    "server_connect_timeout = \"10min\"\nquery_wait_timeout = \"10min\"\nserver_login_retry = \"10min\"";

/// PostgreSQL that asks for a password, and two users of PgOtter, which knows that of one of them.
struct Place {
    server: LocalPostgres,
    proxy: Proxy,
    pooler: PgOtter,
}

impl Place {
    fn new() -> Self {
        let server = postgres(&Options { auth: HostAuth::ScramSha256, ..Options::default() });
        must(server.psql(
            "postgres",
            "CREATE ROLE right_one LOGIN PASSWORD 'right'; CREATE ROLE wrong_one LOGIN PASSWORD 'right'",
        ));
        let proxy = Proxy::before(server.port(), 0);
        let users = "[users.right_one]\npassword = \"right\"\n[users.wrong_one]\npassword = \"wrong\"";
        let pooler = format!("{PATIENT}\ndefault_pool_size = 4");
        let pooler = PgOtter::start(|port| config(port, &format!("127.0.0.1:{}", proxy.port), &pooler, users));
        Self { server, proxy, pooler }
    }

    fn log_in(&self, user: &str, database: &str) -> Result<Client, Answer> {
        Client::try_connect(self.pooler.port(), &[("user", user), ("database", database)])
    }

    /// `storm` costs a login for each place of the pool, and then one a second.
    fn logins_stay_few_in(&self, storm: impl FnOnce()) {
        let (since, before) = (Instant::now(), self.proxy.connections());
        storm();
        let logins = self.proxy.connections() - before;
        let allowed = 4 + 1 + usize::try_from(since.elapsed().as_secs()).unwrap();
        assert!(logins <= allowed, "{logins} logins, allowed were {allowed}");
    }

    /// Changes the password on the server and ends what was opened with the old one.
    fn password_becomes(&self, password: &str) {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'right_one'";
        // Two transactions: before the end of the first the old password is still right.
        must(self.server.psql("postgres", &format!("ALTER ROLE right_one PASSWORD '{password}'")));
        must(self.server.psql("postgres", end));
    }
}

#[test]
fn a_wrong_server_password_and_a_missing_database_are_told_at_once_in_postgresqls_words() {
    let place = Place::new();
    for _ in 0..2 {
        place.log_in("wrong_one", "postgres").err().unwrap().fatal("28P01");
        let missing = place.log_in("right_one", "nowhere").err().unwrap();
        missing.fatal("3D000");
        assert_eq!(missing.errors[0].message, "database \"nowhere\" does not exist");
    }
    // Neither keeps the right ones out.
    assert_eq!(place.log_in("right_one", "postgres").unwrap().value("SELECT 1"), "1");
}

#[test]
fn a_storm_of_clients_whose_server_password_is_wrong_is_none_for_postgresql() {
    let place = Place::new();
    place.logins_stay_few_in(|| {
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    (0..10).for_each(|_| place.log_in("wrong_one", "postgres").err().unwrap().fatal("28P01"));
                });
            }
        });
    });
}

#[test]
fn requests_hear_of_a_password_that_changed_and_work_again_soon_after_it_is_put_right() {
    let place = Place::new();
    let mut clients: Vec<_> = (0..20).map(|_| place.log_in("right_one", "postgres").unwrap()).collect();
    assert_eq!(clients[0].value("SELECT 1"), "1");
    place.password_becomes("new");
    // The first ones may meet a server in its last moment.
    eventually("the servers are gone", || {
        let answer = place.log_in("right_one", "postgres").unwrap().query("SELECT 1");
        answer.errors.first().is_some_and(|error| error.code == "28P01")
    });
    place.logins_stay_few_in(|| {
        for _ in 0..10 {
            clients.iter_mut().for_each(|client| client.query("SELECT 1").error("28P01"));
        }
    });
    place.password_becomes("right");
    // Much sooner than after `server_login_retry`.
    eventually("it works again", || clients[0].query("SELECT 1").errors.is_empty());
    clients.iter_mut().for_each(|client| assert_eq!(client.value("SELECT 1"), "1"));
}

#[test]
fn a_refused_login_costs_nothing_while_another_server_of_the_pool_is_open() {
    let place = Place::new();
    let mut holder = place.log_in("right_one", "postgres").unwrap();
    assert_eq!(holder.query("BEGIN -- with a server").status, Some(b'T'));
    must(place.server.psql("postgres", "ALTER ROLE right_one PASSWORD 'new'"));
    let before = place.proxy.connections();
    let mut waits = place.log_in("right_one", "postgres").unwrap();
    waits.send(&super::talk::query("SELECT 'served'"));
    eventually("a login has failed", || {
        place.proxy.connections() > before && place.pooler.log().contains("cannot open")
    });
    assert_eq!(holder.query("COMMIT").status, Some(b'I'));
    assert_eq!(waits.answer().value(), "served");
}
