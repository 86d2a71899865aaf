//! The hidden block of PostgreSQL 18: a Query behind executed messages without a Sync.
//!
//! Such a Query now begins an implicit transaction block, and does not end it. The Sync behind it does not really end
//! it either, although it says so: the next statement, whoever sends it, fails with an internal error (XX000), and the
//! statement before it is lost. That its client must hear, and nobody else: it keeps the server until the error has come.
//!
//! In a block that the client has begun such a Query hides nothing. From outside the two look alike until that block ends: it does so by a
//! statement, whose tag says so, and the hidden one by a Sync.
//!
//! Source: PostgreSQL `src/backend/tcop/postgres.c` (`start_xact_command` begins the block, `exec_simple_query` leaves it
//! open, and behind that a Sync's `finish_xact_command` finds nothing to do), `src/backend/access/transam/xact.c`
//! (`StartTransactionCommand` fails).

use crate::wire::backend::Status;

/// Whether a server is in such a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tangle {
    /// It is not.
    #[default]
    None,
    /// Such a Query was sent.
    Possible,
    /// It was answered from inside a block, which may be one that the client began. Another Query may still end it properly, and
    /// so does a statement of which PostgreSQL says that it has.
    Open,
    /// A Sync said that the block has ended.
    Certain,
}

impl Tangle {
    /// A Query or FunctionCall goes to the server behind extended messages without a Sync.
    pub(super) fn query_unsynced(&mut self) {
        if *self == Self::None {
            *self = Self::Possible;
        }
    }

    /// Errors end the block; whether this one did, the ReadyForQuery behind it tells.
    pub(super) fn error(&mut self) {
        if *self != Self::None {
            *self = Self::Possible;
        }
    }

    /// A statement was completed, and says by its tag what it was.
    pub(super) fn completed(&mut self, tag: &[u8]) {
        if *self == Self::Open && matches!(tag, b"COMMIT" | b"ROLLBACK" | b"PREPARE TRANSACTION") {
            // Whether a block goes on, as behind ROLLBACK TO, the next ReadyForQuery tells.
            *self = Self::Possible;
        }
    }

    /// Whether tags tell something.
    pub(super) fn is_open(self) -> bool {
        self == Self::Open
    }

    /// A ReadyForQuery came. `settled`: nothing more is owed, and nothing was sent without a Sync.
    pub(super) fn ready(&mut self, status: Status, by_sync: bool, settled: bool) {
        *self = match (*self, status) {
            (Self::Possible, Status::InTransaction) => Self::Open,
            (Self::Open, Status::Idle) if by_sync => Self::Certain,
            (Self::Possible | Self::Open, Status::Idle) if settled => Self::None,
            (as_before, _) => as_before,
        };
    }

    /// Whether the client's next statement will fail for it.
    pub(super) fn is_certain(self) -> bool {
        self == Self::Certain
    }
}
