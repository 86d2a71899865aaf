//! Operators, and the comments that two of their characters begin.

use super::{Scanner, State, is_operator};
use crate::sql::token::Token;

impl Scanner {
    pub(super) fn in_operator(&mut self, byte: u8, sink: &mut impl FnMut(Token<'_>)) -> (State, bool) {
        let comment = match (self.word().last(), byte) {
            (Some(b'-'), b'-') => State::LineComment,
            (Some(b'/'), b'*') => State::BlockComment { depth: 1, last: 0 },
            _ if is_operator(byte) => {
                self.put(byte);
                return (State::Operator, true);
            }
            _ => {
                self.end_operator(sink);
                return (State::Between, false);
            }
        };
        self.length -= 1;
        self.end_operator(sink);
        (comment, true)
    }

    pub(super) fn in_comment<'a>(&mut self, byte: u8, behind: &'a [u8], depth: u32, last: u8) -> &'a [u8] {
        self.state = match (last, byte) {
            (b'*', b'/') if depth == 1 => State::Between,
            (b'*', b'/') => State::BlockComment { depth: depth - 1, last: 0 },
            (b'/', b'*') => State::BlockComment { depth: depth.saturating_add(1), last: 0 },
            _ => State::BlockComment { depth, last: byte },
        };
        behind
    }

    pub(super) fn end_operator(&mut self, sink: &mut impl FnMut(Token<'_>)) {
        if self.length > 0 {
            self.unicode = false;
            sink(Token::Operator(self.word()));
        }
        self.reset();
    }
}
