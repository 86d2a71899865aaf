//! A client's prepared statements: its requests name them as it does, and go to servers in names of PgOtter's own.
//!
//! A statement that the server lacks goes in front of the message that needs it, as a bare Parse, which is safe
//! anywhere. What cannot be had is refused by PostgreSQL itself: the message goes with a name with which it must fail, and the
//! client is told the error in its own words. So everything behind it is skipped as it would be.
//!
//! In session mode the server is the client's alone, and everything goes as it came.
//!
//! Source: PostgreSQL `src/backend/tcop/postgres.c` (`exec_parse_message`, `exec_bind_message`,
//! `exec_describe_statement_message`), `src/backend/commands/prepare.c`.

use super::connection::Client;
use super::deallocate::{EMPTY, bind_deallocate};
use super::guest::beyond_gathering;
use super::link::Link;
use super::names::{Said, check_room, read};
use super::request::is_copy;
use super::route::{not_here, tied_to_replica};
use super::serve::Left;
use super::settle::{Bent, Sent};
use crate::cluster::Catalog;
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, Severity, SqlState};
use crate::metrics::Prepared;
use crate::pool::Lane;
use crate::router::To;
use crate::server::{Forwarding, Meanwhile};
use crate::session::{Change, Drops, Effect, Kept, Statement, key};
use crate::sql::{Facts, Verdict};
use crate::wire::backend::{self, Status};
use crate::wire::frontend::kind;
use bytes::BytesMut;
use std::ops::Range;
use std::sync::Arc;

/// In place of a statement whose name its client has used already.
const TAKEN: &str = "pgotter.taken";
/// What is described in the place of a statement that returns nothing.
const LIKE_IT: &str = "pgotter.like_it";

impl Client {
    /// Sends bytes of a request on; `first` is the type of the message that they begin with, `None` in the middle of one.
    ///
    /// # Errors
    /// FATAL 54000 for a name that is too long to be read, and for a message that would be too long with a name of ours.
    pub(super) fn send(&mut self, link: &mut Link, mut chunk: BytesMut, first: Option<u8>) -> Result<(), Left> {
        let Link { server, lane, mode, sent, waited_us, .. } = &mut *link;
        if let Some(touched) = &mut self.touched {
            touched.resets_mut().send_behind(server.exchange().status());
        }
        if *mode == PoolMode::Session {
            self.read_resets(server, &chunk, first);
            if first.is_none_or(is_copy) || server.exchange().is_skipping() {
                server.send(chunk);
                return Ok(());
            }
            let mut under_way = server.forward(chunk, *sent, std::mem::take(waited_us));
            while under_way.message().is_some() {
                self.time_in_session(&mut under_way);
                under_way.pass(None);
            }
            under_way.finish();
            return Ok(());
        }
        if first.is_none() {
            self.read_on(&chunk);
            self.read_to_its_end(server, lane, &mut chunk);
            server.send(chunk);
            return Ok(());
        }
        // PostgreSQL does not look at it either, or takes it for a mistake.
        if server.exchange().is_skipping() || server.exchange().copy_in() {
            server.send(chunk);
            return Ok(());
        }
        check_room(&chunk, !self.gather.is_passing()).map_err(Left::Refused)?;
        let mut under_way = server.forward(chunk, *sent, std::mem::take(waited_us));
        while let Some(message) = under_way.message() {
            match read(&message).map_err(Left::Refused)? {
                Said::Other => under_way.pass(None),
                Said::Query => self.query(&mut under_way, lane),
                Said::Call if self.to() != To::Primary => {
                    let fault = not_here(Verdict::Function);
                    return Err(Left::Refused(Fault { severity: Severity::Fatal, ..fault }));
                }
                // Its number is that of another function here.
                Said::Call if self.is_visiting() => return Err(self.no_call_here()),
                Said::Call => {
                    under_way.time(self.stat_of_unparsed(), None);
                    self.touch_hidden();
                    under_way.pass(None);
                }
                // What it says is told too late.
                Said::Parse { .. } if !message.whole && self.to() != To::Primary => {
                    return Err(Left::Refused(tied_to_replica()));
                }
                Said::Parse { .. } if !message.whole && self.elsewhere.is_some() => {
                    return Err(Left::Refused(Fault { severity: Severity::Fatal, ..beyond_gathering() }));
                }
                Said::Parse { name } if self.own_parse(&mut under_way, name.clone()) => (),
                Said::Parse { name } if self.rules.max_prepared_statements == 0 => {
                    self.pass_parse(&mut under_way, name, lane);
                }
                Said::Use { name } if self.rules.max_prepared_statements == 0 => self.pass_bind(&mut under_way, name),
                Said::ClosePortal { portal } => self.close_portal(&mut under_way, portal),
                Said::Execute { portal } => {
                    // What a replica has not shown may still run on the primary.
                    let may_flush = || self.to() == To::Primary;
                    under_way.time_execute(portal.clone(), may_flush, || self.stat_of_unparsed());
                    if self.rules.max_prepared_statements == 0 {
                        under_way.pass(None);
                    } else {
                        self.execute(&mut under_way, portal);
                    }
                }
                _ if self.rules.max_prepared_statements == 0 => under_way.pass(None),
                Said::Parse { name } => self.parse(&mut under_way, name),
                Said::Use { name } => self.name(&mut under_way, name, lane),
                Said::DescribePortal { portal } if self.own.is_some() => self.describe_portal(&mut under_way, portal),
                Said::DescribePortal { .. } => under_way.pass(None),
                Said::Close { name } => self.close(&mut under_way, name),
            }
        }
        under_way.finish();
        while let Some(answer) = link.server.take_due() {
            self.say(answer);
        }
        Ok(())
    }

