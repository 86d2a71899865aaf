//! A Query that fails where its client is to be refused: its text has a statement in it that is sure to fail.

use crate::wire::backend::kind;
use crate::wire::frame::take_cstr;
use crate::wire::frontend;
use bytes::BytesMut;

/// Fails with 26000, for want of the statement that it names.
pub const FAILS: &[u8] = b"EXECUTE \"pgotter.nothing\";";

/// What PostgreSQL says of such a text instead, an ErrorResponse by its body, as of the client's own: a position in it is one
/// behind [`FAILS`], as PostgreSQL reads all of a text before it runs any, and what may stand in front is certain to be read.
pub fn of_own_text(mut body: &[u8]) -> BytesMut {
    let mut error = BytesMut::new();
    frontend::message(&mut error, kind::ERROR_RESPONSE, |out| {
        while let Some((&field, rest)) = body.split_first().filter(|(field, _)| **field != 0) {
            body = rest;
            // It may have been cut short.
            let value = take_cstr(&mut body).unwrap_or_else(|| std::mem::take(&mut body));
            out.extend_from_slice(&[field]);
            match position(value).filter(|_| field == b'P') {
                Some(position) => frontend::put_cstr(out, position.to_string().as_bytes()),
                None => frontend::put_cstr(out, value),
            }
        }
        out.extend_from_slice(b"\0");
    });
    error
}

/// In characters; those of ours have one byte.
fn position(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value).ok()?.parse::<usize>().ok()?.checked_sub(FAILS.len())
}
