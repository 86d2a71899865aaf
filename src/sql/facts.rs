//! What a text may do to its session, as far as the text alone tells: its statements, the settings it names, and what it
//! may touch. One pass over the bytes with the [`Scanner`]; start at [`read`], or at [`Reader`] for a text in pieces.
//!
//! Text decides only *when to ask* PostgreSQL, whose answer counts: where it is not clear, more is said to be touched than
//! is. Deliberately without a grammar: a text that PostgreSQL refuses has facts, too, and they mean nothing. Out of reach of
//! the text are functions behind implicit casts, defaults and index expressions, operators that words stand for (`IN`, `LIKE`),
//! and `t.f` for `f(t)` where no catalog knows `f`; functions behind tables and views are asked for through
//! [`Functions::relation`].

mod body;
mod bounds;
mod builtin;
mod call;
mod change;
mod end;
mod head;
mod keywords;
mod machine;
mod names;
mod now;
mod relations;
mod second;
mod set_config;
mod touches;
mod value;
mod verb;
mod verdict;
mod words;

pub use bounds::Bounds;
pub use builtin::effects as builtin_effects;
pub use change::Change;
pub use names::{Effects, Functions, Knowledge, Names, Plain, Told, Unknown};
pub use relations::Relation;
pub use touches::Touches;
pub use verb::{Begin, Discard, Isolation, Name, Prepare, Setting, Statement, Value, Verb};
pub use verdict::Verdict;

use super::normal::Fingerprint;
use super::pattern::Pattern;
use super::scan::Scanner;
use super::token::{Reading, Token, Unsure};
use machine::Machine;
use std::cell::Cell;
use std::sync::{Arc, OnceLock};

/// Statements of one text that are kept; in a longer text nothing is sure ([`Unsure::Overfull`]).
pub const STATEMENTS_MAX: usize = 4096;

/// Bytes of a setting's value that are kept; a longer one is [`Value::Computed`].
pub const VALUE_MAX: usize = 64 * 1024;

/// Statements and settings of a text of the usual kind.
const FEW: usize = 8;

/// Settings that are kept of one text; in one that names more nothing is sure ([`Unsure::Overfull`]).
pub const NAMES_MAX: usize = 256;

/// The facts of a whole text.
pub fn read(text: &[u8], reading: Reading, functions: &dyn Functions) -> Facts {
    let mut reader = Reader::new(reading);
    reader.feed(text, functions);
    reader.finish(functions)
}

/// The facts of the body of a function in PL/pgSQL. Its statements are not told apart.
pub fn read_body(body: &[u8], reading: Reading, functions: &dyn Functions) -> Facts {
    body::read_body(body, reading, functions)
}

/// Reads one text in pieces, cut anywhere. Keeps less than a kibibyte, and beyond that what [`Facts`] keeps and, of a `SET` and
/// its like, at most three times [`VALUE_MAX`].
#[derive(Clone, Debug)]
pub struct Reader {
    scanner: Scanner,
    begun: Cell<usize>,
    machine: Machine,
}

impl Reader {
    /// At the beginning of a text.
    pub fn new(reading: Reading) -> Self {
        Self { scanner: Scanner::new(reading), begun: Cell::new(0), machine: Machine::new(reading) }
    }

    /// The next bytes of the text. `functions` should stay the same for all of it.
    pub fn feed(&mut self, bytes: &[u8], functions: &dyn Functions) {
        let Self { scanner, begun, machine } = self;
        scanner.feed_telling(bytes, begun, &mut |token| machine.token(token, begun.get(), functions));
    }

    /// The text is over.
    pub fn finish(self, functions: &dyn Functions) -> Facts {
        let Self { scanner, begun, mut machine } = self;
        let end = scanner.fed();
        let sure = scanner.finish(&mut |token: Token<'_>| machine.token(token, begun.get(), functions));
        machine.settle(functions);
        let mut facts = machine.finish(end);
        facts.unsure = sure.err().or(facts.unsure);
        if facts.unsure.is_some() {
            facts.touches = Touches::ALL;
        }
        facts
    }
}

/// What one text may do to its session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its statements in order, without empty ones.
    pub statements: Statements,
    /// What any of them may touch.
    pub touches: Touches,
    /// Why the text cannot be told. Then it touches everything, and its statements may be others.
    pub unsure: Option<Unsure>,
    bounds: Bounds,
    named: relations::Named,
    settings: Vec<Named>,
    // A constant was looked into.
    by_constants: bool,
    // What the second reader has said.
    agreed: OnceLock<bool>,
    // What it is called; None: it has no name.
    pub(super) pattern: OnceLock<Option<Arc<Pattern>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    name: Name,
    // By the text itself, and by code that it calls or runs.
    text: Reach,
    code: Reach,
}

