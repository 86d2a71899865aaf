//! BEGIN is answered at once; an empty block has no server.

use crate::support::raw::*;
use crate::support::{PgOtter, must, postgres, shared_postgres};
use pgotter::cli::local_postgres::Options;

/// What PostgreSQL answers to each of these, one after the other, must be answered by PgOtter.
fn as_postgresql_answers(script: &[Vec<u8>]) {
    let server = shared_postgres();
    let pgotter = PgOtter::in_front_of(server, "default_pool_size = 1");
    let mut direct = Raw::log_in(server.port(), &[]);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    for (step, request) in script.iter().enumerate() {
        direct.send(request);
        client.send(request);
        assert_eq!(print(&client.until_ready()), print(&direct.until_ready()), "step {step}");
    }
}

fn extended_query(sql: &str) -> Vec<u8> {
    [parse("", sql), bind("", "", &[]), describe(b'P', ""), execute("", 0), sync()].concat()
}

#[test]
fn blocks_are_answered_as_postgresql_does() {
    let mut script = Vec::new();
    for begin in ["BEGIN", "start transaction isolation level repeatable read, read only", "BEGIN READ WRITE;"] {
        for inside in [
            &[][..],
            &["SELECT 1"],
            &["BEGIN"],
            &["SELECT 1/0"],
            &["SELECT broken("],
            &[""],
            &["SHOW transaction_isolation"],
            &["SHOW transaction_read_only", "SELECT 2"],
            &["SAVEPOINT a", "ROLLBACK TO a"],
            &["SET TRANSACTION READ ONLY"],
            &["DISCARD ALL"],
            &["RESET ALL"],
            &["CLOSE ALL"],
            &["PREPARE TRANSACTION 'x'"],
        ] {
            for end in ["COMMIT", "ROLLBACK", "END WORK", "ABORT", "COMMIT AND CHAIN"] {
                script.push(query(begin));
                script.extend(inside.iter().map(|sql| query(sql)));
                script.push(query(end));
                script.push(query("ROLLBACK"));
            }
            script.push(query(begin));
            script.push(sync());
            script.extend(inside.iter().map(|sql| extended_query(sql)));
            script.push(extended_query("COMMIT"));
        }
    }
    as_postgresql_answers(&script);
}

#[test]
fn a_begin_that_is_answered_at_once_leaves_no_portal_and_drops_the_unnamed_statement() {
    as_postgresql_answers(&[
        query("BEGIN"),
        [execute("", 1), sync()].concat(),
        query("ROLLBACK"),
        [parse("", "SELECT 1"), sync()].concat(),
        query("BEGIN"),
        [bind("", "", &[]), sync()].concat(),
        query("ROLLBACK"),
        query("BEGIN"),
        query("SELECT name FROM pg_cursors"),
        query("COMMIT"),
    ]);
}

#[test]
fn blocks_by_parse_and_execute_are_answered_as_postgresql_does() {
    let run = |name: &str, sql: &str| [parse(name, sql), bind("", name, &[]), execute("", 0), sync()].concat();
    let mut script = Vec::new();
    for begin in
        ["BEGIN", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY", "begin;", "BEGIN READ", "BEGIN; COMMIT"]
    {
        for inside in ["", "SELECT 1", "SELECT 1/0", "BEGIN", "SHOW transaction_isolation", "SELECT broken("] {
            for end in ["COMMIT", "ROLLBACK", "END", "ROLLBACK AND CHAIN"] {
                for simple in [false, true] {
                    let inside = if simple { query(inside) } else { extended_query(inside) };
                    script.extend([extended_query(begin), inside, extended_query(end), query("ROLLBACK")]);
                }
                script.extend([extended_query(begin), sync(), extended_query(end), extended_query("ROLLBACK")]);
            }
        }
    }
    script.extend([
        // Statements with names, described and closed; a name that is taken; a BEGIN that is prepared already.
        [parse("b", "BEGIN"), describe(b'S', "b"), bind("", "b", &[]), describe(b'P', ""), execute("", 1), sync()]
            .concat(),
        run("c", "COMMIT"),
        run("b", "BEGIN"),
        [bind("", "b", &[]), execute("", 0), sync()].concat(),
        [bind("", "c", &[]), execute("", 0), close(b'S', "c"), sync()].concat(),
        [bind("", "c", &[]), execute("", 0), sync()].concat(),
        [bind("", "b", &[]), execute("", 0), sync()].concat(),
        run("", "SELECT 'in it'"),
        query("COMMIT"),
        // What is left of it in the block.
        run("", "BEGIN"),
        [describe(b'S', ""), describe(b'P', ""), sync()].concat(),
        [execute("", 0), sync()].concat(),
        query("ROLLBACK"),
        run("", "BEGIN"),
        [bind("", "", &[]), describe(b'P', ""), sync()].concat(),
        query("ROLLBACK"),
        // With what it does not take, and with more than its Sync behind it.
        [parse("", "BEGIN"), bind("", "", &[b"1"]), execute("", 0), sync()].concat(),
        [parse("", "BEGIN"), bind("p", "", &[]), execute("p", 0), sync()].concat(),
        [execute("p", 0), sync()].concat(),
        query("ROLLBACK"),
        [parse("", "BEGIN"), bind("", "", &[]), execute("", 0), run("", "SELECT 1/0")].concat(),
        query("ROLLBACK"),
        [parse("", "BEGIN"), bind("", "", &[]), sync()].concat(),
        run("", "SELECT 'the end'"),
    ]);
    as_postgresql_answers(&script);
}

#[test]
fn an_empty_block_by_parse_and_execute_never_has_a_server() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1\nquery_wait_timeout = \"20s\"");
    let mut holder = Raw::log_in(pgotter.port(), &[]);
    let mut client = Raw::log_in(pgotter.port(), &[("TimeZone", "Asia/Tokyo")]);
    let run = |name: &str, sql: &str| [parse(name, sql), bind("", name, &[]), execute("", 0), sync()].concat();
    holder.ask("BEGIN");
    holder.ask("SELECT 1");
    for (begin, end) in [("", ""), ("begin", "")] {
        for (name, sql, status) in [(begin, "BEGIN", b"T"), (end, "COMMIT", b"I")] {
            client.send(&run(name, sql));
            assert_eq!(client.until_ready().last().unwrap().body, status);
        }
    }
    client.send(&[bind("", "begin", &[]), execute("", 0), sync()].concat());
    assert_eq!(client.until_ready().last().unwrap().body, b"T");
    holder.ask("COMMIT");
    // It is one transaction from its first statement on, under the client's settings.
    assert_eq!(client.value("SELECT current_setting('TimeZone')"), "Asia/Tokyo");
    let at = client.value("SELECT now()");
    assert_eq!(client.value("SELECT now()"), at);
    client.send(&run("", "COMMIT"));
    assert_eq!(client.until_ready().last().unwrap().body, b"I");
    assert_ne!(client.value("SELECT now()"), at);
}

