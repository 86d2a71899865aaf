//! One statement or message of a hostile client, as SQL and as bytes.
//!
//! Knows nothing of what it comes to: that is the model's.

use super::kinds::Kind;
use crate::support::raw;

/// Settings, and values in the form in which SHOW gives them back. PostgreSQL's defaults are among them.
pub const SETTINGS: &[(&str, &[&str])] = &[
    ("work_mem", &["1MB", "3MB", "1234kB", "4MB"]),
    ("TimeZone", &["Asia/Tokyo", "Europe/Paris", "UTC", "Etc/UTC"]),
    ("DateStyle", &["German, DMY", "ISO, YMD", "ISO, MDY"]),
    ("IntervalStyle", &["iso_8601", "sql_standard", "postgres"]),
    ("application_name", &["somebody", "", "it's \"me\""]),
    ("search_path", &["other, public", "public", "\"$user\", other", "\"$user\", public"]),
    ("statement_timeout", &["1h", "59min", "0"]),
    ("lock_timeout", &["1h"]),
    ("extra_float_digits", &["0", "3"]),
    ("bytea_output", &["escape"]),
    ("default_transaction_isolation", &["repeatable read", "serializable"]),
    ("default_transaction_deferrable", &["on"]),
    ("client_min_messages", &["warning", "error"]),
    ("client_encoding", &["LATIN1", "UTF8"]),
    ("enable_seqscan", &["off", "on"]),
    ("row_security", &["off"]),
    ("session_replication_role", &["replica", "origin"]),
    ("xmloption", &["document"]),
    ("array_nulls", &["off"]),
    ("DateStyle", &["SQL, MDY"]),
];

/// Settings that exist because somebody sets them.
pub const CUSTOM: &[&str] = &["app.tenant", "app.owner"];
pub const CUSTOM_VALUES: &[&str] = &["7", "somebody else's", "long long long long long long long long long long"];

/// A library that comes with PostgreSQL, and one of the settings that it brings, with its value.
pub const LIBRARY: &str = "auto_explain";
pub const OF_LIBRARY: (&str, &str) = ("auto_explain.log_nested_statements", "off");

/// Where a setting is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Set,
    /// In the words that the standard has for some: `SET TIME ZONE`, `SET NAMES`.
    Words,
    SetConfig,
    /// A function that is told name and value.
    Function,
    /// The same, and then it fails.
    FunctionFails,
    /// A trigger that finds name and value in a row.
    Trigger,
}

