//! Messages that travel from a server to a client: the few PgOtter reads, and the ones it writes itself.

use super::frame::{take_cstr, take_i32};
use super::frontend::{message, put_cstr};
use crate::fault::{Fault, Severity};
use bytes::{BufMut, BytesMut};

/// Type bytes of backend messages.
pub mod kind {
    #![allow(missing_docs, reason = "the names are the protocol's own")]
    pub const AUTHENTICATION: u8 = b'R';
    pub const BACKEND_KEY_DATA: u8 = b'K';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const READY_FOR_QUERY: u8 = b'Z';
    pub const ERROR_RESPONSE: u8 = b'E';
    pub const NOTICE_RESPONSE: u8 = b'N';
    pub const NOTIFICATION_RESPONSE: u8 = b'A';
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    pub const PARSE_COMPLETE: u8 = b'1';
    pub const BIND_COMPLETE: u8 = b'2';
    pub const CLOSE_COMPLETE: u8 = b'3';
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    pub const ROW_DESCRIPTION: u8 = b'T';
    pub const NO_DATA: u8 = b'n';
    pub const DATA_ROW: u8 = b'D';
    pub const COMMAND_COMPLETE: u8 = b'C';
    pub const EMPTY_QUERY: u8 = b'I';
    pub const PORTAL_SUSPENDED: u8 = b's';
    pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
    pub const COPY_IN_RESPONSE: u8 = b'G';
    pub const COPY_OUT_RESPONSE: u8 = b'H';
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
}

/// Transaction status in ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `I`: no transaction.
    Idle,
    /// `T`: inside a block.
    InTransaction,
    /// `E`: inside a failed block.
    Failed,
}

