//! The normal form of a text: what is left when constants become `?`, comments and white space go, and names without
//! quotes are in lower case. Texts that differ only in their constants have one normal form, and so one fingerprint.
//!
//! An element of a list (`IN (…)`, `ARRAY[…]`, the rows of `VALUES`) that looks like the one before is dropped, so that
//! a list's length makes no difference. Does not know what any of it means, and keeps everything that could change that:
//! two texts with one normal form call the same functions and name the same relations.

use super::scan::Scanner;
use super::token::{Reading, Token};
use std::fmt;

/// A longer normal form is not kept: such a text has no fingerprint.
pub const NORMAL_MAX: usize = 64 * 1024;

/// Lists inside one another whose elements are compared; deeper ones stay as they are.
const LISTS_MAX: usize = 8;

/// Names the normal form of a text. The same in every version of PgOtter on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of a normal form. Two normal forms may have the same one by chance: whoever must be certain compares their bytes.
    pub fn of(normal: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64(normal))
    }

    /// Of a text, read by these rules, up to the zero that ends it. `None`: nobody can tell what it says, or it is too long.
    pub fn of_text(text: &[u8], reading: Reading) -> Option<Self> {
        let text = memchr::memchr(0, text).and_then(|end| text.get(..end)).unwrap_or(text);
        let (mut scanner, mut normalizer) = (Scanner::new(reading), Normalizer::new());
        scanner.feed(text, &mut |token| normalizer.token(token));
        scanner.finish(&mut |token| normalizer.token(token)).ok()?;
        normalizer.finish().map(Self::of)
    }
}

impl fmt::Display for Fingerprint {
    /// 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What the last token was, as far as the next one depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    /// Nothing yet, or an opening bracket or a dot: what follows is joined to it.
    #[default]
    Opening,
    Word,
    /// A keyword that a list may follow.
    In,
    Values,
    Constant,
    Operator,
    Comma,
    Closing,
    /// One of which it is not known yet whether it is half of a `::`.
    Colon,
    Other,
}

/// A list whose elements are compared: `a, b, c`, at one depth of brackets.
#[derive(Clone, Copy, Debug)]
struct List {
    depth: usize,
    // The rows of VALUES, which no bracket of their own holds together.
    rows: bool,
    // Where the element under way begins.
    begin: usize,
    // Where the one before it begins, and where its comma stands.
    before: Option<(usize, usize)>,
}

/// Builds one normal form at a time, in a buffer that is used again.
#[derive(Debug, Default)]
pub struct Normalizer {
    out: Vec<u8>,
    last: Last,
    depth: usize,
    lists: Vec<List>,
    // A sign that is part of a number if one follows.
    sign: Option<u8>,
    overlong: bool,
}

impl Normalizer {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins another text.
    pub fn clear(&mut self) {
        self.out.clear();
        self.lists.clear();
        (self.last, self.depth, self.sign, self.overlong) = (Last::Opening, 0, None, false);
    }

    /// The next token of the text.
    pub fn token(&mut self, token: Token<'_>) {
        if let Some(sign) = self.sign.take()
            && !matches!(token, Token::Number(_))
        {
            self.put(&[sign], Last::Operator);
        }
        match token {
            Token::Text(_) => (),
            Token::TextEnd { .. } | Token::Number(_) | Token::Parameter => self.put(b"?", Last::Constant),
            Token::Word { name, quoted: false } => self.put(name, keyword(name)),
            Token::Word { name, quoted: true } => self.quoted(name),
            Token::Operator(sign @ (b"-" | b"+")) if self.begins_operand() => self.sign = sign.first().copied(),
            // Otherwise the same as a constant.
            Token::Operator(b"?") => self.put(br"\?", Last::Operator),
            Token::Operator(operator) => self.put(operator, Last::Operator),
            Token::Symbol(open @ (b'(' | b'[')) => self.open(open),
            Token::Symbol(close @ (b')' | b']')) => self.close(close),
            Token::Symbol(b',') => self.comma(),
            Token::Symbol(b':') if self.last == Last::Colon => self.cast(),
            Token::Symbol(b':') => self.put(b":", Last::Colon),
            Token::Symbol(byte) => self.put(&[byte], if byte == b'.' { Last::Opening } else { Last::Other }),
        }
    }