/// How a DO block says a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    Plain,
    /// EXECUTE of a text that is there to be read.
    Executes,
    /// EXECUTE of a text that comes out of a function.
    Computes,
    /// It fails behind it, catches that, and goes on.
    Undoes,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Begin,
    Commit,
    Rollback,
    Savepoint(u8),
    RollbackTo(u8),
    Release(u8),
    /// A division by zero.
    Fail,
    /// A library with settings of its own, which are there from then on.
    Load,
    /// What cannot be parsed; true = for want of an end.
    Nonsense(bool),
    /// The message: what stands in front of it is answered.
    Flush,
    /// A DO block.
    Do(Block, Box<Act>),
    /// Something harmless.
    Select,
    Set {
        local: bool,
        name: &'static str,
        value: &'static str,
        how: How,
    },
    /// A value that PostgreSQL refuses.
    SetWrong(&'static str),
    SetUnknown,
    Reset(&'static str),
    ToDefault(&'static str),
    Show(&'static str),
    /// A procedure that sets work_mem to 11MB, commits, sets it to 12MB, and fails.
    CommitsThenFails,
    /// A function with a SET clause, which ends with it; what its body says with SET and not SET LOCAL stays (true).
    Clause(bool),
    Role {
        local: bool,
        role: &'static str,
    },
    ResetRole,
    Authorization(&'static str),
    ResetAuthorization,
    ResetAll,
    DiscardAll,
    DiscardTemp,
    DiscardSequences,
    DiscardPlans,
    /// Name and a number that its result shows.
    Prepare(&'static str, u32),
    Execute(&'static str),
    Deallocate(&'static str),
    DeallocateAll,
    Parse(&'static str, u32),
    Run(&'static str),
    Close(&'static str),
    CreateTemp {
        name: &'static str,
        drop: bool,
    },
    CreateTempSequence,
    DropTemp(&'static str),
    /// A number that belongs to this client.
    Lock(u32),
    Unlock(u32),
    UnlockAll,
    /// For this transaction only.
    LockTransaction(u32),
    Declare(&'static str),
    Fetch(&'static str),
    CloseCursor(&'static str),
    CloseAll,
    Listen(&'static str),
    Unlisten(&'static str),
    UnlistenAll,
    Nextval,
    InsertSerial,
    Lastval,
    Currval,
    SetSeed,
}

impl Act {
    /// What it is of; nothing for what touches no session.
    pub fn kinds(&self) -> Vec<Kind> {
        match self {
            Self::Set { name, how, .. }
                if name.contains('.') && !matches!(how, How::Set | How::Words | How::SetConfig) =>
            {
                vec![Kind::Custom, Kind::Hidden]
            }
            Self::Do(_, act) => {
                let visible = act.kinds().into_iter().filter(|kind| ![Kind::Settings, Kind::Local].contains(kind));
                visible.chain([Kind::Hidden]).collect()
            }
            _ => self.kind().into_iter().collect(),
        }
    }

    fn kind(&self) -> Option<Kind> {
        use Act::*;
        Some(match self {
            Fail | Nonsense(_) | Flush | Select | Show(_) | LockTransaction(_) | SetWrong(_) | SetUnknown => {
                return None;
            }
            Begin | Commit | Rollback | Savepoint(_) | RollbackTo(_) | Release(_) => Kind::Blocks,
            Set { name, .. } | Reset(name) | ToDefault(name) if name.contains('.') => Kind::Custom,
            Set { how: How::Set | How::Words | How::SetConfig, local: true, .. } => Kind::Local,
            Set { how: How::Set | How::Words | How::SetConfig, .. } | Reset(_) | ToDefault(_) => Kind::Settings,
            Set { .. } | CommitsThenFails | Clause(_) | Do(..) => Kind::Hidden,
            Role { .. } | ResetRole | Authorization(_) | ResetAuthorization => Kind::Roles,
            ResetAll | DiscardAll | DiscardTemp | DiscardSequences | DiscardPlans => Kind::Discards,
            Prepare(..) | Execute(_) | Deallocate(_) | DeallocateAll => Kind::SqlStatements,
            Parse(..) | Run(_) | Close(_) => Kind::Statements,
            CreateTemp { .. } | CreateTempSequence | DropTemp(_) => Kind::Temp,
            Lock(_) | Unlock(_) | UnlockAll => Kind::Locks,
            Declare(_) | Fetch(_) | CloseCursor(_) | CloseAll => Kind::Cursors,
            Listen(_) | Unlisten(_) | UnlistenAll => Kind::Listen,
            Nextval | InsertSerial | Lastval | Currval => Kind::Sequences,
            SetSeed => Kind::Seed,
            Load => Kind::Libraries,
        })
    }

    /// Whether a client may have to keep its server for it.
    pub fn may_pin(&self) -> bool {
        let pins = matches!(
            self,
            Self::CreateTemp { .. } | Self::CreateTempSequence | Self::Lock(_) | Self::Declare(_) | Self::Prepare(..)
        );
        pins || self.kinds().iter().any(|kind| [Kind::Custom, Kind::Hidden, Kind::Seed, Kind::Libraries].contains(kind))
    }

    /// What its row must be is known only behind what was asked before.
    pub fn stands_alone(&self) -> bool {
        matches!(self, Self::Lastval | Self::Currval)
    }

    /// Whether a DO block may say it, and what it leaves behind is known without its rows. Cursors are a language of
    /// their own there; names of the protocol are out of reach of what is hidden (docs/sessions.md).
    pub fn may_be_done_within(&self) -> bool {
        use Act::*;
        match self {
            Fail | Select | SetUnknown | SetWrong(_) | Reset(_) | ToDefault(_) | ResetAll => true,
            Set { how, .. } => matches!(how, How::Set | How::Words | How::SetConfig),
            Role { .. } | ResetRole | Authorization(_) | ResetAuthorization => true,
            DiscardTemp | DiscardSequences | DiscardPlans | Prepare(..) => true,
            CreateTemp { .. } | CreateTempSequence | DropTemp(_) => true,
            Lock(_) | Unlock(_) | UnlockAll | LockTransaction(_) => true,
            SetSeed | Load => true,
            _ => false,
        }
    }

    /// Text of a statement; that of [`Act::Parse`] is the statement it prepares.
    pub fn sql(&self) -> String {
        use Act::*;
        match self {
            Begin => "BEGIN".into(),
            Commit => "COMMIT".into(),
            Rollback => "ROLLBACK".into(),
            Savepoint(name) => format!("SAVEPOINT s{name}"),
            RollbackTo(name) => format!("ROLLBACK TO s{name}"),
            Release(name) => format!("RELEASE s{name}"),
            Fail => "SELECT 1 / 0".into(),
            Nonsense(false) => "SELEC 'nothing'".into(),
            Nonsense(true) => "SELECT 'nothing' /* ".into(),
            Do(block, act) => within(*block, &act.sql()),
            Select => "SELECT 'nothing'".into(),
            Set { local, name, value, how } => set(*local, name, value, *how),
            SetWrong(name) => format!("SET {name} = 'such a value it cannot have'"),
            SetUnknown => "SET nosuchsetting = 1".into(),
            Reset(name) => format!("RESET {name}"),
            ToDefault(name) => format!("SET SESSION {name} TO DEFAULT"),
            Show(name) => format!("SHOW {name}"),
            CommitsThenFails => "CALL public.commits_then_fails()".into(),
            Clause(stays) => format!("SELECT public.clause({stays})"),
            Role { local: true, role } => format!("SET LOCAL ROLE {role}"),
            Role { role, .. } => format!("SET ROLE {role}"),
            ResetRole => "RESET ROLE".into(),
            Authorization(role) => format!("SET SESSION AUTHORIZATION {role}"),
            ResetAuthorization => "RESET SESSION AUTHORIZATION".into(),
            ResetAll => "RESET ALL".into(),
            DiscardAll => "DISCARD ALL".into(),
            DiscardTemp => "DISCARD TEMP".into(),
            DiscardSequences => "DISCARD SEQUENCES".into(),
            DiscardPlans => "DISCARD PLANS".into(),
            Prepare(name, number) => format!("PREPARE \"{name}\" AS {}", prepared(*number)),
            Execute(name) => format!("EXECUTE \"{name}\""),
            Deallocate(name) => format!("DEALLOCATE \"{}\"", name.replace('"', "\"\"")),
            DeallocateAll => "DEALLOCATE ALL".into(),
            Parse(_, number) => prepared(*number),
            Run(_) | Close(_) | Flush => String::new(),
            CreateTemp { name, drop: false } => format!("CREATE TEMP TABLE {name} (id int)"),
            CreateTemp { name, drop: true } => format!("CREATE TEMP TABLE {name} (id int) ON COMMIT DROP"),
            CreateTempSequence => "CREATE TEMP SEQUENCE temp_sequence".into(),
            DropTemp(name) if *name == "temp_sequence" => "DROP SEQUENCE temp_sequence".into(),
            DropTemp(name) => format!("DROP TABLE {name}"),
            Lock(key) => format!("SELECT pg_advisory_lock({key})"),
            Unlock(key) => format!("SELECT pg_advisory_unlock({key})"),
            UnlockAll => "SELECT pg_advisory_unlock_all()".into(),
            LockTransaction(key) => format!("SELECT pg_advisory_xact_lock(1, {key})"),
            Declare(name) => format!("DECLARE {name} CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 4) n"),
            Fetch(name) => format!("FETCH 1 FROM {name}"),
            CloseCursor(name) => format!("CLOSE {name}"),
            CloseAll => "CLOSE ALL".into(),
            Listen(channel) => format!("LISTEN {channel}"),
            Unlisten(channel) => format!("UNLISTEN {channel}"),
            UnlistenAll => "UNLISTEN *".into(),
            Nextval => "SELECT nextval('public.numbers')".into(),
            InsertSerial => "INSERT INTO public.ticket DEFAULT VALUES RETURNING id".into(),
            Lastval => "SELECT lastval()".into(),
            Currval => "SELECT currval('public.numbers')".into(),
            SetSeed => "SELECT setseed(0.5)".into(),
            Load => format!("LOAD '{LIBRARY}'"),
        }
    }

    /// In the extended protocol, without a Sync.
    pub fn messages(&self) -> Vec<u8> {
        let run = |name: &str| [raw::bind("", name, &[]), raw::execute("", 0)].concat();
        match self {
            Self::Parse(name, _) => raw::parse(name, &self.sql()),
            Self::Run(name) => run(name),
            Self::Close(name) => raw::close(b'S', name),
            Self::Flush => raw::flush(),
            _ => [raw::parse("", &self.sql()), run("")].concat(),
        }
    }

    /// Whether it is a message, and no SQL.
    pub fn is_message(&self) -> bool {
        matches!(self, Self::Parse(..) | Self::Run(_) | Self::Close(_) | Self::Flush)
    }
}

fn prepared(number: u32) -> String {
    format!("SELECT 'prepared as {number}'")
}

fn set(local: bool, name: &str, value: &str, how: How) -> String {
    let quoted = value.replace('\'', "''");
    let word = if local { "LOCAL" } else { "SESSION" };
    // A list is no list any more between quotes.
    let plain = if name == "search_path" { value.to_owned() } else { format!("'{quoted}'") };
    let inner = format!("SET {word} {name} = {plain}");
    match how {
        How::Words => in_words(word, name, value).unwrap_or(inner),
        How::Set => inner,
        How::SetConfig => format!("SELECT set_config('{name}', '{quoted}', {local})"),
        How::Function => format!("SELECT public.sets('{name}', '{quoted}', {local})"),
        How::FunctionFails => format!("SELECT public.sets_and_fails('{name}', '{quoted}', {local})"),
        How::Trigger => format!("INSERT INTO public.obeys VALUES ('{name}', '{quoted}', {local})"),
    }
}

fn in_words(word: &str, name: &str, value: &str) -> Option<String> {
    Some(match name {
        "TimeZone" => format!("SET {word} TIME ZONE '{value}'"),
        "client_encoding" => format!("SET {word} NAMES '{value}'"),
        "search_path" if value == "public" => format!("SET {word} SCHEMA '{value}'"),
        "xmloption" => format!("SET {word} XML OPTION {value}"),
        "default_transaction_isolation" if word == "SESSION" => {
            format!("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {value}")
        }
        "default_transaction_deferrable" if word == "SESSION" => {
            "SET SESSION CHARACTERISTICS AS TRANSACTION DEFERRABLE".to_owned()
        }
        _ => return None,
    })
}

fn within(block: Block, sql: &str) -> String {
    let plain = sql.strip_prefix("SELECT ").map_or_else(|| sql.to_owned(), |rest| format!("PERFORM {rest}"));
    match block {
        Block::Plain => format!("DO $x$ BEGIN {plain}; END $x$"),
        Block::Executes => format!("DO $x$ BEGIN EXECUTE $y${sql}$y$; END $x$"),
        Block::Computes => format!("DO $x$ BEGIN EXECUTE reverse(reverse($y${sql}$y$)); END $x$"),
        Block::Undoes => {
            format!("DO $x$ BEGIN {plain}; PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN NULL; END $x$")
        }
    }
}
