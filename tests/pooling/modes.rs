//! When a server goes back: behind the transaction, the session, the statement.

use super::talk::Client;
use super::world::{eventually, fresh_role, look, pgotter, servers_of};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn fifty_clients_share_five_servers_and_never_a_transaction() {
    fifty_clients_share(5, 1);
}

#[test]
fn fifty_clients_on_three_workers_share_twenty_five_servers_and_never_a_transaction() {
    fifty_clients_share(25, 3);
}

fn fifty_clients_share(servers: usize, workers: usize) {
    let role = fresh_role();
    let pooler = pgotter(&format!("default_pool_size = {servers}\nworkers = {workers}"), "");
    let port = pooler.port();
    let running = AtomicBool::new(true);
    let backends: HashSet<String> = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while running.load(Ordering::Relaxed) {
                assert!(servers_of(&role) <= servers);
            }
        });
        let clients: Vec<_> = (0..50)
            .map(|number| {
                scope.spawn({
                    let role = &role;
                    move || ten_transactions(&mut Client::connect(port, role, "postgres"), number)
                })
            })
            .collect();
        let backends = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        running.store(false, Ordering::Relaxed);
        watch.join().unwrap();
        backends
    });
    assert!((1..=servers).contains(&backends.len()), "{backends:?}");
    let open = servers_of(&role);
    assert!((backends.len()..=servers).contains(&open), "{open} open, {} used", backends.len());
}

/// The backends they ran on.
fn ten_transactions(client: &mut Client, number: usize) -> Vec<String> {
    let mut backends = Vec::new();
    for round in 0..10 {
        let mine = format!("{number}-{round}");
        let path = client.value("SELECT current_setting('search_path')");
        assert_eq!(path, "\"$user\", public", "another's transaction");
        assert_eq!(client.query("BEGIN -- with a server").status, Some(b'T'));
        client.query(&format!("SET LOCAL search_path = '{mine}'"));
        let backend = client.backend();
        let transaction = client.value("SELECT pg_current_xact_id()");
        let again =
            client.query("SELECT trim(current_setting('search_path'), '\"'), pg_backend_pid(), pg_current_xact_id()");
        assert_eq!(again.rows, [[mine, backend.clone(), transaction]]);
        assert_eq!(client.query("COMMIT").status, Some(b'I'));
        backends.push(backend);
    }
    backends
}

#[test]
fn a_session_keeps_its_server_and_the_next_one_finds_nothing_of_it() {
    let role = fresh_role();
    let pooler = pgotter("pool_mode = \"session\"\ndefault_pool_size = 1\nquery_wait_notify = \"10ms\"", "");
    let named = |name| [("user", &*role), ("database", "postgres"), ("application_name", name)];
    let mut first = Client::connect_with(pooler.port(), &named("first"));
    let mut second = Client::connect_with(pooler.port(), &named("second"));
    let backend = first.backend();
    first.query("CREATE TEMP TABLE left_behind (n int)");
    first.query("SET work_mem = '7MB'");
    first.query("PREPARE left_prepared AS SELECT 1");
    first.query("SELECT pg_advisory_lock(4711)");
    second.queue("SELECT pg_backend_pid()");
    assert_eq!(first.value("SELECT count(*) FROM left_behind"), "0");
    assert_eq!(first.backend(), backend);
    assert_eq!(first.value("SHOW application_name"), "first");
    first.leave();
    assert_eq!(second.answer().value(), backend);
    assert_eq!(second.value("SELECT coalesce(to_regclass('left_behind')::text, '')"), "");
    assert_eq!(second.value("SHOW work_mem"), "4MB");
    assert_eq!(second.query("EXECUTE left_prepared").code(), "26000");
    assert_eq!(look("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"), "0");
    assert_eq!(second.value("SHOW application_name"), "second");
}

#[test]
fn a_session_that_breaks_off_in_a_transaction_leaves_nothing_to_the_next() {
    let role = fresh_role();
    let pooler = pgotter("pool_mode = \"session\"\ndefault_pool_size = 1\nquery_wait_notify = \"10ms\"", "");
    let mut first = Client::connect(pooler.port(), &role, "postgres");
    let mut second = Client::connect(pooler.port(), &role, "postgres");
    first.query("BEGIN; SET work_mem = '7MB'");
    second.queue("SHOW work_mem");
    drop(first);
    let answer = second.answer();
    assert_eq!((answer.value(), answer.status), ("4MB", Some(b'I')));
}

