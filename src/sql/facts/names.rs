//! What the functions and relations of a database touch, by their names, for who reads a text. Knows no text and no
//! catalog: who fills it does.

use super::{Bounds, Change, Facts, Name, Relation, Touches, Verdict};
use crate::sql::normal::Fingerprint;
use crate::sql::token::Reading;
use foldhash::HashMap;
use std::ops::{BitOr, BitOrAssign};
use std::sync::{Arc, OnceLock};

/// What using a name may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// To its session.
    pub touches: Touches,
    /// What of it bears on where it may run.
    pub bounds: Bounds,
    /// [`Functions::written`], [`Functions::settings`], [`Functions::family`] and [`Functions::along`] have more to tell of the name.
    pub more: bool,
    /// It is the name of a table, a view or the like.
    pub relation: bool,
    /// Other relations than the named one are read, or written if it is.
    pub beyond: bool,
    /// If it is written, so may be others that nobody can name.
    pub spreads: bool,
}

/// What a database's own functions and relations do. Names come as PostgreSQL compares them, without a schema.
pub trait Functions {
    /// What calling any function, procedure or aggregate of this name may do. `None`: not known, which makes a
    /// called name that is not built in [`Touches::HIDDEN`]. Asked for built-in names, too, which may be overloaded.
    fn function(&self, name: &[u8]) -> Option<Effects>;

    /// What using a relation of this name may do through its rules, policies and columns. Asked for every name that
    /// is not called: columns and aliases are among them.
    fn relation(&self, name: &[u8]) -> Effects;

    /// What a type of this name does, to which what stands in brackets is cast: asked for a name that is called, beside [`Self::function`].
    fn cast(&self, name: &[u8]) -> Effects {
        self.relation(name)
    }

    /// What writing to a relation of this name may touch beside that. Asked where its effects have [`Effects::more`].
    fn written(&self, _: &[u8]) -> Touches {
        Touches::NOTHING
    }

    /// The settings that a function or relation of this name touches, and whether only until the transaction ends. Asked
    /// where its effects have [`Effects::more`].
    fn settings(&self, _: &[u8], _: &mut dyn FnMut(&[u8], bool)) {}

    /// The name for all the relations that a relation of this name is a part of, or that are parts of it. `None`: there are none. Asked
    /// where its effects have [`Effects::more`].
    fn family(&self, _: &[u8]) -> Option<&[u8]> {
        None
    }

    /// The relations that may be written if one of this name is, by the names of their families. Asked where its effects have
    /// [`Effects::more`].
    fn along(&self, _: &[u8]) -> &[Name] {
        &[]
    }

    /// What any statement may do, whatever it names: by an operator that a word stands for, by a cast that nobody wrote.
    fn everywhere(&self) -> Effects {
        Effects::NOTHING
    }

    /// Whether the database's names are in UTF8.
    fn is_utf8(&self) -> bool {
        true
    }
}

/// Nothing is known yet: every called name that is not built in is hidden, relations touch nothing, and no statement is known to be a
/// read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unknown;

impl Functions for Unknown {
    fn function(&self, _: &[u8]) -> Option<Effects> {
        None
    }

    fn relation(&self, _: &[u8]) -> Effects {
        Effects::NOTHING
    }

    fn everywhere(&self) -> Effects {
        Bounds::WRITES.into()
    }
}

/// Supposes that every relation is a table of plain columns, and knows no functions but those that are built in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Functions for Plain {
    fn function(&self, _: &[u8]) -> Option<Effects> {
        None
    }

    fn relation(&self, _: &[u8]) -> Effects {
        Effects { relation: true, ..Effects::NOTHING }
    }
}

impl Effects {
    /// None.
    pub const NOTHING: Self = Self {
        touches: Touches::NOTHING,
        bounds: Bounds::NOTHING,
        more: false,
        relation: false,
        beyond: false,
        spreads: false,
    };

    /// None at all.
    pub fn is_empty(self) -> bool {
        self == Self::NOTHING
    }

    /// Nothing that matters to a session or to where it may run.
    pub fn is_harmless(self) -> bool {
        self.touches.is_empty() && self.bounds.allow_replicas()
    }
}

impl From<Touches> for Effects {
    fn from(touches: Touches) -> Self {
        Self { touches, ..Self::NOTHING }
    }
}

impl From<Bounds> for Effects {
    fn from(bounds: Bounds) -> Self {
        Self { bounds, ..Self::NOTHING }
    }
}

