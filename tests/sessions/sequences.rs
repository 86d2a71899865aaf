//! `currval` and `lastval` where servers are shared: one's own number, or an error that says what to do; never another's.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::sync::OnceLock;
use std::thread;

pub fn server() -> &'static LocalPostgres {
    static SERVER: OnceLock<LocalPostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = postgres(&Options::default());
        must(server.psql(
            "postgres",
            "CREATE SEQUENCE one; CREATE SEQUENCE two; CREATE TABLE ticket (id serial, note text);
             CREATE TABLE plain (n int); INSERT INTO plain VALUES (1)",
        ));
        server
    })
}

fn pgotter(servers: usize, more: &str) -> PgOtter {
    PgOtter::in_front_of(server(), &format!("default_pool_size = {servers}\nquery_wait_timeout = \"20s\"\n{more}"))
}

fn client(pgotter: &PgOtter, application: &str) -> Raw {
    Raw::log_in(pgotter.port(), &[("application_name", application)])
}

/// The hint of an error 55000.
fn undefined(frames: &[Frame]) -> Option<String> {
    assert_eq!(error_code(frames).as_deref(), Some("55000"), "{}", print(frames));
    frames.iter().find(|frame| frame.kind == b'E').and_then(|error| error.field(b'H'))
}

/// It has called lastval, so that its application is known for that.
fn asker(pgotter: &PgOtter) -> Raw {
    let mut client = client(pgotter, "asks");
    undefined(&client.ask("SELECT lastval()"));
    client
}

/// It has a temporary table, has drawn where another had before, and its application is known to ask.
pub fn asker_that_is_pinned(pgotter: &PgOtter) -> (Raw, Raw) {
    let mut other = client(pgotter, "other");
    other.value("SELECT nextval('one')");
    let mut client = client(pgotter, "asks");
    client.ask("CREATE TEMP TABLE mine (n int)");
    client.value("SELECT nextval('one')");
    undefined(&client.ask("SELECT lastval()"));
    (client, other)
}

#[test]
fn an_insert_that_draws_nothing_lets_nobody_see_what_another_has_drawn() {
    let pgotter = pgotter(1, "");
    let mut other = client(&pgotter, "other");
    let mut client = client(&pgotter, "client");
    for round in 0..3 {
        other.value("SELECT nextval('one')");
        client.ask("BEGIN");
        client.ask("INSERT INTO plain VALUES (2)");
        undefined(&client.ask("SELECT lastval()"));
        client.ask("ROLLBACK");
        other.value("SELECT nextval('two')");
        // Its own number of the one says nothing of the other.
        client.ask("BEGIN");
        let mine = client.value("SELECT nextval('one')");
        assert!(round == 0 || client.value("SELECT currval('one')") == mine);
        undefined(&client.ask("SELECT currval('two')"));
        client.ask("ROLLBACK");
    }
}

#[test]
fn in_a_failed_block_nothing_is_told_as_ever() {
    let pgotter = pgotter(1, "");
    let mut other = client(&pgotter, "other");
    let mut client = client(&pgotter, "client");
    other.value("SELECT nextval('one')");
    client.ask("BEGIN");
    client.ask("SELECT 1/0");
    assert_eq!(error_code(&client.ask("SELECT lastval()")).as_deref(), Some("25P02"));
}

#[test]
fn whoever_asks_in_the_transaction_of_its_insert_is_told_whoever_came_before() {
    let pgotter = pgotter(1, "");
    let mut other = client(&pgotter, "other");
    let mut client = asker(&pgotter);
    for begin in ["BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE", "/* no plain */ BEGIN"] {
        other.value("INSERT INTO ticket DEFAULT VALUES RETURNING id");
        client.ask(begin);
        client.value("SELECT 'something else first'");
        let mine = client.value("INSERT INTO ticket DEFAULT VALUES RETURNING id");
        assert_eq!(client.value("SELECT lastval()"), mine);
        assert_eq!(client.value("SELECT currval('ticket_id_seq')"), mine);
        client.ask("COMMIT");
    }
    other.value("SELECT nextval('one')");
    // Other tests draw at the same time.
    let both = client.ask(
        "INSERT INTO ticket (note) VALUES ('both'); SELECT lastval() = (SELECT max(id) FROM ticket WHERE note = 'both')",
    );
    assert_eq!(first_value(&both).as_deref(), Some("t"), "{}", print(&both));
}

