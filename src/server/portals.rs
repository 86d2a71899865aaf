//! As what a server's client is counted when it executes a portal, and what that says of itself; and, where names of statements are not
//! carried from server to server, what they stand for. Bounded: what there is no room for is not known.

use crate::metrics::Stat;
use crate::session::{Kept, key};
use crate::sql::Pattern;
use foldhash::HashMap;
use std::sync::Arc;

/// Portals with names of one transaction, and statements of one server, that are known.
const KNOWN_MAX: usize = 1000;

/// Of so many of those portals is kept what they say of themselves: it may be 8 KiB each.
const KEPT_MAX: usize = 64;

/// What is known of them.
#[derive(Default)]
pub(super) struct Portals {
    unnamed: Option<Portal>,
    named: HashMap<Box<[u8]>, Portal>,
    // None: it could not be read.
    statements: HashMap<Box<[u8]>, Option<Arc<Pattern>>>,
}

struct Portal {
    stat: Arc<Stat>,
    kept: Option<Kept>,
    executed: bool,
}

/// A portal that is executed.
pub(super) struct Executed {
    pub stat: Arc<Stat>,
    pub kept: Option<Kept>,
    /// With what was begun before.
    pub goes_on: bool,
}

impl Portals {
    /// A portal is bound.
    pub fn bind(&mut self, portal: &[u8], stat: Arc<Stat>, kept: Option<Kept>) {
        let kept = kept.filter(|_| portal.is_empty() || self.named.len() < KEPT_MAX);
        let bound = Portal { stat, kept, executed: false };
        if portal.is_empty() {
            self.unnamed = Some(bound);
        } else if self.named.len() < KNOWN_MAX || self.named.contains_key(key(portal)) {
            self.named.insert(key(portal).into(), bound);
        }
    }

    /// One is executed.
    pub fn execute(&mut self, portal: &[u8]) -> Option<Executed> {
        let found = if portal.is_empty() { self.unnamed.as_mut() } else { self.named.get_mut(key(portal)) }?;
        let goes_on = std::mem::replace(&mut found.executed, true);
        Some(Executed { stat: found.stat.clone(), kept: found.kept.clone(), goes_on })
    }

    /// A statement is prepared under this name.
    pub fn parse(&mut self, name: &[u8], pattern: Option<Arc<Pattern>>) {
        if self.statements.len() < KNOWN_MAX || self.statements.contains_key(key(name)) {
            self.statements.insert(key(name).into(), pattern);
        }
    }

    /// What it is.
    pub fn statement(&self, name: &[u8]) -> Option<&Arc<Pattern>> {
        self.statements.get(key(name))?.as_ref()
    }

    /// Its transaction is over.
    pub fn end(&mut self) {
        self.unnamed = None;
        if !self.named.is_empty() {
            self.end_named();
        }
    }

    /// Few have any.
    #[cold]
    fn end_named(&mut self) {
        self.named.clear();
    }

    /// Its session is.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}
