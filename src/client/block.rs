//! BEGIN is answered at once, and travels in front of the first statement behind it: an open, empty transaction holds no
//! server. One that ends empty never had one.
//!
//! Only plain texts are answered; whatever is not certain to be accepted by PostgreSQL goes there as it came. `now()` in
//! such a block is the time of its first statement. Reads may run in front of that, outside of the block (`client/apart.rs`).

use super::connection::Client;
use crate::clock::Instant;
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, SqlState};
use crate::wire::backend::{self, Status};
use crate::wire::frame::HEAD;
use bytes::BytesMut;

/// A longer text is not looked at.
const TEXT_MAX: usize = 128;

/// A transaction block that has no server yet.
pub(super) struct Block {
    /// What began it.
    pub begin: Box<str>,
    /// It was executed in the unnamed portal, which is there until the block ends.
    pub portal: bool,
    /// Since when something is read in it, outside of it: see `client/apart.rs`.
    pub read_since: Option<Instant>,
    // A request in it could not be run, or has failed.
    failed: bool,
}

impl Block {
    pub(super) fn is_failed(&self) -> bool {
        self.failed
    }
}

/// What a plain text says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// With its tag.
    Begin(&'static str),
    Commit,
    Rollback,
    /// The end of a failed block, and the begin of the next.
    Chain,
}

impl Client {
    /// Answers a Query about a block that has no server, or opens one. `None`: it is for a server.
    pub(super) fn answer_block(&mut self, query: &[u8]) -> Option<BytesMut> {
        if self.shape.settings.pool_mode != PoolMode::Transaction {
            return None;
        }
        let text = query.get(HEAD..)?.strip_suffix(b"\0")?;
        let said = self.said(text)?;
        let text = std::str::from_utf8(text).ok()?;
        let mut out = BytesMut::new();
        let tag = self.go_on_with_block(said, text, false)?;
        backend::command_complete(&mut out, tag.as_bytes());
        backend::ready_for_query(&mut out, self.status());
        Some(out)
    }

    /// What a text says of a block, here and now.
    pub(super) fn said(&self, text: &[u8]) -> Option<Said> {
        let plain = Some(text).filter(|text| may_be_said(text)).and_then(|text| said(std::str::from_utf8(text).ok()?));
        plain.or_else(|| self.ends_block(text))
    }

    /// Begins or ends a block that has no server; `portal`: the text stays in the unnamed one. Gives the tag. `None`: it is for a server.
    pub(super) fn go_on_with_block(&mut self, said: Said, text: &str, portal: bool) -> Option<&'static str> {
        match (said, self.block.as_ref().map(|block| block.failed)) {
            (Said::Begin(_), None) if self.is_kept_from(text) => None,
            (Said::Begin(tag), None) => {
                let begin = text.into();
                self.block = Some(Box::new(Block { begin, portal, read_since: None, failed: false }));
                Some(tag)
            }
            // A warning, or an error: PostgreSQL's to say.
            (Said::Begin(_), Some(_)) | (Said::Commit | Said::Rollback | Said::Chain, None) => None,
            (Said::Commit, Some(false)) => {
                self.block = None;
                self.end_own(true);
                Some("COMMIT")
            }
            (Said::Chain, Some(false)) => None,
            (Said::Chain, Some(true)) => {
                self.chain_failed_block(portal);
                Some("ROLLBACK")
            }
            (Said::Commit | Said::Rollback, Some(_)) => {
                self.end_failed_block();
                Some("ROLLBACK")
            }
        }
    }

    /// A block without a server ends with nothing of it done.
    pub(super) fn end_failed_block(&mut self) {
        self.block = None;
        self.end_own(false);
    }

    /// The same, and another one begins as it did: nothing in it could say otherwise. `portal`: as in [`Block::portal`].
    pub(super) fn chain_failed_block(&mut self, portal: bool) {
        let begin = self.block.take().map(|block| block.begin);
        self.end_own(false);
        self.block = begin.map(|begin| Box::new(Block { begin, portal, read_since: None, failed: false }));
    }

    /// The state of a client without a server.
    pub(super) fn status(&self) -> Status {
        match &self.block {
            None => Status::Idle,
            Some(block) if block.failed => Status::Failed,
            Some(_) => Status::InTransaction,
        }
    }

    /// A request in a block without a server was refused: the block has failed.
    pub(super) fn fail_block(&mut self) {
        if let Some(block) = &mut self.block {
            block.failed = true;
        }
    }

    /// Why nothing is run in a failed block. Source: PostgreSQL `src/backend/tcop/postgres.c`.
    pub(super) fn failed_block(&self) -> Option<Fault> {
        let failed = self.block.as_ref().is_some_and(|block| block.failed);
        let message = "current transaction is aborted, commands ignored until end of transaction block";
        failed.then(|| Fault::error(Blame::Client, SqlState::IN_FAILED_SQL_TRANSACTION, message))
    }
}

