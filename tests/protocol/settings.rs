//! Clients with different settings on one server: each sees its own, always.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres, shared_postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};

fn one_server() -> PgOtter {
    PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1")
}

/// The first value of an extended request of its own.
fn extended_value(client: &mut Raw, sql: &str) -> String {
    client.send(&[extended(sql, &[]), sync()].concat());
    let frames = client.until_ready();
    first_value(&frames).unwrap_or_else(|| panic!("{sql}: {}", print(&frames)))
}

#[test]
fn two_clients_on_one_server_each_see_their_own_settings() {
    let pgotter = one_server();
    let clients = [
        [("application_name", "ann"), ("TimeZone", "Asia/Tokyo"), ("DateStyle", "German"), ("client_encoding", "UTF8")],
        [("application_name", "bob"), ("TimeZone", "UTC"), ("DateStyle", "SQL, DMY"), ("client_encoding", "LATIN1")],
    ];
    let shown = [["ann", "Asia/Tokyo", "German, DMY", "UTF8"], ["bob", "UTC", "SQL, DMY", "LATIN1"]];
    let mut open: Vec<_> = clients.iter().map(|settings| Raw::log_in(pgotter.port(), settings)).collect();
    let mut servers = Vec::new();
    for round in 0..6 {
        for ((client, settings), shown) in open.iter_mut().zip(&clients).zip(&shown) {
            for ((name, _), expected) in settings.iter().zip(shown) {
                let show = format!("SHOW {name}");
                let seen = if round % 2 == 0 { client.value(&show) } else { extended_value(client, &show) };
                assert_eq!(seen, *expected, "{name} in round {round}");
            }
            servers.push(client.value("SELECT pg_backend_pid()"));
        }
    }
    servers.dedup();
    assert_eq!(servers.len(), 1, "one server for both");
}

#[test]
fn text_travels_in_each_clients_own_encoding() {
    let pgotter = one_server();
    let mut utf8 = Raw::log_in(pgotter.port(), &[("client_encoding", "UTF8")]);
    let mut latin1 = Raw::log_in(pgotter.port(), &[("client_encoding", "LATIN1")]);
    for _ in 0..3 {
        for (client, e_acute) in [(&mut utf8, &b"\xc3\xa9"[..]), (&mut latin1, b"\xe9")] {
            client.send(&message(b'Q', &[b"SELECT '", e_acute, b"', length('", e_acute, b"')\0"].concat()));
            let frames = client.until_ready();
            let row = frames.iter().find(|frame| frame.kind == b'D').expect("a row");
            let expected = [&[0, 2, 0, 0, 0, e_acute.len() as u8][..], e_acute, &[0, 0, 0, 1], b"1"].concat();
            assert_eq!(row.body, expected);
        }
    }
}

#[test]
fn values_that_need_quoting_arrive_unharmed() {
    let pgotter = one_server();
    for value in
        ["", "a b", "a'b''c", "a\"b", "a\\b\\\\", "a,b", "{a}", "{\"x\",NULL}", "NULL", "$1 %s \t|", "--", "\\'"]
    {
        let mut client = Raw::log_in(pgotter.port(), &[("application_name", value)]);
        let mut direct = Raw::log_in(shared_postgres().port(), &[("application_name", value)]);
        assert_eq!(client.value("SHOW application_name"), direct.value("SHOW application_name"));
        let mut between = Raw::log_in(pgotter.port(), &[("application_name", "between")]);
        assert_eq!(between.value("SHOW application_name"), "between");
        assert_eq!(extended_value(&mut client, "SHOW application_name"), direct.value("SHOW application_name"));
    }
}

#[test]
fn a_long_application_name_is_cut_as_postgresql_cuts_it() {
    let pgotter = one_server();
    let long = "x".repeat(9_900);
    let mut client = Raw::log_in(pgotter.port(), &[("application_name", &long)]);
    assert_eq!(client.value("SHOW application_name"), "x".repeat(63));
    Raw::log_in(pgotter.port(), &[("application_name", "between")]).value("SELECT 1");
    assert_eq!(extended_value(&mut client, "SHOW application_name"), "x".repeat(63));
}

#[test]
fn an_application_name_in_any_encoding_is_no_reason_to_refuse_a_request() {
    let pgotter = one_server();
    for (encoding, name) in
        [("LATIN1", &b"caf\xe9"[..]), ("UTF8", b"caf\xc3\xa9"), ("UTF8", b"\xff\xfe"), ("UTF8", b"a\x01\nb")]
    {
        let login = [
            (&b"user"[..], &b"postgres"[..]),
            (b"database", b"postgres"),
            (b"client_encoding", encoding.as_bytes()),
            (b"application_name", name),
        ];
        let answers = [shared_postgres().port(), pgotter.port()].map(|port| {
            let mut client = Raw::connect(port);
            client.send(&startup_bytes(3, 0, &login));
            client.welcomed();
            print(&client.ask("SHOW application_name").into_iter().filter(|f| f.kind != b'S').collect::<Vec<_>>())
        });
        assert_eq!(answers[1], answers[0], "{}", name.escape_ascii());
    }
}

#[test]
fn a_setting_made_by_set_is_told_and_follows_its_client() {
    let pgotter = one_server();
    let mut ann = Raw::log_in(pgotter.port(), &[("TimeZone", "Asia/Tokyo")]);
    let mut bob = Raw::log_in(pgotter.port(), &[("TimeZone", "UTC")]);
    assert!(print(&ann.ask("SET TimeZone = 'Europe/Paris'")).contains("S TimeZone"));
    assert_eq!(bob.value("SHOW TimeZone"), "UTC");
    assert_eq!(ann.value("SHOW TimeZone"), "Europe/Paris");
    assert_eq!(extended_value(&mut bob, "SHOW TimeZone"), "UTC");
}

