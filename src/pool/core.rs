//! Book-keeping of one lane: who holds a server, who waits for one, when to open or close one.
//!
//! Pure: no sockets, no clock, no tasks, no lock. Callers hold a short mutex around each call, pass
//! `now`, and carry out the returned [`Action`]s after unlocking. What it deliberately does not
//! know: hosts, how long a backoff is, limits over several pools (the `Ledger`), timeouts of waiters.
//!
//! ```text
//!            Open ─► opened ──────┐
//!                                 ▼
//!   checkout ◄── idle (per worker) ◄── checkin ──► Grant to a waiter
//!      │                                               ▲
//!      └────────► waiters (per worker, FIFO) ──────────┘
//! ```
//!
//! Invariant: while a server is idle, every waiter has an opening of its own under way. The caller
//! owes exactly one answer for each [`Attempt`] (opened, failed, refused) and for each server
//! handed out (checked in, discarded, stillborn), and a call of [`PoolCore::deadline_passed`] in time.

mod ageing;
mod queue;
mod service;
mod shelf;
mod words;

use std::time::{Duration, Instant};

use crate::ids::WorkerId;
use ageing::Ageing;
use queue::{Arrival, Queue};
use shelf::Shelf;
use words::Service;

pub use words::{Action, Actions, Attempt, Checkout, CloseReason, Limits, Pooled, Rest, Stats, WaiterId};

/// A waiter on another worker is preferred to one's own only after this wait: waking another
/// thread's task costs up to 40 µs, so it must be rare.
const PATIENCE: Duration = Duration::from_millis(1);

/// What one worker has of the lane.
#[derive(Debug)]
struct Seat<S, W> {
    idle: Shelf<S>,
    waiters: Queue<W>,
}

/// The book-keeping of one lane, over servers `S` and waiters' mailboxes `W`.
#[derive(Debug)]
pub struct PoolCore<S, W> {
    limits: Limits,
    service: Service,
    generation: u64,
    seats: Box<[Seat<S, W>]>,
    /// Sum over the seats.
    idle: usize,
    active: usize,
    opening: usize,
    /// Sum over the seats.
    waiting: usize,
    /// The last attempt failed: one attempt at a time until one succeeds.
    failing: bool,
    /// What the last failure asked for, until its end has been noticed.
    rest: Option<Rest>,
    /// The Ledger said no, and nobody has poked since.
    refused: bool,
    pokes: u64,
    /// Whether `min` counts; as of the last tick.
    live: bool,
    ageing: Ageing,
    /// Moving average over the last waits, weight 1/8.
    mean_wait: Duration,
    next_sequence: u64,
    /// The seat of the last attempt.
    last_opener: usize,
}

impl<S: Pooled, W> PoolCore<S, W> {
    /// An empty lane for workers 0 to `workers` - 1. A lane has one worker at least.
    pub fn new(limits: Limits, workers: usize) -> Self {
        Self {
            limits,
            service: Service::Open,
            generation: 1,
            seats: (0..workers.max(1)).map(|_| Seat { idle: Shelf::new(), waiters: Queue::new() }).collect(),
            idle: 0,
            active: 0,
            opening: 0,
            waiting: 0,
            failing: false,
            rest: None,
            refused: false,
            pokes: 0,
            live: false,
            ageing: Ageing::default(),
            mean_wait: Duration::ZERO,
            next_sequence: 0,
            last_opener: 0,
        }
    }

