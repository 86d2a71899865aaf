//! What one client has prepared.

use super::{Effect, Statement, key};
use crate::session::Settings;
use crate::sql::Readings;
use bytes::BytesMut;
use foldhash::HashMap;
use std::sync::Arc;

/// Bytes of names and statements that one client may have prepared.
const CLIENT_MAX: usize = 16 * 1024 * 1024;

/// Portals in one transaction of which something must be known.
const PORTALS_MAX: usize = 1000;

/// What all names of a client stood for.
#[derive(Debug)]
pub struct Named(HashMap<Box<[u8]>, Arc<Statement>>);

/// How the name of a statement on a server begins in PostgreSQL's messages.
const MARK: &[u8] = b"\"pgotter_";

/// A client's statements by the names that it gave them. Names are looked at as far as PostgreSQL does (63 bytes).
#[derive(Debug, Default)]
pub struct Statements {
    named: HashMap<Box<[u8]>, Arc<Statement>>,
    unnamed: Option<Arc<Statement>>,
    bytes: usize,
    // Those that only one server has.
    tied: usize,
    // Those of the transaction under way of which something must be known.
    portals: HashMap<Box<[u8]>, Portal>,
}

/// What must be known of a portal when it is executed.
#[derive(Clone, Debug, Default)]
pub struct Portal {
    /// What it drops.
    pub drops: Option<Drops>,
    /// Its statement, where what that does to LISTEN counts.
    pub listens: Option<Arc<Statement>>,
    /// The cursor that it declares, which is a portal, too.
    pub declares: Option<Box<[u8]>>,
    /// Its statement, where that is PgOtter's own to answer.
    pub own: Option<Arc<Statement>>,
    /// Its statement, where that may reset what its client came with, or undo that.
    pub resets: Option<Arc<Statement>>,
}

impl Portal {
    /// Nothing need be known.
    pub fn is_nothing(&self) -> bool {
        let statements = [&self.listens, &self.own, &self.resets];
        self.drops.is_none() && self.declares.is_none() && statements.into_iter().all(Option::is_none)
    }
}

/// What the Execute of a portal drops.
#[derive(Clone, Debug)]
pub enum Drops {
    /// All that have names.
    All,
    /// The one of this name.
    One(Box<[u8]>),
}

impl Statements {
    /// The statement of a name; the unnamed one for an empty name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        if name.is_empty() { self.unnamed.as_ref() } else { self.named.get(key(name)) }
    }

    /// Gives a name a statement, or takes it away. Says what it had before.
    pub fn put(&mut self, name: &[u8], statement: Option<Arc<Statement>>) -> Option<Arc<Statement>> {
        let tied =
            |statement: &Option<Arc<Statement>>| usize::from(statement.as_ref().is_some_and(|s| s.body().is_none()));
        self.tied += tied(&statement);
        let before = self.replace(key(name), statement);
        self.tied -= tied(&before);
        before
    }

    fn replace(&mut self, name: &[u8], statement: Option<Arc<Statement>>) -> Option<Arc<Statement>> {
        if name.is_empty() {
            return std::mem::replace(&mut self.unnamed, statement);
        }
        let cost = |statement: &Arc<Statement>| name.len() + statement.len();
        self.bytes += statement.as_ref().map_or(0, cost);
        let before = match statement {
            Some(statement) => self.named.insert(name.into(), statement),
            None => self.named.remove(name),
        };
        self.bytes -= before.as_ref().map_or(0, cost);
        before
    }

    /// The unnamed statement for this body of Parse, which is read by these rules; the one that it has already, if that is the same.
    pub fn unnamed_for(&self, body: &[u8], settings: &Arc<Settings>, readings: Readings) -> Arc<Statement> {
        let same = |statement: &&Arc<Statement>| statement.is(body, settings) && statement.readings == readings;
        let known = self.unnamed.as_ref().filter(same);
        known.cloned().unwrap_or_else(|| Arc::new(Statement::unnamed(Some(body), settings, readings)))
    }

    /// Appends a text in which a server's name for one of its statements, in double quotes, is replaced by its own. Appends
    /// nothing if there is none.
    pub fn reword(&self, text: &[u8], out: &mut BytesMut) {
        let Some(at) = text.windows(MARK.len()).position(|part| part == MARK) else { return };
        let digits = &text[at + MARK.len()..];
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let id = std::str::from_utf8(&digits[..length]).ok().and_then(|digits| digits.parse().ok());
        let own = self.named.iter().find(|(_, statement)| Some(statement.server_name().0) == id);
        if let (Some((name, _)), Some(b'"')) = (own, digits.get(length)) {
            out.extend_from_slice(&text[..=at]);
            out.extend_from_slice(name);
            out.extend_from_slice(&digits[length..]);
        }
    }

    /// Whether one more statement of so many bytes is not too much.
    pub fn has_room(&self, name: &[u8], bytes: usize) -> bool {
        self.bytes + key(name).len() + bytes <= CLIENT_MAX
    }

    /// Whether it has a statement that only one server has.
    pub fn is_tied(&self) -> bool {
        self.tied > 0
    }

    /// What must be known of this portal.
    pub fn portal(&self, portal: &[u8]) -> Option<&Portal> {
        self.portals.get(key(portal))
    }

    /// A portal is bound, of which this must be known, or is there no longer. Gives what takes that back, if it changes anything.
    pub fn put_portal(&mut self, portal: &[u8], known: Option<Portal>) -> Option<Effect> {
        if known.is_none() && self.portals.is_empty() {
            return None;
        }
        let portal: Box<[u8]> = key(portal).into();
        let before = match known {
            Some(known) => self.portals.insert(portal.clone(), known),
            None => Some(self.portals.remove(&portal)?),
        };
        Some(Effect::Portal { portal, before })
    }

    /// Cursors of these names are declared. What was known of portals of that name.
    pub fn take_portals<'a>(&mut self, names: impl Iterator<Item = &'a [u8]>) -> Vec<(Box<[u8]>, Portal)> {
        names.filter_map(|name| self.portals.remove_entry(key(name))).collect()
    }

    /// Whether there may be one more of them.
    pub fn has_room_for_portal(&self) -> bool {
        self.portals.len() < PORTALS_MAX
    }

    /// The transaction is over, and its portals with it.
    pub fn end_portals(&mut self) {
        self.portals.clear();
    }

    /// How many have names.
    pub fn count(&self) -> usize {
        self.named.len()
    }

    /// Forgets all that have names. Says which there were.
    pub fn clear_named(&mut self) -> Named {
        self.bytes = 0;
        self.tied = usize::from(self.unnamed.as_ref().is_some_and(|statement| statement.body().is_none()));
        Named(std::mem::take(&mut self.named))
    }

    /// They were not to be forgotten.
    pub(super) fn put_back(&mut self, named: Named) {
        for (name, statement) in named.0 {
            self.put(&name, Some(statement));
        }
    }

    /// Bytes of names and statements.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
