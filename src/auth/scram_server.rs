//! SCRAM-SHA-256 and its PLUS, server's role: a client proves its password to us.
//! One state per type, each consumed by the next step, so a message out of order cannot be handled at all:
//! `ScramServer` (awaits client-first) → `ExpectClientFinal` → `Authenticated`.
//! Sources: RFC 5802, RFC 7677, PostgreSQL `src/backend/libpq/auth-scram.c`.

use super::binding;
use super::challenge::Challenge;
use super::fields::{self, Fields};
use super::keys::{BorrowedKeys, Proof};
use super::{Authenticated, NONCE_BYTES, SCRAM_SHA_256, SCRAM_SHA_256_PLUS};
use crate::fault::{Blame, Fault, SqlState};

#[cfg(test)]
mod tests;

/// Longest message taken from a client, in bytes. Checked again here, whatever the caller let through.
/// Source: PostgreSQL `src/include/libpq/sasl.h`, `PG_MAX_SASL_MESSAGE_LENGTH`.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// Awaits client-first-message.
pub struct ScramServer {
    challenge: Challenge,
    nonce: String,
    /// Hash of our certificate; None: PLUS is not offered.
    end_point: Option<Vec<u8>>,
}

/// Awaits client-final-message.
pub struct ExpectClientFinal {
    challenge: Challenge,
    /// What `c=` must be.
    binding: String,
    /// Whether that names our certificate.
    bound: bool,
    /// Both halves.
    nonce: Vec<u8>,
    /// `client-first-message-bare,server-first-message,`: what both sides sign, but for its last part.
    signed: Vec<u8>,
}

