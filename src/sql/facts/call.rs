//! Names that are called: which words in front of a bracket are the grammar's, and what calling the others touches.

use super::keywords::{self, Kind};
use super::relations::Place;
use super::words::Key;
use super::{Bounds, Effects, Functions, Touches, builtin, verdict};
use crate::sql::token::NAME_MAX;

/// What the last token was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Last {
    #[default]
    Start,
    Word,
    Constant,
    Parameter,
    Operator,
    Open,
    Close,
    /// A closing bracket behind which an operand stands: `DISTINCT ON (…)` and `OPERATOR(…)`.
    CloseBefore,
    Dot,
    Colon,
    /// `::`.
    Cast,
    Semicolon,
    Other,
}

/// The schema that a name was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Schema {
    #[default]
    None,
    Catalog,
    Other,
}

/// The last name, until the token behind it tells what it is.
#[derive(Clone, Debug)]
pub(super) struct Held {
    name: [u8; NAME_MAX],
    length: u8,
    /// It waits for the next token.
    pub(super) waits: bool,
    pub(super) quoted: bool,
    pub(super) key: Key,
    pub(super) schema: Schema,
    /// It stands behind a dot that stands behind an operand: `(x).f` calls `f`.
    pub(super) notation: bool,
    /// What stood in front of it, and of its schema.
    pub(super) before: (Last, Key),
    /// What it is by where it stands.
    pub(super) place: Place,
    /// The first word of its statement.
    pub(super) first: bool,
}

impl Default for Held {
    fn default() -> Self {
        Self {
            name: [0; NAME_MAX],
            length: 0,
            waits: false,
            quoted: false,
            key: Key::Plain,
            schema: Schema::None,
            notation: false,
            before: (Last::Start, Key::Plain),
            place: Place::No,
            first: false,
        }
    }
}

impl Held {
    pub(super) fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.length)]
    }

    pub(super) fn keep(&mut self, name: &[u8]) {
        let length = name.len().min(NAME_MAX);
        self.name[..length].copy_from_slice(&name[..length]);
        // No more than NAME_MAX.
        self.length = length as u8;
    }

    /// `set_config`, PostgreSQL's own.
    pub(super) fn is_set_config(&self) -> bool {
        self.schema != Schema::Other && self.name() == b"set_config"
    }

    /// What it does with a bracket behind it.
    pub(super) fn called(&self, functions: &dyn Functions) -> Effects {
        let name = self.name();
        if !self.quoted && self.schema == Schema::None {
            // A name like any other up to PostgreSQL 15.
            let is_reserved = matches!(keywords::kind(name), Some(Kind::Reserved)) && name != b"system_user";
            if is_reserved || self.first {
                return Effects::NOTHING;
            }
            // Some of the former are names like any other in older versions.
            if matches!(keywords::kind(name), Some(Kind::Column)) || self.is_grammar() {
                return functions.function(name).unwrap_or_default() | functions.cast(name);
            }
        }
        let (last, key) = self.before;
        // A name with a list of columns or types, a type.
        if matches!(self.place, Place::With | Place::Written | Place::Alias)
            || last == Last::Word && key.names()
            || matches!(last, Last::Close | Last::Cast)
        {
            // Unless it was taken for that by mistake.
            let aside = matches!(self.place, Place::With | Place::Written | Place::Alias);
            let builtin = if aside { builtin::effects(name).unwrap_or_default() } else { Effects::NOTHING };
            return functions.relation(name) | functions.function(name).unwrap_or_default() | builtin;
        }
        // It may be a type's as well: `name('x')` is a cast.
        self.run(functions) | functions.cast(name)
    }

    /// What calling it does.
    fn run(&self, functions: &dyn Functions) -> Effects {
        let name = self.name();
        let builtin = if self.schema == Schema::Other && !self.notation { None } else { builtin::effects(name) };
        // Such a connection stays with its session.
        let dblink = if name.starts_with(b"dblink_connect") { Touches::UNMOVABLE } else { Touches::NOTHING };
        let effects = match (builtin, functions.function(name)) {
            (None, None) => Touches::HIDDEN.into(),
            (builtin, own) => builtin.unwrap_or_default() | own.unwrap_or_default(),
        };
        effects | dblink.into()
    }

    /// A word of PL/pgSQL that brackets may follow.
    pub(super) fn is_of_bodies(&self) -> bool {
        !self.quoted
            && self.schema == Schema::None
            && matches!(
                self.name(),
                b"if"
                    | b"elsif"
                    | b"elseif"
                    | b"while"
                    | b"return"
                    | b"perform"
                    | b"query"
                    | b"next"
                    | b"assert"
                    | b"execute"
                    | b"strict"
                    | b"raise"
                    | b"exit"
                    | b"cursor"
                    | b"slice"
                    | b"call"
                    | b"loop"
                    | b"reverse"
            )
    }

    /// What it does without a bracket.
    pub(super) fn mentioned(&self, functions: &dyn Functions) -> Effects {
        let name = self.name();
        let own: Effects = match name {
            b"pg_temp" => Touches::TEMP.into(),
            _ if name.starts_with(b"pg_temp_") => Touches::TEMP.into(),
            // Its rule sets what it shows. Custom names without a meaning it does not show.
            b"pg_settings" if self.place == Place::Written => Touches::HIDDEN.into(),
            _ => verdict::of_relation(name).into(),
        };
        let asks = name == b"current_setting" && self.schema != Schema::None;
        let own = if asks { own | Bounds::NODE.into() } else { own };
        let called = match (self.notation, self.schema) {
            (true, _) => self.run(functions),
            (false, Schema::None) => Effects::NOTHING,
            (false, _) if self.place != Place::No => Effects::NOTHING,
            // `t.f` is `f(t)` if there is no such column; of one function in FROM, `t` is its value.
            (false, _) => functions.function(name).unwrap_or_default() | builtin::effects(name).unwrap_or_default(),
        };
        functions.relation(name) | called | own
    }

    /// Words that may be names of functions, but belong to the grammar where they stand.
    fn is_grammar(&self) -> bool {
        let (last, key) = self.before;
        let operand = match last {
            Last::Word => !key.begins_operand(),
            Last::Constant | Last::Parameter | Last::Close => true,
            _ => false,
        };
        match self.name() {
            b"over" | b"filter" | b"join" | b"like" | b"ilike" | b"set" | b"escape" | b"zone" | b"overlaps"
            | b"include" | b"options" | b"inherits" | b"similar" | b"is" => operand,
            // In front of a bracket they are the grammar's nearly everywhere. One of the database's own counts, once it is known.
            b"insert" | b"operator" | b"rollup" | b"cube" | b"sets" | b"columns" | b"second" | b"varying"
            | b"stdout" => true,
            b"by" => key == Key::Sorts,
            b"key" => key == Key::Constraint,
            b"range" | b"list" | b"hash" => key == Key::By,
            b"conflict" => key == Key::On,
            b"materialized" => matches!(key, Key::As | Key::Not),
            _ => false,
        }
    }
}
