//! How many parameters a statement takes, as far as its text tells.
//!
//! Source: PostgreSQL `src/backend/tcop/postgres.c` (`exec_parse_message`), `src/backend/parser/parse_param.c`.

use super::Statement;
use crate::sql::{Scanner, Token};
use std::cell::Cell;

/// First words of the statements in which PostgreSQL looks for parameters when it prepares them; in others only those
/// that were declared count.
pub(super) const ANALYSED: [&[u8]; 7] = [b"select", b"insert", b"update", b"delete", b"merge", b"values", b"with"];

impl Statement {
    /// What PostgreSQL wants to be bound, if it has taken the statement. `None`: that is not certain.
    pub fn parameters(&self) -> Option<usize> {
        let (text, types) = split(self.body()?)?;
        let declared = usize::from(u16::from_be_bytes([*types.first()?, *types.get(1)?]));
        let (begun, mut highest, mut first) = (Cell::new(0), 0, None);
        let mut scanner = Scanner::new(self.readings.only(text)?);
        let mut look = |token: Token<'_>| {
            first.get_or_insert(matches!(token, Token::Word { name, quoted: false } if ANALYSED.contains(&name)));
            if token == Token::Parameter {
                highest = highest.max(number(&text[begun.get()..]));
            }
        };
        scanner.feed_telling(text, &begun, &mut look);
        scanner.finish(&mut look).ok()?;
        (highest <= declared || first == Some(true)).then_some(highest.max(declared))
    }
}

fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = body.iter().position(|&byte| byte == 0)?;
    Some((&body[..end], &body[end + 1..]))
}

/// Of the parameter with which the text begins. PostgreSQL takes none above 65,535.
fn number(text: &[u8]) -> usize {
    let digits = text.iter().skip(1).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: usize, digit| number.saturating_mul(10).saturating_add(usize::from(digit - b'0')))
}
