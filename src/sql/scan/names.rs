//! Names, keywords among them, and the prefixes of strings.

use super::{Scanner, State, Strings, continues_name, unicode};
use crate::sql::token::{NAME_MAX, Token, Unsure};

impl Scanner {
    pub(super) fn in_word<'a>(&mut self, rest: &'a [u8], sink: &mut impl FnMut(Token<'_>)) -> &'a [u8] {
        let end = rest.iter().position(|byte| !continues_name(*byte)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let begun = self.length;
        self.put_all(name);
        self.word[begun..self.length].make_ascii_lowercase();
        let Some((&next, after)) = behind.split_first() else { return behind };
        let kind = match (self.word(), next) {
            (b"e", b'\'') => Strings::Escaped,
            (b"b" | b"x", b'\'') => Strings::Bits,
            // The standard's national characters: read as any other string, but its trailing blanks do not count.
            (b"n", b'\'') if self.reading.standard_strings => Strings::Plain,
            (b"n", b'\'') => Strings::Escaped,
            (b"u", b'&') => {
                self.state = State::WordAmpersand;
                return after;
            }
            _ => {
                self.end_word(sink);
                return behind;
            }
        };
        self.exact = kind != Strings::Bits && self.word() != b"n";
        self.state = State::String(kind);
        after
    }

    pub(super) fn in_quoted<'a>(&mut self, rest: &'a [u8], unicode: bool) -> &'a [u8] {
        let end = rest.iter().position(|byte| *byte == b'"').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        self.put_all(name);
        let Some((_, after)) = behind.split_first() else { return behind };
        self.state = State::QuotedEnd { unicode };
        after
    }

    pub(super) fn end_word(&mut self, sink: &mut impl FnMut(Token<'_>)) {
        if self.unicode && self.word() == b"uescape" {
            self.doubt(Unsure::UnicodeEscape);
        }
        self.tell_name(false, sink);
    }

    pub(super) fn end_quoted(&mut self, unicode: bool, sink: &mut impl FnMut(Token<'_>)) {
        if unicode && (self.length > NAME_MAX || !self.decode()) {
            self.doubt(Unsure::UnicodeEscape);
        }
        self.tell_name(true, sink);
        self.unicode = unicode;
    }

    fn tell_name(&mut self, quoted: bool, sink: &mut impl FnMut(Token<'_>)) {
        if self.length > NAME_MAX {
            if !self.word().is_ascii() {
                self.doubt(Unsure::Overlong);
            }
            self.length = NAME_MAX;
        }
        sink(Token::Word { name: self.word(), quoted });
        self.unicode = false;
        self.reset();
    }

    /// Decodes `\XXXX`, `\+XXXXXX` and `\\` in the name under way. False: it cannot be.
    fn decode(&mut self) -> bool {
        if !self.word().contains(&b'\\') {
            return true;
        }
        let Some(decoded) = std::str::from_utf8(self.word()).ok().and_then(unicode::decoded) else { return false };
        self.length = 0;
        decoded.bytes().for_each(|byte| self.put(byte));
        true
    }
}
