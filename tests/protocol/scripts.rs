//! What a client may send, in steps. Every script leaves nothing behind on the server but rows in `noted`, which is
//! emptied before each run.

use crate::support::raw::*;

/// A step: send bytes, or read until a message of a type has come.
pub enum Step {
    Send(Vec<u8>),
    Until(u8),
}

pub type Script = Vec<Step>;

fn send<const N: usize>(messages: [Vec<u8>; N]) -> Step {
    Step::Send(messages.concat())
}

fn at_once<const N: usize>(messages: [Vec<u8>; N]) -> Script {
    vec![send(messages)]
}

const COPY_IN: &str = "COPY noted FROM STDIN";

pub fn several_statements_in_one_query() -> Script {
    at_once([
        query("SELECT 1; SELECT 2 AS two WHERE false; INSERT INTO noted VALUES (1, 'a'); SELECT * FROM noted"),
        query("BEGIN; INSERT INTO noted VALUES (2, 'b'); COMMIT; SELECT count(*) FROM noted"),
    ])
}

pub fn empty_queries() -> Script {
    at_once([query(""), query(";"), query(" ; ; "), query("-- nothing\n"), query("SELECT 1;;")])
}

pub fn errors_in_simple_queries() -> Script {
    at_once([
        query("SELECT 1/0"),
        query("SELECT 1; SELECT nothing; SELECT 3"),
        query("INSERT INTO noted VALUES (1, 'gone'); SELECT 1/0"),
        query("SELEKT"),
        query("BEGIN"),
        query("SELECT 1/0"),
        query("SELECT 2"),
        query("COMMIT"),
        query("SELECT count(*) FROM noted"),
    ])
}

pub fn a_transaction_over_several_queries() -> Script {
    vec![
        send([query("BEGIN")]),
        Step::Until(b'Z'),
        send([query("INSERT INTO noted VALUES (1, 'a')")]),
        Step::Until(b'Z'),
        send([query("SAVEPOINT s"), query("SELECT 1/0"), query("ROLLBACK TO s")]),
        Step::Until(b'Z'),
        send([query("COMMIT")]),
    ]
}

