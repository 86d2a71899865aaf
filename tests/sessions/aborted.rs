//! What PgOtter refuses, where PostgreSQL would not have run it: a block that has failed says so first, and what it cannot read
//! PostgreSQL complains of itself, however much of it was sent before the answer to what has failed.

use super::sequences::server;
use crate::support::PgOtter;
use crate::support::raw::*;

/// A client whose statement is refused in the middle of a transaction, on one server with others; the statement; and why.
struct Refused {
    _pgotter: PgOtter,
    _others: Vec<Raw>,
    client: Raw,
    sql: &'static str,
    code: &'static str,
}

/// As it is told, but for the place of an error in the text: where that has LISTEN in it, another goes to the server.
fn told(frames: &[Frame], code: &str) -> String {
    let told = print(frames);
    match told.find(" | P").filter(|_| code == "0A000") {
        Some(at) => format!("{}{}", &told[..at], told[at..].trim_start_matches(|it: char| it != '\n')),
        None => told,
    }
}

fn pgotter(more: &str) -> PgOtter {
    PgOtter::in_front_of(server(), &format!("query_wait_timeout = \"20s\"\n{more}"))
}

fn refused() -> [Refused; 3] {
    let here = |pgotter: &PgOtter| Raw::log_in(pgotter.port(), &[]);
    let one = pgotter("default_pool_size = 1\nmax_pinned = 1");
    let (mut client, mut other) = (here(&one), here(&one));
    client.value("SELECT nextval('one')");
    other.value("SELECT nextval('one')");
    let sequence = Refused { _pgotter: one, _others: vec![other], client, sql: "SELECT lastval()", code: "55000" };

    let two = pgotter("default_pool_size = 2\nmax_pinned = 1");
    let (client, mut other) = (here(&two), here(&two));
    other.ask("CREATE TEMP TABLE theirs (n int)");
    let sql = "CREATE TEMP TABLE mine (n int)";
    let pin = Refused { _pgotter: two, _others: vec![other], client, sql, code: "53300" };

    let one = pgotter("default_pool_size = 1");
    let mut client = here(&one);
    client.ask("SET client_encoding = 'UTF8'");
    client.ask("LISTEN first");
    client.ask("SET client_encoding = 'LATIN1'");
    let listen = Refused { _pgotter: one, _others: Vec::new(), client, sql: "LISTEN second", code: "0A000" };
    [sequence, pin, listen]
}

/// In a block that has failed PostgreSQL runs none of these.
fn not_run(sql: &str, code: &str) -> Vec<Vec<u8>> {
    let mut requests = vec![
        query(sql),
        query(&format!("{sql}; ROLLBACK")),
        query(&format!("SELECT 'first'; {sql}")),
        query(&format!("{sql} FROM FROM")),
        query(&format!("ROLLBACK; {sql}; SELECT FROM FROM")),
        [extended(sql, &[]), sync()].concat(),
        [parse("", &format!("{sql} FROM FROM")), bind("", "", &[]), execute("", 0), sync()].concat(),
        [bind("", "kept", &[]), execute("", 0), sync()].concat(),
    ];
    // With a LISTEN that cannot be had, its request is refused as a whole.
    if code != "0A000" {
        requests.push([close(b'S', "none"), bind("", "kept", &[]), execute("", 0), sync()].concat());
        requests.push([bind("", "kept", &[b"1"]), execute("", 0), sync()].concat());
    }
    requests
}

