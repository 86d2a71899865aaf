//! Texts that were taken for reads, that a replica has refused because they write (25006), and that the primary has run then: by their
//! fingerprints, so that they are not tried on a replica again.

use crate::sql::Fingerprint;
use arc_swap::ArcSwapOption;
use foldhash::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;

/// Texts that are remembered; of more the oldest is forgotten, and may be tried once again.
const MAX: usize = 1000;

/// Those of one database. Read for each read, and written hardly ever.
#[derive(Debug, Default)]
pub struct Writers(ArcSwapOption<Known>);

#[derive(Clone, Debug, Default)]
struct Known {
    names: HashSet<Fingerprint>,
    // The newest first.
    order: VecDeque<Fingerprint>,
}

impl Writers {
    /// A text of this name has written.
    pub fn note(&self, writer: Fingerprint) {
        self.0.rcu(|known| match known {
            Some(known) if known.names.contains(&writer) => Some(known.clone()),
            known => {
                let mut known = known.as_deref().cloned().unwrap_or_default();
                while known.order.len() >= MAX {
                    known.order.pop_back().map(|oldest| known.names.remove(&oldest));
                }
                known.order.push_front(writer);
                known.names.insert(writer);
                Some(Arc::new(known))
            }
        });
    }

    /// Whether a text is one of them, whose name is asked for if there are any. Costs no lock.
    pub fn have(&self, name: impl FnOnce() -> Option<Fingerprint>) -> bool {
        let known = self.0.load();
        known.as_ref().is_some_and(|known| name().is_some_and(|name| known.names.contains(&name)))
    }
}

#[cfg(test)]
mod tests {
    //! What is remembered, and for how many.
    use super::*;
    use crate::sql::Reading;

    fn name(text: &str) -> Option<Fingerprint> {
        Fingerprint::of_text(text.as_bytes(), Reading::default())
    }

    #[test]
    fn a_text_that_differs_in_its_constants_is_the_same_and_the_oldest_is_forgotten() {
        let writers = Writers::default();
        let note = |text: &str| writers.note(name(text).expect("it has one"));
        let have = |text: &str| writers.have(|| name(text));
        assert!(!writers.have(|| panic!("there are none")));
        note("select f(1)");
        assert!(have("SELECT f(2)\0types of parameters") && !have("select g(1)") && !writers.have(|| None));
        (0..MAX - 1).for_each(|number| note(&format!("select f{number}()")));
        note("select f0()");
        assert!(have("select f(3)"));
        note("select g()");
        assert!(!have("select f(3)") && have("select f0()") && have("select g()"));
        let known = writers.0.load_full().expect("there are some");
        assert_eq!((known.names.len(), known.order.len()), (MAX, MAX));
    }
}
