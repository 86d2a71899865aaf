//! The same by Parse, Bind, Describe and Execute. A statement of such a text is no server's: each message is answered in its turn, between the
//! server's own answers where the client has a server; a request of nothing else needs none.

use super::super::connection::Client;
use super::super::prepared::{bytes_of, too_many_portals};
use super::super::route::not_here;
use super::{Deed, LSN, is_own, may_take_back, not_alone};
use crate::fault::{Blame, Fault, SqlState};
use crate::router::To;
use crate::server::{Exchange, Forwarding};
use crate::session::{Change, Effect, Portal, Statement, key};
use crate::sql::{Facts, Verdict};
use crate::wire::backend::{self, Status};
use crate::wire::frame::{self, take_cstr};
use crate::wire::frontend::kind;
use crate::wire::rows::no_parameters;
use bytes::BytesMut;
use std::ops::Range;
use std::sync::Arc;

/// A longer request is not looked at.
const REQUEST_MAX: usize = 4096;

/// What asks the primary on a server.
const ASKS_LSN: &str = "pgotter.lsn";

/// A message of a request that needs no server.
enum Step {
    Parse(Box<[u8]>, Arc<Statement>),
    Bind,
    DescribeStatement(Deed),
    DescribePortal(Deed),
    Execute(Deed),
    Close(Box<[u8]>),
}

fn empty(kind: u8) -> BytesMut {
    let mut out = BytesMut::new();
    backend::empty(&mut out, kind);
    out
}

fn described(deed: &Deed, statement: bool) -> BytesMut {
    let mut out = BytesMut::new();
    if statement {
        no_parameters(&mut out);
    }
    deed.describe(&mut out);
    out
}

impl Client {
    /// What a statement that its client has prepared does, if it is such a one.
    fn deed(&self, statement: &Statement) -> Option<Deed> {
        let text = statement.text().filter(|text| is_own(text))?;
        Deed::of(&self.read(text, statement.readings()))
    }

    /// The answer to a whole request that comes while the client has no server. `None`: it is for a server.
    pub(in super::super) fn answer_own_messages(&mut self, request: &[u8]) -> Option<BytesMut> {
        let (first, mut body, _) = frame::first(request)?;
        let begins = match first {
            // Where its text ends is of no matter to most.
            kind::PARSE => take_cstr(&mut body).is_some() && is_own(body),
            _ => self.own.is_some(),
        };
        if !begins || request.len() > REQUEST_MAX || self.rules.max_prepared_statements == 0 {
            return None;
        }
        if self.status() == Status::Failed {
            return None;
        }
        let (steps, end) = self.own_steps(request)?;
        let mut out = BytesMut::new();
        for step in steps {
            if let Err(fault) = self.step_alone(step, &mut out) {
                self.note_fault(&fault);
                backend::error_response(&mut out, &fault);
                self.end_own_alone(false);
                self.fail_block();
                self.skip_to = Some(kind::SYNC).filter(|_| end != kind::SYNC);
                break;
            }
        }
        self.end_own_alone(true);
        if end == kind::SYNC {
            backend::ready_for_query(&mut out, self.status());
        }
        Some(out)
    }

    /// Outside a block a request is a transaction.
    fn end_own_alone(&mut self, committed: bool) {
        if self.block.is_none() {
            self.end_own(committed);
        }
    }

    fn step_alone(&mut self, step: Step, out: &mut BytesMut) -> Result<(), Fault> {
        match step {
            Step::Parse(name, statement) => {
                self.statements.get_or_insert_default().put(&name, Some(statement));
                // From now on its requests are looked at.
                self.own.get_or_insert_default();
                backend::empty(out, backend::kind::PARSE_COMPLETE);
            }
            Step::Bind => backend::empty(out, backend::kind::BIND_COMPLETE),
            Step::DescribeStatement(deed) => out.unsplit(described(&deed, true)),
            Step::DescribePortal(deed) => out.unsplit(described(&deed, false)),
            Step::Execute(deed) => self.done(&deed, self.block.is_none(), out)?,
            Step::Close(name) => {
                self.statements.as_mut().and_then(|statements| statements.put(&name, None));
                backend::empty(out, backend::kind::CLOSE_COMPLETE);
            }
        }
        Ok(())
    }

