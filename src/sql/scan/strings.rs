//! String constants, in quotes and in dollars, and what may stand between two parts of one.

use super::{Scanner, State, Strings, begins_name, continues_name};
use crate::sql::token::Token;

impl Scanner {
    pub(super) fn in_string<'a>(
        &mut self,
        rest: &'a [u8],
        kind: Strings,
        sink: &mut impl FnMut(Token<'_>),
    ) -> &'a [u8] {
        let escapes = kind == Strings::Escaped;
        let end = rest.iter().position(|byte| *byte == b'\'' || escapes && *byte == b'\\').unwrap_or(rest.len());
        let (text, behind) = rest.split_at(end);
        if !text.is_empty() {
            if kind == Strings::Unicode && text.contains(&b'\\') {
                self.exact = false;
            }
            sink(Token::Text(text));
        }
        let Some((&byte, after)) = behind.split_first() else { return behind };
        if byte == b'\\' {
            self.exact = false;
            self.state = State::StringEscape;
        } else {
            self.state = State::StringEnd(kind);
        }
        after
    }

    pub(super) fn in_gap(
        &mut self,
        byte: u8,
        kind: Strings,
        newline: bool,
        sink: &mut impl FnMut(Token<'_>),
    ) -> (State, bool) {
        match byte {
            b'\n' | b'\r' => (State::StringGap { kind, newline: true }, true),
            b' ' | b'\t' | 0x0b | 0x0c => (State::StringGap { kind, newline }, true),
            b'-' => (State::StringGapDash { kind, newline }, true),
            b'\'' if newline => (State::String(kind), true),
            _ => {
                self.end_string(kind, sink);
                (State::Between, false)
            }
        }
    }

    pub(super) fn end_string(&mut self, kind: Strings, sink: &mut impl FnMut(Token<'_>)) {
        sink(Token::TextEnd { exact: self.exact });
        self.unicode = kind == Strings::Unicode;
        self.reset();
    }

    pub(super) fn behind_dollar(&mut self, byte: u8, sink: &mut impl FnMut(Token<'_>)) -> (State, bool) {
        match byte {
            b'0'..=b'9' => (State::Parameter, true),
            b'$' => (State::DollarBody { matched: 0 }, true),
            _ if begins_name(byte) => {
                self.put(byte);
                (State::DollarTag, true)
            }
            _ => {
                self.tell(Token::Symbol(b'$'), sink);
                (State::Between, false)
            }
        }
    }

    pub(super) fn in_tag(&mut self, byte: u8, sink: &mut impl FnMut(Token<'_>)) -> (State, bool) {
        match byte {
            b'$' => (State::DollarBody { matched: 0 }, true),
            _ if continues_name(byte) => {
                self.put(byte);
                (State::DollarTag, true)
            }
            _ => {
                self.end_tag(sink);
                (State::Between, false)
            }
        }
    }

    /// Looks for the closing `$tag$`. A dollar that does not go on with the tag may begin the one that does.
    pub(super) fn in_dollar_body<'a>(
        &mut self,
        rest: &'a [u8],
        mut matched: u8,
        sink: &mut impl FnMut(Token<'_>),
    ) -> &'a [u8] {
        let closing = self.length + 2;
        for (at, &byte) in rest.iter().enumerate() {
            let seen = usize::from(matched);
            let expected = if seen == 0 || seen + 1 == closing { b'$' } else { self.word[seen - 1] };
            if byte == expected {
                matched += 1;
                if seen + 1 == closing {
                    tell_text(&rest[..(at + 1).saturating_sub(closing)], sink);
                    self.state = State::Between;
                    self.length = 0;
                    sink(Token::TextEnd { exact: true });
                    return &rest[at + 1..];
                }
            } else {
                // What looked like the tag is text; its part in earlier pieces has not been told.
                if let Some(earlier) = seen.checked_sub(at).filter(|earlier| *earlier > 0) {
                    sink(Token::Text(b"$"));
                    tell_text(&self.word[..earlier - 1], sink);
                }
                matched = u8::from(byte == b'$');
            }
        }
        tell_text(&rest[..rest.len().saturating_sub(usize::from(matched))], sink);
        self.state = State::DollarBody { matched };
        &[]
    }

    /// No tag after all, but a character that PostgreSQL does not take, and a word.
    pub(super) fn end_tag(&mut self, sink: &mut impl FnMut(Token<'_>)) {
        self.tell(Token::Symbol(b'$'), sink);
        self.word.make_ascii_lowercase();
        self.end_word(sink);
    }
}

fn tell_text(text: &[u8], sink: &mut impl FnMut(Token<'_>)) {
    if !text.is_empty() {
        sink(Token::Text(text));
    }
}
