//! Many clients on few servers: what needs no server of one's own takes none, and costs no server its life.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::collections::HashSet;
use std::sync::OnceLock;
use std::thread;

const SERVERS: usize = 10;
const CLIENTS: usize = 200;
const ROUNDS: usize = 10;
/// Whose transactions set a tenant, and how many of them each has.
const TENANTS: usize = 50;
const TRANSACTIONS: usize = 200;

fn server() -> &'static LocalPostgres {
    static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = postgres(&Options::default());
        must(
            server.psql("postgres", "CREATE SEQUENCE numbers; CREATE TABLE ticket (id serial); CREATE TABLE resets ()"),
        );
        server
    })
}

fn pgotter(more: &str) -> PgOtter {
    PgOtter::in_front_of(server(), more)
}

fn ten_servers() -> PgOtter {
    pgotter(&format!("default_pool_size = {SERVERS}\nquery_wait_timeout = \"60s\""))
}

/// As many clients.
fn clients(pgotter: &PgOtter, count: usize) -> Vec<Raw> {
    let name = format!("one of {count}");
    (0..count).map(|_| Raw::log_in(pgotter.port(), &[("application_name", &name)])).collect()
}

/// All of them at once; what each brings.
fn at_once<T: Send>(clients: &mut [Raw], work: impl Fn(usize, &mut Raw) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let begin = |(number, client)| scope.spawn(move || work(number, client));
        let threads: Vec<_> = clients.iter_mut().enumerate().map(begin).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Every server at the same time: fails if somebody keeps one.
fn assert_nobody_keeps_a_server(clients: &mut [Raw]) {
    for client in &mut clients[..SERVERS] {
        client.ask("BEGIN");
        client.value("SELECT 1");
    }
    for client in &mut clients[..SERVERS] {
        client.ask("ROLLBACK");
    }
}

#[test]
fn two_hundred_clients_that_draw_from_sequences_keep_no_server() {
    let pgotter = ten_servers();
    let mut clients = clients(&pgotter, CLIENTS);
    let drawn = at_once(&mut clients, |_, client| {
        let mut drawn = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            drawn.0.push(client.value("SELECT nextval('numbers')"));
            drawn.1.push(client.value("INSERT INTO ticket DEFAULT VALUES RETURNING id"));
            client.ask("BEGIN");
            drawn.1.push(client.value("INSERT INTO ticket DEFAULT VALUES RETURNING id"));
            client.ask("COMMIT");
        }
        drawn
    });
    assert_nobody_keeps_a_server(&mut clients);
    let numbers: HashSet<_> = drawn.iter().flat_map(|drawn| &drawn.0).collect();
    let tickets: HashSet<_> = drawn.iter().flat_map(|drawn| &drawn.1).collect();
    assert_eq!((numbers.len(), tickets.len()), (CLIENTS * ROUNDS, 2 * CLIENTS * ROUNDS));
}

/// The pool's servers, by process and birth.
fn servers() -> String {
    must(server().psql(
        "postgres",
        &format!(
            "SELECT count(*), string_agg(pid || ' ' || backend_start, ';' ORDER BY pid) FROM pg_stat_activity \
         WHERE backend_type = 'client backend' AND application_name = 'one of {TENANTS}'"
        ),
    ))
}

#[test]
fn ten_thousand_transactions_that_set_a_tenant_need_no_new_server() {
    let pgotter = ten_servers();
    let transaction = |client: &mut Raw, tenant: &str, sets: &str| {
        client.ask("BEGIN");
        // It is there, and says nothing, as behind an earlier SET LOCAL of one's own.
        assert_eq!(client.value("SELECT coalesce(current_setting('app.tenant', true), '')"), "");
        assert!(error_code(&client.ask(sets)).is_none());
        assert_eq!(client.value("SELECT current_setting('app.tenant')"), tenant);
        client.ask("COMMIT");
    };
    let (local, function) = (
        |tenant: &str| format!("SET LOCAL app.tenant = '{tenant}'"),
        |tenant: &str| format!("SELECT set_config('app.tenant', '{tenant}', true)"),
    );
    let transactions = |count: usize| {
        move |number: usize, client: &mut Raw| {
            let tenant = format!("tenant {number}");
            for round in 0..count {
                transaction(client, &tenant, &if round.is_multiple_of(2) { local(&tenant) } else { function(&tenant) });
            }
        }
    };
    let mut clients = clients(&pgotter, TENANTS);
    at_once(&mut clients, transactions(4));
    assert_nobody_keeps_a_server(&mut clients);
    let before = servers();
    assert!(before.starts_with("10|"), "{before}");
    at_once(&mut clients, transactions(TRANSACTIONS));
    assert_eq!(servers(), before);
}

#[test]
fn server_reset_query_always_runs_it_behind_every_transaction() {
    for (mode, always, behind_each, behind_all) in
        [("transaction", true, 1, 0), ("transaction", false, 0, 0), ("session", true, 0, 1), ("session", false, 0, 1)]
    {
        must(server().psql("postgres", "TRUNCATE resets"));
        let pgotter = pgotter(&format!(
            "default_pool_size = 1\npool_mode = \"{mode}\"\nserver_reset_query_always = {always}\n\
             server_reset_query = \"INSERT INTO resets DEFAULT VALUES\""
        ));
        let mut client = Raw::log_in(pgotter.port(), &[("application_name", "resets")]);
        client.value("SELECT 1");
        client.ask("SET work_mem = '7MB'");
        client.ask("BEGIN");
        client.value("SELECT 1");
        client.ask("COMMIT");
        assert_eq!(client.value("SHOW work_mem"), "7MB", "{mode}, always {always}: it is its own all the same");
        client.send(&terminate());
        client.until_end();
        let mut next = Raw::log_in(pgotter.port(), &[]);
        let expected = if mode == "session" { behind_all } else { 4 * behind_each };
        assert_eq!(next.value("SELECT count(*) FROM resets"), expected.to_string(), "{mode}, always {always}");
    }
}