/// For how long a setting is made another one: either, both, or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// For the session.
    pub session: bool,
    /// Until the transaction ends.
    pub local: bool,
}

impl Reach {
    fn add(&mut self, local: bool) {
        if local { self.local = true } else { self.session = true }
    }
}

impl Facts {
    /// Of a text that cannot be read now.
    pub fn anything() -> Self {
        Self { touches: Touches::ALL, unsure: Some(Unsure::Encoding), ..Self::default() }
    }

    /// PostgreSQL (from 15 on) refuses such a text before it runs any of it.
    pub fn is_refused(&self) -> bool {
        matches!(self.unsure, Some(Unsure::Unterminated | Unsure::Nonsense | Unsure::Junk))
    }

    /// Whether it is one utility statement that returns nothing, whatever there is. Such a statement also has no parameters but
    /// those that Parse declares.
    pub fn returns_nothing(&self) -> bool {
        use Verb::{Call, Execute, Explain, Fetch, Other, Select, SetConfig, Show, Write};
        let Some(only) = self.statements.only().filter(|_| self.unsure.is_none()) else { return false };
        match only.verb {
            Select | SetConfig(_) | Write | Explain | Show(_) | Execute { .. } | Fetch | Call => false,
            // What is not understood may be one of these.
            Other => !only.touches.any(Touches::HIDDEN),
            _ => true,
        }
    }

    /// The fingerprint of the text that was read by these rules, or of another of its shape, which has the same. Costs a reading once for facts
    /// that are kept.
    pub fn fingerprint(&self, text: &[u8], reading: Reading) -> Option<Fingerprint> {
        self.pattern(text, reading).map(|pattern| pattern.fingerprint)
    }

    /// What of it bears on where it may run, beside what it touches.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether it depends on the transaction around it, as far as its words and what they stand for say. Its constants may say so as
    /// well: see [`says_now`](super::says_now).
    pub fn asks_transaction(&self) -> bool {
        self.unsure.is_some() || self.bounds.any(Bounds::TRANSACTION)
    }

    /// Whether every text of the same [`shape`](super::shape) has these.
    pub fn hold_for_shape(&self) -> bool {
        // Where a statement stands in the text depends on the constants in front of it.
        let elsewhere = |statement: &Statement| match &statement.verb {
            Verb::Prepare(_) => true,
            Verb::Begin(begin) => !begin.options.is_empty(),
            _ => false,
        };
        self.unsure.is_none() && !self.by_constants && !self.statements.iter().any(elsewhere)
    }

    /// They take hardly more memory than any.
    pub fn are_few(&self) -> bool {
        self.statements.len() <= FEW && self.settings.len() <= FEW && self.named.are_few(FEW)
    }

    /// The settings that the text names and that may be others for the session behind it, each once, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.settings.iter().filter(|named| named.text.session || named.code.session).map(|named| &*named.name)
    }

    /// As [`Self::names`], and those that it makes others for its transaction.
    pub fn all_names(&self) -> impl Iterator<Item = &[u8]> {
        self.settings.iter().map(|named| &*named.name)
    }

    /// Those that code makes others which the text calls or runs, and for how long.
    pub fn code_names(&self) -> impl Iterator<Item = (&[u8], Reach)> {
        let by_code = self.settings.iter().filter(|named| named.code != Reach::default());
        by_code.map(|named| (&*named.name, named.code))
    }

    /// Custom settings (with a dot) that the text touches in any way, also with `SET LOCAL`: where they were unknown to
    /// their server they stay behind as `''`. Each once.
    pub fn custom_names(&self) -> impl Iterator<Item = &[u8]> {
        self.all_names().filter(|name| name.contains(&b'.'))
    }
}

/// Statements in order. Holds one without allocating.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements {
    first: Option<Statement>,
    more: Vec<Statement>,
}

impl Statements {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Statement> {
        self.first.iter().chain(&self.more)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }

    /// The text has no statement: PostgreSQL answers with an EmptyQueryResponse.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The statement, where there is exactly one.
    pub fn only(&self) -> Option<&Statement> {
        self.first.as_ref().filter(|_| self.more.is_empty())
    }

    /// By its place in the text, from 0.
    pub fn get(&self, at: usize) -> Option<&Statement> {
        match at.checked_sub(1) {
            None => self.first.as_ref(),
            Some(at) => self.more.get(at),
        }
    }

    fn push(&mut self, statement: Statement) {
        if self.first.is_none() {
            self.first = Some(statement);
        } else {
            self.more.push(statement);
        }
    }
}

#[cfg(test)]
mod tests;
