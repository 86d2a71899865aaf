//! What PostgreSQL refuses about a session: its own error reaches the client, in a block and outside; and what is believed
//! of the session is what PostgreSQL says of it.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::sync::OnceLock;

/// The longest message that PostgreSQL reads, without its type byte. Source: PostgreSQL `src/include/libpq/libpq.h`,
/// `PQ_LARGE_MESSAGE_LIMIT`.
const MESSAGE_MAX: u32 = 0x3fff_fffe;

fn server() -> &'static LocalPostgres {
    static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = postgres(&Options::default());
        must(server.psql(
            "postgres",
            "CREATE FUNCTION public.sets_and_fails() RETURNS void LANGUAGE plpgsql AS $$
               BEGIN PERFORM set_config('work_mem', '33MB', false); SET search_path = nowhere; PERFORM 1 / 0; END $$;
             CREATE FUNCTION public.sets_and_catches() RETURNS void LANGUAGE plpgsql AS $$
               BEGIN
                 SET work_mem = '34MB';
                 BEGIN SET geqo_threshold = 9; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END;
               END $$",
        ));
        server
    })
}

const REFUSED: [&str; 14] = [
    "SET no_such_setting = 1",
    "SET work_mem = 'nonsense'",
    "SET work_mem = '1kB'",
    "SET work_mem",
    "SET search_path",
    "SET max_connections = 7",
    "SET ROLE nobody",
    "SET SESSION AUTHORIZATION nobody",
    "SET TIME ZONE 'Nowhere/Nothing'",
    "SET client_encoding = 'KLINGON'",
    "SET app. = 1",
    "SELECT set_config('no_such_setting', '1', false)",
    "SELECT sets_and_fails()",
    "SET work_mem = '35MB'; SELECT sets_and_fails()",
];

const SETTINGS: &str = "SELECT concat_ws('|', current_user, session_user,
    (SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings
     WHERE name IN ('work_mem', 'search_path', 'TimeZone', 'client_encoding', 'geqo_threshold', 'statement_timeout')))";

/// One that a text goes to directly, one through PgOtter, and one on the same server that has set nothing.
struct Three {
    direct: Raw,
    client: Raw,
    other: Raw,
    untouched: String,
}

impl Three {
    fn new(pgotter: &PgOtter) -> Self {
        let mut direct = Raw::log_in(server().port(), &[]);
        let untouched = direct.value(SETTINGS);
        let (client, other) = (Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[]));
        Self { direct, client, other, untouched }
    }

    fn ask(&mut self, request: &[u8], what: &str) {
        self.direct.send(request);
        self.client.send(request);
        assert_eq!(print(&self.client.until_ready()), print(&self.direct.until_ready()), "{what}");
    }

    /// Both see the same of their sessions, and nobody else anything.
    fn agree(&mut self, what: &str) {
        assert_eq!(self.other.value(SETTINGS), self.untouched, "another client behind {what}");
        assert_eq!(self.client.value(SETTINGS), self.direct.value(SETTINGS), "behind {what}");
    }
}

fn pgotter() -> PgOtter {
    PgOtter::in_front_of(server(), "default_pool_size = 1")
}

#[test]
fn settings_that_are_refused_change_nothing_inside_a_block_and_outside() {
    let pgotter = pgotter();
    let mut three = Three::new(&pgotter);
    three.ask(&query("SET work_mem = '7MB'"), "what is kept");
    for sql in REFUSED {
        three.ask(&query(sql), sql);
        three.agree(sql);
        three.ask(&[parse("", sql), bind("", "", &[]), execute("", 0), sync()].concat(), sql);
        three.agree(sql);
        for end in ["COMMIT", "ROLLBACK"] {
            for part in ["BEGIN", "SET work_mem = '21MB'", sql, "SET work_mem = '22MB'", end] {
                three.ask(&query(part), &format!("{part} around {sql}"));
            }
            three.agree(sql);
        }
        for part in ["BEGIN", "SET work_mem = '23MB'", "SAVEPOINT a", sql, "ROLLBACK TO a", "COMMIT"] {
            three.ask(&query(part), &format!("{part} around {sql}"));
        }
        three.agree(sql);
    }
}

#[test]
fn a_function_that_catches_its_failure_leaves_what_it_set_before() {
    let pgotter = pgotter();
    let mut three = Three::new(&pgotter);
    three.ask(&query("SELECT sets_and_catches()"), "the function");
    three.agree("the function");
    for part in ["BEGIN", "SET geqo_threshold = 5", "SELECT sets_and_catches()", "COMMIT"] {
        three.ask(&query(part), part);
    }
    three.agree("the function in a block");
}

