//! What the scanner finds in a text, and why it may not be certain of it.

use std::fmt;

/// Bytes of a name that count; PostgreSQL cuts longer ones (`NAMEDATALEN` - 1).
pub const NAME_MAX: usize = 63;

/// What the reading depends on beside the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `standard_conforming_strings`: a backslash in `'…'` is itself.
    pub standard_strings: bool,
    /// The client's encoding has characters whose second byte looks like ASCII (SJIS, BIG5, GBK, UHC, GB18030, JOHAB,
    /// SHIFT_JIS_2004): behind any byte from 128 on nothing is certain.
    pub ascii_trails: bool,
    /// The client's encoding is UTF8: in a database that is, too, names outside ASCII are known by their bytes.
    pub utf8: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Self { standard_strings: true, ascii_trails: false, utf8: true }
    }
}

/// A piece of the text. Comments and white space are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A name or keyword, its first [`NAME_MAX`] bytes at most, as PostgreSQL takes it. Without quotes in lower case, as far as it is ASCII.
    Word {
        /// Its bytes, quotes and escapes taken off.
        name: &'a [u8],
        /// It stood in quotes: no keyword.
        quoted: bool,
    },
    /// The next part of a string constant.
    Text(&'a [u8]),
    /// The string constant is over.
    TextEnd {
        /// Its parts together are its value. Not with escapes, nor for bit strings and national characters.
        exact: bool,
    },
    /// A number without its sign, at most [`NAME_MAX`] bytes of it.
    Number(&'a [u8]),
    /// `$1`, and so on.
    Parameter,
    /// Characters of an operator, at most [`NAME_MAX`] of them; also those that stand for themselves, such as `=` or `*`.
    Operator(&'a [u8]),
    /// Any other character: `,` `(` `)` `[` `]` `.` `;` `:`, and what PostgreSQL does not take at all.
    Symbol(u8),
}

/// Why a text cannot be told with certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsure {
    /// A string, a quoted name or a comment does not end.
    Unterminated,
    /// The encoding may hide what a byte means.
    Encoding,
    /// A name that is not all ASCII, the tag of a dollar quote, a number or an operator is longer than [`NAME_MAX`].
    Overlong,
    /// Letters right behind a number or parameter, which servers before 15 took for a word of its own.
    Junk,
    /// `UESCAPE`, or an escape in `U&"…"` that does not name a character.
    UnicodeEscape,
    /// Something that only a syntax error can come of, such as a quote right behind a bit string.
    Nonsense,
    /// More statements or names than are kept of one text.
    Overfull,
}

impl fmt::Display for Unsure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unterminated => "a string, quoted name or comment that does not end",
            Self::Encoding => "a client encoding in which a byte may be half a character",
            Self::Overlong => "a name or number longer than 63 bytes",
            Self::Junk => "letters right behind a number",
            Self::UnicodeEscape => "a Unicode escape",
            Self::Nonsense => "text that is no SQL",
            Self::Overfull => "more statements or settings in one text than are kept",
        })
    }
}
