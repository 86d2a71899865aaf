//! Messages that travel from a client to a server: what PostgreSQL accepts, and the ones PgOtter writes itself.

use super::frame::{Head, LARGE_LIMIT, SMALL_LIMIT};
use crate::fault::{Blame, Fault, SqlState};
use bytes::{BufMut, BytesMut};

/// Type bytes of frontend messages.
pub mod kind {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const QUERY: u8 = b'Q';
    pub const PARSE: u8 = b'P';
    pub const BIND: u8 = b'B';
    pub const EXECUTE: u8 = b'E';
    pub const DESCRIBE: u8 = b'D';
    pub const CLOSE: u8 = b'C';
    pub const FLUSH: u8 = b'H';
    pub const SYNC: u8 = b'S';
    pub const FUNCTION_CALL: u8 = b'F';
    pub const TERMINATE: u8 = b'X';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_FAIL: u8 = b'f';
    pub const PASSWORD: u8 = b'p';
}

/// Checks type and length as PostgreSQL's `SocketBackend` does; gives the bytes of the whole frame.
///
/// # Errors
/// FATAL 08P01, with PostgreSQL's words.
pub fn check(head: Head) -> Result<usize, Fault> {
    let Some(limit) = limit(head.kind) else {
        return Err(violation(format!("invalid frontend message type {}", head.kind)));
    };
    match head.frame_len() {
        Some(total) if total - 1 <= limit => Ok(total),
        _ => Err(violation("invalid message length".to_owned())),
    }
}

/// The greatest length of a message of this type, in bytes, its type byte left out. `None`: there is no such type.
pub fn limit(kind: u8) -> Option<usize> {
    use kind::*;
    Some(match kind {
        QUERY | PARSE | BIND | FUNCTION_CALL | COPY_DATA => LARGE_LIMIT,
        EXECUTE | DESCRIBE | CLOSE | FLUSH | SYNC | TERMINATE | COPY_DONE | COPY_FAIL => SMALL_LIMIT,
        _ => return None,
    })
}

/// The length field of a message whose head this is, once a name of `new` bytes is in the place of one of `old`. `None`: PostgreSQL
/// would not read it.
pub fn renamed(head: Head, old: usize, new: usize) -> Option<i32> {
    let length = usize::try_from(head.length).ok()?.checked_sub(old)?.checked_add(new)?;
    i32::try_from(length).ok().filter(|_| limit(head.kind).is_some_and(|limit| length <= limit))
}

fn violation(message: String) -> Fault {
    Fault::fatal(Blame::Client, SqlState::PROTOCOL_VIOLATION, message)
}

/// Writes one frame: type, length, and the body that `write` appends.
///
/// Bodies written here are PgOtter's own and small; a length that does not fit would be a bug of ours.
pub fn message(out: &mut BytesMut, kind: u8, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    sized(out, write);
}

/// Writes a four-byte length that counts itself, and the body that `write` appends.
pub fn sized(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_i32(0);
    write(out);
    let length = i32::try_from(out.len() - at).expect("invariant: our own messages are far below 2 GiB");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a zero-terminated string; a zero byte inside it would end it early, so it is cut there.
pub fn put_cstr(out: &mut BytesMut, text: &[u8]) {
    let end = memchr::memchr(0, text).unwrap_or(text.len());
    out.put_slice(&text[..end]);
    out.put_u8(0);
}

/// StartupMessage of protocol 3.0.
pub fn startup<'a>(out: &mut BytesMut, parameters: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
    sized(out, |out| {
        out.put_i32(super::startup::PROTOCOL_3_0);
        for (name, value) in parameters {
            put_cstr(out, name);
            put_cstr(out, value);
        }
        out.put_u8(0);
    });
}

/// SSLRequest.
pub fn ssl_request(out: &mut BytesMut) {
    sized(out, |out| out.put_i32(super::startup::SSL_REQUEST));
}

/// CancelRequest for the backend that gave out `pid` and `secret`.
pub fn cancel(out: &mut BytesMut, pid: i32, secret: &[u8]) {
    sized(out, |out| {
        out.put_i32(super::startup::CANCEL_REQUEST);
        out.put_i32(pid);
        out.put_slice(secret);
    });
}

/// Simple Query.
pub fn query(out: &mut BytesMut, sql: &str) {
    message(out, kind::QUERY, |out| put_cstr(out, sql.as_bytes()));
}

/// PasswordMessage.
pub fn password(out: &mut BytesMut, password: &[u8]) {
    message(out, kind::PASSWORD, |out| put_cstr(out, password));
}

/// SASLInitialResponse.
pub fn sasl_initial(out: &mut BytesMut, mechanism: &str, data: &[u8]) {
    message(out, kind::PASSWORD, |out| {
        put_cstr(out, mechanism.as_bytes());
        put_value(out, data);
    });
}

/// SASLResponse.
pub fn sasl_response(out: &mut BytesMut, data: &[u8]) {
    message(out, kind::PASSWORD, |out| out.put_slice(data));
}

/// Parse without parameter types.
pub fn parse(out: &mut BytesMut, name: &str, sql: &str) {
    message(out, kind::PARSE, |out| {
        put_cstr(out, name.as_bytes());
        put_cstr(out, sql.as_bytes());
        out.put_i16(0);
    });
}

/// Bind, every parameter and result as text; the unnamed portal for an empty name.
pub fn bind(out: &mut BytesMut, portal: &str, statement: &str, parameters: &[&[u8]]) {
    message(out, kind::BIND, |out| {
        put_cstr(out, portal.as_bytes());
        put_cstr(out, statement.as_bytes());
        out.put_i16(0);
        out.put_i16(i16::try_from(parameters.len()).expect("invariant: our own statements have few parameters"));
        for value in parameters {
            put_value(out, value);
        }
        out.put_i16(0);
    });
}

fn put_value(out: &mut BytesMut, value: &[u8]) {
    out.put_i32(i32::try_from(value.len()).expect("invariant: our own values are far below 2 GiB"));
    out.put_slice(value);
}

/// Execute of a portal, all rows.
pub fn execute(out: &mut BytesMut, portal: &str) {
    message(out, kind::EXECUTE, |out| {
        put_cstr(out, portal.as_bytes());
        out.put_i32(0);
    });
}

/// Describe of a statement.
pub fn describe_statement(out: &mut BytesMut, name: &str) {
    message(out, kind::DESCRIBE, |out| {
        out.put_u8(b'S');
        put_cstr(out, name.as_bytes());
    });
}

/// Close of a statement.
pub fn close_statement(out: &mut BytesMut, name: &str) {
    message(out, kind::CLOSE, |out| {
        out.put_u8(b'S');
        put_cstr(out, name.as_bytes());
    });
}

/// Close of a portal.
pub fn close_portal(out: &mut BytesMut, portal: &str) {
    message(out, kind::CLOSE, |out| {
        out.put_u8(b'P');
        put_cstr(out, portal.as_bytes());
    });
}

/// Sync.
pub fn sync(out: &mut BytesMut) {
    message(out, kind::SYNC, |_| ());
}

/// CopyFail with its reason.
pub fn copy_fail(out: &mut BytesMut, reason: &str) {
    message(out, kind::COPY_FAIL, |out| put_cstr(out, reason.as_bytes()));
}

/// Terminate.
pub fn terminate(out: &mut BytesMut) {
    message(out, kind::TERMINATE, |_| ());
}