pub fn extended_queries_with_every_describe() -> Script {
    at_once([
        parse("s1", "SELECT $1::int + 1 AS sum, $2::text"),
        describe(b'S', "s1"),
        bind("p1", "s1", &[b"41", b"x"]),
        describe(b'P', "p1"),
        execute("p1", 0),
        close(b'P', "p1"),
        close(b'S', "s1"),
        close(b'S', "never there"),
        sync(),
        parse("", "INSERT INTO noted VALUES ($1, $2)"),
        describe(b'S', ""),
        bind("", "", &[b"1", b"a"]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
        parse("", ""),
        describe(b'S', ""),
        bind("", "", &[]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ])
}

pub fn flush_brings_replies_before_a_sync() -> Script {
    vec![
        send([parse("", "SELECT 7"), flush()]),
        Step::Until(b'1'),
        send([describe(b'S', ""), flush()]),
        Step::Until(b'T'),
        send([bind("", "", &[]), flush(), flush()]),
        Step::Until(b'2'),
        send([execute("", 0), flush()]),
        Step::Until(b'C'),
        send([sync()]),
        Step::Until(b'Z'),
    ]
}

pub fn a_portal_is_suspended_and_goes_on() -> Script {
    at_once([
        parse("", "SELECT n FROM generate_series(1, 5) n"),
        bind("p", "", &[]),
        execute("p", 2),
        execute("p", 2),
        execute("p", 2),
        execute("p", 2),
        close(b'P', "p"),
        sync(),
    ])
}

pub fn a_portal_lives_on_in_a_transaction() -> Script {
    vec![
        send([query("BEGIN"), parse("", "SELECT n FROM generate_series(1, 5) n"), bind("p", "", &[]), execute("p", 2)]),
        send([sync()]),
        Step::Until(b's'),
        send([execute("p", 2), sync()]),
        Step::Until(b's'),
        send([query("COMMIT")]),
    ]
}

pub fn f5_an_error_in_a_pipeline_skips_to_the_sync() -> Script {
    at_once([
        extended("INSERT INTO noted VALUES (1, 'undone')", &[]),
        extended("SELECT 1/0", &[]),
        extended("SELECT 'never run'", &[]),
        close(b'S', "x"),
        flush(),
        sync(),
        extended("SELECT count(*) FROM noted", &[]),
        sync(),
    ])
}

pub fn every_kind_of_message_can_fail() -> Script {
    at_once([
        parse("", "SELEKT"),
        bind("", "", &[]),
        sync(),
        bind("", "no such statement", &[]),
        execute("", 0),
        sync(),
        describe(b'S', "no such statement"),
        sync(),
        describe(b'P', "no such portal"),
        parse("", "SELECT 1"),
        sync(),
        execute("no such portal", 0),
        sync(),
        parse("", "SELECT $1::int"),
        bind("", "", &[b"no number"]),
        execute("", 0),
        sync(),
        parse("", "SELECT $1::int"),
        bind("", "", &[]),
        sync(),
        parse("", "SELECT 1; SELECT 2"),
        sync(),
    ])
}

pub fn several_syncs_in_one_write() -> Script {
    at_once([
        sync(),
        sync(),
        extended("SELECT 1", &[]),
        sync(),
        sync(),
        extended("SELECT 1/0", &[]),
        sync(),
        sync(),
        sync(),
        extended("SELECT 2", &[]),
        sync(),
    ])
}

pub fn f5_a_query_is_skipped_too_until_the_sync() -> Script {
    at_once([
        extended("SELECT 1/0", &[]),
        query("INSERT INTO noted VALUES (1, 'never')"),
        function_call(1397, &["-1"]),
        query("SELECT 'never'"),
        sync(),
        query("SELECT count(*) FROM noted"),
    ])
}

pub fn f5_a_query_is_skipped_when_it_comes_after_the_error() -> Script {
    vec![
        send([parse("", "SELEKT"), flush()]),
        Step::Until(b'E'),
        send([query("INSERT INTO noted VALUES (1, 'never')"), parse("", "SELECT 1"), flush()]),
        send([sync()]),
        Step::Until(b'Z'),
        send([query("SELECT count(*) FROM noted")]),
    ]
}

pub fn a_query_may_follow_unsynced_messages() -> Script {
    at_once([parse("", "SELECT 5"), bind("", "", &[]), execute("", 0), query("SELECT 6"), sync(), query("SELECT 7")])
}

pub fn function_calls() -> Script {
    at_once([
        function_call(1397, &["-42"]),
        function_call(1397, &["no number"]),
        function_call(1, &[]),
        query("BEGIN"),
        function_call(1397, &["-43"]),
        query("ROLLBACK"),
    ])
}

pub fn copy_in_by_a_simple_query() -> Script {
    vec![
        send([query(COPY_IN)]),
        Step::Until(b'G'),
        send([copy_data("1\ta\n2\t"), copy_data("b\n3"), copy_data("\tc\n"), copy_done()]),
        Step::Until(b'Z'),
        send([query("SELECT * FROM noted ORDER BY id")]),
    ]
}

pub fn copy_in_by_a_simple_query_at_once() -> Script {
    at_once([
        query(COPY_IN),
        copy_data("1\ta\n"),
        flush(),
        sync(),
        copy_data("2\tb\n"),
        copy_done(),
        query("SELECT * FROM noted ORDER BY id"),
    ])
}

pub fn two_copies_in_one_query() -> Script {
    at_once([
        query("COPY noted FROM STDIN; SELECT count(*) FROM noted; COPY noted FROM STDIN; SELECT count(*) FROM noted"),
        copy_data("1\ta\n"),
        copy_done(),
        copy_data("2\tb\n3\tc\n"),
        copy_done(),
        query("SELECT 'behind'"),
    ])
}

pub fn copy_in_in_an_extended_query() -> Script {
    vec![
        send([extended(COPY_IN, &[]), flush()]),
        Step::Until(b'G'),
        send([copy_data("1\ta\n"), copy_data("2\tb\n"), copy_done(), sync()]),
        Step::Until(b'Z'),
        send([query("SELECT * FROM noted ORDER BY id")]),
    ]
}

pub fn copy_in_in_an_extended_query_with_a_sync_too_early() -> Script {
    vec![
        send([extended(COPY_IN, &[]), sync()]),
        Step::Until(b'G'),
        send([copy_data("1\ta\n"), copy_done(), sync()]),
        Step::Until(b'Z'),
        send([query("SELECT * FROM noted ORDER BY id")]),
    ]
}

pub fn copy_in_in_an_extended_query_at_once() -> Script {
    at_once([
        extended("SELECT 'before'", &[]),
        extended(COPY_IN, &[]),
        sync(),
        copy_data("1\ta\n"),
        sync(),
        copy_data("2\tb\n"),
        copy_done(),
        sync(),
        extended("SELECT * FROM noted ORDER BY id", &[]),
        sync(),
    ])
}

pub fn copy_in_fails_in_the_middle_of_a_simple_query() -> Script {
    at_once([
        query(COPY_IN),
        copy_data("1\ta\n"),
        copy_data("no number\tb\n"),
        copy_data("3\tc\n"),
        copy_done(),
        query("SELECT * FROM noted ORDER BY id"),
    ])
}

pub fn copy_in_fails_in_the_middle_of_an_extended_query() -> Script {
    at_once([
        extended(COPY_IN, &[]),
        copy_data("1\ta\n"),
        copy_data("no number\tb\n"),
        copy_data("3\tc\n"),
        copy_done(),
        extended("SELECT 'skipped'", &[]),
        sync(),
        query("SELECT * FROM noted ORDER BY id"),
    ])
}

pub fn copy_in_fails_behind_a_sync_too_early() -> Script {
    at_once([
        extended(COPY_IN, &[]),
        sync(),
        copy_data("no number\tb\n"),
        copy_data("3\tc\n"),
        copy_done(),
        sync(),
        query("SELECT * FROM noted ORDER BY id"),
    ])
}

pub fn a_sync_in_place_of_copy_done_is_answered_if_copy_has_failed() -> Script {
    vec![
        send([query(COPY_IN)]),
        Step::Until(b'G'),
        send([copy_data("no number\tb\n"), sync()]),
        Step::Until(b'Z'),
        send([query("SELECT 1")]),
        Step::Until(b'Z'),
        send([extended(COPY_IN, &[]), flush()]),
        Step::Until(b'G'),
        send([copy_data("no number\tb\n"), sync(), extended("SELECT 2", &[]), sync()]),
        Step::Until(b'Z'),
        send([extended("SELECT 3", &[]), sync(), query("SELECT 4")]),
    ]
}

pub fn a_sync_in_the_middle_of_copy_data_is_answered_if_copy_has_failed() -> Script {
    at_once([
        extended(COPY_IN, &[]),
        copy_data("no number\tb\n"),
        sync(),
        copy_data("2\tb\n"),
        copy_done(),
        sync(),
        query(COPY_IN),
        copy_data("no number\tb\n"),
        sync(),
        copy_done(),
        query("SELECT 1"),
    ])
}

pub fn a_sync_in_the_middle_of_good_copy_data_is_not_answered() -> Script {
    at_once([
        query(COPY_IN),
        copy_data("1\tb\n"),
        sync(),
        copy_data("2\tb\n"),
        copy_done(),
        extended(COPY_IN, &[]),
        copy_data("3\tb\n"),
        sync(),
        copy_fail("enough"),
        sync(),
        query("SELECT 1"),
    ])
}

pub fn copy_in_that_cannot_begin() -> Script {
    at_once([
        query("COPY nothing FROM STDIN"),
        copy_data("1\ta\n"),
        copy_done(),
        extended("COPY nothing FROM STDIN", &[]),
        sync(),
        copy_data("1\ta\n"),
        copy_done(),
        sync(),
        query("SELECT 1"),
    ])
}

pub fn the_client_fails_its_copy() -> Script {
    at_once([
        query(COPY_IN),
        copy_data("1\ta\n"),
        copy_fail("changed my mind"),
        extended(COPY_IN, &[]),
        copy_data("1\ta\n"),
        copy_fail("again"),
        sync(),
        query("SELECT * FROM noted ORDER BY id"),
    ])
}

pub fn copy_done_comes_late_after_an_error() -> Script {
    vec![
        send([query(COPY_IN)]),
        Step::Until(b'G'),
        send([copy_data("no number\tb\n"), copy_data("1\ta\n")]),
        Step::Until(b'Z'),
        send([copy_data("2\tb\n"), copy_data("3\tc\n"), copy_done()]),
        send([query("SELECT * FROM noted ORDER BY id")]),
        Step::Until(b'Z'),
        send([extended(COPY_IN, &[]), flush()]),
        Step::Until(b'G'),
        send([copy_data("no number\tb\n")]),
        Step::Until(b'E'),
        send([copy_data("2\tb\n"), copy_done(), sync()]),
        Step::Until(b'Z'),
        send([copy_done(), query("SELECT * FROM noted ORDER BY id")]),
    ]
}

pub fn copy_out_in_both_protocols() -> Script {
    at_once([
        query("COPY (SELECT n, 'x' FROM generate_series(1, 3) n) TO STDOUT; SELECT 'behind'"),
        extended("COPY (SELECT n, 'x' FROM generate_series(1, 3) n) TO STDOUT", &[]),
        extended("SELECT 'behind'", &[]),
        sync(),
        query("COPY (SELECT 3/(3-n) FROM generate_series(1, 5) n) TO STDOUT"),
        extended("COPY (SELECT 3/(3-n) FROM generate_series(1, 5) n) TO STDOUT", &[]),
        extended("SELECT 'skipped'", &[]),
        sync(),
    ])
}

pub fn f3_stray_copy_messages_are_ignored() -> Script {
    vec![
        send([copy_done(), copy_data("1\ta\n"), copy_fail("stray"), query("SELECT 1"), copy_done()]),
        Step::Until(b'Z'),
        send([copy_data("1\ta\n"), query("BEGIN"), copy_done(), copy_fail("stray"), query("COMMIT"), copy_data("x")]),
        Step::Until(b'Z'),
        send([copy_fail("stray"), sync(), parse("", "SELECT 2"), copy_done(), copy_data("y"), bind("", "", &[])]),
        send([copy_fail("stray"), execute("", 0), copy_data("z"), sync()]),
    ]
}

pub fn f3_a_copy_behind_stray_messages_takes_only_its_own_data() -> Script {
    at_once([
        query("SELECT 1"),
        copy_done(),
        query("SELECT 2"),
        copy_fail("stray"),
        query(COPY_IN),
        copy_data("1\ta\n"),
        copy_done(),
        query("SELECT * FROM noted"),
    ])
}

pub fn another_message_inside_a_copy_ends_the_connection() -> Script {
    vec![send([query(COPY_IN)]), Step::Until(b'G'), send([copy_data("1\ta\n"), query("SELECT 1")])]
}

pub fn notices_come_where_postgresql_sends_them() -> Script {
    let loud = "DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two' USING DETAIL = 'more'; END $$";
    at_once([
        query(loud),
        query("BEGIN; BEGIN"),
        query("COMMIT"),
        query("COMMIT"),
        extended(loud, &[]),
        extended("SELECT 1", &[]),
        sync(),
        query("DROP TABLE IF EXISTS nothing"),
    ])
}

pub fn a_setting_is_reported_and_a_rollback_reverts_it() -> Script {
    vec![
        send([query("BEGIN; SET TimeZone = 'Asia/Tokyo'")]),
        Step::Until(b'Z'),
        send([query("SHOW TimeZone")]),
        Step::Until(b'Z'),
        send([query("ROLLBACK")]),
        Step::Until(b'Z'),
        send([query("SHOW TimeZone")]),
        Step::Until(b'Z'),
        send([query("BEGIN; SET LOCAL DateStyle = 'German'; SELECT date '2001-02-03'"), query("COMMIT")]),
        send([extended("SET application_name = 'x y'", &[]), extended("SHOW application_name", &[]), sync()]),
        send([query("SHOW application_name")]),
        send([extended("BEGIN", &[]), extended("SET TimeZone = 'Asia/Tokyo'", &[]), sync(), query("ROLLBACK")]),
    ]
}

pub fn deallocated_names_are_gone() -> Script {
    at_once([
        parse("s1", "SELECT 1"),
        sync(),
        query("DEALLOCATE ALL"),
        bind("", "s1", &[]),
        sync(),
        query("DEALLOCATE PREPARE ALL"),
        query("SET application_name = 'behind it'"),
    ])
}

pub fn a_long_pipeline_in_one_write() -> Script {
    let mut bytes = Vec::new();
    for number in 0..600 {
        bytes.extend(extended("SELECT $1::int, repeat('x', 10)", &[number.to_string().as_bytes()]));
        if number % 97 == 0 {
            bytes.extend(sync());
        }
    }
    bytes.extend(sync());
    vec![Step::Send(bytes)]
}

pub fn a_pipeline_longer_than_a_request_is_gathered() -> Script {
    let filler = vec![b'y'; 9_000];
    let mut bytes = Vec::new();
    for _ in 0..30 {
        bytes.extend(extended("SELECT length($1)", &[&filler]));
    }
    bytes.extend(sync());
    vec![Step::Send(bytes)]
}

pub fn a_pipeline_a_little_longer_than_a_request_is_gathered() -> Script {
    // All of it may have been received when its first part is handed on, and no reply comes before its Sync.
    let filler = vec![b'y'; 1_000];
    let pipeline = |messages| [extended("SELECT length($1)", &[&filler]).repeat(messages), sync()].concat();
    (60..120).step_by(6).flat_map(|messages| [Step::Send(pipeline(messages)), Step::Until(b'Z')]).collect()
}

pub fn f5_an_error_in_a_pipeline_longer_than_a_request_is_gathered() -> Script {
    let filler = vec![b'y'; 9_000];
    let mut bytes = extended("SELECT 1/0", &[]);
    for _ in 0..30 {
        bytes.extend(extended("SELECT length($1)", &[&filler]));
    }
    bytes.extend(query("SELECT 'skipped'"));
    bytes.extend(sync());
    bytes.extend(query("SELECT 'run'"));
    vec![Step::Send(bytes)]
}

pub fn long_messages_of_every_kind() -> Script {
    at_once(messages_of(&"z".repeat(100_000)))
}

/// Short enough to be cut into single bytes, and each longer than a request of 1 KiB.
pub fn messages_of_a_little_more_than_a_kilobyte() -> Script {
    messages_of(&"z".repeat(1_100)).map(Step::Send).into()
}

/// A request of 1 KiB ends in the third message.
pub fn f5_an_error_in_a_pipeline_of_a_little_more_than_a_kilobyte() -> Script {
    let filled = extended("SELECT length($1)", &[&[b'y'; 300]]);
    let failing = extended("SELECT 1/0", &[]);
    at_once([filled.repeat(3), failing, filled, query("SELECT 'skipped'"), sync(), query("SELECT 'run'")])
}

fn messages_of(long: &str) -> [Vec<u8>; 9] {
    let value = [long.as_bytes()];
    [
        query(&format!("SELECT length('{long}'), '{long}'")),
        extended("SELECT $1::text, length($1)", &value),
        extended(&format!("SELECT length('{long}') -- {long}"), &[]),
        sync(),
        query(&format!("SELECT {long}")),
        query(COPY_IN),
        copy_data(&format!("1\t{long}\n2\t{long}\n")),
        copy_done(),
        query("SELECT id, length(note) FROM noted ORDER BY id"),
    ]
}

pub fn malformed_bodies_are_errors_and_no_more() -> Script {
    at_once([
        message(b'Q', b"SELECT 'no end'"),
        message(b'Q', b"SELECT 1\0SELECT 2\0"),
        message(b'P', b"\0SELECT 1\0"),
        sync(),
        parse("", "SELECT 0"),
        message(b'B', b"\0\0\0\0\0\x09"),
        execute("", 0),
        sync(),
        message(b'D', b"Z\0"),
        sync(),
        message(b'C', b"Z\0"),
        sync(),
        message(b'E', b"\0"),
        sync(),
        message(b'S', b"more"),
        message(b'F', b"\0"),
        query("SELECT 1"),
        extended("SELECT 2", &[]),
        sync(),
    ])
}

pub fn an_unknown_message_ends_the_connection() -> Script {
    at_once([query("SELECT 1"), message(b'!', b"what")])
}
