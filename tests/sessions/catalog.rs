//! What functions, triggers and views leave in a session is found in the catalog: what is harmless costs nothing, and what is not
//! is seen by nobody else.

use crate::support::raw::*;
use crate::support::waiting::eventually;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};

/// Each test has one of its own, and reads its log.
fn server(setup: &[&str]) -> LocalPostgres {
    let server = postgres(&Options { settings: vec!["log_statement = all".to_owned()], ..Options::default() });
    for sql in setup {
        must(server.psql("postgres", sql));
    }
    server
}

fn pgotter(server: &LocalPostgres) -> PgOtter {
    PgOtter::in_front_of(server, "default_pool_size = 1\nquery_wait_timeout = \"20s\"\n")
}

fn done(client: &mut Raw, sql: &str) {
    let answer = client.ask(sql);
    assert!(error_code(&answer).is_none(), "{sql}: {}", print(&answer));
}

/// What PgOtter has asked at boundaries, and how often it has read the catalog, in the log behind `from` bytes. What it asks
/// behind a statement stands there before the next one.
fn questions(server: &LocalPostgres, from: usize) -> (usize, usize) {
    let log = server.log();
    let log = &log[from..];
    let asked =
        ["SELECT pg_catalog.pg_my_temp_schema()", "SELECT false, false"].map(|begin| log.matches(begin).count());
    (asked.iter().sum(), log.matches("WITH whole(").count())
}

/// Runs this until it is answered without a question.
fn until_unasked(client: &mut Raw, sql: &str, server: &LocalPostgres) {
    for _ in 0..10_000 {
        let from = server.log().len();
        done(client, sql);
        client.value("SELECT 1");
        if questions(server, from).0 == 0 {
            return;
        }
    }
    panic!("{sql} never went without a question");
}

const LOCKS: &str = "CREATE FUNCTION locks() RETURNS void LANGUAGE sql AS $$ SELECT pg_advisory_lock(7) $$";

#[test]
fn a_harmless_function_costs_no_question() {
    let server = server(&[
        "CREATE TABLE t (a int)",
        "CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS $$ SELECT 2 * a $$",
        "CREATE FUNCTION four(a int) RETURNS int LANGUAGE plpgsql AS $$
         DECLARE v int; BEGIN IF (a > 0) THEN SELECT twice(a) INTO v; END IF; RETURN twice(v); END $$",
        "CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN EXECUTE format('SELECT %L', four(new.a)); RETURN new; END $$",
        "CREATE TRIGGER put BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION put()",
        "CREATE FUNCTION hidden() RETURNS int LANGUAGE plpgsql AS
         $$ BEGIN RETURN nobody(); EXCEPTION WHEN OTHERS THEN RETURN 2; END $$",
    ]);
    let pgotter = pgotter(&server);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.value("SELECT 1");
    let from = server.log().len();
    assert_eq!(client.value("SELECT four(2)"), "8");
    done(&mut client, "INSERT INTO t VALUES (1)");
    client.send(&[parse("", "SELECT four(3)"), bind("", "", &[]), execute("", 0), sync()].concat());
    assert_eq!(first_value(&client.until_ready()).unwrap(), "12");
    client.value("SELECT 1");
    assert_eq!(questions(&server, from), (0, 0));
    client.value("SELECT hidden()");
    client.value("SELECT 1");
    assert_eq!(questions(&server, from), (1, 0));
}

/// What the function that has taken the place of another one sets is seen by who calls it, and by nobody else.
fn sets_for_its_client_alone(pgotter: &PgOtter, client: &mut Raw) {
    assert_eq!(client.value("SELECT later()"), "2");
    assert_eq!(client.value("SHOW work_mem"), "7MB");
    let mut other = Raw::log_in(pgotter.port(), &[]);
    assert_eq!(other.value("SHOW work_mem"), "4MB");
}

