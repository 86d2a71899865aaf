//! Finds what matters in a client's messages, and changes what a shared server must not see.

use super::super::block::{Said, said};
use super::super::connection::Client;
use super::Listening;
use super::deeds::{Deed, Deeds, constant, is_whole};
use super::notices::Notified;
use super::owed::{OWED_MAX, cost};
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, SqlState};
use crate::session::{Statement, key};
use crate::sql::{Facts, Readings, recoded};
use crate::wire::bind::Bind;
use crate::wire::frame::{self, take_cstr};
use crate::wire::frontend::{self, kind};
use bytes::BytesMut;
use memchr::memchr2_iter;
use std::rc::Rc;

/// What a request does that must wait for the hub, or be watched.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order in which they will be answered.
    pub deeds: Vec<Deed>,
    /// It may notify, and its client listens.
    pub notifies: bool,
    /// Of this, as far as its texts say it and it is not more than is remembered.
    pub notified: Vec<Notified>,
    // What that costs.
    bytes: usize,
    /// All of this is in the Query that ends it.
    pub by_query: bool,
    /// The COMMIT of a first LISTEN, that the Query had at its end: it goes when the hub has been asked for what was committed before.
    pub commit: Option<BytesMut>,
    /// It must not run.
    pub refusal: Option<Fault>,
}

impl Found {
    /// The request may go as any other.
    pub fn is_nothing(&self) -> bool {
        self.deeds.is_empty() && !self.notifies && self.refusal.is_none()
    }

    /// A statement notifies, with these parameters. What is collected is at most one notice more than may be remembered, however often
    /// a statement is bound.
    fn notify(&mut self, deeds: &Deeds, parameters: &[Option<&[u8]>]) {
        self.notifies |= deeds.notifies;
        for notice in &deeds.notices {
            if self.bytes > OWED_MAX {
                return;
            }
            if let Some(notified) = notice.notified(parameters) {
                self.bytes += cost(&notified);
                self.notified.push(notified);
            }
        }
    }
}

/// Words of which one is in every text that matters, while nothing is pending.
const WORDS: [(usize, &[u8]); 3] = [LISTEN, (3, b"notify"), (1, b"discard")];
const LISTEN: (usize, &[u8]) = (1, b"listen");

impl Client {
    /// Looks at a whole request, whose first text is read by these rules, and changes it if need be. Costs a look at the texts in it.
    pub(in super::super) fn examine(&mut self, chunk: &mut BytesMut, mode: PoolMode, readings: Readings) -> Found {
        if mode == PoolMode::Session || self.listening.is_none() && !mentions_listen(chunk) {
            return Found::default();
        }
        let (found, out) = (Found::default(), BytesMut::new());
        let (parsed, bound) = (Vec::new(), Vec::new());
        let splits = mode == PoolMode::Transaction;
        let mut walk = Walk { client: self, readings, splits, found, out, copied: 0, parsed, bound };
        let mut at = 0;
        while let Some((kind, body, total)) = frame::first(&chunk[at..]) {
            match kind {
                kind::QUERY => walk.query(chunk, at, body),
                kind::PARSE => walk.parse(chunk, at, body),
                kind::BIND => {
                    walk.bind(body);
                    // What is behind it may be read by others.
                    walk.readings = walk.readings.doubted();
                }
                kind::EXECUTE => walk.execute(body),
                kind::CLOSE => walk.close(body),
                _ => (),
            }
            at += total;
        }
        let Walk { found, mut out, copied, .. } = walk;
        if copied > 0 {
            out.extend_from_slice(&chunk[copied..]);
            *chunk = out;
            // It says something else now.
            self.forget_perused();
        }
        self.weigh(found)
    }

    /// The same for a text that was handed on in parts, and has gone as it is: what it listens to its server will tell.
    pub(in super::super) fn note_streamed(&mut self, facts: &Facts) {
        if let Some(listening) = &mut self.listening {
            listening.expected.extend(facts.statements.iter().filter_map(|statement| Deed::of(&statement.verb)));
        }
    }