/// Whether it is worth reading: most queries are longer, or begin with other letters.
fn may_be_said(text: &[u8]) -> bool {
    if text.len() > TEXT_MAX {
        return false;
    }
    let [first, second, ..] = text.trim_ascii_start() else { return false };
    matches!(&[first | 0x20, second | 0x20], b"be" | b"st" | b"co" | b"en" | b"ro" | b"ab")
}

/// Reads a text of plain words.
pub(super) fn said(text: &str) -> Option<Said> {
    if !may_be_said(text.as_bytes()) {
        return None;
    }
    let text = text.trim_ascii();
    let text = text.strip_suffix(';').unwrap_or(text);
    let lower = text.to_ascii_lowercase();
    let mut words = lower.split_ascii_whitespace().peekable();
    let first = words.next()?;
    let noise = |words: &mut std::iter::Peekable<std::str::SplitAsciiWhitespace<'_>>| {
        words.next_if(|word| matches!(*word, "work" | "transaction")).is_some()
    };
    let said = match first {
        "begin" => {
            noise(&mut words);
            Said::Begin("BEGIN")
        }
        "start" if words.next() == Some("transaction") => Said::Begin("START TRANSACTION"),
        "commit" | "end" => {
            noise(&mut words);
            Said::Commit
        }
        "rollback" | "abort" => {
            noise(&mut words);
            Said::Rollback
        }
        _ => return None,
    };
    let modes: Vec<&str> = words.collect();
    let takes_modes = matches!(said, Said::Begin(_));
    (modes.is_empty() || takes_modes && are_modes(&modes.join(" "))).then_some(said)
}

/// A list of transaction modes, each at most once, with or without commas.
fn are_modes(text: &str) -> bool {
    const MODES: [(&str, u8); 9] = [
        ("isolation level serializable", 1),
        ("isolation level repeatable read", 1),
        ("isolation level read committed", 1),
        ("isolation level read uncommitted", 1),
        ("read only", 2),
        ("read write", 2),
        ("not deferrable", 4),
        ("deferrable", 4),
        ("", 0),
    ];
    let (mut rest, mut seen) = (text, 0);
    while !rest.is_empty() {
        let found = MODES.iter().find(|(mode, _)| {
            rest.strip_prefix(mode).is_some_and(|behind| behind.is_empty() || behind.starts_with([' ', ',']))
        });
        let Some((mode, kind)) = found.filter(|(mode, kind)| !mode.is_empty() && seen & kind == 0) else {
            return false;
        };
        seen |= kind;
        rest = rest[mode.len()..].trim_ascii_start();
        if let Some(behind) = rest.strip_prefix(',') {
            rest = behind.trim_ascii_start();
            if rest.is_empty() {
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    //! Which texts are answered at once.

    use super::*;

    #[test]
    fn plain_texts_are_read_and_others_are_not() {
        for (text, expected) in [
            ("BEGIN", Some(Said::Begin("BEGIN"))),
            (" begin ; ", Some(Said::Begin("BEGIN"))),
            ("Begin Transaction", Some(Said::Begin("BEGIN"))),
            ("begin work read only", Some(Said::Begin("BEGIN"))),
            ("START TRANSACTION", Some(Said::Begin("START TRANSACTION"))),
            ("START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY", Some(Said::Begin("START TRANSACTION"))),
            ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", Some(Said::Begin("BEGIN"))),
            ("BEGIN NOT DEFERRABLE", Some(Said::Begin("BEGIN"))),
            ("commit", Some(Said::Commit)),
            ("END WORK", Some(Said::Commit)),
            ("rollback transaction;", Some(Said::Rollback)),
            ("ABORT", Some(Said::Rollback)),
            ("BEGIN;;", None),
            ("BEGIN READ", None),
            ("BEGIN READ ONLY,", None),
            ("BEGIN READ ONLY READ WRITE", None),
            ("BEGIN, READ ONLY", None),
            ("BEGIN DEFERRABLEX", None),
            ("BEGIN -- comment", None),
            ("BEGIN; SELECT 1", None),
            ("START", None),
            ("START WORK", None),
            ("COMMIT AND CHAIN", None),
            ("ROLLBACK TO a", None),
            ("COMMIT PREPARED 'a'", None),
            ("END TRANSACTION READ ONLY", None),
            ("", None),
            ("SELECT 1", None),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }
}