#[test]
fn settings_survive_a_discard_all_of_another_client() {
    let pgotter = one_server();
    let mut ann = Raw::log_in(pgotter.port(), &[("application_name", "ann"), ("TimeZone", "Asia/Tokyo")]);
    let mut bob = Raw::log_in(pgotter.port(), &[("application_name", "bob"), ("TimeZone", "UTC")]);
    for discard in ["DISCARD ALL", "DEALLOCATE ALL", "RESET ALL"] {
        assert_eq!(ann.value("SHOW TimeZone"), "Asia/Tokyo");
        assert_eq!(error_code(&bob.ask(discard)), None);
        for _ in 0..2 {
            assert_eq!(ann.value("SHOW application_name"), "ann", "{discard}");
            assert_eq!(extended_value(&mut ann, "SHOW TimeZone"), "Asia/Tokyo", "{discard}");
            bob.value("SELECT 1");
        }
    }
}

#[test]
fn what_a_client_does_to_our_prepared_statements_is_no_matter_to_the_next() {
    let pgotter = one_server();
    let mut ann = Raw::log_in(pgotter.port(), &[("application_name", "ann"), ("TimeZone", "Asia/Tokyo")]);
    for mischief in [
        "DEALLOCATE \"pgotter.set\"",
        "DEALLOCATE \"pgotter.guard\"",
        // PostgreSQL does not tell of this one.
        "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$",
        "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$; PREPARE \"pgotter.set\" AS SELECT 1",
        "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$; PREPARE \"pgotter.set\"(text[], text[]) AS SELECT $1, $2",
        "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$; PREPARE \"pgotter.set\"(text, text) AS SELECT $1, $2",
        "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$; PREPARE \"pgotter.guard\" AS SELECT 1",
    ] {
        assert_eq!(ann.value("SHOW application_name"), "ann", "{mischief}");
        // While he stays, a server with a statement that SQL has prepared is his own.
        let mut bob = Raw::log_in(pgotter.port(), &[("application_name", "bob"), ("TimeZone", "UTC")]);
        bob.value("SELECT 1");
        bob.ask(mischief);
        drop(bob);
        assert_eq!(extended_value(&mut ann, "SHOW application_name"), "ann", "{mischief}");
        assert_eq!(ann.value("SHOW TimeZone"), "Asia/Tokyo", "{mischief}");
    }
}

#[test]
fn a_wrong_setting_stops_the_request_and_nobody_else() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "CREATE TABLE kept (n int)"));
    for mode in ["transaction", "statement"] {
        let pgotter = PgOtter::in_front_of(&server, &format!("default_pool_size = 1\npool_mode = \"{mode}\""));
        a_wrong_setting_stops_every_request(&server, &pgotter);
    }
    // In session mode the other client needs a server of its own.
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2\npool_mode = \"session\"");
    a_wrong_setting_stops_every_request(&server, &pgotter);
}

fn a_wrong_setting_stops_every_request(server: &LocalPostgres, pgotter: &PgOtter) {
    let mut good = Raw::log_in(pgotter.port(), &[("TimeZone", "UTC"), ("application_name", "good")]);
    // What was wrong at its login would have been refused there.
    must(server.psql("postgres", "CREATE ROLE doomed"));
    let mut wrong = Raw::log_in(pgotter.port(), &[("role", "doomed"), ("application_name", "wrong")]);
    must(server.psql("postgres", "DROP ROLE doomed"));
    let insert = |n: u32| format!("INSERT INTO kept VALUES ({n})");
    let long = format!("{} -- {}", insert(9), "x".repeat(300_000));
    let pipelined = [query(&insert(5)), extended(&insert(6), &[]), sync(), sync(), query(&insert(7))].concat();
    let requests = [
        ("simple", query(&insert(1)), 1, 1),
        ("extended", [extended(&insert(2), &[]), sync()].concat(), 1, 1),
        ("flushed", [extended(&insert(3), &[]), flush(), extended(&insert(4), &[]), sync()].concat(), 1, 1),
        // As after any error in the extended protocol, the Query is skipped too, up to the Sync.
        ("with a query inside", [parse("", "SELECT 1"), query(&insert(4)), sync()].concat(), 1, 1),
        ("pipelined", pipelined, 4, 3),
        ("a function call", function_call(1397, &["-1"]), 1, 1),
        ("a long query", query(&long), 1, 1),
        ("a long extended query", [extended(&long, &[]), sync()].concat(), 1, 1),
        ("a copy", [query("COPY kept FROM STDIN"), copy_data("8\n"), copy_done()].concat(), 1, 1),
    ];
    for (what, bytes, answers, errors_expected) in requests {
        wrong.send(&bytes);
        let mut heard = Vec::new();
        for _ in 0..answers {
            heard.extend(wrong.until_ready());
        }
        let errors = heard.iter().filter(|frame| frame.kind == b'E');
        assert!(errors.clone().all(|error| error.field(b'C').as_deref() == Some("22023")), "{what}: {}", print(&heard));
        assert_eq!(errors.count(), errors_expected, "{what}: {}", print(&heard));
        let done = heard.iter().any(|frame| matches!(frame.kind, b'C' | b'D' | b'G' | b'V'));
        assert!(!done, "{what}: {}", print(&heard));
        assert_eq!(good.value("SHOW TimeZone"), "UTC", "{what}");
        assert_eq!(good.value("SELECT count(*) FROM kept"), "0", "{what}");
    }
}
