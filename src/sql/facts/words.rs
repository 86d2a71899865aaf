//! Which words matter to the facts: those a statement begins with, and those that change what follows them.

use super::keywords::{self, Kind};

/// What the first word of a statement says, as far as that matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum First {
    /// No word yet.
    #[default]
    Nothing,
    Select,
    Write,
    Copy,
    Explain,
    Create,
    Alter,
    Drop,
    Do,
    Call,
    Load,
    Lock,
    Begin,
    Start,
    Commit,
    Rollback,
    Savepoint,
    Release,
    Set,
    Reset,
    Show,
    Prepare,
    Execute,
    Deallocate,
    Discard,
    Listen,
    Unlisten,
    Notify,
    Declare,
    Fetch,
    Close,
    Import,
    Other,
}

impl First {
    pub(super) fn of(word: &[u8]) -> Self {
        match word {
            b"select" | b"values" | b"table" | b"with" => Self::Select,
            b"insert" | b"update" | b"delete" | b"merge" => Self::Write,
            b"copy" => Self::Copy,
            b"explain" => Self::Explain,
            b"create" => Self::Create,
            b"alter" => Self::Alter,
            b"drop" => Self::Drop,
            b"do" => Self::Do,
            b"call" => Self::Call,
            b"load" => Self::Load,
            b"lock" => Self::Lock,
            b"begin" => Self::Begin,
            b"start" => Self::Start,
            b"commit" | b"end" => Self::Commit,
            b"rollback" | b"abort" => Self::Rollback,
            b"savepoint" => Self::Savepoint,
            b"release" => Self::Release,
            b"set" => Self::Set,
            b"reset" => Self::Reset,
            b"show" => Self::Show,
            b"prepare" => Self::Prepare,
            b"execute" => Self::Execute,
            b"deallocate" => Self::Deallocate,
            b"discard" => Self::Discard,
            b"listen" => Self::Listen,
            b"unlisten" => Self::Unlisten,
            b"notify" => Self::Notify,
            b"declare" => Self::Declare,
            b"fetch" | b"move" => Self::Fetch,
            b"close" => Self::Close,
            b"import" => Self::Import,
            _ => Self::Other,
        }
    }

    /// As the first word of a statement of PL/pgSQL, where some are another language's.
    pub(super) fn in_body(word: &[u8]) -> Self {
        match Self::of(word) {
            // Blocks, variables and `EXECUTE` of a text are PL/pgSQL's.
            Self::Begin | Self::Start | Self::Declare | Self::Execute | Self::Prepare => Self::Other,
            Self::Commit if word == b"end" => Self::Other,
            first => first,
        }
    }

    /// What follows is read at the end of the statement.
    pub(super) fn is_kept(self) -> bool {
        matches!(
            self,
            Self::Begin
                | Self::Start
                | Self::Commit
                | Self::Rollback
                | Self::Savepoint
                | Self::Release
                | Self::Set
                | Self::Reset
                | Self::Show
                | Self::Prepare
                | Self::Execute
                | Self::Deallocate
                | Self::Discard
                | Self::Listen
                | Self::Unlisten
                | Self::Notify
                | Self::Declare
                | Self::Close
        )
    }
}

/// What a word says to the one behind it. Words in quotes or behind a dot are [`Key::Plain`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Key {
    #[default]
    Plain,
    Alter,
    Analyze,
    As,
    Atomic,
    Begin,
    By,
    Call,
    Copy,
    Create,
    Delete,
    Distinct,
    Do,
    End,
    Execute,
    Exists,
    Explain,
    Extension,
    For,
    From,
    /// `PRIMARY` and `FOREIGN`.
    Constraint,
    Keys,
    Insert,
    Into,
    Language,
    /// `LOCAL` and `GLOBAL`.
    Local,
    Merge,
    Not,
    On,
    Operator,
    Prepare,
    Recursive,
    References,
    Replace,
    /// `FUNCTION`, `PROCEDURE` and so on.
    Routine,
    Select,
    /// `ORDER`, `GROUP` and `PARTITION`.
    Sorts,
    /// `TABLE` and `VIEW`.
    Table,
    Temp,
    Update,
    With,
    /// Words behind which PL/pgSQL may begin a statement.
    Blocks,
    /// Any other that is no name: an expression may follow.
    Reserved,
}

impl Key {
    pub(super) fn of(word: &[u8]) -> Self {
        match word {
            b"alter" => Self::Alter,
            b"analyze" | b"analyse" | b"verbose" => Self::Analyze,
            b"as" => Self::As,
            b"atomic" => Self::Atomic,
            b"begin" => Self::Begin,
            b"by" => Self::By,
            b"call" => Self::Call,
            b"copy" => Self::Copy,
            b"create" => Self::Create,
            b"delete" => Self::Delete,
            b"distinct" => Self::Distinct,
            b"do" => Self::Do,
            b"end" => Self::End,
            b"execute" => Self::Execute,
            b"exists" => Self::Exists,
            b"explain" => Self::Explain,
            b"extension" => Self::Extension,
            b"for" => Self::For,
            b"from" => Self::From,
            b"primary" | b"foreign" => Self::Constraint,
            b"key" => Self::Keys,
            b"insert" => Self::Insert,
            b"into" => Self::Into,
            b"language" => Self::Language,
            b"local" | b"global" => Self::Local,
            b"merge" => Self::Merge,
            b"not" => Self::Not,
            b"on" => Self::On,
            b"operator" => Self::Operator,
            b"prepare" => Self::Prepare,
            b"recursive" => Self::Recursive,
            b"references" => Self::References,
            b"replace" => Self::Replace,
            b"function" | b"procedure" | b"routine" | b"aggregate" => Self::Routine,
            b"select" => Self::Select,
            b"order" | b"group" | b"partition" => Self::Sorts,
            b"table" | b"view" => Self::Table,
            b"temp" | b"temporary" => Self::Temp,
            b"update" => Self::Update,
            b"with" => Self::With,
            b"then" | b"else" | b"loop" | b"declare" => Self::Blocks,
            _ if matches!(keywords::kind(word), Some(Kind::Reserved)) => Self::Reserved,
            _ => Self::Plain,
        }
    }

    /// What follows is the name of something that is defined or filled, though brackets stand behind it.
    pub(super) fn names(self) -> bool {
        matches!(
            self,
            Self::Analyze
                | Self::As
                | Self::Copy
                | Self::Execute
                | Self::Into
                | Self::Table
                | Self::Routine
                | Self::Exists
                | Self::Prepare
                | Self::References
                | Self::With
                | Self::Recursive
        )
    }

    /// An operand may follow.
    pub(super) fn begins_operand(self) -> bool {
        matches!(
            self,
            Self::Reserved
                | Self::Select
                | Self::Distinct
                | Self::From
                | Self::Not
                | Self::On
                | Self::By
                | Self::Blocks
                | Self::For
        )
    }
}
