//! A conversation written down in letters: what the client sends, what the server answers, what the client sees.

use crate::server::{Exchange, Outlet, Say, Violation};
use bytes::BytesMut;

/// One frame.
pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// Frames of a client, one for each letter, with a body that means nothing.
pub fn sent(kinds: &str) -> Vec<u8> {
    kinds.bytes().flat_map(|kind| frame(kind, b".\0")).collect()
}

pub const ERROR: &[u8] = b"SERROR\0VERROR\0C22012\0Mdivision by zero\0\0";
pub const FATAL: &[u8] = b"SFATAL\0VFATAL\0C57P01\0Mgoodbye\0\0";

/// Frames of a server, one for each word: a type byte, or `Zi` `Zt` `Ze`, `E`, `FATAL`, `S:name:value`, `C:tag`.
/// Rows and notices differ from each other.
pub fn said(words: &str) -> Vec<u8> {
    let word = |(at, word): (usize, &str)| match word {
        "Zi" => frame(b'Z', b"I"),
        "Zt" => frame(b'Z', b"T"),
        "Ze" => frame(b'Z', b"E"),
        "E" => frame(b'E', ERROR),
        "FATAL" => frame(b'E', FATAL),
        other => match other.split_once(':') {
            Some(("S", pair)) => frame(b'S', (pair.replace(':', "\0") + "\0").as_bytes()),
            Some(("C", tag)) => frame(b'C', (tag.replace('_', " ") + "\0").as_bytes()),
            _ => frame(other.as_bytes()[0], format!("{at}\0").as_bytes()),
        },
    };
    words.split_whitespace().enumerate().flat_map(word).collect()
}

/// What a client was given.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    pub bytes: Vec<u8>,
    pub parameters: Vec<String>,
    pub guards: usize,
}

impl Outlet for Seen {
    fn pass(&mut self, chunk: BytesMut) {
        assert!(!chunk.is_empty());
        self.bytes.extend_from_slice(&chunk);
    }

    fn parameter(&mut self, name: &[u8], value: &[u8]) -> Say {
        self.parameters.push(format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
        if name == b"hidden" { Say::Nothing } else { Say::It }
    }

    fn guard_done(&mut self) {
        self.guards += 1;
    }
}

#[derive(Default)]
pub struct Talk {
    pub exchange: Exchange,
    pub inbox: BytesMut,
    pub seen: Seen,
}

impl Talk {
    pub fn send(&mut self, kinds: &str) -> &mut Self {
        self.exchange.sending(&sent(kinds));
        self
    }

    pub fn send_own(&mut self, kinds: &str, disposition: crate::server::Disposition) -> &mut Self {
        kinds.bytes().for_each(|kind| self.exchange.sending_own(kind, disposition));
        self
    }

    /// Our own answers that are due.
    pub fn settle(&mut self) {
        while let Some(answer) = self.exchange.take_due() {
            self.seen.pass(answer);
        }
    }

    pub fn try_hear(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.inbox.extend_from_slice(bytes);
        self.exchange.receive(&mut self.inbox, &mut self.seen)
    }

    pub fn hear(&mut self, words: &str) -> &mut Self {
        self.try_hear(&said(words)).unwrap_or_else(|violation| panic!("{words}: {violation:?}"));
        assert!(self.inbox.is_empty());
        self
    }

    /// The types of the frames seen so far.
    pub fn seen(&self) -> String {
        let (mut rest, mut kinds) = (&self.seen.bytes[..], String::new());
        while let Some((kind, _, total)) = crate::wire::frame::first(rest) {
            kinds.push(char::from(kind));
            rest = &rest[total..];
        }
        assert!(rest.is_empty(), "a part of a frame");
        kinds
    }

    pub fn at_boundary(&self) -> bool {
        self.exchange.boundary().is_some()
    }
}
