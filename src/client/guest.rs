//! What a client may send where it is, as long as rules send some tables to another entry of `[databases]`: nothing about tables that are
//! not there, and elsewhere nothing that would stay there.

use super::connection::Client;
use super::elsewhere::Belongs;
use super::link::Link;
use super::serve::Left;
use crate::fault::{Blame, Fault, Severity, SqlState};
use crate::session::is_role;
use crate::sql::{Facts, Verb};

impl Client {
    /// A text with these facts is about to be sent; `None`: the text is not at hand any more.
    ///
    /// # Errors
    /// As [`Self::keep_reading`] and [`Self::keep_entry`].
    pub(super) fn may_be_sent(&self, text: Option<&[u8]>, facts: &Facts) -> Result<(), Fault> {
        self.keep_reading(text, facts)?;
        self.keep_entry(text, facts)
    }

    /// The text is about to be sent to where the client is; `None`: the text is not at hand any more.
    ///
    /// # Errors
    /// ERROR 0A000: it names tables that are not there, or would leave something behind that the client could not have at home.
    fn keep_entry(&self, text: Option<&[u8]>, facts: &Facts) -> Result<(), Fault> {
        if self.elsewhere.is_none() {
            return Ok(());
        }
        let visited = self.visited_entry();
        match (self.belongs(text, facts).map_err(|why| self.misplaced(&why))?, visited) {
            (Belongs::Nowhere, _) | (Belongs::Home, None) => (),
            (Belongs::There(rule), Some(entry)) if self.entry_of(rule) == entry => (),
            (Belongs::There(rule), _) => return Err(self.beside_transaction(self.entry_of(rule))),
            (Belongs::Home, Some(_)) => return Err(self.beside_transaction(&self.home_pool().database)),
        }
        let Some(entry) = visited else { return Ok(()) };
        use Verb::{Listen, Prepare, PrepareTransaction, Unlisten, UnlistenAll};
        let stays =
            |verb: &Verb| matches!(verb, Listen(_) | Unlisten(_) | UnlistenAll | Prepare(_) | PrepareTransaction);
        if facts.statements.iter().any(|only| stays(&only.verb)) || facts.all_names().any(is_role) {
            return Err(elsewhere_only(entry, "the statement is about the session, or a server of its own"));
        }
        Ok(())
    }

    /// The same of a statement that the client has prepared.
    ///
    /// # Errors
    /// As there.
    pub(super) fn keep_entry_by_name(&self, text: Option<&[u8]>) -> Result<(), Fault> {
        if self.elsewhere.is_none() {
            return Ok(());
        }
        let text = text.ok_or_else(beyond_gathering)?;
        self.keep_entry(Some(text), &self.pool.catalog().read(text, self.settings.reading()))
    }

    /// A statement that would keep the client at its server.
    ///
    /// # Errors
    /// ERROR 0A000: the server is another entry's.
    pub(super) fn keep_free(&self) -> Result<(), Fault> {
        match self.visited_entry() {
            None => Ok(()),
            Some(entry) => Err(elsewhere_only(entry, "the statement leaves something behind that only its server has")),
        }
    }

    /// A transaction begins on the server that the client has kept.
    ///
    /// # Errors
    /// FATAL 0A000: it is another entry's.
    pub(super) fn must_not_stay(&self) -> Result<(), Left> {
        self.left_something(self.is_visiting())
    }

    /// FATAL 0A000, of a function that is called by its number.
    pub(super) fn no_call_here(&self) -> Left {
        let entry = self.visited_entry().unwrap_or_default();
        let fault = elsewhere_only(entry, "a function that is called by its number is another one there");
        Left::Refused(Fault { severity: Severity::Fatal, ..fault })
    }

    /// It was not seen before that something would be left behind.
    ///
    /// # Errors
    /// FATAL 0A000: something was, in a server of another entry.
    pub(super) fn must_be_free(&self, link: &Link) -> Result<(), Left> {
        self.left_something((self.is_pinned() || self.keeps_for_sequences()) && link.is_at_rest())
    }

    fn left_something(&self, kept: bool) -> Result<(), Left> {
        let Some(entry) = self.visited_entry().filter(|_| kept) else { return Ok(()) };
        let what = "the transaction has left something behind that only its server has";
        let fault = Fault { severity: Severity::Fatal, ..elsewhere_only(entry, what) };
        Err(Left::Refused(fault))
    }

    fn beside_transaction(&self, entry: &str) -> Fault {
        let here = &self.pool.database;
        Fault::error(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, "a transaction cannot use tables of two databases")
            .with_detail(format!(
                "The statement is for database \"{entry}\", and its transaction, or the server that the client keeps, is in \"{here}\"."
            ))
            .with_hint(format!("Use those tables in a transaction of their own, or connect to database \"{entry}\"."))
    }
}

/// Of what can only be done by who has logged in there.
pub(super) fn elsewhere_only(entry: &str, why: &str) -> Fault {
    let message = format!("this cannot be done in database \"{entry}\" from another one");
    Fault::error(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_detail(format!("A rule of [routing] leads there, and {why}."))
        .with_hint(format!("Connect to database \"{entry}\" for it."))
}

/// Of a text that is not kept, so that nobody can tell what it names.
pub(super) fn beyond_gathering() -> Fault {
    let message = "cannot tell in which database the tables of such a long statement are";
    Fault::error(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_hint("Make it shorter than request_gather, or pass what is long as a parameter.")
}
