//! What a client's requests may have left in its server, what to ask the server about it at the next boundary, and what the
//! answer means. The text of a statement only says when to ask; PostgreSQL's answer counts, rolled back or not.

mod resets;

pub use resets::{Resets, is_opaque, reset_to};

use super::settings::{ENCODING, NAMES_MAX, Settings, is_role};
use super::startup::OF_A_TRANSACTION;
use crate::sql::{Facts, Name, Setting, Touches, Value, Verb};
use std::fmt::{self, Write};
use std::sync::Arc;

/// What can be asked for, and pins its client to the server that has it.
const ASKABLE: Touches =
    Touches::TEMP.and(Touches::CREATES).and(Touches::SESSION_LOCK).and(Touches::HOLD_CURSOR).and(Touches::STATEMENTS);
/// What can neither be asked for nor moved: the client keeps its server, which nobody gets after it.
const FOR_GOOD: Touches = Touches::UNMOVABLE.and(Touches::DYNAMIC).and(Touches::PLACEHOLDERS);
/// What makes it necessary to ask.
const ASKS: Touches = ASKABLE
    .and(FOR_GOOD)
    .and(Touches::SETTINGS)
    .and(Touches::ALL_SETTINGS)
    .and(Touches::RELEASES)
    .and(Touches::LISTENS)
    .and(Touches::HIDDEN);
/// What leaves something behind for certain if it succeeds: worth a place among the pinned in advance.
const PINS: Touches = Touches::TEMP.and(Touches::SESSION_LOCK).and(Touches::HOLD_CURSOR).and(FOR_GOOD);

/// More than [`NAMES_MAX`] names, which nobody keeps: the client stays for good, and all is asked for.
const TOO_MANY: Touches = Touches::HIDDEN.and(Touches::DYNAMIC);

const ROLE: &[u8] = b"role";
const SESSION_AUTHORIZATION: &[u8] = b"session_authorization";

/// What may have been touched since PostgreSQL was asked last.
#[derive(Debug)]
pub struct Touched {
    // The client's settings before that.
    before: Arc<Settings>,
    touches: Touches,
    // Settings by name.
    names: Vec<Noted>,
    // Custom names used in any way.
    custom: Vec<Name>,
    // Some of it may have run with the rights of another role than the one that logged in: one that was set, or a function's.
    elevated: bool,
    computed: Computed,
    // All there is: one setting outside a block, to be taken from the text if nothing failed.
    literal: Option<Setting>,
    // All there is: one statement outside a block.
    alone: bool,
    resets: Resets,
}

/// What has run texts that it computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Computed {
    /// Nothing.
    Nothing,
    /// A function perhaps.
    ByFunction,
    /// A `DO`: migrations define functions so.
    ByDo,
}

impl Computed {
    fn by(facts: &Facts) -> Self {
        if !facts.touches.any(Touches::DYNAMIC) {
            Self::Nothing
        } else if facts.statements.iter().any(|statement| statement.verb == Verb::Do) {
            Self::ByDo
        } else {
            Self::ByFunction
        }
    }
}

/// A setting that may have changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Noted {
    /// In lower case.
    pub name: Name,
    /// The last word about it was RESET.
    pub reset: bool,
}

/// Why a client keeps its server over transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins(u8);

impl Pins {
    /// Temporary objects.
    pub const TEMP: Self = Self(1);
    /// Advisory locks of the session.
    pub const LOCK: Self = Self(2);
    /// Cursors WITH HOLD.
    pub const CURSOR: Self = Self(4);
    /// Statements prepared by SQL.
    pub const PREPARED: Self = Self(8);
    /// It listens.
    pub const LISTEN: Self = Self(16);
    /// What nobody can look at. Stays until the client leaves.
    pub const UNMOVABLE: Self = Self(32);

    const ALL: [(Self, &'static str); 6] = [
        (Self::TEMP, "temp"),
        (Self::LOCK, "lock"),
        (Self::CURSOR, "cursor"),
        (Self::PREPARED, "prepared"),
        (Self::LISTEN, "listen"),
        (Self::UNMOVABLE, "unmovable"),
    ];

    /// As [`Self::bits`] has them; what is none is left out.
    pub fn from_bits(bits: u8) -> Self {
        let each = Self::ALL.iter().filter(|(pin, _)| pin.0 & bits != 0);
        each.fold(Self::default(), |all, (pin, _)| all.and(*pin))
    }

    /// To be kept as a number.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// What each of them is called.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(move |(pin, _)| self.contains(*pin)).map(|(_, word)| word)
    }