    fn parse(&mut self, under_way: &mut Forwarding<'_>, at: Range<usize>) {
        let limit = self.rules.max_prepared_statements;
        let Some(message) = under_way.message() else { return };
        let (name, body) = (&message.body[at.clone()], &message.body[at.end + 1..]);
        let body = Some(body).filter(|_| message.whole);
        let (certain, readings) = (self.certain(under_way), self.readings(under_way.server()));
        if let Some(body) = body.filter(|_| self.elsewhere.is_some())
            && let Err(fault) = self.keep_entry_by_name(Some(body.split(|&byte| byte == 0).next().unwrap_or_default()))
        {
            return under_way.replace_refused(bytes_of(&fault));
        }
        let statements = self.statements.get_or_insert_default();
        if name.is_empty() {
            return self.parse_unnamed(under_way, at);
        }
        if statements.get(name).is_some() {
            let error = error(SqlState::DUPLICATE_PREPARED_STATEMENT, name, "already exists");
            // In a failed block PostgreSQL looks at the text, and then says that it does nothing.
            // Wherever it is, there must be one of that name.
            under_way.prepare_own(TAKEN, EMPTY);
            under_way.refuse(at, TAKEN, error);
            return;
        }
        let shared = match body {
            Some(body) if !statements.has_room(name, body.len()) => None,
            // What PostgreSQL freezes into it now is not all known.
            Some(body) if self.bent != Bent::No => {
                Some(self.pool.statements().own(body, &self.settings, certain, readings))
            }
            Some(body) => self.pool.statements().share(body, &self.settings),
            None => Some(self.pool.statements().alone(&self.settings)),
        };
        let Some(statement) = shared else {
            // PostgreSQL looks at the text, and for a failed block, before that.
            let error = fault(SqlState::OUT_OF_MEMORY, "too many prepared statements".into());
            under_way.prepare_own(TAKEN, EMPTY);
            under_way.refuse(at, TAKEN, error);
            return;
        };
        let name: Box<[u8]> = key(name).into();
        statements.put(&name, Some(statement.clone()));
        if !message.whole {
            self.begin_passing(readings, &message.body[at.end + 1..], Some(statement.clone()));
        }
        self.meter.parsed_named();
        let prepared = under_way.make_place(&statement, limit);
        self.meter.prepared(prepared);
        if prepared != Prepared::Hit {
            let effect = Effect::NameAndParse { name, parsed: statement.server_name() };
            under_way.rename(at, statement.name(), Some(effect));
            return;
        }
        let exchange = under_way.server().exchange();
        if exchange.status() == Status::Failed || exchange.may_want_data() {
            // PostgreSQL refuses it, or would if this were a COPY: that is for PostgreSQL to say.
            let effect = Effect::NameAndParse { name, parsed: statement.server_name() };
            under_way.close(statement.name(), Some(Effect::Close(statement.server_name())));
            under_way.rename(at, statement.name(), Some(effect));
        } else {
            under_way.answer(complete(backend::kind::PARSE_COMPLETE), Some(Effect::Name { name, before: None }));
        }
    }

    /// Parse of the statement that has no name.
    pub(super) fn parse_unnamed(&mut self, under_way: &mut Forwarding<'_>, at: Range<usize>) {
        let Some(message) = under_way.message() else { return };
        let readings = self.readings(under_way.server());
        let statements = self.statements.get_or_insert_default();
        let statement = if message.whole {
            statements.unnamed_for(&message.body[at.end + 1..], &self.settings, readings)
        } else {
            Arc::new(Statement::unnamed(None, &self.settings, readings))
        };
        let client = Change::From(statements.put(b"", Some(statement.clone())));
        if !message.whole {
            self.begin_passing(readings, &message.body[at.end + 1..], Some(statement.clone()));
        }
        let server = under_way.statements().put_unnamed(Some(statement));
        under_way.pass(Some(Effect::Unnamed { client, server }));
    }

