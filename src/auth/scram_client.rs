//! SCRAM-SHA-256 and its PLUS, client's role: we prove a password to PostgreSQL, and it proves that it knows us.
//! One state per type: `ScramClient` (awaits server-first) → `NeedsKey` (awaits PBKDF2, wherever that runs)
//! → `ExpectServerFinal`. The password never enters: a key from a cache or from a client's own login does as
//! well. Sources: RFC 5802, RFC 7677, PostgreSQL `src/interfaces/libpq/fe-auth-scram.c`.

use super::NONCE_BYTES;
use super::binding::Binding;
use super::fields::{self, Fields};
use super::keys::{KEY_BYTES, ScramKeys, ServerKey};
use crate::fault::{Blame, Fault, SqlState};
use std::fmt;
use std::num::NonZeroU32;

#[cfg(test)]
mod tests;

/// Longest message taken from a server, in bytes. Checked before anything is read or copied, so a 1 MB nonce
/// costs a comparison. Source: libpq takes no longer authentication request (`fe-connect.c`).
pub const MESSAGE_BYTES_MAX: usize = 2000;

/// Most iterations done at a server's demand. The server chooses the number and we do the work: unbounded,
/// one bad server (or whoever answers in its place) could keep a PBKDF2 thread busy for minutes per login
/// with 2^31. A million is 250 times PostgreSQL's default, and costs about 0.2 s.
pub const ITERATIONS_MAX: u32 = 1_000_000;

/// Awaits server-first-message.
pub struct ScramClient {
    nonce: String,
    binding: Binding,
}

/// Awaits the key; says what it must be derived with.
pub struct NeedsKey {
    salt: Vec<u8>,
    iterations: NonZeroU32,
    without_proof: String,
    auth_message: Vec<u8>,
}

/// Awaits server-final-message.
pub struct ExpectServerFinal {
    server_key: ServerKey,
    auth_message: Vec<u8>,
}

/// Why a server was not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untrusted {
    /// Breaks the protocol; the text says where.
    Malformed(&'static str),
    /// The nonce is not ours continued: an answer to another exchange.
    NonceMismatch,
    /// Demands more than [`ITERATIONS_MAX`].
    TooManyIterations(NonZeroU32),
    /// Said `e=…`; the text is cut to 64 printable characters.
    Rejected(String),
    /// Does not know the verifier: not the server that the password belongs to.
    WrongSignature,
}

impl ScramClient {
    /// `nonce` is fresh randomness, for this exchange only.
    pub fn new(nonce: &[u8; NONCE_BYTES], binding: Binding) -> Self {
        Self { nonce: fields::encode(nonce), binding }
    }

    /// client-first-message, to send. The name is empty, as libpq's: PostgreSQL takes the startup packet's.
    pub fn client_first(&self) -> Vec<u8> {
        format!("{}{}", self.binding.header(), self.first_bare()).into_bytes()
    }

    /// Takes server-first-message.
    ///
    /// # Errors
    /// Malformed, too long, not an answer to our nonce, or too many iterations.
    pub fn server_first(self, message: &[u8]) -> Result<NeedsKey, Untrusted> {
        let malformed = Untrusted::Malformed("unexpected attribute in server-first-message");
        check_size(message)?;
        let mut fields = Fields::of(message);
        let nonce = fields.expect(b'r').ok_or(malformed.clone())?;
        let salt = fields.expect(b's').ok_or(malformed.clone())?;
        let iterations = fields.expect(b'i').ok_or(malformed)?;
        if !fields.only_extensions_left() {
            return Err(Untrusted::Malformed("garbage at the end of server-first-message"));
        }
        let nonce = self.continued(nonce).ok_or(Untrusted::NonceMismatch)?;
        let salt = fields::decode(salt).ok_or(Untrusted::Malformed("malformed salt in server-first-message"))?;
        let iterations = fields::iterations(iterations)
            .ok_or(Untrusted::Malformed("malformed iteration count in server-first-message"))?;
        if iterations.get() > ITERATIONS_MAX {
            return Err(Untrusted::TooManyIterations(iterations));
        }
        let without_proof = format!("c={},r={nonce}", self.binding.attribute());
        let bare = self.first_bare();
        let auth_message = [bare.as_bytes(), b",", message, b",", without_proof.as_bytes()].concat();
        Ok(NeedsKey { salt, iterations, without_proof, auth_message })
    }