    /// There is no reason.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These among others.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Display for Pins {
    /// `temp lock`; empty for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.words();
        words.next().map_or(Ok(()), |first| f.write_str(first))?;
        words.try_for_each(|word| write!(f, " {word}"))
    }
}

/// What the server said of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Why the client has to stay.
    pub pins: Pins,
    /// How many statements it has under names of PgOtter's; `None`: that was not asked.
    pub statements: Option<usize>,
    /// Settings that were asked for by name, and their values; `None`: there is no such.
    pub named: Vec<(Noted, Option<Box<[u8]>>)>,
    /// Everything that is set in the session but custom names, where that was asked. PostgreSQL's default may come of a
    /// RESET, behind which a SET LOCAL was in force for the rest of the transaction.
    pub all: Option<Vec<IsSet>>,
    /// The role that has logged in may not set one of them: it was set with the rights of another.
    pub beyond_rights: bool,
}

/// Name and value of a setting, and whether that is PostgreSQL's default.
pub type IsSet = (Name, Box<[u8]>, bool);

/// Whether a statement leaves nothing that has to be asked for, and defines nothing.
pub fn is_harmless(facts: &Facts) -> bool {
    !facts.touches.any(ASKS.and(Touches::DEFINES)) && facts.custom_names().next().is_none()
}

/// Whether a statement is likely to leave something behind that pins.
pub fn may_pin(facts: &Facts) -> bool {
    facts.touches.any(PINS) || facts.statements.iter().any(|statement| matches!(statement.verb, Verb::Prepare(_)))
}

impl Touched {
    /// Nothing yet. `before` are the client's settings.
    pub fn new(before: &Arc<Settings>) -> Box<Self> {
        Box::new(Self {
            before: before.clone(),
            touches: Touches::NOTHING,
            names: Vec::new(),
            custom: Vec::new(),
            elevated: before.has_role(),
            computed: Computed::Nothing,
            literal: None,
            alone: false,
            resets: Resets::default(),
        })
    }

    /// What the client's settings were before the first of it was sent.
    pub fn before(&self) -> &Arc<Settings> {
        &self.before
    }

    /// A statement of these facts is sent. `alone`: it is a Query outside a block.
    pub fn note(&mut self, facts: &Facts, alone: bool) {
        let first = self.touches.is_empty() && self.custom.is_empty();
        self.literal = None;
        self.alone = first && alone && facts.statements.len() == 1;
        self.touches |= if facts.is_refused() { Touches::HIDDEN } else { facts.touches };
        self.computed = self.computed.max(Computed::by(facts));
        self.elevated |= facts.all_names().any(is_role) || facts.code_names().next().is_some();
        if self.names.len().max(self.custom.len()) < NAMES_MAX {
            self.note_names(facts);
        } else if facts.all_names().next().is_some() {
            self.touches |= TOO_MANY;
        }
        if let (true, true, Some([setting])) = (first, alone, facts.statements.only().map(|only| only.settings()))
            && facts.touches == Touches::SETTINGS
            && !setting.local
            && matches!(setting.value, Value::Literal(_))
            && *setting.name != *SESSION_AUTHORIZATION
        {
            self.literal = Some(setting.clone());
        }
    }

    fn note_names(&mut self, facts: &Facts) {
        for name in facts.custom_names() {
            if !self.custom.iter().any(|known| **known == *name) {
                self.custom.push(name.into());
            }
        }
        // Whether it is set the text does not say.
        facts.names().for_each(|name| self.ask_for(name));
        for statement in facts.statements.iter() {
            match &statement.verb {
                Verb::Reset(name) => self.name(name, true),
                Verb::Set(settings) => {
                    for setting in settings.iter().filter(|setting| !setting.local) {
                        self.name(&setting.name, setting.value == Value::Default);
                    }
                }
                _ => (),
            }
        }
    }

    /// A statement of these facts is sent, by a client that came with `base`: what it may bring to PostgreSQL's default. `runs`: all of it
    /// runs if PostgreSQL refuses nothing, as a whole Query does.
    pub fn note_resets(&mut self, facts: &Facts, base: &Settings, runs: bool) {
        self.resets.note(facts, base, &self.before, runs);
    }

