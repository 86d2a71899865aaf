//! Settings that are PgOtter's own, `pgotter.route` and `pgotter.after_lsn`: what a client has set them to, under PostgreSQL's rules for
//! transactions. No server hears of them. Pure; does not know what they are good for.
//!
//! A change counts when it is sent, and is undone with its transaction, or to its savepoint. Source: PostgreSQL documentation, `SET`, and
//! `AtEOXact_GUC` in its `src/backend/utils/misc/guc.c`.

use crate::sql::{Discard, Facts, Name, Verb};
use std::sync::Arc;

/// What the names of all of them begin with.
pub const OWN: &[u8] = b"pgotter.";

/// Savepoints of a transaction that are told apart. What is set behind more of them goes with the first that is rolled back to.
const SAVEPOINTS_MAX: usize = 1000;

/// One of them that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnSetting {
    /// `pgotter.route`.
    Route,
    /// `pgotter.after_lsn`.
    AfterLsn,
}

/// What they are set to; empty where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnValues {
    route: Arc<str>,
    after_lsn: Arc<str>,
}

impl OwnValues {
    /// The value of one.
    pub fn get(&self, setting: OwnSetting) -> &str {
        match setting {
            OwnSetting::Route => &self.route,
            OwnSetting::AfterLsn => &self.after_lsn,
        }
    }

    /// Sets one.
    pub fn set(&mut self, setting: OwnSetting, value: &str) {
        match setting {
            OwnSetting::Route => self.route = value.into(),
            OwnSetting::AfterLsn => self.after_lsn = value.into(),
        }
    }
}

/// Those of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnSettings {
    // What it came with, and RESET returns to.
    base: OwnValues,
    // When its transaction began.
    before: OwnValues,
    now: State,
    // The transaction has changed them.
    pending: bool,
    savepoints: Vec<(Name, State)>,
    // So many of its ROLLBACK TO have not been answered.
    returns: usize,
    failed: bool,
}

/// In the transaction under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    // Without what is set LOCAL: what COMMIT keeps.
    session: OwnValues,
    visible: OwnValues,
}

impl OwnSettings {
    /// Of a client that came with these.
    pub fn new(base: OwnValues) -> Self {
        let now = State { session: base.clone(), visible: base.clone() };
        Self { before: base.clone(), base, now, ..Self::default() }
    }

    /// What counts now.
    pub fn get(&self, setting: OwnSetting) -> &str {
        self.now.visible.get(setting)
    }

    /// What RESET returns to.
    pub fn base(&self, setting: OwnSetting) -> &str {
        self.base.get(setting)
    }

    /// Sets one; `local`: until the transaction ends. It counts at once and is pending until [`Self::end`].
    pub fn set(&mut self, setting: OwnSetting, value: &str, local: bool) {
        self.pending = true;
        self.now.visible.set(setting, value);
        if !local {
            self.now.session.set(setting, value);
        }
    }

    /// `RESET ALL`, `DISCARD ALL`.
    pub fn reset(&mut self) {
        self.pending = true;
        self.now = State { session: self.base.clone(), visible: self.base.clone() };
    }

    /// Whether it is open what becomes of a change.
    pub fn is_pending(&self) -> bool {
        self.pending
    }

    /// A text of these facts is sent.
    pub fn note(&mut self, facts: &Facts) {
        for statement in facts.statements.iter() {
            match &statement.verb {
                Verb::ResetAll | Verb::Discard(Discard::All) => self.reset(),
                // An earlier savepoint brings back what was set when the transaction began.
                _ if !self.pending => (),
                Verb::Savepoint(name) if self.savepoints.len() < SAVEPOINTS_MAX => {
                    self.savepoints.push((name.clone(), self.now.clone()));
                }
                Verb::Release(name) => {
                    let from = self.savepoint(name).unwrap_or(0);
                    self.savepoints.truncate(from);
                }
                Verb::RollbackTo(name) => {
                    self.returns += 1;
                    let at = self.savepoint(name);
                    let first = State { session: self.before.clone(), visible: self.before.clone() };
                    // One that is older than the first change.
                    self.now = at.and_then(|at| self.savepoints.get(at)).map_or(first, |(_, then)| then.clone());
                    self.savepoints.truncate(at.map_or(0, |at| at + 1));
                }
                _ => (),
            }
        }
    }

