//! Which relations a text names, found by the words around them: behind `FROM`, `JOIN`, `TABLE`, `INTO`, `UPDATE`, the `USING` of a `DELETE`
//! or `MERGE`, and between the commas of such a list. A name that a `WITH` of the same text has defined is none, unless the database has a relation of that name, too.

use super::call::{Last, Schema};
use super::machine::Machine;
use super::now::Now;
use super::verb::Name;
use super::words::{First, Key};
use super::{Bounds, Effects, Facts, Functions, Statement, Touches, Verb, Verdict};

/// Relations that are kept of one text; of one that names more not all are known.
pub const RELATIONS_MAX: usize = 64;

/// CASE in CASE that is followed; of a text that has more, not all relations are known.
const CASES_MAX: usize = 16;

/// A relation that a text names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// As written; `None`: the search path decides.
    pub schema: Option<Name>,
    /// Its name.
    pub name: Name,
    /// It is written to, not only read.
    pub written: bool,
    /// The name for all that it is a part of, or that are parts of it: partitions, and tables that inherit. `None`: it is alone.
    pub family: Option<Name>,
}

impl Relation {
    /// The name under which writes to it are known.
    pub fn known_as(&self) -> &[u8] {
        self.family.as_ref().unwrap_or(&self.name)
    }
}

/// What a name is by its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// No relation.
    #[default]
    No,
    Read,
    Written,
    /// It stands where `WITH` defines one.
    With,
    /// It names the one in front of it for this statement.
    Alias,
}

/// Where in the statement relations may be named. One bit for each of the outer brackets, the lowest for what is in none.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    // It is a query.
    queries: u64,
    // Its FROM is under way.
    lists: u64,
    // Its WITH is under way.
    withs: u64,
    // It is a DELETE or MERGE whose USING may come.
    uses: u64,
    // It is a MERGE.
    merges: u64,
    // How deep in brackets each CASE is that is under way in a MERGE, the innermost last.
    cases: Vec<u32>,
    // Behind a bracket of a FROM the word VALUES was the last one: a bracket follows, or it is a name.
    values: bool,
    recursive: bool,
    /// What a name here would be.
    expects: Place,
    /// In front of the name at hand.
    pub(super) schema: Option<Name>,
    // Defined by WITH, with the brackets around it, and whether what follows can name it.
    defined: Vec<(Name, u32, bool)>,
}

/// What [`Facts`](super::Facts) keeps of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) relations: Vec<Relation>,
    /// There are others.
    pub(super) beyond: bool,
    /// The text may name some that are not kept.
    pub(super) lost: bool,
    // Where the one stands that was named last.
    last: Option<usize>,
    // What is written with those that are written.
    along: Vec<Name>,
    /// And others, too.
    pub(super) spreads: bool,
}

