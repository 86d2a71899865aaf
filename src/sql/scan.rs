//! Reads SQL as PostgreSQL's scanner does, piece by piece as it arrives: bytes in, [`Token`]s out.
//!
//! A *push* scanner: [`Scanner::feed`] takes the next bytes of a text, cut anywhere, and keeps some 80 bytes of state
//! between two calls, however long the text or anything in it is. It does not know what a statement is, nor any keyword
//! but the prefixes of strings. A proxy that reads a text differently from the server behind it is a security hole, so
//! whatever servers of different versions or settings might read in different ways makes the scanner [`Unsure`], for good.
//!
//! Source: PostgreSQL `src/backend/parser/scan.l`, versions 15 to 18; manual, "Lexical Structure".

use super::token::{NAME_MAX, Reading, Token, Unsure};
use std::cell::Cell;

mod names;
mod number;
mod operator;
mod strings;
mod unicode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strings {
    /// A backslash is itself.
    Plain,
    /// It is an escape: `E'…'`, and `'…'` without `standard_conforming_strings`.
    Escaped,
    /// `B'…'` and `X'…'`.
    Bits,
    /// `U&'…'`.
    Unicode,
}

/// Of which kind a comment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comment {
    Block,
    Line,
}

/// Where the scanner stands between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    Word,
    /// Behind `u&`, which may begin `U&"…"` or `U&'…'`.
    WordAmpersand,
    Quoted {
        unicode: bool,
    },
    /// Behind a quote that ends the name, or is half of a doubled one.
    QuotedEnd {
        unicode: bool,
    },
    Number,
    /// Behind a dot that begins a number if a digit follows.
    Dot,
    Dollar,
    DollarTag,
    DollarBody {
        matched: u8,
    },
    Parameter,
    Operator,
    LineComment,
    BlockComment {
        depth: u32,
        last: u8,
    },
    String(Strings),
    /// Behind a backslash in an escaped string.
    StringEscape,
    /// Behind a quote that ends the string, or is half of a doubled one.
    StringEnd(Strings),
    /// Behind a string, in white space: a quote on another line goes on with it.
    StringGap {
        kind: Strings,
        newline: bool,
    },
    /// Behind one dash there, which begins a comment if another follows.
    StringGapDash {
        kind: Strings,
        newline: bool,
    },
    StringGapComment(Strings),
}

/// Reads one text. Everything that was found goes to the `sink` of each call, in order.
#[derive(Clone, Debug)]
pub struct Scanner {
    reading: Reading,
    state: State,
    unsure: Option<Unsure>,
    // The word, number, operator or tag under way.
    word: [u8; NAME_MAX + 1],
    length: usize,
    // Nothing in the string under way needs to be decoded.
    exact: bool,
    // The last token was `U&"…"` or `U&'…'`, which UESCAPE may follow.
    unicode: bool,
    // Bytes of the text in earlier calls.
    fed: usize,
}

impl Scanner {
    /// At the beginning of a text.
    pub fn new(reading: Reading) -> Self {
        let word = [0; NAME_MAX + 1];
        Self { reading, state: State::Between, unsure: None, word, length: 0, exact: true, unicode: false, fed: 0 }
    }

