//! Texts on their way to a server are read for what they may do to their session: those of Query, and of Parse where statements
//! are not carried from server to server.

use super::answer::may_drop_statements;
use super::connection::Client;
use super::own::is_own;
use super::prepared::{bytes_of, too_many_portals};
use super::settle::{Bent, Sent};
use crate::pool::Lane;
use crate::server::{Forwarding, Server};
use crate::session::{Change, Effect, Settings, Statement, Unnamed};
use crate::sql::{Facts, Knowledge, Readers, Reading, Readings, Scanner, Token, Verb};
use crate::wire::backend::Status;
use crate::wire::frontend::kind;
use arc_swap::Guard;
use bytes::BytesMut;
use memchr::memchr;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

/// A text that is handed on in parts.
pub(super) struct Passing {
    readers: Readers,
    known: Arc<Knowledge>,
    // What it prepares. None: it is a Query.
    statement: Option<Arc<Statement>>,
    // Behind it are only the types of a Parse.
    ended: bool,
}

impl Passing {
    fn read(&mut self, bytes: &[u8]) {
        if !self.ended {
            let end = memchr(0, bytes);
            self.ended = end.is_some();
            self.readers.feed(&bytes[..end.unwrap_or(bytes.len())], &*self.known);
        }
    }
}

impl Client {
    /// What a text may do to its session that is read by these rules.
    pub(super) fn read(&self, text: &[u8], readings: Readings) -> Arc<Facts> {
        readings.facts(text, |reading| self.pool.catalog().read(text, reading))
    }

    /// The rules by which a text is read that goes to this server now. What has been sent and not answered yet may change them; that
    /// it has PostgreSQL tells in front of ReadyForQuery.
    pub(super) fn readings(&self, server: &Server) -> Readings {
        self.readings_under(&self.settings, server)
    }

    /// The same, with these settings in force as far as nothing under way changes them.
    pub(super) fn readings_under(&self, settings: &Settings, server: &Server) -> Readings {
        let certain = self.bent < Bent::Rules || server.exchange().status_behind_ours().is_some();
        if certain { Readings::certain(settings.reading()) } else { Readings::any(settings.reading()) }
    }

    /// The rules by which a text is read that goes to a server behind nothing else.
    pub(super) fn own_readings(&self) -> Readings {
        Readings::certain(self.settings.reading())
    }

    /// Notes what the text may leave behind.
    pub(super) fn query(&mut self, under_way: &mut Forwarding<'_>, lane: &Arc<Lane>) {
        let Some(message) = under_way.message() else { return };
        let exchange = under_way.server().exchange();
        let alone = exchange.status() == Status::Idle && !exchange.unsynced() && !exchange.owes();
        let text = message.body.strip_suffix(b"\0").unwrap_or(message.body);
        if !message.whole {
            self.note_unparsed();
            self.begin_passing(self.readings(under_way.server()), text, None);
            under_way.time(self.stat_of_unparsed(), None);
        } else {
            let readings = self.readings(under_way.server());
            let is_own = is_own(text);
            let (facts, confirmed) = match self.take_perused(text, readings) {
                // What was decided rests on both readers.
                Some(facts) => (facts, Ok(())),
                None => {
                    let facts = self.read(text, readings);
                    let both = || self.pool.catalog().judge_at_once(text, self.settings.reading()).1;
                    let confirmed = self.confirm_here(facts.verdict(), both);
                    (facts, confirmed)
                }
            };
            let confirmed = confirmed.and_then(|()| self.may_be_sent(Some(text), &facts));
            let stat = self.counted_as(&facts, text, readings);
            let kept = self.keep_text(text);
            under_way.time(stat, kept);
            let status = under_way.server().exchange().status_behind_ours();
            if let Some(status) = status
                && let Some(answer) = self.answer_of_names(&facts, status)
            {
                let dropped = self.drop_unnamed(under_way);
                under_way.answer(answer, dropped);
                under_way.end_ours();
                return;
            }
            if self.deallocate(under_way, &facts) || is_own && self.own_query(under_way, &facts) {
                return;
            }
            if may_drop_statements(&facts) {
                under_way.statements().await_drop();
            }
            if let Err(fault) = confirmed {
                self.note_refused_here();
                return self.refuse_query(under_way, &facts, bytes_of(&fault));
            }
            let sent = if alone { Sent::Alone } else { Sent::Query };
            if let Err(fault) = self.touch(&facts, sent, under_way.server_mut(), lane) {
                self.count_refused_pin(&fault);
                self.note_refused_here();
                return self.refuse_query(under_way, &facts, bytes_of(&fault));
            }
            let portals = self.declare(&facts);
            if !portals.is_empty() {
                let unnamed = Some(self.take_unnamed(under_way));
                return under_way.pass(Some(Effect::Names { names: Vec::new(), gone: 0, unnamed, portals }));
            }
        }
        let dropped = self.drop_unnamed(under_way);
        under_way.pass(dropped);
    }

    /// A Query of these facts is not run; but an end of a transaction that it begins with is, also in a failed block, which nothing
    /// else would end.
    pub(super) fn refuse_query(&mut self, under_way: &mut Forwarding<'_>, facts: &Facts, error: BytesMut) {
        let body = under_way.message().map(|message| message.body).unwrap_or_default();
        let reading = self.readings(under_way.server()).only(body).filter(|_| begins_with_end(facts));
        let from = reading.map_or(0, |reading| end_of_first(body, reading));
        let dropped = self.drop_unnamed(under_way);
        under_way.refuse_query(from, error, dropped);
    }