    /// Reads a request, and what ends it. `None`: there is something else in it, or it may be a mistake, which is PostgreSQL's to tell.
    fn own_steps(&self, request: &[u8]) -> Option<(Vec<Step>, u8)> {
        let (mut steps, mut end) = (Vec::new(), None);
        let mut parsed: Vec<(&[u8], Arc<Statement>)> = Vec::new();
        let mut bound: Vec<(&[u8], Deed)> = Vec::new();
        for (kind, mut body) in frame::all(request) {
            if end.is_some() {
                return None;
            }
            steps.push(match kind {
                kind::PARSE => {
                    let name = take_cstr(&mut body)?;
                    let statement = self.own_statement(name, body)?;
                    parsed.push((name, statement.clone()));
                    Step::Parse(key(name).into(), statement)
                }
                kind::BIND => {
                    let (portal, name) = (take_cstr(&mut body)?, take_cstr(&mut body)?);
                    bound.push((portal, self.deed_of(name, &parsed)?));
                    Step::Bind
                }
                kind::DESCRIBE => match body.split_first()? {
                    (b'S', mut name) => Step::DescribeStatement(self.deed_of(take_cstr(&mut name)?, &parsed)?),
                    (_, mut portal) => Step::DescribePortal(deed_of_portal(take_cstr(&mut portal)?, &bound)?),
                },
                kind::EXECUTE => Step::Execute(deed_of_portal(take_cstr(&mut body)?, &bound)?),
                kind::CLOSE => match body.split_first()? {
                    (b'S', mut name) => {
                        let name = take_cstr(&mut name)?;
                        self.deed_of(name, &parsed)?;
                        Step::Close(key(name).into())
                    }
                    _ => return None,
                },
                kind::SYNC | kind::FLUSH => {
                    end = Some(kind);
                    continue;
                }
                _ => return None,
            });
        }
        // Behind a Flush its portals would have to be kept, as a server does, and in a block behind a Sync as well.
        let is_kept = |portal: &[u8]| self.block.is_some() && !portal.is_empty();
        let keeps = bound.iter().any(|(portal, _)| is_kept(portal));
        end.filter(|end| *end == kind::SYNC && !keeps || bound.is_empty()).map(|end| (steps, end))
    }

    /// What a Parse makes that is PgOtter's own to answer.
    fn own_statement(&self, name: &[u8], body: &[u8]) -> Option<Arc<Statement>> {
        let known = self.statements.as_ref().is_some_and(|statements| statements.get(name).is_some());
        let has_room = self.statements.as_ref().is_none_or(|statements| statements.has_room(key(name), body.len()));
        if known && !name.is_empty() || !has_room {
            return None;
        }
        let statement = Statement::unnamed(Some(body), &self.settings, self.own_readings());
        self.deed(&statement).filter(|deed| *deed != Deed::ShowLsn)?;
        Some(Arc::new(statement))
    }

    fn deed_of(&self, name: &[u8], parsed: &[(&[u8], Arc<Statement>)]) -> Option<Deed> {
        let here = parsed.iter().rfind(|(known, _)| key(known) == key(name)).map(|(_, statement)| statement);
        let statement = here.or_else(|| self.statements.as_ref()?.get(name))?;
        self.deed(statement).filter(|deed| *deed != Deed::ShowLsn)
    }

    /// Whether what the client sends next is about them, or may take back what is set, behind a request that is not answered yet: it waits, since
    /// what it changes and tells depends on that.
    pub(in super::super) fn awaits_own(&self, exchange: &Exchange) -> bool {
        // In the middle of a COPY a server waits, too.
        if !exchange.owes_request() || exchange.copy_in() || self.gather.is_passing() {
            return false;
        }
        let Some(&first @ (kind::QUERY | kind::PARSE)) = self.socket.received().first() else { return false };
        let Some((_, mut body, _)) = frame::first(self.socket.received()) else { return false };
        if first == kind::PARSE && take_cstr(&mut body).is_none() {
            return false;
        }
        is_own(body) || self.own.is_some() && may_take_back(body)
    }

    /// A Query of these facts is on its way to a server. Says whether it was dealt with.
    pub(in super::super) fn own_query(&mut self, under_way: &mut Forwarding<'_>, facts: &Facts) -> bool {
        let Some(deed) = Deed::of(facts) else { return false };
        if deed == Deed::ShowLsn {
            if self.to() != To::Primary {
                return false;
            }
            let unnamed = Some(self.take_unnamed(under_way));
            let effect = Effect::Names { names: Vec::new(), gone: 0, unnamed, portals: Vec::new() };
            under_way.replace_query(LSN, effect);
            return true;
        }
        let mut out = BytesMut::new();
        if matches!(deed, Deed::Show(_)) {
            deed.describe(&mut out);
        }
        let status = under_way.server().exchange().status_behind_ours();
        let done = match status {
            Some(Status::Idle) => self.done(&deed, true, &mut out),
            Some(Status::InTransaction) => self.done(&deed, false, &mut out),
            Some(Status::Failed) | None => Err(not_alone()),
        };
        if let Err(fault) = done {
            self.refuse_query(under_way, facts, bytes_of(&fault));
            return true;
        }
        if status == Some(Status::Idle) {
            self.end_own(true);
        }
        backend::ready_for_query(&mut out, status.unwrap_or(Status::Idle));
        let dropped = self.drop_unnamed(under_way);
        under_way.answer(out, dropped);
        under_way.end_ours();
        true
    }