#[test]
fn a_client_that_has_drawn_nothing_is_told_so_by_postgresql_itself() {
    let pgotter = pgotter(1, "");
    let mut other = client(&pgotter, "other");
    let mut direct = Raw::log_in(server().port(), &[]);
    let mut newcomer = client(&pgotter, "newcomer");
    for ask in ["SELECT lastval()", "SELECT currval('one')", "SELECT currval('nonsense')"] {
        for request in [query(ask), [extended(ask, &[]), sync()].concat()] {
            other.value("SELECT nextval('one')");
            for client in [&mut direct, &mut newcomer] {
                client.send(&request);
            }
            assert_eq!(print(&newcomer.until_ready()), print(&direct.until_ready()), "{ask}");
        }
    }
}

#[test]
fn a_later_transaction_asks_on_the_server_where_it_has_drawn() {
    let pgotter = pgotter(3, "");
    let mut client = asker(&pgotter);
    let mut others: Vec<Raw> = (0..2).map(|_| self::client(&pgotter, "other")).collect();
    for _ in 0..5 {
        let mine = client.value("SELECT nextval('one')");
        // Now others have been used since, and would be next in line.
        for other in &mut others {
            other.ask("BEGIN");
            other.ask("SELECT 1");
        }
        for other in &mut others {
            other.ask("COMMIT");
        }
        assert_eq!(client.value("SELECT lastval()"), mine);
        assert_eq!(client.value("SELECT 'between'"), "between");
        assert_eq!(client.value("SELECT currval('one')"), mine);
    }
}

#[test]
fn who_keeps_its_server_goes_back_to_what_it_came_with_too() {
    let pgotter = pgotter(1, "");
    let login = [("application_name", "keeps"), ("statement_timeout", "50min")];
    let (mut client, mut other) = (Raw::log_in(pgotter.port(), &login), client(&pgotter, "other"));
    client.value("SELECT nextval('one')");
    other.value("SELECT nextval('one')");
    undefined(&client.ask("SELECT lastval()"));
    client.ask("SET statement_timeout = '1h'");
    let request = ["SELECT nextval('one')", "RESET statement_timeout"].map(|sql| extended(sql, &[])).concat();
    client.send(&[request, sync()].concat());
    client.until_ready();
    assert_eq!(client.value("SHOW statement_timeout"), "50min");
}

#[test]
fn who_has_asked_in_vain_keeps_its_server_behind_what_it_draws_and_not_for_ever() {
    let pgotter = pgotter(1, "");
    let mut other = client(&pgotter, "other");
    let mut client = asker(&pgotter);
    client.value("SELECT nextval('one')");
    other.value("SELECT nextval('one')");
    let hint = undefined(&client.ask("SELECT lastval()"));
    assert!(hint.unwrap().contains("RETURNING"));
    // On a busy machine the other may have waited for too long now and then.
    let told = (0..20).filter(|_| {
        let mine = client.value("INSERT INTO ticket DEFAULT VALUES RETURNING id");
        other.send(&query("INSERT INTO ticket DEFAULT VALUES RETURNING id"));
        let answers = [client.ask("SELECT lastval()"), client.ask("SELECT currval('ticket_id_seq')")];
        // It goes on to something else.
        client.value("SELECT 'something else'");
        other.until_ready();
        undefined(&client.ask("SELECT lastval()"));
        answers.iter().all(|answer| first_value(answer).is_none_or(|told| told == mine) && error_code(answer).is_none())
    });
    assert!(told.count() > 5);
    // It does nothing any more.
    client.value("SELECT nextval('one')");
    assert_eq!(other.value("SELECT 'served'"), "served");
    // Nor is anything left for the next when it leaves.
    client.value("SELECT nextval('one')");
    drop(client);
    assert_eq!(other.value("SELECT 'served'"), "served");
    // Another connection of the same application has learned it too.
    let mut next = self::client(&pgotter, "asks");
    let told = (0..20).filter(|_| {
        let mine = next.value("SELECT nextval('one')");
        other.send(&query("SELECT nextval('one')"));
        let answer = next.ask("SELECT lastval()");
        other.until_ready();
        first_value(&answer).is_some_and(|told| told == mine)
    });
    assert!(told.count() > 5);
}

#[test]
fn servers_kept_for_sequences_leave_places_for_those_that_must_be_pinned() {
    let pgotter = pgotter(4, "max_pinned = 1");
    let mut clients: Vec<Raw> = (0..3).map(|_| asker(&pgotter)).collect();
    clients[0].value("SELECT nextval('one')");
    client(&pgotter, "other").value("SELECT nextval('one')");
    undefined(&clients[0].ask("SELECT lastval()"));
    for client in &mut clients {
        // All are served, although one place is theirs.
        client.value("SELECT nextval('one')");
    }
    let mut pinned = client(&pgotter, "pinned");
    let made = pinned.ask("CREATE TEMP TABLE mine (n int)");
    assert!(error_code(&made).is_none(), "{}", print(&made));
}

