//! What a request asks of the router: where its statements may run, and what of others' writes they must see.

use super::between::Request;
use super::connection::Client;
use crate::config::ReadYourWrites;
use crate::sql::{Relation, Verdict};
use crate::wire::frame::{self, take_cstr};
use crate::wire::frontend::kind;

/// Of one statement, or of all that a request runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Where it may run.
    pub verdict: Verdict,
    /// What of others' writes it must see, see [`crate::router::Fences::height`].
    pub height: u64,
}

impl Default for Asked {
    /// Nobody knows.
    fn default() -> Self {
        Self { verdict: Verdict::Unparsed, height: u64::MAX }
    }
}

impl Asked {
    /// Nothing that would matter.
    const NOTHING: Self = Self { verdict: Verdict::Read, height: 0 };

    /// The stricter of both in everything.
    fn and(self, other: Self) -> Self {
        Self { verdict: self.verdict.max(other.verdict), height: self.height.max(other.height) }
    }
}

impl Client {
    /// What a request asks.
    pub(super) fn asked(&self, request: &Request, scope: ReadYourWrites) -> Asked {
        match (request.first, request.end) {
            (kind::QUERY, Some(_)) => {
                let text = frame::first(&request.bytes).and_then(|(_, body, _)| body.strip_suffix(b"\0"));
                text.map(|text| self.asked_by(text, scope)).unwrap_or_default()
            }
            (_, Some(kind::SYNC)) => self.asked_by_messages(&request.bytes, scope),
            // It goes on, and its rest may say anything.
            _ => Asked::default(),
        }
    }

    fn asked_by_messages(&self, messages: &[u8], scope: ReadYourWrites) -> Asked {
        let (mut parsed, mut bound, mut all) = (None, false, Asked::NOTHING);
        for (kind, mut body) in frame::all(messages) {
            let asked = match kind {
                kind::PARSE => take_cstr(&mut body).zip(take_cstr(&mut body)).map(|(name, text)| {
                    parsed = Some(name);
                    if declares_own_types(body) { Asked::default() } else { self.asked_by(text, scope) }
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
                kind::CLOSE | kind::SYNC => Some(Asked::NOTHING),
                _ => None,
            };
            all = all.and(asked.unwrap_or_default());
        }
        all
    }

    /// Of a statement that has been prepared. The one that was `parsed` last in the same request counts by itself.
    fn asked_by_name(&self, name: &[u8], parsed: Option<&[u8]>, scope: ReadYourWrites) -> Option<Asked> {
        if parsed == Some(name) {
            return Some(Asked::NOTHING);
        }
        let statement = self.statements.as_ref()?.get(name)?;
        let told = statement.told(&self.pool.catalog().known());
        let told = told.as_ref()?;
        let asked = Asked { verdict: told.verdict, height: self.height(told.relations(), scope) };
        if asked.verdict != Verdict::Read {
            return Some(asked);
        }
        let body = statement.body()?;
        let at = body.iter().position(|&byte| byte == 0)?;
        if declares_own_types(&body[at + 1..]) {
            return None;
        }
        // What both readers say counts, and what the text says by the rules that it was prepared under.
        Some(asked.and(self.asked_by(&body[..at], scope)))
    }

    fn asked_by(&self, text: &[u8], scope: ReadYourWrites) -> Asked {
        let (facts, verdict) = self.pool.catalog().judge(text, self.settings.reading());
        Asked { verdict, height: self.height(facts.relations(), scope) }
    }

    /// What a replica must cover more than, to be read for these relations; `None`: nobody knows which.
    pub(super) fn height(&self, relations: Option<&[Relation]>, scope: ReadYourWrites) -> u64 {
        let relations = match scope {
            ReadYourWrites::Off | ReadYourWrites::Session => return 0,
            ReadYourWrites::Tables => relations,
            ReadYourWrites::Database => None,
        };
        self.pool.catalog().fences.height(relations.map(|all| all.iter().map(Relation::known_as)))
    }
}

/// Whether a Parse declares parameters of types that are not built in, by what follows its text: a domain's check, which no text names,
/// runs when they are bound. Source: `FirstNormalObjectId` in PostgreSQL's `src/include/access/transam.h`.
fn declares_own_types(declared: &[u8]) -> bool {
    const OWN: u32 = 16_384;
    let oids = declared.get(2..).unwrap_or_default().chunks_exact(4);
    oids.into_iter().any(|oid| u32::from_be_bytes([oid[0], oid[1], oid[2], oid[3]]) >= OWN)
}
