//! What everybody's writes ask of everybody's reads: applications pool, too, and what was written on one connection is read on the next.
//! By table, so that writes to one do not keep reads of the others from replicas.

use foldhash::HashMap;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tables with a fence of their own. With one more all are forgotten: their writes count for all tables, for as long as it takes
/// replicas to have them.
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
        match tables {
            Some(names) => names.for_each(|name| self.raise_one(name, asked)),
            None => _ = self.unknown.fetch_max(asked, Ordering::SeqCst),
        }
    }

    /// What a replica must cover more than, to be read for tables of these names; `None`: nobody knows which.
    pub fn height<'a>(&self, tables: Option<impl Iterator<Item = &'a [u8]>>) -> u64 {
        let Some(names) = tables else { return self.newest.load(Ordering::SeqCst) };
        let known = self.tables.read();
        // Under the lock: what is forgotten is noted there before it is.
        let unknown = self.unknown.load(Ordering::SeqCst);
        let of = |name: &[u8]| known.get(name).map_or(0, |fence| fence.load(Ordering::SeqCst));
        names.map(of).fold(unknown, u64::max)
    }

    /// Tables are called otherwise, or belong together in another way, from when `rename` has run: what was written under their names before
    /// counts for all. Who raises some meanwhile has to look behind that whether they are called so still.
    pub fn rename(&self, rename: impl FnOnce()) {
        // Whoever asks for a height with the new names waits for it.
        let _tables = self.tables.write();
        rename();
        self.unknown.fetch_max(self.newest.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn raise_one(&self, name: &[u8], asked: u64) {
        if let Some(fence) = self.tables.read().get(name) {
            fence.fetch_max(asked, Ordering::SeqCst);
            return;
        }
        let mut tables = self.tables.write();
        if tables.len() >= TABLES_MAX && !tables.contains_key(name) {
            self.unknown.fetch_max(self.newest.load(Ordering::SeqCst), Ordering::SeqCst);
            tables.clear();
        }
        tables.entry(name.into()).or_default().fetch_max(asked, Ordering::SeqCst);
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
    fn more_tables_than_are_kept_are_forgotten_and_count_for_all() {
        let fences = Fences::default();
        let height = |table: &str| fences.height(names(&[table]));
        (0..TABLES_MAX).for_each(|number| fences.raise(names(&[&number.to_string()]), 1));
        fences.raise(names(&["17"]), 3);
        assert_eq!((height("17"), height("quiet")), (3, 0));
        fences.raise(names(&["one more"]), 5);
        assert_eq!(
            [height("17"), height("4"), height("one more"), height("quiet")],
            [5; 4],
            "whose they were nobody knows"
        );
        // And then they are told apart again.
        (0..TABLES_MAX).for_each(|number| fences.raise(names(&[&format!("again {number}")]), 8));
        fences.raise(names(&["17"]), 9);
        assert_eq!((height("17"), height("quiet")), (9, 8));
        assert!(fences.tables.read().len() <= TABLES_MAX);
    }
}
