//! A client's request on its way to a server: most messages go as they came, some are renamed, left out, or have others
//! put in front of them. Bytes that do not change are not copied if nothing changes at all.

use super::connection::Server;
use super::exchange::{FAILS, Timed};
use super::portals::Executed;
use super::reply_queue::Disposition::{self, Quiet, Swallow};
use crate::clock::Instant;
use crate::metrics::{Prepared, Stat};
use crate::session::{Effect, Frozen, Has, Kept, ServerStatements, Statement};
use crate::sql::{Pattern, literal};
use crate::wire::backend::Status;
use crate::wire::frame::{self, HEAD, Head};
use crate::wire::frontend::{self, kind};
use bytes::{BufMut, BytesMut};
use std::ops::Range;
use std::sync::Arc;

/// A statement that no server has.
pub(super) const NOTHING: &str = "pgotter.nothing";

/// What is prepared to hear whether the block has failed, and its text and types. That takes no snapshot, so that an isolation level
/// may still be chosen behind it.
const CHECK: &str = "pgotter.check";
const CHECKED: &[u8] = b"SHOW ALL\0\0\0";

/// What sets something for a moment, and its portal.
const SET: &str = "pgotter.meanwhile";

/// Messages that begin with a whole head, and what has become of them so far.
pub struct Forwarding<'a> {
    server: &'a mut Server,
    chunk: BytesMut,
    // The message looked at.
    at: usize,
    // What is in front of this has been copied or left out.
    copied: usize,
    out: BytesMut,
    // Nothing of the client's stands in front of it, nor is a transaction open.
    begins: bool,
    // A Sync has been passed, which is the last message then.
    synced: bool,
    // When all of it goes, and how many microseconds the first statement in it has waited for that.
    sent: Instant,
    waited_us: u32,
    // An Execute was seen: it is known whether it is one of several.
    executes: bool,
}

/// Settings that are others while a statement is prepared: each with its value meanwhile, and its value before and behind it.
#[derive(Default)]
pub struct Meanwhile<'a> {
    /// None, most of the time.
    pub settings: Vec<Frozen<'a>>,
    /// That is in a block: a subtransaction of its own brings back what it was.
    pub block: bool,
}

/// The message looked at. Its body may go on behind the chunk.
pub struct Message<'a> {
    /// Type byte.
    pub kind: u8,
    /// As much of the body as is here.
    pub body: &'a [u8],
    /// Whether that is all of it.
    pub whole: bool,
    /// Bytes of all of it, with its head.
    pub total: usize,
}

impl Server {
    /// Begins with a chunk whose first byte is that of a message. It goes now, after the first statement in it has waited for so many
    /// microseconds.
    pub fn forward(&mut self, chunk: BytesMut, sent: Instant, waited_us: u32) -> Forwarding<'_> {
        let (begins, out) = (self.exchange.status_behind_ours() == Some(Status::Idle), BytesMut::new());
        Forwarding {
            server: self,
            chunk,
            at: 0,
            copied: 0,
            out,
            begins,
            synced: false,
            sent,
            waited_us,
            executes: false,
        }
    }
}

