//! What texts may do, kept by their [`shape`]: a text that differs from one read before in its constants alone is not read
//! again. Process-wide, bounded in bytes; what was unused for longest goes first.

use super::facts::{Facts, Knowledge, read};
use super::pattern::PATTERN_MAX;
use super::shape::shape;
use super::token::Reading;
use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, OptionsBuilder, Weighter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of an entry beside its shape: such facts hold a few statements.
const ENTRY: usize = 1024;

/// The facts of texts, by shape.
pub struct StatementCache {
    facts: Cache<Key, Arc<Facts>, Weights, RandomState>,
    editions: AtomicU64,
}

/// All that facts depend on, compared in full.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    shape: Box<[u8]>,
    reading: Reading,
    edition: u64,
}

/// The same, to look for.
struct Wanted<'a> {
    shape: &'a [u8],
    reading: Reading,
    edition: u64,
}

#[derive(Clone)]
struct Weights;

impl StatementCache {
    /// Of so many bytes; 0 keeps nothing.
    pub fn new(bytes: usize) -> Self {
        let mut options = OptionsBuilder::new();
        options.weight_capacity(bytes as u64).estimated_items_capacity(bytes / (2 * ENTRY)).shards(16);
        let options = options.build().expect("invariant: all that is required is given");
        let facts = Cache::with_options(options, Weights, RandomState::default(), DefaultLifecycle::default());
        Self { facts, editions: AtomicU64::new(1) }
    }

    /// A number for a [`Knowledge`], which no other one of this process has.
    pub fn edition(&self) -> u64 {
        self.editions.fetch_add(1, Ordering::Relaxed)
    }

    /// Changes its size.
    pub fn resize(&self, bytes: usize) {
        if self.facts.capacity() != bytes as u64 {
            self.facts.set_capacity(bytes as u64);
        }
    }

    /// The facts of a whole text.
    pub fn read(&self, text: &[u8], reading: Reading, known: &Knowledge) -> Arc<Facts> {
        self.read_telling(text, reading, known).0
    }

    /// As [`Self::read`], and whether they are kept for other texts of the same shape.
    pub fn read_telling(&self, text: &[u8], reading: Reading, known: &Knowledge) -> (Arc<Facts>, bool) {
        let Some(shape) = shape(text, reading) else { return (Arc::new(read(text, reading, known)), false) };
        let wanted = Wanted { shape: &shape, reading, edition: known.edition() };
        if let Some(facts) = self.facts.get(&wanted) {
            return (facts, true);
        }
        let facts = Arc::new(read(text, reading, known));
        let keeps = facts.hold_for_shape() && facts.are_few();
        if keeps {
            let key = Key { shape: shape.into_boxed_slice(), reading, edition: known.edition() };
            self.facts.insert(key, facts.clone());
        }
        (facts, keeps)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Wanted { shape: &self.shape, reading: self.reading, edition: self.edition }.hash(state);
    }
}

impl Hash for Wanted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Reading { standard_strings, ascii_trails, utf8 } = self.reading;
        let flags = [standard_strings, ascii_trails, utf8].into_iter().fold(0, |all, flag| all << 1 | u64::from(flag));
        state.write(self.shape);
        state.write_u64(self.edition << 3 | flags);
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.edition == key.edition && self.reading == key.reading && *self.shape == *key.shape
    }
}

impl Weighter<Key, Arc<Facts>> for Weights {
    fn weight(&self, key: &Key, _: &Arc<Facts>) -> u64 {
        // The pattern of a shape is about as long as that.
        (ENTRY + key.shape.len() + key.shape.len().min(PATTERN_MAX)) as u64
    }
}

#[cfg(test)]
mod tests;
