//! The words of a utility statement that follow its first, kept until it is over, and what they say. Bounded: what does not
//! fit counts as not told. Knows no expressions.

use super::VALUE_MAX;
use super::value;
use super::verb::{Begin, Discard, Isolation, Name, Setting, Value, Verb};
use super::words::First;
use std::ops::Range;

/// Pieces that are kept of one statement.
const PIECES_MAX: usize = 512;

/// A piece of a statement, as far as its meaning depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Word(&'a [u8]),
    Quoted(&'a [u8]),
    Text(&'a [u8]),
    Number(&'a [u8]),
    Sign(&'a [u8]),
    Symbol(u8),
    /// A string that the text does not tell, a parameter, or whatever else.
    Opaque,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Quoted,
    Text,
    Number,
    Sign,
    Symbol,
    Opaque,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    kind: Kind,
    from: usize,
    to: usize,
    at: usize,
}

/// What is kept of the statement under way. Allocates with the first piece.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
    kept: Vec<Kept>,
    // Where the string under way begins in `bytes`.
    text: usize,
    overfull: bool,
}

impl Head {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.kept.clear();
        (self.text, self.overfull) = (0, false);
    }

    pub(super) fn word(&mut self, name: &[u8], quoted: bool, at: usize) {
        self.put(if quoted { Kind::Quoted } else { Kind::Word }, name, at);
    }

    pub(super) fn number(&mut self, number: &[u8], at: usize) {
        self.put(Kind::Number, number, at);
    }

    pub(super) fn sign(&mut self, sign: &[u8], at: usize) {
        match sign {
            // PostgreSQL ends an operator in front of the sign of a number.
            [b'=', number @ (b'-' | b'+')] => {
                self.put(Kind::Sign, b"=", at);
                self.put(Kind::Sign, &[*number], at + 1);
            }
            _ => self.put(Kind::Sign, sign, at),
        }
    }

    pub(super) fn symbol(&mut self, symbol: u8, at: usize) {
        self.put(Kind::Symbol, &[symbol], at);
    }

    pub(super) fn opaque(&mut self, at: usize) {
        self.put(Kind::Opaque, b"", at);
    }

    pub(super) fn text(&mut self, part: &[u8]) {
        if self.overfull || self.bytes.len() - self.text + part.len() > VALUE_MAX || self.bytes.len() > 2 * VALUE_MAX {
            self.overfull = true;
        } else {
            self.bytes.extend_from_slice(part);
        }
    }

    pub(super) fn text_end(&mut self, exact: bool, at: usize) {
        let kind = if exact && !self.overfull { Kind::Text } else { Kind::Opaque };
        let kept = Kept { kind, from: self.text, to: self.bytes.len(), at };
        self.keep(kept);
    }

    fn put(&mut self, kind: Kind, bytes: &[u8], at: usize) {
        if self.bytes.len() > 2 * VALUE_MAX {
            self.overfull = true;
            return;
        }
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.keep(Kept { kind, from, to: self.bytes.len(), at });
    }

    fn keep(&mut self, kept: Kept) {
        if self.kept.len() < PIECES_MAX {
            self.kept.push(kept);
        } else {
            self.overfull = true;
        }
        self.text = self.bytes.len();
    }

    /// Whether it may name a custom setting.
    pub(super) fn may_name_custom(&self) -> bool {
        let dotted = |kept: &Kept| {
            let bytes = self.bytes.get(kept.from..kept.to).unwrap_or_default();
            kept.kind == Kind::Opaque || matches!(kept.kind, Kind::Quoted | Kind::Text) && bytes.contains(&b'.')
        };
        let is_dot = |kept: &Kept| kept.kind == Kind::Symbol && self.bytes.get(kept.from) == Some(&b'.');
        let named = |pair: &[Kept]| is_dot(&pair[0]) && matches!(pair[1].kind, Kind::Word | Kind::Quoted);
        self.overfull || self.kept.iter().any(dotted) || self.kept.windows(2).any(named)
    }

    fn pieces(&self) -> Vec<Piece<'_>> {
        let piece = |kept: &Kept| {
            let bytes = self.bytes.get(kept.from..kept.to).unwrap_or_default();
            match kept.kind {
                Kind::Word => Piece::Word(bytes),
                Kind::Quoted => Piece::Quoted(bytes),
                Kind::Text => Piece::Text(bytes),
                Kind::Number => Piece::Number(bytes),
                Kind::Sign => Piece::Sign(bytes),
                Kind::Symbol => Piece::Symbol(bytes.first().copied().unwrap_or_default()),
                Kind::Opaque => Piece::Opaque,
            }
        };
        let last = self.overfull.then_some(Piece::Opaque);
        self.kept.iter().map(piece).chain(last).collect()
    }

    /// What a statement that begins so is, ending at `end`. `None`: nothing that PostgreSQL takes.
    pub(super) fn verb(&self, first: First, end: usize) -> Option<Verb> {
        // The plain forms need no list of pieces.
        if self.kept.is_empty() {
            match first {
                First::Begin => return Some(Verb::Begin(Begin { options: end..end, ..Begin::default() })),
                First::Commit => return Some(Verb::Commit { chain: false }),
                First::Rollback => return Some(Verb::Rollback { chain: false }),
                _ => (),
            }
        }
        let pieces = self.pieces();
        let all = pieces.as_slice();
        match first {
            First::Begin | First::Start => Some(Verb::Begin(self.begin(all, end))),
            First::Commit => commit(all),
            First::Rollback => rollback(all),
            First::Savepoint => Some(Verb::Savepoint(name(all)?)),
            First::Release => Some(Verb::Release(name(behind(all, b"savepoint"))?)),
            First::Set => set(all),
            First::Reset => Some(match all {
                [Piece::Word(b"all")] => Verb::ResetAll,
                _ => Verb::Reset(setting_name(all)?.0),
            }),
            First::Show => Some(Verb::Show(match all {
                [Piece::Word(b"all")] => b"all".as_slice().into(),
                _ => setting_name(all)?.0,
            })),
            First::Execute => Some(Verb::Execute { name: name(all.get(..1)?)?, within: false }),
            First::Deallocate => Some(match behind(all, b"prepare") {
                [Piece::Word(b"all")] => Verb::DeallocateAll,
                rest => Verb::Deallocate(name(rest)?),
            }),
            First::Discard => Some(Verb::Discard(match all {
                [Piece::Word(b"all")] => Discard::All,
                [Piece::Word(b"plans")] => Discard::Plans,
                [Piece::Word(b"sequences")] => Discard::Sequences,
                [Piece::Word(b"temp" | b"temporary")] => Discard::Temp,
                _ => return None,
            })),
            First::Listen => Some(Verb::Listen(name(all)?)),
            First::Unlisten => Some(match all {
                [Piece::Sign(b"*")] => Verb::UnlistenAll,
                _ => Verb::Unlisten(name(all)?),
            }),
            First::Notify => Some(Verb::Notify(name(all.get(..1)?)?)),
            First::Declare => Some(Verb::Declare { name: name(all.get(..1)?)?, hold: holds(all) }),
            First::Close => Some(match all {
                [Piece::Word(b"all")] => Verb::CloseAll,
                _ => Verb::CloseCursor(name(all)?),
            }),
            _ => None,
        }
    }

    /// The name and types of `PREPARE`; its body begins where `body` says.
    pub(super) fn prepared(&self) -> Option<(Name, Range<usize>)> {
        let pieces = self.pieces();
        let types = match (self.kept.get(1), self.kept.last()) {
            (Some(open), Some(close)) if open.kind == Kind::Symbol && close.kind == Kind::Symbol => {
                open.at + 1..close.at
            }
            _ => 0..0,
        };
        Some((name(pieces.get(..1)?)?, types))
    }

    /// `PREPARE TRANSACTION '…'`.
    pub(super) fn is_prepare_transaction(&self) -> bool {
        matches!(self.kept.as_slice(), [word, text] if word.kind == Kind::Word && matches!(text.kind, Kind::Text | Kind::Opaque)
            && self.bytes.get(word.from..word.to) == Some(b"transaction"))
    }

    #[cfg(test)]
    pub(super) fn is_lean(&self) -> bool {
        self.bytes.capacity() == 0 && self.kept.capacity() == 0
    }

    fn begin(&self, all: &[Piece<'_>], end: usize) -> Begin {
        let modes = match all {
            [Piece::Word(b"work" | b"transaction"), rest @ ..] => rest,
            _ => all,
        };
        let from = self.kept.get(all.len() - modes.len()).map_or(end, |kept| kept.at);
        let mut begin = Begin { options: from..end, ..Begin::default() };
        transaction_modes(modes, &mut begin);
        begin
    }
}

/// Without the word, where something else follows it.
fn behind<'p, 'a>(all: &'p [Piece<'a>], word: &[u8]) -> &'p [Piece<'a>] {
    match all {
        [Piece::Word(first), rest @ ..] if *first == word && !rest.is_empty() => rest,
        _ => all,
    }
}