    /// The next bytes of the text. What is not complete at their end is told in a later call.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl FnMut(Token<'_>)) {
        self.feed_telling(bytes, &Cell::new(0), sink);
    }

    /// As [`Self::feed`]; whenever the sink is called, `begun` is where its token begins in the text, in bytes.
    pub fn feed_telling(&mut self, bytes: &[u8], begun: &Cell<usize>, sink: &mut impl FnMut(Token<'_>)) {
        if self.reading.ascii_trails && !bytes.is_ascii() {
            self.doubt(Unsure::Encoding);
        }
        let mut rest = bytes;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = match self.state {
                State::Between => {
                    begun.set(self.fed + bytes.len() - rest.len());
                    self.begin(byte, behind, sink)
                }
                State::Word => self.in_word(rest, sink),
                State::Number if byte.is_ascii_digit() => self.in_digits(rest),
                State::Quoted { unicode } => self.in_quoted(rest, unicode),
                State::LineComment => skip_to(rest, is_newline, || self.state = State::Between),
                State::StringGapComment(kind) => {
                    skip_to(rest, is_newline, || self.state = State::StringGap { kind, newline: false })
                }
                State::BlockComment { depth, last } => self.in_comment(byte, behind, depth, last),
                State::String(kind) => self.in_string(rest, kind, sink),
                State::DollarBody { matched } => self.in_dollar_body(rest, matched, sink),
                _ => self.look(byte, rest, behind, sink),
            };
        }
        self.fed += bytes.len();
    }

    /// Bytes of the text so far.
    pub(super) fn fed(&self) -> usize {
        self.fed
    }

    /// The text is over.
    ///
    /// # Errors
    /// It cannot be told with certainty what it says: whatever the sink was told may be wrong.
    pub fn finish(mut self, sink: &mut impl FnMut(Token<'_>)) -> Result<(), Unsure> {
        match self.state {
            State::Between | State::LineComment => (),
            State::Word => self.end_word(sink),
            State::WordAmpersand => {
                self.end_word(sink);
                sink(Token::Operator(b"&"));
            }
            State::QuotedEnd { unicode } => self.end_quoted(unicode, sink),
            State::Number => self.end_number(sink),
            State::Dot => sink(Token::Symbol(b'.')),
            State::Dollar => sink(Token::Symbol(b'$')),
            State::DollarTag => self.end_tag(sink),
            State::Parameter => sink(Token::Parameter),
            State::Operator => self.end_operator(sink),
            State::StringEnd(kind) | State::StringGap { kind, .. } | State::StringGapComment(kind) => {
                self.end_string(kind, sink);
            }
            State::StringGapDash { kind, .. } => {
                self.end_string(kind, sink);
                sink(Token::Operator(b"-"));
            }
            State::Quoted { .. }
            | State::DollarBody { .. }
            | State::BlockComment { .. }
            | State::String(_)
            | State::StringEscape => self.doubt(Unsure::Unterminated),
        }
        self.unsure.map_or(Ok(()), Err)
    }

    /// The comment, inside no other, in which the text read so far ends.
    pub(super) fn comment(&self) -> Option<Comment> {
        match self.state {
            State::BlockComment { depth: 1, .. } => Some(Comment::Block),
            State::LineComment | State::StringGapComment(_) => Some(Comment::Line),
            _ => None,
        }
    }

    /// Whether the text read so far is certain.
    pub fn unsure(&self) -> Option<Unsure> {
        self.unsure
    }

    fn doubt(&mut self, why: Unsure) {
        self.unsure.get_or_insert(why);
    }

    /// A byte that belongs to nothing before it.
    fn begin<'a>(&mut self, byte: u8, behind: &'a [u8], sink: &mut impl FnMut(Token<'_>)) -> &'a [u8] {
        self.length = 0;
        self.state = match byte {
            // A vertical tab is white space since 16 and an error before.
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => State::Between,
            b'\'' => {
                self.exact = true;
                State::String(if self.reading.standard_strings { Strings::Plain } else { Strings::Escaped })
            }
            b'"' => State::Quoted { unicode: false },
            b'$' => State::Dollar,
            b'.' => State::Dot,
            b'0'..=b'9' => {
                self.put(byte);
                State::Number
            }
            _ if is_operator(byte) => {
                self.put(byte);
                State::Operator
            }
            _ if begins_name(byte) => {
                self.put(byte.to_ascii_lowercase());
                State::Word
            }
            _ => {
                self.tell(Token::Symbol(byte), sink);
                State::Between
            }
        };
        behind
    }

    /// States in which one byte decides. It is left in `rest` where it belongs to what follows.
    fn look<'a>(&mut self, byte: u8, rest: &'a [u8], behind: &'a [u8], sink: &mut impl FnMut(Token<'_>)) -> &'a [u8] {
        let (state, used) = match self.state {
            State::WordAmpersand => match byte {
                b'"' => (self.restart(State::Quoted { unicode: true }), true),
                b'\'' => (self.restart(State::String(Strings::Unicode)), true),
                _ => {
                    self.end_word(sink);
                    self.put(b'&');
                    (State::Operator, false)
                }
            },
            State::QuotedEnd { unicode } if byte == b'"' => {
                self.put(byte);
                (State::Quoted { unicode }, true)
            }
            State::QuotedEnd { unicode } => {
                self.end_quoted(unicode, sink);
                (State::Between, false)
            }
            State::Number => self.in_number(byte, sink),
            State::Dot if byte.is_ascii_digit() => {
                self.put(b'.');
                (State::Number, false)
            }
            State::Dot => {
                self.tell(Token::Symbol(b'.'), sink);
                (State::Between, false)
            }
            State::Dollar => self.behind_dollar(byte, sink),
            State::DollarTag => self.in_tag(byte, sink),
            State::Parameter if byte.is_ascii_digit() => (State::Parameter, true),
            State::Parameter => {
                if continues_name(byte) {
                    self.doubt(Unsure::Junk);
                }
                self.tell(Token::Parameter, sink);
                (State::Between, false)
            }
            State::Operator => self.in_operator(byte, sink),
            State::StringEscape => {
                sink(Token::Text(&[byte]));
                (State::String(Strings::Escaped), true)
            }
            State::StringEnd(kind) if byte == b'\'' => {
                if kind == Strings::Bits {
                    self.doubt(Unsure::Nonsense);
                }
                sink(Token::Text(b"'"));
                (State::String(kind), true)
            }
            State::StringEnd(kind) => (State::StringGap { kind, newline: false }, false),
            State::StringGap { kind, newline } => self.in_gap(byte, kind, newline, sink),
            State::StringGapDash { kind, .. } if byte == b'-' => (State::StringGapComment(kind), true),
            State::StringGapDash { kind, .. } => {
                self.end_string(kind, sink);
                self.put(b'-');
                (State::Operator, false)
            }
            // Those that read on by themselves.
            state => (state, true),
        };
        self.state = state;
        if used { behind } else { rest }
    }

    fn restart(&mut self, state: State) -> State {
        self.length = 0;
        self.exact = true;
        state
    }

    fn put(&mut self, byte: u8) {
        match self.word.get_mut(self.length) {
            Some(place) => {
                *place = byte;
                self.length += 1;
            }
            None => self.overflow(&[byte]),
        }
    }

    fn put_all(&mut self, bytes: &[u8]) {
        let room = &mut self.word[self.length..];
        let fitting = bytes.len().min(room.len());
        room[..fitting].copy_from_slice(&bytes[..fitting]);
        self.length += fitting;
        if fitting < bytes.len() {
            self.overflow(&bytes[fitting..]);
        }
    }

    /// There is no room for these. Of a name PostgreSQL takes the first bytes, but it cuts between two letters: in ASCII that
    /// is the same.
    fn overflow(&mut self, bytes: &[u8]) {
        let names = matches!(self.state, State::Word | State::Quoted { .. } | State::QuotedEnd { .. });
        if !names || !bytes.is_ascii() {
            self.doubt(Unsure::Overlong);
        }
    }

    fn word(&self) -> &[u8] {
        &self.word[..self.length]
    }

    /// A token that holds nothing of the text.
    fn tell(&mut self, token: Token<'_>, sink: &mut impl FnMut(Token<'_>)) {
        self.unicode = false;
        sink(token);
    }

    fn reset(&mut self) {
        self.length = 0;
        self.state = State::Between;
    }
}

/// Moves behind everything up to the first byte that is `wanted`, where `found` is called.
fn skip_to(rest: &[u8], wanted: fn(u8) -> bool, found: impl FnOnce()) -> &[u8] {
    match rest.iter().position(|byte| wanted(*byte)) {
        Some(at) => {
            found();
            &rest[at..]
        }
        None => &[],
    }
}

fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

const NAME_BEGIN: u8 = 1;
const NAME: u8 = 2;
const OPERATOR: u8 = 4;

/// What each byte may be part of.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 128.. => NAME_BEGIN | NAME,
            b'0'..=b'9' | b'$' => NAME,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<'
            | b'>' | b'=' => OPERATOR,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

fn begins_name(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & NAME_BEGIN != 0
}

/// Whether a byte may stand in a name that has begun.
pub(super) fn continues_name(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & NAME != 0
}

fn is_operator(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & OPERATOR != 0
}

#[cfg(test)]
mod tests;
