//! What a request asks of the router: where its statements may run, and what of others' writes they must see.

use super::between::Request;
use super::connection::Client;
use crate::cluster::{Catalog, Writers};
use crate::config::ReadYourWrites;
use crate::session::Statement;
use crate::sql::{Facts, Fingerprint, Reading, Readings, Relation, Told, Verdict};
use crate::wire::frame::{self, take_cstr};
use crate::wire::frontend::kind;
use std::sync::Arc;

/// Of one statement, or of all that a request runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Where it may run.
    pub verdict: Verdict,
    /// What of others' writes it must see, see [`crate::router::Fences::height`].
    pub height: u64,
    /// It looks like a read, and has written before.
    pub wrote: bool,
    /// It gives a statement a name, or drops one.
    pub names: bool,
}

impl Default for Asked {
    /// Nobody knows.
    fn default() -> Self {
        Self { verdict: Verdict::Unparsed, height: u64::MAX, wrote: false, names: true }
    }
}

impl Asked {
    /// Nothing that would matter.
    const NOTHING: Self = Self { verdict: Verdict::Read, height: 0, wrote: false, names: false };

    /// Unless a text of this name has been found to write.
    fn unless_it_wrote(self, writers: &Writers, name: impl FnOnce() -> Option<Fingerprint>) -> Self {
        let wrote = self.verdict == Verdict::Read && writers.have(name);
        Self { verdict: if wrote { Verdict::Write } else { self.verdict }, wrote, ..self }
    }

    /// The stricter of both in everything.
    fn and(self, other: Self) -> Self {
        let (verdict, height) = (self.verdict.max(other.verdict), self.height.max(other.height));
        Self { verdict, height, wrote: self.wrote || other.wrote, names: self.names || other.names }
    }
}

/// How both readers are asked.
pub(super) type Judging = fn(&Arc<Catalog>, &[u8], Reading) -> (Arc<Facts>, Verdict);

/// The text of a Query that has been read, kept until it is sent.
pub(super) struct Perused {
    facts: Arc<Facts>,
    reading: Reading,
    // Of what was known of the catalog.
    edition: u64,
    length: usize,
}

impl Client {
    /// What a request asks, and what was read for that of a Query.
    pub(super) fn asked(&self, request: &Request, scope: ReadYourWrites) -> (Asked, Option<Perused>) {
        match (request.first, request.end) {
            (kind::QUERY, Some(_)) => {
                let text = frame::first(&request.bytes).and_then(|(_, body, _)| body.strip_suffix(b"\0"));
                text.map(|text| self.peruse(text, scope)).unwrap_or_default()
            }
            (_, Some(kind::SYNC)) => (self.asked_by_messages(&request.bytes, scope), None),
            // It goes on, and its rest may say anything.
            _ => Default::default(),
        }
    }

    /// The request at hand is not what it was when it was read.
    pub(super) fn forget_perused(&mut self) {
        if let Some(route) = &mut self.route {
            route.perused = None;
        }
    }

    fn peruse(&self, text: &[u8], scope: ReadYourWrites) -> (Asked, Option<Perused>) {
        // In front of the reading: with what is known behind it, it would be read again.
        let (edition, reading) = (self.pool.catalog().edition(), self.settings.reading());
        // PostgreSQL takes no such text.
        if memchr::memchr(0, text).is_some() || reading.utf8 && std::str::from_utf8(text).is_err() {
            return Default::default();
        }
        let (facts, verdict) = self.pool.catalog().judge(text, reading);
        let asked = Asked { verdict, height: self.height(facts.relations(), scope), ..Asked::NOTHING };
        let asked = asked.unless_it_wrote(&self.pool.catalog().writers, || facts.fingerprint(text, reading));
        (asked, Some(Perused { facts, reading, edition, length: text.len() }))
    }

    /// What the text of the request at hand may do, if it has been read for the decision by these rules and with what is known now.
    pub(super) fn take_perused(&mut self, text: &[u8], readings: Readings) -> Option<Arc<Facts>> {
        let perused = self.route.as_mut()?.perused.take()?;
        let same = perused.length == text.len()
            && readings.only(text) == Some(perused.reading)
            && perused.edition == self.pool.catalog().edition();
        same.then_some(perused.facts)
    }

    /// What names the text that a request runs first, of a request that is about to be sent.
    pub(super) fn first_text(&self, request: &Request) -> Option<Fingerprint> {
        let fingerprint = |text: &[u8]| Fingerprint::of_text(text, self.settings.reading());
        let mut parsed = Vec::new();
        for (kind, mut body) in frame::all(&request.bytes) {
            match kind {
                kind::QUERY => return fingerprint(body),
                kind::PARSE => parsed.push(take_cstr(&mut body).zip(take_cstr(&mut body))?),
                kind::BIND => {
                    let (_, name) = take_cstr(&mut body).zip(take_cstr(&mut body))?;
                    let here = parsed.iter().rev().find(|(parsed, _)| *parsed == name);
                    let known = || self.statements.as_ref()?.get(name)?.body();
                    return fingerprint(here.map(|(_, text)| *text).or_else(known)?);
                }
                _ => (),
            }
        }
        None
    }

