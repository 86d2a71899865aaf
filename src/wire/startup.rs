//! The first packets of a connection, which have no type byte.
//!
//! Source: PostgreSQL `src/backend/tcop/backend_startup.c`, `ProcessStartupPacket`.

use super::frame::{take_cstr, take_i32};
use crate::fault::{Blame, Fault, SqlState};
use crate::secret::equal;
use std::fmt;
use std::hash::{Hash, Hasher};
use zeroize::Zeroize;

/// Protocol 3.0.
pub const PROTOCOL_3_0: i32 = 3 << 16;
/// Protocol 3.2, the newest PgOtter speaks: cancel keys of up to 256 bytes.
pub const PROTOCOL_3_2: i32 = (3 << 16) | 2;
/// Code of a CancelRequest.
pub const CANCEL_REQUEST: i32 = (1234 << 16) | 5678;
/// Code of an SSLRequest.
pub const SSL_REQUEST: i32 = (1234 << 16) | 5679;
/// Code of a GSSENCRequest.
pub const GSSENC_REQUEST: i32 = (1234 << 16) | 5680;

/// PostgreSQL's `MAX_STARTUP_PACKET_LENGTH`: bytes behind the length field.
pub const MAX_BODY: usize = 10_000;

/// Longest cancel key of protocol 3.2.
pub const MAX_CANCEL_KEY: usize = 256;

/// One first packet.
#[derive(Debug, PartialEq, Eq)]
pub enum FirstPacket {
    /// Asks for TLS.
    Ssl,
    /// Asks for GSSAPI encryption.
    GssEnc,
    /// Asks to cancel what the owner of this key runs.
    Cancel(CancelKey),
    /// Logs in.
    Startup(Startup),
}

/// What a client got in BackendKeyData and sends back to cancel. Whoever sees the secret may do so, too: it is not shown, how long a
/// comparison takes tells nothing of it, and it is wiped when dropped.
#[derive(Clone, Eq)]
pub struct CancelKey {
    /// The process number that stands for the client.
    pub pid: i32,
    /// 4 bytes before protocol 3.2, 32 with it.
    pub secret: Box<[u8]>,
}

impl PartialEq for CancelKey {
    fn eq(&self, other: &Self) -> bool {
        (self.pid == other.pid) & equal(&self.secret, &other.secret)
    }
}

impl Hash for CancelKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pid.hash(state);
        self.secret.hash(state);
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CancelKey").field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// A StartupMessage, with its parameters in the order they came.
#[derive(Debug, PartialEq, Eq)]
pub struct Startup {
    /// Minor number of protocol 3.
    pub minor: u16,
    /// Name and value of each parameter, bytes as sent, `_pq_.` options left out.
    pub parameters: Vec<(Vec<u8>, Vec<u8>)>,
    /// Names of the `_pq_.` options.
    pub protocol_options: Vec<Vec<u8>>,
}

impl Startup {
    /// Whether NegotiateProtocolVersion must be sent: a newer minor, or an option of the protocol.
    pub fn needs_negotiation(&self) -> bool {
        self.minor > 2 || !self.protocol_options.is_empty()
    }

    /// Whether the client takes cancel keys of 32 bytes.
    pub fn long_keys(&self) -> bool {
        self.minor >= 2
    }
}

/// Bytes of the whole first packet at the front of `bytes`; `None` until its four length bytes are there.
///
/// # Errors
/// FATAL 08P01 for a length PostgreSQL would not read; nothing is kept for it.
pub fn packet_len(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let mut rest = bytes;
    let Some(length) = take_i32(&mut rest) else { return Ok(None) };
    match usize::try_from(length) {
        Ok(total) if (8..=MAX_BODY + 4).contains(&total) => Ok(Some(total)),
        _ => Err(violation("invalid length of startup packet")),
    }
}

/// Reads one complete first packet, length field included.
///
/// # Errors
/// FATAL 08P01 for a bad layout, 0A000 for a protocol that is not 3.
pub fn read(packet: &[u8]) -> Result<FirstPacket, Fault> {
    let mut body = packet.get(4..).unwrap_or_default();
    let code = take_i32(&mut body).ok_or_else(|| violation("invalid length of startup packet"))?;
    match code {
        SSL_REQUEST if body.is_empty() => Ok(FirstPacket::Ssl),
        GSSENC_REQUEST if body.is_empty() => Ok(FirstPacket::GssEnc),
        SSL_REQUEST | GSSENC_REQUEST => Err(violation("invalid length of startup packet")),
        CANCEL_REQUEST => cancel(body),
        _ if code >> 16 == 3 => startup(u16::try_from(code & 0xffff).unwrap_or(u16::MAX), body),
        _ => Err(Fault::fatal(
            Blame::Client,
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("unsupported frontend protocol {}.{}: server supports 3.0 to 3.2", code >> 16, code & 0xffff),
        )),
    }
}

fn cancel(mut body: &[u8]) -> Result<FirstPacket, Fault> {
    match take_i32(&mut body) {
        Some(pid) if (4..=MAX_CANCEL_KEY).contains(&body.len()) => {
            Ok(FirstPacket::Cancel(CancelKey { pid, secret: body.into() }))
        }
        _ => Err(violation("invalid length of cancel request packet")),
    }
}

fn startup(minor: u16, mut body: &[u8]) -> Result<FirstPacket, Fault> {
    let layout = || violation("invalid startup packet layout: expected terminator as last byte");
    let mut startup = Startup { minor, parameters: Vec::new(), protocol_options: Vec::new() };
    loop {
        let name = take_cstr(&mut body).ok_or_else(layout)?;
        if name.is_empty() {
            break;
        }
        let value = take_cstr(&mut body).ok_or_else(layout)?;
        if name.starts_with(b"_pq_.") {
            startup.protocol_options.push(name.to_vec());
        } else {
            startup.parameters.push((name.to_vec(), value.to_vec()));
        }
    }
    if body.is_empty() { Ok(FirstPacket::Startup(startup)) } else { Err(layout()) }
}

fn violation(message: &'static str) -> Fault {
    Fault::fatal(Blame::Client, SqlState::PROTOCOL_VIOLATION, message)
}