impl BitOr for Effects {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            touches: self.touches | other.touches,
            bounds: self.bounds | other.bounds,
            more: self.more || other.more,
            relation: self.relation || other.relation,
            beyond: self.beyond || other.beyond,
            spreads: self.spreads || other.spreads,
        }
    }
}

impl BitOrAssign for Effects {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// What was read from a catalog. A function that is missing here is hidden, since it may have come after the reading;
/// so those that touch nothing belong here as well. A relation that is missing touches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    functions: HashMap<Box<[u8]>, Effects>,
    relations: HashMap<Box<[u8]>, Effects>,
    written: HashMap<Box<[u8]>, Touches>,
    settings: HashMap<Box<[u8]>, Vec<(Name, bool)>>,
    families: HashMap<Box<[u8]>, Name>,
    along: HashMap<Box<[u8]>, Vec<Name>>,
    everywhere: Effects,
    recoded: bool,
}

impl Names {
    /// No names yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A function of this name does this, and whatever others of its name do.
    pub fn add_function(&mut self, name: &[u8], effects: impl Into<Effects>) {
        *self.functions.entry(name.into()).or_default() |= effects.into();
    }

    /// A relation of this name does this, and whatever others of its name do.
    pub fn add_relation(&mut self, name: &[u8], effects: impl Into<Effects>) {
        let effects = effects.into();
        if !effects.is_empty() {
            *self.relations.entry(name.into()).or_default() |= effects;
        }
    }

    /// Whether there is a relation of this name, in any schema.
    pub fn has_relation(&self, name: &[u8]) -> bool {
        self.relations.get(name).is_some_and(|effects| effects.relation)
    }

    /// Any statement may do this.
    pub fn add_everywhere(&mut self, effects: impl Into<Effects>) {
        self.everywhere |= effects.into();
    }

    /// The database's names are not in UTF8.
    pub fn is_in_another_encoding(&mut self) {
        self.recoded = true;
    }

    /// Writing to a relation of this name touches this, too.
    pub fn add_written(&mut self, name: &[u8], touches: Touches) {
        if !touches.is_empty() {
            *self.written.entry(name.into()).or_default() |= touches;
            self.add_relation(name, Effects { more: true, ..Effects::NOTHING });
        }
    }

    /// Relations of this name belong to this family.
    pub fn add_to_family(&mut self, name: &[u8], family: &[u8]) {
        self.families.insert(name.into(), family.into());
        self.add_relation(name, Effects { more: true, ..Effects::NOTHING });
    }

    /// What writes to a relation of this name may write these, too; they are families, or stand alone.
    pub fn add_along(&mut self, name: &[u8], along: Vec<Name>) {
        self.along.insert(name.into(), along);
        self.add_relation(name, Effects { more: true, ..Effects::NOTHING });
    }

    /// Functions and relations of this name touch this setting; `local`: only until the transaction ends.
    pub fn add_setting(&mut self, name: &[u8], setting: &[u8], local: bool) {
        let settings = self.settings.entry(name.into()).or_default();
        match settings.iter_mut().find(|(known, _)| **known == *setting) {
            Some((_, known)) => *known &= local,
            None => settings.push((setting.into(), local)),
        }
        for names in [&mut self.functions, &mut self.relations] {
            if let Some(effects) = names.get_mut(name) {
                effects.more = true;
            }
        }
    }
}

impl Functions for Names {
    fn function(&self, name: &[u8]) -> Option<Effects> {
        self.functions.get(name).copied()
    }

    fn relation(&self, name: &[u8]) -> Effects {
        if self.relations.is_empty() {
            return Effects::NOTHING;
        }
        self.relations.get(name).copied().unwrap_or_default()
    }

    fn written(&self, name: &[u8]) -> Touches {
        self.written.get(name).copied().unwrap_or_default()
    }

    fn family(&self, name: &[u8]) -> Option<&[u8]> {
        self.families.get(name).map(|family| &**family)
    }

    fn along(&self, name: &[u8]) -> &[Name] {
        self.along.get(name).map_or(&[], Vec::as_slice)
    }

    fn everywhere(&self) -> Effects {
        self.everywhere
    }

    fn is_utf8(&self) -> bool {
        !self.recoded
    }

    fn settings(&self, name: &[u8], each: &mut dyn FnMut(&[u8], bool)) {
        self.settings.get(name).into_iter().flatten().for_each(|(setting, local)| each(setting, *local));
    }
}

/// What is known of a database's names, from one reading of its catalog to the next.
#[derive(Debug, Default)]
pub struct Knowledge {
    edition: u64,
    names: Arc<Names>,
    doubtful: bool,
}

