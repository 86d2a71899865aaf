//! The secret of one user as `auth_file` (and `pg_authid.rolpassword`) writes it.
//! Does not know the file's format, only one secret's text. Source: PostgreSQL `src/backend/libpq/crypt.c`.

use super::challenge::Disguise;
use super::fields;
use super::keys::{BorrowedKeys, ClientKey, ScramKeys, ServerKey, StoredKey};
use super::md5::Md5Hash;
use crate::secret::Secret;
use std::fmt;
use std::num::NonZeroU32;
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

const SCRAM_PREFIX: &str = "SCRAM-SHA-256$";

/// Iterations for verifiers we make. Source: PostgreSQL `scram_iterations`.
pub const ITERATIONS_DEFAULT: NonZeroU32 = NonZeroU32::new(4096).expect("invariant: 4096 is not 0");

/// A secret by its kind.
#[derive(Clone)]
pub enum Stored {
    /// `SCRAM-SHA-256$…`: checks clients; cannot log in to a server by itself.
    Scram(Verifier),
    /// `md5` and 32 hexadecimal digits: can answer a server's md5 request.
    Md5(Md5Hash),
    /// Anything else: the password itself, good for everything, unless it is empty: then for nothing.
    Plain(Secret<String>),
}

/// What PostgreSQL keeps of a SCRAM password: enough to check one, not to be one.
#[derive(Clone)]
pub struct Verifier {
    pub(super) salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
    pub(super) stored_key: StoredKey,
    pub(super) server_key: ServerKey,
}

/// A secret that starts like a SCRAM verifier and is none. It is not taken for a plain password, as
/// PostgreSQL would: a damaged verifier would then silently become the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedVerifier;

impl Stored {
    /// Reads the secret's text.
    ///
    /// # Errors
    /// Starts with `SCRAM-SHA-256$` and does not go on as a verifier.
    pub fn parse(text: &str) -> Result<Self, MalformedVerifier> {
        if let Some(rest) = text.strip_prefix(SCRAM_PREFIX) {
            return Verifier::parse(rest).map(Self::Scram).ok_or(MalformedVerifier);
        }
        let hash = Md5Hash::parse(text).map(Self::Md5);
        Ok(hash.unwrap_or_else(|| Self::Plain(Secret::new(text.to_owned()))))
    }

    /// The number of iterations, of a verifier.
    pub fn iterations(&self) -> Option<NonZeroU32> {
        match self {
            Self::Scram(verifier) => Some(verifier.iterations),
            Self::Plain(_) | Self::Md5(_) => None,
        }
    }

    /// The verifier that checks clients by SCRAM, if this secret can: md5 and an empty password cannot.
    /// Costs a PBKDF2 if it is plain text (see [`super::Derivation::run`]): do it once, when the
    /// secret is loaded; a login that takes longer tells that the user exists. The salt is the
    /// disguise's, hence the same each time, as a stored verifier's would be.
    pub fn verifier(&self, user: &str, disguise: &Disguise) -> Option<Verifier> {
        match self {
            Self::Scram(verifier) => Some(verifier.clone()),
            Self::Plain(password) if !password.expose().is_empty() => {
                Some(Verifier::from_password(password.expose(), disguise.salt(user), disguise.iterations(user)))
            }
            Self::Plain(_) | Self::Md5(_) => None,
        }
    }
}

impl Verifier {
    /// Makes the verifier of a password; `salt` is 16 random bytes by custom. Cost: one PBKDF2, see
    /// [`super::Derivation::run`]; the caller chooses the thread.
    pub fn from_password(password: &str, salt: impl Into<Vec<u8>>, iterations: NonZeroU32) -> Self {
        let salt = salt.into();
        let keys = ScramKeys::derive(password, &salt, iterations);
        Self { salt, iterations, stored_key: keys.client.stored_key(), server_key: keys.server }
    }

    /// What a client has taught who showed the right key.
    pub(super) fn borrow(&self, client: ClientKey) -> BorrowedKeys {
        let keys = ScramKeys { client, server: self.server_key.clone() };
        BorrowedKeys { salt: self.salt.clone(), iterations: self.iterations, keys }
    }

    /// As `pg_authid.rolpassword` holds it. Still a secret: who has it can play the server, and try
    /// passwords offline.
    pub fn to_text(&self) -> Secret<String> {
        Secret::new(format!(
            "{SCRAM_PREFIX}{}:{}${}:{}",
            self.iterations,
            fields::encode(&self.salt),
            *Zeroizing::new(fields::encode(self.stored_key.bytes())),
            *Zeroizing::new(fields::encode(self.server_key.bytes())),
        ))
    }

    /// `<iterations>:<salt>$<StoredKey>:<ServerKey>`.
    fn parse(text: &str) -> Option<Self> {
        let (cost, keys) = text.split_once('$')?;
        let (iterations, salt) = cost.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        Some(Self {
            salt: fields::decode(salt.as_bytes())?,
            iterations: fields::iterations(iterations.as_bytes())?,
            stored_key: StoredKey::from_bytes(fields::decode_exactly(stored_key.as_bytes())?),
            server_key: ServerKey::from_bytes(fields::decode_exactly(server_key.as_bytes())?),
        })
    }
}

impl fmt::Display for MalformedVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed SCRAM verifier: expected SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>")
    }
}

impl std::error::Error for MalformedVerifier {}
