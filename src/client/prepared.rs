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

use super::answer::may_drop_statements;
use super::connection::Client;
use super::deallocate::EMPTY;
use super::serve::Left;
use super::settle::Bent;
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, SqlState};
use crate::pool::Lane;
use crate::server::{Forwarding, Message, Server};
use crate::session::{Change, Effect, Has, ServerName, Statement, key};
use crate::sql::{Facts, Reader, Verb};
use crate::wire::backend::{self, Status};
use crate::wire::frame;
use crate::wire::frontend::{self, kind};
use arc_swap::Guard;
use bytes::BytesMut;
use memchr::memchr;
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
    /// FATAL 54000 for a name that is too long to be read.
    pub(super) fn send(
        &mut self,
        server: &mut Server,
        lane: &Arc<Lane>,
        mode: PoolMode,
        chunk: BytesMut,
        first: Option<u8>,
    ) -> Result<(), Left> {
        if mode == PoolMode::Session {
            self.read_resets(&chunk, first);
            server.send(chunk);
            return Ok(());
        }
        if first.is_none() {
            self.read_on(&chunk);
            server.send(chunk);
            self.read_to_its_end(server, lane);
            return Ok(());
        }
        // PostgreSQL does not look at it either, or takes it for a mistake.
        if server.exchange().is_skipping() || server.exchange().copy_in() {
            server.send(chunk);
            return Ok(());
        }
        let mut under_way = server.forward(chunk);
        while let Some(message) = under_way.message() {
            match read(&message).map_err(Left::Refused)? {
                Said::Other => under_way.pass(None),
                Said::Query => self.query(&mut under_way, lane),
                Said::Parse { name } if self.rules.max_prepared_statements == 0 => {
                    self.pass_parse(&mut under_way, name, lane);
                }
                _ if self.rules.max_prepared_statements == 0 => under_way.pass(None),
                Said::Parse { name } => self.parse(&mut under_way, name),
                Said::Call => {
                    self.touch_hidden();
                    under_way.pass(None);
                }
                Said::Use { name } => self.name(&mut under_way, name, lane),
                Said::Execute { portal } => self.execute(&mut under_way, portal),
                Said::Close { name } => self.close(&mut under_way, name),
            }
        }
        under_way.finish();
        while let Some(answer) = server.take_due() {
            self.socket.queue(answer);
        }
        Ok(())
    }

    /// A session needs to be looked at only for what brings it back to defaults that are not the client's.
    fn read_resets(&mut self, chunk: &[u8], first: Option<u8>) {
        if first.is_none() || self.base.iter().next().is_none() {
            return;
        }
        let mut rest = chunk;
        while let Some((kind, body, total)) = frame::first(rest) {
            let mut words = body.split(|&byte| byte == 0);
            match (kind, words.next(), words.next()) {
                (kind::QUERY, Some(text), _) => {
                    let facts = self.read(text);
                    self.note_resets(&facts);
                }
                (kind::PARSE, Some(name), Some(text)) => {
                    // Kept if it is one of these: it may be executed later.
                    let facts = self.read(text);
                    let resets = facts.statements.iter().any(|statement| {
                        matches!(statement.verb, Verb::Reset(_) | Verb::ResetAll | Verb::Discard(_) | Verb::Set(_))
                    });
                    if resets {
                        let statements = self.statements.get_or_insert_default();
                        if statements.has_room(name, text.len()) {
                            statements.put(name, Some(Arc::new(Statement::unnamed(Some(text), &self.settings))));
                        }
                    } else if let Some(statements) = &mut self.statements {
                        statements.put(name, None);
                    }
                }
                (kind::BIND, _, Some(name)) => {
                    let statement = self.statements.as_ref().and_then(|statements| statements.get(name)).cloned();
                    if let Some(text) = statement.as_ref().and_then(|statement| statement.body()) {
                        let facts = self.read(text);
                        self.note_resets(&facts);
                    }
                }
                _ => (),
            }
            rest = &rest[total..];
        }
    }

    /// What a text may do to its session.
    pub(super) fn read(&self, text: &[u8]) -> Arc<Facts> {
        self.pool.catalog().read(text, self.settings.reading())
    }

    /// Whether PostgreSQL may read this text by other rules than are in force now: `standard_conforming_strings` says what a backslash is,
    /// and what has been sent and not answered yet may set it.
    fn may_read_otherwise(&self, text: &[u8], under_way: &Forwarding<'_>) -> bool {
        self.bent == Bent::Reading && under_way.server().exchange().owes() && memchr(b'\\', text).is_some()
    }

    /// Notes what the text may leave behind.
    fn query(&mut self, under_way: &mut Forwarding<'_>, lane: &Arc<Lane>) {
        let Some(message) = under_way.message() else { return };
        let exchange = under_way.server().exchange();
        let alone = exchange.status() == Status::Idle && !exchange.unsynced() && !exchange.owes();
        let text = message.body.strip_suffix(b"\0").unwrap_or(message.body);
        if !message.whole {
            let known = Guard::into_inner(self.pool.catalog().known());
            let mut reader = Reader::new(self.settings.reading());
            reader.feed(text, &*known);
            self.passing = Some(Box::new((reader, known)));
        } else {
            let facts = if self.may_read_otherwise(text, under_way) { Arc::new(Facts::anything()) } else { self.read(text) };
            let status = exchange.status_behind_ours();
            if let Some(status) = status
                && let Some(answer) = self.answer_of_names(&facts, status)
            {
                let dropped = self.drop_unnamed(under_way);
                under_way.answer(answer, dropped);
                under_way.end_ours();
                return;
            }
            if self.deallocate(under_way, &facts) {
                return;
            }
            if may_drop_statements(&facts) {
                under_way.statements().await_drop();
            }
            if let Err(fault) = self.touch(&facts, alone, under_way.server_mut(), lane) {
                let dropped = self.drop_unnamed(under_way);
                return under_way.replace_refused_query(bytes_of(&fault), dropped);
            }
        }
        let dropped = self.drop_unnamed(under_way);
        under_way.pass(dropped);
    }

    /// A Query, or a Close of the unnamed statement.
    fn drop_unnamed(&mut self, under_way: &mut Forwarding<'_>) -> Option<Effect> {
        let before = self.statements.as_mut().and_then(|statements| statements.put(b"", None));
        let server = under_way.statements().put_unnamed(None);
        (before.is_some() || server.is_some()).then_some(Effect::Unnamed { client: Change::From(before), server })
    }

    /// The next part of a Query.
    fn read_on(&mut self, chunk: &[u8]) {
        if let Some((reader, known)) = self.passing.as_deref_mut() {
            reader.feed(chunk.strip_suffix(b"\0").unwrap_or(chunk), &**known);
        }
    }

    /// It may have been the last one. What it leaves behind cannot be refused any more.
    fn read_to_its_end(&mut self, server: &mut Server, lane: &Arc<Lane>) {
        if !server.exchange().cut_outgoing()
            && let Some(passing) = self.passing.take()
        {
            let (reader, known) = *passing;
            let facts = reader.finish(&*known);
            if may_drop_statements(&facts) {
                server.await_drop();
            }
            self.note_streamed(&facts);
            if self.touch(&facts, false, server, lane).is_err() {
                self.touch_hidden();
            }
        }
    }

    /// Statements are not carried from server to server, but what they do is looked at.
    fn pass_parse(&mut self, under_way: &mut Forwarding<'_>, name: Range<usize>, lane: &Arc<Lane>) {
        let Some(message) = under_way.message() else { return };
        let text = message.body[name.end + 1..].split(|&byte| byte == 0).next().unwrap_or_default();
        let facts = self.read(text);
        if !message.whole || self.touch(&facts, false, under_way.server_mut(), lane).is_err() {
            self.touch_hidden();
        }
        under_way.pass(None);
    }

    fn parse(&mut self, under_way: &mut Forwarding<'_>, at: Range<usize>) {
        let limit = self.rules.max_prepared_statements;
        let Some(message) = under_way.message() else { return };
        let (name, body) = (&message.body[at.clone()], &message.body[at.end + 1..]);
        let body = Some(body).filter(|_| message.whole);
        let statements = self.statements.get_or_insert_default();
        if name.is_empty() {
            let statement = match body {
                Some(body) => statements.unnamed_for(body, &self.settings),
                None => Arc::new(Statement::unnamed(None, &self.settings)),
            };
            let client = Change::From(statements.put(b"", Some(statement.clone())));
            let server = under_way.statements().put_unnamed(Some(statement));
            under_way.pass(Some(Effect::Unnamed { client, server }));
            return;
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
            Some(body) if self.bent != Bent::No => Some(self.pool.statements().own(body, &self.settings)),
            Some(body) => self.pool.statements().share(body, &self.settings),
            None => Some(self.pool.statements().alone(&self.settings)),
        };
        let Some(statement) = shared else {
            let error = fault(SqlState::OUT_OF_MEMORY, "too many prepared statements".into());
            under_way.replace_refused(error);
            return;
        };
        let name: Box<[u8]> = key(name).into();
        statements.put(&name, Some(statement.clone()));
        if under_way.make_place(&statement, limit) {
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

    /// Bind, or Describe of a statement.
    fn name(&mut self, under_way: &mut Forwarding<'_>, at: Range<usize>, lane: &Arc<Lane>) {
        let limit = self.rules.max_prepared_statements;
        let Some(message) = under_way.message() else { return };
        let name = &message.body[at.clone()];
        let statement = self.statements.as_ref().and_then(|statements| statements.get(name)).cloned();
        let Some(statement) = statement else {
            let error = error(SqlState::INVALID_SQL_STATEMENT_NAME, name, "does not exist");
            under_way.refuse_unknown(at, error);
            return;
        };
        let (named, binds) = (!name.is_empty(), message.kind == kind::BIND);
        let statement = if named && (self.bent != Bent::No || !statement.suits(&self.settings)) {
            let name = Box::from(key(name));
            self.prepared_again(under_way, name, statement)
        } else {
            statement
        };
        if !binds && self.describe_in_its_place(under_way, &at, &statement) {
            return;
        }
        if binds && statement.body().is_none() {
            self.touch_hidden();
        }
        let told = binds.then(|| statement.told(&self.pool.catalog().known()));
        let facts = told.as_ref().and_then(|told| told.as_ref()?.facts());
        let anything;
        let facts = if binds && statement.body().is_some_and(|body| self.may_read_otherwise(body, under_way)) {
            anything = Facts::anything();
            Some(&anything)
        } else {
            facts
        };
        if binds && let (Some(message), Some(statements)) = (under_way.message(), &mut self.statements) {
            let portal = message.body.split(|&byte| byte == 0).next().unwrap_or_default();
            statements.note_portal(portal, facts.is_some_and(may_drop_statements));
        }
        if binds && self.bind_deallocate(under_way, &at, &statement, facts) {
            return;
        }
        if let Some(facts) = facts
            && let Err(fault) = self.touch(facts, false, under_way.server_mut(), lane)
        {
            return under_way.refuse_unknown(at, bytes_of(&fault));
        }
        if binds && let Some(error) = miscounted(under_way, &statement, at.clone()) {
            return under_way.refuse_unknown(at, error);
        }
        if named {
            under_way.prepare(&statement, limit);
            under_way.rename(at, statement.name(), None);
        } else {
            if !under_way.statements().has_unnamed(&statement) {
                let server = under_way.statements().put_unnamed(Some(statement.clone()));
                under_way.prepare_unnamed(&statement, Effect::Unnamed { client: Change::Kept, server });
            }
            under_way.pass(None);
        }
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
        if !self.read(text).returns_nothing() {
            return false;
        }
        under_way.prepare_own(LIKE_IT, &body[text.len()..]);
        under_way.rename(at.clone(), LIKE_IT, None);
        true
    }

    /// The client's statements are gone for what is behind it: that runs only if this succeeds.
    fn execute(&mut self, under_way: &mut Forwarding<'_>, at: Range<usize>) {
        let Some(message) = under_way.message() else { return };
        let portal = &message.body[at];
        if let Some(effect) = self.execute_deallocate(portal) {
            return under_way.pass(Some(effect));
        }
        let Some(statements) = self.statements.as_mut().filter(|statements| statements.drops(portal)) else {
            return under_way.pass(None);
        };
        let (client, server) = (statements.clear_named(), under_way.statements().doubt());
        under_way.pass(Some(Effect::AllNames { client, server }));
    }

    /// A statement of a client whose settings are not those any more under which it was prepared: where the server lacks it, it
    /// becomes another one, which others do not share. (PostgreSQL would go on with what it has frozen.)
    fn prepared_again(
        &mut self,
        under_way: &mut Forwarding<'_>,
        name: Box<[u8]>,
        statement: Arc<Statement>,
    ) -> Arc<Statement> {
        let Some(body) = statement.body() else { return statement };
        if under_way.statements().has(&statement) == Has::Yes {
            return statement;
        }
        let own = self.pool.statements().own(body, &self.settings);
        if let Some(statements) = &mut self.statements {
            statements.put(&name, Some(own.clone()));
        }
        own
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

/// The error of a Bind that supplies another number of parameters than the statement takes. In a failed block it comes before that
/// of the block; the statement cannot be prepared there.
fn miscounted(under_way: &mut Forwarding<'_>, statement: &Arc<Statement>, name: Range<usize>) -> Option<BytesMut> {
    let exchange = under_way.server().exchange();
    if exchange.status() != Status::Failed && !exchange.owes() || under_way.has(statement) {
        return None;
    }
    let body = under_way.message()?.body;
    let rest = body.get(name.end + 1..)?;
    let count = |at: usize| Some(usize::from(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?])));
    let supplied = count(2 + 2 * count(0)?)?;
    let wanted = statement.parameters().filter(|wanted| *wanted != supplied)?;
    let name = String::from_utf8_lossy(&body[name]);
    let message =
        format!("bind message supplies {supplied} parameters, but prepared statement \"{name}\" requires {wanted}");
    Some(fault(SqlState::PROTOCOL_VIOLATION, message))
}

/// What a message says about statements, and where in its body it names one.
enum Said {
    Other,
    Query,
    Call,
    Parse { name: Range<usize> },
    Use { name: Range<usize> },
    Execute { portal: Range<usize> },
    Close { name: Range<usize> },
}

fn read(message: &Message<'_>) -> Result<Said, Fault> {
    Ok(match message.kind {
        kind::QUERY => Said::Query,
        kind::FUNCTION_CALL => Said::Call,
        kind::PARSE => name(message, 0)?.map_or(Said::Other, |name| Said::Parse { name }),
        kind::BIND => match name(message, 0)? {
            Some(portal) => name_at(message, portal.end + 1)?,
            None => Said::Other,
        },
        kind::DESCRIBE if message.body.first() == Some(&b'S') => name_at(message, 1)?,
        kind::EXECUTE => name(message, 0)?.map_or(Said::Other, |portal| Said::Execute { portal }),
        kind::CLOSE if message.body.first() == Some(&b'S') => {
            name(message, 1)?.map_or(Said::Other, |name| Said::Close { name })
        }
        _ => Said::Other,
    })
}

fn name_at(message: &Message<'_>, at: usize) -> Result<Said, Fault> {
    Ok(name(message, at)?.map_or(Said::Other, |name| Said::Use { name }))
}

/// Whether the longest of our names fits in the place of one of so many bytes.
fn has_room(message: &Message<'_>, bytes: usize) -> bool {
    frontend::limit(message.kind).is_some_and(|limit| message.total - bytes + ServerName::BYTES_MAX <= limit)
}

/// Where the name is that begins at `at`. `None`: it does not end, of which PostgreSQL will complain.
fn name(message: &Message<'_>, at: usize) -> Result<Option<Range<usize>>, Fault> {
    let end = message.body.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0));
    match end {
        // With a name of ours in its place PostgreSQL would not read it.
        Some(end @ 1..) if !has_room(message, end) => {
            Err(Fault::fatal(Blame::Limit, SqlState::PROGRAM_LIMIT_EXCEEDED, "message with a name is too long")
                .with_hint("Use the unnamed statement for what is nearly 1 GB long."))
        }
        Some(end) => Ok(Some(at..at + end)),
        None if message.whole => Ok(None),
        None => Err(Fault::fatal(Blame::Limit, SqlState::PROGRAM_LIMIT_EXCEEDED, "name of a statement is too long")
            .with_hint("Use a shorter name; PostgreSQL looks at its first 63 bytes only.")),
    }
}

fn complete(kind: u8) -> BytesMut {
    BytesMut::from(&[kind, 0, 0, 0, 4][..])
}

fn error(code: SqlState, name: &[u8], what: &str) -> BytesMut {
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

fn bytes_of(fault: &Fault) -> BytesMut {
    let mut out = BytesMut::new();
    backend::error_response(&mut out, fault);
    out
}