    /// What of it matters for a client in this state.
    fn weigh(&self, mut found: Found) -> Found {
        let Some(listening) = &self.listening else {
            return Found { refusal: found.refusal, ..Found::default() };
        };
        let listens = found.deeds.iter().any(Deed::is_listen);
        let heard = !listening.channels.is_empty() || listens;
        let pending = listening.awaits_anything();
        let acts = found.deeds.iter().any(|deed| matches!(deed, Deed::Unlisten(_) | Deed::UnlistenAll));
        if !(listens || pending || acts && heard) {
            found.deeds.clear();
        }
        found.notifies &= heard;
        if !heard {
            found.notified.clear();
        }
        let prepares = found.deeds.contains(&Deed::Prepare);
        if prepares && (listens || acts || listening.channels.is_pending()) {
            let message = "cannot PREPARE a transaction that has executed LISTEN, UNLISTEN, or NOTIFY";
            found.refusal = Some(Fault::error(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        found
    }

    /// In which it speaks.
    pub(super) fn encoding(&self) -> &[u8] {
        self.settings.get(crate::session::ENCODING).unwrap_or_default()
    }

    /// The text of a statement that was prepared in an earlier request.
    fn prepared_text(&self, name: &[u8]) -> Option<(Vec<u8>, Readings)> {
        text_of(self.statements.as_ref()?.get(name)?)
    }

    /// The text of a portal that was bound in an earlier request, where it matters.
    fn bound_text(&self, portal: &[u8]) -> Option<(Vec<u8>, Readings)> {
        text_of(self.statements.as_ref()?.portal(portal)?.listens.as_deref()?)
    }

    /// Whether it must be known of a portal that it runs this.
    pub(in super::super) fn matters_to_listen(&self, statement: &Statement) -> bool {
        let Some(listening) = self.listening.as_deref() else { return false };
        let reads = |text| listening.awaits_anything() || is_worth_reading(text);
        text(statement).filter(|text| reads(text)).is_some_and(|text| {
            let deeds = Deeds::read(text, statement.readings());
            !deeds.deeds.is_empty()
        })
    }
}

struct Walk<'a> {
    client: &'a mut Client,
    // By which the next text is read.
    readings: Readings,
    // The last part of a Query may go apart.
    splits: bool,
    found: Found,
    // The request as it is to go, up to `copied` of the original.
    out: BytesMut,
    copied: usize,
    // Statements of this request by name.
    parsed: Vec<(Box<[u8]>, Rc<Deeds>)>,
    // And portals, also those that are closed in it, each with the one deed of its statement.
    bound: Vec<(Box<[u8]>, Option<Deed>)>,
}

impl Walk<'_> {
    fn query(&mut self, chunk: &BytesMut, at: usize, body: &[u8]) {
        let mut rest = body;
        let text = take_cstr(&mut rest).unwrap_or(body);
        self.found.by_query = self.found.deeds.is_empty() && self.found.refusal.is_none();
        let Some(mut deeds) = self.read(text, self.readings) else { return };
        let parts = self.split(&deeds, text).filter(|_| at == 0);
        if let Some((_, commit)) = parts {
            let mut query = BytesMut::new();
            frontend::message(&mut query, kind::QUERY, |out| frontend::put_cstr(out, commit));
            self.found.commit = Some(query);
            deeds.deeds.pop();
        }
        let text = parts.map_or(text, |(front, _)| front);
        if parts.is_some() || deeds.must_change() {
            let text = self.changed(&deeds, text);
            self.replace(chunk, at, kind::QUERY, |out| {
                frontend::put_cstr(out, &text);
                out.extend_from_slice(rest);
            });
        }
        self.found.notify(&deeds, &[]);
        self.found.deeds.extend(deeds.deeds);
    }

    /// A text that begins and commits a transaction in which its client listens for the first time, and that COMMIT; PostgreSQL takes no
    /// offence at that. One that has listened before hears what is committed in front of its COMMIT as well.
    fn split<'a>(&self, deeds: &Deeds, text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let hears = self.client.listening.as_ref().is_some_and(|listening| listening.channels.own().next().is_some());
        let (front, commit) = text.split_at_checked(deeds.commit.filter(|_| self.splits && !hears)?)?;
        let plain = said(std::str::from_utf8(commit).ok()?) == Some(Said::Commit);
        plain.then_some((front, commit))
    }

