//! What one server has prepared, as far as is believed.

use super::{ServerName, Statement};
use foldhash::HashMap;
use std::sync::Arc;

/// Whether a server has a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It may: Close it before Parse.
    Perhaps,
}

/// A server's statements, and which of them has gone unused for longest.
#[derive(Debug, Default)]
pub struct ServerStatements {
    // When it was last used; the clock is a count of uses.
    named: HashMap<ServerName, u64>,
    uses: u64,
    // A client's own words may have dropped any of them.
    doubtful: bool,
    // They are about to, and it will be told whether they did.
    dropping: bool,
    // What is believed again if they do not.
    before: Option<Believed>,
    unnamed: Option<Arc<Statement>>,
}

/// What was believed of a server's statements that have names.
#[derive(Debug)]
pub struct Believed {
    named: HashMap<ServerName, u64>,
    doubtful: bool,
}

impl ServerStatements {
    /// Whether it has this one, which is used now if it does.
    pub fn has(&mut self, statement: &Statement) -> Has {
        self.uses += 1;
        match self.named.get_mut(&statement.id) {
            Some(last) => {
                *last = self.uses;
                Has::Yes
            }
            None if self.doubtful => Has::Perhaps,
            None => Has::No,
        }
    }

    /// It is sent this one. With more than `limit`, the one that is closed for it.
    pub fn parsed(&mut self, statement: &Statement, limit: usize) -> Option<ServerName> {
        let oldest =
            if self.named.len() >= limit.max(1) { self.named.iter().min_by_key(|(_, last)| **last) } else { None };
        let oldest = oldest.map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.named.remove(&id);
        }
        self.uses += 1;
        self.named.insert(statement.id, self.uses);
        oldest
    }

    /// It does not have this one after all.
    pub fn forget(&mut self, name: ServerName) {
        self.named.remove(&name);
    }

    /// It still has this one.
    pub fn still_has(&mut self, name: ServerName) {
        self.named.insert(name, self.uses);
    }

    /// Nothing is known of those that have names any more: each one is closed before it is sent again. What was believed.
    pub fn doubt(&mut self) -> Believed {
        self.before = None;
        let doubtful = std::mem::replace(&mut self.doubtful, true);
        Believed { named: std::mem::take(&mut self.named), doubtful }
    }

    /// There was no reason to doubt.
    pub(super) fn believe(&mut self, before: Believed) {
        self.named.extend(before.named);
        self.doubtful = before.doubtful;
    }

    /// All that have names may be dropped by what is sent now, and the unnamed one is.
    pub fn await_drop(&mut self) {
        let before = self.before.take();
        let believed = self.doubt();
        self.before = Some(before.unwrap_or(believed));
        self.dropping = true;
        self.unnamed = None;
    }

    /// Whether that may still come.
    pub fn awaits_drop(&self) -> bool {
        self.dropping
    }

    /// An answer came with this tag. Whether it says that they are dropped now.
    pub fn hears_drop(&mut self, tag: &[u8]) -> bool {
        let dropped = self.dropping && matches!(tag, b"DEALLOCATE ALL" | b"DISCARD ALL");
        if dropped {
            self.before = None;
        }
        dropped
    }

    /// What was sent has been answered.
    pub fn end_drop(&mut self) {
        self.dropping = false;
        if let Some(before) = self.before.take() {
            self.believe(before);
        }
    }

    /// Nobody has heard whether they were dropped.
    pub fn forget_drop(&mut self) {
        self.dropping = false;
        self.before = None;
    }

    /// How many it has that have names.
    pub fn count(&self) -> usize {
        self.named.len()
    }

    /// Whether its unnamed statement is this one.
    pub fn has_unnamed(&self, statement: &Arc<Statement>) -> bool {
        self.unnamed.as_ref().is_some_and(|unnamed| Arc::ptr_eq(unnamed, statement))
    }

    /// Whether it has any unnamed statement.
    pub fn has_any_unnamed(&self) -> bool {
        self.unnamed.is_some()
    }

    /// Its unnamed statement from now on. Says what it was.
    pub fn put_unnamed(&mut self, statement: Option<Arc<Statement>>) -> Option<Arc<Statement>> {
        std::mem::replace(&mut self.unnamed, statement)
    }
}
