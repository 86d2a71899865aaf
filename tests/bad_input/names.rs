//! Users, databases and application names that want to be more than names: to PostgreSQL they are names, and in the log they
//! are escaped.

use super::raw::{Conn, Heard, query};
use crate::support::raw::{Raw, startup, startup_bytes};
use crate::support::{PgOtter, must, postgres, simple_config};
use pgotter::cli::local_postgres::{LocalPostgres, Options};

const NAMES: &[&str] = &[
    "o'tter",
    "ot\"ter\"\"",
    "'; DROP TABLE otters --",
    "new\nline\r\n{\"level\":\"ERROR\"}",
    "\ttab\\n\\",
    "\u{1b}[2Jescape\u{7f}\u{85}",
    "%s%n${HOME}$(id)",
    "\u{202e}ʀᴇᴛᴛᴏ\u{200b} ötter",
];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn with_these_names() -> LocalPostgres {
    let server = postgres(&Options::default());
    for name in NAMES {
        must(server.psql("postgres", &format!("CREATE ROLE {} LOGIN", quoted(name))));
        must(server.psql("postgres", &format!("CREATE DATABASE {}", quoted(name))));
    }
    server
}

fn in_front_of(server: &LocalPostgres) -> PgOtter {
    let lines = "default_pool_size = 1\nlog_connections = true\nlog_disconnections = true";
    PgOtter::start(|port| simple_config(port, server, lines))
}

/// One event, one line, and nothing in it that a terminal or a reader of JSON would take for more than text.
fn the_log_is_whole(pooler: &PgOtter) {
    let log = pooler.log();
    for line in log.lines() {
        assert!(line.starts_with("{\"timestamp\":\"") && line.ends_with('}'), "{line:?}");
        let strange = line.chars().find(|char| char.is_control() || matches!(char, '\u{202e}' | '\u{200b}'));
        assert_eq!(strange, None, "{line:?}");
    }
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn strange_names_are_names_and_are_escaped_in_the_log() {
    let server = with_these_names();
    let pooler = in_front_of(&server);
    for name in NAMES {
        let own = [("user", *name), ("database", *name), ("application_name", *name)];
        let said = [server.port(), pooler.port()].map(|port| {
            let mut client = Raw::connect(port);
            client.send(&startup(3, 0, &own));
            client.welcomed();
            ["current_user", "current_database()", "current_setting('application_name')"]
                .map(|what| client.value(&format!("SELECT {what}")))
        });
        assert_eq!(said[1], said[0]);
        assert_eq!(said[1][..2], [*name, *name]);
    }
    the_log_is_whole(&pooler);
    for escaped in [r#"new\nline\r\n{\""#, r"\u001b[2Jescape\u007f\u0085", r"\u202e"] {
        assert!(pooler.log().contains(escaped), "{escaped} is missing in\n{}", pooler.log());
    }
}

#[test]
fn strange_names_that_nobody_has_are_refused_in_postgresqls_words() {
    let server = postgres(&Options::default());
    let pooler = in_front_of(&server);
    for name in NAMES {
        for (user, database) in [(*name, "postgres"), ("postgres", *name)] {
            let said = [server.port(), pooler.port()].map(|port| {
                let mut client = Raw::connect(port);
                client.send(&startup(3, 0, &[("user", user), ("database", database)]));
                let heard = client.until_end();
                let error = heard.last().filter(|frame| frame.kind == b'E');
                error.map(|frame| (frame.field(b'C'), frame.field(b'M'))).unwrap_or_else(|| panic!("{heard:?}"))
            });
            assert_eq!(said[1], said[0], "{user:?} {database:?}");
        }
    }
    the_log_is_whole(&pooler);
    assert_eq!(Raw::log_in(pooler.port(), &[]).value("SELECT 'honest'"), "honest");
}

#[test]
fn names_that_are_no_utf_8_are_refused_or_kept_as_they_are() {
    let server = postgres(&Options::default());
    let pooler = in_front_of(&server);
    let bad: &[u8] = b"ot\xffter\xc3";
    let postgres: &[u8] = b"postgres";
    let visit = |user: &[u8], database: &[u8], application: &[u8]| -> (Conn, Heard) {
        let mut conn = Conn::open(pooler.port());
        let parameters: [(&[u8], &[u8]); 3] =
            [(b"user", user), (b"database", database), (b"application_name", application)];
        conn.send(&startup_bytes(3, 0, &parameters));
        let heard = conn.until_ready();
        (conn, heard)
    };
    for (user, database) in [(bad, postgres), (postgres, bad)] {
        let (_, heard) = visit(user, database, postgres);
        assert_eq!(heard.last_error().as_deref(), Some("FATAL 28000"), "{heard:?}");
    }
    let (mut conn, heard) = visit(postgres, postgres, bad);
    assert!(heard.kinds().ends_with('Z'), "{heard:?}");
    conn.send(&query("SHOW application_name"));
    let heard = conn.until_ready();
    let row = heard.frames.iter().find(|(kind, _)| *kind == b'D').map(|(_, body)| body.escape_ascii().to_string());
    // What PostgreSQL 15, and what later ones make of bytes that are no ASCII.
    let shown = row.as_deref().is_some_and(|row| row.ends_with("ot?ter?") || row.ends_with(r"ot\\xffter\\xc3"));
    assert!(shown, "{heard:?}");
    // A parameter of that name. PostgreSQL itself would say 42704 without looking at its bytes.
    let mut conn = Conn::open(pooler.port());
    conn.send(&startup_bytes(3, 0, &[(b"user", postgres), (b"ot\xff\nter", b"x")]));
    assert_eq!(conn.until_closed().last_error().as_deref(), Some("FATAL 22021"));
    the_log_is_whole(&pooler);
}