impl Sources {
    /// A word that may be a keyword: whether it is one that tells of relations.
    fn keyword(&mut self, name: &[u8], depth: u32, begins: bool, last: Last, before: Key) -> bool {
        let bit = bit(depth);
        let is = |bits: u64| bits & bit != 0;
        self.expects = match name {
            b"with" if begins || last == Last::Open => {
                self.withs |= bit;
                self.lists &= !bit;
                self.recursive = false;
                Place::With
            }
            b"recursive" if self.expects == Place::With => {
                self.recursive = true;
                Place::With
            }
            b"select" | b"values" | b"insert" | b"merge" | b"delete" | b"update" | b"table" => {
                let acts = self.acts(depth, before);
                self.begin_query(depth, bit);
                if name == b"merge" && (begins || matches!(last, Last::Open | Last::Close)) {
                    self.merges |= bit;
                }
                match name {
                    b"table" => Place::Read,
                    b"merge" | b"delete" => {
                        self.uses |= bit;
                        Place::No
                    }
                    b"update" if before != Key::For && before != Key::Keys && !acts => Place::Written,
                    _ => Place::No,
                }
            }
            b"from" if before == Key::Delete => Place::Written,
            b"from" if is(self.queries) && before != Key::Distinct => {
                self.lists |= bit;
                Place::Read
            }
            // Those behind it are a join's.
            b"using" if is(self.uses) => {
                self.uses &= !bit;
                self.lists |= bit;
                Place::Read
            }
            b"into" if matches!(before, Key::Insert | Key::Merge) => Place::Written,
            b"case" if is(self.merges) && self.cases.len() < CASES_MAX => {
                self.cases.push(depth);
                Place::No
            }
            b"end" if self.is_in_case(depth) => {
                self.cases.pop();
                Place::No
            }
            b"join" if is(self.lists) => Place::Read,
            // No relation is called so without quotes: REINDEX TABLE CONCURRENTLY.
            b"only" | b"lateral" | b"concurrently" => self.expects,
            b"where" | b"group" | b"having" | b"window" | b"order" | b"limit" | b"offset" | b"fetch" | b"for"
            | b"union" | b"intersect" | b"except" | b"returning" | b"set" => {
                self.lists &= !bit;
                // Behind a SELECT in brackets; SEARCH and CYCLE have a SET, and another may follow.
                self.withs &= if name == b"set" { u64::MAX } else { !bit };
                Place::No
            }
            _ => return false,
        };
        true
    }

    /// Whether a word of the grammar may be a name where it stands, so that what follows is not followed as it has to be. These are
    /// names in PostgreSQL, but for SELECT and INTO: where those stand unlooked for, something else was.
    fn is_in_doubt(&mut self, name: &[u8], (depth, copies): (u32, bool), last: Last, before: Key) -> bool {
        let bit = bit(depth);
        match name {
            b"into" => !matches!(before, Key::Insert | Key::Merge),
            b"select" | b"values" | b"insert" | b"merge" | b"delete" | b"update" | b"set" => {
                let named = matches!(self.expects, Place::Read | Place::Written);
                let queries = copies || matches!(name, b"select" | b"values");
                let begins = last == Last::Open && queries && name != b"set";
                self.values = begins && name == b"values" && named;
                let aside = self.is_in_case(depth) && !begins;
                aside || (named || (self.lists | self.uses) & bit != 0) && !begins && !self.acts(depth, before)
            }
            b"case" => self.cases.len() >= CASES_MAX,
            _ => false,
        }
    }

    /// What a MERGE or an ON CONFLICT does stands next. Behind the THEN of a CASE stands a value.
    fn acts(&self, depth: u32, before: Key) -> bool {
        let merges = self.merges & bit(depth) != 0 && !self.is_in_case(depth);
        before == Key::Do || before == Key::Blocks && merges
    }

    fn is_in_case(&self, depth: u32) -> bool {
        self.cases.last() == Some(&depth)
    }

    /// Nothing more is defined out here, and all of it can be named.
    fn begin_query(&mut self, depth: u32, bit: u64) {
        self.queries |= bit;
        self.lists &= !bit;
        self.withs &= !bit;
        self.uses &= !bit;
        self.define(depth);
    }

    fn define(&mut self, depth: u32) {
        self.defined.iter_mut().filter(|(_, at, _)| *at == depth).for_each(|(_, _, known)| *known = true);
    }

    pub(super) fn comma(&mut self, depth: u32) {
        let bit = bit(depth);
        self.expects = if self.withs & bit != 0 {
            self.define(depth);
            Place::With
        } else if self.lists & bit != 0 {
            Place::Read
        } else {
            Place::No
        };
    }

    /// A bracket opens, directly behind ONLY or not; `depth` is that of what is in it.
    pub(super) fn open(&mut self, depth: u32, only: bool) {
        let bit = bit(depth);
        self.values = false;
        self.merges &= !bit;
        self.queries &= !bit;
        self.withs &= !bit;
        self.uses &= !bit;
        self.lists &= !bit;
        match self.expects {
            Place::Read => self.lists |= bit,
            Place::Written if only => (),
            _ => self.expects = Place::No,
        }
    }

