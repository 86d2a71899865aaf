//! Connections that are closed for others: each is served by a task of its own, and only so many at a time.

use crate::clock::{self, Instant};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The tasks. Of more than may be, those whose time is up first are ended: who means well is done in milliseconds, so it is
/// those who do not.
#[derive(Default)]
pub struct Crowd {
    patience: Patience,
    members: RefCell<Members>,
    left: Notify,
}

/// How long a member may stay although others want to come: so long for each of as many as there may be, as many who mean well may
/// come at once. Default no time.
#[derive(Clone, Copy, Default)]
pub struct Patience {
    /// Who has not said a word.
    pub silent: Duration,
    /// Who has, from when it came.
    pub heard: Duration,
}

/// The place of one member.
pub struct Place {
    crowd: Rc<Crowd>,
    number: u64,
}

#[derive(Default)]
struct Members {
    // Of whoever comes next.
    number: u64,
    // In the order in which they came.
    silent: Tasks,
    heard: Tasks,
}

type Tasks = BTreeMap<u64, (Instant, AbortHandle)>;

impl Crowd {
    /// Nobody is in it.
    pub fn new(patience: Patience) -> Self {
        Self { patience, ..Self::default() }
    }

    /// Runs a task, made for its place, on this thread. How many had to go, so that there are no more than `most`; their sockets are closed
    /// when the runtime gets to it. Needs a `LocalRuntime`.
    pub fn join<T: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        most: usize,
        task: impl FnOnce(Place) -> T,
    ) -> usize {
        let mut members = self.members.borrow_mut();
        let mut closed = 0;
        while members.count() >= most.max(1)
            && let Some((_, tasks)) = members.next_to_go(self.patience, most)
        {
            tasks.pop_first().inspect(|(_, (_, first))| first.abort());
            closed += 1;
        }
        let place = Place { crowd: self.clone(), number: members.number };
        let (crowd, number) = (self.clone(), members.number);
        // Else there would be room for it twice: where it came from, and where it is run.
        let task = Box::pin(task(place));
        let task = tokio::task::spawn_local(async move {
            task.await;
            // One that panics stays in the list until its time is up.
            crowd.members.borrow_mut().remove(number);
            crowd.left.notify_one();
        });
        members.number += 1;
        members.silent.insert(number, (clock::now(), task.abort_handle()));
        closed
    }

    /// Waits for room for one more of at most `most`, but for no longer than until somebody's time is up.
    pub async fn room(&self, most: usize) {
        while let Some(until) = self.is_full_until(most) {
            // Whoever has left since is told of here, too.
            let _ = tokio::time::timeout_at(until.into(), self.left.notified()).await;
        }
    }

    fn is_full_until(&self, most: usize) -> Option<Instant> {
        let mut members = self.members.borrow_mut();
        if members.count() < most {
            return None;
        }
        let (until, _) = members.next_to_go(self.patience, most)?;
        Some(until).filter(|until| *until > clock::now())
    }
}

impl Members {
    fn count(&self) -> usize {
        self.silent.len() + self.heard.len()
    }

    fn remove(&mut self, number: u64) {
        if self.silent.remove(&number).is_none() {
            self.heard.remove(&number);
        }
    }

    /// Whose time is up first, the first of these, and when.
    fn next_to_go(&mut self, patience: Patience, most: usize) -> Option<(Instant, &mut Tasks)> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let until = |tasks: &Tasks, each: Duration| {
            tasks.first_key_value().map(|(_, (since, _))| *since + each.saturating_mul(most))
        };
        match (until(&self.silent, patience.silent), until(&self.heard, patience.heard)) {
            (Some(silent), heard) if heard.is_none_or(|heard| silent <= heard) => Some((silent, &mut self.silent)),
            (_, Some(heard)) => Some((heard, &mut self.heard)),
            (_, None) => None,
        }
    }
}

impl Place {
    /// The member has sent a whole first packet, or begun TLS.
    pub fn is_heard(&self) {
        let members = &mut *self.crowd.members.borrow_mut();
        if let Some(task) = members.silent.remove(&self.number) {
            members.heard.insert(self.number, task);
        }
    }
}