#[test]
fn an_open_empty_block_holds_no_server_and_an_empty_one_never_has_one() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1\nquery_wait_timeout = \"20s\"");
    let mut holder = Raw::log_in(pgotter.port(), &[]);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    holder.ask("BEGIN");
    holder.ask("SELECT 1");
    for end in ["COMMIT", "ROLLBACK"] {
        assert_eq!(client.ask("BEGIN").last().unwrap().body, b"T");
        client.send(&sync());
        assert_eq!(client.until_ready().last().unwrap().body, b"T");
        assert_eq!(client.ask(end).last().unwrap().body, b"I");
    }
    client.ask("BEGIN");
    holder.ask("COMMIT");
    assert_eq!(holder.value("SELECT 'free'"), "free");
    assert_eq!(client.value("SELECT 'free'"), "free");
    client.ask("COMMIT");
}

#[test]
fn a_block_is_one_transaction() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "CREATE TABLE kept (n int)"));
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2");
    let mut client = Raw::log_in(pgotter.port(), &[("TimeZone", "Asia/Tokyo")]);
    for (end, expected) in [("ROLLBACK", "0"), ("COMMIT", "2")] {
        client.ask("BEGIN");
        client.ask("INSERT INTO kept VALUES (1)");
        client.send(&extended_query("INSERT INTO kept VALUES (2)"));
        client.until_ready();
        client.ask(end);
        assert_eq!(must(server.psql("postgres", "SELECT count(*) FROM kept")), expected);
    }
    // In one write, in both protocols.
    let pipeline =
        [query("BEGIN"), query("INSERT INTO kept VALUES (3)"), extended_query("SELECT 1/0"), query("COMMIT")];
    client.send(&pipeline.concat());
    for _ in 0..4 {
        client.until_ready();
    }
    assert_eq!(must(server.psql("postgres", "SELECT count(*) FROM kept")), "2");
}

#[test]
fn a_block_whose_first_statement_gets_no_server_has_failed() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1\nquery_wait_timeout = \"100ms\"");
    let mut holder = Raw::log_in(pgotter.port(), &[]);
    let mut client = Raw::log_in(pgotter.port(), &[]);
    holder.ask("BEGIN");
    holder.ask("SELECT 1");
    client.ask("BEGIN");
    let refused = client.ask("SELECT 1");
    assert_eq!(error_code(&refused).as_deref(), Some("53300"));
    assert_eq!(refused.last().unwrap().body, b"E");
    holder.ask("COMMIT");
    assert_eq!(error_code(&client.ask("SELECT 1")).as_deref(), Some("25P02"));
    client.send(&extended_query("SELECT 1"));
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("25P02"));
    assert_eq!(print(&client.ask("COMMIT")), "C ROLLBACK\\x00\nZ I\n");
    assert_eq!(client.value("SELECT 'again'"), "again");
}

