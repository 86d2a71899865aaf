//! What the body of a function in SQL or PL/pgSQL does by itself, and which others it uses. What `EXECUTE` runs is read as well,
//! where its text is a constant, or one for `format` with nothing but names and constants to be filled in.

use super::graph::{Graph, Kind};
use crate::sql::{self, Bounds, Effects, Facts, Functions, Name, Reading, Scanner, Token, Touches};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// What one function does.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Does {
    /// By itself.
    pub effects: Effects,
    /// The settings that it touches; true: until the transaction ends only.
    pub settings: Vec<(Name, bool)>,
    /// What it uses, by its place in the graph.
    pub uses: Vec<usize>,
}

/// What stands for a name that a text is filled with: nothing has it.
const FILLED: &[u8] = b"\"\x01\"";

impl Does {
    /// Nobody knows.
    pub fn hidden() -> Self {
        Self { effects: Touches::HIDDEN.into(), ..Self::default() }
    }

    fn take(&mut self, facts: &Facts) {
        self.effects.bounds |= facts.bounds();
        self.effects.touches |= match facts.unsure {
            Some(_) => Touches::HIDDEN | Touches::DYNAMIC,
            // A statement that PostgreSQL would refuse, so it is no statement.
            None if facts.touches == Touches::ALL => Touches::HIDDEN | Touches::DYNAMIC,
            None => facts.touches.without(Touches::CONTROLS),
        };
        let named: Vec<&[u8]> = facts.names().collect();
        let local = facts.custom_names().filter(|name| !named.contains(name)).map(|name| (name, true));
        for (name, local) in named.iter().map(|name| (*name, false)).chain(local) {
            if name.contains(&b'\x01') {
                self.effects.touches |= Touches::HIDDEN | Touches::DYNAMIC;
            } else {
                self.settings.push((name.into(), local));
            }
        }
    }
}

/// Reads one, knowing the names of all others. It may run under either rule for backslashes.
pub fn read(graph: &Graph, body: &[u8], plpgsql: bool) -> Does {
    let standard = Reading::default();
    let mut does = read_by(graph, body, plpgsql, standard);
    if body.contains(&b'\\') {
        let mut other = read_by(graph, body, plpgsql, Reading { standard_strings: false, ..standard });
        let moment = (does.effects.bounds | other.effects.bounds).only(Bounds::TRANSACTION);
        does.effects.bounds |= moment;
        other.effects.bounds |= moment;
        if does != other {
            does.effects.touches |= Touches::HIDDEN | Touches::DYNAMIC;
        }
    }
    does
}

fn read_by(graph: &Graph, body: &[u8], plpgsql: bool, reading: Reading) -> Does {
    let names = Recorder {
        graph,
        reads: RefCell::default(),
        writes: RefCell::default(),
        filled: Cell::new(false),
        settings: Cell::new(false),
    };
    let mut does = Does::default();
    let mut writes = false;
    let mut take = |facts: Facts, text: &[u8]| {
        writes |= facts.touches.any(Touches::SEQUENCE_WRITE) || deletes(text);
        does.take(&facts);
        if sql::says_now(text, reading) || names_any(text, &[b"cursor", b"open"]) {
            does.effects.bounds |= Bounds::TRANSACTION;
        }
    };
    if plpgsql {
        // One of the database's own may make any text of its arguments.
        let formats = graph.find_routine(b"format").is_none();
        let (body, texts) = executed(body, reading, formats);
        take(sql::read_body(&body, reading, &names), &body);
        texts.iter().for_each(|text| take(sql::read(text, reading, &names), text));
    } else {
        take(sql::read(body, reading, &names), body);
    }
    if writes && names.settings.get() {
        does.effects.touches |= Touches::HIDDEN;
    }
    if names.filled.get() {
        does.effects.touches |= Touches::HIDDEN | Touches::DYNAMIC;
    }
    does.effects.beyond = names.reads.borrow().iter().any(|&place| graph.is_relation(place));
    let written = if writes { names.writes.take() } else { BTreeSet::default() };
    does.uses = names.reads.take().into_iter().chain(written).collect();
    does
}

/// Whether a text may write without the facts saying so.
fn deletes(text: &[u8]) -> bool {
    names_any(text, &[b"delete", b"truncate", b"refresh"])
}

/// Whether one of these words is in a text, or a part of one.
fn names_any(text: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|word| text.windows(word.len()).any(|at| at.eq_ignore_ascii_case(word)))
}

/// Keeps which names of the graph a text uses.
struct Recorder<'a> {
    graph: &'a Graph,
    reads: RefCell<BTreeSet<usize>>,
    writes: RefCell<BTreeSet<usize>>,
    // A name that is filled in is called.
    filled: Cell<bool>,
    // Writing to it sets what it shows.
    settings: Cell<bool>,
}

