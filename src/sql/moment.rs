//! Whether a constant or a parameter may be a date or time that PostgreSQL reckons from the time at which its transaction began: `now`,
//! `today`, `tomorrow` and `yesterday`, in any case and among other things. What stands in tables is not looked into.
//!
//! Source: PostgreSQL documentation, "Special Values" of date/time types; `ParseDateTime` in its `src/backend/utils/adt/datetime.c`.

use super::scan::Scanner;
use super::token::{Reading, Token};

const MOMENTS: [&[u8]; 4] = [b"now", b"today", b"tomorrow", b"yesterday"];

/// Letters of the longest.
const LETTERS: usize = 9;

/// Whether a constant in a text may be one. So may any that needs decoding, and a text of which the scanner is not sure.
pub fn says_now(text: &[u8], reading: Reading) -> bool {
    let (mut found, mut run) = (false, Run::default());
    let mut look = |token: Token<'_>| match token {
        Token::Text(part) => found |= run.read(part),
        Token::TextEnd { exact } => found |= std::mem::take(&mut run).is_moment() || !exact,
        _ => (),
    };
    let mut scanner = Scanner::new(reading);
    scanner.feed(text, &mut look);
    let sure = scanner.finish(&mut look);
    found || sure.is_err()
}

/// Whether the value of a parameter may be one, if it is text.
pub fn is_now(value: &[u8]) -> bool {
    let mut run = Run::default();
    run.read(value) || run.is_moment()
}

/// Letters without anything between them, so far.
#[derive(Default)]
struct Run {
    letters: [u8; LETTERS],
    length: usize,
}

impl Run {
    /// Whether a run that ends in these bytes is one.
    fn read(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        for byte in bytes {
            if byte.is_ascii_alphabetic() {
                if let Some(letter) = self.letters.get_mut(self.length) {
                    *letter = byte.to_ascii_lowercase();
                }
                self.length = self.length.saturating_add(1);
            } else {
                found |= self.is_moment();
                self.length = 0;
            }
        }
        found
    }

    fn is_moment(&self) -> bool {
        self.letters.get(..self.length).is_some_and(|letters| MOMENTS.contains(&letters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_a_moment_are_found_however_they_are_written() {
        let says = |text: &str| says_now(text.as_bytes(), Reading::default());
        for text in [
            "select 'now'::timestamptz",
            "select timestamp 'ToDay 12:00'",
            "select date $$tomorrow$$",
            "select 'to'\n  'day'::date",
            "select '12:00_now'::timestamp",
            "select E'\\x6eow'::timestamp",
            "select U&'\\006eow'::timestamp",
            "select 'yesterday",
        ] {
            assert!(says(text), "{text}");
        }
        for text in
            ["select 'known', 'snow', 'nowhere'", "select now from today", "select 'no', 'w', 'to', 'days'", "select 1"]
        {
            assert!(!says(text), "{text}");
        }
    }

    #[test]
    fn a_parameter_may_be_one_as_well() {
        assert!(is_now(b"now") && is_now(b" Yesterday 04:05") && is_now(b"a,today"));
        assert!(!is_now(b"nowadays") && !is_now(b"yesterdays") && !is_now(b"") && !is_now(&[0, 1, 2]));
    }
}
