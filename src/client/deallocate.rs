//! DEALLOCATE of statements that are the client's by the protocol, where a server has to say what comes of it: in a pipeline, or
//! by Parse and Execute.
//!
//! The server drops a statement of ours in its place, that was put there for that. So the tag, and what is said in a failed block, are
//! PostgreSQL's own, and what other clients have prepared there stays.

use super::answer::deallocates;
use super::connection::Client;
use crate::server::Forwarding;
use crate::session::{Effect, Statement, Unnamed};
use crate::sql::{Facts, Verb};
use crate::wire::backend::Status;
use bytes::BytesMut;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

/// What is dropped in place of a client's.
const GONE: &str = "pgotter.gone";
/// What drops it.
const DEALLOCATE: &str = "pgotter.deallocate";
/// An empty text, which can be prepared in a failed block too; no types.
pub(super) const EMPTY: &[u8] = b"\0\0\0";

impl Client {
    /// Replaces a Query that does nothing but drop statements, if some are of the protocol. Says whether it has.
    pub(super) fn deallocate(&mut self, under_way: &mut Forwarding<'_>, facts: &Facts) -> bool {
        let Some(names) = deallocates(facts) else { return false };
        let Some(statements) = self.statements.as_deref_mut() else { return false };
        // What is neither is for PostgreSQL to say, which drops those in front of it. Those of SQL are looked at behind it.
        let known = names.iter().filter(|name| statements.get(name).is_some()).count();
        if known == 0 || known < names.len() && self.pin.is_some() {
            return false;
        }
        let runs = under_way.server().exchange().status() != Status::Failed;
        let (mut sql, mut dropped, mut gone) = (String::new(), Vec::with_capacity(names.len()), None);
        for (at, name) in names.into_iter().enumerate() {
            if let Some(statement) = statements.put(name, None) {
                let own = format!("{GONE}{at}");
                under_way.prepare_own(&own, EMPTY);
                let _ = write!(sql, "DEALLOCATE \"{own}\";");
                dropped.push((name.clone(), statement));
            } else {
                // PostgreSQL is to say that it is not there, or not any more. What is in front of it is dropped all the same.
                gone.get_or_insert(dropped.len());
                let name = String::from_utf8_lossy(name).replace('"', "\"\"");
                let _ = write!(sql, "DEALLOCATE \"{name}\";");
            }
        }
        let unnamed =
            Some(Unnamed { client: statements.put(b"", None), server: under_way.statements().put_unnamed(None) });
        under_way
            .replace_query(&sql, Effect::Names { names: dropped, gone: gone.filter(|_| runs).unwrap_or(0), unnamed });
        true
    }

    /// Deals with a Bind of a DEALLOCATE, if that is about a statement of the protocol; `at` is where the Bind names its own. Says whether
    /// it has.
    pub(super) fn bind_deallocate(
        &mut self,
        under_way: &mut Forwarding<'_>,
        at: &Range<usize>,
        statement: &Arc<Statement>,
        facts: Option<&Facts>,
    ) -> bool {
        let Some(message) = under_way.message() else { return false };
        let portal = &message.body[..at.start - 1];
        let Some(statements) = self.statements.as_deref_mut() else { return false };
        statements.forget_portal(portal);
        match facts.and_then(|facts| Some(&facts.statements.only()?.verb)) {
            Some(Verb::Deallocate(name)) if !name.is_empty() && statements.get(name).is_some() => {
                statements.await_deallocate(portal, name);
            }
            _ => return false,
        }
        let types =
            statement.body().and_then(|body| body.split(|&byte| byte == 0).next().map(|text| &body[text.len()..]));
        let mut body = BytesMut::from(format!("DEALLOCATE \"{GONE}\"").as_bytes());
        body.extend_from_slice(types.unwrap_or(EMPTY));
        under_way.prepare_own(GONE, EMPTY);
        under_way.prepare_own(DEALLOCATE, &body);
        under_way.rename(at.clone(), DEALLOCATE, None);
        true
    }

    /// What an Execute of this portal does to the client's names, if a DEALLOCATE waits in it.
    pub(super) fn execute_deallocate(&mut self, portal: &[u8]) -> Option<Effect> {
        let statements = self.statements.as_deref_mut()?;
        let name = statements.take_deallocated(portal)?;
        let before = statements.put(&name, None)?;
        Some(Effect::Name { name, before: Some(before) })
    }
}