    fn parse(&mut self, chunk: &BytesMut, at: usize, body: &[u8]) {
        let mut rest = body;
        let (Some(name), Some(text)) = (take_cstr(&mut rest), take_cstr(&mut rest)) else { return };
        let deeds = self.read_parsed(text, self.readings);
        if deeds.must_change() {
            let text = self.changed(&deeds, text);
            self.replace(chunk, at, kind::PARSE, |out| {
                frontend::put_cstr(out, name);
                frontend::put_cstr(out, &text);
                out.extend_from_slice(rest);
            });
        }
        let listens = deeds.deeds.iter().any(Deed::is_listen);
        if listens && !name.is_empty() && self.client.rules.max_prepared_statements == 0 {
            // Nobody would know it again when it is executed.
            let message = "LISTEN by a statement with a name needs max_prepared_statements";
            self.found.refusal = Some(Fault::error(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        self.parsed.retain(|(known, _)| **known != *key(name));
        self.parsed.push((key(name).into(), Rc::new(deeds)));
    }

    fn bind(&mut self, body: &[u8]) {
        let Some(Bind { portal, statement: name, values, .. }) = Bind::read(body) else { return };
        let deeds = match self.parsed.iter().find(|(known, _)| **known == *key(name)) {
            Some((_, deeds)) => deeds.clone(),
            None => {
                let text = self.client.prepared_text(name);
                Rc::new(text.map(|(text, readings)| self.read_parsed(&text, readings)).unwrap_or_default())
            }
        };
        self.found.notify(&deeds, &values);
        if self.client.listening.is_some() {
            self.bound.push((key(portal).into(), deeds.deeds.first().cloned()));
        }
    }

    fn execute(&mut self, mut body: &[u8]) {
        let (Some(portal), true) = (take_cstr(&mut body), self.client.listening.is_some()) else { return };
        let deed = match self.bound.iter().rfind(|(known, _)| **known == *key(portal)) {
            Some((_, deed)) => deed.clone(),
            None => {
                let text = self.client.bound_text(portal);
                text.and_then(|(text, readings)| self.read_parsed(&text, readings).deeds.pop())
            }
        };
        self.found.deeds.extend(deed);
    }

    fn close(&mut self, body: &[u8]) {
        if let Some((b'P', mut name)) = body.split_first()
            && let Some(portal) = take_cstr(&mut name)
        {
            self.bound.push((key(portal).into(), None));
        }
    }

    /// What a text does that was in a Parse: nothing where that does not matter.
    fn read_parsed(&mut self, text: &[u8], readings: Readings) -> Deeds {
        self.read(text, readings).unwrap_or_default().in_parse()
    }

    /// What a text does, if it may matter.
    fn read(&mut self, text: &[u8], readings: Readings) -> Option<Deeds> {
        let all =
            !self.found.deeds.is_empty() || self.client.listening.as_deref().is_some_and(Listening::awaits_anything);
        if !all && !is_worth_reading(text) {
            return None;
        }
        let mut deeds = Deeds::read(text, readings);
        let encoding = self.client.encoding();
        let listened = deeds.deeds.iter().filter_map(|deed| match deed {
            Deed::Listen(channel) => Some(channel),
            _ => None,
        });
        if deeds.uncertain || listened.into_iter().any(|channel| !is_whole(channel, encoding)) {
            let fault =
                Fault::error(Blame::Pooler, SqlState::FEATURE_NOT_SUPPORTED, "cannot tell which channel to LISTEN to");
            let hint = "Send LISTEN by itself, with a plain name of up to 63 ASCII characters.";
            self.found.refusal = Some(fault.with_hint(hint));
        }
        let (id, listening) = (self.client.id, &mut self.client.listening);
        if deeds.deeds.iter().any(Deed::is_listen) {
            listening.get_or_insert_with(|| Box::new(Listening::new(id)));
        }
        if listening.as_ref().is_none_or(|listening| listening.channels.own().next().is_none()) {
            // The server knows it as well.
            deeds.leave_asks();
        }
        Some(deeds)
    }

    fn changed(&self, deeds: &Deeds, text: &[u8]) -> Vec<u8> {
        let Some(listening) = &self.client.listening else { return deeds.changed(text, &[]) };
        let is_ours = *listening.encoding == *self.client.encoding();
        let name = |channel: &[u8]| match is_ours || channel.is_ascii() {
            true => constant(channel),
            false => recoded(channel, &listening.encoding).into_bytes(),
        };
        deeds.changed(text, &listening.channels.own().map(name).collect::<Vec<_>>())
    }

    /// Another message goes in place of the one at `at`.
    fn replace(&mut self, chunk: &BytesMut, at: usize, kind: u8, write: impl FnOnce(&mut BytesMut)) {
        self.out.extend_from_slice(&chunk[self.copied..at]);
        frontend::message(&mut self.out, kind, write);
        self.copied = at + frame::first(&chunk[at..]).map_or(0, |(.., total)| total);
    }
}

/// Whether a text may matter, while nothing is pending.
fn is_worth_reading(text: &[u8]) -> bool {
    WORDS.into_iter().any(|word| mentions(text, word))
}

fn text(statement: &Statement) -> Option<&[u8]> {
    let mut body = statement.body()?;
    take_cstr(&mut body)
}

fn text_of(statement: &Statement) -> Option<(Vec<u8>, Readings)> {
    Some((text(statement)?.to_vec(), statement.readings()))
}

/// Whether any text in these messages holds the word LISTEN.
fn mentions_listen(chunk: &[u8]) -> bool {
    let mut rest = chunk;
    while let Some((kind, body, total)) = frame::first(rest) {
        if matches!(kind, kind::QUERY | kind::PARSE) && mentions(body, LISTEN) {
            return true;
        }
        rest = &rest[total..];
    }
    false
}

/// Whether a text holds a word, in upper or lower case; the word is in lower case, with so many letters before its I, which is
/// rarer than what every SELECT has.
fn mentions(text: &[u8], (before, word): (usize, &[u8])) -> bool {
    memchr2_iter(b'i', b'I', text).any(|at| {
        let found = at.checked_sub(before).and_then(|begin| text.get(begin..begin + word.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

#[cfg(test)]
mod tests;
