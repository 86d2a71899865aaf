//! Limits over several pools: servers of one database over all users, and of one user over all databases. Locked only
//! to open or close a server, and while a lane waits for a place. Places are counted whether they are limited or not: a
//! reload may set a limit.
//!
//! A lane that is refused queues up and gathers a place of each of its limits. A place that becomes free goes to the
//! first in the queue that lacks one, and is kept for it while it lacks the other, so nobody overtakes; a lane that
//! waits for another's half is always behind it, so no two wait for each other. Lanes that share a full limit are asked
//! for a place: they give up an idle server at once, one that has waiters of its own only after [`FAIR`].

use super::steward::{Chore, Chores};
use crate::clock::Instant;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A lane with waiters of its own keeps its places this long from one that waits: handing over costs a login.
const FAIR: Duration = Duration::from_millis(500);

/// What a lane's servers count against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Database as clients name it.
    pub database: String,
    /// Servers of it at most, over all users. 0 = unlimited. The same for all lanes of the database.
    pub database_limit: usize,
    /// The role on the server.
    pub user: String,
    /// Servers of it at most, over all databases. 0 = unlimited. The same for all lanes of the role.
    pub user_limit: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Database,
    User,
}

const KINDS: [Kind; 2] = [Kind::Database, Kind::User];

impl Quota {
    fn is_unlimited(&self) -> bool {
        self.database_limit == 0 && self.user_limit == 0
    }

    fn limit(&self, kind: Kind) -> usize {
        match kind {
            Kind::Database => self.database_limit,
            Kind::User => self.user_limit,
        }
    }

    fn name(&self, kind: Kind) -> &str {
        match kind {
            Kind::Database => &self.database,
            Kind::User => &self.user,
        }
    }

    /// Whether a server closed there makes room here.
    fn shares(&self, kind: Kind, other: &Self) -> bool {
        self.limit(kind) > 0 && self.name(kind) == other.name(kind)
    }

    /// Whether so many servers of one lane leave no room for another lane's.
    fn is_filled_by(&self, servers: usize) -> bool {
        KINDS.iter().any(|kind| self.limit(*kind) > 0 && servers >= self.limit(*kind))
    }
}

/// Counts of open servers by database and by user.
#[derive(Default)]
pub struct Ledger {
    // Somebody waits for a place that others have.
    contended: AtomicBool,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    used: Used,
    lanes: Vec<Member>,
    // In order of arrival; a lane is here once at most.
    starving: Vec<Starving>,
}

/// A lane, and how many places it has.
struct Member {
    quota: Quota,
    lane: Chores,
    places: usize,
}

/// A lane that waits for a place.
struct Starving {
    quota: Quota,
    lane: Chores,
    since: Instant,
    // By kind. What it does not lack counts already; without any it is served, and comes for it.
    lacks: [bool; 2],
    // All places of a limit are its own. Only it can make room, so until then it keeps nothing from others.
    fills_alone: bool,
}

/// Those who have got a place. They are told when this is dropped: after the server that had it was closed.
#[must_use = "close the server, then drop this"]
pub struct Served(Vec<Chores>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.iter().for_each(|lane| lane.send(Chore::Poke));
    }
}

impl Ledger {
    /// A lane exists, or its quota has changed: it may ask for places, and be asked to give some up. Lanes that are gone
    /// are forgotten.
    pub fn enroll(&self, quota: &Quota, lane: &Chores) {
        let mut books = self.books.lock();
        self.forget_the_gone(&mut books);
        let Books { used, lanes, starving } = &mut *books;
        let Some(member) = lanes.iter_mut().find(|member| member.lane.is_same(lane)) else {
            lanes.push(Member { quota: quota.clone(), lane: lane.clone(), places: 0 });
            return;
        };
        let queued = starving.iter_mut().find(|starving| starving.lane.is_same(lane));
        for kind in KINDS {
            let kept = queued.as_ref().is_some_and(|starving| !starving.lacks[kind as usize]);
            for _ in 0..member.places + usize::from(kept) {
                used.uncount(&member.quota, kind);
                used.count(quota, kind);
            }
        }
        member.quota = quota.clone();
        if let Some(starving) = queued {
            starving.quota = quota.clone();
            starving.fills_alone = quota.is_filled_by(member.places);
        }
        drop(self.pass_on(&mut books));
    }

