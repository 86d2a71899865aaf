//! What a client is measured against, real or invented: a user that does not exist gets a challenge too,
//! so that nobody can list users by trying names. After this file the two are one type.

use super::keys::{ServerKey, StoredKey, mac};
use super::md5::Md5Hash;
use super::verifier::{ITERATIONS_DEFAULT, Verifier};
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// Bytes of salt that PostgreSQL gives its verifiers (`SCRAM_DEFAULT_SALT_LEN`), so ours look alike.
const SALT_BYTES: usize = 16;

/// Invents salts and verifiers from a key: the same ones for the same name each time, as a
/// real user's would be.
pub struct Disguise {
    key: Secret<[u8; 32]>,
    // How many users' verifiers have each number.
    iterations: BTreeMap<NonZeroU32, usize>,
    // Users without a verifier, and with one.
    kinds: [usize; 2],
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
    /// `key` is nobody's to guess, and the longer it stays the same the better. `users` are the numbers of iterations that their verifiers have, None
    /// for one without: any other number would give the invention away, and one that is never invented a real user.
    pub fn new(key: [u8; 32], users: impl Iterator<Item = Option<NonZeroU32>>) -> Self {
        let (mut iterations, mut kinds) = (BTreeMap::new(), [0; 2]);
        for number in users {
            kinds[usize::from(number.is_some())] += 1;
            number.into_iter().for_each(|number| *iterations.entry(number).or_default() += 1);
        }
        Self { key: Secret::new(key), iterations, kinds }
    }

    /// What a secret makes of the names: the same in each process that has it and users with these numbers, however many have each, and
    /// no name is given another answer when others come and go.
    pub fn of_secret(secret: &str, users: impl Iterator<Item = Option<NonZeroU32>>) -> Self {
        let mut same = Self::new(mac(secret.as_bytes(), b"pgotter mock authentication"), users);
        same.iterations.values_mut().for_each(|users| *users = 1);
        same.kinds = same.kinds.map(|users| users.min(1));
        same
    }

    /// For other users. As long as they have the same numbers, however many have each, no name is given another one: real
    /// users are not either when others come and go.
    pub fn renewed(&self, users: impl Iterator<Item = Option<NonZeroU32>>) -> Self {
        let mut other = Self::new(*self.key.expose(), users);
        if other.iterations.keys().eq(self.iterations.keys()) {
            other.iterations.clone_from(&self.iterations);
        }
        if other.kinds.map(|users| users > 0) == self.kinds.map(|users| users > 0) {
            other.kinds = self.kinds;
        }
        other
    }

    /// The salt for a name. Another one with another number of iterations, as a real user's password would have been set anew.
    pub(super) fn salt(&self, user: &str) -> [u8; SALT_BYTES] {
        let purpose = [b"salt".as_slice(), &self.iterations(user).get().to_be_bytes()].concat();
        let bytes = self.derive(&purpose, user);
        *bytes.first_chunk().expect("invariant: SHA-256 is longer than a salt")
    }

    /// The number of iterations for a name: of so many names as users have it; PostgreSQL's default where none has one.
    pub(super) fn iterations(&self, user: &str) -> NonZeroU32 {
        let mut place = self.place(b"iterations", self.iterations.values().sum(), user);
        for (number, users) in &self.iterations {
            match place.checked_sub(*users) {
                Some(behind) => place = behind,
                None => return *number,
            }
        }
        ITERATIONS_DEFAULT
    }

    /// The hash for a name.
    pub(super) fn hash(&self, user: &str) -> Md5Hash {
        Md5Hash::invented(&self.derive(b"md5", user))
    }

    /// Whether a name is asked for SCRAM as a user with a verifier is, where others are asked otherwise: so many names as users
    /// have one.
    pub(super) fn has_verifier(&self, user: &str) -> bool {
        let [without, with] = self.kinds;
        self.place(b"kind", without + with, user) < with
    }

    /// The place of a name among so many.
    fn place(&self, purpose: &[u8], whole: usize, user: &str) -> usize {
        let bytes = self.derive(purpose, user);
        let share = u32::from_be_bytes(*bytes.first_chunk().expect("invariant: SHA-256 is longer than 4 bytes"));
        // Below `whole`, so it fits.
        ((u128::from(share) * whole as u128) >> 32) as usize
    }

    fn verifier(&self, user: &str) -> Verifier {
        Verifier {
            salt: self.salt(user).into(),
            iterations: self.iterations(user),
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
