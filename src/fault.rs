//! What went wrong, in the words a client may hear. A [`Fault`] becomes bytes in one place only:
//! `wire::backend::error_response`.

use std::borrow::Cow;
use std::fmt;

/// Five characters of a SQLSTATE. Source: PostgreSQL `src/backend/utils/errcodes.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SqlState(pub &'static str);

#[allow(missing_docs, reason = "the names are PostgreSQL's own, from errcodes.txt")]
impl SqlState {
    pub const SUCCESSFUL_COMPLETION: Self = Self("00000");
    pub const CONNECTION_FAILURE: Self = Self("08006");
    pub const TRANSACTION_RESOLUTION_UNKNOWN: Self = Self("08007");
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    pub const CHARACTER_NOT_IN_REPERTOIRE: Self = Self("22021");
    pub const INVALID_PARAMETER_VALUE: Self = Self("22023");
    pub const INVALID_SQL_STATEMENT_NAME: Self = Self("26000");
    pub const INVALID_CURSOR_NAME: Self = Self("34000");
    pub const INSUFFICIENT_PRIVILEGE: Self = Self("42501");
    pub const SYNTAX_ERROR: Self = Self("42601");
    pub const INVALID_NAME: Self = Self("42602");
    pub const UNDEFINED_OBJECT: Self = Self("42704");
    pub const DUPLICATE_PREPARED_STATEMENT: Self = Self("42P05");
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self("54000");
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: Self = Self("55000");
    pub const CANT_CHANGE_RUNTIME_PARAM: Self = Self("55P02");
    pub const CONFIG_FILE_ERROR: Self = Self("F0000");
    pub const ACTIVE_SQL_TRANSACTION: Self = Self("25001");
    pub const NO_ACTIVE_SQL_TRANSACTION: Self = Self("25P01");
    pub const READ_ONLY_SQL_TRANSACTION: Self = Self("25006");
    pub const IN_FAILED_SQL_TRANSACTION: Self = Self("25P02");
    pub const IDLE_IN_TRANSACTION_SESSION_TIMEOUT: Self = Self("25P03");
    pub const TRANSACTION_TIMEOUT: Self = Self("25P04");
    pub const INVALID_AUTHORIZATION_SPECIFICATION: Self = Self("28000");
    pub const INVALID_PASSWORD: Self = Self("28P01");
    pub const INVALID_CATALOG_NAME: Self = Self("3D000");
    pub const OUT_OF_MEMORY: Self = Self("53200");
    pub const TOO_MANY_CONNECTIONS: Self = Self("53300");
    pub const QUERY_CANCELED: Self = Self("57014");
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    pub const CANNOT_CONNECT_NOW: Self = Self("57P03");
    pub const IDLE_SESSION_TIMEOUT: Self = Self("57P05");
    pub const INTERNAL_ERROR: Self = Self("XX000");
}

/// FATAL means that the connection closes behind the message; ERROR that it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The request failed, the connection goes on.
    Error,
    /// The connection closes.
    Fatal,
}

/// Whose fault it was; becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client broke a rule or left.
    Client,
    /// PostgreSQL, or the way to it, failed.
    Server,
    /// A limit or deadline that the operator set.
    Limit,
    /// PgOtter itself.
    Pooler,
}

/// A refusal or failure as the client hears it: PostgreSQL's style, primary message short,
/// lower case, factual; advice in `hint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whether the connection closes.
    pub severity: Severity,
    /// The code that drivers act on.
    pub sqlstate: SqlState,
    /// Primary message.
    pub message: Cow<'static, str>,
    /// DETAIL, if there is something to say.
    pub detail: Option<Cow<'static, str>>,
    /// HINT: what the reader can do about it.
    pub hint: Option<Cow<'static, str>>,
    /// Whose fault.
    pub blame: Blame,
}

impl Fault {
    /// An ERROR: the connection goes on.
    pub fn error(blame: Blame, sqlstate: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self { severity: Severity::Error, sqlstate, message: message.into(), detail: None, hint: None, blame }
    }

    /// A FATAL: the connection closes behind it.
    pub fn fatal(blame: Blame, sqlstate: SqlState, message: impl Into<Cow<'static, str>>) -> Self {
        Self { severity: Severity::Fatal, ..Self::error(blame, sqlstate, message) }
    }

    /// Adds DETAIL.
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds HINT.
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.sqlstate.0)
    }
}

impl std::error::Error for Fault {}
