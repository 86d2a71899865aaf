//! The statement under way: what its words so far make of it, and what the next one changes. Knows no names and no brackets but how many there are.

use super::call::Last;
use super::machine::Machine;
use super::relations::Sources;
use super::verb::Name;
use super::verdict::Judge;
use super::words::{First, Key};
use super::{Bounds, Effects, Touches};

/// A `SELECT` of nothing but `set_config`, as far as it is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// In front of an item.
    Item,
    Schema,
    Dot,
    Name,
    Inside,
    /// Behind an item.
    Closed,
    As,
    Label,
    /// It is another statement.
    #[default]
    No,
}

/// Where the first `AS` outside brackets stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Definition {
    #[default]
    Ahead,
    /// It was the last word.
    Here,
    Behind,
}

/// The statement under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Now {
    pub(super) first: First,
    /// Tokens of it have been seen.
    pub(super) begun: bool,
    pub(super) touches: Touches,
    /// What it touches if it writes.
    pub(super) written: Touches,
    pub(super) writes: bool,
    pub(super) copies_in: bool,
    pub(super) shape: Shape,
    /// Where the statement of `PREPARE` begins.
    pub(super) body: Option<usize>,
    /// What only its verdict needs.
    pub(super) judge: Judge,
    pub(super) sources: Sources,
    /// What is executed inside another statement.
    pub(super) executed: Option<Name>,
    /// Its words are kept, see [`First::is_kept`].
    pub(super) kept: bool,
    pub(super) depth: u32,
    /// One for each of the outer brackets: an operand follows when it closes.
    pub(super) before_operand: u64,
    /// `EXPLAIN` with its options, so far.
    pub(super) opening: bool,
    // Of `CREATE … AS`.
    definition: Definition,
    routine: bool,
    /// Bodies of `BEGIN ATOMIC` that are open.
    pub(super) atomic: u32,
}

impl Now {
    pub(super) fn takes(&mut self, effects: Effects) {
        self.touches |= effects.touches;
        self.judge.bounds |= effects.bounds;
    }

    /// `EXECUTE` here names a prepared statement.
    fn runs_here(&self) -> bool {
        match self.first {
            First::Explain => self.opening && self.depth == 0,
            First::Create => self.definition == Definition::Here && self.depth == 0,
            _ => false,
        }
    }
}

impl Machine {
    /// What a word behind the first one changes.
    pub(super) fn follow(&mut self, name: &[u8], quoted: bool, key: Key, (last, before): (Last, Key), at: usize) {
        let now = &mut self.now;
        let outside = now.depth == 0;
        let is_to = last == Last::Word && !self.held.quoted && self.held.name() == b"to";
        now.follow(name, quoted, key, (before, is_to));
        // A label is no keyword.
        let named = self.held.before.1 == Key::As && now.first != First::Prepare;
        let fills = matches!(before, Key::Insert | Key::Merge) && !named;
        let is_name = matches!(before, Key::As | Key::On | Key::For);
        let locks = before == Key::Keys && key == Key::Update && now.judge.bounds.any(Bounds::LOCKS_ROWS);
        if let Some(prepared) = now.executed.as_mut().filter(|name| name.is_empty()) {
            *prepared = name.into();
        }
        // What is gone touches nothing: only of what runs by itself, or under a name that others have, is it worth a look.
        if now.first == First::Drop && self.last == Last::Word && drops_code(name) {
            now.touches |= Touches::DEFINES;
        }
        if before == Key::Language && now.first == First::Do && name != b"plpgsql" {
            now.touches |= Touches::DYNAMIC;
        }
        match key {
            Key::Plain => (),
            Key::Temp if matches!(before, Key::Create | Key::Local | Key::Into | Key::Replace) => {
                now.touches |= Touches::TEMP;
            }
            // In PL/pgSQL it names variables.
            Key::Into if !fills && !self.in_body => now.touches |= Touches::CREATES,
            Key::Create => now.touches |= Touches::CREATES,
            Key::Insert | Key::Merge | Key::Update | Key::Delete if !is_name && !locks => {
                now.writes = true;
                if key != Key::Delete {
                    now.touches |= Touches::SEQUENCE_WRITE;
                }
            }
            Key::From if outside && now.first == First::Copy => {
                now.copies_in = true;
                now.touches |= Touches::SEQUENCE_WRITE;
            }
            Key::Routine if matches!(before, Key::Create | Key::Replace) => now.routine = true,
            Key::Atomic if before == Key::Begin && now.routine && outside => now.atomic += 1,
            // Each statement inside ends with a semicolon: no `END` of `CASE`, nor a name, stands here.
            Key::End if now.atomic > 0 && (last == Last::Semicolon || before == Key::Atomic) => now.atomic -= 1,
            Key::Extension if matches!(before, Key::Create | Key::Alter) => now.touches |= Touches::HIDDEN,
            Key::For if outside && now.first == First::Declare => now.kept = false,
            Key::As if outside && now.first == First::Prepare && now.body.is_none() => {
                now.kept = false;
                // As long as it is written.
                now.body = Some(at + name.len());
            }
            Key::Execute if self.in_body => now.touches |= Touches::HIDDEN | Touches::DYNAMIC,
            Key::Execute if now.executed.is_none() && now.runs_here() => now.executed = Some(Name::default()),
            _ => (),
        }
        if outside {
            now.definition = match now.definition {
                Definition::Ahead if key != Key::As => Definition::Ahead,
                Definition::Ahead => Definition::Here,
                _ => Definition::Behind,
            };
            if now.opening && key == Key::Create {
                now.first = First::Create;
            }
            now.opening &= key == Key::Analyze;
        }
    }

    pub(super) fn shape_behind(&self, begins: bool, key: Key) -> Shape {
        match self.now.shape {
            _ if begins && key == Key::Select && self.now.depth == 0 => Shape::Item,
            Shape::Inside => Shape::Inside,
            Shape::Item | Shape::Dot if self.held.is_set_config() => Shape::Name,
            Shape::Item if self.held.name() == b"pg_catalog" => Shape::Schema,
            Shape::Closed if key == Key::As => Shape::As,
            Shape::As => Shape::Label,
            _ => Shape::No,
        }
    }

    pub(super) fn shape_at(&self, symbol: u8) -> Shape {
        match (self.now.shape, symbol) {
            (Shape::Schema, b'.') => Shape::Dot,
            (Shape::Name, b'(') => Shape::Inside,
            (Shape::Inside, b')') if self.now.depth == 1 => Shape::Closed,
            (Shape::Inside, _) => Shape::Inside,
            (Shape::Closed | Shape::Label, b',') => Shape::Item,
            _ => Shape::No,
        }
    }
}

/// What `DROP` drops.
fn drops_code(what: &[u8]) -> bool {
    matches!(
        what,
        b"function" | b"procedure" | b"routine" | b"aggregate" | b"trigger" | b"rule" | b"policy" | b"extension"
    )
}
