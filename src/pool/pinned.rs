//! How many clients keep a server of a lane over transactions.

use super::lane::Lane;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One of them, until it is dropped.
pub struct PinSeat(Arc<Lane>);

impl PinSeat {
    /// If fewer than `max_pinned` are taken; with 0, than half of the lane's servers.
    pub fn take(lane: &Arc<Lane>, max_pinned: usize) -> Option<Self> {
        let limit = match (max_pinned, lane.size()) {
            (0, 0) => usize::MAX,
            (0, size) => (size / 2).max(1),
            (limit, _) => limit,
        };
        let taken = lane
            .pinned
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pinned| (pinned < limit).then_some(pinned + 1));
        taken.ok().map(|_| Self(lane.clone()))
    }

    /// For who is pinned already, however many are.
    pub fn above_all(lane: &Arc<Lane>) -> Self {
        lane.pinned.fetch_add(1, Ordering::Relaxed);
        Self(lane.clone())
    }
}

impl Drop for PinSeat {
    fn drop(&mut self) {
        self.0.pinned.fetch_sub(1, Ordering::Relaxed);
    }
}
