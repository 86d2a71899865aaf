//! Limits over several pools: servers of one database over all users, and of one user over all databases. Locked only
//! to open or close a server, and while a lane waits for a place.
//!
//! A lane that is refused queues up. Every place that becomes free goes to whom it was promised, else to the first in the
//! queue that can use it, so nobody overtakes; lanes that share the limit are asked for a place, and give up an idle server at once, one that has
//! waiters of its own only after [`FAIR`].

use super::steward::{Chore, Chores};
use crate::clock;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A lane with waiters of its own keeps its places this long from one that waits: handing over costs a login.
const FAIR: Duration = Duration::from_millis(500);

/// What a lane's servers count against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Database as clients name it.
    pub database: String,
    /// Servers of it at most, over all users. 0 = unlimited.
    pub database_limit: usize,
    /// The role on the server.
    pub user: String,
    /// Servers of it at most, over all databases. 0 = unlimited.
    pub user_limit: usize,
}

impl Quota {
    /// Whether a server closed there could make room here.
    fn shares_limit_with(&self, other: &Self) -> bool {
        (self.database_limit > 0 && self.database == other.database) || (self.user_limit > 0 && self.user == other.user)
    }
}

/// Counts of open servers by database and by user.
#[derive(Default)]
pub struct Ledger {
    // Somebody waits and nobody has promised a place yet.
    contended: AtomicBool,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    databases: HashMap<String, usize>,
    users: HashMap<String, usize>,
    lanes: Vec<(Quota, Chores)>,
    // In order of arrival; a lane is here once at most.
    starving: Vec<Starving>,
}

/// A lane that waits for a place.
struct Starving {
    quota: Quota,
    lane: Chores,
    since: Instant,
    state: Hunger,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hunger {
    Asking,
    // Another lane is about to close a server for it.
    Promised,
    // It has a place, which counts already.
    Served,
}

impl Ledger {
    /// A lane exists: it may be asked to give up servers. Lanes that are gone are forgotten.
    pub fn enroll(&self, quota: &Quota, lane: &Chores) {
        let mut books = self.books.lock();
        books.lanes.retain(|(_, chores)| !chores.is_closed());
        books.lanes.push((quota.clone(), lane.clone()));
    }

    /// May one more server be opened? If not, `lane` is poked when it has got a place, and others are asked for one.
    /// Whoever is poked acquires or withdraws.
    pub fn acquire(&self, quota: &Quota, lane: &Chores) -> bool {
        let mut books = self.books.lock();
        let queued = books.starving.iter().position(|starving| starving.lane.is_same(lane));
        match queued {
            Some(place) if books.starving[place].state == Hunger::Served => {
                books.starving.remove(place);
                return true;
            }
            Some(_) => return false,
            None if books.has_room(quota) => {
                books.count(quota);
                return true;
            }
            None => (),
        }
        let (quota, state) = (quota.clone(), Hunger::Asking);
        for (other, chores) in &books.lanes {
            if quota.shares_limit_with(other) && !chores.is_same(lane) {
                chores.send(Chore::GiveUpIdle);
            }
        }
        books.starving.push(Starving { quota, lane: lane.clone(), since: clock::now(), state });
        self.pass_on(&mut books);
        false
    }

    /// `lane` was poked and needs no place any more.
    pub fn withdraw(&self, lane: &Chores) {
        let mut books = self.books.lock();
        books.dismiss(|starving| starving.lane.is_same(lane));
        self.pass_on(&mut books);
    }

    /// A server has closed.
    pub fn release(&self, quota: &Quota) {
        let mut books = self.books.lock();
        books.uncount(quota);
        self.pass_on(&mut books);
    }

    /// Whether anybody waits for a place that nobody has promised. Costs one load.
    pub fn is_contended(&self) -> bool {
        self.contended.load(Ordering::Relaxed)
    }

    /// Whether `lane`, whose own first waiter has waited for so long, is to close a server and [`Ledger::release`] its
    /// place, because another lane needs it more. If so it is promised: no other lane will be asked for it.
    pub fn claims(&self, quota: &Quota, lane: &Chores, own_wait: Option<Duration>) -> bool {
        let now = clock::now();
        let mut books = self.books.lock();
        let books = &mut *books;
        books.uncount(quota);
        let would_fit: Vec<bool> = books.starving.iter().map(|starving| books.has_room(&starving.quota)).collect();
        books.count(quota);
        let promised = books.starving.iter_mut().zip(would_fit).find(|(starving, fits)| {
            let waited = now.saturating_duration_since(starving.since);
            *fits
                && starving.state == Hunger::Asking
                && !starving.lane.is_same(lane)
                && own_wait.is_none_or(|own| waited >= FAIR && waited > own)
        });
        let found = promised.map(|(starving, _)| starving.state = Hunger::Promised).is_some();
        self.note(books);
        found
    }

    /// Gives what room there is to those who wait.
    fn pass_on(&self, books: &mut Books) {
        books.dismiss(|starving| starving.lane.is_closed());
        // A lane that closes a server for another may be in the queue itself, and further in front.
        for next in [Hunger::Promised, Hunger::Asking] {
            for place in 0..books.starving.len() {
                let quota = books.starving[place].quota.clone();
                if books.starving[place].state == next && books.has_room(&quota) {
                    books.count(&quota);
                    let starving = &mut books.starving[place];
                    starving.state = Hunger::Served;
                    starving.lane.send(Chore::Poke);
                }
            }
        }
        self.note(books);
    }

    fn note(&self, books: &Books) {
        let asking = books.starving.iter().any(|starving| starving.state == Hunger::Asking);
        self.contended.store(asking, Ordering::Relaxed);
    }
}

impl Books {
    fn has_room(&self, quota: &Quota) -> bool {
        let used = |counts: &HashMap<String, usize>, name| counts.get(name).copied().unwrap_or(0);
        let full = |used: usize, limit: usize| limit > 0 && used >= limit;
        !full(used(&self.databases, &quota.database), quota.database_limit)
            && !full(used(&self.users, &quota.user), quota.user_limit)
    }

    fn count(&mut self, quota: &Quota) {
        *self.databases.entry(quota.database.clone()).or_default() += 1;
        *self.users.entry(quota.user.clone()).or_default() += 1;
    }

    fn uncount(&mut self, quota: &Quota) {
        down(&mut self.databases, &quota.database);
        down(&mut self.users, &quota.user);
    }

    /// Takes lanes out of the queue, and back what they got.
    fn dismiss(&mut self, who: impl Fn(&Starving) -> bool) {
        while let Some(place) = self.starving.iter().position(&who) {
            let starving = self.starving.remove(place);
            if starving.state == Hunger::Served {
                self.uncount(&starving.quota);
            }
        }
    }
}

fn down(counts: &mut HashMap<String, usize>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