    fn first_bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// The server's nonce, if it is ours with something printable of its own behind it.
    fn continued<'a>(&self, nonce: &'a [u8]) -> Option<&'a str> {
        let own = nonce.strip_prefix(self.nonce.as_bytes())?;
        std::str::from_utf8(nonce).ok().filter(|_| fields::is_nonce(own))
    }
}

impl NeedsKey {
    /// What the keys must be derived with.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// The same; at most [`ITERATIONS_MAX`].
    pub fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }

    /// Takes the keys; gives client-final-message to send.
    pub fn with_keys(self, keys: &ScramKeys) -> (ExpectServerFinal, Vec<u8>) {
        let client_final = self.client_final(&keys.client.proof(&self.auth_message));
        (ExpectServerFinal { server_key: keys.server.clone(), auth_message: self.auth_message }, client_final)
    }

    /// For who has no keys that fit, and wants to hear the server's own refusal: client-final-message with a proof of
    /// nothing. `random` is fresh.
    pub fn without_keys(self, random: &[u8; KEY_BYTES]) -> Vec<u8> {
        self.client_final(random)
    }

    fn client_final(&self, proof: &[u8; KEY_BYTES]) -> Vec<u8> {
        format!("{},p={}", self.without_proof, fields::encode(proof)).into_bytes()
    }
}

impl ExpectServerFinal {
    /// Takes server-final-message. AuthenticationOk is to be believed only behind this.
    ///
    /// # Errors
    /// Malformed, an error, or a signature that only the wrong server would make.
    pub fn server_final(self, message: &[u8]) -> Result<(), Untrusted> {
        check_size(message)?;
        if let Some(reason) = Fields::of(message).expect(b'e') {
            return Err(Untrusted::Rejected(printable(reason)));
        }
        let mut fields = Fields::of(message);
        let signature: [u8; KEY_BYTES] = fields
            .expect(b'v')
            .and_then(fields::decode_exactly)
            .ok_or(Untrusted::Malformed("malformed signature in server-final-message"))?;
        if !fields.only_extensions_left() {
            return Err(Untrusted::Malformed("garbage at the end of server-final-message"));
        }
        let signed = self.server_key.signed(&self.auth_message, &signature);
        signed.then_some(()).ok_or(Untrusted::WrongSignature)
    }
}

fn check_size(message: &[u8]) -> Result<(), Untrusted> {
    let fits = message.len() <= MESSAGE_BYTES_MAX;
    fits.then_some(()).ok_or(Untrusted::Malformed("message too long"))
}

fn printable(text: &[u8]) -> String {
    text.iter().filter(|byte| byte.is_ascii_graphic()).take(64).map(|byte| char::from(*byte)).collect()
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(place) => f.write_str(place),
            Self::NonceMismatch => f.write_str("nonce does not match"),
            Self::TooManyIterations(n) => write!(f, "{n} iterations demanded, at most {ITERATIONS_MAX} are done"),
            Self::Rejected(reason) => write!(f, "server answered {reason}"),
            Self::WrongSignature => f.write_str("server signature is wrong"),
        }
    }
}

impl std::error::Error for Untrusted {}

impl From<Untrusted> for Fault {
    fn from(untrusted: Untrusted) -> Self {
        Self::fatal(Blame::Server, SqlState::CONNECTION_FAILURE, "SCRAM exchange with the server failed")
            .with_detail(untrusted.to_string())
    }
}
