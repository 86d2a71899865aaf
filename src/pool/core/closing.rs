//! Which servers are closed, and when: those that are dead, old, out of date, or too many.

use super::words::Service;
use super::{Action, Actions, CloseReason, Limits, PoolCore, Pooled, seat_of};
use crate::clock::Instant;
use crate::ids::WorkerId;

impl<S: Pooled, W> PoolCore<S, W> {
    /// Once a second: closes idle servers that are dead, idle for too long, too old or too many,
    /// opens up to `min` while the pool is `live` (it has a forced user or a client), serves the
    /// waiters that all of this concerns, and uses the reserve.
    pub fn tick(
        &mut self,
        now: Instant,
        live: bool,
        mut healthy: impl FnMut(&mut S) -> bool,
        actions: &mut Actions<S, W>,
    ) {
        self.live = live;
        let (lifetime, servers, failing) = (self.limits.lifetime, self.spacing_size(), self.failing);
        let idle_timeout = self.limits.idle_timeout;
        let mut spare = self.open().saturating_sub(self.kept_open());
        let mut ageing = std::mem::take(&mut self.ageing);
        self.sweep(actions, |server, since| {
            let idle_too_long = idle_timeout.is_some_and(|limit| now.saturating_duration_since(since) >= limit);
            let reason = if !healthy(server) {
                CloseReason::Dead
            } else if idle_too_long && spare > 0 {
                CloseReason::IdleTooLong
            } else if !lifetime.is_zero() && ageing.due(now, server.opened(), lifetime, servers, failing) {
                // With a lifetime of 0 an idle server is one that has not served yet.
                CloseReason::Aged
            } else {
                return None;
            };
            spare = spare.saturating_sub(1);
            Some(reason)
        });
        self.ageing = ageing;
        // Servers of the reserve go once one is idle for a look: nobody is in need any more.
        self.close_idle_above(self.limits.ordinary(), actions);
        // An opening that hangs must not keep a waiter from an idle server for ever.
        self.serve_from_idle(now, 0, actions);
        self.deadline_passed(now, actions);
    }

    /// Servers of a generation older than this are closed: now if idle, else when they come in. What failed before may
    /// succeed with the new configuration: a rest ends.
    pub fn retire(&mut self, now: Instant, generation: u64, actions: &mut Actions<S, W>) {
        self.generation = self.generation.max(generation);
        self.rest = None;
        let oldest_kept = self.generation;
        self.sweep(actions, |server, _| (server.generation() < oldest_kept).then_some(CloseReason::Retired));
        self.settle(now, actions);
    }

    /// Replaces the limits. What is too many is closed when idle.
    pub fn set_limits(&mut self, now: Instant, limits: Limits, actions: &mut Actions<S, W>) {
        self.limits = limits;
        self.close_idle_above(self.limits.utmost(), actions);
        self.settle(now, actions);
    }

    /// A worker's runtime has ended, and what was registered with it neither reads nor writes any more: its idle servers are
    /// closed.
    pub fn close_idle_of(&mut self, now: Instant, worker: WorkerId, actions: &mut Actions<S, W>) {
        while let Some(server) = self.seats[seat_of(worker)].idle.take_oldest() {
            self.idle -= 1;
            actions.push(Action::Close { server, reason: CloseReason::Dead });
        }
        self.settle(now, actions);
    }

    /// Gives up the longest idle server, so that another pool can have its place in the Ledger. The
    /// caller closes it.
    pub fn take_idle_oldest(&mut self) -> Option<S> {
        let shelves = self.seats.iter_mut().map(|seat| &mut seat.idle).filter(|shelf| shelf.len() > 0);
        let server = shelves.min_by_key(|shelf| shelf.oldest())?.take_oldest()?;
        self.idle -= 1;
        Some(server)
    }

    /// Servers that share a lifetime between them.
    fn spacing_size(&self) -> usize {
        if self.limits.size == 0 { self.open() } else { self.limits.size }
    }

    /// Why a server, counted as active, may not go on whatever its age.
    pub(super) fn misfit(&self, server: &S) -> Option<CloseReason> {
        if self.service == Service::Paused {
            Some(CloseReason::Paused)
        } else if self.service == Service::Closed || server.generation() < self.generation {
            Some(CloseReason::Retired)
        } else if self.slots_taken() > self.limits.utmost() {
            Some(CloseReason::OverLimit)
        } else {
            None
        }
    }

    pub(super) fn aged(&mut self, now: Instant, server: &S) -> bool {
        let servers = self.spacing_size();
        self.ageing.due(now, server.opened(), self.limits.lifetime, servers, self.failing)
    }

    pub(super) fn close_active(&mut self, now: Instant, server: S, reason: CloseReason, actions: &mut Actions<S, W>) {
        self.active -= 1;
        actions.push(Action::Close { server, reason });
        self.settle(now, actions);
    }

    /// Closes the idle servers for which `verdict`, given the server and since when it is idle, has
    /// a reason.
    pub(super) fn sweep(
        &mut self,
        actions: &mut Actions<S, W>,
        mut verdict: impl FnMut(&mut S, Instant) -> Option<CloseReason>,
    ) {
        for seat in &mut self.seats {
            let before = seat.idle.len();
            seat.idle.sweep(
                |idle| verdict(&mut idle.server, idle.since),
                |server, reason| actions.push(Action::Close { server, reason }),
            );
            self.idle -= before - seat.idle.len();
        }
    }

    fn close_idle_above(&mut self, limit: usize, actions: &mut Actions<S, W>) {
        while self.open() > limit
            && let Some(server) = self.take_idle_oldest()
        {
            actions.push(Action::Close { server, reason: CloseReason::OverLimit });
        }
    }
}
