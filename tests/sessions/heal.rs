//! "cached plan must not change result type": a table gets another column behind the back of those who have prepared a
//! statement for it.

use crate::support::raw::*;
use crate::support::{PgOtter, must, shared_postgres};
use pgotter::cli::local_postgres::LocalPostgres;

const STALE: Option<&str> = Some("0A000");

/// A client that has prepared `SELECT * FROM table` as `s`, has had its columns described, and has used it.
struct World {
    server: &'static LocalPostgres,
    pgotter: PgOtter,
    client: Raw,
    table: &'static str,
}

impl World {
    fn new(table: &'static str) -> Self {
        let server = shared_postgres();
        must(server.psql("postgres", &format!("CREATE TABLE {table} (id int); INSERT INTO {table} VALUES (7)")));
        let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1");
        let client = Raw::log_in(pgotter.port(), &[]);
        let mut world = Self { server, pgotter, client, table };
        assert_eq!(error_code(&world.prepared("s", &world.text())), None);
        assert_eq!(columns(&world.ask(&[bind("", "s", &[]), execute("", 0)])), (0, 1));
        world
    }

    fn text(&self) -> String {
        format!("SELECT * FROM {}", self.table)
    }

    /// Another column, by a connection of its own.
    fn alter(&self) {
        must(self.server.psql("postgres", &format!("ALTER TABLE {} ADD COLUMN more text DEFAULT 'new'", self.table)));
    }

    fn prepared(&mut self, name: &str, text: &str) -> Vec<Frame> {
        self.ask(&[parse(name, text), describe(b'S', name)])
    }

    /// These messages and a Sync.
    fn ask(&mut self, messages: &[Vec<u8>]) -> Vec<Frame> {
        self.client.send(&[messages.concat(), sync()].concat());
        self.client.until_ready()
    }

    /// Asserts that all that is asked is answered as PostgreSQL does a client that has done the same.
    fn assert_as_postgresql(mut self, requests: &[Vec<u8>]) {
        let mut direct = Raw::log_in(self.server.port(), &[]);
        for request in [vec![parse("s", &self.text()), describe(b'S', "s")], vec![bind("", "s", &[]), execute("", 0)]] {
            direct.send(&[request.concat(), sync()].concat());
            direct.until_ready();
        }
        self.alter();
        let mut stale = 0;
        for request in requests {
            direct.send(request);
            self.client.send(request);
            let (expected, answer) = (direct.until_ready(), self.client.until_ready());
            assert_eq!(print(&answer), print(&expected));
            stale += u32::from(error_code(&answer).as_deref() == STALE);
        }
        assert!(stale > 0);
    }
}

/// Bind, Describe and Execute, as most drivers do it.
fn uses(name: &str) -> Vec<u8> {
    [bind("", name, &[]), describe(b'P', ""), execute("", 0)].concat()
}

/// Columns described, and those of the first row; 0 for none.
fn columns(frames: &[Frame]) -> (u16, u16) {
    assert_eq!(error_code(frames), None, "{}", print(frames));
    let of = |kind| frames.iter().find(|frame| frame.kind == kind).map_or(0, |frame| count(&frame.body));
    (of(b'T'), of(b'D'))
}

fn count(body: &[u8]) -> u16 {
    u16::from_be_bytes([body[0], body[1]])
}

#[test]
fn who_has_its_columns_described_with_each_use_notices_nothing() {
    let mut world = World::new("healed");
    world.alter();
    let answer = world.ask(&[uses("s")]);
    assert_eq!(columns(&answer), (2, 2));
    let kinds: String = answer.iter().map(|frame| char::from(frame.kind)).collect();
    assert_eq!(kinds, "2TDCZ", "each answer once");
    // It is the client's from now on.
    assert_eq!(columns(&world.ask(&[bind("", "s", &[]), execute("", 0)])), (0, 2));
    must(world.server.psql("postgres", "ALTER TABLE healed ADD COLUMN still_more int"));
    assert_eq!(columns(&world.ask(&[describe(b'S', "s")])), (3, 0));
    assert_eq!(columns(&world.ask(&[uses("s"), uses("s")])), (3, 3));
}

#[test]
fn a_request_of_several_executions_is_run_anew_as_a_whole_if_the_first_is_stale() {
    let mut world = World::new("healed_whole");
    let insert = format!("INSERT INTO {} VALUES ($1) RETURNING id", world.table);
    world.prepared("i", &insert);
    world.alter();
    let answer =
        world.ask(&[uses("s"), bind("", "i", &[b"8"]), execute("", 0), close(b'S', "i"), parse("i", "SELECT 1")]);
    assert_eq!(columns(&answer), (2, 2));
    assert_eq!(world.client.value(&format!("SELECT count(*) FROM {} WHERE id = 8", world.table)), "1");
    assert_eq!(first_value(&world.ask(&[bind("", "i", &[]), execute("", 0)])).as_deref(), Some("1"));
}