    /// One closes; `depth` is that of what is around it.
    pub(super) fn close(&mut self, depth: u32) {
        self.defined.retain(|(_, at, _)| *at <= depth);
        self.cases.retain(|at| *at <= depth);
        self.expects = Place::No;
    }

    fn defined_by_with(&mut self, name: &[u8], depth: u32) {
        if self.defined.len() < RELATIONS_MAX {
            self.defined.push((name.into(), depth, self.recursive));
        }
    }

    fn is_defined(&self, name: &[u8]) -> bool {
        self.defined.iter().any(|(defined, _, known)| *known && **defined == *name)
    }
}

fn bit(depth: u32) -> u64 {
    1_u64.checked_shl(depth).unwrap_or(0)
}

impl Machine {
    /// What the next word is by its place, `quoted` or not, behind a dot or not.
    pub(super) fn place(&mut self, name: &[u8], quoted: bool, begins: bool, (last, before): (Last, Key)) -> Place {
        let now = &mut self.now;
        let sources = &mut now.sources;
        if last == Last::Dot {
            return self.held.place;
        }
        // Behind AS any word is a name.
        if !quoted && before != Key::As {
            // Deeper than is followed.
            if now.depth >= u64::BITS && matches!(name, b"from" | b"table" | b"join") {
                now.judge.bounds |= Bounds::WRITES;
                self.facts.named.lose();
            }
            let copies = now.first == First::Copy && now.depth == 1;
            if sources.is_in_doubt(name, (now.depth, copies), last, before) {
                self.facts.named.lose();
            }
            if sources.keyword(name, now.depth, begins || now.opening, last, before) {
                return Place::No;
            }
            if begins && name == b"copy" {
                self.facts.named.last = None;
                sources.expects = Place::Read;
                return Place::No;
            }
        }
        sources.schema = None;
        if last == Last::Word && self.held.place == Place::Read {
            // COPY has none: `COPY BINARY t FROM` is another way to write one.
            let follows = !quoted && matches!(name, b"from" | b"to");
            if now.first == First::Copy && now.depth == 0 && !follows {
                self.facts.named.lose();
            }
            return Place::Alias;
        }
        std::mem::take(&mut sources.expects)
    }

    /// No bracket stands behind the word at hand.
    pub(super) fn doubt_values(&mut self) {
        if std::mem::take(&mut self.now.sources.values) {
            self.facts.named.lose();
        }
    }

    /// What the next word tells of the name at hand: `ROWS FROM (…)` is none, nor is what `SEARCH` in a WITH lists.
    pub(super) fn foresee(&mut self, next: &[u8], quoted: bool) {
        let Self { held, now, .. } = self;
        let ends = match held.place {
            Place::Read => !held.quoted && held.name() == b"rows" && next == b"from" && !quoted,
            Place::With => true,
            Place::No | Place::Written | Place::Alias => false,
        };
        if held.waits && ends {
            if held.place == Place::With && next == b"as" && !quoted {
                now.sources.defined_by_with(held.name(), now.depth);
            }
            held.place = Place::No;
        }
    }

    /// The name at hand was found to do this. A bracket may follow it.
    pub(super) fn name_relation(&mut self, effects: Effects, called: bool, functions: &dyn Functions) {
        let now = &mut self.now;
        let written = match self.held.place {
            Place::Written => true,
            Place::Read if !called || now.first == First::Copy && now.depth == 0 => false,
            Place::With if called => {
                now.sources.defined_by_with(self.held.name(), now.depth);
                return;
            }
            _ => return,
        };
        let schema = now.sources.schema.take();
        let own = self.held.schema == Schema::Catalog || schema.as_deref() == Some(b"information_schema");
        if !effects.relation {
            let defined = schema.is_none() && now.sources.is_defined(self.held.name());
            if defined || own {
                return;
            }
            if effects.bounds.allow_replicas() {
                // It may be a view that has come since the catalog was read.
                now.judge.bounds |= Bounds::WRITES;
            }
        }
        self.facts.named.add(schema, self.held.name(), written, (effects, functions));
    }

