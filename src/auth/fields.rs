//! The shape that all SCRAM messages share: `a=value` fields between commas, in a fixed order.
//! Works on bytes, because PostgreSQL does not ask for UTF-8 here. Source: RFC 5802 section 7.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The fields of one message, read in order; what is not asked for is left over.
pub(super) struct Fields<'a>(std::slice::Split<'a, u8, fn(&u8) -> bool>);

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message.split(|byte| *byte == b','))
    }

    /// The value of the next field if that is `name`; None if it is another, or none is left.
    pub(super) fn expect(&mut self, name: u8) -> Option<&'a [u8]> {
        match self.0.next()? {
            [first, b'=', value @ ..] if *first == name => Some(value),
            _ => None,
        }
    }

    /// Whether all that is left is optional extensions: any letter, any value. They are ignored.
    pub(super) fn only_extensions_left(self) -> bool {
        self.0.into_iter().all(|field| matches!(field, [name, b'=', ..] if name.is_ascii_alphabetic()))
    }
}

/// Whether `nonce` is one or more printable characters (a comma cannot be among them here).
pub(super) fn is_nonce(nonce: &[u8]) -> bool {
    !nonce.is_empty() && nonce.iter().all(u8::is_ascii_graphic)
}

/// Strict base64: canonical, padded, no white space.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Exactly N bytes of base64.
pub(super) fn decode_exactly<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Digits only, no sign, no leading zero, at least 1, at most PostgreSQL's own largest (2^31 - 1).
pub(super) fn iterations(text: &[u8]) -> Option<std::num::NonZeroU32> {
    let canonical = text.first() != Some(&b'0') && text.iter().all(u8::is_ascii_digit);
    let number: i32 = std::str::from_utf8(text).ok().filter(|_| canonical)?.parse().ok()?;
    u32::try_from(number).ok()?.try_into().ok()
}
