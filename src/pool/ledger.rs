//! Limits over several pools: servers of one database over all users, and of one user over all databases. Locked only
//! to open or close a server.

use super::steward::{Chore, Chores};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

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
    // Somebody was refused and waits: idle servers are to be given up.
    contended: AtomicBool,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    databases: HashMap<String, usize>,
    users: HashMap<String, usize>,
    lanes: Vec<(Quota, Chores)>,
    starving: Vec<(Quota, Chores)>,
}

impl Ledger {
    /// A lane exists: it may be asked to give up idle servers. Lanes that are gone are forgotten.
    pub fn enroll(&self, quota: &Quota, lane: &Chores) {
        let mut books = self.books.lock();
        books.lanes.retain(|(_, chores)| !chores.is_closed());
        books.lanes.push((quota.clone(), lane.clone()));
    }

    /// May one more server be opened? If not, `lane` is poked when one has closed, and lanes with idle servers under the
    /// same limits are asked to give one up.
    pub fn acquire(&self, quota: &Quota, lane: &Chores) -> bool {
        let mut books = self.books.lock();
        let database = books.databases.get(&quota.database).copied().unwrap_or(0);
        let user = books.users.get(&quota.user).copied().unwrap_or(0);
        let full = |used: usize, limit: usize| limit > 0 && used >= limit;
        if full(database, quota.database_limit) || full(user, quota.user_limit) {
            self.contended.store(true, Ordering::Relaxed);
            books.starving.push((quota.clone(), lane.clone()));
            for (other, chores) in &books.lanes {
                if quota.shares_limit_with(other) && !chores.is_same(lane) {
                    chores.send(Chore::GiveUpIdle);
                }
            }
            return false;
        }
        *books.databases.entry(quota.database.clone()).or_default() += 1;
        *books.users.entry(quota.user.clone()).or_default() += 1;
        true
    }

    /// A server has closed.
    pub fn release(&self, quota: &Quota) {
        let mut books = self.books.lock();
        down(&mut books.databases, &quota.database);
        down(&mut books.users, &quota.user);
        self.contended.store(false, Ordering::Relaxed);
        for (_, lane) in std::mem::take(&mut books.starving) {
            lane.send(Chore::Poke);
        }
    }

    /// Whether another lane waits for this one to give up an idle server: its own waiters get its servers as they come
    /// in. Costs one load when nobody waits.
    pub fn wants_back(&self, quota: &Quota, lane: &Chores) -> bool {
        let waits = |(starving, chores): &(Quota, Chores)| starving.shares_limit_with(quota) && !chores.is_same(lane);
        self.contended.load(Ordering::Relaxed) && self.books.lock().starving.iter().any(waits)
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