fn name(pieces: &[Piece<'_>]) -> Option<Name> {
    match pieces {
        [Piece::Word(name) | Piece::Quoted(name)] => Some((*name).into()),
        _ => None,
    }
}

fn holds(all: &[Piece<'_>]) -> bool {
    all.windows(2).any(|pair| pair == [Piece::Word(b"with"), Piece::Word(b"hold")])
}

fn commit(all: &[Piece<'_>]) -> Option<Verb> {
    match without_work(all) {
        [] => Some(Verb::Commit { chain: false }),
        [Piece::Word(b"prepared"), _] => Some(Verb::FinishPrepared),
        rest => Some(Verb::Commit { chain: chain(rest)? }),
    }
}

fn rollback(all: &[Piece<'_>]) -> Option<Verb> {
    match without_work(all) {
        [] => Some(Verb::Rollback { chain: false }),
        [Piece::Word(b"prepared"), _] => Some(Verb::FinishPrepared),
        [Piece::Word(b"to"), rest @ ..] => Some(Verb::RollbackTo(name(behind(rest, b"savepoint"))?)),
        rest => Some(Verb::Rollback { chain: chain(rest)? }),
    }
}

fn without_work<'p, 'a>(all: &'p [Piece<'a>]) -> &'p [Piece<'a>] {
    match all {
        [Piece::Word(b"work" | b"transaction"), rest @ ..] => rest,
        _ => all,
    }
}

fn chain(rest: &[Piece<'_>]) -> Option<bool> {
    match rest {
        [Piece::Word(b"and"), Piece::Word(b"chain")] => Some(true),
        [Piece::Word(b"and"), Piece::Word(b"no"), Piece::Word(b"chain")] => Some(false),
        _ => None,
    }
}

/// Source: PostgreSQL `src/backend/parser/gram.y`, `transaction_mode_list`. The last of two that differ counts.
fn transaction_modes(mut rest: &[Piece<'_>], begin: &mut Begin) {
    use Piece::Word;
    loop {
        rest = match rest {
            [
                Word(b"isolation"),
                Word(b"level"),
                Word(first),
                Word(second @ (b"uncommitted" | b"committed" | b"read")),
                behind @ ..,
            ] if matches!((*first, *second), (b"read", b"uncommitted" | b"committed") | (b"repeatable", b"read")) => {
                begin.isolation = Some(match (*first, *second) {
                    (b"repeatable", _) => Isolation::RepeatableRead,
                    (_, b"committed") => Isolation::ReadCommitted,
                    _ => Isolation::ReadUncommitted,
                });
                behind
            }
            [Word(b"isolation"), Word(b"level"), Word(b"serializable"), behind @ ..] => {
                begin.isolation = Some(Isolation::Serializable);
                behind
            }
            [Word(b"read"), Word(how @ (b"only" | b"write")), behind @ ..] => {
                begin.read_only = Some(*how == b"only");
                behind
            }
            [Word(b"not"), Word(b"deferrable"), behind @ ..] => {
                begin.deferrable = Some(false);
                behind
            }
            [Word(b"deferrable"), behind @ ..] => {
                begin.deferrable = Some(true);
                behind
            }
            [Piece::Symbol(b','), behind @ ..] => behind,
            _ => return,
        }
    }
}

/// The name of a setting in front of `rest`, with PostgreSQL's spellings of several words.
/// Source: PostgreSQL `src/backend/parser/gram.y`, `generic_reset` and `VariableShowStmt`.
fn setting_name<'p, 'a>(all: &'p [Piece<'a>]) -> Option<(Name, &'p [Piece<'a>])> {
    use Piece::Word;
    let spelled = |name: &[u8]| name.into();
    match all {
        [Word(b"time"), Word(b"zone"), rest @ ..] => Some((spelled(b"timezone"), rest)),
        [Word(b"transaction"), Word(b"isolation"), Word(b"level"), rest @ ..] => {
            Some((spelled(b"transaction_isolation"), rest))
        }
        [Word(b"session"), Word(b"authorization"), rest @ ..] => Some((spelled(b"session_authorization"), rest)),
        _ => dotted(all),
    }
}

fn dotted<'p, 'a>(all: &'p [Piece<'a>]) -> Option<(Name, &'p [Piece<'a>])> {
    let [Piece::Word(first) | Piece::Quoted(first), rest @ ..] = all else { return None };
    let mut rest = rest;
    let mut name = first.to_vec();
    while let [Piece::Symbol(b'.'), Piece::Word(part) | Piece::Quoted(part), behind @ ..] = rest {
        name.push(b'.');
        name.extend_from_slice(part);
        rest = behind;
    }
    Some((value::setting_name(&name), rest))
}

