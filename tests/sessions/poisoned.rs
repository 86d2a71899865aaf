//! What one client could leave to the next behind PgOtter's back: settings that the login may not set, those that are set without SET, and
//! a transaction that waits for others; what it would lose of its own in another encoding, and statements that are prepared before it is known what is set.

use super::listen::log_in_as;
use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::sync::OnceLock;

const REPLICATION: &str = "SHOW session_replication_role";

fn server() -> &'static LocalPostgres {
    static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = postgres(&Options::default());
        must(server.psql(
            "postgres",
            "CREATE ROLE admin SUPERUSER;
             CREATE ROLE app LOGIN IN ROLE admin;
             CREATE TABLE public.t (a int);
             CREATE FUNCTION public.sets_more() RETURNS text LANGUAGE sql SECURITY DEFINER
               AS $$ SELECT set_config('session_replication_role', 'replica', false) $$;
             CREATE FUNCTION public.updates() RETURNS void LANGUAGE plpgsql
               AS $$ BEGIN UPDATE pg_settings SET setting = '5432ms' WHERE name = 'statement_timeout'; END $$;
             CREATE VIEW public.mine AS SELECT name, setting FROM pg_settings WHERE name = 'statement_timeout';
             CREATE VIEW public.mine_too AS SELECT name AS n, setting AS s FROM public.mine;
             CREATE TABLE public.ruled (a int);
             INSERT INTO public.ruled VALUES (1);
             CREATE RULE also AS ON UPDATE TO public.ruled DO ALSO
               UPDATE pg_settings SET setting = '5432ms' WHERE name = 'statement_timeout';
             CREATE FUNCTION public.updates_mine() RETURNS void LANGUAGE sql
               BEGIN ATOMIC UPDATE public.mine SET setting = '5432ms'; END;
             CREATE FUNCTION public.updates_all() RETURNS void LANGUAGE sql
               BEGIN ATOMIC UPDATE pg_settings SET setting = '5432ms' WHERE name = 'statement_timeout'; END",
        ));
        server
    })
}

#[test]
fn what_the_login_may_not_set_stays_with_whoever_has_set_it() {
    let ways: [&[&str]; 3] = [
        &["SET ROLE admin", "SET session_replication_role = replica", "RESET ROLE"],
        &["BEGIN", "SET LOCAL ROLE admin", "SET session_replication_role = replica", "COMMIT"],
        &["SELECT sets_more()"],
    ];
    for way in ways {
        let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 2");
        let [mut one, mut other, mut third] = [0; 3].map(|_| log_in_as(&pgotter, "app"));
        for sql in way {
            let frames = one.ask(sql);
            assert_eq!(error_code(&frames), None, "{sql}: {}", print(&frames));
        }
        for _ in 0..3 {
            assert_eq!(other.value(REPLICATION), "origin", "another client behind {way:?}");
            assert_eq!(one.value(REPLICATION), "replica", "behind {way:?}");
        }
        one.send(&terminate());
        one.until_end();
        other.ask("BEGIN");
        assert_eq!((third.value(REPLICATION).as_str(), other.value(REPLICATION).as_str()), ("origin", "origin"));
    }
}

#[test]
fn an_update_of_pg_settings_is_a_set() {
    let direct = "UPDATE pg_catalog.pg_settings SET setting = '5432ms' WHERE name = 'statement_timeout'";
    let views = ["UPDATE mine SET setting = '5432ms'", "UPDATE mine_too SET s = '5432ms'", "UPDATE ruled SET a = 2"];
    let functions = ["SELECT updates()", "SELECT updates_mine()", "SELECT updates_all()"];
    for sql in [&[direct], &views[..], &functions[..]].concat() {
        let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 1");
        let [mut one, mut other] = [0; 2].map(|_| Raw::log_in(pgotter.port(), &[]));
        one.ask(sql);
        assert_eq!(other.value("SHOW statement_timeout"), "0", "another client behind {sql}");
        assert_eq!(one.value("SHOW statement_timeout"), "5432ms", "behind {sql}");
    }
}

