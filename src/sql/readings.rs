//! By which rules PostgreSQL may read a text, where what has been sent and not answered yet may change them. What such a text does is
//! certain only as far as it does the same by all of them.

use super::facts::{Facts, Functions, Reader};
use super::token::Reading;
use std::borrow::Borrow;

/// Rules by which a text may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readings {
    now: Reading,
    certain: bool,
}

/// How one text is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ways {
    /// By these rules, or by others that make no difference to it.
    One(Reading),
    /// By either of these.
    Either([Reading; 2]),
    /// Nobody can tell.
    Any,
}

impl Readings {
    /// By these rules.
    pub fn certain(now: Reading) -> Self {
        Self { now, certain: true }
    }

    /// By these, or by any others that a session may have: `standard_conforming_strings` and `client_encoding` are under way.
    pub fn any(now: Reading) -> Self {
        Self { now, certain: false }
    }

    /// As these, behind something that may change them.
    #[must_use]
    pub fn doubted(self) -> Self {
        Self::any(self.now)
    }

    /// How a text is to be read.
    pub fn ways(self, text: &[u8]) -> Ways {
        if self.certain {
            Ways::One(self.now)
        } else if hides(0, text) {
            Ways::Any
        } else if text.contains(&b'\\') {
            Ways::Either([self.now, self.otherwise()])
        } else {
            Ways::One(self.now)
        }
    }

    /// By which rules a text is read, if only one way is possible.
    pub fn only(self, text: &[u8]) -> Option<Reading> {
        match self.ways(text) {
            Ways::One(reading) => Some(reading),
            Ways::Either(_) | Ways::Any => None,
        }
    }

    /// What a whole text may do, by what `read` makes of it in one way.
    pub fn facts<F: Borrow<Facts> + From<Facts>>(self, text: &[u8], read: impl Fn(Reading) -> F) -> F {
        match self.ways(text) {
            Ways::One(reading) => read(reading),
            Ways::Either(ways) => either(ways.map(read)),
            Ways::Any => Facts::anything().into(),
        }
    }

    fn otherwise(self) -> Reading {
        Reading { standard_strings: !self.now.standard_strings, ..self.now }
    }
}

/// Reads one text in pieces, as [`Reader`] does, by all the rules that there may be.
#[derive(Clone, Debug)]
pub struct Readers {
    reader: Reader,
    otherwise: Option<Reader>,
    // The last byte of what was read, and whether any of it means another thing in another encoding.
    last: u8,
    hides: bool,
}

impl Readers {
    /// At the beginning of a text.
    pub fn new(readings: Readings) -> Self {
        let otherwise = (!readings.certain).then(|| Reader::new(readings.otherwise()));
        Self { reader: Reader::new(readings.now), otherwise, last: 0, hides: false }
    }

    /// The next bytes of the text, see [`Reader::feed`].
    pub fn feed(&mut self, bytes: &[u8], functions: &dyn Functions) {
        self.reader.feed(bytes, functions);
        if let Some(otherwise) = &mut self.otherwise {
            otherwise.feed(bytes, functions);
            self.hides |= hides(self.last, bytes);
            self.last = bytes.last().copied().unwrap_or(self.last);
        }
    }

    /// The text is over.
    pub fn finish(self, functions: &dyn Functions) -> Facts {
        let facts = self.reader.finish(functions);
        match self.otherwise {
            None => facts,
            Some(_) if self.hides => Facts::anything(),
            Some(otherwise) => either([facts, otherwise.finish(functions)]),
        }
    }
}

/// What a text may do that is read in one of two ways. What PostgreSQL refuses does nothing.
fn either<F: Borrow<Facts> + From<Facts>>([one, other]: [F; 2]) -> F {
    let refused = |facts: &F| facts.borrow().is_refused();
    if refused(&other) || one.borrow() == other.borrow() {
        one
    } else if refused(&one) {
        other
    } else {
        Facts::anything().into()
    }
}

/// Whether a byte that looks like ASCII, and means something to the scanner, may be the second half of a character: behind a byte from
/// 128 on, in the encodings of [`Reading::ascii_trails`]. Letters, digits and `_` go on with a name in either way, and no character
/// ends in a byte below `0`. Source: PostgreSQL `src/common/wchar.c`.
fn hides(before: u8, text: &[u8]) -> bool {
    let means_something = |byte: u8| matches!(byte, b'@' | b'['..=b'^' | b'`' | b'{'..=b'~');
    let mut before = before;
    text.iter().any(|&byte| std::mem::replace(&mut before, byte) >= 128 && means_something(byte))
}

#[cfg(test)]
mod tests;