impl Status {
    /// The status byte of a ReadyForQuery body; `None` for anything else.
    pub fn read(body: &[u8]) -> Option<Self> {
        match body {
            b"I" => Some(Self::Idle),
            b"T" => Some(Self::InTransaction),
            b"E" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// What a server asks for in an Authentication message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// Logged in.
    Ok,
    /// Password in clear.
    Cleartext,
    /// MD5 with this salt.
    Md5([u8; 4]),
    /// SASL: the mechanisms, each zero-terminated.
    Sasl(&'a [u8]),
    /// SASL, going on.
    SaslContinue(&'a [u8]),
    /// SASL, done.
    SaslFinal(&'a [u8]),
    /// Something PgOtter does not speak (GSS, SSPI, …), with its number.
    Unknown(i32),
}

impl<'a> Authentication<'a> {
    /// Reads the body; `None` when it is malformed.
    pub fn read(mut body: &'a [u8]) -> Option<Self> {
        Some(match take_i32(&mut body)? {
            0 if body.is_empty() => Self::Ok,
            3 if body.is_empty() => Self::Cleartext,
            5 => Self::Md5(body.try_into().ok()?),
            10 => Self::Sasl(body),
            11 => Self::SaslContinue(body),
            12 => Self::SaslFinal(body),
            other => Self::Unknown(other),
        })
    }
}

/// A ParameterStatus body as (name, value); `None` when it is malformed.
pub fn parameter_status(mut body: &[u8]) -> Option<(&[u8], &[u8])> {
    let name = take_cstr(&mut body)?;
    let value = take_cstr(&mut body)?;
    body.is_empty().then_some((name, value))
}

/// The fields of a DataRow body; NULL is empty. `None` when it is malformed.
pub fn row_fields(body: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut body) = body.split_first_chunk::<2>()?;
    let mut fields = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let length = take_i32(&mut body)?;
        // -1 is NULL.
        let (field, rest) = body.split_at_checked(usize::try_from(length).unwrap_or(0))?;
        body = rest;
        fields.push(field);
    }
    Some(fields)
}

/// One field of an ErrorResponse or NoticeResponse body, by its letter. A missing field is `None`; a field without a
/// terminator ends the search.
pub fn error_field(mut body: &[u8], letter: u8) -> Option<&[u8]> {
    loop {
        let (&field, rest) = body.split_first()?;
        if field == 0 {
            return None;
        }
        body = rest;
        let value = take_cstr(&mut body)?;
        if field == letter {
            return Some(value);
        }
    }
}

/// Whether an ErrorResponse says that the connection ends (FATAL or PANIC). Field `V` is never translated; servers
/// before 9.6 lack it, and then `S` is read.
pub fn is_fatal(body: &[u8]) -> bool {
    matches!(error_field(body, b'V').or_else(|| error_field(body, b'S')), Some(b"FATAL" | b"PANIC"))
}

/// Whether a NoticeResponse of a server with nothing to do announces the end of the connection: 57P01 when it is shut down
/// at once, 57P02 when another process has crashed. Source: PostgreSQL `quickdie` in `src/backend/tcop/postgres.c`.
pub fn is_goodbye(body: &[u8]) -> bool {
    error_field(body, b'C').is_some_and(|code| code.starts_with(b"57P"))
}

/// The one place that turns a [`Fault`] into bytes.
pub fn error_response(out: &mut BytesMut, fault: &Fault) {
    let severity: &[u8] = match fault.severity {
        Severity::Error => b"ERROR",
        Severity::Fatal => b"FATAL",
    };
    report(out, kind::ERROR_RESPONSE, severity, fault);
}

/// The same words as a NOTICE: nothing failed.
pub fn notice(out: &mut BytesMut, fault: &Fault) {
    report(out, kind::NOTICE_RESPONSE, b"NOTICE", fault);
}

/// The same words as a WARNING: nothing failed, and something may be wrong.
pub fn warning(out: &mut BytesMut, fault: &Fault) {
    report(out, kind::NOTICE_RESPONSE, b"WARNING", fault);
}

fn report(out: &mut BytesMut, kind: u8, severity: &[u8], fault: &Fault) {
    message(out, kind, |out| {
        let mut field = |letter: u8, text: &[u8]| {
            out.put_u8(letter);
            put_cstr(out, text);
        };
        field(b'S', severity);
        field(b'V', severity);
        field(b'C', fault.sqlstate.0.as_bytes());
        field(b'M', fault.message.as_bytes());
        if let Some(detail) = &fault.detail {
            field(b'D', detail.as_bytes());
        }
        if let Some(hint) = &fault.hint {
            field(b'H', hint.as_bytes());
        }
        out.put_u8(0);
    });
}

/// An ErrorResponse of this body, with a HINT in place of its own.
pub fn with_hint(mut body: &[u8], hint: &str) -> BytesMut {
    let mut out = BytesMut::new();
    message(&mut out, kind::ERROR_RESPONSE, |out| {
        while let Some((&field, rest)) = body.split_first().filter(|(field, _)| **field != 0) {
            body = rest;
            let Some(value) = take_cstr(&mut body) else { break };
            if field != b'H' {
                out.put_u8(field);
                put_cstr(out, value);
            }
        }
        out.put_u8(b'H');
        put_cstr(out, hint.as_bytes());
        out.put_u8(0);
    });
    out
}

/// AuthenticationOk.
pub fn authentication_ok(out: &mut BytesMut) {
    authentication(out, 0, b"");
}

/// AuthenticationCleartextPassword.
pub fn authentication_cleartext(out: &mut BytesMut) {
    authentication(out, 3, b"");
}

/// AuthenticationMD5Password.
pub fn authentication_md5(out: &mut BytesMut, salt: [u8; 4]) {
    authentication(out, 5, &salt);
}

/// AuthenticationSASL offering these mechanisms, the preferred one first.
pub fn authentication_sasl(out: &mut BytesMut, mechanisms: &[&str]) {
    message(out, kind::AUTHENTICATION, |out| {
        out.put_i32(10);
        mechanisms.iter().for_each(|mechanism| put_cstr(out, mechanism.as_bytes()));
        out.put_u8(0);
    });
}

/// AuthenticationSASLContinue.
pub fn authentication_sasl_continue(out: &mut BytesMut, data: &[u8]) {
    authentication(out, 11, data);
}

/// AuthenticationSASLFinal.
pub fn authentication_sasl_final(out: &mut BytesMut, data: &[u8]) {
    authentication(out, 12, data);
}

fn authentication(out: &mut BytesMut, code: i32, data: &[u8]) {
    message(out, kind::AUTHENTICATION, |out| {
        out.put_i32(code);
        out.put_slice(data);
    });
}

/// ParameterStatus.
pub fn put_parameter_status(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    message(out, kind::PARAMETER_STATUS, |out| {
        put_cstr(out, name);
        put_cstr(out, value);
    });
}

/// BackendKeyData: 4 bytes of secret in protocol 3.0, up to 256 in 3.2.
pub fn backend_key_data(out: &mut BytesMut, pid: i32, secret: &[u8]) {
    message(out, kind::BACKEND_KEY_DATA, |out| {
        out.put_i32(pid);
        out.put_slice(secret);
    });
}

/// ReadyForQuery.
pub fn ready_for_query(out: &mut BytesMut, status: Status) {
    let byte = match status {
        Status::Idle => b'I',
        Status::InTransaction => b'T',
        Status::Failed => b'E',
    };
    message(out, kind::READY_FOR_QUERY, |out| out.put_u8(byte));
}

/// CommandComplete.
pub fn command_complete(out: &mut BytesMut, tag: &[u8]) {
    message(out, kind::COMMAND_COMPLETE, |out| put_cstr(out, tag));
}

/// A message without a body, such as ParseComplete.
pub fn empty(out: &mut BytesMut, kind: u8) {
    message(out, kind, |_| ());
}

/// NegotiateProtocolVersion: the newest version spoken, and the `_pq_.` options that were not understood.
pub fn negotiate_protocol_version<'a>(
    out: &mut BytesMut,
    version: i32,
    unknown: impl ExactSizeIterator<Item = &'a [u8]>,
) {
    message(out, kind::NEGOTIATE_PROTOCOL_VERSION, |out| {
        out.put_i32(version);
        out.put_i32(i32::try_from(unknown.len()).expect("invariant: a startup packet holds at most 10,000 bytes"));
        for name in unknown {
            put_cstr(out, name);
        }
    });
}
