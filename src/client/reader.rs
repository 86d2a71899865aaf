//! A client that came by an alias which only reads (`shop_ro`). Its transactions are read-only, so that PostgreSQL refuses what it writes; what
//! would make them others is refused here. That is for applications that split by themselves, and keeps nobody from writing who wants to: code
//! in the database can make a transaction another one unseen.

use super::connection::Client;
use crate::fault::{Blame, Fault, SqlState};
use crate::sql::{Facts, Setting, Value, Verb};

/// The settings that make it one.
const READ_ONLY: [&[u8]; 2] = [b"default_transaction_read_only", b"transaction_read_only"];

impl Client {
    /// A statement of these facts is about to be sent; `None`: its text is not at hand any more.
    ///
    /// # Errors
    /// ERROR 25006: it would make a transaction one that writes.
    pub(super) fn keep_reading(&self, text: Option<&[u8]>, facts: &Facts) -> Result<(), Fault> {
        let Some(writer) = self.presence.writer() else { return Ok(()) };
        let says_write = || text.is_none_or(says_write);
        let frees = |setting: &Setting| READ_ONLY.contains(&&*setting.name) && !is_on(&setting.value);
        let writes = facts.statements.iter().any(|statement| match &statement.verb {
            Verb::Begin(begin) => begin.read_only == Some(false),
            Verb::SetTransaction(_) => says_write(),
            Verb::Set(settings) | Verb::SetConfig(settings) => settings.iter().any(frees),
            _ => false,
        });
        let by_code = || facts.code_names().any(|(name, _)| READ_ONLY.contains(&name));
        let unsure = facts.unsure.is_some() && !facts.is_refused() && (says_write() || text.is_none_or(says_read_only));
        if !writes && !unsure && !by_code() {
            return Ok(());
        }
        let message = "cannot set transaction read-write mode in a database that is only read";
        Err(Fault::error(Blame::Client, SqlState::READ_ONLY_SQL_TRANSACTION, message)
            .with_hint(format!("Connect to database \"{writer}\" to write.")))
    }

    /// Whether a BEGIN of this text is PostgreSQL's or [`Self::keep_reading`]'s to refuse.
    pub(super) fn is_kept_from(&self, begin: &str) -> bool {
        self.presence.writer().is_some() && says_write(begin.as_bytes())
    }
}

fn says_write(text: &[u8]) -> bool {
    says(text, b"write")
}

fn says_read_only(text: &[u8]) -> bool {
    says(text, b"read_only")
}

fn says(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|at| at.eq_ignore_ascii_case(word))
}

fn is_on(value: &Value) -> bool {
    let Value::Literal(value) = value else { return *value == Value::Default };
    [&b"on"[..], b"true", b"yes", b"1"].iter().any(|on| value.eq_ignore_ascii_case(on))
}