    /// Bind, or Describe of a statement.
    fn name(&mut self, under_way: &mut Forwarding<'_>, at: Range<usize>, lane: &Arc<Lane>) {
        let Some(message) = under_way.message() else { return };
        let name = &message.body[at.clone()];
        let statement = self.statements.as_ref().and_then(|statements| statements.get(name)).cloned();
        let Some(mut statement) = statement else {
            let error = error(SqlState::INVALID_SQL_STATEMENT_NAME, name, "does not exist");
            under_way.refuse_unknown(at, error);
            return;
        };
        if self.own.is_some() && self.own_use(under_way, &at, &statement) {
            return;
        }
        if let Err(fault) = self.keep_entry_by_name(statement.text()) {
            return under_way.refuse_to_run(at, bytes_of(&fault));
        }
        let Some(message) = under_way.message() else { return };
        let name = &message.body[at.clone()];
        let (named, binds) = (!name.is_empty(), message.kind == kind::BIND);
        let now;
        let mut meanwhile = Meanwhile::default();
        if !named {
            statement = self.unnamed_anew(under_way, statement);
        } else if self.bent != Bent::No || !statement.suits(&self.settings) {
            let name = Box::from(key(name));
            if !binds && self.describe_apart(under_way, &at, &statement) {
                return;
            }
            statement = self.prepared_again(under_way, name, statement);
            if !under_way.has(&statement) {
                now = self.settings.clone();
                meanwhile = self.meanwhile(under_way, &statement, &now);
            }
        }
        if binds {
            if named {
                self.meter.bound_named();
            }
            self.bind(under_way, at, &statement, &meanwhile, lane);
        } else if !self.describe_in_its_place(under_way, &at, &statement) {
            self.use_statement(under_way, at, &statement, &meanwhile, None);
        }
    }

    /// The unnamed statement, which a server that lacks it reads by the rules of now.
    fn unnamed_anew(&mut self, under_way: &mut Forwarding<'_>, statement: Arc<Statement>) -> Arc<Statement> {
        let Some(body) = statement.body().filter(|_| !under_way.has(&statement)) else { return statement };
        let readings = self.readings(under_way.server());
        let statements = self.statements.get_or_insert_default();
        let now = statements.unnamed_for(body, &self.settings, readings);
        if !Arc::ptr_eq(&now, &statement) {
            statements.put(b"", Some(now.clone()));
        }
        now
    }

    /// Bind of a statement that the client has; `at` is where it is named.
    fn bind(
        &mut self,
        under_way: &mut Forwarding<'_>,
        at: Range<usize>,
        statement: &Arc<Statement>,
        meanwhile: &Meanwhile<'_>,
        lane: &Arc<Lane>,
    ) {
        if statement.body().is_none() {
            self.touch_hidden();
        }
        let told = self.pool.catalog().told(statement);
        let facts = told.as_ref().and_then(|told| told.facts());
        let drops = facts.and_then(|facts| self.dropped(facts));
        let replaced = matches!(drops, Some(Drops::One(_)));
        let resets = facts.filter(|facts| self.may_reset(facts));
        let sent = if resets.is_some_and(Facts::returns_nothing) { Sent::Bound } else { Sent::Otherwise };
        let judged = match facts {
            _ if replaced => Ok(()),
            Some(facts) => self
                .keep_reading(statement.text(), facts)
                .and_then(|()| self.touch(facts, sent, under_way.server_mut(), lane)),
            None => self.note_told(told.as_deref()),
        };
        self.time_portal(under_way, &at, statement.pattern(), Some(Kept::Prepared(statement.clone())));
        let judged = judged.and_then(|()| match told.as_ref() {
            Some(told) if !replaced => {
                self.confirm_here(told.verdict, || self.confirmed(statement, told, Catalog::judge_at_once))
            }
            _ => Ok(()),
        });
        if let Err(fault) = judged {
            self.count_refused_pin(&fault);
            self.note_refused_here();
            return match miscounted(under_way, statement, at.clone()) {
                Some(error) => under_way.refuse_unknown(at, error),
                None => under_way.refuse_to_run(at, bytes_of(&fault)),
            };
        }
        let exchange = under_way.server().exchange();
        let unsaid = replaced || (exchange.status() == Status::Failed || exchange.owes()) && !under_way.has(statement);
        if unsaid && let Some(error) = miscounted(under_way, statement, at.clone()) {
            return under_way.refuse_unknown(at, error);
        }
        let mut known = self.portal(statement, facts, drops);
        known.resets = resets.map(|_| statement.clone());
        let (Some(message), Some(statements)) = (under_way.message(), self.statements.as_deref_mut()) else { return };
        if !known.is_nothing() && !statements.has_room_for_portal() {
            return under_way.refuse_to_run(at, too_many_portals());
        }
        let known = Some(known).filter(|known| !known.is_nothing());
        let effect = statements.put_portal(&message.body[..at.start - 1], known);
        if replaced {
            bind_deallocate(under_way, at, statement, effect);
        } else {
            self.use_statement(under_way, at, statement, meanwhile, effect);
        }
    }

