//! PostgreSQL's md5 passwords, on both sides: for servers that still ask for them, and for clients whose operator still
//! has such hashes. MD5 is broken; this is here for them alone. Source: PostgreSQL `src/common/md5_common.c`.

use super::{Authenticated, Refused};
use crate::secret::{Secret, equal};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

#[cfg(test)]
mod tests;

/// Hexadecimal digits of an MD5.
const HEX_BYTES: usize = 32;

/// MD5 of password and user name in lower-case hexadecimal: what `md5…` in `auth_file` holds, and as good as
/// the password to any server that asks for md5.
#[derive(Clone)]
pub struct Md5Hash(Secret<[u8; HEX_BYTES]>);

impl Md5Hash {
    /// `md5` and 32 lower-case hexadecimal digits; None for anything else, as in PostgreSQL.
    pub fn parse(text: &str) -> Option<Self> {
        let hex: [u8; HEX_BYTES] = text.strip_prefix("md5")?.as_bytes().try_into().ok()?;
        hex.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then(|| Self(Secret::new(hex)))
    }

    /// What PostgreSQL would store for this user and password.
    pub fn from_password(user: &str, password: &str) -> Self {
        Self(Secret::new(hex_of(&[password.as_bytes(), user.as_bytes()])))
    }

    /// One that belongs to no password.
    pub(super) fn invented(bytes: &[u8]) -> Self {
        Self(Secret::new(hex_of(&[bytes])))
    }

    /// Whether this is the user's password; constant time.
    pub(super) fn is_of(&self, user: &str, password: &str) -> bool {
        equal(self.0.expose(), Self::from_password(user, password).0.expose())
    }
}

/// What a client's answer to AuthenticationMD5Password is measured against, real or invented.
pub struct Md5Challenge {
    pub(super) user: String,
    pub(super) hash: Md5Hash,
    pub(super) real: bool,
}

impl Md5Challenge {
    /// `answer` is the body of the PasswordMessage without its terminating zero, `salt` what was sent.
    ///
    /// # Errors
    /// Not the password's answer.
    pub fn check(self, answer: &[u8], salt: [u8; 4]) -> Result<Authenticated, Refused> {
        let right = equal(md5_password(&self.hash, salt).as_bytes(), answer);
        // `&`, not `&&`: nothing may depend on which of the two failed.
        if right & self.real { Ok(Authenticated { user: self.user }) } else { Err(Refused::WrongPassword) }
    }
}

/// Body of the PasswordMessage that answers AuthenticationMD5Password (without the terminating zero).
/// A stored hash answers as well as the password: [`Md5Hash::from_password`] makes one of the other.
pub fn md5_password(hash: &Md5Hash, salt: [u8; 4]) -> String {
    let answer = hex_of(&[hash.0.expose(), &salt]);
    let hex = answer.iter().map(|digit| char::from(*digit));
    "md5".chars().chain(hex).collect()
}

fn hex_of(parts: &[&[u8]]) -> [u8; HEX_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    #[cfg(test)]
    super::keys::work::note(|work| work.md5s += 1);
    let mut md5 = Md5::new();
    parts.iter().for_each(|part| md5.update(part));
    let digest = Zeroizing::new(<[u8; 16]>::from(md5.finalize()));
    let mut hex = [0; HEX_BYTES];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest.iter()) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    hex
}
