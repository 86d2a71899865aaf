//! How the settings put in front of a request fare; `server/guard.rs` sends them and says why they look as they do.
//!
//! The error of a setting is kept back: PostgreSQL says more before it refuses to describe the guard, and only then it
//! is certain that nothing behind it runs. In place of that refusal the client is told of the setting.

use bytes::BytesMut;

/// How a guard fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Guard {
    /// None is under way.
    #[default]
    None,
    /// Sent, and not settled.
    Pending,
    /// A setting failed: nothing behind it ran. Not told yet.
    Failed,
}

/// The guard under way, if any.
#[derive(Default)]
pub(super) struct GuardWatch {
    guard: Guard,
    // The first error of a setting, a whole frame; empty when there was none.
    error: BytesMut,
    // The request that was stopped has no Sync of its own.
    wants_sync: bool,
}

impl GuardWatch {
    /// It was sent: the next ReadyForQuery is its own.
    pub(super) fn sent(&mut self) {
        self.guard = Guard::Pending;
    }

    /// Whether what is behind it must wait.
    pub(super) fn is_pending(&self) -> bool {
        self.guard == Guard::Pending || self.wants_sync
    }

    /// Whether it has failed since the last call.
    pub(super) fn take_failed(&mut self) -> bool {
        let failed = self.guard == Guard::Failed;
        if failed {
            self.guard = Guard::None;
        }
        failed
    }

    /// Whether the request that it stopped needs a Sync. True once.
    pub(super) fn take_wanted_sync(&mut self) -> bool {
        std::mem::take(&mut self.wants_sync)
    }

    /// A setting failed; `frame` makes what the client will see.
    pub(super) fn setting_failed(&mut self, frame: impl FnOnce() -> BytesMut) {
        if self.error.is_empty() {
            self.error = frame();
        }
    }

    /// Whether a setting has failed, so that the guard must fail too.
    pub(super) fn must_fail(&self) -> bool {
        !self.error.is_empty()
    }

    /// Its own ReadyForQuery came: the settings are in force, or must fail it. Says which.
    pub(super) fn ready(&mut self) -> bool {
        let in_force = !self.must_fail();
        if in_force {
            self.guard = Guard::None;
        }
        in_force
    }

    /// It does not exist, so nothing behind it runs. Gives the error of the setting, if that was why. `before_simple`: a
    /// Query or FunctionCall is behind it.
    pub(super) fn failed(&mut self, before_simple: bool) -> Option<BytesMut> {
        self.guard = Guard::Failed;
        self.wants_sync = before_simple;
        Some(std::mem::take(&mut self.error)).filter(|error| !error.is_empty())
    }
}