    /// May one more server be opened, for somebody who waits? If not, `lane` is poked when it has got a place, and others
    /// are asked for one. Whoever is poked acquires or withdraws.
    pub fn acquire(&self, quota: &Quota, lane: &Chores, now: Instant) -> bool {
        let mut books = self.books.lock();
        self.forget_the_gone(&mut books);
        let Books { used, lanes, starving } = &mut *books;
        let Some(member) = lanes.iter_mut().find(|member| member.lane.is_same(lane)) else { return false };
        let queued = starving.iter().position(|starving| starving.lane.is_same(lane));
        if let Some(place) = queued {
            let served = starving[place].is_served();
            if served {
                starving.remove(place);
                member.places += 1;
            }
            return served;
        }
        let fills_alone = quota.is_filled_by(member.places);
        let mut starved =
            Starving { quota: quota.clone(), lane: lane.clone(), since: now, lacks: [true; 2], fills_alone };
        if starved.gather(used) {
            member.places += 1;
            return true;
        }
        for other in lanes.iter().filter(|other| starved.wants_from(&other.quota, &other.lane)) {
            other.lane.send(Chore::GiveUpIdle);
        }
        starving.push(starved);
        self.note(&books);
        false
    }

    /// May one more server be opened that nobody waits for? Takes what is free, and asks nobody for it.
    pub fn acquire_spare(&self, quota: &Quota, lane: &Chores) -> bool {
        let Books { used, lanes, .. } = &mut *self.books.lock();
        let Some(member) = lanes.iter_mut().find(|member| member.lane.is_same(lane)) else { return false };
        let free = KINDS.iter().all(|kind| used.has_room(quota, *kind));
        if free {
            KINDS.iter().for_each(|kind| used.count(quota, *kind));
            member.places += 1;
        }
        free
    }

    /// `lane` needs no place any more.
    pub fn withdraw(&self, lane: &Chores) {
        let mut books = self.books.lock();
        books.dismiss(|starving| starving.lane.is_same(lane));
        drop(self.pass_on(&mut books));
    }

    /// A server of `lane` has closed.
    pub fn release(&self, lane: &Chores) {
        let mut books = self.books.lock();
        if let Some(quota) = books.leave(lane) {
            KINDS.iter().for_each(|kind| books.used.uncount(&quota, *kind));
            drop(self.pass_on(&mut books));
        }
    }

    /// Whether anybody waits for a place that others have. Costs one load.
    pub fn is_contended(&self) -> bool {
        self.contended.load(Ordering::Relaxed)
    }

    /// Takes a place from `lane`, whose own first waiter has waited for so long, if another lane needs it more. Then it
    /// counts for that one already, and `lane` is to close a server without a [`Ledger::release`].
    pub fn hand_over(&self, quota: &Quota, lane: &Chores, own_wait: Option<Duration>, now: Instant) -> Option<Served> {
        if quota.is_unlimited() {
            return None;
        }
        let mut books = self.books.lock();
        let to = books.starving.iter().position(|starving| {
            let waited = now.saturating_duration_since(starving.since);
            starving.wants_from(quota, lane) && own_wait.is_none_or(|own| waited >= FAIR && waited > own)
        })?;
        books.leave(lane)?;
        let Books { used, starving, .. } = &mut *books;
        let to = &mut starving[to];
        for kind in KINDS {
            if to.lacks[kind as usize] && to.quota.shares(kind, quota) {
                to.lacks[kind as usize] = false;
            } else {
                used.uncount(quota, kind);
            }
        }
        let first = to.is_served().then(|| to.lane.clone());
        let mut served = self.pass_on(&mut books);
        served.0.extend(first);
        Some(served)
    }