    /// A statement has been answered with this tag.
    pub fn completed(&mut self, tag: &[u8]) {
        match tag {
            b"COMMIT" | b"PREPARE TRANSACTION" => self.end(true),
            b"ROLLBACK" if self.returns > 0 => self.returns -= 1,
            b"ROLLBACK" => self.end(false),
            _ => (),
        }
    }

    /// Something has failed, and what is behind it is skipped.
    pub fn failed(&mut self) {
        (self.failed, self.returns) = (true, 0);
    }

    /// No transaction is open any more.
    pub fn at_rest(&mut self) {
        self.end(!self.failed);
    }

    /// The transaction is over.
    pub fn end(&mut self, committed: bool) {
        if committed {
            self.before = self.now.session.clone();
        }
        self.now = State { session: self.before.clone(), visible: self.before.clone() };
        (self.pending, self.failed, self.returns) = (false, false, 0);
        self.savepoints.clear();
    }

    /// The innermost of this name.
    fn savepoint(&self, name: &[u8]) -> Option<usize> {
        self.savepoints.iter().rposition(|(known, _)| **known == *name)
    }
}

#[cfg(test)]
mod tests {
    //! Transactions, and what they leave set.

    use super::*;
    use crate::sql::{Plain, Reading, read};

    fn sent(own: &mut OwnSettings, text: &str) {
        own.note(&read(text.as_bytes(), Reading::default(), &Plain));
    }

    fn route(own: &OwnSettings) -> &str {
        own.get(OwnSetting::Route)
    }

    fn of(base: &str) -> OwnSettings {
        let mut values = OwnValues::default();
        values.set(OwnSetting::Route, base);
        OwnSettings::new(values)
    }

    #[test]
    fn a_change_is_kept_by_commit_and_undone_by_rollback() {
        let mut own = of("");
        own.set(OwnSetting::Route, "primary", false);
        own.completed(b"COMMIT");
        own.set(OwnSetting::Route, "replica", false);
        assert_eq!(route(&own), "replica");
        own.completed(b"ROLLBACK");
        assert_eq!((route(&own), own.is_pending()), ("primary", false));
        own.set(OwnSetting::Route, "replica", false);
        own.failed();
        own.at_rest();
        assert_eq!(route(&own), "primary", "a pipeline that fails has set nothing");
        own.set(OwnSetting::Route, "replica", false);
        own.at_rest();
        assert_eq!(route(&own), "replica");
    }

    #[test]
    fn what_is_set_locally_ends_with_its_transaction() {
        let mut own = of("primary");
        own.set(OwnSetting::Route, "replica", false);
        own.set(OwnSetting::Route, "replica stale", true);
        assert_eq!(route(&own), "replica stale");
        own.completed(b"COMMIT");
        assert_eq!(route(&own), "replica");
        own.reset();
        own.at_rest();
        assert_eq!(route(&own), "primary", "a reset returns to what the client came with");
    }

    #[test]
    fn a_savepoint_brings_back_what_was_set_then() {
        let mut own = of("");
        own.set(OwnSetting::Route, "primary", false);
        sent(&mut own, "SAVEPOINT a");
        own.set(OwnSetting::Route, "replica", false);
        sent(&mut own, "SAVEPOINT b");
        own.set(OwnSetting::Route, "replica stale", false);
        sent(&mut own, "ROLLBACK TO b");
        own.completed(b"ROLLBACK");
        assert_eq!(route(&own), "replica");
        sent(&mut own, "RELEASE b");
        sent(&mut own, "ROLLBACK TO a");
        own.completed(b"ROLLBACK");
        assert_eq!(route(&own), "primary");
        own.completed(b"COMMIT");
        assert_eq!(route(&own), "primary");
        own.set(OwnSetting::Route, "replica", false);
        sent(&mut own, "ROLLBACK TO older");
        assert_eq!(route(&own), "primary");
        own.completed(b"ROLLBACK");
        assert!(own.is_pending(), "its transaction goes on");
        own.completed(b"ROLLBACK");
        assert!(!own.is_pending());
    }

    #[test]
    fn there_is_an_end_to_savepoints() {
        let mut own = of("");
        own.set(OwnSetting::Route, "primary", false);
        (0..2 * SAVEPOINTS_MAX).for_each(|at| sent(&mut own, &format!("SAVEPOINT a{at}")));
        assert_eq!(own.savepoints.len(), SAVEPOINTS_MAX);
    }
}