#[test]
fn what_is_defined_behind_its_clients_back_is_hidden_until_it_is() {
    let server = server(&["CREATE FUNCTION later() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$"]);
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2\nquery_wait_timeout = \"20s\"\n");
    let mut direct = Raw::log_in(server.port(), &[]);
    direct.value("SELECT pg_advisory_lock(9)::text");
    let (mut leaves, mut client) = (Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[]));
    client.value("SELECT later()");
    leaves.send(&query(
        "CREATE OR REPLACE FUNCTION later() RETURNS int LANGUAGE plpgsql AS
         $$ BEGIN SET work_mem = '7MB'; RETURN 2; END $$;
         DO $$ BEGIN LOOP
           BEGIN
             PERFORM pg_advisory_xact_lock(9);
             EXIT;
           EXCEPTION WHEN query_canceled THEN
           END;
         END LOOP; END $$",
    ));
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    eventually("it waits", || direct.value(waiting) == "1");
    drop(leaves);
    // Nobody reads it yet; who did would learn of the function that is still there.
    for _ in 0..2_000 {
        client.value("SELECT 1");
    }
    assert_eq!(questions(&server, 0).1, 1, "{}", server.log());
    direct.value("SELECT pg_advisory_unlock(9)");
    let defined = "SELECT count(*) FROM pg_proc WHERE prosrc LIKE '%7MB%'";
    eventually("it is defined", || direct.value(defined) == "1");
    sets_for_its_client_alone(&pgotter, &mut client);
}

#[test]
fn what_a_do_defines_by_a_computed_text_is_soon_known() {
    let server = server(&["CREATE FUNCTION later() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$"]);
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2\nquery_wait_timeout = \"20s\"\n");
    let (mut migrates, mut client) = (Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[]));
    client.value("SELECT later()");
    done(
        &mut migrates,
        "DO $do$ BEGIN EXECUTE 'CREATE OR REPLACE FUNCTION later() RETURNS int LANGUAGE plpgsql AS '
         || quote_literal('BEGIN SET work_mem = ''7MB''; RETURN 2; END'); END $do$",
    );
    // The reading that is due runs behind a transaction, on the one server that nobody keeps: who comes next waits for it.
    let unread = (0..10_000).take_while(|_| {
        client.value("SELECT 1");
        questions(&server, 0).1 < 2
    });
    assert!(unread.count() < 10_000, "the catalog was not read again");
    sets_for_its_client_alone(&pgotter, &mut client);
}

/// Until the catalog is read so often. A reading runs behind a transaction, on the one server that nobody keeps: who comes next waits for it.
fn until_read(client: &mut Raw, times: usize, server: &LocalPostgres) {
    eventually("the catalog is read again", || {
        client.value("SELECT 1");
        questions(server, 0).1 >= times
    });
}

#[test]
fn what_a_do_has_defined_whose_client_has_vanished_is_soon_known() {
    let server = server(&["CREATE FUNCTION later() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$"]);
    let pgotter = pgotter(&server);
    let mut direct = Raw::log_in(server.port(), &[]);
    direct.value("SELECT pg_advisory_lock(9)::text");
    let (mut vanishes, mut client) = (Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[]));
    client.value("SELECT later()");
    vanishes.send(&query(
        "DO $do$ BEGIN EXECUTE 'CREATE OR REPLACE FUNCTION later() RETURNS int LANGUAGE plpgsql AS '
         || quote_literal('BEGIN SET work_mem = ''7MB''; RETURN 2; END'); COMMIT; PERFORM pg_advisory_lock(9); END $do$",
    ));
    eventually("it waits", || direct.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1");
    drop(vanishes);
    until_read(&mut client, 2, &server);
    sets_for_its_client_alone(&pgotter, &mut client);
}

#[test]
fn what_a_function_defines_by_a_computed_text_is_known_within_seconds() {
    let server = server(&[
        "CREATE FUNCTION later() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$",
        "CREATE FUNCTION migrate(body text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
         EXECUTE 'CREATE OR REPLACE FUNCTION later() RETURNS int LANGUAGE plpgsql AS ' || quote_literal(body); END $$",
    ]);
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2\nquery_wait_timeout = \"20s\"\n");
    let (mut migrates, mut client) = (Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[]));
    client.value("SELECT later()");
    done(&mut migrates, "SELECT migrate('BEGIN SET work_mem = ''7MB''; RETURN 2; END')");
    until_read(&mut client, 2, &server);
    sets_for_its_client_alone(&pgotter, &mut client);
}

