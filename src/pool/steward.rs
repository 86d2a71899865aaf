//! The task that looks after one lane: opens servers, takes back slots, looks at idle servers once a second.

use super::core::{Action, Attempt, WaiterId};
use super::lane::Lane;
use super::mailbox::Mailbox;
use super::opening::{Opening, open};
use crate::clock::{self, Instant};
use crate::ids::{Numbers, ServerId, WorkerId};
use crate::metrics::{ConnectResult, HostMeter};
use crate::server::{CancelTarget, LoginError, abandon};
use parking_lot::Mutex;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often idle servers are looked at.
const ROUND: Duration = Duration::from_secs(1);

/// A host that failed is asked again at least this often: one lane asks once at a time, which costs it little, and clients
/// wait.
const KNOCK: Duration = Duration::from_millis(500);

/// A login that was refused for good is tried again after this long: whoever has put it right need not wait for it, and
/// one attempt a second for each lane is no storm.
const REFUSAL: Duration = Duration::from_secs(1);

/// Something for the steward to do.
pub enum Chore {
    /// Open one server.
    Open(Attempt),
    /// An attempt's task has ended without an answer.
    BrokenOff(Attempt),
    /// A server that was handed out has been closed.
    Freed,
    /// One that was handed out was closed in the middle of a statement, by a bug: nobody has cancelled it.
    Forsaken(Arc<CancelTarget>),
    /// A waiter's task is gone.
    Abandoned(WaiterId, Arc<Mailbox>),
    /// The ledger has a place for it.
    Poke,
    /// Others need room in the ledger.
    GiveUpIdle,
    /// The last waiter has left while the ledger was asked for a place.
    Unneeded,
    /// There is a new deadline.
    Look,
    /// The lane has been closed: it is kept until its last server has gone.
    Outlive(Arc<Lane>),
}

/// The way to a lane's steward. Sending neither blocks nor locks.
#[derive(Clone)]
pub struct Chores {
    home: WorkerId,
    queue: mpsc::UnboundedSender<Chore>,
}

impl Chores {
    /// The worker that the steward runs on.
    pub fn home(&self) -> WorkerId {
        self.home
    }

    /// Whether both lead to the same lane.
    pub fn is_same(&self, other: &Self) -> bool {
        self.queue.same_channel(&other.queue)
    }

    /// Whether the steward is gone, and its lane with it.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Leaves a chore. After the end of the process's life nobody takes it, and nobody misses it.
    pub fn send(&self, chore: Chore) {
        let _ = self.queue.send(chore);
    }
}

/// When a host that failed is tried again: 1/64 of `server_login_retry`, doubled at each failure up to the whole, less a
/// random part of up to half; several attempts that were under way at once fail once. At most [`KNOCK`] for one that is not there, and [`REFUSAL`] where it is not the host that
/// failed. Shared by all lanes on one host.
pub struct Backoff {
    /// What its attempts came to.
    pub meter: HostMeter,
    state: Mutex<Pace>,
}

struct Pace {
    longest: Duration,
    failures: u32,
    // When the last of them was. What had begun before it is no other one.
    last: Option<Instant>,
}

impl Backoff {
    /// `longest` is `server_login_retry`.
    pub fn new(longest: Duration) -> Self {
        Self { meter: HostMeter::default(), state: Mutex::new(Pace { longest, failures: 0, last: None }) }
    }

    /// A reload has changed `server_login_retry`.
    pub fn set_longest(&self, longest: Duration) {
        self.state.lock().longest = longest;
    }

    /// The host let somebody in.
    pub fn succeeded(&self) {
        self.meter.ended(ConnectResult::Ok);
        let mut state = self.state.lock();
        (state.failures, state.last) = (0, None);
    }

    /// The pause after the failure of an attempt that had `begun` then, which is the host's unless we ourselves lack descriptors;
    /// `random` is 0 to 255.
    pub fn failed(&self, error: &LoginError, begun: Instant, now: Instant, random: u8) -> Duration {
        self.meter.ended(result(error));
        let mut state = self.state.lock();
        let Pace { longest, failures, last } = &mut *state;
        if error.is_final() {
            return REFUSAL.min(*longest);
        }
        if error.is_our_own() {
            return KNOCK.min(*longest);
        }
        if last.is_none_or(|last| last <= begun) {
            (*failures, *last) = (failures.saturating_add(1), Some(now));
        }
        let mut pause = (*longest / 64).saturating_mul(1 << (*failures - 1).min(6)).min(*longest);
        if error.is_absence() {
            pause = pause.min(KNOCK);
        }
        pause.mul_f64(1.0 - f64::from(random) / 512.0)
    }
}

fn result(error: &LoginError) -> ConnectResult {
    match error {
        LoginError::Unreachable(_) if error.is_our_own() => ConnectResult::NoDescriptors,
        LoginError::Unreachable(_) => ConnectResult::Unreachable,
        LoginError::TimedOut => ConnectResult::Timeout,
        LoginError::Refused { .. } if error.is_absence() => ConnectResult::NotYet,
        _ => ConnectResult::Refused,
    }
}

