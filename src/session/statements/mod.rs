//! Prepared statements of the extended protocol, as the client names them and as servers have them.
//!
//! A client's statement is a [`Statement`]: the text, the types, and the settings that PostgreSQL froze into it. Servers
//! have it under a name of PgOtter's own, [`Statement::server_name`], so that clients with equal statements share one
//! ([`StatementTable`]) and clients with different ones of the same name do not meet. [`Statements`] is what one client has,
//! [`ServerStatements`] what one server has. Both change when a message is *sent*, since those behind it in the same write
//! build on it; what PostgreSQL then refuses or skips is taken back by an [`Effect`].
//!
//! The unnamed statement is a client's as well: Parse and Sync, then Bind and Sync may meet two servers.
//!
//! Source: PostgreSQL `src/backend/commands/prepare.c`, `src/backend/tcop/postgres.c` (`exec_parse_message`,
//! `exec_simple_query`: both drop the unnamed statement first).

mod client;
mod count;
mod effect;
mod frozen;
mod server;
mod table;

pub use client::{Drops, Portal, Statements};
pub use effect::{Change, Effect, Unnamed};
pub use frozen::{Certain, Frozen, is_planned_by, is_read_by_unheard};
pub use server::{Has, ServerStatements};
pub use table::StatementTable;

use super::settings::Settings;
use super::touched::is_harmless;
use crate::sql::{Facts, Knowledge, Pattern, Reading, Readings, Told, Touches, Verb};
use arc_swap::{ArcSwapOption, Guard};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Bytes of a statement's name that count; PostgreSQL keeps names in a table with keys of `NAMEDATALEN` - 1 bytes.
const NAME_MAX: usize = 63;

/// What a Parse said, and under which settings.
#[derive(Debug)]
pub struct Statement {
    id: ServerName,
    // As servers call it; empty: it has no name. Every Bind needs it.
    name: Box<str>,
    // The body of Parse behind the name. None: it was too long to be kept.
    body: Option<Box<[u8]>>,
    settings: Arc<Settings>,
    // How many of them are what was in force.
    certain: Certain,
    // By which rules PostgreSQL has read it, or may have.
    readings: Readings,
    // Of the table when it was made; None: it is one client's alone.
    generation: Option<u64>,
    // What running it may touch of its session, as far as was known when it was last run.
    told: ArcSwapOption<Told>,
    // As what it is counted, once that is known.
    pattern: OnceLock<Option<Arc<Pattern>>>,
}

/// A statement's name on servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerName(u64);

impl ServerName {
    /// Bytes of the longest.
    pub const BYTES_MAX: usize = "pgotter_".len() + 20;
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pgotter_{}", self.0)
    }
}

impl Statement {
    /// One that stays unnamed; `None` for a body that was too long to be kept.
    pub fn unnamed(body: Option<&[u8]>, settings: &Arc<Settings>, readings: Readings) -> Self {
        let (id, name) = (ServerName(0), Box::default());
        let (body, told) = (body.map(Box::from), ArcSwapOption::empty());
        Self {
            id,
            name,
            body,
            settings: settings.clone(),
            certain: Certain::Nothing,
            readings,
            generation: None,
            told,
            pattern: OnceLock::new(),
        }
    }

    fn named(
        id: u64,
        generation: Option<u64>,
        body: Option<&[u8]>,
        settings: &Arc<Settings>,
        certain: Certain,
        readings: Readings,
    ) -> Self {
        let id = ServerName(id);
        let name = id.to_string().into();
        let (body, told) = (body.map(Box::from), ArcSwapOption::empty());
        Self {
            id,
            name,
            body,
            settings: settings.clone(),
            certain,
            readings,
            generation,
            told,
            pattern: OnceLock::new(),
        }
    }

    /// What it is called on servers.
    pub fn server_name(&self) -> ServerName {
        self.id
    }

    /// As [`Self::server_name`], written out.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The body of Parse behind the name: text, zero, types. `None`: only the server that was sent it has it.
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    /// Its text. `None`: as above.
    pub fn text(&self) -> Option<&[u8]> {
        let body = self.body()?;
        Some(memchr::memchr(0, body).and_then(|end| body.get(..end)).unwrap_or(body))
    }

    /// By which rules its text was read, or may have been.
    pub fn readings(&self) -> Readings {
        self.readings
    }

    /// What running it may touch of its session and where it may run, by what is known now. Its text is read again, with that, only if it has
    /// become another; one that has no body was read when it passed. `None`: it is not known.
    pub fn told(&self, known: &Knowledge, read: impl Fn(&[u8], Reading) -> Arc<Facts>) -> Guard<Option<Arc<Told>>> {
        let told = self.told.load();
        if told.as_ref().is_some_and(|told| told.is_of(known)) {
            return told;
        }
        let Some(body) = &self.body else { return told };
        let text = body.split(|&byte| byte == 0).next().unwrap_or_default();
        let facts = self.readings.facts(text, |reading| read(text, reading));
        self.pattern.get_or_init(|| facts.pattern(text, self.readings.only(text)?).cloned());
        self.tell(facts, known);
        self.told.load()
    }

    /// As what it is counted. `None`: its text cannot be read, or it was not asked yet what it does, see [`Self::told`].
    pub fn pattern(&self) -> Option<&Arc<Pattern>> {
        self.pattern.get()?.as_ref()
    }

    /// These are the facts of its text, read with this.
    pub fn tell(&self, facts: Arc<Facts>, known: &Knowledge) {
        let sets = facts.all_names().next().is_some();
        let draws = facts.touches.any(Touches::SEQUENCE_READ.and(Touches::SEQUENCE_WRITE));
        let ends = facts.touches.any(Touches::CONTROLS);
        let declares = facts.statements.iter().any(|statement| matches!(statement.verb, Verb::Declare { .. }));
        let begins = facts.statements.iter().any(|statement| matches!(statement.verb, Verb::SetTransaction(_)));
        let matters = !is_harmless(&facts) || sets || draws || ends || declares || begins;
        self.told.store(Some(known.told(facts, matters)));
    }

    /// Whether other clients may have it, too.
    pub fn is_shared(&self) -> bool {
        self.generation.is_some()
    }

    /// Whether it means the same when it is prepared under these.
    pub fn suits(&self, settings: &Arc<Settings>) -> bool {
        Arc::ptr_eq(&self.settings, settings) || self.settings.means_the_same(settings)
    }

    /// Whether it is this one, under settings that mean the same to PostgreSQL.
    fn is(&self, body: &[u8], settings: &Arc<Settings>) -> bool {
        self.body.as_deref() == Some(body) && self.suits(settings)
    }

    fn len(&self) -> usize {
        self.body.as_ref().map_or(0, |body| body.len())
    }
}

/// As much of a name as PostgreSQL looks at.
pub fn key(name: &[u8]) -> &[u8] {
    name.get(..NAME_MAX).unwrap_or(name)
}

#[cfg(test)]
mod tests;