/// Why a client was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Wrong password, unknown user, user without a usable secret: one answer for all.
    WrongPassword,
    /// The message breaks the protocol; the text says where.
    Malformed(&'static str),
    /// The message asks for something we do not have; the text says what.
    Unsupported(&'static str),
    /// It breaks the rules of SASL; the text says which.
    Violation(&'static str),
    /// It is not bound to this connection as it should be, so somebody may sit between: what is wrong, and how it shows.
    NotBound(&'static str, Option<&'static str>),
    /// A certificate was asked for and none was shown.
    NoCertificate,
    /// The certificate is not this user's, or there is no such user.
    OtherCertificate,
}

impl ScramServer {
    /// `nonce` is fresh randomness, for this exchange only. `end_point` is the hash of the certificate that the client
    /// has been shown; without one there is no channel binding.
    pub fn new(challenge: Challenge, nonce: &[u8; NONCE_BYTES], end_point: Option<&[u8]>) -> Self {
        Self { challenge, nonce: fields::encode(nonce), end_point: end_point.map(<[u8]>::to_vec) }
    }

    /// What to offer, the preferred one first.
    pub fn mechanisms(&self) -> &'static [&'static str] {
        match self.end_point {
            Some(_) => &[SCRAM_SHA_256_PLUS, SCRAM_SHA_256],
            None => &[SCRAM_SHA_256],
        }
    }

    /// Takes the mechanism that the client chose and its client-first-message; gives server-first-message to send.
    ///
    /// # Errors
    /// A mechanism that was not offered, a malformed message, channel binding that does not go with the mechanism, an
    /// authorization identity or an extension.
    pub fn client_first(self, mechanism: &[u8], message: &[u8]) -> Result<(ExpectClientFinal, Vec<u8>), Refused> {
        let channel = match (&self.end_point, mechanism) {
            (Some(hash), name) if name == SCRAM_SHA_256_PLUS.as_bytes() => Channel::Bound(hash),
            (Some(_), name) if name == SCRAM_SHA_256.as_bytes() => Channel::Offered,
            (None, name) if name == SCRAM_SHA_256.as_bytes() => Channel::None,
            _ => return Err(Refused::Violation("client selected an invalid SASL authentication mechanism")),
        };
        let first = ClientFirst::parse(message, &channel)?;
        let bound = matches!(channel, Channel::Bound(_));
        let nonce = [first.nonce, self.nonce.as_bytes()].concat();
        let verifier = &self.challenge.verifier;
        let cost = format!(",s={},i={}", fields::encode(&verifier.salt), verifier.iterations);
        let server_first = [b"r=", nonce.as_slice(), cost.as_bytes()].concat();
        let signed = [first.bare, b",", server_first.as_slice(), b","].concat();
        let expect = ExpectClientFinal { binding: first.binding, bound, nonce, signed, challenge: self.challenge };
        Ok((expect, server_first))
    }
}

impl ExpectClientFinal {
    /// Takes client-final-message; gives server-final-message to send, the proof of identity, and the
    /// keys that log in to servers with the same verifier.
    ///
    /// # Errors
    /// Malformed, of another exchange, or the proof is not the password's.
    pub fn client_final(self, message: &[u8]) -> Result<(Vec<u8>, Authenticated, BorrowedKeys), Refused> {
        let last = ClientFinal::parse(message)?;
        if last.binding != self.binding.as_bytes() {
            return Err(match self.bound {
                true => Refused::NotBound("SCRAM channel binding check failed", None),
                false => Refused::Malformed("Unexpected channel-binding attribute in client-final-message."),
            });
        }
        if last.nonce != self.nonce {
            return Err(Refused::Malformed("Nonce does not match."));
        }
        let auth_message = [self.signed.as_slice(), last.without_proof].concat();
        let verifier = &self.challenge.verifier;
        let client_key = verifier.stored_key.claimed_key(&last.proof, &auth_message);
        let proved = verifier.stored_key.is_of(&client_key);
        // `&`, not `&&`: nothing may depend on which of the two failed.
        if !(proved & self.challenge.real) {
            return Err(Refused::WrongPassword);
        }
        let signature = fields::encode(&verifier.server_key.signature(&auth_message));
        let server_final = format!("v={signature}").into_bytes();
        Ok((server_final, Authenticated { user: self.challenge.user }, verifier.borrow(client_key)))
    }
}

impl Refused {
    /// As the client hears it, in PostgreSQL's words. Always FATAL.
    pub fn into_fault(self, user: &str) -> Fault {
        let fatal = |sqlstate, message| Fault::fatal(Blame::Client, sqlstate, message);
        match self {
            Self::WrongPassword => {
                let message = format!("password authentication failed for user \"{user}\"");
                Fault::fatal(Blame::Client, SqlState::INVALID_PASSWORD, message)
            }
            Self::Malformed(detail) => {
                fatal(SqlState::PROTOCOL_VIOLATION, "malformed SCRAM message").with_detail(detail)
            }
            Self::Unsupported(message) => fatal(SqlState::FEATURE_NOT_SUPPORTED, message),
            Self::NoCertificate => {
                fatal(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, "connection requires a valid client certificate")
            }
            Self::OtherCertificate => Fault::fatal(
                Blame::Client,
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                format!("certificate authentication failed for user \"{user}\""),
            ),
            Self::Violation(message) => fatal(SqlState::PROTOCOL_VIOLATION, message),
            Self::NotBound(message, detail) => {
                let fault = fatal(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message);
                detail.into_iter().fold(fault, Fault::with_detail)
            }
        }
    }
}

/// What the mechanism that was chosen means for channel binding.
enum Channel<'a> {
    /// SCRAM-SHA-256-PLUS, with the hash of our certificate.
    Bound(&'a [u8]),
    /// SCRAM-SHA-256, although PLUS was offered.
    Offered,
    /// SCRAM-SHA-256, and nothing else was offered.
    None,
}

struct ClientFirst<'a> {
    /// What `c=` must be in the client's next message.
    binding: String,
    bare: &'a [u8],
    nonce: &'a [u8],
}

