//! The keys that log in to servers and are in no file: what PBKDF2 made of passwords, and what clients' own logins by
//! SCRAM have taught (pass-through: a verifier can check a client and log in nowhere, the client's key can).

use super::derivers::Derivers;
use crate::auth::{BorrowedKeys, StoredKey};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// One for the process. Holds one entry for each user that has logged in by SCRAM and is still listed.
#[derive(Default)]
pub struct Keyring {
    derivers: Derivers,
    borrowed: Mutex<HashMap<String, Borrowed>>,
}

struct Borrowed {
    /// None: PostgreSQL has refused them.
    keys: Option<Arc<BorrowedKeys>>,
    /// Recognizes them, also when they are forgotten.
    known_by: StoredKey,
}

impl Keyring {
    /// Who does PBKDF2.
    pub fn derivers(&self) -> &Derivers {
        &self.derivers
    }

    /// A client has logged in as `role` and so shown its keys. True: they are not those it showed the last time.
    pub fn learn(&self, role: &str, keys: BorrowedKeys) -> bool {
        let known_by = keys.stored_key();
        let mut borrowed = self.borrowed.lock();
        let same = borrowed.get(role).is_some_and(|before| before.known_by.is(&known_by));
        borrowed.insert(role.to_owned(), Borrowed { keys: Some(Arc::new(keys)), known_by });
        !same
    }

    /// Forgets those of roles that are not listed any more.
    pub fn keep(&self, is_listed: impl Fn(&str) -> bool) {
        self.borrowed.lock().retain(|role, _| is_listed(role));
    }

    /// What clients of this role have shown.
    pub(super) fn borrow(&self, role: &str) -> Option<Arc<BorrowedKeys>> {
        self.borrowed.lock().get(role)?.keys.clone()
    }

    /// PostgreSQL has refused these; the next client's login teaches anew.
    pub(super) fn forget(&self, role: &str, refused: &Arc<BorrowedKeys>) {
        if let Some(entry) = self.borrowed.lock().get_mut(role) {
            entry.keys.take_if(|keys| Arc::ptr_eq(keys, refused));
        }
    }
}

#[cfg(test)]
mod tests;
