//! What answers mean.

use super::*;
use crate::fault::{Blame, Fault, SqlState};
use crate::wire::backend;

fn row(value: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    frontend::message(&mut out, kind::DATA_ROW, |out| {
        out.extend_from_slice(&[0, 1, 0, 0, 0, 1]);
        out.extend_from_slice(value);
    });
    out
}

fn error(code: &'static str) -> BytesMut {
    let mut out = BytesMut::new();
    backend::error_response(&mut out, &Fault::error(Blame::Server, SqlState(code), "no"));
    out
}

#[test]
fn only_a_clear_answer_bars_a_role() {
    assert!(is_fine(row(b"t")));
    assert!(!is_fine(row(b"f")), "expired, or it may not log in");
    assert!(!is_fine(BytesMut::new()), "there is no such role");
    assert!(!is_fine(error("42704")), "there is no such role, says PostgreSQL");
    for code in ["57014", "42501", "25P02", "XX000"] {
        assert!(is_fine(error(code)), "{code}");
    }
}
