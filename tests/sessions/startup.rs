//! What a client brings along at login: what PostgreSQL takes is the client's from then on, what it refuses is refused at
//! once, in its own words.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres, shared_postgres};
use pgotter::cli::local_postgres::Options;

/// The error of a login that must be refused.
fn refusal(port: u16, user: &str, settings: &[(&str, &str)]) -> String {
    let mut client = Raw::connect(port);
    client.send(&startup(3, 0, &[&[("user", user), ("database", "postgres")], settings].concat()));
    let frames = client.until_end();
    let errors: Vec<_> = frames.into_iter().filter(|frame| frame.kind == b'E').collect();
    assert_eq!(errors.len(), 1, "{user} {settings:?}: {}", print(&errors));
    print(&errors)
}

#[test]
fn what_postgresql_refuses_at_a_login_is_refused_in_its_words() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "create role ann login password 'x'"));
    let pgotter = PgOtter::start(|port| {
        format!("{}[users.ann]\npassword = \"x\"\n", crate::support::simple_config(port, &server, ""))
    });
    type Login<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Login<'_>, &str); 9] = [
        ("postgres", &[("no_such_setting", "1")], "42704"),
        ("postgres", &[("options", "-c work_mem=klingon")], "22023"),
        ("postgres", &[("timezone", "No/Where")], "22023"),
        ("postgres", &[("extra_float_digits", "99")], "22023"),
        ("postgres", &[("shared_buffers", "1MB")], "55P02"),
        ("postgres", &[("role", "nobody")], "22023"),
        ("ann", &[("log_statement", "all")], "42501"),
        ("ann", &[("options", "-c role=postgres")], "42501"),
        ("ann", &[("geqo", "off"), ("session_authorization", "postgres")], "42501"),
    ];
    for _ in 0..2 {
        for (user, settings, code) in cases {
            let told = refusal(pgotter.port(), user, settings);
            assert!(told.contains("SFATAL") && told.contains(&format!("C{code}")), "{settings:?}: {told}");
            if user == "postgres" {
                assert_eq!(told, refusal(server.port(), user, settings), "{settings:?}");
            }
        }
    }
    // It was nobody's loss.
    let mut client = Raw::log_in(pgotter.port(), &[("options", "-c work_mem=99kB")]);
    assert_eq!(client.value("show work_mem"), "99kB");
}

#[test]
fn a_setting_that_is_new_lets_in_while_the_only_server_is_held_and_its_first_request_tells() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let mut holder = Raw::log_in(pgotter.port(), &[]);
    holder.ask("begin -- with a server");
    // The server comes free only when both are in.
    let mut tokyo = Raw::log_in(pgotter.port(), &[("TimeZone", "Asia/Tokyo")]);
    let mut nowhere = Raw::log_in(pgotter.port(), &[("TimeZone", "No/Where")]);
    holder.ask("commit");
    assert_eq!(tokyo.value("show timezone"), "Asia/Tokyo");
    let heard = nowhere.ask("select 1");
    assert_eq!(error_code(&heard).as_deref(), Some("22023"), "{}", print(&heard));
    assert_eq!(tokyo.value("show timezone"), "Asia/Tokyo");
    assert_eq!(holder.value("select 1"), "1");
}

#[test]
fn options_are_taken_apart_as_postgresql_does() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    for options in [
        "-c search_path=\"a\\ b\" -cgeqo=off --work-mem=99kB",
        "-c search_path=\"\\\\\\ x\\'y\"",
        "\t-c\nsearch_path=\"A\"\\,b",
        "-c app.x=a=b -c APP.Y=",
        "-c geqo=on -c geqo=off",
    ] {
        let seen = [shared_postgres().port(), pgotter.port()].map(|port| {
            let mut client = Raw::log_in(port, &[("options", options)]);
            client.value(
                "select concat_ws('|', current_setting('search_path'), current_setting('geqo'), \
                 current_setting('work_mem'), current_setting('app.x', true), current_setting('app.y', true))",
            )
        });
        assert_eq!(seen[1], seen[0], "{options}");
    }
}

#[test]
fn values_of_any_length_and_content_arrive_unharmed() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let long = "x".repeat(9_800);
    for value in ["", " ", "'", "\\", "a'b''c\\d", "$1 $$ %s", "line\nline\r\ttab", "\u{1}\u{7f}", "null", &long] {
        let mut client = Raw::log_in(pgotter.port(), &[("app.x", value)]);
        let mut between = Raw::log_in(pgotter.port(), &[("app.x", "between")]);
        assert_eq!(client.value("show app.x"), value);
        assert_eq!(between.value("show app.x"), "between");
        assert_eq!(client.value("show app.x"), value);
    }
}

#[test]
fn the_startup_of_a_java_driver_is_its_session() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let jdbc = [
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO"),
        ("TimeZone", "Europe/Berlin"),
        ("extra_float_digits", "2"),
        ("application_name", "PostgreSQL JDBC Driver"),
    ];
    let mut java = Raw::log_in(pgotter.port(), &jdbc);
    let mut other = Raw::log_in(pgotter.port(), &[("extra_float_digits", "-15")]);
    for _ in 0..2 {
        assert_eq!(java.value("select 0.1::float8 + 0.2"), "0.30000000000000004");
        assert_eq!(other.value("select 0.1::float8 + 0.2"), "0.3");
        assert_eq!(java.value("show timezone"), "Europe/Berlin");
    }
}

#[test]
fn more_than_a_client_may_keep_is_refused_at_login() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "");
    let options: String = (0..300).map(|number| format!("-c a.x{number}=1 ")).collect();
    let told = refusal(pgotter.port(), "postgres", &[("options", &options)]);
    assert!(told.contains("SFATAL") && told.contains("C54000"), "{told}");
}

#[test]
fn ignored_parameters_are_not_set() {
    let pgotter =
        PgOtter::in_front_of(shared_postgres(), "ignore_startup_parameters = \"extra_float_digits, options\"");
    let login =
        [("extra_float_digits", "3"), ("options", "-c geqo=off -x -c timezone=Asia/Tokyo"), ("work_mem", "99kB")];
    let mut client = Raw::log_in(pgotter.port(), &login);
    let names = ["extra_float_digits", "geqo", "timezone", "work_mem"];
    let seen = names.map(|name| client.value(&format!("show {name}")));
    assert_eq!(seen, ["1", "on", "Asia/Tokyo", "99kB"]);
}

#[test]
fn the_clients_address_stands_behind_its_name() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "application_name_add_host = true");
    for (given, name) in [(&[][..], "app"), (&[("application_name", "web")], "web")] {
        let mut client = Raw::log_in(pgotter.port(), given);
        let expected = format!("{name} - {}", must(client.stream.local_addr()));
        assert_eq!(client.parameter("application_name"), expected);
        assert_eq!(client.value("show application_name"), expected);
    }
}