#[test]
fn what_a_prepared_transaction_has_defined_counts_from_its_commit_on() {
    let settings = vec!["log_statement = all".to_owned(), "max_prepared_transactions = 2".to_owned()];
    let server = postgres(&Options { settings, ..Options::default() });
    must(server.psql("postgres", "CREATE FUNCTION later() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$"));
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2\nquery_wait_timeout = \"20s\"\n");
    let [mut migrates, mut commits, mut client] = [(); 3].map(|()| Raw::log_in(pgotter.port(), &[]));
    for sql in [
        "BEGIN",
        "CREATE OR REPLACE FUNCTION later() RETURNS int LANGUAGE plpgsql AS $$ BEGIN SET work_mem = '7MB'; RETURN 2; END $$",
        "PREPARE TRANSACTION 'it'",
    ] {
        done(&mut migrates, sql);
    }
    // As it is for now.
    until_unasked(&mut client, "SELECT later()", &server);
    done(&mut commits, "COMMIT PREPARED 'it'");
    sets_for_its_client_alone(&pgotter, &mut client);
}

#[test]
fn what_is_refused_leaves_the_catalog_as_it_is() {
    let server = server(&["CREATE FUNCTION one() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$"]);
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2\nmax_pinned = 1");
    let [mut pinned, mut refused, mut other] = [(); 3].map(|()| Raw::log_in(pgotter.port(), &[]));
    done(&mut pinned, "CREATE TEMP TABLE theirs (a int)");
    let answer = refused.ask("CREATE TABLE x AS SELECT pg_advisory_lock(1)");
    assert_eq!(error_code(&answer).as_deref(), Some("53300"), "{}", print(&answer));
    until_unasked(&mut other, "SELECT one()", &server);
}

#[test]
fn a_custom_setting_inside_a_function_is_its_clients_alone() {
    let server = server(&[
        "CREATE FUNCTION whole(v text) RETURNS void LANGUAGE plpgsql AS
         $$ BEGIN PERFORM set_config('app.whole', v, false); END $$",
        "CREATE FUNCTION part(v text) RETURNS void LANGUAGE sql AS $$ SELECT set_config('app.part', v, true) $$",
        "CREATE FUNCTION own() RETURNS int LANGUAGE sql SET app.own = '1' AS $$ SELECT 1 $$",
        "CREATE FUNCTION any_of(n text, v text) RETURNS void LANGUAGE plpgsql AS
         $$ BEGIN EXECUTE format('SET %I.x = %L', n, v); END $$",
        "CREATE TABLE t (a int)",
        "CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN SET LOCAL app.fires = 'x'; RETURN new; END $$",
        "CREATE TRIGGER fires BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires()",
    ]);
    let more = "default_pool_size = 2\nmax_pinned = 1\nquery_wait_timeout = \"20s\"\n";
    let pgotter = PgOtter::in_front_of(&server, more);
    for (sql, name, kept) in [
        ("SELECT whole('secret')", "app.whole", "secret"),
        ("SELECT part('secret')", "app.part", ""),
        ("SELECT own()", "app.own", ""),
        ("INSERT INTO t VALUES (1)", "app.fires", ""),
        ("SELECT any_of('app', 'secret')", "app.x", "secret"),
    ] {
        let shows = format!("SELECT coalesce(current_setting('{name}', true), 'none')");
        let mut client = Raw::log_in(pgotter.port(), &[]);
        done(&mut client, sql);
        for _ in 0..3 {
            let mut other = Raw::log_in(pgotter.port(), &[]);
            assert_eq!(other.value(&shows), "none", "behind {sql}");
            assert_eq!(client.value(&shows), kept, "behind {sql}");
        }
    }
}