    /// Gives what room there is to those who wait.
    fn pass_on(&self, books: &mut Books) -> Served {
        let Books { used, starving, .. } = books;
        let served = starving.iter_mut().filter_map(|next| next.gather(used).then(|| next.lane.clone())).collect();
        self.note(books);
        Served(served)
    }

    fn forget_the_gone(&self, books: &mut Books) {
        let Books { used, lanes, .. } = books;
        let before = lanes.len();
        lanes.retain(|member| {
            let gone = member.lane.is_closed();
            for kind in KINDS.iter().filter(|_| gone) {
                (0..member.places).for_each(|_| used.uncount(&member.quota, *kind));
            }
            !gone
        });
        if lanes.len() < before {
            books.dismiss(|starving| starving.lane.is_closed());
            drop(self.pass_on(books));
        }
    }

    fn note(&self, books: &Books) {
        let contended = books.starving.iter().any(|starving| !starving.is_served() && !starving.fills_alone);
        self.contended.store(contended, Ordering::Relaxed);
    }
}

impl Books {
    /// Takes lanes out of the queue, and back what they got.
    fn dismiss(&mut self, who: impl Fn(&Starving) -> bool) {
        while let Some(place) = self.starving.iter().position(&who) {
            let starving = self.starving.remove(place);
            for kind in KINDS.into_iter().filter(|kind| !starving.lacks[*kind as usize]) {
                self.used.uncount(&starving.quota, kind);
            }
        }
    }

    /// A lane has one server less; what that counted against. None: it is forgotten, and its places with it.
    fn leave(&mut self, lane: &Chores) -> Option<Quota> {
        let member = self.lanes.iter_mut().find(|member| member.lane.is_same(lane))?;
        member.places = member.places.checked_sub(1).expect("invariant: what is released was acquired");
        if let Some(starving) = self.starving.iter_mut().find(|starving| starving.lane.is_same(lane)) {
            starving.fills_alone = starving.quota.is_filled_by(member.places);
        }
        Some(member.quota.clone())
    }
}

impl Starving {
    fn is_served(&self) -> bool {
        self.lacks == [false; 2]
    }

    /// Takes what there is of what it lacks. Whether that was the last.
    fn gather(&mut self, used: &mut Used) -> bool {
        if self.is_served() || self.fills_alone {
            return false;
        }
        for kind in KINDS {
            if self.lacks[kind as usize] && used.has_room(&self.quota, kind) {
                used.count(&self.quota, kind);
                self.lacks[kind as usize] = false;
            }
        }
        self.is_served()
    }

    /// Whether a server closed in another lane brings it nearer to its place.
    fn wants_from(&self, other: &Quota, lane: &Chores) -> bool {
        let lacks = |kind: Kind| self.lacks[kind as usize] && self.quota.shares(kind, other);
        !self.fills_alone && KINDS.into_iter().any(lacks) && !self.lane.is_same(lane)
    }
}

/// Places in use, by kind and name.
#[derive(Default)]
struct Used([HashMap<String, usize>; 2]);

impl Used {
    fn has_room(&self, quota: &Quota, kind: Kind) -> bool {
        let used = self.0[kind as usize].get(quota.name(kind)).copied().unwrap_or(0);
        quota.limit(kind) == 0 || used < quota.limit(kind)
    }

    fn count(&mut self, quota: &Quota, kind: Kind) {
        *self.0[kind as usize].entry(quota.name(kind).to_owned()).or_default() += 1;
    }

    fn uncount(&mut self, quota: &Quota, kind: Kind) {
        let counts = &mut self.0[kind as usize];
        if let Some(count) = counts.get_mut(quota.name(kind)) {
            *count -= 1;
            if *count == 0 {
                counts.remove(quota.name(kind));
            }
        }
    }
}

#[cfg(test)]
mod tests;
