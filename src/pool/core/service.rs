//! A lane that hands out no servers, for a while or for good.

use super::words::Service;
use super::{Actions, CloseReason, PoolCore, Pooled};
use crate::clock::Instant;

impl<S: Pooled, W> PoolCore<S, W> {
    /// No server is handed out or opened until [`PoolCore::resume`]; who comes waits. Idle servers are closed, the others
    /// when they come in: the pause is complete once there are none, active or opening. Idempotent.
    pub fn pause(&mut self, actions: &mut Actions<S, W>) {
        if self.service == Service::Open {
            self.service = Service::Paused;
            self.sweep(actions, |_, _| Some(CloseReason::Paused));
        }
    }

    /// Ends a pause: servers are opened for those who wait. Idempotent; a closed lane stays closed.
    pub fn resume(&mut self, now: Instant, actions: &mut Actions<S, W>) {
        if self.service == Service::Paused {
            self.service = Service::Open;
            self.deadline_passed(now, actions);
        }
    }

    /// Of the configuration in force.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a server was opened with the configuration in force.
    pub fn is_current(&self, server: &S) -> bool {
        server.generation() >= self.generation
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.service == Service::Paused
    }

    /// The end: idle servers are closed, the others when they come in, and no client gets any. Returns those who wait, in
    /// order of arrival on each worker, to be sent elsewhere.
    #[must_use = "whoever waits would wait for ever"]
    pub fn close(&mut self, actions: &mut Actions<S, W>) -> Vec<W> {
        self.service = Service::Closed;
        self.rest = None;
        self.sweep(actions, |_, _| Some(CloseReason::Retired));
        self.drain()
    }
}