impl Forwarding<'_> {
    /// The message to be dealt with next.
    pub fn message(&self) -> Option<Message<'_>> {
        let rest = self.chunk.get(self.at..)?;
        let head = Head::read(rest)?;
        let total = head.frame_len()?;
        Some(Message { kind: head.kind, body: &rest[HEAD..total.min(rest.len())], whole: rest.len() >= total, total })
    }

    /// What the server has prepared.
    pub fn statements(&mut self) -> &mut ServerStatements {
        &mut self.server.statements
    }

    /// Whether the server is known to have a statement, by its name or as the one that has none.
    pub fn has(&mut self, statement: &Arc<Statement>) -> bool {
        let statements = &mut self.server.statements;
        if statement.name().is_empty() {
            return statements.has_unnamed(statement);
        }
        statements.has(statement) == Has::Yes
    }

    /// Whether something of ours may be executed in front of this message: a Sync is behind it before any Query, or its client
    /// executes something itself.
    pub fn may_execute(&self) -> bool {
        frame::all(&self.chunk[self.at..]).any(|(kind, _)| matches!(kind, kind::EXECUTE | kind::SYNC))
    }

    /// The server it goes to.
    pub fn server_mut(&mut self) -> &mut Server {
        self.server
    }

    /// The server it goes to.
    pub fn server(&self) -> &Server {
        self.server
    }

    /// The message is a statement, counted as this; `kept` is what it says of itself.
    pub fn time(&mut self, stat: Arc<Stat>, kept: Option<Kept>) {
        self.time_executed(Executed { stat, kept, goes_on: false });
    }

    fn time_executed(&mut self, Executed { stat, kept, goes_on }: Executed) {
        let (sent, waited_us) = (self.sent, std::mem::take(&mut self.waited_us));
        self.server.exchange.time(Some(Timed { stat, sent, waited_us, goes_on, kept }));
    }

    /// The message executes the portal at `portal` in its body; `unknown` where nothing is known of that. `may_flush`: the client may have
    /// its answer before others that are sent with it have run.
    pub fn time_execute(
        &mut self,
        portal: Range<usize>,
        may_flush: impl FnOnce() -> bool,
        unknown: impl FnOnce() -> Arc<Stat>,
    ) {
        if !std::mem::replace(&mut self.executes, true) && self.begins_several() && may_flush() {
            self.server.begin_pipeline();
        }
        let from = self.at + HEAD;
        let portal = self.chunk.get(from + portal.start..from + portal.end).unwrap_or_default();
        let executed = self.server.portals.execute(portal);
        self.time_executed(executed.unwrap_or_else(|| Executed { stat: unknown(), kept: None, goes_on: false }));
    }

    /// Whether this Execute is the first of several, and the server has nothing else to do.
    fn begins_several(&self) -> bool {
        let behind = self.chunk.get(self.end()..).unwrap_or_default();
        // Mostly that is a Sync.
        behind.len() > HEAD
            && self.server.exchange.runs_nothing()
            && frame::all(behind).any(|(kind, _)| kind == kind::EXECUTE)
    }

    /// The message binds the portal at `portal` in its body, which is counted as this when it is executed, and says this of itself.
    pub fn bind_portal(&mut self, portal: Range<usize>, stat: Arc<Stat>, kept: Option<Kept>) {
        let from = self.at + HEAD;
        let portal = self.chunk.get(from + portal.start..from + portal.end).unwrap_or_default();
        self.server.portals.bind(portal, stat, kept);
    }

    /// The message prepares the statement that is named at `name` in its body, where names are the server's.
    pub fn know_statement(&mut self, name: Range<usize>, pattern: Option<Arc<Pattern>>) {
        let from = self.at + HEAD;
        let name = self.chunk.get(from + name.start..from + name.end).unwrap_or_default();
        self.server.portals.parse(name, pattern);
    }

    /// What was prepared under the name at `name` in the message's body, where names are the server's.
    pub fn known_statement(&self, name: Range<usize>) -> Option<Arc<Pattern>> {
        let message = self.message()?;
        self.server.portals.statement(message.body.get(name)?).cloned()
    }

    /// It goes as it is.
    pub fn pass(&mut self, effect: Option<Effect>) {
        let Some(Message { kind, body, total, .. }) = self.message() else { return };
        let here = HEAD + body.len();
        self.synced = kind == frontend::kind::SYNC;
        self.server.exchange.sending_frame(kind, total, here);
        self.attach(effect);
        self.at += here;
        if kind == frontend::kind::EXECUTE && self.server.exchange.tells_apart() {
            self.flush();
        }
    }

    /// What has been passed is to be answered now, unless nothing but a Sync is behind it.
    #[cold]
    fn flush(&mut self) {
        if self.chunk.len() - self.at > HEAD {
            self.copy();
            frontend::message(&mut self.out, frontend::kind::FLUSH, |_| ());
        }
    }

    /// It goes with another name in place of the one at `old` in its body.
    pub fn rename(&mut self, old: Range<usize>, new: &str, effect: Option<Effect>) {
        let from = self.put_renamed(old, new);
        self.server.exchange.sending(&self.out[from..]);
        self.attach(effect);
    }

    /// As [`Self::rename`], to a name that no server has.
    pub fn rename_to_nothing(&mut self, old: Range<usize>, effect: Option<Effect>) {
        self.rename(old, NOTHING, effect);
    }

    /// As [`Self::rename`] to a name with which it will fail; see [`Exchange::sending_refused`](super::Exchange::sending_refused).
    pub fn refuse(&mut self, old: Range<usize>, new: &str, error: BytesMut) {
        let from = self.put_renamed(old, new);
        self.server.exchange.sending_refused(&self.out[from..], error);
    }

    /// As [`Self::pass`], for what will fail as a statement is not there; see [`Exchange::sending_refused`](super::Exchange::sending_refused).
    pub fn pass_refused(&mut self, error: BytesMut) {
        let end = self.end();
        self.server.exchange.sending_refused(&self.chunk[self.at..end], error);
        self.at = end;
    }

    /// As [`Self::refuse`], with a name that no server has.
    pub fn refuse_unknown(&mut self, old: Range<usize>, error: BytesMut) {
        self.close(NOTHING, None);
        self.refuse(old, NOTHING, error);
    }

    /// As [`Self::refuse_unknown`], of something that PostgreSQL could run: in a failed block it says that instead.
    pub fn refuse_to_run(&mut self, old: Range<usize>, error: BytesMut) {
        self.prepare_own(CHECK, CHECKED);
        self.refuse_unknown(old, error);
    }

    /// Something that fails goes in its place; the client is told `error`, an ErrorResponse, or that the block has failed before. Only
    /// for a whole message of the extended protocol.
    pub fn replace_refused(&mut self, error: BytesMut) {
        self.prepare_own(CHECK, CHECKED);
        self.close(NOTHING, None);
        let from = self.out.len();
        frontend::describe_statement(&mut self.out, NOTHING);
        self.server.exchange.sending_refused(&self.out[from..], error);
        let end = self.end();
        (self.copied, self.at) = (end, end);
    }

    /// A Query goes, and fails at the byte `from` of its text, with `error`. PostgreSQL may have something to say of it before: of
    /// what it cannot read, of a block that has failed, of what stands in front. Only for a whole message.
    pub fn refuse_query(&mut self, from: usize, error: BytesMut, effect: Option<Effect>) {
        self.close(NOTHING, None);
        let (begun, end) = (self.out.len(), self.end());
        let body = &self.chunk[self.at + HEAD..end];
        let (runs, refused) = body.split_at(from.min(body.len()));
        frontend::message(&mut self.out, kind::QUERY, |out| {
            [runs, FAILS, refused].into_iter().for_each(|part| out.extend_from_slice(part));
        });
        self.server.exchange.sending_refused(&self.out[begun..], error);
        self.attach(effect);
        (self.copied, self.at) = (end, end);
    }

    /// It does not go; the client is answered in its turn.
    pub fn answer(&mut self, answer: BytesMut, effect: Option<Effect>) {
        self.copy();
        let end = self.end();
        (self.copied, self.at) = (end, end);
        self.server.exchange.invent(answer);
        self.attach(effect);
    }

    /// Has the server prepare a statement that it may lack, in front of this message. Whether it did lack it; `None`: its text is not
    /// known.
    pub fn prepare(&mut self, statement: &Statement, limit: usize, meanwhile: &Meanwhile<'_>) -> Option<Prepared> {
        let body = statement.body()?;
        let prepared = self.make_place(statement, limit);
        if prepared != Prepared::Hit {
            let Meanwhile { settings, block } = meanwhile;
            let block = *block && !settings.is_empty();
            if block {
                self.run("SAVEPOINT \"pgotter.meanwhile\"");
            }
            settings.iter().for_each(|(name, then, _)| self.set(name, *then));
            self.put_parse(statement.name(), body, Some(Effect::Parse(statement.server_name())));
            if block {
                self.run("ROLLBACK TO \"pgotter.meanwhile\"");
                self.run("RELEASE \"pgotter.meanwhile\"");
            } else {
                settings.iter().for_each(|(name, _, now)| self.set(name, *now));
            }
        }
        Some(prepared)
    }

    /// As [`Self::prepare`], for the statement that has no name.
    pub fn prepare_unnamed(&mut self, statement: &Statement, effect: Effect) {
        if let Some(body) = statement.body() {
            self.put_parse("", body, Some(effect));
        }
    }

    /// Has the server prepare something under one of our own names, in front of this message. `body` as in a Parse.
    pub fn prepare_own(&mut self, name: &str, body: &[u8]) {
        self.close(name, None);
        self.put_parse(name, body, None);
    }

    /// A Query of another text goes in its place. Only for a whole message.
    pub fn replace_query(&mut self, text: &str, effect: Effect) {
        self.copy();
        let from = self.out.len();
        frontend::query(&mut self.out, text);
        self.server.exchange.sending(&self.out[from..]);
        self.attach(Some(effect));
        let end = self.end();
        (self.copied, self.at) = (end, end);
    }

    /// Counts a statement among those that the server has, and closes another one for it if need be. A hit: it has it already.
    pub fn make_place(&mut self, statement: &Statement, limit: usize) -> Prepared {
        match self.server.statements.has(statement) {
            Has::Yes => return Prepared::Hit,
            Has::Perhaps => self.close(statement.name(), None),
            Has::No => (),
        }
        if let Some(oldest) = self.server.statements.parsed(statement, limit) {
            self.close(&oldest.to_string(), Some(Effect::Close(oldest)));
            return Prepared::Evicted;
        }
        Prepared::Miss
    }

    /// Nothing of the client goes behind what we have sent: has the server answer it.
    pub fn end_ours(&mut self) {
        if self.server.exchange.owes() {
            self.copy();
            frontend::sync(&mut self.out);
            self.server.exchange.sending_own(kind::SYNC, Swallow);
        }
    }

    /// Has the server close a statement, in front of this message.
    pub fn close(&mut self, name: &str, effect: Option<Effect>) {
        self.copy();
        frontend::close_statement(&mut self.out, name);
        self.server.exchange.sending_own(kind::CLOSE, Swallow);
        self.attach(effect);
    }

    /// Queues what has become of the chunk. Nothing may be left of it.
    pub fn finish(mut self) {
        self.server.again.forget();
        self.server.exchange.time(None);
        if self.copied == 0 && self.out.is_empty() {
            self.server.queue(self.chunk);
            return;
        }
        self.copy();
        self.server.queue(self.out);
        if self.begins && self.synced {
            self.server.again.keep(self.chunk);
        }
    }

    fn end(&self) -> usize {
        let rest = &self.chunk[self.at..];
        let total = Head::read(rest).and_then(Head::frame_len).unwrap_or(rest.len());
        self.at + total.min(rest.len())
    }

    fn attach(&mut self, effect: Option<Effect>) {
        if let Some(effect) = effect {
            self.server.exchange.attach(effect);
        }
    }

    /// Brings `out` up to the message looked at.
    fn copy(&mut self) {
        if self.out.capacity() == 0 {
            // A name of ours for each message that has one, most likely.
            self.out.reserve(self.chunk.len() + 64);
        }
        self.out.extend_from_slice(&self.chunk[self.copied..self.at]);
        self.copied = self.at;
    }

    fn put_renamed(&mut self, old: Range<usize>, new: &str) -> usize {
        self.copy();
        let end = self.end();
        let frame = &self.chunk[self.at..end];
        let from = self.out.len();
        let length = Head::read(frame).and_then(|head| frontend::renamed(head, old.len(), new.len()));
        self.out.extend_from_slice(&frame[..1]);
        self.out.put_i32(length.expect("invariant: client::names refuses what has no room for a name of ours"));
        self.out.extend_from_slice(&frame[HEAD..HEAD + old.start]);
        self.out.extend_from_slice(new.as_bytes());
        self.out.extend_from_slice(&frame[HEAD + old.end..]);
        (self.copied, self.at) = (end, end);
        from
    }

    fn set(&mut self, name: &[u8], value: Option<&[u8]>) {
        let home = self.server.belief.home().clone();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = value.or(home.own(name)).map_or_else(|| "DEFAULT".to_owned(), |value| literal(&text(value)));
        self.run(&format!("SET {} TO {value}", text(name)));
    }

    /// Has the server run a statement that returns nothing.
    fn run(&mut self, sql: &str) {
        self.prepare_own(SET, format!("{sql}\0\0\0").as_bytes());
        self.put(kind::BIND, Quiet, |out| frontend::bind(out, SET, SET, &[]));
        self.put(kind::EXECUTE, Quiet, |out| frontend::execute(out, SET));
        self.put(kind::CLOSE, Swallow, |out| frontend::close_portal(out, SET));
    }

    /// One message of our own.
    fn put(&mut self, kind: u8, disposition: Disposition, write: impl FnOnce(&mut BytesMut)) {
        self.copy();
        write(&mut self.out);
        self.server.exchange.sending_own(kind, disposition);
    }

    fn put_parse(&mut self, name: &str, body: &[u8], effect: Option<Effect>) {
        self.copy();
        frontend::message(&mut self.out, kind::PARSE, |out| {
            frontend::put_cstr(out, name.as_bytes());
            out.extend_from_slice(body);
        });
        self.server.exchange.sending_own(kind::PARSE, Quiet);
        self.attach(effect);
    }
}
