//! Whether a statement may run on a replica, and if not, why. The first reason that holds is told, in the order of [`Verdict`].
//!
//! A replica refuses what writes, but not all that must not run there: it runs `ALTER SYSTEM`, `CHECKPOINT`, `LOAD`, `DO`, `CALL`, `LOCK`,
//! `COPY … TO PROGRAM` and grants advisory locks that exclude nobody. So whatever is not known to be a read is the primary's.

use super::machine::Now;
use super::words::First;
use super::{Facts, Touches};
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

/// Of a statement that begins so and was found to do this.
pub(super) fn of(now: &Now, touches: Touches) -> Verdict {
    let by_words = match now.first {
        First::Select if now.writes => Verdict::Write,
        // `INTO`.
        First::Select if touches.any(Touches::CREATES) => Verdict::Write,
        First::Copy if now.copies_in || now.writes => Verdict::Write,
        First::Explain if now.writes || touches.any(Touches::CREATES) => Verdict::Write,
        First::Select => Verdict::Read,
        First::Copy if now.to_stdout => Verdict::Read,
        // With ANALYZE it reads as well.
        First::Explain if now.explained == First::Select => Verdict::Read,
        First::Write => Verdict::Write,
        First::Lock => Verdict::Lock,
        First::Create | First::Alter | First::Drop | First::Import => Verdict::Ddl,
        First::Other => now.other,
        First::Show => Verdict::Catalog,
        _ => Verdict::Utility,
    };
    if by_words > Verdict::Catalog {
        return by_words;
    }
    let rows: [(Touches, Verdict); 5] = [
        (Touches::LOCKS_ROWS, Verdict::Lock),
        (Touches::WRITES.and(Touches::HIDDEN).and(Touches::DYNAMIC), Verdict::Function),
        (Touches::ALL.and(Touches::ONE_SERVER), Verdict::Session),
        (Touches::NODE, Verdict::Node),
        (Touches::CATALOG, Verdict::Catalog),
    ];
    rows.into_iter().find(|(bits, _)| touches.any(*bits)).map_or(by_words, |(_, verdict)| verdict)
}

/// Of a statement of no other kind, by its first word.
pub(super) fn of_other(word: &[u8]) -> Verdict {
    match word {
        b"truncate" => Verdict::Write,
        b"grant" | b"revoke" | b"comment" | b"security" | b"reassign" | b"refresh" => Verdict::Ddl,
        _ => Verdict::Utility,
    }
}
