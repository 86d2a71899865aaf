//! The statements that one worker has met: found without a lock, bounded, and folded when there are too many.

use super::{Call, Description, Limits, Name, Shelf, Stat};
use crate::metrics::ladder::micros;
use crate::metrics::latency::BLOCK;
use foldhash::HashMap;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// Of what is folded at once, one part in so many: the work for it is shared out to as many that are new.
const FOLDED: usize = 8;

/// Statements that are found by the end of their fingerprint, without a look into the table: a power of two.
const AT_HAND: usize = 256;

/// The statements that one worker has met. Stays on its thread.
pub(in crate::metrics) struct Book {
    stats: RefCell<HashMap<(u32, Name), Arc<Stat>>>,
    // Some of them; none that was folded.
    at_hand: RefCell<Vec<Option<Arc<Stat>>>>,
    bytes: Cell<usize>,
    // Folded, and somebody still has them.
    held: RefCell<Vec<Arc<Stat>>>,
    // By the patterns of names that they are for.
    circles: RefCell<Vec<Arc<str>>>,
    places: Cell<u32>,
    shelf: Arc<Shelf>,
    limits: Arc<Limits>,
    workers: usize,
}

/// A database in a book.
#[derive(Clone)]
pub(in crate::metrics) struct Place {
    pub(super) number: u32,
    /// As it is counted under.
    pub label: Arc<str>,
    // The circle within it.
    pub(super) circle: Option<Arc<str>>,
}

impl Book {
    /// Nothing in it, on a shelf that readers know; one of so many workers' books.
    pub fn new(shelf: Arc<Shelf>, limits: Arc<Limits>, workers: usize) -> Self {
        Self {
            stats: RefCell::default(),
            at_hand: RefCell::new(vec![None; AT_HAND]),
            bytes: Cell::new(0),
            held: RefCell::default(),
            circles: RefCell::default(),
            places: Cell::new(0),
            shelf,
            limits,
            workers,
        }
    }

    /// For one more database, or a circle within one. There are as many as there are labels and patterns.
    pub fn place(&self, label: Arc<str>, circle: Option<Arc<str>>) -> Place {
        let number = self.places.get();
        self.places.set(number.wrapping_add(1));
        if let Some(circle) = circle.clone().filter(|circle| !self.has_circle(circle)) {
            self.circles.borrow_mut().push(circle);
        }
        Place { number, label, circle }
    }

    /// What is counted under this name. No lock, unless it is new.
    pub fn stat(&self, place: &Place, name: Name, describe: impl FnOnce() -> Description) -> Arc<Stat> {
        let Name::Fingerprint(fingerprint) = name else { return self.add(place, name, describe) };
        let at = (fingerprint ^ u64::from(place.number)) as usize % AT_HAND;
        if let Some(Some(stat)) = self.at_hand.borrow().get(at)
            && stat.name == name
            && stat.place.number == place.number
        {
            return stat.clone();
        }
        let known = self.stats.borrow().get(&(place.number, name)).cloned();
        let stat = match known {
            Some(stat) => stat,
            None if !self.make_room() => return self.add(place, Name::Other, Description::default),
            None => self.add(place, name, describe),
        };
        if let Some(at_hand) = self.at_hand.borrow_mut().get_mut(at) {
            *at_hand = Some(stat.clone());
        }
        stat
    }

    fn add(&self, place: &Place, name: Name, describe: impl FnOnce() -> Description) -> Arc<Stat> {
        let mut stats = self.stats.borrow_mut();
        let stat = stats.entry((place.number, name)).or_insert_with(|| {
            let stat = Arc::new(Stat::new(place.clone(), name, describe()));
            self.bytes.set(self.bytes.get() + stat.bytes());
            self.shelf.stats.lock().push(stat.clone());
            stat
        });
        stat.clone()
    }

    /// A statement has been answered.
    pub fn count(&self, stat: &Stat, call: &Call) {
        self.with(stat, |stat| stat.count(call));
    }

    /// Its client has all of the answer, so long after the statement had arrived.
    pub fn observe_total(&self, stat: &Stat, total: Duration) {
        self.with(stat, |stat| stat.observe_total(total));
    }

    /// Several that were sent at once have been answered.
    pub fn pipeline(&self, place: &Place, total: Duration, server: Duration, bytes: usize) {
        let stat = self.add(place, Name::Pipeline, Description::default);
        stat.bytes.add(bytes as u64);
        stat.server_us.add(micros(server));
        let blocks = usize::from(stat.server.observe(server)) + stat.observe_total(total);
        self.took(blocks);
    }

    /// One that was folded while it was under way is counted where it has gone, wherever its client is by now.
    fn with(&self, stat: &Stat, count: impl FnOnce(&Stat) -> usize) {
        if !stat.is_folded() {
            return self.took(count(stat));
        }
        // Nobody wants to hear of a circle that was forgotten.
        if stat.place.circle.as_ref().is_none_or(|circle| self.has_circle(circle)) {
            self.took(count(&self.add(&stat.place, Name::Other, Description::default)));
        }
    }

