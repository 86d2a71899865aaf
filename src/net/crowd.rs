//! Connections that are closed for others: each is served by a task of its own, and only so many at a time.

use crate::clock::{self, Instant};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The tasks. One more than may be, and the oldest is ended: who means well is done in milliseconds, so the oldest is one
/// that does not.
#[derive(Default)]
pub struct Crowd {
    members: RefCell<Members>,
    left: Notify,
}

#[derive(Default)]
struct Members {
    // Of whoever comes next.
    number: u64,
    tasks: BTreeMap<u64, (Instant, AbortHandle)>,
}

impl Crowd {
    /// Runs `task` on this thread. How many had to go, so that there are no more than `most`; their sockets are closed when
    /// the runtime gets to it. Needs a `LocalRuntime`.
    pub fn join(self: &Rc<Self>, most: usize, task: impl Future<Output = ()> + 'static) -> usize {
        let mut members = self.members.borrow_mut();
        let (crowd, number) = (self.clone(), members.number);
        // Else there would be room for it twice: where it came from, and where it is run.
        let task = Box::pin(task);
        let task = tokio::task::spawn_local(async move {
            task.await;
            // One that panics stays in the list until it is the oldest.
            crowd.members.borrow_mut().tasks.remove(&number);
            crowd.left.notify_one();
        });
        members.number += 1;
        members.tasks.insert(number, (clock::now(), task.abort_handle()));
        let excess = members.tasks.len().saturating_sub(most.max(1));
        for _ in 0..excess {
            members.tasks.pop_first().inspect(|(_, (_, oldest))| oldest.abort());
        }
        excess
    }

    /// Waits for room for one more of at most `most`, but for no longer than until the oldest has been there for `grace`: of many
    /// who mean well and come at once, some are not done sooner.
    pub async fn room(&self, most: usize, grace: Duration) {
        while let Some(until) = self.is_full_until(most, grace) {
            // Whoever has left since is told of here, too.
            let _ = tokio::time::timeout_at(until.into(), self.left.notified()).await;
        }
    }

    fn is_full_until(&self, most: usize, grace: Duration) -> Option<Instant> {
        let members = self.members.borrow();
        let (oldest, _) = members.tasks.values().next().filter(|_| members.tasks.len() >= most)?;
        Some(*oldest + grace).filter(|until| *until > clock::now())
    }
}
