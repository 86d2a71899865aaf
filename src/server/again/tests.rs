//! Which requests are sent once more.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::fault::{Blame, Fault, SqlState};
use crate::session::Statement;
use crate::sql::Readings;
use crate::wire::backend;
use crate::wire::frame::HEAD;
use crate::wire::frontend::{message, put_cstr, sync};
use bytes::BufMut;

fn parse(name: &str) -> BytesMut {
    of(kind::PARSE, |out| {
        put_cstr(out, name.as_bytes());
        out.put_slice(b"select * from t\0\0\0");
    })
}

/// With formats of the values, so many values, and formats of columns.
fn bind(portal: &str, name: &str, formats: &[u16], values: u16, columns: u16) -> BytesMut {
    of(kind::BIND, |out| {
        put_cstr(out, portal.as_bytes());
        put_cstr(out, name.as_bytes());
        out.put_u16(formats.len().try_into().unwrap());
        formats.iter().for_each(|format| out.put_u16(*format));
        out.put_u16(values);
        (0..values).for_each(|_| out.put_slice(b"\0\0\0\x01x"));
        out.put_u16(columns);
        (0..columns).for_each(|_| out.put_u16(1));
    })
}

fn plain(name: &str) -> BytesMut {
    bind("", name, &[], 0, 0)
}

fn describe(what: u8, name: &str) -> BytesMut {
    of(kind::DESCRIBE, |out| {
        out.put_u8(what);
        put_cstr(out, name.as_bytes());
    })
}

fn execute() -> BytesMut {
    of(kind::EXECUTE, |out| out.put_slice(b"\0\0\0\0\0"))
}

fn end() -> BytesMut {
    let mut out = BytesMut::new();
    sync(&mut out);
    out
}

fn of(kind: u8, write: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    message(&mut out, kind, write);
    out
}

fn stale(code: &'static str, routine: &str) -> BytesMut {
    let mut frame = BytesMut::new();
    backend::error_response(&mut frame, &Fault::error(Blame::Server, SqlState(code), "zwischengespeicherter Plan"));
    let mut body = frame.split_off(HEAD);
    body.truncate(body.len() - 1);
    put_cstr(&mut body, format!("R{routine}").as_bytes());
    body.put_u8(0);
    body
}

/// What is sent again of a request whose message number `failed` was refused; `types` are declared for its parameters.
fn again(request: &[BytesMut], failed: usize, types: &[u32]) -> Option<BytesMut> {
    let error = stale("0A000", "RevalidateCachedQuery");
    again_for(request, failed, types, &error)
}

fn again_for(request: &[BytesMut], failed: usize, types: &[u32], error: &[u8]) -> Option<BytesMut> {
    let settings = Arc::new(Settings::default());
    let mut body = b"select * from t\0".to_vec();
    body.extend_from_slice(&u16::try_from(types.len()).unwrap().to_be_bytes());
    types.iter().for_each(|oid| body.extend_from_slice(&oid.to_be_bytes()));
    let mut prepared = Statements::default();
    for name in ["s", "t", ""] {
        prepared.put(
            name.as_bytes(),
            Some(Arc::new(Statement::unnamed(Some(&body), &settings, Readings::certain(settings.reading())))),
        );
    }
    let mut again = Again::default();
    again.keep(request.concat()[..].into());
    let cured = again.cures(error, request.len() - failed, &prepared, &settings);
    assert_eq!(again.is_due(), cured);
    again.take().map(|(_, bytes)| bytes)
}

#[test]
fn a_request_that_describes_what_it_executes_is_sent_again_from_what_was_refused_on() {
    let used = [plain("s"), describe(b'P', ""), execute(), end()];
    assert_eq!(again(&used, 0, &[]).unwrap(), used.concat());
    let told = [plain("s"), describe(b'S', "s"), execute(), end()];
    assert_eq!(again(&told, 0, &[]).unwrap(), told.concat());
    let described = [describe(b'S', "s"), end()];
    assert_eq!(again(&described, 0, &[]).unwrap(), described.concat());
    let parsed = [parse("s"), plain("s"), execute(), end()];
    assert_eq!(again(&parsed, 1, &[]).unwrap(), parsed[1..].concat());
    let second = [describe(b'S', "t"), plain("s"), describe(b'P', ""), execute(), end()];
    assert_eq!(again(&second, 1, &[]).unwrap(), second[1..].concat());
}

#[test]
fn what_would_be_misread_or_done_twice_is_not_sent_again() {
    for (why, request, failed) in [
        ("the client has its columns", vec![plain("s"), execute(), end()], 0),
        ("others are described", vec![plain("s"), describe(b'P', "other"), execute(), end()], 0),
        ("too late", vec![plain("s"), execute(), describe(b'P', ""), end()], 0),
        ("another portal is described", vec![plain("s"), plain("t"), describe(b'P', ""), execute(), end()], 0),
        ("it takes columns for granted", vec![bind("", "s", &[], 0, 2), describe(b'P', ""), execute(), end()], 0),
        ("something was executed", vec![plain("t"), execute(), plain("s"), describe(b'P', ""), execute(), end()], 2),
        ("a portal is lost", vec![bind("p", "t", &[], 0, 0), plain("s"), describe(b'P', ""), execute(), end()], 1),
        ("it has no name", vec![plain(""), describe(b'P', ""), execute(), end()], 0),
        ("nobody knows it", vec![plain("u"), describe(b'P', ""), execute(), end()], 0),
        ("it goes on", vec![plain("s"), describe(b'P', ""), execute(), of(kind::FLUSH, |_| ())], 0),
    ] {
        assert_eq!(again(&request, failed, &[]), None, "{why}");
    }
}

#[test]
fn values_in_the_form_of_a_type_go_to_no_other_type() {
    let request = |formats: &[u16]| [bind("", "s", formats, 2, 1), describe(b'P', ""), execute(), end()];
    assert!(again(&request(&[]), 0, &[]).is_some());
    assert!(again(&request(&[0, 0]), 0, &[]).is_some());
    assert!(again(&request(&[1]), 0, &[23, 25]).is_some());
    assert!(again(&request(&[1]), 0, &[]).is_none());
    assert!(again(&request(&[0, 1]), 0, &[23]).is_none());
    assert!(again(&request(&[0, 1]), 0, &[23, 0]).is_none());
}

#[test]
fn only_that_error_counts_in_any_language() {
    let used = [plain("s"), describe(b'P', ""), execute(), end()];
    for (code, routine) in [("0A000", "transformStmt"), ("XX000", "RevalidateCachedQuery")] {
        assert_eq!(again_for(&used, 0, &[], &stale(code, routine)), None);
    }
}
