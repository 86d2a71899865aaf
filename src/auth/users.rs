//! Everybody who may log in, and what each is measured against under every method. A name that is not listed gets a
//! challenge like the others', so that nobody can list users by trying names.

use super::challenge::{Challenge, Disguise};
use super::md5::{Md5Challenge, Md5Hash};
use super::password::PasswordChallenge;
use super::verifier::{Stored, Verifier};
use std::collections::HashMap;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The user list. Does not change; a reload makes another, with the [`Disguise`] renewed.
pub struct Users {
    known: HashMap<String, Known>,
    disguise: Arc<Disguise>,
}

/// What a client proves itself by under `auth_type = "md5"`: it depends on what is stored.
pub enum Asks {
    /// AuthenticationMD5Password.
    Md5(Md5Challenge),
    /// AuthenticationSASL.
    Scram(Challenge),
}

struct Known {
    verifier: Option<Verifier>,
    hash: Option<Md5Hash>,
}

impl Users {
    /// Names and secrets. `derive` makes verifiers of passwords in plain text, for [`Users::scram`] and
    /// [`Users::password`]: a millisecond each, so not on a thread that serves anybody. [`Users::md5`] needs none.
    pub fn new(secrets: impl Iterator<Item = (String, Stored)>, disguise: Arc<Disguise>, derive: bool) -> Self {
        let known = |(user, stored): (String, Stored)| {
            let is_verifier = matches!(stored, Stored::Scram(_));
            let verifier = if derive || is_verifier { stored.verifier(&user, &disguise) } else { None };
            let hash = match &stored {
                Stored::Plain(password) if !password.expose().is_empty() => {
                    Some(Md5Hash::from_password(&user, password.expose()))
                }
                Stored::Md5(hash) => Some(hash.clone()),
                Stored::Plain(_) | Stored::Scram(_) => None,
            };
            (user, Known { verifier, hash })
        };
        Self { known: secrets.map(known).collect(), disguise }
    }

    /// For SCRAM, whatever is stored.
    pub fn scram(&self, user: &str) -> Challenge {
        let verifier = self.known.get(user).and_then(|known| known.verifier.as_ref());
        Challenge::new(user, verifier, &self.disguise)
    }

    /// For md5, or for SCRAM where only a verifier is stored, as PgBouncer and PostgreSQL do. A name that is not listed is
    /// asked as some listed one would be, and so is one without a password.
    pub fn md5(&self, user: &str) -> Asks {
        let known = self.known.get(user);
        let invented = self.disguise.has_verifier(user);
        let hash = known.and_then(|known| known.hash.as_ref());
        let has_verifier = known.is_some_and(|known| known.verifier.is_some());
        if hash.is_none() && (has_verifier || invented) {
            return Asks::Scram(self.scram(user));
        }
        let mock = self.disguise.hash(user);
        let real = hash.is_some();
        Asks::Md5(Md5Challenge { user: user.to_owned(), hash: hash.cloned().unwrap_or(mock), real })
    }

    /// For a password in clear, whatever is stored.
    pub fn password(&self, user: &str) -> PasswordChallenge {
        let scram = self.scram(user);
        let hash = self.known.get(user).filter(|_| !scram.real).and_then(|known| known.hash.clone());
        let (mock, hash_is_real) = (self.disguise.hash(user), hash.is_some());
        PasswordChallenge { scram, hash: hash.unwrap_or(mock), hash_is_real }
    }
}
