//! A Sync among COPY data. PostgreSQL ignores it while it reads data, and answers it once COPY has failed: which of
//! the two it was cannot be told from outside when COPY fails at about the same time.
//!
//! Source: PostgreSQL `src/backend/commands/copyfromparse.c` (`CopyGetData`: "ignore Flush/Sync"),
//! `src/backend/tcop/postgres.c` (`PostgresMain`: a Sync is answered).

use super::super::reply_queue::ReplyQueue;
use crate::wire::frontend::kind;

/// Whether it is known what the server owes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It is, and no COPY data is under way.
    #[default]
    None,
    /// CopyData was sent, and no end of it.
    Open {
        /// COPY has said that it reads it.
        begun: bool,
        /// A Sync was sent behind it.
        synced: bool,
        /// With so many answers all in front of it has been answered; see [`ReplyQueue::count_sent`].
        until: u64,
    },
    /// COPY failed: what will be answered is not known any more. The client hears all there is, as long as it stays,
    /// and nobody else gets this server.
    Lasting,
}

impl Doubt {
    /// Whether it is not known any more what the server owes. For good.
    pub(super) fn is_lasting(self) -> bool {
        self == Self::Lasting
    }

    /// Whether it will be known once the server has answered.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// A message goes to a server that owes `queue`, and perhaps reads COPY data.
    pub(super) fn sending(&mut self, message: u8, queue: &ReplyQueue, copy_in: bool) {
        if message != kind::COPY_DATA && !self.is_open() {
            return;
        }
        match (&mut *self, message) {
            (Self::None, kind::COPY_DATA) if queue.may_want_data() => {
                *self = Self::Open { begun: copy_in, synced: false, until: queue.count_sent() };
            }
            (Self::Open { until, .. }, kind::COPY_DATA) if queue.may_want_data() => *until = queue.count_sent(),
            (Self::Open { synced, .. }, kind::SYNC) => *synced = true,
            (Self::Open { synced: false, .. }, kind::COPY_DONE | kind::COPY_FAIL) => *self = Self::None,
            _ => (),
        }
    }

    /// COPY reads what is sent.
    pub(super) fn copy_in(&mut self) {
        if let Self::Open { begun, .. } = self {
            *begun = true;
        }
    }

    /// An error came, perhaps that of COPY. Says whether the doubt lasts from now on.
    pub(super) fn error(&mut self) -> bool {
        let begins = matches!(self, Self::Open { begun: true, synced: true, .. });
        if begins {
            *self = Self::Lasting;
        }
        begins
    }

    /// Something has been answered; this is still owed. What was sent behind all that could read it was no data.
    pub(super) fn answered(&mut self, queue: &ReplyQueue) {
        if let Self::Open { until, .. } = self
            && (queue.is_empty() || queue.count_sent() - queue.len() as u64 >= *until)
        {
            *self = Self::None;
        }
    }
}
