//! What a reload and an operator do to a lane while it serves.

use super::{Lane, LaneSpec};
use crate::clock;
use crate::ids::WorkerId;
use crate::net::Found;
#[cfg(doc)]
use crate::pool::core::PoolCore;
use crate::pool::steward::Chore;
use crate::session::Welcome;
use crate::sql::Isolation;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

impl Lane {
    /// Whether it can go on under `spec`: on the same host, in the same role. Whatever else differs can be changed.
    pub fn can_become(&self, spec: &LaneSpec) -> bool {
        let own = self.spec.load();
        own.login.address == spec.login.address && own.quota.user == spec.quota.user
    }

    /// Goes on under `spec`. With `retire` its servers are replaced: idle ones now, the others when they come in.
    pub fn renew(&self, spec: LaneSpec, retire: bool) {
        let (limits, generation) = (spec.limits.clone(), spec.login.generation);
        let before = self.spec.swap(Arc::new(spec));
        let quota = &self.spec.load().quota;
        if before.quota != *quota {
            self.ledger.enroll(quota, &self.chores);
        }
        self.with_books(|books, now, todo| {
            books.set_limits(now, limits, todo);
            if retire {
                self.failure.store(None);
                self.come_with(None);
                books.retire(now, generation, todo);
            }
        });
        self.chores.send(Chore::Look);
    }

    /// What its servers come with, from now on.
    pub(super) fn come_with(&self, welcome: Option<Welcome>) {
        let isolation = welcome.as_ref().and_then(|welcome| welcome.isolation);
        self.serializable.store(isolation == Some(Isolation::Serializable), Ordering::Release);
        self.welcome.store(welcome.map(Arc::new));
    }

    /// How far transactions are isolated there if nobody says otherwise, as far as its newest server says.
    pub fn isolation(&self) -> Option<Isolation> {
        self.welcome.load().as_ref()?.isolation
    }

    /// Whether they are serializable. Costs one load.
    pub fn is_serializable(&self) -> bool {
        self.serializable.load(Ordering::Acquire)
    }

    /// Replaces the servers at addresses that are `lost` to its host: idle ones now, the others when they come in. Returns
    /// how many there are that it did not know of.
    pub fn leave(&self, lost: impl Fn(IpAddr) -> bool) -> usize {
        let servers: Vec<_> = self.servers.lock().iter().filter_map(Weak::upgrade).collect();
        let lost = servers.iter().filter(|server| server.line.peer.is_some_and(|end| lost(end.ip)));
        let left = lost.filter(|server| server.outdate()).count();
        if left > 0 {
            self.try_again();
        }
        left
    }

    /// Whether its servers are opened where this says.
    pub fn is_found_as(&self, found: &Arc<Found>) -> bool {
        Arc::ptr_eq(&self.spec.load().login.found, found)
    }

    /// Its host may not be written to any more, or not yet again: nothing that servers opened until now say reaches a client, idle
    /// ones are closed, and who waits is told to look for another lane.
    pub fn revoke(&self) {
        let servers: Vec<_> = self.servers.lock().iter().filter_map(Weak::upgrade).collect();
        servers.iter().for_each(|server| server.revoke());
        self.try_again();
        for waiter in self.with_books(|books, _, _| books.drain()) {
            waiter.put(|mail| mail.sent_away = true);
        }
    }

    /// See [`PoolCore::close_idle_of`].
    pub fn close_idle_of(&self, worker: WorkerId) {
        self.with_books(|books, now, todo| books.close_idle_of(now, worker, todo));
    }

    /// See [`PoolCore::pause`].
    pub fn pause(&self) {
        self.with_books(|books, _, todo| books.pause(todo));
    }

    /// See [`PoolCore::resume`].
    pub fn resume(&self) {
        self.with_books(|books, now, todo| books.resume(now, todo));
        self.chores.send(Chore::Look);
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.books.lock().is_paused()
    }

    /// Whether it has no server and none is being opened.
    pub fn is_empty(&self) -> bool {
        let stats = self.stats(clock::now());
        stats.idle + stats.active + stats.opening == 0
    }

    /// See [`PoolCore::close`]: who waits is told to look for another lane. Its steward keeps it until its last server has
    /// gone.
    pub fn close(self: &Arc<Self>) {
        let waiting = self.with_books(|books, _, todo| books.close(todo));
        for waiter in waiting {
            waiter.put(|mail| mail.sent_away = true);
        }
        self.chores.send(Chore::Outlive(self.clone()));
    }
}