    /// The relation that was named last is the one that a COPY fills.
    pub(super) fn copy_into(&mut self, functions: &dyn Functions) {
        let named = &mut self.facts.named;
        let Some(into) = named.last.and_then(|last| named.relations.get_mut(last)) else {
            named.lose();
            return;
        };
        into.written = true;
        let name = into.name.clone();
        named.note_along(functions.relation(&name), &name, functions);
    }
}

impl Now {
    /// Whether it is one of the statements whose relations are told.
    pub(super) fn names_all(&self) -> bool {
        let hidden = self.touches.any(Touches::HIDDEN.and(Touches::DYNAMIC));
        !hidden && matches!(self.first, First::Select | First::Write | First::Copy | First::Explain)
    }
}

impl Named {
    /// One that is not kept.
    pub(super) fn lose(&mut self) {
        (self.beyond, self.lost) = (true, true);
    }

    pub(super) fn are_few(&self, few: usize) -> bool {
        self.relations.len() <= few && self.along.len() <= few
    }

    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.relations.iter().any(|relation| *relation.name == *name)
    }

    fn add(&mut self, schema: Option<Name>, name: &[u8], written: bool, does: (Effects, &dyn Functions)) {
        let (effects, functions) = does;
        let same = |known: &Relation| known.schema == schema && *known.name == *name;
        let at = self.relations.iter().position(same).unwrap_or(self.relations.len());
        self.last = Some(at);
        if let Some(known) = self.relations.get_mut(at) {
            known.written |= written;
        } else if at < RELATIONS_MAX {
            let family = if effects.more { functions.family(name) } else { None };
            self.relations.push(Relation { schema, name: name.into(), written, family: family.map(Name::from) });
        } else {
            self.lose();
        }
        if written {
            self.note_along(effects, name, functions);
        }
    }

    /// A relation of this name is written, which does this.
    fn note_along(&mut self, effects: Effects, name: &[u8], functions: &dyn Functions) {
        self.spreads |= effects.spreads;
        let along = if effects.more { functions.along(name) } else { &[] };
        for name in along {
            if self.along.len() >= RELATIONS_MAX {
                self.spreads = true;
            } else if !self.along.contains(name) {
                self.along.push(name.clone());
            }
        }
    }
}

impl Facts {
    /// The relations that the text reads or writes. `None`: not all can be named, since it calls, names or sets off what uses
    /// others, or is none of the statements that are followed here.
    pub fn relations(&self) -> Option<&[Relation]> {
        let all = self.unsure.is_none() && !self.named.beyond;
        all.then_some(self.named_relations())
    }

    /// What else may be written with those that are written, by what it sets off: triggers, keys that cascade. Families, and what stands
    /// alone. Complete if the text's [`Change`](super::Change) is of relations.
    pub fn along(&self) -> &[Name] {
        &self.named.along
    }

    /// Those that it names, of which there may be more.
    pub fn named_relations(&self) -> &[Relation] {
        &self.named.relations
    }

    /// Whether those are all that stand in its text, whatever is used by what it calls and names. Of a text that is certain, and of
    /// statements that say by their words where a relation is named: queries, writes, COPY, and EXPLAIN and cursors of these.
    pub fn names_every_relation(&self) -> bool {
        let writes = || self.named.relations.iter().any(|relation| relation.written);
        let tells = |only: &Statement| match only.verb {
            // What it makes by INTO is named as nothing else is.
            Verb::Select => only.verdict < Verdict::Write,
            Verb::Explain => only.verdict < Verdict::Write || writes(),
            Verb::Write | Verb::Copy { .. } | Verb::Declare { .. } => true,
            _ => only.verb.names_no_relation(),
        };
        self.unsure.is_none() && !self.named.lost && self.statements.iter().all(tells)
    }
}
