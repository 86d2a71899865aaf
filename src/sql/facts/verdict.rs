//! Whether a statement may run on a replica, and if not, why. The first reason that holds is told, in the order of [`Verdict`].
//!
//! A replica refuses what writes, but not all that must not run there: it runs `ALTER SYSTEM`, `CHECKPOINT`, `LOAD`, `DO`, `CALL`, `LOCK`,
//! `COPY … TO PROGRAM` and grants advisory locks that exclude nobody. So whatever is not known to be a read is the primary's.

use super::now::Now;
use super::words::{First, Key};
use super::{Bounds, Facts, Touches};
use std::fmt;

/// Where a statement, or a text, may run. Any but the first is the primary's; of several the greatest counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Also on a replica.
    #[default]
    Read,
    /// It asks a catalog, or SHOWs.
    Catalog,
    /// It asks for the statistics or the state of one server.
    Node,
    /// It depends on its session, or on what only one server has.
    Session,
    /// It calls something that may write, or that nobody knows.
    Function,
    /// It is none of the reads.
    Utility,
    /// It creates, alters, drops, grants.
    Ddl,
    /// It locks rows or tables.
    Lock,
    /// It writes.
    Write,
    /// Nobody can tell what it says.
    Unparsed,
}

impl Verdict {
    /// The word for it in logs, metrics and answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Catalog => "catalog",
            Self::Node => "node",
            Self::Session => "session",
            Self::Function => "function",
            Self::Utility => "utility",
            Self::Ddl => "ddl",
            Self::Lock => "lock",
            Self::Write => "write",
            Self::Unparsed => "unparsed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Facts {
    /// Where the text may run: what its strictest statement says.
    pub fn verdict(&self) -> Verdict {
        match self.unsure {
            Some(_) => Verdict::Unparsed,
            None => self.statements.iter().map(|statement| statement.verdict).max().unwrap_or_default(),
        }
    }
}

/// What of the statement under way only its verdict needs.
#[derive(Clone, Debug, Default)]
pub(super) struct Judge {
    pub(super) bounds: Bounds,
    /// `COPY … TO STDOUT`.
    to_stdout: bool,
    /// How the statement behind `EXPLAIN` begins.
    explained: First,
    /// Of a statement whose first word says nothing else.
    other: Verdict,
}

impl Judge {
    /// The first word of the statement.
    pub(super) fn begin(&mut self, first: First, name: &[u8]) {
        if first == First::Other {
            self.other = of_other(name);
        }
    }
}

impl Now {
    /// A word behind the first one; `before` is what the one in front of it is, and whether that is `TO`.
    pub(super) fn follow(&mut self, name: &[u8], quoted: bool, key: Key, (before, is_to): (Key, bool)) {
        let Self { judge, .. } = self;
        if before == Key::For && matches!(name, b"update" | b"no" | b"share" | b"key") {
            judge.bounds |= Bounds::LOCKS_ROWS;
        }
        if self.first == First::Copy && self.depth == 0 && is_to && name == b"stdout" && !quoted {
            judge.to_stdout = true;
        }
        if self.opening && self.depth == 0 && key != Key::Analyze && judge.explained == First::Nothing {
            judge.explained = First::of(name);
        }
    }
}

/// Of a statement that begins so and was found to do this.
pub(super) fn of(now: &Now, touches: Touches) -> Verdict {
    let Judge { bounds, to_stdout, explained, other } = now.judge;
    let by_words = match now.first {
        First::Select if now.writes => Verdict::Write,
        // `INTO`.
        First::Select if touches.any(Touches::CREATES) => Verdict::Write,
        First::Copy if now.copies_in || now.writes => Verdict::Write,
        First::Explain if now.writes || touches.any(Touches::CREATES) => Verdict::Write,
        First::Select => Verdict::Read,
        First::Copy if to_stdout => Verdict::Read,
        // With ANALYZE it reads as well.
        First::Explain if explained == First::Select => Verdict::Read,
        First::Write => Verdict::Write,
        First::Lock => Verdict::Lock,
        First::Create | First::Alter | First::Drop | First::Import => Verdict::Ddl,
        First::Other => other,
        First::Show => Verdict::Catalog,
        _ => Verdict::Utility,
    };
    if by_words > Verdict::Catalog {
        return by_words;
    }
    let rows = [
        (bounds.any(Bounds::LOCKS_ROWS), Verdict::Lock),
        (bounds.any(Bounds::WRITES) || touches.any(Touches::HIDDEN.and(Touches::DYNAMIC)), Verdict::Function),
        (bounds.any(Bounds::ONE_SERVER) || !touches.is_empty(), Verdict::Session),
        (bounds.any(Bounds::NODE), Verdict::Node),
        (bounds.any(Bounds::CATALOG), Verdict::Catalog),
    ];
    rows.into_iter().find(|(holds, _)| *holds).map_or(by_words, |(_, verdict)| verdict)
}

/// What naming a relation of PostgreSQL's own does.
pub(super) fn of_relation(name: &[u8]) -> Bounds {
    match name {
        b"pg_locks" => Bounds::NODE,
        _ if name.starts_with(b"pg_stat_") || name.starts_with(b"pg_statio_") => Bounds::NODE,
        _ if name.starts_with(b"pg_") => Bounds::CATALOG,
        _ => Bounds::NOTHING,
    }
}

/// Of a statement of no other kind, by its first word.
fn of_other(word: &[u8]) -> Verdict {
    match word {
        b"truncate" => Verdict::Write,
        b"grant" | b"revoke" | b"comment" | b"security" | b"reassign" | b"refresh" => Verdict::Ddl,
        _ => Verdict::Utility,
    }
}
