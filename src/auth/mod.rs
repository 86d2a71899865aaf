//! Who is it? Proof of identity, both ways: clients prove theirs to us, we prove ours to PostgreSQL.
//! Pure: no sockets, no clock; randomness (nonces, salts, the disguise key) is passed in.
//!
//! Deliberately does not know: where secrets come from (`config`), which message carries the bytes
//! (`wire`), which thread computes PBKDF2 (`Derivation::run` and `Verifier::from_password` take
//! milliseconds: never on a worker). Start at [`users`] for clients, [`scram_client`] for servers.

pub mod binding;
pub mod certificate;
pub mod challenge;
mod fields;
pub mod keys;
pub mod md5;
pub mod password;
pub mod scram_client;
pub mod scram_server;
pub mod throttle;
pub mod users;
pub mod verifier;

#[cfg(test)]
mod tests;

pub use binding::Binding;
pub use certificate::certificate;
pub use challenge::{Challenge, Disguise};
pub use keys::{BorrowedKeys, ClientKey, Derivation, KEY_BYTES, ScramKeys, ServerKey, StoredKey};
pub use md5::{Md5Challenge, Md5Hash, md5_password};
pub use password::PasswordChallenge;
pub use scram_client::{ScramClient, Untrusted};
pub use scram_server::{Refused, ScramServer};
pub use throttle::{Pace, Throttle};
pub use users::{Asks, Users};
pub use verifier::{MalformedVerifier, Stored, Verifier};

/// Random bytes of our half of a nonce; 24 characters once encoded.
/// Source: PostgreSQL `src/include/common/scram-common.h`, `SCRAM_RAW_NONCE_LEN`.
pub const NONCE_BYTES: usize = 18;

/// A mechanism, as in AuthenticationSASL and SASLInitialResponse.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";

/// The same, bound to the TLS connection.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Proof that a client is the user it says it is. Only this room can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticated {
    user: String,
}

impl Authenticated {
    /// The user whose identity was proved: the startup packet's name, never one from the exchange.
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// `auth_type = "trust"`: the operator decided that the name alone is proof enough.
pub fn trust(user: &str) -> Authenticated {
    Authenticated { user: user.to_owned() }
}
