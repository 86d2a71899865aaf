//! How long a message may be that names a statement.

use super::*;
use crate::wire::frame::{LARGE_LIMIT, SMALL_LIMIT};

const OURS: usize = ServerName::BYTES_MAX;

/// The head of a message that claims `length`, and the beginning of its body.
fn begun(kind: u8, length: usize, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &i32::try_from(length).unwrap().to_be_bytes(), body].concat()
}

/// The greatest length with which a message that begins so is let through.
fn longest(kind: u8, body: &[u8]) -> usize {
    let limit = frontend::limit(kind).unwrap();
    let fits = |length: &usize| check_room(&begun(kind, *length, body), false).is_ok();
    (limit - 2 * OURS..=limit).rev().find(fits).unwrap()
}

#[test]
fn a_message_that_would_be_too_long_with_a_name_of_ours_is_refused() {
    assert_eq!(longest(kind::PARSE, b"abc\0SELECT"), LARGE_LIMIT - OURS + 3);
    assert_eq!(longest(kind::BIND, b"\0abc\0"), LARGE_LIMIT - OURS + 3);
    // The name of a portal stays what it is.
    assert_eq!(longest(kind::BIND, b"a portal\0abc\0"), LARGE_LIMIT - OURS + 3);
    // One that is none may become one that no server has.
    assert_eq!(longest(kind::BIND, b"\0\0"), LARGE_LIMIT - OURS);
    assert_eq!(longest(kind::DESCRIBE, b"Sabc\0"), SMALL_LIMIT - OURS + 3);
    let fault = check_room(&begun(kind::BIND, LARGE_LIMIT, b"\0abc\0"), false).unwrap_err();
    assert_eq!(
        (fault.sqlstate, &*fault.message),
        (SqlState::PROGRAM_LIMIT_EXCEEDED, "message with a name is too long")
    );
}

#[test]
fn what_goes_under_its_own_name_may_be_as_long_as_postgresql_reads() {
    let name = "a name that is longer than any of ours\0";
    assert!(name.len() > OURS);
    for (kind, body) in [
        (kind::PARSE, &b"\0SELECT"[..]),
        (kind::PARSE, name.as_bytes()),
        (kind::QUERY, b"SELECT"),
        (kind::EXECUTE, b"a portal\0"),
        (kind::DESCRIBE, b"Pa portal\0"),
        (kind::CLOSE, b"S\0"),
    ] {
        assert_eq!(longest(kind, body), frontend::limit(kind).unwrap(), "{kind}");
    }
}

#[test]
fn the_last_message_of_a_chunk_is_looked_at_before_the_first_is_sent() {
    let chunk = [begun(kind::PARSE, 11, b"abc\0\0\0\0"), begun(kind::BIND, LARGE_LIMIT, b"\0abc\0")].concat();
    assert!(check_room(&chunk, false).is_err());
    // As far as it can be seen: its name is still to come.
    assert!(check_room(&chunk[..11], false).is_ok());
}