/// Source: PostgreSQL `src/backend/parser/gram.y`, `VariableSetStmt`, `set_rest` and `set_rest_more`.
fn set(all: &[Piece<'_>]) -> Option<Verb> {
    use Piece::{Sign, Symbol, Word};
    let (local, all) = match all {
        [Word(b"session" | b"local"), Sign(b"=") | Word(b"to") | Symbol(b'.'), ..] => (false, all),
        [Word(scope @ (b"session" | b"local")), rest @ ..]
            if !matches!((*scope, rest), (b"session", [Word(b"authorization" | b"characteristics"), ..])) =>
        {
            (*scope == b"local", rest)
        }
        _ => (false, all),
    };
    let one = |name: &[u8], value: Value| {
        let local = local || value::ends_with_transaction(name);
        Some(Verb::Set(vec![Setting { name: name.into(), value, local }]))
    };
    match all {
        [_, Sign(b"=") | Word(b"to"), ..] | [_, Symbol(b'.'), ..] => (),
        [Word(b"constraints"), ..] => return Some(Verb::SetTransaction(Begin::default())),
        [Word(b"transaction"), Word(b"snapshot"), ..] => {
            let isolation = Some(Isolation::RepeatableRead);
            return Some(Verb::SetTransaction(Begin { isolation, ..Begin::default() }));
        }
        [Word(b"transaction"), modes @ ..] => {
            let mut begin = Begin::default();
            transaction_modes(modes, &mut begin);
            return Some(Verb::SetTransaction(begin));
        }
        [Word(b"session"), Word(b"characteristics"), Word(b"as"), Word(b"transaction"), modes @ ..] => {
            let mut begin = Begin::default();
            transaction_modes(modes, &mut begin);
            return Some(Verb::Set(value::characteristics(&begin)));
        }
        [Word(b"session"), Word(b"authorization"), rest @ ..] => {
            return one(b"session_authorization", value::word_or_text(rest, false));
        }
        [Word(b"role"), rest @ ..] => return one(b"role", value::word_or_text(rest, true)),
        [Word(b"time"), Word(b"zone"), rest @ ..] => return one(b"timezone", value::time_zone(rest)),
        [Word(b"names")] => return one(b"client_encoding", Value::Default),
        [Word(b"names"), rest @ ..] => return one(b"client_encoding", value::word_or_text(rest, false)),
        [Word(b"schema"), rest @ ..] => return one(b"search_path", value::list(b"search_path", rest)),
        [Word(b"xml"), Word(b"option"), Word(option @ (b"document" | b"content"))] => {
            return one(b"xmloption", Value::Literal(option.to_ascii_uppercase().into()));
        }
        _ => (),
    }
    let (name, rest) = dotted(all)?;
    match rest {
        [Word(b"from"), Word(b"current")] => one(&name, Value::Computed),
        [Sign(b"=") | Word(b"to"), rest @ ..] => one(&name, value::list(&name, rest)),
        _ => None,
    }
}
