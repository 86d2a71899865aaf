//! What a client is measured against, real or invented: a user that does not exist gets a challenge too,
//! so that nobody can list users by trying names. After this file the two are one type.

use super::keys::{ServerKey, StoredKey, mac};
use super::md5::Md5Hash;
use super::verifier::Verifier;
use crate::secret::Secret;
use std::num::NonZeroU32;

/// Bytes of salt that PostgreSQL gives its verifiers (`SCRAM_DEFAULT_SALT_LEN`), so ours look alike.
const SALT_BYTES: usize = 16;

/// Invents salts and verifiers from a key of this process: the same ones for the same name each time, as a
/// real user's would be.
pub struct Disguise {
    key: Secret<[u8; 32]>,
    iterations: NonZeroU32,
}

/// One user's verifier, or an invention that nothing can pass.
pub struct Challenge {
    pub(super) user: String,
    pub(super) verifier: Verifier,
    /// Whether a right proof counts. Kept apart from the verifier as PostgreSQL's `doomed` is, so that
    /// not even a forged proof logs a user in who does not exist.
    pub(super) real: bool,
}

impl Disguise {
    /// `key` is random and lives as long as the process. `iterations` should be what real users' verifiers
    /// have (default [`super::verifier::ITERATIONS_DEFAULT`]), or the number gives the invention away.
    pub fn new(key: [u8; 32], iterations: NonZeroU32) -> Self {
        Self { key: Secret::new(key), iterations }
    }

    /// The salt for a name.
    pub(super) fn salt(&self, user: &str) -> [u8; SALT_BYTES] {
        let bytes = self.derive(b"salt", user);
        *bytes.first_chunk().expect("invariant: SHA-256 is longer than a salt")
    }

    pub(super) fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }

    /// The hash for a name.
    pub(super) fn hash(&self, user: &str) -> Md5Hash {
        Md5Hash::invented(&self.derive(b"md5", user))
    }

    /// Whether a user that is unknown is asked as `part` of `whole` known ones are: the same answer for the same name
    /// each time.
    pub(super) fn is_among(&self, part: usize, whole: usize, user: &str) -> bool {
        let bytes = self.derive(b"kind", user);
        let share = u32::from_be_bytes(*bytes.first_chunk().expect("invariant: SHA-256 is longer than 4 bytes"));
        // Counts of users are far below 2^64.
        u128::from(share) * (whole as u128) < (part as u128) << 32
    }

    fn verifier(&self, user: &str) -> Verifier {
        Verifier {
            salt: self.salt(user).into(),
            iterations: self.iterations,
            stored_key: StoredKey::from_bytes(self.derive(b"stored", user)),
            server_key: ServerKey::from_bytes(self.derive(b"server", user)),
        }
    }

    fn derive(&self, purpose: &[u8], user: &str) -> [u8; 32] {
        mac(self.key.expose(), &[purpose, b"\0", user.as_bytes()].concat())
    }
}

impl Challenge {
    /// `verifier` is None for a user that is unknown, or known without a secret that SCRAM can check. The
    /// disguise is made in either case, so that both take the same time.
    pub fn new(user: &str, verifier: Option<&Verifier>, disguise: &Disguise) -> Self {
        let mock = disguise.verifier(user);
        let real = verifier.is_some();
        Self { user: user.to_owned(), verifier: verifier.cloned().unwrap_or(mock), real }
    }
}
