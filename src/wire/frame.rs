//! Heads of frames: one type byte and a four-byte length that counts itself. Bodies are not read here.

/// Bytes of a head.
pub const HEAD: usize = 5;

/// PostgreSQL's `PQ_LARGE_MESSAGE_LIMIT`: `MaxAllocSize - 1`, for Query, Parse, Bind, FunctionCall and CopyData.
pub const LARGE_LIMIT: usize = 0x3fff_fffe;

/// PostgreSQL's `PQ_SMALL_MESSAGE_LIMIT`, for everything else a client sends.
pub const SMALL_LIMIT: usize = 10_000;

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Type byte.
    pub kind: u8,
    /// The length field as sent: 4 + bytes of body. Not checked.
    pub length: i32,
}

impl Head {
    /// Reads the head at the front of `bytes`, or `None` when fewer than [`HEAD`] are there.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<HEAD>()?;
        let [kind, a, b, c, d] = *head;
        Some(Self { kind, length: i32::from_be_bytes([a, b, c, d]) })
    }

    /// Bytes of the whole frame, type byte included; `None` when the length is below 4.
    pub fn frame_len(self) -> Option<usize> {
        let length = usize::try_from(self.length).ok()?;
        if length < 4 { None } else { Some(length + 1) }
    }
}

/// The first complete frame of `bytes` as (type, body, bytes of the frame); `None` when it is not all there
/// or its length is below 4.
pub fn first(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (kind, body, _) = take(bytes)?;
    Some((kind, body, HEAD + body.len()))
}

/// The first complete frame as (type, body), and what is behind it.
fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let head = Head::read(bytes)?;
    let (frame, behind) = bytes.split_at_checked(head.frame_len()?)?;
    Some((head.kind, frame.get(HEAD..)?, behind))
}

/// Every complete frame of `bytes`, as (type, body).
pub fn all(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (kind, body, behind) = take(rest)?;
        rest = behind;
        Some((kind, body))
    })
}

/// Takes a zero-terminated string off the front of `body`; `None` without a terminator.
pub fn take_cstr<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    // As most names are.
    if let [0, rest @ ..] = *body {
        *body = rest;
        return Some(&[]);
    }
    let end = memchr::memchr(0, body)?;
    let (text, rest) = body.split_at(end);
    *body = rest.get(1..)?;
    Some(text)
}

/// Takes a two-byte number off the front of a body.
pub fn take_u16(body: &mut &[u8]) -> Option<u16> {
    let (head, rest) = body.split_first_chunk::<2>()?;
    *body = rest;
    Some(u16::from_be_bytes(*head))
}

/// Takes a four-byte integer off the front of `body`.
pub fn take_i32(body: &mut &[u8]) -> Option<i32> {
    let (head, rest) = body.split_first_chunk::<4>()?;
    *body = rest;
    Some(i32::from_be_bytes(*head))
}
