//! Clients with settings of any names on one server: each sees its own, and one without any sees PostgreSQL's defaults.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres, psql, shared_postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};

fn one_server(postgres: &LocalPostgres) -> PgOtter {
    PgOtter::in_front_of(postgres, "default_pool_size = 1")
}

/// Everything that can be seen of a session's settings, but for what no two connections share.
fn fingerprint(client: &mut Raw) -> String {
    client.value(
        "select string_agg(name || '=' || setting || ' ' || source, e'\\n' order by name) from pg_settings \
         where name not in ('application_name') and source not in ('client')",
    ) + &client.value(
        "select format('%s %s %s', current_user, session_user, coalesce(current_setting('app.x', true), 'unheard of'))",
    )
}

fn settings_of(settings: &[(&str, &str)], client: &mut Raw) -> Vec<String> {
    settings.iter().map(|(name, _)| client.value(&format!("select current_setting('{name}')"))).collect()
}

#[test]
fn clients_on_one_server_each_see_their_own_settings_and_one_without_any_the_defaults() {
    let server = shared_postgres();
    let pgotter = one_server(server);
    let ann = [
        ("search_path", "\"Ann's\", public"),
        ("statement_timeout", "12s"),
        ("extra_float_digits", "3"),
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_read_only", "on"),
        ("default_transaction_deferrable", "on"),
        ("IntervalStyle", "iso_8601"),
        ("app.x", "ann's"),
    ];
    let bob = [
        ("search_path", "bob"),
        ("statement_timeout", "0"),
        ("extra_float_digits", "0"),
        ("default_transaction_isolation", "repeatable read"),
        ("work_mem", "77kB"),
        ("TimeZone", "Asia/Tokyo"),
        ("app.x", "bob\\'s \"x\""),
    ];
    let direct = |settings: &[(&str, &str)]| {
        let mut client = Raw::log_in(server.port(), settings);
        (settings_of(settings, &mut client), Raw::log_in(server.port(), settings).value("show transaction_read_only"))
    };
    let expected = [direct(&ann), direct(&bob)];
    let mut clients = [Raw::log_in(pgotter.port(), &ann), Raw::log_in(pgotter.port(), &bob)];
    let fresh = fingerprint(&mut Raw::log_in(server.port(), &[]));
    for round in 0..4 {
        for ((client, settings), (expected, read_only)) in clients.iter_mut().zip([&ann[..], &bob]).zip(&expected) {
            assert_eq!(client.value("show transaction_read_only"), *read_only, "its first request, round {round}");
            assert_eq!(settings_of(settings, client), *expected, "round {round}");
        }
        if round % 2 == 1 {
            let mut third = Raw::log_in(pgotter.port(), &[]);
            assert_eq!(fingerprint(&mut third), fresh, "round {round}");
        }
    }
}

#[test]
fn without_custom_names_all_of_that_happens_on_one_server() {
    let server = shared_postgres();
    let pgotter = one_server(server);
    let mut ann = Raw::log_in(pgotter.port(), &[("search_path", "ann"), ("options", "-c geqo=off -c work_mem=99kB")]);
    let mut bob = Raw::log_in(pgotter.port(), &[("statement_timeout", "9s"), ("DateStyle", "German")]);
    let mut third = Raw::log_in(pgotter.port(), &[]);
    let fresh = fingerprint(&mut Raw::log_in(server.port(), &[]));
    let mut servers = Vec::new();
    for _ in 0..3 {
        assert_eq!(ann.value("select concat_ws(' ', current_setting('search_path'), current_setting('geqo'), current_setting('statement_timeout'))"), "ann off 0");
        servers.push(ann.value("select pg_backend_pid()"));
        assert_eq!(bob.value("select concat_ws(' ', current_setting('search_path'), current_setting('geqo'), current_setting('statement_timeout'))"), "\"$user\", public on 9s");
        servers.push(bob.value("select pg_backend_pid()"));
        assert_eq!(fingerprint(&mut third), fresh);
        servers.push(third.value("select pg_backend_pid()"));
    }
    servers.dedup();
    assert_eq!(servers.len(), 1);
}

