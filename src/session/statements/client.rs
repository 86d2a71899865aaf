//! What one client has prepared.

use super::{Statement, key};
use crate::session::Settings;
use foldhash::HashMap;
use std::sync::Arc;

/// Bytes of names and statements that one client may have prepared.
const CLIENT_MAX: usize = 16 * 1024 * 1024;

/// A client's statements by the names that it gave them. Names are looked at as far as PostgreSQL does (63 bytes).
#[derive(Debug, Default)]
pub struct Statements {
    named: HashMap<Box<[u8]>, Arc<Statement>>,
    unnamed: Option<Arc<Statement>>,
    bytes: usize,
}

impl Statements {
    /// The statement of a name; the unnamed one for an empty name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(key(name)) }
    }

    /// Gives a name a statement, or takes it away. Says what it had before.
    pub fn put(&mut self, name: &[u8], statement: Option<Arc<Statement>>) -> Option<Arc<Statement>> {
        if name.is_empty() {
            return std::mem::replace(&mut self.unnamed, statement);
        }
        let name = key(name);
        let cost = |statement: &Arc<Statement>| name.len() + statement.len();
        self.bytes += statement.as_ref().map_or(0, cost);
        let before = match statement {
            Some(statement) => self.named.insert(name.into(), statement),
            None => self.named.remove(name),
        };
        self.bytes -= before.as_ref().map_or(0, cost);
        before
    }

    /// The unnamed statement for this body of Parse; the one that it has already, if that is the same.
    pub fn unnamed_for(&self, body: &[u8], settings: &Arc<Settings>) -> Arc<Statement> {
        let same = self.unnamed.as_ref().filter(|statement| statement.is(body, settings));
        same.cloned().unwrap_or_else(|| Arc::new(Statement::unnamed(Some(body), settings)))
    }

    /// Whether one more statement of so many bytes is not too much.
    pub fn has_room(&self, name: &[u8], bytes: usize) -> bool {
        self.bytes + key(name).len() + bytes <= CLIENT_MAX
    }

    /// Whether it has a statement that only one server has.
    pub fn is_tied(&self) -> bool {
        let tied = |statement: &Arc<Statement>| statement.body().is_none();
        self.unnamed.as_ref().is_some_and(tied) || self.named.values().any(tied)
    }

    /// Bytes of names and statements.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all that have names.
    pub fn clear(&mut self) {
        self.named.clear();
        self.bytes = 0;
    }
}