impl Functions for Recorder<'_> {
    fn function(&self, name: &[u8]) -> Option<Effects> {
        if name == b"\x01" {
            self.filled.set(true);
        }
        let place = self.graph.find_routine(name)?;
        self.reads.borrow_mut().insert(place);
        Some(Effects::NOTHING)
    }

    fn relation(&self, name: &[u8]) -> Effects {
        if name == b"\x01" {
            self.reads.borrow_mut().extend(self.graph.all(Kind::Read));
            self.writes.borrow_mut().extend(self.graph.all(Kind::Written));
        }
        if name == b"pg_settings" {
            self.settings.set(true);
        }
        let read = self.graph.find(Kind::Read, name);
        self.reads.borrow_mut().extend(read);
        self.writes.borrow_mut().extend(self.graph.find(Kind::Written, name));
        // One that is not known could be a view that writes.
        Effects { relation: read.is_some_and(|place| self.graph.is_relation(place)), ..Effects::NOTHING }
    }
}

/// A body in which each `EXECUTE` whose text is known has become a word that does nothing, and those texts. `formats`: what is made by `format`
/// is known as well.
fn executed(body: &[u8], reading: Reading, formats: bool) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut body, mut texts) = (body.to_vec(), Vec::new());
    let mut found = Vec::new();
    let mut search = Search::default();
    let begun = Cell::new(0);
    let mut scanner = Scanner::new(reading);
    scanner.feed_telling(&body, &begun, &mut |token| {
        if let Some((at, text, formatted)) = search.token(token, begun.get()) {
            found.push((at, text, formatted));
        }
    });
    for (at, text, formatted) in found {
        let text = if formatted { filled(&text).filter(|_| formats) } else { Some(text) };
        if let (Some(text), Some(word)) = (text, body.get_mut(at..at + EXECUTE.len())) {
            // Of the same length.
            word.copy_from_slice(b"perform");
            texts.push(text);
        }
    }
    (body, texts)
}

const EXECUTE: &[u8] = b"execute";

/// A text for `format` with something in each place. `None`: a place that takes anything.
fn filled(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        if let Some(behind) = rest.strip_prefix(b"%") {
            out.push(b'%');
            rest = behind;
            continue;
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let behind = rest.get(digits..)?;
        let behind = if digits > 0 { behind.strip_prefix(b"$")? } else { behind };
        let (&kind, behind) = behind.split_first()?;
        out.extend_from_slice(match kind {
            b'I' => FILLED,
            b'L' => b"''",
            _ => return None,
        });
        rest = behind;
    }
    Some(out)
}

/// Where the search for `EXECUTE` and its text stands.
#[derive(Default)]
enum Search {
    #[default]
    Elsewhere,
    /// Behind the word, which stands there.
    Word(usize),
    /// Behind `format`, and its bracket if true.
    Format(usize, bool),
    /// In its text.
    Text(usize, Vec<u8>, bool),
    /// Behind that of `format`.
    First(usize, Vec<u8>),
    /// In what it is filled with, in so many brackets.
    Arguments(usize, Vec<u8>, usize),
    /// Behind all of it, as far as is known.
    Behind(usize, Vec<u8>, bool),
}

impl Search {
    /// What an `EXECUTE` runs: where it stands, its text, and whether that is one for `format`.
    fn token(&mut self, token: Token<'_>, begun: usize) -> Option<(usize, Vec<u8>, bool)> {
        let mut found = None;
        *self = match (std::mem::take(self), token) {
            (Self::Word(at), Token::Word { name: b"format", quoted: false }) => Self::Format(at, false),
            (Self::Format(at, false), Token::Symbol(b'(')) => Self::Format(at, true),
            (Self::Word(at), Token::Text(part)) => Self::Text(at, part.to_vec(), false),
            (Self::Format(at, true), Token::Text(part)) => Self::Text(at, part.to_vec(), true),
            (Self::Text(at, text, formatted), Token::Text(part)) => Self::Text(at, [&text, part].concat(), formatted),
            (Self::Text(at, text, false), Token::TextEnd { exact: true }) => Self::Behind(at, text, false),
            (Self::Text(at, text, true), Token::TextEnd { exact: true }) => Self::First(at, text),
            (Self::First(at, text), Token::Symbol(b',')) => Self::Arguments(at, text, 1),
            (Self::First(at, text) | Self::Arguments(at, text, 1), Token::Symbol(b')')) => Self::Behind(at, text, true),
            (Self::Arguments(at, text, depth), Token::Symbol(b'(')) => Self::Arguments(at, text, depth + 1),
            (Self::Arguments(at, text, depth), Token::Symbol(b')')) => Self::Arguments(at, text, depth - 1),
            (Self::Arguments(..), Token::Symbol(b';') | Token::Word { name: EXECUTE, quoted: false }) => {
                Self::Elsewhere
            }
            (arguments @ Self::Arguments(..), _) => arguments,
            (Self::Behind(at, text, formatted), Token::Symbol(b';'))
            | (Self::Behind(at, text, formatted), Token::Word { name: b"into" | b"using" | b"loop", quoted: false }) => {
                found = Some((at, text, formatted));
                Self::Elsewhere
            }
            (_, Token::Word { name: EXECUTE, quoted: false }) => Self::Word(begun),
            _ => Self::Elsewhere,
        };
        found
    }
}