    /// Whether something that a client came with, whose settings were `base` then, may have been set or reset.
    pub fn may_have_set_any_of(&self, base: &Settings) -> bool {
        self.names.iter().any(|noted| base.own(&noted.name).is_some())
    }

    /// What may be at PostgreSQL's default, while the client came with another value.
    pub fn resets(&self) -> &Resets {
        &self.resets
    }

    /// The same, to be looked at.
    pub fn resets_mut(&mut self) -> &mut Resets {
        &mut self.resets
    }

    /// Anything may have happened.
    pub fn note_hidden(&mut self, base: &Settings) {
        self.literal = None;
        self.alone = false;
        self.touches |= Touches::HIDDEN;
        self.computed = self.computed.max(Computed::ByFunction);
        self.resets.hide_all(base, &self.before);
    }

    /// Custom names used.
    pub fn custom(&self) -> impl Iterator<Item = &[u8]> {
        self.custom.iter().map(|name| &**name)
    }

    /// The one setting that was made, where there is no need to ask if nothing failed.
    pub fn literal(&self) -> Option<&Setting> {
        self.literal.as_ref().filter(|setting| !self.elevated || is_role(&setting.name))
    }

    /// Whether all that was sent is one statement outside a block: if nothing failed, it has done what it says.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether something happened after which the client stays until it leaves.
    pub fn is_for_good(&self) -> bool {
        self.touches.any(FOR_GOOD)
    }

    /// Whether it may have defined something without a word of it in a text.
    pub fn computed(&self) -> Computed {
        self.computed
    }

    /// Reasons to stay for which something of it may account.
    pub fn accounts_for(&self) -> Pins {
        let any = |touches| self.touches.any(Touches::HIDDEN.and(FOR_GOOD).and(touches));
        let each = [
            (Touches::TEMP.and(Touches::CREATES), Pins::TEMP),
            (Touches::SESSION_LOCK, Pins::LOCK),
            (Touches::HOLD_CURSOR, Pins::CURSOR),
            (Touches::STATEMENTS, Pins::PREPARED),
            (Touches::LISTENS, Pins::LISTEN),
        ];
        each.into_iter().filter(|(touches, _)| any(*touches)).fold(Pins::default(), |all, (_, pin)| all.and(pin))
    }

    /// What to ask, and how to read the answer. `session` are the client's settings, and `base` what it came with: where all are
    /// asked for, these are by name, too. `failed`: some of it was refused.
    pub fn question(mut self, session: &Settings, base: &Settings, failed: bool) -> Question {
        // Whether a RESET was undone, or what was refused has its value from the session, only PostgreSQL can say.
        let unsure = failed && !self.names.is_empty() || !self.alone && self.names.iter().any(|noted| noted.reset);
        let all = unsure || self.touches.any(Touches::ALL_SETTINGS.and(Touches::HIDDEN));
        let rights = all || self.elevated && self.names.iter().any(|noted| !is_role(&noted.name));
        if self.names.iter().any(|noted| *noted.name == *ENCODING) {
            // What is not ASCII is spelled otherwise in the new one.
            session
                .iter()
                .filter(|(_, value)| value.is_some_and(|value| !value.is_ascii()))
                .for_each(|(name, _)| self.ask_for(name));
        }
        if all {
            let names = session.iter().chain(base.iter()).map(|(name, _)| name).chain([ROLE, SESSION_AUTHORIZATION]);
            names.for_each(|name| self.ask_for(name));
        }
        self.names.retain(|noted| is_plain(&noted.name));
        let objects = self.touches.any(ASKABLE.and(Touches::RELEASES).and(Touches::LISTENS).and(Touches::HIDDEN));
        Question { names: self.names, all, objects, rights }
    }

    /// Beside what is noted of it.
    fn ask_for(&mut self, name: &[u8]) {
        let reset = self.names.iter().any(|noted| noted.reset && *noted.name == *name);
        self.name(name, reset);
    }

    fn name(&mut self, name: &[u8], reset: bool) {
        if name == SESSION_AUTHORIZATION {
            // It drops the role that was set, for the one that the session came with if it is reset.
            self.name(ROLE, reset);
        }
        match self.names.iter_mut().find(|noted| *noted.name == *name) {
            Some(noted) => noted.reset = reset,
            None => self.names.push(Noted { name: name.into(), reset }),
        }
    }
}

