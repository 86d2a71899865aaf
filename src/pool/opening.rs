//! One attempt to open a server, which the books are told the end of whatever happens to its task.

use super::core::Attempt;
use super::lane::Lane;
use super::steward::Chore;
use crate::clock;
use crate::ids::ServerId;
use crate::server::{LoginError, LoginSpec, Server, Standing, barred, log_in, standing};
use crate::session::Welcome;
use std::sync::Arc;

/// An attempt under way, with a place in the ledger. Dropped without an answer (its task has panicked, or was dropped),
/// it counts as failed.
pub(super) struct Opening {
    lane: Arc<Lane>,
    attempt: Option<Attempt>,
}

impl Opening {
    /// The ledger must have let it pass.
    pub fn new(lane: Arc<Lane>, attempt: Attempt) -> Self {
        Self { lane, attempt: Some(attempt) }
    }

    /// Whoever takes the attempt answers it.
    fn end(mut self) -> Attempt {
        self.attempt.take().expect("invariant: only an end or a drop takes it, and each consumes")
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            // No lock in a drop: the steward does it.
            self.lane.chores.send(Chore::BrokenOff(attempt));
        }
    }
}

/// Tries once to open a server.
pub(super) async fn open(opening: Opening, id: ServerId) {
    let lane = opening.lane.clone();
    let spec = lane.spec();
    let since = clock::now();
    let login = tokio::time::timeout(spec.connect_timeout, vetted(&spec.login, id)).await;
    match login.unwrap_or(Err(LoginError::TimedOut)) {
        Ok((server, welcome)) => {
            lane.backoff.meter.connected(clock::now().saturating_duration_since(since));
            tracing::debug!(server = %id, address = %spec.login.address, "server opened");
            lane.opened(opening.end(), server, welcome);
        }
        Err(error) => lane.open_failed(opening.end(), since, error),
    }
}

/// Whom PostgreSQL asks for no password of its own it lets in also when that has expired. What cannot be found out is no reason to refuse.
async fn vetted(spec: &LoginSpec, id: ServerId) -> Result<(Box<Server>, Welcome), LoginError> {
    let (mut server, welcome) = log_in(spec, id).await?;
    if !server.is_role_proven() && standing(&mut server).await == Some(Standing::Barred) {
        return Err(barred(&spec.user));
    }
    Ok((server, welcome))
}

#[cfg(test)]
mod tests;