/// A steward that has not started yet.
pub struct Steward {
    home: WorkerId,
    queue: mpsc::UnboundedReceiver<Chore>,
    numbers: Arc<Numbers>,
    // A closed lane, until its last server has gone: else nobody would give back the places of those.
    outlived: Option<Arc<Lane>>,
}

impl Steward {
    /// A steward for the worker `home`, and the way to it.
    pub fn new(home: WorkerId, numbers: Arc<Numbers>) -> (Self, Chores) {
        let (sender, queue) = mpsc::unbounded_channel();
        (Self { home, queue, numbers, outlived: None }, Chores { home, queue: sender })
    }

    /// The worker it must run on.
    pub fn home(&self) -> WorkerId {
        self.home
    }

    /// Serves the lane until it is dropped. Runs on `home`'s `LocalRuntime`. After a panic it may be run again: only the
    /// chore in hand is lost.
    pub async fn run(&mut self, lane: &Weak<Lane>) {
        let mut next_round = clock::now() + ROUND;
        loop {
            let deadline = lane.upgrade().map(|lane| lane.with_books(|books, _, _| books.next_deadline()));
            let Some(deadline) = deadline else { return };
            let wake = deadline.map_or(next_round, |at| at.min(next_round));
            let chore = tokio::time::timeout_at(wake.into(), self.queue.recv()).await;
            let Some(lane) = lane.upgrade() else { return };
            self.outlived.take_if(|lane| lane.is_empty());
            match chore {
                Ok(None) => return,
                Ok(Some(chore)) => self.handle(chore, &lane),
                Err(_) => self.on_time(&lane, &mut next_round),
            }
        }
    }

    /// What lies in the queue, for tests that are the steward themselves.
    #[cfg(test)]
    pub(super) fn next_chore(&mut self) -> Option<Chore> {
        self.queue.try_recv().ok()
    }

    fn on_time(&self, lane: &Arc<Lane>, next_round: &mut Instant) {
        let now = clock::now();
        if now >= *next_round {
            *next_round = now + ROUND;
            let live = lane.is_live();
            lane.with_books(|books, now, todo| books.tick(now, live, |server| server.still_idle(), todo));
            // Nobody may wait any more; or a server may be idle, or wanted, only since the lane was asked.
            if lane.ledger.is_contended() {
                lane.leave_ledgers_queue();
                give_up_idle(lane);
            }
        } else {
            lane.with_books(|books, now, todo| books.deadline_passed(now, todo));
        }
    }

    pub(super) fn handle(&mut self, chore: Chore, lane: &Arc<Lane>) {
        match chore {
            Chore::Open(attempt) => self.open(attempt, lane),
            Chore::BrokenOff(attempt) => {
                let why = LoginError::Unreachable(io::Error::other("the attempt was broken off"));
                lane.open_failed(attempt, clock::now(), why);
            }
            Chore::Freed => {
                lane.release_place();
                lane.with_books(|books, now, todo| books.discarded(now, todo));
            }
            Chore::Forsaken(target) => drop(tokio::task::spawn_local(async move { abandon(&target).await })),
            Chore::Abandoned(waiter, mailbox) => {
                if !lane.with_books(|books, _, _| books.give_up(waiter)) {
                    // Granted in the meantime: nobody has touched the server, but nobody can prove it either.
                    drop(mailbox.take());
                }
            }
            Chore::Look => (), // [`Steward::run`] does
            Chore::Outlive(lane) => self.outlived = Some(lane),
            Chore::Poke => {
                let wants_it = lane.with_books(|books, now, todo| {
                    books.poke(now, todo);
                    todo.iter().any(|action| matches!(action, Action::Open(_)))
                });
                if !wants_it {
                    lane.ledger.withdraw(&lane.chores);
                }
            }
            Chore::GiveUpIdle => give_up_idle(lane),
            Chore::Unneeded => {
                lane.leave_ledgers_queue();
            }
        }
    }

    /// Begins an attempt if the ledger lets it pass. For a server that nobody waits for no other lane is to close one.
    fn open(&self, attempt: Attempt, lane: &Arc<Lane>) {
        let spare = lane.leave_ledgers_queue();
        let (ledger, quota, chores) = (&lane.ledger, &lane.spec().quota, &lane.chores);
        let allowed =
            if spare { ledger.acquire_spare(quota, chores) } else { ledger.acquire(quota, chores, clock::now()) };
        if allowed {
            let opening = Opening::new(lane.clone(), attempt);
            tokio::task::spawn_local(open(opening, ServerId(self.numbers.next())));
        } else if spare {
            lane.with_books(|books, now, todo| books.open_forgone(now, attempt, todo));
        } else {
            lane.with_books(|books, now, todo| books.open_refused(now, attempt, todo));
            // The last waiter may have left in the meantime.
            lane.leave_ledgers_queue();
        }
    }
}

/// Closes an idle server whose place another lane needs.
fn give_up_idle(lane: &Lane) {
    let given_up = lane.with_books(|books, now, _| {
        let idle = books.stats(now).idle > 0;
        let served = if idle { lane.hand_over(None, now) } else { None };
        served.map(|served| (served, books.take_idle_oldest().expect("invariant: there is an idle one")))
    });
    if let Some((served, server)) = given_up {
        server.retire();
        drop(served);
    }
}

#[cfg(test)]
mod tests;
