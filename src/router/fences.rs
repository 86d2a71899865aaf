//! What everybody's writes ask of everybody's reads: applications pool, too, and what was written on one connection is read on the next.
//! By table, so that writes to one do not keep reads of the others from replicas.

use foldhash::HashMap;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tables with a fence of their own. Beyond that a write counts as one of which the tables are not known.
const TABLES_MAX: usize = 10_000;

/// The fences of one database, for all of its clients. Numbers are those of the monitor's questions.
#[derive(Debug, Default)]
pub struct Fences {
    // Of writes whose tables are not known.
    unknown: AtomicU64,
    // Of any write.
    newest: AtomicU64,
    tables: RwLock<HashMap<Box<[u8]>, AtomicU64>>,
}

impl Fences {
    /// Tables of these names (without a schema) have been written, or may have been; `None`: nobody knows which. `asked` is the number of
    /// the newest question. To be called before anybody can know of it.
    pub fn raise<'a>(&self, tables: Option<impl Iterator<Item = &'a [u8]>>, asked: u64) {
        self.newest.fetch_max(asked, Ordering::SeqCst);
        let known = tables.is_some_and(|mut names| names.all(|name| self.raise_one(name, asked)));
        if !known {
            self.unknown.fetch_max(asked, Ordering::SeqCst);
        }
    }

    /// What a replica must cover more than, to be read for tables of these names; `None`: nobody knows which.
    pub fn height<'a>(&self, tables: Option<impl Iterator<Item = &'a [u8]>>) -> u64 {
        let Some(names) = tables else { return self.newest.load(Ordering::SeqCst) };
        let unknown = self.unknown.load(Ordering::SeqCst);
        let known = self.tables.read();
        let of = |name: &[u8]| known.get(name).map_or(0, |fence| fence.load(Ordering::SeqCst));
        names.map(of).fold(unknown, u64::max)
    }

    /// False: there are too many.
    fn raise_one(&self, name: &[u8], asked: u64) -> bool {
        if let Some(fence) = self.tables.read().get(name) {
            fence.fetch_max(asked, Ordering::SeqCst);
            return true;
        }
        let mut tables = self.tables.write();
        if tables.len() >= TABLES_MAX && !tables.contains_key(name) {
            return false;
        }
        tables.entry(name.into()).or_default().fetch_max(asked, Ordering::SeqCst);
        true
    }
}

#[cfg(test)]
mod tests {
    //! Fences by table.
    use super::*;

    fn names<'a>(names: &'a [&str]) -> Option<impl Iterator<Item = &'a [u8]>> {
        Some(names.iter().map(|name| name.as_bytes()))
    }

    fn unknown() -> Option<std::iter::Empty<&'static [u8]>> {
        None
    }

    #[test]
    fn a_read_heeds_writes_to_its_own_tables_and_to_unknown_ones() {
        let fences = Fences::default();
        fences.raise(names(&["a"]), 5);
        fences.raise(names(&["b", "c"]), 7);
        let height = |tables: &[&str]| fences.height(names(tables));
        assert_eq!(
            [height(&["a"]), height(&["c", "x"]), height(&["a", "b"]), height(&["x"]), height(&[])],
            [5, 7, 7, 0, 0]
        );
        assert_eq!(fences.height(unknown()), 7);
        fences.raise(unknown(), 6);
        assert_eq!([height(&["a"]), height(&["b"]), height(&[])], [6, 7, 6]);
    }

    #[test]
    fn a_fence_never_falls() {
        let fences = Fences::default();
        fences.raise(names(&["a"]), 9);
        fences.raise(names(&["a"]), 3);
        fences.raise(unknown(), 2);
        assert_eq!((fences.height(names(&["a"])), fences.height(unknown())), (9, 9));
    }

    #[test]
    fn more_tables_than_are_kept_count_as_unknown_ones() {
        let fences = Fences::default();
        (0..TABLES_MAX).for_each(|number| fences.raise(names(&[&number.to_string()]), 1));
        fences.raise(names(&["one more"]), 4);
        assert_eq!(fences.height(names(&["17"])), 4, "whose fence it is nobody knows");
        fences.raise(names(&["17"]), 5);
        assert_eq!(fences.height(names(&["17"])), 5);
        assert_eq!(fences.tables.read().len(), TABLES_MAX);
    }
}
