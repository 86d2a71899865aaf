//! One timer for a client's many deadlines. A deadline that moves later leaves it alone: when it fires too early it is
//! armed again.

use crate::clock::{self, Instant};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

/// At most one armed timer; none costs a word.
#[derive(Default)]
pub struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once `deadline` has passed; never without one.
    pub fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            // Left armed, it would wake the client once for nothing and be gone.
            return Poll::Pending;
        };
        loop {
            match &mut self.0 {
                Some(sleep) if sleep.deadline() <= deadline.into() => {
                    // A task that has received all it may at a time would find every other timer pending.
                    if pin!(unconstrained(sleep.as_mut())).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.0 = None;
                    if clock::now() >= deadline {
                        return Poll::Ready(());
                    }
                }
                _ => self.0 = Some(Box::pin(tokio::time::sleep_until(deadline.into()))),
            }
        }
    }
}

#[cfg(test)]
mod tests;
