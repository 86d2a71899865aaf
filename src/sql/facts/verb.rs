//! What a statement is, with the names and values that matter to a session. Only what was said, nothing of how.

use super::{Touches, Verdict};
use std::ops::Range;

/// A name as PostgreSQL compares it: without quotes, in lower case where it had none.
pub type Name = Box<[u8]>;

/// One statement of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it is.
    pub verb: Verb,
    /// What it may touch.
    pub touches: Touches,
    /// Where it may run.
    pub verdict: Verdict,
}

/// What a statement is. Ranges are of bytes in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `SELECT`, `VALUES`, `TABLE`, and `WITH` of nothing else. Also with `INTO`, a locking clause, or calls that write.
    Select,
    /// `INSERT`, `UPDATE`, `DELETE`, `MERGE`, also inside `WITH`.
    Write,
    /// `COPY`.
    Copy {
        /// Into the table.
        from: bool,
    },
    /// `EXPLAIN` of anything but `EXECUTE`. Taken for one that runs its statement.
    Explain,
    /// Any other.
    Other,
    /// `BEGIN` and `START TRANSACTION`.
    Begin(Begin),
    /// `COMMIT` and `END`.
    Commit {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `ROLLBACK` and `ABORT`.
    Rollback {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `SAVEPOINT`.
    Savepoint(Name),
    /// `RELEASE`.
    Release(Name),
    /// `ROLLBACK TO`.
    RollbackTo(Name),
    /// `PREPARE TRANSACTION`.
    PrepareTransaction,
    /// `COMMIT PREPARED` and `ROLLBACK PREPARED`.
    FinishPrepared,
    /// `SET`, in all its forms that set something. More than one: `SET SESSION CHARACTERISTICS`, in order.
    Set(Vec<Setting>),
    /// A `SELECT` of nothing but `set_config` with literal arguments, which does the same and answers with a row.
    SetConfig(Vec<Setting>),
    /// `SET TRANSACTION`, with its modes, and `SET CONSTRAINTS`, without: ends with the transaction. `options` is empty. A snapshot is one
    /// for a transaction that is at least `REPEATABLE READ`, and stands for that.
    SetTransaction(Begin),
    /// `RESET`. The name is that of the setting, as in [`Setting::name`].
    Reset(Name),
    /// `RESET ALL`. Leaves role and session_authorization alone.
    ResetAll,
    /// `SHOW`; the name is as in [`Setting::name`], or `all`.
    Show(Name),
    /// `PREPARE`. What it prepares touches nothing before it is executed; read [`Prepare::body`] then.
    Prepare(Prepare),
    /// `EXECUTE`.
    Execute {
        /// Of the statement.
        name: Name,
        /// It stands in `EXPLAIN` or `CREATE TABLE … AS`.
        within: bool,
    },
    /// `DEALLOCATE`.
    Deallocate(Name),
    /// `DEALLOCATE ALL`.
    DeallocateAll,
    /// `DISCARD`.
    Discard(Discard),
    /// `LISTEN`.
    Listen(Name),
    /// `UNLISTEN`.
    Unlisten(Name),
    /// `UNLISTEN *`.
    UnlistenAll,
    /// `NOTIFY`, with its channel.
    Notify(Name),
    /// `DECLARE`.
    Declare {
        /// Of the cursor.
        name: Name,
        /// `WITH HOLD`.
        hold: bool,
    },
    /// `FETCH` and `MOVE`.
    Fetch,
    /// `CLOSE`.
    CloseCursor(Name),
    /// `CLOSE ALL`.
    CloseAll,
    /// `DO`.
    Do,
    /// `CALL`.
    Call,
    /// `LOAD`.
    Load,
    /// `LOCK`.
    Lock,
}

impl Verb {
    /// Whether such a statement is about none, by its text.
    pub fn names_no_relation(&self) -> bool {
        use Verb::{Copy, Declare, Execute, Explain, Lock, Other, Prepare, Select, Write};
        !matches!(
            self,
            Select
                | Write
                | Copy { .. }
                | Explain
                | Declare { .. }
                | Other
                | Lock
                | Prepare(_)
                | Execute { within: true, .. }
        )
    }
}

/// What `BEGIN` says, where it says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begin {
    /// What follows the keywords, as written; empty where nothing does.
    pub options: Range<usize>,
    /// `ISOLATION LEVEL`.
    pub isolation: Option<Isolation>,
    /// `READ ONLY` or `READ WRITE`.
    pub read_only: Option<bool>,
    /// `[NOT] DEFERRABLE`.
    pub deferrable: Option<bool>,
}

/// An isolation level, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Which PostgreSQL takes for the next.
    ReadUncommitted,
    /// PostgreSQL's default.
    ReadCommitted,
    /// A snapshot for the whole transaction.
    RepeatableRead,
    /// As if one after the other.
    Serializable,
}

impl Isolation {
    /// As the value of a setting, in any case.
    pub fn named(value: &[u8]) -> Option<Self> {
        let levels: [(&[u8], Self); 4] = [
            (b"read uncommitted", Self::ReadUncommitted),
            (b"read committed", Self::ReadCommitted),
            (b"repeatable read", Self::RepeatableRead),
            (b"serializable", Self::Serializable),
        ];
        levels.into_iter().find(|(name, _)| value.eq_ignore_ascii_case(name)).map(|(_, level)| level)
    }

    /// Whether each statement has a snapshot of its own.
    pub fn is_by_statement(self) -> bool {
        matches!(self, Self::ReadUncommitted | Self::ReadCommitted)
    }
}

/// What `PREPARE` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepare {
    /// Of the statement.
    pub name: Name,
    /// The types in the brackets behind the name, as written; empty where there are none.
    pub types: Range<usize>,
    /// The statement behind `AS`.
    pub body: Range<usize>,
    /// What executing it may touch. The names that belong to it come from reading the body.
    pub touches: Touches,
}

/// What `DISCARD` drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    /// Everything PostgreSQL knows how to forget.
    All,
    /// Plans; the statements stay.
    Plans,
    /// What `currval` and `lastval` tell.
    Sequences,
    /// Temporary tables.
    Temp,
}

/// A setting and what it is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// In lower case, as PostgreSQL finds it in any case; under its newest name.
    pub name: Name,
    /// What it becomes.
    pub value: Value,
    /// Until the transaction ends only: `SET LOCAL`, and settings of which nothing stays anyway (`transaction_isolation`).
    pub local: bool,
}

/// What a setting is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `set_config(name, this, false)` has the same effect.
    Literal(Box<[u8]>),
    /// What `RESET` sets it to.
    Default,
    /// The text does not tell: read it back.
    Computed,
}

impl Statement {
    /// The settings that it sets, where all of them can be told.
    pub fn settings(&self) -> &[Setting] {
        match &self.verb {
            Verb::Set(settings) | Verb::SetConfig(settings) => settings,
            _ => &[],
        }
    }
}
