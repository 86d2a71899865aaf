//! Attempts to open a server: when one may begin, and what comes of it.

use super::words::Service;
use super::{Action, Actions, Attempt, PoolCore, Pooled, Rest, seat_of, worker_of};
use crate::clock::Instant;
use crate::ids::WorkerId;

impl<S: Pooled, W> PoolCore<S, W> {
    /// An attempt succeeded on `worker`: the server goes to the oldest waiter, or becomes idle. If
    /// the host had been failing, the openings held back begin.
    pub fn opened(&mut self, now: Instant, attempt: Attempt, worker: WorkerId, server: S, actions: &mut Actions<S, W>) {
        self.end(attempt);
        self.failing = false;
        self.rest = None;
        self.active += 1;
        // Not asked for its age: with a lifetime of 0 it would never serve.
        if let Some(reason) = self.misfit(&server) {
            self.close_active(now, server, reason, actions);
            return;
        }
        match self.oldest_seat() {
            Some(to) => self.grant(now, to, seat_of(worker), server, actions),
            None => self.shelve(now, worker, server),
        }
        self.settle(now, actions);
    }

    /// An attempt failed: no other one begins before `rest` is over, and from then on one at a time until one succeeds.
    /// If it says `refuse`, the caller fails [`PoolCore::drain_refused`] under the same lock. What failed with a
    /// configuration that has been replaced says nothing about the one in force.
    pub fn open_failed(&mut self, now: Instant, attempt: Attempt, rest: Rest, actions: &mut Actions<S, W>) {
        let out_of_date = attempt.generation < self.generation;
        self.end(attempt);
        if out_of_date {
            self.settle(now, actions);
        } else {
            self.fail(now, rest, actions);
        }
    }

    /// The Ledger did not allow the attempt. Nothing is opened until [`PoolCore::poke`]; if that
    /// came while the attempt was under way, the refusal is out of date and is asked for again.
    pub fn open_refused(&mut self, now: Instant, attempt: Attempt, actions: &mut Actions<S, W>) {
        let out_of_date = attempt.pokes != self.pokes;
        self.end(attempt);
        self.refused |= !out_of_date;
        self.settle(now, actions);
    }

    /// Nobody waited for the attempt, and there was no room in the Ledger to spare: [`PoolCore::tick`] tries again.
    pub fn open_forgone(&mut self, now: Instant, attempt: Attempt, actions: &mut Actions<S, W>) {
        self.end(attempt);
        self.settle(now, actions);
    }

    /// If nobody waits, a refusal of the Ledger is forgotten. The caller leaves the Ledger's queue under the same lock.
    pub fn forget_refusal(&mut self) -> bool {
        self.refused &= self.waiting > 0;
        self.waiting == 0
    }

    /// Whether the Ledger is asked for a place that nobody waits for any more; see [`PoolCore::forget_refusal`].
    pub fn asks_for_nobody(&self) -> bool {
        self.refused && self.waiting == 0
    }

    /// The Ledger may have room again.
    pub fn poke(&mut self, now: Instant, actions: &mut Actions<S, W>) {
        self.pokes += 1;
        self.refused = false;
        self.settle(now, actions);
    }

    /// Whether the last attempt to open a server failed.
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    pub(super) fn fail(&mut self, now: Instant, rest: Rest, actions: &mut Actions<S, W>) {
        self.failing = true;
        self.rest = Some(rest);
        // What the failed attempt was to serve may be served by another worker's idle server.
        self.serve_from_idle(now, 0, actions);
    }

    /// Whether nothing can be had now but the reason.
    pub(super) fn refuses(&self, now: Instant) -> bool {
        self.open() == 0
            && self.service == Service::Open
            && self.rest.as_ref().is_some_and(|rest| rest.refuse && now < rest.until)
    }

    /// Begins attempts until `wanted` are under way, the first for seat `first`.
    pub(super) fn open_up_to(
        &mut self,
        wanted: usize,
        first: Option<usize>,
        now: Instant,
        actions: &mut Actions<S, W>,
    ) {
        let mut seat = first;
        while self.opening < wanted && self.may_open(now) {
            let opener = seat.take().unwrap_or_else(|| self.next_opener());
            actions.push(Action::Open(self.begin(opener)));
        }
    }

    fn begin(&mut self, seat: usize) -> Attempt {
        self.opening += 1;
        self.last_opener = seat;
        Attempt { worker: worker_of(seat), pokes: self.pokes, generation: self.generation }
    }

    fn end(&mut self, _answered: Attempt) {
        self.opening = self.opening.checked_sub(1).expect("invariant: each attempt was counted and is answered once");
    }

    /// The next seat in turn that has waiters; the next in turn if none has.
    fn next_opener(&self) -> usize {
        let next = |step| (self.last_opener + step) % self.seats.len();
        (1..=self.seats.len()).map(next).find(|seat| !self.seats[*seat].waiters.is_empty()).unwrap_or(next(1))
    }

    fn may_open(&self, now: Instant) -> bool {
        let rested = self.rest.as_ref().is_none_or(|rest| rest.until <= now);
        self.service == Service::Open
            && !self.refused
            && rested
            && (!self.failing || self.opening == 0)
            && self.has_slot(now)
    }

    pub(super) fn has_slot(&self, now: Instant) -> bool {
        let taken = self.slots_taken();
        taken < self.limits.ordinary()
            || taken < self.limits.utmost()
                && self.oldest_wait(now).is_some_and(|waited| waited >= self.limits.reserve_timeout)
    }
}