#[test]
fn a_bind_with_wrong_counts_is_refused_and_the_statement_stays() {
    let pgotter = pgotter();
    let mut three = Three::new(&pgotter);
    three.ask(&[parse("a", "SELECT $1::int + $2::int"), sync()].concat(), "Parse");
    let bind_with = |formats: &[u8], values: &[u8]| message(b'B', &[b"\0a\0", formats, values].concat());
    let one: &[u8] = b"\0\0\0\x01\x31";
    for (formats, values) in [
        (&b"\0\0"[..], [&b"\0\x01"[..], one, b"\0\0"].concat()),
        (b"\0\0", [&b"\0\x03"[..], one, one, one, b"\0\0"].concat()),
        (b"\0\x03\0\0\0\0\0\0", [&b"\0\x02"[..], one, one, b"\0\0"].concat()),
        (b"\0\0", [&b"\0\x02"[..], one, one, b"\0\x05\0\0\0\0\0\0\0\0\0\0"].concat()),
        (b"\0\0", [&b"\0\x02"[..], one, one, b"\0\0\0"].concat()),
        (b"\0\0", [&b"\0\x02"[..], one, b"\x7f\xff\xff\xff1\0\0"].concat()),
        (b"\xff\xff", b"".to_vec()),
    ] {
        let what = format!("{formats:?} {values:?}");
        three.ask(&[bind_with(formats, &values), execute("", 0), sync()].concat(), &what);
        three.ask(&[bind("", "a", &[b"1", b"2"]), execute("", 0), sync()].concat(), &what);
        three.agree(&what);
    }
}

#[test]
fn a_parse_above_the_limit_of_a_message_ends_the_connection_and_nobody_elses() {
    let pgotter = pgotter();
    let mut other = Raw::log_in(pgotter.port(), &[]);
    // PostgreSQL says why in its log only. A name of PgOtter's has no room in the longest.
    for (port, length, why) in [
        (server().port(), MESSAGE_MAX + 1, None),
        (pgotter.port(), MESSAGE_MAX + 1, Some("08P01")),
        (pgotter.port(), MESSAGE_MAX, Some("54000")),
    ] {
        let mut client = Raw::log_in(port, &[]);
        client.send(&[&b"P"[..], &length.to_be_bytes(), b"a\0", &[b' '; 300_000]].concat());
        assert_eq!(error_code(&client.until_end()).as_deref(), why);
    }
    assert_eq!(other.value("SELECT 'still here'"), "still here");
}

#[test]
#[ignore = "sends 4 GB: make test-long"]
fn a_parse_at_the_limit_of_a_message_is_postgresqls_to_take() {
    let pgotter = pgotter();
    for (name, length) in [("", MESSAGE_MAX), ("a", MESSAGE_MAX - 64)] {
        let mut answers = Vec::new();
        for port in [server().port(), pgotter.port()] {
            let mut client = Raw::log_in(port, &[]);
            client.send(&[&b"P"[..], &length.to_be_bytes(), name.as_bytes(), b"\0"].concat());
            // What follows length and name: the text, its end, and that it has no parameters.
            let mut left = length as usize - 4 - name.len() - 1 - 3;
            let spaces = vec![b' '; 1 << 20];
            while left > 0 {
                let part = left.min(spaces.len());
                client.send(&spaces[..part]);
                left -= part;
            }
            client.send(&[&b"\0\0\0"[..], &sync()].concat());
            let parsed = print(&client.until_ready());
            client.send(&[bind("", name, &[]), execute("", 0), sync()].concat());
            answers.push((parsed, print(&client.until_ready()), client.value("SELECT 'still here'")));
        }
        assert_eq!(answers[0], answers[1]);
    }
}

#[test]
fn the_first_request_on_each_server_obeys_its_own_clients_defaults() {
    let pgotter = PgOtter::in_front_of(server(), "default_pool_size = 2");
    must(server().psql("postgres", "CREATE TABLE IF NOT EXISTS written (n int)"));
    let strict = "-c default_transaction_read_only=on -c default_transaction_isolation=serializable \
                  -c default_transaction_deferrable=on";
    let mut strict = Raw::log_in(pgotter.port(), &[("options", strict)]);
    let mut plain = Raw::log_in(pgotter.port(), &[]);
    let (mut first, mut second) = (Raw::log_in(pgotter.port(), &[]), Raw::log_in(pgotter.port(), &[]));
    let modes =
        "SELECT concat_ws(' ', current_setting('transaction_isolation'), current_setting('transaction_read_only'),
                 current_setting('transaction_deferrable'))";
    for round in 0..8 {
        // Whoever else has one of the two servers leaves the other.
        let holder = if round % 2 == 0 { &mut first } else { &mut second };
        holder.ask("BEGIN");
        holder.ask("SELECT 1");
        assert_eq!(error_code(&strict.ask("INSERT INTO written VALUES (1)")).as_deref(), Some("25006"));
        assert_eq!(error_code(&plain.ask("INSERT INTO written VALUES (2)")), None);
        assert_eq!(strict.value(modes), "serializable on on");
        assert_eq!(plain.value(modes), "read committed off off");
        strict.ask("BEGIN");
        assert_eq!(strict.value(modes), "serializable on on");
        strict.ask("COMMIT");
        plain.send(&[extended("INSERT INTO written VALUES (3)", &[]), sync()].concat());
        assert_eq!(error_code(&plain.until_ready()), None);
        strict.send(&[extended("INSERT INTO written VALUES (4)", &[]), sync()].concat());
        assert_eq!(error_code(&strict.until_ready()).as_deref(), Some("25006"));
        holder.ask("COMMIT");
    }
    assert_eq!(plain.value("SELECT string_agg(DISTINCT n::text, ',') FROM written"), "2,3");
}
