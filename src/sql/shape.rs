//! The shape of a text: the text itself with its constants taken out, so that all texts of one shape do the same. What is
//! found for one of them can be kept for all.
//!
//! It copies bytes where [`normal`](super::normal) makes tokens, and is several times as fast. In turn it tells texts apart
//! that differ in white space or in the length of a list, and most that are hard to read have none: those with comments,
//! with a backslash, a dollar quote or a prefix before a string.

use super::scan::continues_name;
use super::token::Reading;

/// A longer text has no shape.
pub const SHAPE_MAX: usize = 8 * 1024;

/// Digits in a row that are taken for a number; two rows and a dot are shorter than what a token may hold.
const DIGITS_MAX: usize = 24;

/// What a byte does outside strings and quoted names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself.
    Plain,
    /// Part of a name.
    Name,
    Digit,
    /// A `$`, which may begin a parameter or a string.
    Dollar,
    /// A `-` or `/`, which may begin a comment.
    Comment,
    /// A `'` or `"`.
    Quote,
    /// Nothing that is dealt with here.
    Strange,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 128.. => Class::Name,
            b'0'..=b'9' => Class::Digit,
            b'$' => Class::Dollar,
            b'-' | b'/' => Class::Comment,
            b'\'' | b'"' => Class::Quote,
            b'\\' | 0 => Class::Strange,
            _ => Class::Plain,
        };
        byte += 1;
    }
    classes
};

/// The shape of a whole text. `None`: it has none, and must be read.
///
/// Two texts of one shape that are read by the same rules have the same tokens, but for what is inside numbers and strings.
pub fn shape(text: &[u8], reading: Reading) -> Option<Vec<u8>> {
    // What looks like a quote or a backslash may be half a letter.
    if text.len() > SHAPE_MAX || reading.ascii_trails && !text.is_ascii() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    // What is not yet copied begins here.
    let mut from = 0;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match class(byte) {
            Class::Plain => at += 1,
            Class::Name => at = end_of_name(text, at),
            Class::Digit => {
                let end = end_of_digits(text, at);
                // Of `1.e5` the exponent looks like a name.
                let exponent = matches!(text.get(end..end + 2), Some(&[b'.', next]) if class(next) == Class::Name);
                if end - at > DIGITS_MAX || exponent || goes_on(text, end) {
                    return None;
                }
                out.extend_from_slice(&text[from..at]);
                out.push(b'0');
                (from, at) = (end, end);
            }
            Class::Dollar => {
                let end = end_of_digits(text, at + 1);
                if end == at + 1 || goes_on(text, end) {
                    return None;
                }
                at = end;
            }
            Class::Comment if text.get(at + 1).is_some_and(|&next| next == b'-' || next == b'*') => return None,
            Class::Comment => at += 1,
            Class::Quote if has_prefix(text, at) => return None,
            Class::Quote if byte == b'"' => at = end_of_quotes(text, at)?,
            Class::Quote => {
                let end = end_of_quotes(text, at)?;
                out.extend_from_slice(&text[from..=at]);
                // Its last byte, the other quote, stays.
                (from, at) = (end - 1, end);
            }
            Class::Strange => return None,
        }
    }
    out.extend_from_slice(&text[from..]);
    Some(out)
}

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// Behind the name that begins here; a name may hold digits and dollars.
fn end_of_name(text: &[u8], mut at: usize) -> usize {
    // Names are most of a text: four bytes at a time take half as long.
    while let Some(four) = text[at..].first_chunk::<4>() {
        match four.map(continues_name) {
            [true, true, true, true] => at += 4,
            [true, true, true, false] => return at + 3,
            [true, true, false, _] => return at + 2,
            [true, false, ..] => return at + 1,
            [false, ..] => return at,
        }
    }
    let rest = &text[at..];
    at + rest.iter().position(|byte| !continues_name(*byte)).unwrap_or(rest.len())
}

fn end_of_digits(text: &[u8], at: usize) -> usize {
    let rest = &text[at..];
    at + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
}

/// Whether a name or another number begins without anything between.
fn goes_on(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|byte| continues_name(*byte))
}

/// Whether what stands in front of a quote may be part of it: `E'…'`, `U&"…"`.
fn has_prefix(text: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|at| text.get(at));
    before.is_some_and(|byte| *byte == b'&' || continues_name(*byte))
}

/// Behind the quote that ends what the one at `at` begins. A doubled one ends it, too, and begins the next part, as PostgreSQL sees
/// it: what is between them is the same.
fn end_of_quotes(text: &[u8], at: usize) -> Option<usize> {
    let inside = &text[at + 1..];
    let end = memchr::memchr2(text[at], b'\\', inside)?;
    (inside[end] == text[at]).then_some(at + end + 2)
}

#[cfg(test)]
mod tests;