#[test]
fn in_a_block_that_has_failed_what_is_refused_hears_what_postgresql_says_there() {
    for Refused { mut client, sql, code, .. } in refused() {
        let mut direct = Raw::log_in(server().port(), &[]);
        direct.ask("SET client_encoding = 'LATIN1'");
        for client in [&mut direct, &mut client] {
            client.send(&[parse("kept", sql), sync()].concat());
            client.until_ready();
        }
        for request in not_run(sql, code) {
            for fails in [query("SELECT 1 / 0"), [extended("SELECT 1 / 0", &[]), sync()].concat()] {
                let block = [query("BEGIN"), fails, request.clone(), query("ROLLBACK")];
                direct.send(&block.concat());
                let answers: Vec<String> = block.iter().map(|_| told(&direct.until_ready(), code)).collect();
                let asked = request.escape_ascii();
                for (request, answer) in block.iter().zip(&answers) {
                    client.send(request);
                    assert_eq!(told(&client.until_ready(), code), *answer, "{asked}");
                }
                client.send(&block.concat());
                for answer in &answers {
                    assert_eq!(told(&client.until_ready(), code), *answer, "pipelined: {asked}");
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_no_sql_whatever_else_it_would_be_refused_for() {
    for Refused { mut client, sql, code, .. } in refused() {
        let mut direct = Raw::log_in(server().port(), &[]);
        direct.ask("SET client_encoding = 'LATIN1'");
        for sql in [&format!("{sql} FROM FROM"), &format!("COMMIT; {sql}; SELECT FROM FROM")] {
            for begin in ["SELECT 'no block'", "BEGIN"] {
                // Outside a block no server is asked about a LISTEN that cannot be had.
                if code == "0A000" && begin != "BEGIN" {
                    continue;
                }
                let block = [begin, "SELECT 'something else first'", sql, "ROLLBACK"].map(query).concat();
                direct.send(&block);
                client.send(&block);
                for _ in 0..4 {
                    assert_eq!(told(&client.until_ready(), code), told(&direct.until_ready(), code), "{sql}");
                }
            }
        }
    }
}

#[test]
fn the_end_of_a_block_is_run_in_front_of_what_is_refused() {
    for Refused { mut client, sql, code, .. } in refused() {
        for (end, tag, status) in [
            ("ROLLBACK", "ROLLBACK", "I"),
            (" ; /* ; */ Commit and no chain", "ROLLBACK", "I"),
            ("ABORT", "ROLLBACK", "I"),
            ("ROLLBACK AND CHAIN", "ROLLBACK", "E"),
            ("ROLLBACK TO \"a;b\"", "ROLLBACK", "E"),
        ] {
            let ends = format!("{end}; {sql}");
            let block = ["BEGIN", "SAVEPOINT \"a;b\"", "SELECT 1 / 0", &ends, "ROLLBACK"].map(query);
            for pipelined in [false, true] {
                if pipelined {
                    client.send(&block.concat());
                }
                for (number, request) in block.iter().enumerate() {
                    if !pipelined {
                        client.send(request);
                    }
                    let frames = client.until_ready();
                    if number == 3 {
                        let tags: Vec<_> =
                            frames.iter().filter(|frame| frame.kind == b'C').map(|tag| &tag.body).collect();
                        assert_eq!(tags, [format!("{tag}\0").as_bytes()], "{ends}: {}", print(&frames));
                        assert_eq!(error_code(&frames).as_deref(), Some(code), "{ends}: {}", print(&frames));
                        assert_eq!(frames.last().unwrap().body, status.as_bytes(), "{ends}");
                    }
                }
            }
        }
        // And it all goes on.
        assert_eq!(client.value("SELECT 'on'"), "on");
    }
}

#[test]
fn a_commit_is_run_in_front_of_what_is_refused() {
    for (number, Refused { mut client, sql, code, .. }) in refused().into_iter().enumerate() {
        let insert = format!("INSERT INTO plain VALUES ({})", 500 + number);
        for request in ["BEGIN", &insert, &format!("COMMIT; {sql}")] {
            client.send(&query(request));
        }
        let codes: Vec<_> = (0..3).map(|_| error_code(&client.until_ready())).collect();
        assert_eq!(codes, [None, None, Some(code.to_owned())], "{sql}");
        assert_eq!(client.value(&format!("SELECT count(*) FROM plain WHERE n = {}", 500 + number)), "1", "{sql}");
    }
}

#[test]
fn a_block_that_listens_and_has_failed_ends_with_prepare_transaction_as_with_rollback() {
    let pgotter = pgotter("default_pool_size = 1");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    for sql in ["BEGIN", "LISTEN never", "SELECT 1 / 0"] {
        client.ask(sql);
    }
    assert_eq!(print(&client.ask("PREPARE TRANSACTION 'it'")), "C ROLLBACK\\x00\nZ I\n");
    assert_eq!(client.value("SELECT count(*) FROM pg_listening_channels()"), "0");
}

#[test]
fn a_statement_that_looks_like_one_of_ours_does_not_let_anything_be_run() {
    let [mut refused, ..] = refused();
    let client = &mut refused.client;
    let prepared = client.ask("PREPARE \"pgotter.nothing\" AS SELECT 'mine'");
    assert!(error_code(&prepared).is_none(), "{}", print(&prepared));
    client.ask("BEGIN");
    client.value("SELECT 'something else first'");
    let frames = client.ask("SELECT lastval()");
    assert_eq!(error_code(&frames).as_deref(), Some("55000"), "{}", print(&frames));
}