    /// A Parse, with its name at `at`, is on its way to a server. Says whether it was dealt with.
    pub(in super::super) fn own_parse(&mut self, under_way: &mut Forwarding<'_>, at: Range<usize>) -> bool {
        let Some(message) = under_way.message().filter(|message| message.whole) else { return false };
        let body = &message.body[at.end + 1..];
        // Where its text ends is of no matter to most.
        if !is_own(body) {
            return false;
        }
        let readings = self.readings(under_way.server());
        let statement = Statement::unnamed(Some(body), &self.settings, readings);
        let name: Box<[u8]> = key(&message.body[at]).into();
        let statements = self.statements.get_or_insert_default();
        let is_free = name.is_empty() || statements.get(&name).is_none() && statements.has_room(&name, body.len());
        if !is_free || self.deed(&statement).is_none() {
            return false;
        }
        if self.rules.max_prepared_statements == 0 {
            under_way.replace_refused(bytes_of(&not_alone()));
            return true;
        }
        self.own.get_or_insert_default();
        if in_failed_block(under_way) {
            under_way.replace_refused(bytes_of(&not_alone()));
            return true;
        }
        let before = self.statements.get_or_insert_default().put(&name, Some(Arc::new(statement)));
        let effect = if name.is_empty() {
            Effect::Unnamed { client: Change::From(before), server: under_way.statements().put_unnamed(None) }
        } else {
            Effect::Name { name, before }
        };
        under_way.answer(empty(backend::kind::PARSE_COMPLETE), Some(effect));
        true
    }

    /// A Bind, or a Describe of a statement, that names this one at `at`. Says whether it was dealt with.
    pub(in super::super) fn own_use(
        &mut self,
        under_way: &mut Forwarding<'_>,
        at: &Range<usize>,
        statement: &Arc<Statement>,
    ) -> bool {
        let Some(deed) = self.deed(statement) else { return false };
        let Some(message) = under_way.message() else { return false };
        let (binds, asks) = (message.kind == kind::BIND, deed == Deed::ShowLsn);
        let portal: Box<[u8]> = if binds { message.body[..at.start - 1].into() } else { Box::default() };
        // What returns no rows PostgreSQL describes there, too.
        let refused = binds || !deed.columns().is_empty();
        if in_failed_block(under_way) && !asks && refused {
            under_way.replace_refused(bytes_of(&not_alone()));
            return true;
        }
        if asks && self.to() != To::Primary {
            under_way.refuse_to_run(at.clone(), bytes_of(&not_here(Verdict::Catalog)));
            return true;
        }
        if asks {
            under_way.prepare_own(ASKS_LSN, format!("{LSN}\0\0\0").as_bytes());
        }
        if !binds {
            match asks {
                true => under_way.rename(at.clone(), ASKS_LSN, None),
                false => under_way.answer(described(&deed, true), None),
            }
            return true;
        }
        let statements = self.statements.get_or_insert_default();
        if asks {
            let effect = statements.put_portal(&portal, None);
            under_way.rename(at.clone(), ASKS_LSN, effect);
        } else if !statements.has_room_for_portal() {
            under_way.refuse_to_run(at.clone(), too_many_portals());
        } else {
            let known = Portal { own: Some(statement.clone()), ..Portal::default() };
            let effect = statements.put_portal(&portal, Some(known));
            under_way.answer(empty(backend::kind::BIND_COMPLETE), effect);
        }
        true
    }

    /// Describe of a portal.
    pub(in super::super) fn describe_portal(&mut self, under_way: &mut Forwarding<'_>, portal: Range<usize>) {
        match self.own_portal(under_way, portal) {
            Some(deed) if in_failed_block(under_way) && !deed.columns().is_empty() => {
                under_way.replace_refused(bytes_of(&not_alone()));
            }
            Some(deed) => under_way.answer(described(&deed, false), None),
            None => under_way.pass(None),
        }
    }

    /// Execute of a portal. Says whether it was dealt with.
    pub(in super::super) fn own_execute(&mut self, under_way: &mut Forwarding<'_>, portal: Range<usize>) -> bool {
        let Some(deed) = self.own_portal(under_way, portal) else { return false };
        if in_failed_block(under_way) {
            under_way.replace_refused(bytes_of(&not_alone()));
            return true;
        }
        let exchange = under_way.server().exchange();
        let alone = exchange.status_behind_ours() == Some(Status::Idle);
        let mut out = BytesMut::new();
        let done = if deed.changes() && exchange.owes_request() {
            let message = "settings of PgOtter's own cannot be set behind a request that is not answered yet";
            Err(Fault::error(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message))
        } else {
            self.done(&deed, alone, &mut out)
        };
        match done {
            Ok(()) => under_way.answer(out, None),
            Err(fault) => under_way.replace_refused(bytes_of(&fault)),
        }
        true
    }

    fn own_portal(&self, under_way: &Forwarding<'_>, portal: Range<usize>) -> Option<Deed> {
        let message = under_way.message()?;
        let known = self.statements.as_ref()?.portal(&message.body[portal])?;
        self.deed(known.own.as_ref()?)
    }
}

/// Then PostgreSQL says so, and nothing else is heard.
fn in_failed_block(under_way: &Forwarding<'_>) -> bool {
    under_way.server().exchange().status() == Status::Failed
}

fn deed_of_portal(name: &[u8], bound: &[(&[u8], Deed)]) -> Option<Deed> {
    bound.iter().rfind(|(known, _)| key(known) == key(name)).map(|(_, deed)| deed.clone())
}
