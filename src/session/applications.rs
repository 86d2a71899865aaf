//! Which applications of a pool do something: by `application_name`, as far as the clients of one pool tell theirs.
//!
//! A set of 64 places that names are spread over. Two names may share a place, so what follows from being in the set must be
//! right for everybody, and only cost something.

use super::settings::Settings;
use std::sync::atomic::{AtomicU64, Ordering};

/// Some applications; nobody at first. Who is in it once stays.
#[derive(Debug, Default)]
pub struct Applications(AtomicU64);

impl Applications {
    /// The client with these settings is of one of them.
    pub fn has(&self, client: &Settings) -> bool {
        let all = self.0.load(Ordering::Relaxed);
        // Most often nobody is.
        all != 0 && all & place(client) != 0
    }

    /// From now on it is.
    pub fn add(&self, client: &Settings) {
        if !self.has(client) {
            self.0.fetch_or(place(client), Ordering::Relaxed);
        }
    }
}

fn place(client: &Settings) -> u64 {
    let name = client.get(b"application_name").unwrap_or_default();
    // FNV-1a. PostgreSQL cuts names at 63 bytes.
    let hash = name.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    1 << (hash % u64::BITS)
}

#[cfg(test)]
mod tests {
    //! Who is in it.

    use super::*;

    #[test]
    fn an_application_is_in_the_set_once_it_was_added_and_another_is_not() {
        let named = |name: &[u8]| {
            let mut settings = Settings::default();
            settings.hear(b"application_name", name);
            settings
        };
        let (one, other, all) = (named(b"one"), named(b"other"), Applications::default());
        assert!(!all.has(&one));
        all.add(&one);
        assert!(all.has(&one) && all.has(&one.clone()) && !all.has(&other) && !all.has(&Settings::default()));
    }
}
