//! A password in clear, from a client. Whatever is stored for the user, and whether there is such a user, costs the same:
//! one PBKDF2 and one MD5.

use super::challenge::Challenge;
use super::keys::{BorrowedKeys, Derivation, ScramKeys};
use super::md5::Md5Hash;
use super::{Authenticated, Refused};
use crate::secret::Secret;

/// What a password in clear is measured against, real or invented.
pub struct PasswordChallenge {
    pub(super) scram: Challenge,
    pub(super) hash: Md5Hash,
    /// Whether the hash counts: it is all that is stored.
    pub(super) hash_is_real: bool,
}

impl PasswordChallenge {
    /// What must be done before [`Self::check`], where it holds nobody up.
    pub fn derivation(&self, password: Secret<String>) -> Derivation {
        Derivation::new(password, &self.scram.verifier.salt, self.scram.verifier.iterations)
    }

    /// `keys` are what [`Self::derivation`] came to. The keys that come back log in to servers with the same verifier;
    /// None where no verifier is stored.
    ///
    /// # Errors
    /// Not the password.
    pub fn check(self, password: &str, keys: ScramKeys) -> Result<(Authenticated, Option<BorrowedKeys>), Refused> {
        let Challenge { user, verifier, real } = self.scram;
        // `&` and `|`: nothing may depend on which of them failed.
        let by_keys = real & verifier.stored_key.is_of(&keys.client);
        let by_hash = self.hash_is_real & self.hash.is_of(&user, password);
        if !(by_keys | by_hash) {
            return Err(Refused::WrongPassword);
        }
        Ok((Authenticated { user }, by_keys.then(|| verifier.borrow(keys.client))))
    }
}