#[test]
fn a_reset_query_of_ones_own_is_what_runs_behind_a_session() {
    let role = fresh_role();
    let session = "pool_mode = \"session\"\ndefault_pool_size = 1\nquery_wait_notify = \"10ms\"";
    let pooler = pgotter(&format!("{session}\nserver_reset_query = \"SET work_mem = '9MB'\""), "");
    let mut first = Client::connect(pooler.port(), &role, "postgres");
    let mut second = Client::connect(pooler.port(), &role, "postgres");
    let backend = first.backend();
    second.queue("SHOW work_mem");
    first.leave();
    assert_eq!(second.answer().value(), "9MB");
    assert_eq!(second.backend(), backend);
}

#[test]
fn a_session_whose_reset_fails_costs_its_server() {
    let role = fresh_role();
    let session = "pool_mode = \"session\"\ndefault_pool_size = 1\nquery_wait_notify = \"10ms\"";
    let pooler = pgotter(&format!("{session}\nserver_reset_query = \"SELECT 1/0\""), "");
    let mut first = Client::connect(pooler.port(), &role, "postgres");
    let mut second = Client::connect(pooler.port(), &role, "postgres");
    let backend = first.backend();
    second.queue("SELECT pg_backend_pid()");
    first.leave();
    assert_ne!(second.answer().value(), backend);
}

#[test]
fn statement_mode_runs_statements_and_refuses_transaction_blocks() {
    let role = fresh_role();
    let pooler = pgotter("pool_mode = \"statement\"\ndefault_pool_size = 1", "");
    let mut steady = Client::connect(pooler.port(), &role, "postgres");
    for begin in ["BEGIN", "START TRANSACTION", "SELECT 1; BEGIN"] {
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        client.query(begin).fatal("0A000");
    }
    // Autocommit, and nobody's transaction is left open.
    assert_eq!(steady.query("SELECT 1").status, Some(b'I'));
    assert_eq!(steady.value("SELECT count(*) FROM generate_series(1, 10)"), "10");
    eventually("one server", || servers_of(&role) == 1);
}

#[test]
fn a_user_and_a_database_may_have_modes_of_their_own() {
    let (anybody, somebody) = (fresh_role(), fresh_role());
    let host = super::world::host(super::world::cluster());
    let statement =
        format!("[databases.single]\ndbname = \"postgres\"\nhosts = [\"{host}\"]\npool_mode = \"statement\"");
    let session = format!("[users.{somebody}]\npool_mode = \"session\"");
    let pooler = pgotter("default_pool_size = 1", &format!("{statement}\n{session}"));
    Client::connect(pooler.port(), &anybody, "single").query("BEGIN -- with a server").fatal("0A000");
    for database in ["postgres", "single"] {
        let mut own = Client::connect(pooler.port(), &somebody, database);
        own.query("SET work_mem = '7MB'");
        assert_eq!(own.value("SHOW work_mem"), "7MB");
        assert_eq!(own.query("BEGIN -- with a server").status, Some(b'T'));
        own.leave();
        assert_eq!(Client::connect(pooler.port(), &somebody, database).value("SHOW work_mem"), "4MB");
    }
}

#[test]
fn in_statement_mode_a_pipeline_is_stopped_where_its_transaction_begins() {
    let role = fresh_role();
    look(&format!("CREATE TABLE piped_{role} (n int); ALTER TABLE piped_{role} OWNER TO {role}"));
    let pooler = pgotter("pool_mode = \"statement\"\ndefault_pool_size = 1", "");
    let insert = format!("INSERT INTO piped_{role} VALUES (1)");
    for pipeline in [["BEGIN", &insert, "COMMIT"], ["BEGIN", &insert, "SELECT 1"]] {
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        client.send(&pipeline.map(super::talk::query).concat());
        let answer = client.answer();
        answer.fatal("0A000");
        assert_eq!(answer.tags, ["BEGIN"]);
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        let extended = pipeline.map(|sql| [super::talk::extended(sql), super::talk::SYNC.to_vec()].concat());
        client.send(&extended.concat());
        client.answer().fatal("0A000");
    }
    let mut next = Client::connect(pooler.port(), &role, "postgres");
    assert_eq!(next.query("SELECT 1").status, Some(b'I'));
}