#[test]
fn what_is_forgotten_is_not_told_again() {
    let pgotter = pgotter(1, "");
    let mut client = asker(&pgotter);
    for forget in ["DISCARD ALL", "DISCARD SEQUENCES"] {
        client.value("SELECT nextval('one')");
        client.ask(forget);
        undefined(&client.ask("SELECT lastval()"));
        undefined(&client.ask("SELECT currval('one')"));
    }
}

#[test]
fn a_pinned_client_forgets_what_others_had_drawn_as_well() {
    let pgotter = pgotter(1, "");
    let mut other = client(&pgotter, "other");
    let mut client = client(&pgotter, "client");
    other.value("SELECT nextval('one')");
    client.ask("CREATE TEMP TABLE mine (n int)");
    client.ask("INSERT INTO mine VALUES (1)");
    // It is the first that its application asks.
    undefined(&client.ask("SELECT lastval()"));
    client.ask("INSERT INTO mine VALUES (1)");
    undefined(&client.ask("SELECT lastval()"));
    let mine = client.value("SELECT nextval('one')");
    assert_eq!(client.value("SELECT lastval()"), mine);
}

#[test]
fn a_session_is_told_of_nothing_that_came_before_it() {
    let pgotter = pgotter(1, "pool_mode = \"session\"\nserver_reset_query = \"SELECT 1\"");
    let mut first = client(&pgotter, "first");
    let mine = first.value("SELECT nextval('one')");
    assert_eq!(first.value("SELECT lastval()"), mine);
    first.send(&terminate());
    first.until_end();
    undefined(&client(&pgotter, "second").ask("SELECT lastval()"));
}

#[test]
fn a_crowd_that_asks_for_its_last_number_is_told_none_but_its_own() {
    let pgotter = pgotter(10, "");
    asker(&pgotter);
    let told = thread::scope(|scope| {
        let work = |number: usize| {
            let mut client = client(&pgotter, "asks");
            let mut in_vain = 0;
            for round in 0..30 {
                let in_block = (number + round).is_multiple_of(2);
                client.ask(if in_block { "BEGIN" } else { "SELECT 'no block'" });
                let mine = client.value("INSERT INTO ticket DEFAULT VALUES RETURNING id");
                let last = client.ask("SELECT lastval()");
                match first_value(&last) {
                    Some(last) => assert_eq!(last, mine),
                    None => {
                        assert!(!in_block, "in its transaction it is told");
                        assert!(undefined(&last).is_some());
                        in_vain += 1;
                    }
                }
                client.ask("COMMIT");
            }
            in_vain
        };
        let threads: Vec<_> = (0..60).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<usize>>()
    });
    let in_vain: usize = told.iter().sum();
    assert!(in_vain < 60 * 15 / 2, "{in_vain} asked in vain");
}

#[test]
fn a_text_that_is_too_long_to_be_gathered_is_told_of_nobody_elses_number() {
    let pgotter = pgotter(1, "request_gather = \"1KiB\"");
    let mut other = client(&pgotter, "other");
    let space = " ".repeat(300_000);
    let texts = [format!("SELECT lastval() {space}"), format!("{space} SELECT lastval()")];
    let parsed = |name: &str, sql: &str| [parse(name, sql), bind("", name, &[]), execute("", 0), sync()].concat();
    for (number, sql) in texts.iter().enumerate() {
        for (how, request) in [("Query", query(sql)), ("unnamed", parsed("", sql)), ("named", parsed("s", sql))] {
            for begin in ["SELECT 1", "BEGIN"] {
                // An application that is not known to ask.
                let what = format!("{how} behind {begin}, {number}");
                let mut client = client(&pgotter, &what);
                let others = other.value("SELECT nextval('one')");
                client.ask(begin);
                client.value("SELECT 'something else'");
                client.send(&request);
                let told = client.until_ready();
                assert_ne!(first_value(&told), Some(others), "{what}");
                client.ask("ROLLBACK");
                client.ask("BEGIN");
                let mine = client.value("SELECT nextval('one')");
                // Where it has a name, it has been prepared before.
                client.send(&if how == "named" { parsed("t", sql) } else { request.clone() });
                assert_eq!(first_value(&client.until_ready()), Some(mine), "{what}");
                client.ask("ROLLBACK");
            }
        }
    }
}