    /// The text is over: its normal form. `None`: it is too long.
    pub fn finish(&mut self) -> Option<&[u8]> {
        if let Some(sign) = self.sign.take() {
            self.put(&[sign], Last::Operator);
        }
        self.end_lists(|list| list.rows);
        (!self.overlong).then_some(&self.out)
    }

    /// Whether a `-` now is a sign.
    fn begins_operand(&self) -> bool {
        matches!(self.last, Last::Opening | Last::Operator | Last::Comma | Last::In)
    }

    fn open(&mut self, bracket: u8) {
        let list = self.last == Last::In;
        self.put(&[bracket], Last::Opening);
        self.depth += 1;
        if list {
            self.begin_list(false);
        }
    }

    fn close(&mut self, bracket: u8) {
        self.end_lists(|_| true);
        self.depth = self.depth.saturating_sub(1);
        self.put(&[bracket], Last::Closing);
    }

    fn comma(&mut self) {
        let in_list = self.lists.last().is_some_and(|list| list.depth == self.depth);
        if in_list {
            self.end_element();
        }
        let at = self.out.len();
        self.put(b",", Last::Comma);
        if let Some(list) = self.lists.last_mut().filter(|_| in_list) {
            list.before = Some((list.begin, at));
            list.begin = self.out.len();
        }
    }

    /// The second `:` of a cast, which joins what is around it.
    fn cast(&mut self) {
        let without = self.out.strip_suffix(b":").map_or(self.out.len(), |out| out.trim_ascii_end().len());
        self.out.truncate(without);
        self.extend(b"::");
        self.last = Last::Opening;
    }

    fn begin_list(&mut self, rows: bool) {
        if self.lists.len() < LISTS_MAX {
            self.lists.push(List { depth: self.depth, rows, begin: self.out.len(), before: None });
        }
    }

    /// Ends the lists at this depth that are `over`.
    fn end_lists(&mut self, over: impl Fn(&List) -> bool) {
        while self.lists.last().is_some_and(|list| list.depth == self.depth && over(list)) {
            self.end_element();
            self.lists.pop();
        }
    }

    /// Drops the element under way if it looks like the one before it, and that one's comma.
    fn end_element(&mut self) {
        let Some(list) = self.lists.last_mut() else { return };
        let Some((begin, end)) = list.before else { return };
        let before = self.out.get(begin..end).unwrap_or_default().trim_ascii_start();
        let this = self.out.get(list.begin..).unwrap_or_default().trim_ascii_start();
        if before == this && !this.is_empty() {
            self.out.truncate(end);
            list.begin = begin;
            list.before = None;
        }
    }

    fn quoted(&mut self, name: &[u8]) {
        self.put(b"\"", Last::Word);
        for part in name.split_inclusive(|byte| *byte == b'"') {
            self.extend(part);
            if part.ends_with(b"\"") {
                self.extend(b"\"");
            }
        }
        self.extend(b"\"");
    }

    fn put(&mut self, bytes: &[u8], kind: Last) {
        let goes_on = matches!(kind, Last::Comma | Last::Closing)
            || bytes == b"(" && matches!(self.last, Last::Values | Last::Comma);
        if !goes_on {
            self.end_lists(|list| list.rows);
        }
        let joined = match bytes {
            b"(" | b"[" => matches!(self.last, Last::Opening | Last::Word),
            b")" | b"]" | b"," | b";" | b"." => true,
            _ => self.last == Last::Opening,
        };
        if !joined {
            self.extend(b" ");
        }
        self.extend(bytes);
        self.last = kind;
        if kind == Last::Values {
            self.begin_list(true);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.out.len() + bytes.len() > NORMAL_MAX {
            self.overlong = true;
        } else {
            self.out.extend_from_slice(bytes);
        }
    }
}

fn keyword(name: &[u8]) -> Last {
    match name {
        b"in" | b"array" => Last::In,
        b"values" => Last::Values,
        _ => Last::Word,
    }
}

#[cfg(test)]
mod tests;