#[test]
fn a_role_is_taken_on_last_and_put_off_first() {
    let server = postgres(&Options::default());
    must(server.psql(
        "postgres",
        "create role reader; create role writer superuser; create table t(); revoke all on t from public",
    ));
    let pgotter = one_server(&server);
    let who = "select current_user || ' ' || session_user || ' ' || current_setting('log_duration') || ' ' || current_setting('is_superuser')";
    // log_duration needs the rights of the superuser who logs in.
    let logins: [(&[(&str, &str)], &str); 4] = [
        (&[("options", "-c role=reader -c log_duration=on")], "reader postgres on off"),
        (&[("role", "reader")], "reader postgres off off"),
        // PostgreSQL only checks this one: nobody becomes somebody else at a login.
        (&[("session_authorization", "reader"), ("log_duration", "on")], "postgres postgres on on"),
        (&[], "postgres postgres off on"),
    ];
    for (login, expected) in &logins {
        assert_eq!(Raw::log_in(server.port(), login).value(who), *expected, "PostgreSQL itself: {login:?}");
    }
    let mut clients = logins.map(|(login, expected)| (Raw::log_in(pgotter.port(), login), expected));
    for round in 0..3 {
        for (client, expected) in &mut clients {
            assert_eq!(client.value(who), *expected, "round {round}");
        }
        let refused = clients[1].0.ask("select * from t");
        assert_eq!(error_code(&refused).as_deref(), Some("42501"));
    }
}

#[test]
fn a_change_of_role_is_told_and_followed() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "create role reader"));
    let pgotter = one_server(&server);
    let mut ann = Raw::log_in(pgotter.port(), &[]);
    let mut bob = Raw::log_in(pgotter.port(), &[]);
    let told = print(&ann.ask("set session authorization reader"));
    assert!(told.contains("S is_superuser\\x00off") && told.contains("S session_authorization\\x00reader"), "{told}");
    let heard = print(&bob.ask("select session_user"));
    assert!(
        heard.contains("postgres") && !heard.contains("S is_superuser"),
        "it was a superuser all the time: {heard}"
    );
    assert_eq!(ann.value("select session_user"), "reader");
    assert_eq!(bob.value("select session_user"), "postgres");
    ann.ask("reset session authorization");
    assert_eq!(ann.value("select session_user"), "postgres");
}

#[test]
fn a_setting_that_has_become_wrong_stops_the_request_and_nobody_else() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "create role doomed; create table kept(n int)"));
    let pgotter = one_server(&server);
    let mut wrong = Raw::log_in(pgotter.port(), &[("role", "doomed"), ("geqo", "off")]);
    let mut good = Raw::log_in(pgotter.port(), &[("work_mem", "99kB")]);
    assert_eq!(wrong.value("select current_user"), "doomed");
    assert_eq!(good.value("show work_mem"), "99kB");
    must(server.psql("postgres", "drop role doomed"));
    for request in
        [query("insert into kept values (1)"), [extended("insert into kept values (2)", &[]), sync()].concat()]
    {
        wrong.send(&request);
        let frames = wrong.until_ready();
        assert_eq!(frames.iter().filter(|frame| frame.kind == b'E').count(), 1, "{}", print(&frames));
        assert!(print(&frames).contains("Mrole \\\"doomed\\\" does not exist"), "{}", print(&frames));
        assert_eq!(good.value("select current_setting('work_mem') || current_setting('geqo')"), "99kBon");
    }
    assert_eq!(psql(server.port(), "select count(*) from kept"), "0");
    must(server.psql("postgres", "create role doomed"));
    assert_eq!(wrong.value("select current_user || current_setting('geqo')"), "doomedoff", "it lives on");
}

