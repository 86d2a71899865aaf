//! What a text does to what its session listens to: LISTEN and UNLISTEN, and the statements that decide whether they come
//! to be. Pure.
//!
//! A server that many share must not listen itself. So LISTEN goes to it as UNLISTEN with a [`MARK`], which needs the same
//! and fails where LISTEN would, and has no effect on a server that listens to nothing; only the tag of its answer differs.
//! UNLISTEN goes as it is.

use super::notices::{Notice, notices};
use crate::cluster::Channel;
use crate::sql::{self, Discard, NAME_MAX, Reading, Readings, Scanner, Token, Touches, Unknown, Unsure, Verb, Ways};
use std::cell::Cell;
use std::ops::Range;

/// Behind UNLISTEN: the client said LISTEN.
const MARK: &[u8] = b"/*LISTEN*/";
const LISTEN: &[u8] = b"LISTEN";
const UNLISTEN: &[u8] = b"UNLISTEN";
/// The function that tells what is listened to.
const ASK: &[u8] = b"pg_listening_channels";

/// One statement that matters. PostgreSQL answers each of them with one tag of those in [`Deed::is_tag`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// LISTEN, or what has become of it.
    Listen(Channel),
    /// UNLISTEN of one channel.
    Unlisten(Channel),
    /// `UNLISTEN *` and `DISCARD ALL`.
    UnlistenAll,
    /// SAVEPOINT.
    Savepoint(Channel),
    /// RELEASE.
    Release(Channel),
    /// `ROLLBACK TO`.
    RollBackTo(Channel),
    /// COMMIT.
    Commit,
    /// ROLLBACK.
    RollBack,
    /// PREPARE TRANSACTION, which PostgreSQL refuses behind LISTEN and UNLISTEN.
    Prepare,
}

impl Deed {
    /// Of a statement that goes to a server as it is. A LISTEN does not.
    pub fn of(verb: &Verb) -> Option<Self> {
        Some(match verb {
            Verb::Unlisten(name) => Self::Unlisten(name.clone()),
            Verb::UnlistenAll | Verb::Discard(Discard::All) => Self::UnlistenAll,
            Verb::Savepoint(name) => Self::Savepoint(name.clone()),
            Verb::Release(name) => Self::Release(name.clone()),
            Verb::RollbackTo(name) => Self::RollBackTo(name.clone()),
            Verb::Commit { .. } => Self::Commit,
            Verb::Rollback { .. } => Self::RollBack,
            Verb::PrepareTransaction => Self::Prepare,
            _ => return None,
        })
    }

    /// Whether it is a LISTEN.
    pub fn is_listen(&self) -> bool {
        matches!(self, Self::Listen(_))
    }

    /// Whether a CommandComplete with this tag may answer it.
    pub fn fits(&self, tag: &[u8]) -> bool {
        match self {
            Self::Listen(_) | Self::Unlisten(_) => tag == b"UNLISTEN",
            Self::UnlistenAll => tag == b"UNLISTEN" || tag == b"DISCARD ALL",
            Self::Savepoint(_) => tag == b"SAVEPOINT",
            Self::Release(_) => tag == b"RELEASE",
            Self::RollBackTo(_) | Self::RollBack => tag == b"ROLLBACK",
            // Of a transaction that has failed.
            Self::Commit => tag == b"COMMIT" || tag == b"ROLLBACK",
            Self::Prepare => tag == b"PREPARE TRANSACTION" || tag == b"ROLLBACK",
        }
    }
}

/// What was found in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// In order.
    pub deeds: Vec<Deed>,
    /// It may notify: NOTIFY or `pg_notify`.
    pub notifies: bool,
    /// Of what, as far as the text says it.
    pub notices: Vec<Notice>,
    /// There may be a LISTEN in it, or not: the text cannot be told.
    pub uncertain: bool,
    /// Where the COMMIT stands with which a text ends that begins with a BEGIN, listens, and has no other end of a transaction.
    pub commit: Option<usize>,
    // There is more than one statement in it.
    several: bool,
    places: Places,
}

/// Where in a text something stands that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    // LISTEN, where a channel follows.
    listens: Vec<usize>,
    // For each UNLISTEN of a channel, whether it has the mark.
    marks: Vec<bool>,
    // `pg_listening_channels()`.
    asks: Vec<Range<usize>>,
}

