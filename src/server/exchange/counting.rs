//! What is counted of the conversation: how the client's statements have ended and when, what was answered, and which errors it was told.

use super::{Ended, Exchange, Loss, Timed};
use crate::clock::Instant;
use crate::metrics::{Answered, Stat};
use std::sync::Arc;
use std::time::Duration;

/// An error that a client was told.
pub struct Told {
    /// `None`: it says nothing of itself.
    pub sqlstate: Option<[u8; 5]>,
    /// In the server's place.
    pub is_ours: bool,
    /// What it was the end of; `None`: no statement that was to run.
    pub statement: Option<Arc<Stat>>,
}

impl Exchange {
    /// The next statement of the client's is this one; `None`: it is not known yet.
    pub fn time(&mut self, timed: Option<Timed>) {
        self.timing.next(timed);
    }

    /// So long the server has waited for data of the statement that it is at: the statement has not taken that.
    pub fn leave_out(&mut self, waited: Duration) {
        self.timing.leave_out(waited);
    }

    /// Whether statements have ended of which it is to be said when that was, see [`Self::ended_at`].
    pub fn awaits_time(&self) -> bool {
        self.timing.awaits_time()
    }

    /// They have ended now.
    pub fn ended_at(&mut self, now: Instant) {
        self.timing.at(now);
    }

    /// A statement that has ended since the last call, the first one first.
    pub fn take_ended(&mut self) -> Option<Ended> {
        self.timing.take()
    }

    /// The client does not hear how those end that are under way: they have failed. How many they are.
    pub fn lose_statements(&mut self) -> usize {
        if self.loss != Some(Loss::Fatal) {
            self.sqlstate = None;
        }
        self.timing.lose()
    }

    /// The server is asked to answer one by one what is sent now, up to the end of the request.
    pub fn tell_apart(&mut self) {
        self.timing.tell_apart();
    }

    /// Whether it is.
    pub fn tells_apart(&self) -> bool {
        self.timing.tells_apart()
    }

    /// Whether statements that have ended since the last call have one time in common.
    pub fn take_together(&mut self) -> bool {
        self.timing.take_together()
    }

    /// Whether no statement is under way.
    pub fn runs_nothing(&self) -> bool {
        self.timing.runs_nothing()
    }

    /// Of the last error that the server has told. `None`: there was none, or what has failed since then has without a word.
    pub fn sqlstate(&self) -> Option<&str> {
        std::str::from_utf8(self.sqlstate.as_ref()?).ok()
    }

    /// They are nobody's any more.
    pub fn forget_statements(&mut self) {
        self.timing.forget();
        self.told.clear();
    }

    /// What was answered was PgOtter's own question: it was no query of the client's, and what failed in it the client was not told.
    pub fn forget_own_answer(&mut self) {
        let _ = self.take_answered();
        self.told.clear();
    }

    /// An error that the client was told since the last call, the last one first.
    pub fn take_told(&mut self) -> Option<Told> {
        self.told.pop()
    }

    /// What has been answered to the client since the last call.
    pub fn take_answered(&mut self) -> Answered {
        self.tally.take()
    }
}
