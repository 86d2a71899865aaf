//! Connections that are closed for others: each is served by a task of its own, and only so many at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use tokio::task::AbortHandle;

/// The tasks. One more than may be, and the oldest is ended: who means well is done in milliseconds, so the oldest is one
/// that does not.
#[derive(Default)]
pub struct Crowd(RefCell<Members>);

#[derive(Default)]
struct Members {
    // Of whoever comes next.
    number: u64,
    tasks: BTreeMap<u64, AbortHandle>,
}

impl Crowd {
    /// Runs `task` on this thread. How many had to go, so that there are no more than `most`; their sockets are closed when
    /// the runtime gets to it. Needs a `LocalRuntime`.
    pub fn join(self: &Rc<Self>, most: usize, task: impl Future<Output = ()> + 'static) -> usize {
        let mut members = self.0.borrow_mut();
        let (crowd, number) = (self.clone(), members.number);
        let task = tokio::task::spawn_local(async move {
            task.await;
            // One that panics stays in the list until it is the oldest.
            crowd.0.borrow_mut().tasks.remove(&number);
        });
        members.number += 1;
        members.tasks.insert(number, task.abort_handle());
        let excess = members.tasks.len().saturating_sub(most.max(1));
        for _ in 0..excess {
            members.tasks.pop_first().inspect(|(_, oldest)| oldest.abort());
        }
        excess
    }
}