#[test]
fn what_writes_is_run_once() {
    let mut world = World::new("healed_writer");
    world.prepared("w", &format!("INSERT INTO {} VALUES (8) RETURNING *", world.table));
    world.alter();
    assert_eq!(columns(&world.ask(&[uses("w")])), (2, 2));
    assert_eq!(world.client.value(&format!("SELECT count(*) FROM {} WHERE id = 8", world.table)), "1");
}

#[test]
fn who_holds_the_old_columns_is_told() {
    let used = [bind("", "s", &[]), execute("", 0), sync()].concat();
    World::new("stale_held").assert_as_postgresql(&[used.clone(), used]);
}

#[test]
fn in_a_block_it_fails_as_a_whole() {
    let used = [uses("s"), sync()].concat();
    World::new("stale_first").assert_as_postgresql(&[query("BEGIN"), used.clone(), query("COMMIT")]);
    World::new("stale_later").assert_as_postgresql(&[
        query("BEGIN"),
        query("SELECT 'first'"),
        used,
        query("SELECT 'in a failed block'"),
        query("ROLLBACK"),
    ]);
}

#[test]
fn behind_an_execution_of_the_same_request_nothing_is_run_again() {
    let written = "INSERT INTO stale_second VALUES (8) RETURNING id";
    World::new("stale_second").assert_as_postgresql(&[
        [parse("", written), bind("", "", &[]), execute("", 0), uses("s"), sync()].concat(),
        query("SELECT id FROM stale_second WHERE id = 8"),
    ]);
}

#[test]
fn requests_sent_without_waiting_keep_their_order_and_their_errors() {
    let mut world = World::new("stale_pipeline");
    world.alter();
    let used = [uses("s"), sync()].concat();
    let written = format!("INSERT INTO {} VALUES (8)", world.table);
    world.client.send(&[used.clone(), query(&written), used.clone()].concat());
    // By another request that was under way behind it, and in front of it.
    assert_eq!(error_code(&world.client.until_ready()).as_deref(), STALE);
    assert_eq!(error_code(&world.client.until_ready()), None);
    assert_eq!(error_code(&world.client.until_ready()).as_deref(), STALE);
    assert_eq!(columns(&world.ask(&[uses("s")])), (2, 2));
}

#[test]
fn who_prepares_a_statement_only_now_is_never_told_of_old_columns() {
    for (table, request) in [
        ("stale_for_others", vec![describe(b'S', "new")]),
        ("stale_used_by_others", vec![bind("", "new", &[]), execute("", 0)]),
        ("stale_unknown", vec![uses("new")]),
    ] {
        let mut world = World::new(table);
        world.alter();
        world.client = Raw::log_in(world.pgotter.port(), &[]);
        let text = world.text();
        let answer = world.ask(&[vec![parse("new", &text)], request].concat());
        let (described, row) = columns(&answer);
        assert_eq!(described.max(row), 2, "{table}: {}", print(&answer));
        assert_eq!(answer.iter().filter(|frame| frame.kind == b'1').count(), 1, "{table}");
    }
}

#[test]
fn it_is_healed_behind_settings_that_had_to_be_put_in_front() {
    let mut world = World::new("healed_settings");
    let mut other = Raw::log_in(world.pgotter.port(), &[("TimeZone", "Asia/Tokyo")]);
    assert_eq!(other.value("SHOW TimeZone"), "Asia/Tokyo");
    world.alter();
    assert_eq!(columns(&world.ask(&[uses("s")])), (2, 2));
}

#[test]
fn a_request_that_fails_otherwise_when_it_is_run_anew_says_so() {
    let mut world = World::new("healed_and_gone");
    must(world.server.psql("postgres", "ALTER TABLE healed_and_gone RENAME TO gone_now"));
    must(world.server.psql("postgres", "CREATE VIEW healed_and_gone AS SELECT id, 1 / (id - 7) FROM gone_now"));
    let answer = world.ask(&[uses("s")]);
    assert_eq!(error_code(&answer).as_deref(), Some("22012"), "{}", print(&answer));
    assert_eq!(answer.last().map(|frame| frame.body.as_slice()), Some(&b"I"[..]));
    assert_eq!(world.client.value("SELECT 'goes on'"), "goes on");
}