#[test]
fn a_setting_that_has_become_wrong_stops_a_query_that_would_not_have_gone_as_it_is() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "create role doomed"));
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2\nmax_pinned = 1");
    let mut pinned = Raw::log_in(pgotter.port(), &[]);
    pinned.ask("create temp table theirs(n int)");
    let mut other = Raw::log_in(pgotter.port(), &[]);
    let mut wrong = Raw::log_in(pgotter.port(), &[("role", "doomed")]);
    wrong.send(&[parse("mine", "select 1"), sync()].concat());
    wrong.until_ready();
    must(server.psql("postgres", "drop role doomed"));
    for request in [
        query("create temp table mine(n int)"),
        query("deallocate mine; deallocate nobodys"),
        query("/* not at its beginning */ deallocate mine"),
        [parse("", "select 1"), query("select 2"), sync()].concat(),
    ] {
        other.value("select 'in another role'");
        wrong.send(&request);
        let frames = wrong.until_ready();
        assert!(print(&frames).contains("Mrole \\\"doomed\\\" does not exist"), "{}", print(&frames));
    }
}

#[test]
fn a_server_that_has_heard_of_a_custom_name_is_not_given_to_who_has_not() {
    let server = shared_postgres();
    let pgotter = one_server(server);
    let heard_of = "select current_setting('app.tenant', true) is null";
    let mut with = Raw::log_in(pgotter.port(), &[("app.tenant", "7")]);
    let mut other = Raw::log_in(pgotter.port(), &[("options", "-c App.Tenant=8")]);
    let first = with.value("select pg_backend_pid()");
    assert_eq!(other.value("show app.tenant"), "8");
    assert_eq!(with.value("show app.tenant"), "7");
    assert_eq!(other.value("select pg_backend_pid()"), first, "who uses the name too shares the server");
    let mut without = Raw::log_in(pgotter.port(), &[]);
    assert_eq!(without.value(heard_of), "t");
    assert_ne!(without.value("select pg_backend_pid()"), first);
    assert_eq!(with.value("show app.tenant"), "7");
    assert_eq!(without.value(heard_of), "t");
}

#[test]
fn with_room_for_both_custom_names_cost_no_servers() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 4\nworkers = 1");
    let mut with = Raw::log_in(pgotter.port(), &[("app.tenant", "7")]);
    let mut without = Raw::log_in(pgotter.port(), &[]);
    let mut settle = || {
        // Both at once, so that there is a server for each.
        with.send(&query("select pg_backend_pid() from pg_sleep(0.05)"));
        let b = without.value("select pg_backend_pid() from pg_sleep(0.05)");
        let a = first_value(&with.until_ready()).expect("a pid");
        (a, b)
    };
    (0..3).for_each(|_| drop(settle()));
    let (a, b) = (with.value("select pg_backend_pid()"), without.value("select pg_backend_pid()"));
    for _ in 0..10 {
        assert_eq!(with.value("select pg_backend_pid()"), a);
        assert_eq!(without.value("select pg_backend_pid()"), b);
    }
}

#[test]
fn text_in_settings_is_in_each_clients_own_encoding() {
    let pgotter = one_server(shared_postgres());
    for _ in 0..2 {
        for (encoding, value) in [("UTF8", &b"caf\xc3\xa9"[..]), ("LATIN1", b"caf\xe9"), ("UTF8", b"plain")] {
            let login = [
                (&b"user"[..], &b"postgres"[..]),
                (b"database", b"postgres"),
                (b"client_encoding", encoding.as_bytes()),
                (b"search_path", value),
            ];
            let mut client = Raw::connect(pgotter.port());
            client.send(&startup_bytes(3, 0, &login));
            client.welcomed();
            let length = client.value("select length(current_setting('search_path'))");
            assert_eq!(length, if value == b"plain" { "5" } else { "4" }, "{encoding}");
        }
    }
}

#[test]
fn a_session_leaves_nothing_to_the_next_one() {
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1\npool_mode = \"session\"");
    for reset in 0..2 {
        let mut ann = Raw::log_in(pgotter.port(), &[("search_path", "ann"), ("TimeZone", "Asia/Tokyo")]);
        assert_eq!(ann.value("show search_path"), "ann", "after {reset} others");
        assert_eq!(ann.value("show timezone"), "Asia/Tokyo", "after {reset} others");
        ann.send(&terminate());
        assert!(ann.until_end().is_empty());
        let mut bob = Raw::log_in(pgotter.port(), &[]);
        assert_eq!(fingerprint(&mut bob), fingerprint(&mut Raw::log_in(server.port(), &[])));
        bob.send(&terminate());
        assert!(bob.until_end().is_empty());
    }
}