impl<'a> ClientFirst<'a> {
    /// `gs2-header n=<ignored>,r=<nonce>[,extensions]`. The name is the startup packet's; libpq sends
    /// an empty one here, others `*`.
    fn parse(message: &'a [u8], channel: &Channel<'_>) -> Result<Self, Refused> {
        check_size(message)?;
        let (binding, bare) = gs2_header(message, channel)?;
        if bare.first() == Some(&b'm') {
            return Err(Refused::Unsupported("client requires an unsupported SCRAM extension"));
        }
        let mut fields = Fields::of(bare);
        fields.expect(b'n').ok_or(Refused::Malformed("Expected a user name in client-first-message."))?;
        let nonce = fields.expect(b'r').ok_or(Refused::Malformed("Expected a nonce in client-first-message."))?;
        if !fields::is_nonce(nonce) {
            return Err(Refused::Malformed("The nonce is empty or not printable."));
        }
        if !fields.only_extensions_left() {
            return Err(Refused::Malformed("Unexpected attribute in client-first-message."));
        }
        Ok(Self { binding, bare, nonce })
    }
}

/// Splits the header off and says what `c=` must be. `n` is "I cannot bind", `y` "I could, and you do not offer it": if we
/// do, somebody has taken the offer away. PostgreSQL's `read_client_first_message` decides all cases in this way.
fn gs2_header<'a>(message: &'a [u8], channel: &Channel<'_>) -> Result<(String, &'a [u8]), Refused> {
    let comma = message.iter().position(|byte| *byte == b',').unwrap_or(message.len());
    let (flag, rest) = message.split_at(comma);
    let hash: &[u8] = match (flag, channel) {
        (b"n" | b"y", Channel::Bound(_)) => {
            return Err(Refused::Malformed(
                "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.",
            ));
        }
        (b"y", Channel::Offered) => {
            return Err(Refused::NotBound(
                "SCRAM channel binding negotiation error",
                Some(
                    "The client supports SCRAM channel binding but thinks the server does not. However, this server does support channel binding.",
                ),
            ));
        }
        (b"n" | b"y", _) => b"",
        (binding::TYPE, Channel::Bound(hash)) => hash,
        ([b'p', ..], Channel::Bound(_)) => {
            return Err(Refused::Violation("unsupported SCRAM channel-binding type"));
        }
        ([b'p', ..], _) => {
            return Err(Refused::Malformed(
                "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.",
            ));
        }
        _ => return Err(Refused::Malformed("Unexpected channel-binding flag.")),
    };
    match rest {
        [b',', b',', bare @ ..] => {
            let header = &message[..message.len() - bare.len()];
            Ok((binding::attribute(header, hash), bare))
        }
        [b',', b'a', ..] => Err(Refused::Unsupported("client uses authorization identity, but it is not supported")),
        _ => Err(Refused::Malformed("Unexpected attribute in client-first-message.")),
    }
}

struct ClientFinal<'a> {
    without_proof: &'a [u8],
    binding: &'a [u8],
    nonce: &'a [u8],
    proof: Proof,
}

impl<'a> ClientFinal<'a> {
    /// `c=<binding>,r=<nonce>[,extensions],p=<proof>`.
    fn parse(message: &'a [u8]) -> Result<Self, Refused> {
        const PROOF: &[u8] = b",p=";
        check_size(message)?;
        let malformed = Refused::Malformed("Unexpected attribute in client-final-message.");
        // No value contains a comma, so the first ",p=" is the attribute, and the proof is the rest.
        let at = message.windows(PROOF.len()).position(|window| window == PROOF);
        let (without_proof, rest) = at.and_then(|at| message.split_at_checked(at)).ok_or(malformed)?;
        let proof = rest.strip_prefix(PROOF).and_then(fields::decode_exactly);
        let proof = proof.ok_or(Refused::Malformed("Malformed proof in client-final-message."))?;
        let mut fields = Fields::of(without_proof);
        let binding = fields.expect(b'c').ok_or(malformed)?;
        let nonce = fields.expect(b'r').ok_or(malformed)?;
        if !fields.only_extensions_left() {
            return Err(malformed);
        }
        Ok(Self { without_proof, binding, nonce, proof })
    }
}

fn check_size(message: &[u8]) -> Result<(), Refused> {
    match message.len() {
        0 => Err(Refused::Malformed("The message is empty.")),
        1..=MESSAGE_BYTES_MAX => Ok(()),
        _ => Err(Refused::Malformed("The message is too long.")),
    }
}
