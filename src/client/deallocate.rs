//! DEALLOCATE of statements that are the client's by the protocol, where a server has to say what comes of it: in a pipeline, or
//! by Parse and Execute.
//!
//! The server drops a statement of ours in its place, that was put there for that. So the tag, and what is said in a failed block, are
//! PostgreSQL's own, and what other clients have prepared there stays. By Parse and Execute it is put there right in front of the
//! Execute: whichever portal that runs, it drops the same one for the server, and for the client what it was bound for.

use super::answer::deallocates;
use super::connection::Client;
use super::prepared::error;
use crate::fault::SqlState;
use crate::server::Forwarding;
use crate::session::{Drops, Effect, Portal, Statement, key};
use crate::sql::{Discard, Facts, Verb};
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
        let unnamed = Some(self.take_unnamed(under_way));
        let gone = gone.filter(|_| runs).unwrap_or(0);
        under_way.replace_query(&sql, Effect::Names { names: dropped, gone, unnamed, portals: Vec::new() });
        true
    }

    /// What the Execute of such a text drops. The name of one that is not of the protocol is PostgreSQL's to drop.
    pub(super) fn dropped(&self, facts: &Facts) -> Option<Drops> {
        match &facts.statements.only()?.verb {
            Verb::DeallocateAll | Verb::Discard(Discard::All) => Some(Drops::All),
            Verb::Deallocate(name) if !name.is_empty() => {
                self.statements.as_ref()?.get(name)?;
                Some(Drops::One(key(name).into()))
            }
            _ => None,
        }
    }

    /// The client's statements are gone for what is behind it: that runs only if this succeeds.
    pub(super) fn execute(&mut self, under_way: &mut Forwarding<'_>, portal: Range<usize>) {
        if self.own.is_some() && self.own_execute(under_way, portal.clone()) {
            return;
        }
        let found = under_way.message().zip(self.statements.as_deref());
        let known = found.and_then(|(message, statements)| statements.portal(&message.body[portal]).cloned());
        let Some(Portal { drops, declares, resets, .. }) = known else { return under_way.pass(None) };
        if let Some(statement) = resets {
            self.run_resets(&statement);
        }
        let Some(statements) = self.statements.as_deref_mut() else { return under_way.pass(None) };
        match drops {
            None => {
                let taken = declares.and_then(|cursor| statements.put_portal(&cursor, None));
                under_way.pass(taken);
            }
            Some(Drops::All) => {
                let (client, server) = (statements.clear_named(), under_way.statements().doubt());
                under_way.pass(Some(Effect::AllNames { client, server }));
            }
            Some(Drops::One(name)) => match statements.put(&name, None) {
                Some(before) => {
                    under_way.prepare_own(GONE, EMPTY);
                    under_way.pass(Some(Effect::Name { name, before: Some(before) }));
                }
                None => {
                    // It was dropped since this was bound.
                    under_way.close(GONE, None);
                    under_way.pass_refused(error(SqlState::INVALID_SQL_STATEMENT_NAME, &name, "does not exist"));
                }
            },
        }
    }

    /// What must be known of a portal of a statement with these facts.
    pub(super) fn portal(&self, statement: &Arc<Statement>, facts: Option<&Facts>, drops: Option<Drops>) -> Portal {
        let declares = facts.and_then(|facts| match &facts.statements.only()?.verb {
            Verb::Declare { name, .. } => Some(name.clone()),
            _ => None,
        });
        let listens = self.matters_to_listen(statement).then(|| statement.clone());
        Portal { drops, declares, listens, ..Portal::default() }
    }

    /// A Query may declare cursors: portals of their names are not what they were.
    pub(super) fn declare(&mut self, facts: &Facts) -> Vec<(Box<[u8]>, Portal)> {
        let declared = facts.statements.iter().filter_map(|statement| match &statement.verb {
            Verb::Declare { name, .. } => Some(&**name),
            _ => None,
        });
        self.statements.as_mut().map_or(Vec::new(), |statements| statements.take_portals(declared))
    }

    /// Close of a portal.
    pub(super) fn close_portal(&mut self, under_way: &mut Forwarding<'_>, portal: Range<usize>) {
        let closed = under_way.message().zip(self.statements.as_deref_mut());
        let effect = closed.and_then(|(message, statements)| statements.put_portal(&message.body[portal], None));
        under_way.pass(effect);
    }
}

/// Binds what drops [`GONE`] in place of a statement that drops one of the protocol; `at` is where the Bind names that.
pub(super) fn bind_deallocate(
    under_way: &mut Forwarding<'_>,
    at: Range<usize>,
    statement: &Statement,
    effect: Option<Effect>,
) {
    let types = statement.body().and_then(|body| body.split(|&byte| byte == 0).next().map(|text| &body[text.len()..]));
    let mut body = BytesMut::from(format!("DEALLOCATE \"{GONE}\"").as_bytes());
    body.extend_from_slice(types.unwrap_or(EMPTY));
    under_way.prepare_own(DEALLOCATE, &body);
    under_way.rename(at, DEALLOCATE, effect);
}