#[test]
fn what_a_connect_query_sets_is_what_clients_find_who_set_nothing() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "create role reader"));
    let connect = "set search_path = shop; set timezone = 'Asia/Tokyo'; set work_mem = '99kB'; set role reader";
    let settings = "select concat_ws(' ', current_setting('search_path'), current_setting('timezone'), \
         current_setting('work_mem'), current_user)";
    for mode in ["transaction", "session"] {
        let pgotter = PgOtter::start(|port| {
            format!(
                "[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\ndefault_pool_size = 1\npool_mode = \"{mode}\"\n\
                 [databases.postgres]\nhosts = [\"{}:{}\"]\nconnect_query = \"{connect}\"\n",
                server.host(),
                server.port()
            )
        });
        let own = [("search_path", "own"), ("timezone", "UTC"), ("work_mem", "88kB"), ("role", "postgres")];
        for round in 0..3 {
            let mut plain = Raw::log_in(pgotter.port(), &[]);
            assert_eq!(plain.parameter("TimeZone"), "Asia/Tokyo");
            assert_eq!(plain.value(settings), "shop Asia/Tokyo 99kB reader", "{mode}, round {round}");
            plain.send(&terminate());
            let mut with = Raw::log_in(pgotter.port(), &own);
            assert_eq!(with.value(settings), "own UTC 88kB postgres", "{mode}, round {round}");
            with.send(&terminate());
        }
    }
}

#[test]
fn a_reset_query_of_ones_own_runs_where_nothing_is_left_of_the_session() {
    let reset = "server_reset_query = \"set work_mem = '99kB'\"";
    let pooler = format!("default_pool_size = 1\npool_mode = \"session\"\n{reset}");
    let pgotter = PgOtter::in_front_of(shared_postgres(), &pooler);
    let shown =
        "select concat_ws(' ', current_setting('search_path'), current_setting('geqo'), current_setting('work_mem'))";
    let own = [("search_path", "own"), ("geqo", "off")];
    for expected in ["4MB", "99kB", "99kB"] {
        let mut with = Raw::log_in(pgotter.port(), &own);
        assert_eq!(with.value(shown), format!("own off {expected}"));
        with.send(&terminate());
        assert!(with.until_end().is_empty());
        let mut without = Raw::log_in(pgotter.port(), &[]);
        assert_eq!(without.value(shown), "\"$user\", public on 99kB");
        without.send(&terminate());
        assert!(without.until_end().is_empty());
    }
}

#[test]
fn a_very_short_timeout_is_its_clients_alone() {
    let pgotter = one_server(shared_postgres());
    let hasty = [("statement_timeout", "15ms"), ("application_name", "hasty")];
    let mut other = Raw::log_in(pgotter.port(), &[("application_name", "other")]);
    for _ in 0..3 {
        let mut hasty = Raw::log_in(pgotter.port(), &hasty);
        // Whether that is quick enough is its own affair.
        let its =
            std::iter::repeat_with(|| hasty.ask("select pg_backend_pid()")).find_map(|frames| first_value(&frames));
        assert_ne!(Some(other.value("select pg_backend_pid()")), its, "what is put in front could be too slow");
        assert_eq!(other.value("show statement_timeout"), "0");
    }
}

/// From PostgreSQL 16 on such a setting looks like one of the session, and cannot be reset.
#[test]
fn a_set_transaction_outside_a_block_is_no_setting_of_its_client() {
    let pgotter = one_server(shared_postgres());
    let (mut ann, mut bob) = (Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[]));
    for mode in ["READ ONLY", "ISOLATION LEVEL SERIALIZABLE"] {
        ann.ask(&format!("SET TRANSACTION {mode}"));
        // Behind this the server is asked for all that is set.
        ann.send(&query("SELECT 1; CLOSE nothing; DO $$ BEGIN RAISE NOTICE 'one'; END $$; SELECT 1"));
        ann.until_ready();
        for _ in 0..2 {
            assert_eq!(ann.value("SELECT 'the same'"), "the same");
            assert_eq!(bob.value("SELECT 'another'"), "another");
        }
    }
}