impl Deeds {
    /// Reads a text, by these rules.
    pub fn read(text: &[u8], readings: Readings) -> Self {
        let (mut one, mut other) = match readings.ways(text) {
            Ways::One(reading) => return Self::by(text, reading),
            Ways::Either([one, other]) => (Self::by(text, one), Self::by(text, other)),
            Ways::Any => (Self::by(text, Reading::default()), Self::default()),
        };
        // Only what is certain is cleared in a Parse, and nothing is uncertain for it.
        let several = one.several && other.several;
        (one.several, other.several) = (several, several);
        if one.commit != other.commit {
            (one.commit, other.commit) = (None, None);
        }
        if one == other {
            return one;
        }
        let uncertain = [one, other].iter().any(|deeds| deeds.uncertain || !deeds.places.listens.is_empty());
        Self { uncertain, ..Self::default() }
    }

    pub(super) fn by(text: &[u8], reading: Reading) -> Self {
        let facts = sql::read(text, reading, &Unknown);
        if facts.is_refused() {
            return Self::default();
        }
        let verbs = || facts.statements.iter().map(|statement| &statement.verb);
        let listens = verbs().filter(|verb| matches!(verb, Verb::Listen(_))).count();
        let unlistens = verbs().filter(|verb| matches!(verb, Verb::Unlisten(_))).count();
        let touches = facts.touches.any(Touches::LISTENS);
        let (places, last) = if touches { Places::find(text, reading) } else { Default::default() };
        // PostgreSQL cuts a long name where a character ends: at 63 bytes only where each is one.
        let cut = facts.unsure == Some(Unsure::Overlong) && text.is_ascii() && !text.contains(&b'$');
        let known = (places.listens.len(), places.marks.len()) == (listens, unlistens);
        if !known || facts.unsure.is_some() && !cut {
            let uncertain = listens > 0 || !places.listens.is_empty() || places.marks.contains(&true);
            return Self { uncertain, ..Self::default() };
        }
        let mut marks = places.marks.iter();
        let deeds = verbs().filter_map(|verb| match verb {
            Verb::Listen(name) => Some(Deed::Listen(name.clone())),
            Verb::Unlisten(name) if marks.next() == Some(&true) => Some(Deed::Listen(name.clone())),
            other => Deed::of(other),
        });
        let deeds: Vec<Deed> = deeds.collect();
        let is_end =
            |verb: &&Verb| matches!(verb, Verb::Commit { .. } | Verb::Rollback { .. } | Verb::PrepareTransaction);
        let commits = matches!(verbs().next(), Some(Verb::Begin(_)))
            && matches!(verbs().last(), Some(Verb::Commit { chain: false }))
            && verbs().filter(is_end).count() == 1;
        let commit = (commits && deeds.iter().any(Deed::is_listen)).then_some(last);
        let notifies = facts.touches.any(Touches::NOTIFIES);
        let notices = if notifies { notices(text, reading) } else { Vec::new() };
        let several = verbs().nth(1).is_some();
        Self { deeds, notifies, notices, uncertain: false, commit, several, places }
    }

    /// The same in a Parse, where PostgreSQL refuses several statements (42601): they do nothing.
    pub fn in_parse(mut self) -> Self {
        if self.several {
            self.deeds.clear();
            self.notices.clear();
        }
        self
    }

    /// Whether it must not go to a server as it is.
    pub fn must_change(&self) -> bool {
        !self.places.listens.is_empty() || !self.places.asks.is_empty()
    }

    /// What is listened to is asked as it is.
    pub fn leave_asks(&mut self) {
        self.places.asks.clear();
    }

    /// What goes to the server in place of the text, for a client that listens to `channels`: the constants that name them.
    pub fn changed(&self, text: &[u8], channels: &[Vec<u8>]) -> Vec<u8> {
        let Places { listens, asks, .. } = &self.places;
        let mut changes: Vec<(usize, usize, Vec<u8>)> =
            listens.iter().map(|at| (*at, at + LISTEN.len(), [UNLISTEN, MARK].concat())).collect();
        for ask in asks {
            let alias = takes_alias(text.get(ask.end..).unwrap_or_default());
            changes.push((ask.start, ask.end, answer(channels, alias)));
        }
        changes.sort_unstable();
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut done = 0;
        for (begin, end, new) in changes {
            out.extend_from_slice(text.get(done..begin).unwrap_or_default());
            out.extend_from_slice(&new);
            done = end;
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default());
        out
    }
}