    fn took(&self, blocks: usize) {
        if blocks > 0 {
            self.bytes.set(self.bytes.get() + blocks * BLOCK);
        }
    }

    fn has_circle(&self, circle: &Arc<str>) -> bool {
        self.circles.borrow().contains(circle)
    }

    /// From now on there are no other circles than these. True: some have gone, with all that was counted in them.
    pub fn keep_circles(&self, kept: &[Arc<str>]) -> bool {
        let before = self.circles.borrow().len();
        self.circles.borrow_mut().retain(|circle| kept.contains(circle));
        if self.circles.borrow().len() == before {
            return false;
        }
        let goes = |stat: &Arc<Stat>| stat.place.circle.as_ref().is_some_and(|circle| !kept.contains(circle));
        let gone: Vec<_> = self.stats.borrow_mut().extract_if(|_, stat| goes(stat)).map(|(_, stat)| stat).collect();
        for stat in &gone {
            stat.folded.store(true, Ordering::Relaxed);
            self.bytes.set(self.bytes.get().saturating_sub(stat.bytes()));
        }
        self.shelf.stats.lock().retain(|stat| !stat.is_folded());
        self.let_go(gone);
        true
    }

    /// Folds until there is room for one more. False: what is left is not to be folded; or so much of what was is still held, by whoever reads
    /// at this moment perhaps, that to fold more would make no room.
    fn make_room(&self) -> bool {
        let fingerprints = self.limits.fingerprints.load(Ordering::Relaxed);
        let bytes = self.limits.bytes.load(Ordering::Relaxed) / self.workers.max(1);
        loop {
            let (held, held_bytes) = self.held();
            if self.stats.borrow().len() + held < fingerprints && self.bytes.get() + held_bytes <= bytes {
                return true;
            }
            let is_held = held > fingerprints / FOLDED || held_bytes > bytes / FOLDED;
            if is_held || !self.fold() {
                return false;
            }
        }
    }

    /// How many were folded that somebody still has, and what they take.
    fn held(&self) -> (usize, usize) {
        let mut held = self.held.borrow_mut();
        held.retain(|stat| Arc::strong_count(stat) > 1);
        (held.len(), held.iter().map(|stat| stat.bytes()).sum())
    }

    /// Folds the eighth that was called least. False: there is nothing to fold.
    fn fold(&self) -> bool {
        let mut least: Vec<_> = {
            let stats = self.stats.borrow();
            let may_go = stats.iter().filter(|(_, stat)| stat.may_be_folded());
            may_go.map(|(key, stat)| (stat.calls.get(), *key, stat.clone())).collect()
        };
        if least.is_empty() {
            return false;
        }
        let last = least.len().div_ceil(FOLDED) - 1;
        least.select_nth_unstable_by_key(last, |(calls, ..)| *calls);
        least.truncate(last + 1);
        // In front of the lock, which they take.
        let others: Vec<_> =
            least.iter().map(|(.., stat)| self.add(&stat.place, Name::Other, Description::default)).collect();
        let mut listed = self.shelf.stats.lock();
        self.shelf.folds.fetch_add(1, Ordering::Relaxed);
        // Whoever reads what follows sees that it is being changed, and what a reader wanted to be kept before is seen here.
        fence(Ordering::SeqCst);
        for ((_, key, stat), other) in least.iter().zip(others) {
            if !stat.may_be_folded() {
                continue;
            }
            self.stats.borrow_mut().remove(key);
            stat.folded.store(true, Ordering::Relaxed);
            self.bytes.set(self.bytes.get().saturating_sub(stat.bytes()));
            self.took(other.take_over(stat));
        }
        listed.retain(|stat| !stat.is_folded());
        self.shelf.folds.fetch_add(1, Ordering::Release);
        drop(listed);
        self.let_go(least.into_iter().map(|(.., stat)| stat).filter(|stat| stat.is_folded()).collect());
        true
    }

    /// These are not in the book any more. Those that nobody has are gone with that.
    fn let_go(&self, folded: Vec<Arc<Stat>>) {
        self.at_hand.borrow_mut().iter_mut().for_each(|slot| {
            slot.take_if(|stat| stat.is_folded());
        });
        self.held.borrow_mut().extend(folded.into_iter().filter(|stat| Arc::strong_count(stat) > 1));
    }
}

#[cfg(test)]
impl Book {
    pub fn len(&self) -> usize {
        self.stats.borrow().len()
    }

    /// As it is kept.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    pub fn bytes_by_hand(&self) -> usize {
        self.stats.borrow().values().map(|stat| stat.bytes()).sum()
    }
}