#[test]
fn the_level_of_the_transaction_that_looks_is_no_setting_of_the_client() {
    let pgotter = one_server(shared_postgres());
    let mut ann = Raw::log_in(pgotter.port(), &[]);
    ann.ask("set default_transaction_isolation = 'serializable'");
    ann.ask("set default_transaction_deferrable = on");
    ann.send(&[extended("reset DateStyle", &[]), sync()].concat());
    ann.until_ready();
    assert_eq!(ann.value("show transaction_isolation"), "serializable");
}

#[test]
fn the_servers_default_in_place_of_what_a_client_came_with_outlives_a_reset_that_failed() {
    let pgotter = one_server(shared_postgres());
    let login = [("application_name", "ann"), ("work_mem", "6MB")];
    let mut ann = Raw::log_in(pgotter.port(), &login);
    let seen = "select current_setting('application_name') || ' ' || current_setting('work_mem')";
    for set in ["set application_name = ''", "set work_mem = '4MB'"] {
        ann.ask(set);
        Raw::log_in(pgotter.port(), &[]).ask("select 'on its server'");
    }
    for reset in ["reset all; select 1 / 0", "reset work_mem; reset application_name; select 1 / 0"] {
        ann.ask(reset);
        assert_eq!(ann.value(seen), " 4MB", "{reset}");
    }
    for reset in ["begin", "reset all", "rollback"] {
        ann.ask(reset);
    }
    assert_eq!(ann.value(seen), " 4MB");
    ann.ask("reset work_mem; reset application_name");
    assert_eq!(ann.value(seen), "ann 6MB");
}

#[test]
fn a_custom_setting_that_a_client_came_with_is_back_behind_any_reset() {
    let pgotter = one_server(shared_postgres());
    let mut ann = Raw::log_in(pgotter.port(), &[("app.x", "ann's")]);
    for reset in ["reset app.x", "set app.x to default", "reset all"] {
        for extended_protocol in [false, true] {
            ann.ask("set app.x = 'other'");
            if extended_protocol {
                ann.send(&[extended(reset, &[]), sync()].concat());
                ann.until_ready();
            } else {
                ann.ask(reset);
            }
            assert_eq!(ann.value("show app.x"), "ann's", "{reset}, extended: {extended_protocol}");
        }
    }
}

#[test]
fn a_reset_that_no_text_shows_goes_back_to_what_the_client_came_with() {
    let server = shared_postgres();
    for (name, body) in [("reset_one", "reset work_mem"), ("default_one", "set TimeZone to default")] {
        let function = format!("create function {name}() returns int language plpgsql");
        must(server.psql("postgres", &format!("{function} as 'begin {body}; return 1; end'")));
    }
    let login = [("TimeZone", "Asia/Tokyo"), ("options", "-c work_mem=9MB -c search_path=other,\\ public")];
    let seen = "select concat_ws('|', current_setting('TimeZone'), current_setting('work_mem'), current_setting('search_path'))";
    for reset in [
        "do $$ begin execute 'reset ' || 'work_mem'; end $$",
        "do $$ begin execute 'reset ' || 'all'; end $$",
        "do $$ begin execute 'reset ' || 'TimeZone'; execute 'set work_' || 'mem = 4096'; end $$",
        "do $$ begin execute 'set work_' || 'mem = 4096'; reset TimeZone; end $$",
        "do $$ begin reset work_mem; reset TimeZone; end $$",
        "do $$ begin reset all; end $$",
        "select reset_one()",
        "select default_one()",
    ] {
        for keeps in ["create temp table mine ()", "select 1"] {
            let pgotter = one_server(server);
            let mut clients = [server.port(), pgotter.port()].map(|port| Raw::log_in(port, &login));
            let mut values = Vec::new();
            for client in &mut clients {
                for sql in [keeps, "set work_mem = '1MB'", "set TimeZone = 'UTC'", reset] {
                    assert!(error_code(&client.ask(sql)).is_none(), "{sql}");
                }
                values.push([client.value(seen), client.value("select 1"), client.value(seen)]);
            }
            assert_eq!(values[1], values[0], "{reset} behind {keeps}");
        }
    }
}
