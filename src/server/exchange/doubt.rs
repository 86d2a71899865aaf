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
    Data,
    /// A Sync was sent behind it.
    Sync,
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
        matches!(self, Self::Data | Self::Sync)
    }

    /// A message goes to a server that owes `queue`.
    pub(super) fn sending(&mut self, message: u8, queue: &ReplyQueue) {
        *self = match (*self, message) {
            (Self::None, kind::COPY_DATA) if queue.may_want_data() => Self::Data,
            (Self::Data, kind::SYNC) => Self::Sync,
            (Self::Data, kind::COPY_DONE | kind::COPY_FAIL) => Self::None,
            (as_before, _) => as_before,
        };
    }

    /// An error came, perhaps that of COPY. Says whether the doubt lasts from now on.
    pub(super) fn error(&mut self) -> bool {
        let begins = *self == Self::Sync;
        if begins {
            *self = Self::Lasting;
        }
        begins
    }

    /// All that was owed has come, so no data is under way.
    pub(super) fn nothing_owed(&mut self) {
        *self = Self::None;
    }
}