/// What has been read of a statement, and of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// Nothing.
    Start,
    /// LISTEN or UNLISTEN, and nothing in front of it.
    Verb,
    /// The name of the function.
    Name(usize),
    /// And the bracket behind it.
    Bracket(usize),
    Other,
}

impl Places {
    /// And where the last statement begins.
    fn find(text: &[u8], reading: Reading) -> (Self, usize) {
        let (mut found, mut last) = (Self::default(), 0);
        let (mut behind, mut verb, mut depth) = (Behind::Start, 0, 0u32);
        let begun = Cell::new(0);
        let mut scanner = Scanner::new(reading);
        let mut note = |token: Token<'_>| {
            let at = begun.get();
            if behind == Behind::Start && token != Token::Symbol(b';') {
                last = at;
            }
            behind = match (behind, token) {
                (Behind::Start, Token::Word { name: b"listen" | b"unlisten", quoted: false }) => {
                    verb = at;
                    Behind::Verb
                }
                (Behind::Verb, Token::Word { .. }) => {
                    found.note(text, verb);
                    Behind::Other
                }
                (_, Token::Word { name, quoted: false }) if name == ASK => Behind::Name(at),
                (Behind::Name(from), Token::Symbol(b'(')) => Behind::Bracket(from),
                (Behind::Bracket(from), Token::Symbol(b')')) => {
                    found.asks.push(from..at + 1);
                    Behind::Other
                }
                (Behind::Start, Token::Symbol(b';')) => Behind::Start,
                (_, Token::Symbol(b';')) if depth == 0 => Behind::Start,
                _ => Behind::Other,
            };
            match token {
                Token::Symbol(b'(') => depth += 1,
                Token::Symbol(b')') => depth = depth.saturating_sub(1),
                _ => (),
            }
        };
        scanner.feed_telling(text, &begun, &mut note);
        // Whether that is certain, the facts of the text say.
        let _ = scanner.finish(&mut note);
        (found, last)
    }

    /// A channel follows the verb at `at`.
    fn note(&mut self, text: &[u8], at: usize) {
        let rest = text.get(at..).unwrap_or_default();
        if rest.get(..LISTEN.len()).is_some_and(|word| word.eq_ignore_ascii_case(LISTEN)) {
            self.listens.push(at);
        } else {
            self.marks.push(rest.get(UNLISTEN.len()..).is_some_and(|rest| rest.starts_with(MARK)));
        }
    }
}

/// Whether PostgreSQL, which may have it in another encoding, has this name in full.
pub fn is_whole(channel: &[u8], encoding: &[u8]) -> bool {
    // No character of any encoding has more than 4 bytes.
    channel.is_ascii() || channel.len() <= NAME_MAX / 4 || encoding == b"UTF8"
}

/// A name as a constant, in the encoding of the text around it.
pub fn constant(channel: &[u8]) -> Vec<u8> {
    // A backslash is itself in one and doubled in the other, whatever standard_conforming_strings is.
    let mut out = if channel.contains(&b'\\') { b" E'".to_vec() } else { b"'".to_vec() };
    for &byte in channel {
        if matches!(byte, b'\'' | b'\\') {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'\'');
    out
}

/// The rows of `pg_listening_channels()`, with its name where an alias may stand.
fn answer(channels: &[Vec<u8>], alias: bool) -> Vec<u8> {
    let mut out = [b"pg_catalog.unnest(array[", &*channels.join(&b','), b"]::pg_catalog.text[])"].concat();
    if alias {
        out.extend_from_slice(b" AS pg_listening_channels");
    }
    out
}

/// Whether what follows a call is not an alias already, nor more of an expression.
fn takes_alias(rest: &[u8]) -> bool {
    let rest = rest.trim_ascii_start();
    let word = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    let (word, behind) = rest.split_at(word);
    let clause: [&[u8]; 9] = [b"from", b"where", b"order", b"group", b"limit", b"union", b"offset", b"join", b"cross"];
    match word {
        b"" => matches!(behind.first(), None | Some(b',' | b';' | b')')),
        word => clause.iter().any(|clause| word.eq_ignore_ascii_case(clause)),
    }
}

#[cfg(test)]
mod tests;