#[test]
fn nobody_waits_for_others_because_the_last_client_would() {
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 1");
    let [mut one, mut other] = [0; 2].map(|_| Raw::log_in(pgotter.port(), &[]));
    one.ask("SET default_transaction_isolation = serializable");
    one.ask("SET default_transaction_read_only = on");
    one.ask("SET default_transaction_deferrable = on");
    // Behind that nobody knows what is set.
    one.ask("DO $$ BEGIN END $$");
    let mut writer = Raw::log_in(server().port(), &[]);
    writer.ask("BEGIN ISOLATION LEVEL SERIALIZABLE");
    writer.ask("INSERT INTO t VALUES (1)");
    assert_eq!(other.value("SELECT 'here'"), "here");
    writer.ask("ROLLBACK");
}

#[test]
fn what_is_not_ascii_is_the_same_behind_another_encoding() {
    const SEEN: &str =
        "SELECT encode(convert_to(current_setting('search_path') || current_setting('app.tenant'), 'UTF8'), 'hex')";
    let sets = |letter: &[u8]| {
        let with = |before: &str| [before.as_bytes(), letter, b"'\0"].concat();
        [message(b'Q', &with("SET search_path = 'caf")), message(b'Q', &with("SET app.tenant = '"))]
    };
    for (first, letter, then) in [("UTF8", "é".as_bytes(), "LATIN1"), ("LATIN1", b"\xe9", "UTF8")] {
        let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 1");
        let mut other = Raw::log_in(pgotter.port(), &[]);
        let [direct, through] = [server().port(), pgotter.port()].map(|port| {
            let mut client = Raw::log_in(port, &[("client_encoding", first)]);
            for set in sets(letter) {
                client.send(&set);
                assert_eq!(error_code(&client.until_ready()), None);
            }
            client.ask(&format!("SET client_encoding = '{then}'"));
            other.value("SELECT current_setting('search_path')");
            client.value(SEEN)
        });
        assert_eq!(through, direct, "from {first} to {then}");
    }
}

#[test]
fn what_a_client_came_with_is_the_same_text_behind_a_reset_in_another_encoding() {
    const SEEN: &str = "SELECT encode(convert_to(concat_ws(' ', current_setting('search_path'), \
        current_setting('app.tenant'), current_setting('client_encoding')), 'UTF8'), 'hex')";
    let login = [("client_encoding", "UTF8"), ("search_path", "café"), ("options", "-c app.tenant=é")];
    let before = ["SET search_path = other", "SET app.tenant = 'x'"];
    let resets: [&[&str]; 8] = [
        &["SET client_encoding = 'LATIN1'", "RESET search_path", "RESET app.tenant"],
        &["SET client_encoding = 'LATIN1'", "RESET search_path; RESET app.tenant"],
        // The letter is none of that.
        &["SET client_encoding = 'LATIN5'", "RESET search_path", "SET client_encoding = 'KOI8R'", "RESET app.tenant"],
        &["SET client_encoding = 'LATIN1'", "RESET ALL"],
        &["SET client_encoding = 'LATIN1'", "DISCARD ALL"],
        &["BEGIN", "SET client_encoding = 'LATIN1'", "RESET search_path", "COMMIT"],
        &["BEGIN", "SET LOCAL client_encoding = 'LATIN1'", "RESET search_path", "RESET app.tenant", "COMMIT"],
        &["BEGIN; SET client_encoding = 'LATIN1'; RESET search_path", "ROLLBACK"],
    ];
    for mode in ["transaction", "session"] {
        let pgotter = PgOtter::in_front_of(server(), &format!("default_pool_size = 2\npool_mode = \"{mode}\""));
        for reset in resets {
            let [mut direct, mut client] = [server().port(), pgotter.port()].map(|port| Raw::log_in(port, &login));
            for sql in before.iter().chain(reset) {
                for client in [&mut direct, &mut client] {
                    assert_eq!(error_code(&client.ask(sql)), None, "{sql}");
                }
            }
            // Others use its server, if they can.
            let other = Raw::log_in(pgotter.port(), &[]).value("SELECT 1");
            assert_eq!((client.value(SEEN), &*other), (direct.value(SEEN), "1"), "{reset:?}, {mode} mode");
        }
    }
}