#[test]
fn a_block_whose_settings_are_refused_runs_nothing_and_ends_the_connection() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "CREATE TABLE kept (n int); CREATE ROLE gone"));
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 1");
    let mut client = Raw::log_in(pgotter.port(), &[]);
    client.ask("SET ROLE gone");
    let mut other = Raw::log_in(pgotter.port(), &[]);
    other.value("SELECT 1");
    must(server.psql("postgres", "DROP ROLE gone"));
    client.send(
        &[query("BEGIN"), query("INSERT INTO kept VALUES (1)"), query("INSERT INTO kept VALUES (2)"), query("COMMIT")]
            .concat(),
    );
    let frames = client.until_end();
    assert!(frames.iter().any(|frame| frame.field(b'S').as_deref() == Some("FATAL")), "{}", print(&frames));
    assert_eq!(must(server.psql("postgres", "SELECT count(*) FROM kept")), "0");
    assert_eq!(other.value("SELECT 'unharmed'"), "unharmed");
}

#[test]
fn a_prepared_transaction_holds_no_server_and_is_finished_by_anybody_on_any() {
    let settings = vec!["max_prepared_transactions = 4".to_owned()];
    let server = postgres(&Options { settings, ..Options::default() });
    must(server.psql("postgres", "CREATE TABLE t (n int)"));
    let pgotter = PgOtter::in_front_of(&server, "default_pool_size = 2");
    let [mut one, mut other] = [(); 2].map(|()| Raw::log_in(pgotter.port(), &[]));
    let run = |sql: &str| [parse("", sql), bind("", "", &[]), execute("", 0), sync()].concat();
    for (name, end, tag, kept) in [("a", "COMMIT", "COMMIT PREPARED", 1), ("b", "ROLLBACK", "ROLLBACK PREPARED", 1)] {
        one.ask("BEGIN");
        one.ask("INSERT INTO t VALUES (1)");
        let prepared = print(&one.ask(&format!("PREPARE TRANSACTION '{name}'")));
        assert_eq!(prepared, "C PREPARE TRANSACTION\\x00\nZ I\n");
        // Neither of them is kept anywhere: both servers are held by others.
        let holders = [(); 2].map(|()| {
            let mut holder = Raw::log_in(pgotter.port(), &[]);
            holder.ask("BEGIN");
            holder.value("SELECT pg_backend_pid()");
            holder
        });
        drop(holders);
        for again in [false, true] {
            let request = if again { run } else { query }(&format!("{end} PREPARED '{name}'"));
            other.send(&[query("BEGIN"), request.clone(), query("ROLLBACK")].concat());
            let codes = [(); 3].map(|()| error_code(&other.until_ready()));
            assert_eq!(codes[1].as_deref(), Some("25001"), "in a block");
            other.send(&request);
            let answer = other.until_ready();
            match again {
                false => assert_eq!(print(&answer), format!("C {tag}\\x00\nZ I\n")),
                true => assert_eq!(error_code(&answer).as_deref(), Some("42704"), "it is over"),
            }
        }
        assert_eq!(one.value("SELECT count(*) FROM t"), kept.to_string(), "{end}");
    }
}

#[test]
fn only_a_query_ends_a_block_without_a_server() {
    // A call of a function whose number and arguments happen to spell it.
    as_postgresql_answers(&[query("BEGIN"), message(b'F', b"COMMIT\0"), query("ROLLBACK")]);
}

/// PostgreSQL 18 leaves a block behind that nothing shows where such a Query stands outside of one; within a block it does not.
#[test]
fn behind_a_query_among_messages_without_a_sync_a_commit_in_a_pipeline_ends_the_block() {
    let pgotter = PgOtter::in_front_of(shared_postgres(), "default_pool_size = 1");
    let run = |sql: &str| [parse("", sql), bind("", "", &[]), execute("", 0)].concat();
    // PgOtter prepares something of its own in front of a DEALLOCATE of a statement of the protocol.
    let dropped = [query("SELECT 1"), query("DEALLOCATE s")].concat();
    let among = [run("SELECT 1"), query("SELECT 2")].concat();
    for (within, answers) in [(dropped, 2), (among, 1)] {
        for begin in ["BEGIN", "BEGIN; SELECT 1"] {
            for texts in [
                &["COMMIT"][..],
                &["ROLLBACK"],
                &["COMMIT AND CHAIN", "SELECT 3", "COMMIT"],
                &["SAVEPOINT p", "ROLLBACK TO p", "COMMIT", "SELECT 3"],
            ] {
                let mut client = Raw::log_in(pgotter.port(), &[("options", "-c enable_seqscan=off")]);
                client.send(&[parse("s", "SELECT 1"), sync(), query(begin)].concat());
                client.until_ready();
                client.until_ready();
                let end: Vec<u8> = texts.iter().flat_map(|sql| run(sql)).collect();
                client.send(&[within.clone(), end, run("RESET enable_seqscan"), sync()].concat());
                (0..answers).for_each(|_| _ = client.until_ready());
                let status = client.until_ready().pop().map(|ready| ready.body);
                assert_eq!(status.as_deref(), Some(&b"I"[..]), "{begin}, {texts:?}");
                assert_eq!(client.value("SHOW enable_seqscan"), "off", "{begin}, {texts:?}");
                let mut other = Raw::log_in(pgotter.port(), &[]);
                assert_eq!(other.value("SHOW enable_seqscan"), "on", "{begin}, {texts:?}");
            }
        }
    }
}
