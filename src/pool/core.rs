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
mod attempts;
mod closing;
mod queue;
mod service;
mod shelf;
mod words;

use crate::clock::Instant;
use std::time::Duration;

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
        if self.refuses(now) { self.drain() } else { Vec::new() }
    }

    /// Takes all waiters, those of each worker in order.
    pub fn drain(&mut self) -> Vec<W> {
        self.waiting = 0;
        self.seats.iter_mut().flat_map(|seat| seat.waiters.drain()).collect()
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

    /// Servers that have been idle since then or longer.
    pub fn idle_since(&self, then: Instant) -> usize {
        self.seats.iter().map(|seat| seat.idle.idle_since(then)).sum()
    }

    /// How much is under way or waits.
    pub fn load(&self) -> usize {
        self.active + self.waiting
    }

    /// How long the first in the queue has waited. None: nobody waits.
    pub fn oldest_wait(&self, now: Instant) -> Option<Duration> {
        self.oldest_arrival().map(|first| now.saturating_duration_since(first.since))
    }

    /// After every change: waiters beyond the openings under way get idle servers of other workers,
    /// and those still left get openings, as far as the limits go.
    fn settle(&mut self, now: Instant, actions: &mut Actions<S, W>) {
        self.serve_from_idle(now, self.opening, actions);
        self.open_up_to(self.waiting, None, now, actions);
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

    fn shelve(&mut self, now: Instant, worker: WorkerId, server: S) {
        self.active -= 1;
        self.idle += 1;
        let key = server.state_key();
        self.seats[seat_of(worker)].idle.put(server, key, now);
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