    /// The message goes with the server's name of the statement at `at`, which is prepared in front of it if need be.
    fn use_statement(
        &mut self,
        under_way: &mut Forwarding<'_>,
        at: Range<usize>,
        statement: &Arc<Statement>,
        meanwhile: &Meanwhile<'_>,
        effect: Option<Effect>,
    ) {
        if !at.is_empty() {
            if let Some(prepared) = under_way.prepare(statement, self.rules.max_prepared_statements, meanwhile) {
                self.meter.prepared(prepared);
            }
            return under_way.rename(at, statement.name(), effect);
        }
        if !under_way.statements().has_unnamed(statement) {
            let server = under_way.statements().put_unnamed(Some(statement.clone()));
            under_way.prepare_unnamed(statement, Effect::Unnamed { client: Change::Kept, server });
        }
        under_way.pass(effect);
    }

    /// Describe of a statement that its server lacks: in a failed block it cannot be prepared any more, but described if it returns
    /// nothing. One that is empty is described in its place, with the types that it was given. Says whether it is.
    fn describe_in_its_place(
        &self,
        under_way: &mut Forwarding<'_>,
        at: &Range<usize>,
        statement: &Arc<Statement>,
    ) -> bool {
        let Some(body) = statement.body().filter(|_| !under_way.has(statement)) else { return false };
        let text = body.split(|&byte| byte == 0).next().unwrap_or_default();
        if !self.read(text, statement.readings()).returns_nothing() {
            return false;
        }
        under_way.prepare_own(LIKE_IT, &body[text.len()..]);
        under_way.rename(at.clone(), LIKE_IT, None);
        true
    }

    /// Close of a statement. Servers keep it for others, and for the next time: they are told to close what they do not have,
    /// which PostgreSQL takes for no mistake.
    fn close(&mut self, under_way: &mut Forwarding<'_>, at: Range<usize>) {
        let Some(message) = under_way.message() else { return };
        let name = &message.body[at.clone()];
        if name.is_empty() {
            let dropped = self.drop_unnamed(under_way);
            return under_way.pass(dropped);
        }
        let effect = self.statements.as_mut().and_then(|statements| {
            let before = statements.put(name, None)?;
            Some(Effect::Name { name: key(name).into(), before: Some(before) })
        });
        under_way.rename_to_nothing(at, effect);
    }
}

/// The error of a Bind that supplies another number of parameters than the statement takes, where PostgreSQL would name another
/// statement or cannot be asked: in a failed block this comes before the block's own error, and nothing can be prepared there.
fn miscounted(under_way: &Forwarding<'_>, statement: &Statement, name: Range<usize>) -> Option<BytesMut> {
    let body = under_way.message()?.body;
    let rest = body.get(name.end + 1..)?;
    let count = |at: usize| Some(usize::from(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?])));
    let formats = count(0)?;
    let supplied = count(2 + 2 * formats)?;
    let message = if formats > 1 && formats != supplied {
        format!("bind message has {formats} parameter formats but {supplied} parameters")
    } else {
        let wanted = statement.parameters().filter(|wanted| *wanted != supplied)?;
        let name = String::from_utf8_lossy(&body[name]);
        format!("bind message supplies {supplied} parameters, but prepared statement \"{name}\" requires {wanted}")
    };
    Some(fault(SqlState::PROTOCOL_VIOLATION, message))
}

fn complete(kind: u8) -> BytesMut {
    BytesMut::from(&[kind, 0, 0, 0, 4][..])
}

pub(super) fn error(code: SqlState, name: &[u8], what: &str) -> BytesMut {
    let name = String::from_utf8_lossy(name);
    let what = if name.is_empty() {
        format!("unnamed prepared statement {what}")
    } else {
        format!("prepared statement \"{name}\" {what}")
    };
    fault(code, what)
}

fn fault(code: SqlState, message: String) -> BytesMut {
    bytes_of(&Fault::error(Blame::Client, code, message))
}

/// Of one transaction, see [`crate::session::Statements::has_room_for_portal`].
pub(super) fn too_many_portals() -> BytesMut {
    fault(SqlState::OUT_OF_MEMORY, "too many portals that deallocate, declare or listen".into())
}

pub(super) fn bytes_of(fault: &Fault) -> BytesMut {
    let mut out = BytesMut::new();
    backend::error_response(&mut out, fault);
    out
}