    fn asked_by_messages(&self, messages: &[u8], scope: ReadYourWrites) -> Asked {
        let (mut parsed, mut bound, mut all) = (None, false, Asked::NOTHING);
        for (kind, mut body) in frame::all(messages) {
            let asked = match kind {
                kind::PARSE => take_cstr(&mut body).map(|name| {
                    parsed = Some(name);
                    all.names |= !name.is_empty();
                    self.said_again(name, body, scope).unwrap_or_else(|| match take_cstr(&mut body) {
                        Some(text) if !declares_own_types(body) => self.asked_by(text, scope),
                        _ => Asked::default(),
                    })
                }),
                kind::BIND => {
                    bound = true;
                    let name = take_cstr(&mut body).zip(take_cstr(&mut body)).map(|(_, name)| name);
                    name.and_then(|name| self.asked_by_name(name, parsed, scope))
                }
                kind::DESCRIBE if body.first() == Some(&b'S') => {
                    body = &body[1..];
                    take_cstr(&mut body).and_then(|name| self.asked_by_name(name, parsed, scope))
                }
                // Of a portal that is bound in front of it, or there is none.
                kind::DESCRIBE | kind::EXECUTE => bound.then_some(Asked::NOTHING),
                kind::CLOSE => Some(Asked { names: true, ..Asked::NOTHING }),
                kind::SYNC => Some(Asked::NOTHING),
                _ => None,
            };
            all = all.and(asked.unwrap_or_default());
        }
        all
    }

    /// Of a Parse that gives the statement without a name the body which that has already, as a driver's does that names none: it counts as
    /// the one that is there. `None`: it gives another.
    fn said_again(&self, name: &[u8], body: &[u8], scope: ReadYourWrites) -> Option<Asked> {
        let statement = self.statements.as_ref()?.get(b"").filter(|_| name.is_empty())?;
        if statement.body()? == body { self.asked_by_name(b"", None, scope) } else { None }
    }

    /// Of a statement that has been prepared. The one that was `parsed` last in the same request counts by itself.
    fn asked_by_name(&self, name: &[u8], parsed: Option<&[u8]>, scope: ReadYourWrites) -> Option<Asked> {
        if parsed == Some(name) {
            return Some(Asked::NOTHING);
        }
        let statement = self.statements.as_ref()?.get(name)?;
        let told = self.pool.catalog().told(statement);
        let told = told.as_ref()?;
        let body = statement.body()?;
        let verdict = self.confirmed(statement, told, Catalog::judge);
        // Read by other rules than it was prepared under, it may name others.
        let reading = self.settings.reading();
        let relations = told.relations().filter(|_| told.confirmed(reading).is_some());
        let asked = Asked { verdict, height: self.height(relations, scope), ..Asked::NOTHING };
        Some(asked.unless_it_wrote(&self.pool.catalog().writers, || told.fingerprint(body, reading)))
    }

    /// Where a statement that has been prepared may run, as both readers say. Once that is certain it costs a comparison.
    pub(super) fn confirmed(&self, statement: &Statement, told: &Told, judge: Judging) -> Verdict {
        let reading = self.settings.reading();
        let (verdict, body) = match (told.verdict, statement.body()) {
            (Verdict::Read, Some(body)) => (told.confirmed(reading), body),
            (other, _) => return other,
        };
        if let Some(verdict) = verdict {
            return verdict;
        }
        let (text, declared) = body.split_at(body.iter().position(|&byte| byte == 0).unwrap_or(body.len()));
        let (verdict, settled) = if declares_own_types(declared.get(1..).unwrap_or_default()) {
            (Verdict::Unparsed, true)
        } else {
            let (facts, verdict) = judge(self.pool.catalog(), text, reading);
            // The second reader may still be at it.
            (verdict, verdict != Verdict::Unparsed || facts.is_confirmed().is_some())
        };
        // What the text says by the rules that it was prepared under counts as well: `told` says it.
        if settled && statement.readings().only(text) == Some(reading) {
            told.confirm(reading, verdict);
        }
        verdict
    }

    fn asked_by(&self, text: &[u8], scope: ReadYourWrites) -> Asked {
        self.peruse(text, scope).0
    }

    /// What a replica must cover more than, to be read for these relations; `None`: nobody knows which.
    pub(super) fn height(&self, relations: Option<&[Relation]>, scope: ReadYourWrites) -> u64 {
        let relations = match scope {
            ReadYourWrites::Off | ReadYourWrites::Session => return 0,
            ReadYourWrites::Tables => relations,
            ReadYourWrites::Database => None,
        };
        let before = self.shape.watch.as_ref().map_or(0, |watch| watch.unshared());
        let noted = self.pool.catalog().fences.height(relations.map(|all| all.iter().map(Relation::known_as)));
        noted.max(before)
    }
}

/// Whether a Parse declares parameters of types that are not built in, by what follows its text: a domain's check, which no text names,
/// runs when they are bound. Or it is none. Source: `FirstNormalObjectId` in PostgreSQL's `src/include/access/transam.h`.
fn declares_own_types(declared: &[u8]) -> bool {
    const OWN: u32 = 16_384;
    let Some((count, oids)) = declared.split_first_chunk::<2>() else { return true };
    let each = oids.chunks_exact(4);
    let is_whole = oids.len() == usize::from(u16::from_be_bytes(*count)) * 4;
    !is_whole || each.into_iter().any(|oid| u32::from_be_bytes([oid[0], oid[1], oid[2], oid[3]]) >= OWN)
}
