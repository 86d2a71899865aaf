//! Which characters make one number in every version of PostgreSQL. Source: PostgreSQL `src/backend/parser/scan.l`.

use super::{Scanner, State, continues_name};
use crate::sql::token::{Token, Unsure};

impl Scanner {
    pub(super) fn in_digits<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, behind) = rest.split_at(end);
        self.put_all(digits);
        behind
    }

    pub(super) fn in_number(&mut self, byte: u8, sink: &mut impl FnMut(Token<'_>)) -> (State, bool) {
        if byte == b'.' && ends_before_range(self.word()) {
            // `1..2` in PL/pgSQL.
            self.length -= 1;
            self.end_number(sink);
            sink(Token::Symbol(b'.'));
            sink(Token::Symbol(b'.'));
            return (State::Between, true);
        }
        let sign_of_exponent = matches!(byte, b'+' | b'-') && is_exponent(self.word());
        if byte == b'.' || continues_name(byte) || sign_of_exponent {
            self.put(byte);
            return (State::Number, true);
        }
        self.end_number(sink);
        (State::Between, false)
    }

    pub(super) fn end_number(&mut self, sink: &mut impl FnMut(Token<'_>)) {
        if !is_number(self.word()) {
            self.doubt(Unsure::Junk);
        }
        self.unicode = false;
        sink(Token::Number(self.word()));
        self.reset();
    }
}

/// A decimal number that ends with an `e`, which a sign may follow.
fn is_exponent(number: &[u8]) -> bool {
    matches!(number.split_last(), Some((b'e' | b'E', digits)) if !digits.is_empty() && digits.iter().all(|digit| digit.is_ascii_digit() || matches!(digit, b'.' | b'_')))
}

/// Digits with one dot behind them: another dot belongs to that one, not to the number.
fn ends_before_range(number: &[u8]) -> bool {
    matches!(number.split_last(), Some((b'.', digits)) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// Whether every version from 15 on takes all of this for one number, or for an error.
fn is_number(number: &[u8]) -> bool {
    if number.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let digits = |part: &[u8]| part.iter().all(|digit| digit.is_ascii_digit() || *digit == b'_');
    let based = match number {
        [b'0', b'x' | b'X', rest @ ..] => Some(rest.iter().all(|digit| digit.is_ascii_hexdigit() || *digit == b'_')),
        [b'0', b'o' | b'O' | b'b' | b'B', rest @ ..] => Some(digits(rest)),
        _ => None,
    };
    if let Some(based) = based {
        return based;
    }
    let (mantissa, exponent) = match number.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&number[..at], Some(&number[at + 1..])),
        None => (number, None),
    };
    let exponent =
        exponent.map(|exponent| exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent));
    let mut parts = mantissa.splitn(3, |byte| *byte == b'.');
    let whole = parts.next().unwrap_or_default();
    let fraction = parts.next().unwrap_or_default();
    parts.next().is_none()
        && digits(whole)
        && digits(fraction)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