#[test]
fn triggers_and_views_pin_as_the_functions_behind_them() {
    let server = server(&[
        LOCKS,
        "CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM locks(); RETURN new; END $$",
        "CREATE TABLE parent (a int) PARTITION BY LIST (a)",
        "CREATE TABLE child PARTITION OF parent FOR VALUES IN (1)",
        "CREATE TRIGGER fires BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION fires()",
        "CREATE VIEW upon AS SELECT locks()::text AS a",
        "CREATE VIEW builtin AS SELECT pg_try_advisory_lock(7) AS taken",
        "CREATE TABLE filled (a int, b text DEFAULT locks()::text)",
        "CREATE FUNCTION atomic() RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT pg_advisory_lock(7); END",
    ]);
    let pgotter = pgotter(&server);
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    for sql in [
        "INSERT INTO parent VALUES (1)",
        "SELECT * FROM builtin",
        "SELECT * FROM upon",
        "INSERT INTO filled VALUES (1)",
        "SELECT atomic()",
    ] {
        let mut client = Raw::log_in(pgotter.port(), &[]);
        done(&mut client, sql);
        let mut other = Raw::log_in(pgotter.port(), &[]);
        other.send(&query(locks));
        for _ in 0..3 {
            assert_eq!(client.value(locks), "1", "behind {sql}");
        }
        assert!(other.hears_nothing(), "{sql}: the server was given to another client");
        done(&mut client, "SELECT pg_advisory_unlock_all()");
        assert_eq!(first_value(&other.until_ready()).unwrap(), "0", "behind {sql}");
    }
}

#[test]
fn what_clients_create_replace_and_drop_is_noticed() {
    let server = server(&["CREATE TABLE t (a int)", LOCKS]);
    let pgotter = pgotter(&server);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    let mut other = Raw::log_in(pgotter.port(), &[]);
    let seen = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    let f = |body: &str| format!("CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE sql AS $$ {body} $$");
    let is_pinned = |client: &mut Raw, other: &mut Raw| {
        other.send(&query(seen));
        assert_eq!(client.value(seen), "1");
        assert!(other.hears_nothing(), "the server was given to another client");
        done(client, "SELECT pg_advisory_unlock_all()");
        assert_eq!(first_value(&other.until_ready()).unwrap(), "0");
    };
    done(&mut client, &f("SELECT NULL::void"));
    until_unasked(&mut client, "SELECT f()", &server);
    // Replaced and called before anybody else can see it.
    done(&mut client, "BEGIN");
    done(&mut client, &f("SELECT pg_advisory_lock(7)"));
    done(&mut client, "SELECT f()");
    done(&mut client, "COMMIT");
    is_pinned(&mut client, &mut other);
    // A trigger on a table that had none, and without it again.
    let fires = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM locks(); RETURN new; END $$";
    done(&mut other, &format!("CREATE FUNCTION fires() {fires}"));
    until_unasked(&mut other, "INSERT INTO t VALUES (1)", &server);
    done(&mut other, "CREATE TRIGGER fires BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires()");
    done(&mut client, "INSERT INTO t VALUES (1)");
    is_pinned(&mut client, &mut other);
    done(&mut client, "DROP TRIGGER fires ON t");
    until_unasked(&mut client, "INSERT INTO t VALUES (1)", &server);
}

#[test]
fn what_a_trigger_has_left_that_nobody_had_looked_at_pins_nobody_else() {
    let server = server(&["CREATE TABLE t (a int)", LOCKS]);
    let pgotter = pgotter(&server);
    let [mut client, mut other] = [(); 2].map(|()| Raw::log_in(pgotter.port(), &[]));
    until_unasked(&mut client, "INSERT INTO t VALUES (1)", &server);
    let fires = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM locks(); RETURN new; END $$";
    must(server.psql("postgres", &format!("CREATE FUNCTION fires() {fires}")));
    must(server.psql("postgres", "CREATE TRIGGER fires BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires()"));
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    done(&mut client, "INSERT INTO t VALUES (1)");
    assert_eq!(must(server.psql("postgres", held)), "1");
    // Asked for what is its own, it finds the lock as well.
    done(&mut other, "CREATE TEMP TABLE mine (n int)");
    client.send(&query("SELECT 'waits for the only server'"));
    assert_eq!(other.value("SELECT count(*) FROM mine"), "0");
    assert!(client.hears_nothing());
    done(&mut other, "DROP TABLE mine");
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("waits for the only server"));
    // PostgreSQL ends the process of a closed connection in its own time.
    while client.value(held) != "0" {}
    // What is its own, it keeps.
    done(&mut other, "SELECT locks()");
    client.send(&query(held));
    assert_eq!(other.value(held), "1");
    assert!(client.hears_nothing());
}