/// A name that PostgreSQL would take for a setting's.
fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.$".contains(byte) || !byte.is_ascii())
}

/// What to ask a server at a boundary.
pub struct Question {
    names: Vec<Noted>,
    all: bool,
    objects: bool,
    rights: bool,
}

/// Named in full, operators too: search_path is the client's.
const OBJECTS: &str = "\
    pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0::pg_catalog.oid AND EXISTS (SELECT FROM pg_catalog.pg_depend \
    WHERE refclassid OPERATOR(pg_catalog.=) 2615::pg_catalog.oid AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()), \
    EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory'::pg_catalog.text \
    AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), \
    EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable), \
    EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql), \
    EXISTS (SELECT FROM pg_catalog.pg_listening_channels()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_statements \
    WHERE pg_catalog.left(name, 8) OPERATOR(pg_catalog.=) 'pgotter_'::pg_catalog.text)";
/// Whether something is set that the role which has logged in may not set, now or any more.
const BEYOND_RIGHTS: &str = "\
    , EXISTS (SELECT FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'session'::pg_catalog.text \
    AND context OPERATOR(pg_catalog.=) 'superuser'::pg_catalog.text AND pg_catalog.has_parameter_privilege(\
    (SELECT usesysid FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())), name, 'SET') IS NOT TRUE)";
/// What each of the columns of [`OBJECTS`] means, but the last.
const COLUMNS: [Pins; 5] = [Pins::TEMP, Pins::LOCK, Pins::CURSOR, Pins::PREPARED, Pins::LISTEN];

impl Question {
    /// Nothing need be asked.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.all && !self.objects
    }

    /// Whether it is asked for what pins.
    pub fn is_about_objects(&self) -> bool {
        self.objects
    }

    /// As a Query. Names stand in it as string constants; none has a quote or a backslash.
    pub fn sql(&self) -> String {
        let mut sql = String::from("SELECT ");
        sql.push_str(if self.objects { OBJECTS } else { "false, false, false, false, false, NULL" });
        sql.push_str(if self.rights { BEYOND_RIGHTS } else { ", false" });
        for noted in &self.names {
            let name = String::from_utf8_lossy(&noted.name);
            let _ = write!(sql, ", pg_catalog.current_setting('{name}', true)");
        }
        if self.all {
            sql.push_str(
                "; SELECT name, setting, setting OPERATOR(pg_catalog.=) reset_val FROM pg_catalog.pg_settings \
                 WHERE source OPERATOR(pg_catalog.=) 'session'::pg_catalog.text",
            );
        }
        sql
    }

    /// Reads the rows of the answer; `None` if they are not the answer.
    pub fn read(self, rows: Vec<Vec<Option<Box<[u8]>>>>) -> Option<Found> {
        let mut rows = rows.into_iter();
        let mut first = rows.next()?.into_iter();
        let mut pins = Pins::default();
        for pin in COLUMNS {
            match first.next()?.as_deref() {
                Some(b"t") => pins = pins.and(pin),
                Some(b"f") => (),
                _ => return None,
            }
        }
        let statements = first.next()?.and_then(|count| std::str::from_utf8(&count).ok()?.parse().ok());
        let beyond_rights = first.next()?.as_deref() != Some(b"f");
        let mut named = Vec::with_capacity(self.names.len());
        for noted in self.names {
            named.push((noted, first.next()?));
        }
        let setting = |row: Vec<Option<Box<[u8]>>>| {
            let mut row = row.into_iter();
            Some((row.next()??, row.next()??, row.next()?.as_deref() == Some(b"t")))
        };
        let mut all = if self.all { Some(rows.map(setting).collect::<Option<Vec<_>>>()?) } else { None };
        if let Some(all) = &mut all {
            // Of the transaction in which that is asked; from 16 on also of one that is over, behind a SET TRANSACTION outside a
            // block. Nobody can reset them.
            all.retain(|(name, ..)| !OF_A_TRANSACTION.contains(&&**name));
        }
        Some(Found { pins, statements, named, all, beyond_rights })
    }
}

#[cfg(test)]
mod tests;