#[test]
fn what_is_not_ascii_stays_the_same_when_the_encoding_is_what_the_client_came_with_again() {
    const SEEN: &str = "SELECT encode(convert_to(current_setting('search_path'), 'UTF8'), 'hex')";
    for reset in
        ["RESET client_encoding", "SET client_encoding TO DEFAULT", "DO $$ BEGIN RESET client_encoding; END $$"]
    {
        let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 2");
        let [direct, through] = [server().port(), pgotter.port()].map(|port| {
            let mut client = Raw::log_in(port, &[("client_encoding", "LATIN1")]);
            client.send(&message(b'Q', b"SET search_path = 'caf\xe9'\0"));
            assert_eq!(error_code(&client.until_ready()), None);
            assert_eq!(error_code(&client.ask(reset)), None);
            assert_eq!(Raw::log_in(pgotter.port(), &[]).value("SELECT 1"), "1");
            [client.value(SEEN), client.value("SHOW client_encoding")]
        });
        assert_eq!(through, direct, "behind {reset}");
    }
}

/// Sends this, which must not fail; what came.
fn done(client: &mut Raw, request: &[u8], what: &str) -> String {
    client.send(request);
    let frames = client.until_ready();
    assert_eq!(error_code(&frames), None, "{what}: {}", print(&frames));
    print(&frames)
}

/// Under `transform_null_equals` it returns a row for NULL.
const EQUALS: &str = "SELECT 'row' WHERE $1::int = NULL";

/// Whether the statement "s" returns a row for NULL.
fn returns_a_row(client: &mut Raw) -> bool {
    let null = message(b'B', b"\0s\0\0\0\0\x01\xff\xff\xff\xff\0\0");
    done(client, &[null, execute("", 0), sync()].concat(), "s").contains("row")
}

/// Keeps the server of its client, who has prepared it, until it is closed: nobody but that server has it.
fn big() -> Vec<u8> {
    [parse("big", &format!("SELECT 1 /* {} */", "x".repeat(200_000))), sync()].concat()
}

#[test]
fn a_statement_parsed_before_its_client_is_settled_is_not_shared() {
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 1");
    let [mut one, mut other] = [0; 2].map(|_| Raw::log_in(pgotter.port(), &[]));
    let s = [parse("s", EQUALS), sync()].concat();
    done(&mut one, &big(), "big");
    done(&mut one, &query("SET transform_null_equals = on"), "SET");
    done(&mut one, &s, "Parse");
    done(&mut one, &[close(b'S', "big"), sync()].concat(), "Close");
    done(&mut other, &s, "another's Parse");
    assert!(!returns_a_row(&mut other), "NULL = NULL is not true");
    assert!(returns_a_row(&mut one), "and to who has said so it is");
}

#[test]
fn nor_is_one_that_others_have_given_to_a_client_that_is_not_settled() {
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 1");
    let [mut one, mut other] = [0; 2].map(|_| Raw::log_in(pgotter.port(), &[]));
    let s = [parse("s", EQUALS), sync()].concat();
    done(&mut other, &s, "another's Parse");
    assert!(!returns_a_row(&mut other), "NULL = NULL is not true");
    done(&mut one, &big(), "big");
    done(&mut one, &query("SET transform_null_equals = on"), "SET");
    done(&mut one, &s, "Parse");
    assert!(returns_a_row(&mut one), "to who has said so it is true");
    done(&mut one, &[close(b'S', "big"), sync()].concat(), "Close");
    assert!(!returns_a_row(&mut other), "and still to nobody else");
    assert!(returns_a_row(&mut one));
}
