//! Custom settings, which are those with a dot in their names. PostgreSQL never forgets that it has heard of one: from then on
//! it is empty in that session where it had not existed before, and no reset undoes that.
//!
//! So a server that has heard of a name is only for clients that use it too.

use super::settings::{Settings, compare, fold};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// A server that has heard of more names than these serves nobody else.
pub const CUSTOM_MAX: usize = 256;

/// Whether a name is that of a custom setting.
pub fn is_custom(name: &[u8]) -> bool {
    name.contains(&b'.')
}

/// The custom names that a server has heard of.
#[derive(Debug, Default)]
pub struct CustomNames {
    // In lower case and in their order.
    names: Vec<Box<[u8]>>,
    hash: u32,
}

impl CustomNames {
    /// It hears of one now. Any other name is none of this.
    pub fn note(&mut self, name: &[u8]) {
        if !is_custom(name) || self.are_too_many() {
            return;
        }
        if let Err(at) = self.names.binary_search_by(|known| compare(known, name)) {
            let name = name.to_ascii_lowercase().into_boxed_slice();
            self.hash ^= hash_name(&name);
            self.names.insert(at, name);
        }
    }

    /// Whether a client with these settings cannot tell that others have used the server.
    pub fn are_within(&self, settings: &Settings) -> bool {
        self.names.iter().all(|name| settings.has(name))
    }

    /// Whether not all of them are known any more.
    pub fn are_too_many(&self) -> bool {
        self.names.len() >= CUSTOM_MAX
    }

    /// Equal for equal names, 0 for none.
    pub fn half_key(&self) -> u32 {
        self.hash
    }
}

/// Of a name in lower case.
pub(super) fn hash_name(name: &[u8]) -> u32 {
    fold(FixedState::default().hash_one(name))
}