    /// A Query, or a Close of the unnamed statement.
    pub(super) fn drop_unnamed(&mut self, under_way: &mut Forwarding<'_>) -> Option<Effect> {
        let Unnamed { client, server } = self.take_unnamed(under_way);
        (client.is_some() || server.is_some()).then_some(Effect::Unnamed { client: Change::From(client), server })
    }

    /// What it drops: the client's, and the server's.
    pub(super) fn take_unnamed(&mut self, under_way: &mut Forwarding<'_>) -> Unnamed {
        let client = self.statements.as_mut().and_then(|statements| statements.put(b"", None));
        Unnamed { client, server: under_way.statements().put_unnamed(None) }
    }

    /// The beginning of a text that is read by these rules, of a Query or of what prepares this.
    pub(super) fn begin_passing(&mut self, readings: Readings, text: &[u8], statement: Option<Arc<Statement>>) {
        let known = Guard::into_inner(self.pool.catalog().known());
        let mut passing = Box::new(Passing { readers: Readers::new(readings), known, statement, ended: false });
        passing.read(text);
        self.passing = Some(passing);
    }

    /// The next part of it.
    pub(super) fn read_on(&mut self, chunk: &[u8]) {
        if let Some(passing) = self.passing.as_deref_mut() {
            passing.read(chunk);
        }
    }

    /// It may be the last one: only now it is known what the text does. A Query can still be refused: without the zero that ends it,
    /// PostgreSQL does not look at it.
    pub(super) fn read_to_its_end(&mut self, server: &mut Server, lane: &Arc<Lane>, chunk: &mut BytesMut) {
        if !server.exchange().ends_outgoing(chunk.len()) {
            return;
        }
        let Some(passing) = self.passing.take() else { return };
        let Passing { readers, known, statement, .. } = *passing;
        let facts = readers.finish(&*known);
        if let Some(statement) = statement {
            return statement.tell(Arc::new(facts), &known);
        }
        if may_drop_statements(&facts) {
            server.await_drop();
        }
        let kept = self.may_be_sent(None, &facts);
        match kept.and_then(|()| self.touch(&facts, Sent::Otherwise, server, lane)) {
            Ok(()) => self.note_streamed(&facts),
            Err(fault) => {
                self.count_refused_pin(&fault);
                if let Some(end) = chunk.last_mut() {
                    *end = b' ';
                }
                server.refuse_under_way(bytes_of(&fault));
            }
        }
    }

    /// Statements are not carried from server to server, but what they do is looked at.
    pub(super) fn pass_parse(&mut self, under_way: &mut Forwarding<'_>, name: Range<usize>, lane: &Arc<Lane>) {
        let Some(message) = under_way.message() else { return };
        let text = message.body[name.end + 1..].split(|&byte| byte == 0).next().unwrap_or_default();
        let readings = self.readings(under_way.server());
        let facts = self.read(text, readings);
        self.note_parsed(&message.body[name.clone()]);
        let reading = readings.only(text).filter(|_| message.whole);
        let pattern = reading.and_then(|reading| facts.pattern(text, reading).cloned());
        if name.is_empty() {
            self.note_unnamed(text, message.whole);
        }
        if message.whole
            && let Err(fault) = self.may_be_sent(Some(text), &facts)
        {
            return under_way.replace_refused(bytes_of(&fault));
        }
        if !message.whole || self.touch(&facts, Sent::Otherwise, under_way.server_mut(), lane).is_err() {
            self.touch_hidden();
        }
        under_way.know_statement(name.clone(), pattern);
        if self.listening.is_some() && name.is_empty() {
            return self.parse_unnamed(under_way, name);
        }
        under_way.pass(None);
    }

    /// Bind of one of those. Whether it is looked at again when it is executed LISTEN has to know.
    pub(super) fn pass_bind(&mut self, under_way: &mut Forwarding<'_>, name: Range<usize>) {
        if under_way.message().is_some_and(|message| message.kind == kind::BIND) {
            self.time_own_portal(under_way, &name);
        }
        let bound = under_way.message().filter(|message| message.kind == kind::BIND);
        if let Some(message) = &bound {
            self.note_run_of(&message.body[name.clone()]);
        }
        let (Some(message), Some(statements)) = (bound, self.statements.as_deref()) else {
            return under_way.pass(None);
        };
        let known = statements.get(&message.body[name.clone()]).map(|statement| self.portal(statement, None, None));
        let known = known.filter(|known| !known.is_nothing());
        if known.is_some() && !statements.has_room_for_portal() {
            return under_way.refuse_to_run(name, too_many_portals());
        }
        let portal = &message.body[..name.start - 1];
        let effect = self.statements.as_deref_mut().and_then(|statements| statements.put_portal(portal, known));
        under_way.pass(effect);
    }
}

/// Whether the first of several statements is one that PostgreSQL runs in a failed block. Source: `IsTransactionExitStmt` in its
/// `src/backend/tcop/postgres.c`.
pub(super) fn begins_with_end(facts: &Facts) -> bool {
    let ends = |verb: &Verb| {
        matches!(verb, Verb::Commit { .. } | Verb::Rollback { .. } | Verb::RollbackTo(_) | Verb::PrepareTransaction)
    };
    facts.unsure.is_none()
        && facts.statements.len() > 1
        && facts.statements.get(0).is_some_and(|first| ends(&first.verb))
}

/// Behind the semicolon that ends the first statement of a text; such a statement has none within.
pub(super) fn end_of_first(text: &[u8], reading: Reading) -> usize {
    let (begun, mut words, mut end) = (Cell::new(0), false, None);
    Scanner::new(reading).feed_telling(text, &begun, &mut |token| match token {
        Token::Symbol(b';') if words && end.is_none() => end = Some(begun.get() + 1),
        Token::Symbol(b';') => (),
        _ => words = true,
    });
    end.unwrap_or(0)
}