    /// A client of `worker` needs a server, best one in state `state_key`: an idle one of its own
    /// worker, else a new one if there is a slot, else an idle one of another worker. Refused while
    /// there is none and none can be opened, see [`Rest::refuse`]; a lane that was closed sends it away.
    ///
    /// `waiter` is called only if it has to wait.
    pub fn checkout(
        &mut self,
        now: Instant,
        worker: WorkerId,
        state_key: u64,
        waiter: impl FnOnce() -> W,
        actions: &mut Actions<S, W>,
    ) -> Checkout<S> {
        let own = seat_of(worker);
        if let Some(server) = self.seats[own].idle.take(state_key, self.limits.round_robin) {
            self.idle -= 1;
            self.active += 1;
            return Checkout::Server { server, moved: false };
        }
        let can_grow = !self.failing && !self.refused && self.has_slot(now);
        if !can_grow && let Some((server, from)) = self.take_from_fullest() {
            self.active += 1;
            return Checkout::Server { server, moved: from != own };
        }
        if self.service == Service::Closed {
            return Checkout::Closed;
        }
        if self.refuses(now) {
            return Checkout::Refused;
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.seats[own].waiters.push(sequence, now, waiter());
        self.waiting += 1;
        self.open_up_to(self.waiting, Some(own), now, actions);
        Checkout::Wait(WaiterId { sequence, worker })
    }

    /// The idle server that is the one a client of `worker` wants, if there is, and whether it has to move.
    pub fn checkout_which(&mut self, worker: WorkerId, is_it: impl Fn(&S) -> bool) -> Option<(S, bool)> {
        let found = |(at, seat): (usize, &mut Seat<S, W>)| Some((seat.idle.take_which(&is_it)?, at));
        let (server, at) = self.seats.iter_mut().enumerate().find_map(found)?;
        self.idle -= 1;
        self.active += 1;
        Some((server, at != seat_of(worker)))
    }

    /// A clean server comes back on `worker`: it goes to a waiter, or becomes idle, or is closed
    /// (replaced configuration, over the limits, too old).
    pub fn checkin(&mut self, now: Instant, worker: WorkerId, server: S, actions: &mut Actions<S, W>) {
        debug_assert!(self.active > 0, "a server came in that was not handed out");
        let unfit = self.misfit(&server).or_else(|| self.aged(now, &server).then_some(CloseReason::Aged));
        if let Some(reason) = unfit {
            self.close_active(now, server, reason, actions);
            return;
        }
        match self.whose_turn(now, seat_of(worker)) {
            Some(to) => self.grant(now, to, seat_of(worker), server, actions),
            None => self.shelve(now, worker, server),
        }
    }

    /// A clean server comes back whose place in the Ledger another lane is to have: it is closed.
    pub fn forfeit(&mut self, now: Instant, server: S, actions: &mut Actions<S, W>) {
        self.close_active(now, server, CloseReason::Forfeited, actions);
    }

    /// A server that was handed out has been closed: its slot is free.
    pub fn discarded(&mut self, now: Instant, actions: &mut Actions<S, W>) {
        self.active = self.active.checked_sub(1).expect("invariant: only a server that was handed out is discarded");
        self.settle(now, actions);
    }

    /// A server that was handed out was found dead before it served anybody: its opening has failed after all.
    pub fn stillborn(&mut self, now: Instant, rest: Rest, actions: &mut Actions<S, W>) {
        self.active = self.active.checked_sub(1).expect("invariant: only a server that was handed out is stillborn");
        self.fail(now, rest, actions);
    }

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

    /// A waiter leaves the queue. False: it is not in it any more; its grant (or its failure, after
    /// [`PoolCore::drain_refused`]) is in its mailbox or on the way there, and a granted server has
    /// to be checked in by the caller.
    #[must_use = "a server that was granted already must be checked in"]
    pub fn give_up(&mut self, waiter: WaiterId) -> bool {
        let left = self.seats[seat_of(waiter.worker)].waiters.remove(waiter.sequence);
        self.waiting -= usize::from(left);
        left
    }

    /// Takes the waiters that would be refused if they came now, to be told why.
    pub fn drain_refused(&mut self, now: Instant) -> Vec<W> {
        if !self.refuses(now) {
            return Vec::new();
        }
        self.waiting = 0;
        self.seats.iter_mut().flat_map(|seat| seat.waiters.drain()).collect()
    }

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

    /// A rest is over or the reserve is due; see [`PoolCore::next_deadline`].
    pub fn deadline_passed(&mut self, now: Instant, actions: &mut Actions<S, W>) {
        self.rest.take_if(|rest| rest.until <= now);
        self.serve_from_idle(now, self.opening, actions);
        self.open_up_to(self.wanted(), None, now, actions);
    }

    /// When [`PoolCore::deadline_passed`] should be called, if nothing happens before. May have passed.
    pub fn next_deadline(&self) -> Option<Instant> {
        if let Some(rest) = &self.rest {
            return Some(rest.until);
        }
        let reserve_would_help = (self.limits.ordinary()..self.limits.utmost()).contains(&self.slots_taken())
            && self.opening < self.waiting
            && !self.failing
            && !self.refused
            && self.service == Service::Open;
        let oldest = self.oldest_arrival().filter(|_| reserve_would_help)?;
        oldest.since.checked_add(self.limits.reserve_timeout)
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

    /// Gives up the longest idle server, so that another pool can have its place in the Ledger. The
    /// caller closes it.
    pub fn take_idle_oldest(&mut self) -> Option<S> {
        let shelves = self.seats.iter_mut().map(|seat| &mut seat.idle).filter(|shelf| shelf.len() > 0);
        let server = shelves.min_by_key(|shelf| shelf.oldest())?.take_oldest()?;
        self.idle -= 1;
        Some(server)
    }

    /// Counts as of now.
    pub fn stats(&self, now: Instant) -> Stats {
        Stats {
            idle: self.idle,
            active: self.active,
            opening: self.opening,
            waiting: self.waiting,
            oldest_wait: self.oldest_wait(now).unwrap_or_default(),
        }
    }

    /// How long the first in the queue has waited. None: nobody waits.
    pub fn oldest_wait(&self, now: Instant) -> Option<Duration> {
        self.oldest_arrival().map(|first| now.saturating_duration_since(first.since))
    }

    /// Whether the last attempt to open a server failed.
    pub fn is_failing(&self) -> bool {
        self.failing
    }

    /// After every change: waiters beyond the openings under way get idle servers of other workers,
    /// and those still left get openings, as far as the limits go.
    fn settle(&mut self, now: Instant, actions: &mut Actions<S, W>) {
        self.serve_from_idle(now, self.opening, actions);
        self.open_up_to(self.waiting, None, now, actions);
    }

    fn fail(&mut self, now: Instant, rest: Rest, actions: &mut Actions<S, W>) {
        self.failing = true;
        self.rest = Some(rest);
        // What the failed attempt was to serve may be served by another worker's idle server.
        self.serve_from_idle(now, 0, actions);
    }

    /// Whether nothing can be had now but the reason.
    fn refuses(&self, now: Instant) -> bool {
        self.open() == 0
            && self.service == Service::Open
            && self.rest.as_ref().is_some_and(|rest| rest.refuse && now < rest.until)
    }

    /// Gives idle servers to the oldest waiters until only `covered` of them wait.
    fn serve_from_idle(&mut self, now: Instant, covered: usize, actions: &mut Actions<S, W>) {
        while self.waiting > covered
            && let Some(to) = self.oldest_seat()
            && let Some((server, from)) = self.take_from_fullest()
        {
            self.active += 1;
            self.grant(now, to, from, server, actions);
        }
    }

    /// Begins attempts until `wanted` are under way, the first for seat `first`.
    fn open_up_to(&mut self, wanted: usize, first: Option<usize>, now: Instant, actions: &mut Actions<S, W>) {
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

    fn has_slot(&self, now: Instant) -> bool {
        let taken = self.slots_taken();
        taken < self.limits.ordinary()
            || taken < self.limits.utmost()
                && self.oldest_wait(now).is_some_and(|waited| waited >= self.limits.reserve_timeout)
    }

    /// Attempts that would not be too many now.
    fn wanted(&self) -> usize {
        self.waiting.max(self.kept_open().saturating_sub(self.open()))
    }

    /// Servers to keep open even if idle.
    fn kept_open(&self) -> usize {
        if self.live { self.limits.min.min(self.limits.ordinary()) } else { 0 }
    }

    fn open(&self) -> usize {
        self.idle + self.active
    }

    fn slots_taken(&self) -> usize {
        self.open() + self.opening
    }

    /// Servers that share a lifetime between them.
    fn spacing_size(&self) -> usize {
        if self.limits.size == 0 { self.open() } else { self.limits.size }
    }

    /// Why a server, counted as active, may not go on whatever its age.
    fn misfit(&self, server: &S) -> Option<CloseReason> {
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

    fn aged(&mut self, now: Instant, server: &S) -> bool {
        let servers = self.spacing_size();
        self.ageing.due(now, server.opened(), self.limits.lifetime, servers, self.failing)
    }

    fn close_active(&mut self, now: Instant, server: S, reason: CloseReason, actions: &mut Actions<S, W>) {
        self.active -= 1;
        actions.push(Action::Close { server, reason });
        self.settle(now, actions);
    }

    fn shelve(&mut self, now: Instant, worker: WorkerId, server: S) {
        self.active -= 1;
        self.idle += 1;
        let key = server.state_key();
        self.seats[seat_of(worker)].idle.put(server, key, now);
    }

    /// Closes the idle servers for which `verdict`, given the server and since when it is idle, has
    /// a reason.
    fn sweep(&mut self, actions: &mut Actions<S, W>, mut verdict: impl FnMut(&mut S, Instant) -> Option<CloseReason>) {
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

    /// Takes the longest idle server of the seat that has most, and says which seat that is.
    fn take_from_fullest(&mut self) -> Option<(S, usize)> {
        if self.idle == 0 {
            return None;
        }
        let (from, seat) = self.seats.iter_mut().enumerate().max_by_key(|(_, seat)| seat.idle.len())?;
        let server = seat.idle.take_oldest()?;
        self.idle -= 1;
        Some((server, from))
    }

    /// The seat whose first waiter gets a server that came in at `own`: one's own first, unless one
    /// elsewhere has waited much longer.
    fn whose_turn(&self, now: Instant, own: usize) -> Option<usize> {
        if self.waiting == 0 {
            return None;
        }
        let oldest = self.oldest_seat()?;
        let (Some(mine), Some(theirs)) = (self.seats[own].waiters.first(), self.seats[oldest].waiters.first()) else {
            return Some(oldest);
        };
        let theirs_waited = now.saturating_duration_since(theirs.since);
        let longer = mine.since.saturating_duration_since(theirs.since);
        Some(if theirs_waited > PATIENCE && longer > self.mean_wait * 2 { oldest } else { own })
    }

    /// The seat whose first waiter came before all others.
    fn oldest_seat(&self) -> Option<usize> {
        let firsts = self.seats.iter().enumerate().filter_map(|(at, seat)| Some((at, seat.waiters.first()?.sequence)));
        firsts.min_by_key(|(_, sequence)| *sequence).map(|(at, _)| at)
    }

    fn oldest_arrival(&self) -> Option<Arrival> {
        self.oldest_seat().and_then(|seat| self.seats[seat].waiters.first())
    }

    /// Hands an active server that is registered at seat `from` to the first waiter of seat `to`.
    fn grant(&mut self, now: Instant, to: usize, from: usize, server: S, actions: &mut Actions<S, W>) {
        let (since, waiter) =
            self.seats[to].waiters.pop().expect("invariant: a seat is chosen because somebody waits there");
        self.waiting -= 1;
        let waited = now.saturating_duration_since(since);
        self.mean_wait = (self.mean_wait * 7 + waited) / 8;
        actions.push(Action::Grant { waiter, worker: worker_of(to), server, moved: to != from, waited });
    }
}

fn seat_of(worker: WorkerId) -> usize {
    usize::from(worker.0)
}

fn worker_of(seat: usize) -> WorkerId {
    WorkerId(u16::try_from(seat).expect("invariant: seats are counted by worker ids"))
}

#[cfg(test)]
mod tests;
