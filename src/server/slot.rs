//! The place that a server takes in its pool.

use super::cancel::CancelTarget;
use std::sync::Arc;

/// A place in a pool. Dropped with its server, it gives the place back.
#[derive(Default)]
pub struct Slot {
    give_back: Option<Box<GiveBack>>,
    pub(super) forsaken: Option<Arc<CancelTarget>>,
}

/// Is told how to cancel what still runs, if it does and nobody else will.
type GiveBack = dyn FnOnce(Option<Arc<CancelTarget>>) + Send;

impl Slot {
    /// `give_back` must neither block nor lock. Its argument says how to cancel a statement that still runs and that nobody
    /// else will cancel.
    pub fn new(give_back: impl FnOnce(Option<Arc<CancelTarget>>) + Send + 'static) -> Self {
        Self { give_back: Some(Box::new(give_back)), forsaken: None }
    }

    /// It will not be given back: its server leaves it behind.
    pub(super) fn keep(&mut self) {
        self.give_back = None;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(give_back) = self.give_back.take() {
            give_back(self.forsaken.take());
        }
    }
}
