//! Why a request goes where it goes. The same words in logs, metrics, the console and `pgotter explain`.

use crate::sql::Verdict;
use std::fmt;

/// Why. The order is that of [`Reason::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is nothing to choose from: one host, `mode = "primary"`, or `pool_mode = "session"`.
    Single,
    /// The server has state of its client that cannot be moved.
    Pinned,
    /// A replica has refused it, or was lost.
    Retry,
    /// It is in a transaction that may write, or that must see one server's state.
    Transaction,
    /// Nobody can tell what it says: it is too long, or not understood.
    Unparsed,
    /// It writes.
    Write,
    /// It locks rows or tables.
    Lock,
    /// It creates, alters, drops, grants.
    Ddl,
    /// It is none of the reads.
    Utility,
    /// It calls something that may write, or that nobody knows.
    Function,
    /// It depends on its session, or on what only one server has.
    Session,
    /// It asks for the statistics or the state of one server.
    Node,
    /// It asks a catalog, or SHOWs.
    Catalog,
    /// No replica has seen all of the writes that it must see.
    Fresh,
    /// A read, and a replica is there for it.
    Read,
    /// A read, and no replica is there for it.
    NoReplica,
    /// A hint asks for it, or what its client has set.
    Hint,
    /// A rule of the configuration asks for it.
    Rule,
}

impl Reason {
    /// Every one, in order.
    pub const ALL: [Self; 18] = [
        Self::Single,
        Self::Pinned,
        Self::Retry,
        Self::Transaction,
        Self::Unparsed,
        Self::Write,
        Self::Lock,
        Self::Ddl,
        Self::Utility,
        Self::Function,
        Self::Session,
        Self::Node,
        Self::Catalog,
        Self::Fresh,
        Self::Read,
        Self::NoReplica,
        Self::Hint,
        Self::Rule,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Pinned => "pinned",
            Self::Retry => "retry",
            Self::Transaction => "transaction",
            Self::Unparsed => Verdict::Unparsed.word(),
            Self::Write => Verdict::Write.word(),
            Self::Lock => Verdict::Lock.word(),
            Self::Ddl => Verdict::Ddl.word(),
            Self::Utility => Verdict::Utility.word(),
            Self::Function => Verdict::Function.word(),
            Self::Session => Verdict::Session.word(),
            Self::Node => Verdict::Node.word(),
            Self::Catalog => Verdict::Catalog.word(),
            Self::Fresh => "fresh",
            Self::Read => Verdict::Read.word(),
            Self::NoReplica => "no_replica",
            Self::Hint => "hint",
            Self::Rule => "rule",
        }
    }

    /// Why a text of this verdict is the primary's. `None`: it is a read.
    pub(super) fn against(verdict: Verdict) -> Option<Self> {
        Some(match verdict {
            Verdict::Read => return None,
            Verdict::Catalog => Self::Catalog,
            Verdict::Node => Self::Node,
            Verdict::Session => Self::Session,
            Verdict::Function => Self::Function,
            Verdict::Utility => Self::Utility,
            Verdict::Ddl => Self::Ddl,
            Verdict::Lock => Self::Lock,
            Verdict::Write => Self::Write,
            Verdict::Unparsed => Self::Unparsed,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
