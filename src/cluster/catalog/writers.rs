//! Texts that were taken for reads, that a replica has refused because they write (25006), and that the primary has run then: by their
//! fingerprints, so that they are not tried on a replica again.

use crate::sql::{Fingerprint, Reading};
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

/// Texts that are remembered; of more the oldest is forgotten, and may be tried once again.
const MAX: usize = 1000;

/// Those of one database.
#[derive(Debug, Default)]
pub struct Writers {
    any: AtomicBool,
    known: RwLock<VecDeque<Fingerprint>>,
}

impl Writers {
    /// A text of this name has written.
    pub fn note(&self, writer: Fingerprint) {
        let mut known = self.known.write();
        if known.contains(&writer) {
            return;
        }
        known.truncate(MAX - 1);
        known.push_front(writer);
        self.any.store(true, Ordering::Relaxed);
    }

    /// Whether a text (up to the zero that ends it) is one of them. Costs a load while there are none.
    pub fn have(&self, text: &[u8], reading: Reading) -> bool {
        self.any.load(Ordering::Relaxed)
            && Fingerprint::of_text(text, reading).is_some_and(|name| self.known.read().contains(&name))
    }
}

#[cfg(test)]
mod tests {
    //! What is remembered, and for how many.
    use super::*;

    fn name(text: &str) -> Fingerprint {
        Fingerprint::of_text(text.as_bytes(), Reading::default()).expect("it has one")
    }

    #[test]
    fn a_text_that_differs_in_its_constants_is_the_same_and_the_oldest_is_forgotten() {
        let writers = Writers::default();
        let have = |text: &str| writers.have(text.as_bytes(), Reading::default());
        assert!(!have("select f(1)"));
        writers.note(name("select f(1)"));
        assert!(have("SELECT f(2)\0types of parameters") && !have("select g(1)"));
        (0..MAX - 1).for_each(|number| writers.note(name(&format!("select f{number}()"))));
        assert!(have("select f(3)"));
        writers.note(name("select g()"));
        assert!(!have("select f(3)") && have("select f0()") && have("select g()"));
        assert_eq!(writers.known.read().len(), MAX);
    }
}