/// What a text was found to do, and with which [`Knowledge`].
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    edition: u64,
    /// Where the text may run.
    pub verdict: Verdict,
    /// What it may change.
    pub change: Change,
    /// See [`Facts::is_undone`].
    pub is_undone: bool,
    facts: Arc<Facts>,
    // They matter themselves, and not only where the text may run.
    matters: bool,
    // Where it may run after both readers were asked, and by which rules it was read then.
    confirmed: OnceLock<(Reading, Verdict)>,
    // And what names it by those.
    fingerprint: OnceLock<(Reading, Option<Fingerprint>)>,
}

impl Knowledge {
    /// `edition` is another one for each. `doubtful`: since the names were read the catalog has changed. Then everything
    /// that is called or named is hidden.
    pub fn new(edition: u64, names: Arc<Names>, doubtful: bool) -> Self {
        Self { edition, names, doubtful }
    }

    /// Its number.
    pub fn edition(&self) -> u64 {
        self.edition
    }

    /// What it rests on.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// Whether no catalog has been read yet.
    pub fn is_blank(&self) -> bool {
        // As it is made by default; whoever has read one has a number.
        self.edition == 0
    }

    /// Whether the catalog has changed since.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// What was read with it; `matters`: the facts themselves, and not only where the text may run.
    pub fn told(&self, facts: Arc<Facts>, matters: bool) -> Arc<Told> {
        let (verdict, change, is_undone) = (facts.verdict(), facts.change(), facts.is_undone());
        let (edition, confirmed, fingerprint) = (self.edition, OnceLock::new(), OnceLock::new());
        Arc::new(Told { edition, verdict, change, is_undone, facts, matters, confirmed, fingerprint })
    }
}

impl Knowledge {
    fn doubt(&self) -> Effects {
        if self.doubtful { Touches::HIDDEN.into() } else { Effects::NOTHING }
    }
}

impl Told {
    /// Whether it was read with this.
    pub fn is_of(&self, knowledge: &Knowledge) -> bool {
        self.edition == knowledge.edition
    }

    /// Where it may run as far as both readers say, if that was kept for a text that is read by these rules.
    pub fn confirmed(&self, reading: Reading) -> Option<Verdict> {
        self.confirmed.get().filter(|(by, _)| *by == reading).map(|(_, verdict)| *verdict)
    }

    /// Keeps that, for the first rules by which it was asked.
    pub fn confirm(&self, reading: Reading, verdict: Verdict) {
        let _ = self.confirmed.set((reading, verdict));
    }

    /// The fingerprint of its text if that is read by these rules; kept for the first that are asked for.
    pub fn fingerprint(&self, text: &[u8], reading: Reading) -> Option<Fingerprint> {
        let of_text = || Fingerprint::of_text(text, reading);
        let (by, kept) = self.fingerprint.get_or_init(|| (reading, of_text()));
        if *by == reading { *kept } else { of_text() }
    }

    /// See [`Facts::relations`].
    pub fn relations(&self) -> Option<&[Relation]> {
        self.facts.relations()
    }

    /// See [`Facts::along`].
    pub fn along(&self) -> &[Name] {
        self.facts.along()
    }

    /// `None`: the text touches nothing.
    pub fn facts(&self) -> Option<&Facts> {
        Some(&*self.facts).filter(|_| self.matters)
    }
}

impl Functions for Knowledge {
    fn function(&self, name: &[u8]) -> Option<Effects> {
        self.names.function(name).map(|effects| effects | self.doubt())
    }

    fn relation(&self, name: &[u8]) -> Effects {
        self.names.relation(name) | self.doubt()
    }

    fn cast(&self, name: &[u8]) -> Effects {
        // As for functions: what is built in is what it was.
        self.names.relation(name)
    }

    fn written(&self, name: &[u8]) -> Touches {
        self.names.written(name)
    }

    fn family(&self, name: &[u8]) -> Option<&[u8]> {
        self.names.family(name)
    }

    fn along(&self, name: &[u8]) -> &[Name] {
        self.names.along(name)
    }

    fn everywhere(&self) -> Effects {
        // What is named may be another thing by now, and what is built in may have got a likeness.
        if self.doubtful || self.is_blank() { Bounds::WRITES.into() } else { self.names.everywhere() }
    }

    fn is_utf8(&self) -> bool {
        self.names.is_utf8()
    }

    fn settings(&self, name: &[u8], each: &mut dyn FnMut(&[u8], bool)) {
        self.names.settings(name, each);
    }
}
