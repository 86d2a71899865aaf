//! The client's statements as they are counted: which one a message is, and what has come of it.
//!
//! What a server has said of them comes from its exchange; how long they took in all is known when the client has taken its answer.

use super::connection::Client;
use super::link::Link;
use super::names::{Said, read};
use super::slow::{SlowAnswer, supplied};
use crate::clock::{self, Instant};
use crate::config::RouteRule;
use crate::fault::Fault;
use crate::metrics::{Call, Description, ErrorSource, Meter, Name, ROLES, Stat, ToldError};
use crate::router::{Plan, To};
use crate::server::{Forwarding, Timed, Told};
use crate::session::Kept;
use crate::sql::{Facts, Pattern, Readings};
use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What is on its way to a client, beyond the one answer that there mostly is. Boxed: most clients have nothing, most of the time.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Since when nothing of it could be sent, and how much had been until then.
    pub stalled: Option<(Instant, u64)>,
    // Answers to statements, behind the first one.
    more: Vec<Answer>,
    // And those of a place that their client has left meanwhile, with what counts there.
    left: Vec<(Meter, Answer)>,
    /// What is to be told of slow ones.
    pub slow: Vec<SlowAnswer>,
}

/// The answer to a statement, until its client has taken it.
pub(super) struct Answer {
    stat: Arc<Stat>,
    sent: Instant,
    waited_us: u32,
    on_replica: bool,
    // Not all of it could be sent at once.
    late: bool,
    // When the server had said all of it.
    said: Instant,
}

impl Outgoing {
    fn answers(&mut self) -> impl Iterator<Item = &mut Answer> {
        self.left.iter_mut().map(|(_, answer)| answer).chain(&mut self.more)
    }
}

impl Client {
    /// What this text of a Query is counted as, read by these rules.
    pub(super) fn counted_as(&mut self, facts: &Facts, text: &[u8], readings: Readings) -> Arc<Stat> {
        self.stat(readings.only(text).and_then(|reading| facts.pattern(text, reading)))
    }

    /// What is counted for this pattern, which the client asks for.
    pub(super) fn stat(&mut self, pattern: Option<&Arc<Pattern>>) -> Arc<Stat> {
        let Some(pattern) = pattern else { return self.stat_of_unparsed() };
        let name = counted_name(Some(pattern));
        self.presence.asks(name);
        let describe =
            || Description { kind: pattern.kind, text: pattern.text.clone(), tables: pattern.tables.clone() };
        self.meter.statement(name, describe)
    }

    /// What is counted for statements of which nothing is known.
    pub(super) fn stat_of_unparsed(&self) -> Arc<Stat> {
        self.presence.asks(Name::Unparsed);
        self.meter.statement(Name::Unparsed, Description::default)
    }

    /// A Bind, whose portal will be counted as this, and says this of itself. `at` is where it names the statement: behind the portal.
    pub(super) fn time_portal(
        &mut self,
        under_way: &mut Forwarding<'_>,
        at: &Range<usize>,
        pattern: Option<&Arc<Pattern>>,
        mut kept: Option<Kept>,
    ) {
        if self.rules.slow.tells_parameters()
            && let Some(message) = under_way.message()
        {
            kept = Some(supplied(kept, message.body.get(at.end + 1..).unwrap_or_default()));
        }
        under_way.bind_portal(0..at.start.saturating_sub(1), self.stat(pattern), kept);
    }

    /// The same where names are the server's.
    pub(super) fn time_own_portal(&mut self, under_way: &mut Forwarding<'_>, at: &Range<usize>) {
        let pattern = under_way.known_statement(at.clone());
        // Of the others the texts are not kept.
        let kept = if at.is_empty() { self.kept_text() } else { None };
        self.time_portal(under_way, at, pattern.as_ref(), kept);
    }

    /// A message of a session, whose server is its own.
    pub(super) fn time_in_session(&mut self, under_way: &mut Forwarding<'_>) {
        use crate::wire::frontend::kind::BIND;
        let Some(message) = under_way.message() else { return };
        let (whole, binds) = (message.whole, message.kind == BIND);
        // What PostgreSQL has to say of a name is its own to say.
        let said = read(&message).unwrap_or(Said::Other);
        match said {
            Said::Query => {
                let (text, readings) =
                    (message.body.strip_suffix(b"\0").unwrap_or(message.body), self.readings(under_way.server()));
                let stat = if whole {
                    self.counted_as(&self.read(text, readings), text, readings)
                } else {
                    self.stat_of_unparsed()
                };
                let kept = if whole { self.keep_text(text) } else { None };
                under_way.time(stat, kept);
            }
            Said::Parse { name: at } => {
                let text = message
                    .body
                    .get(at.end + 1..)
                    .unwrap_or_default()
                    .split(|&byte| byte == 0)
                    .next()
                    .unwrap_or_default();
                let readings = self.readings(under_way.server());
                let reading = readings.only(text).filter(|_| whole);
                let pattern = reading.and_then(|reading| self.read(text, readings).pattern(text, reading).cloned());
                if at.is_empty() {
                    self.note_unnamed(text, whole);
                }
                under_way.know_statement(at, pattern);
            }
            Said::Use { name } if binds => self.time_own_portal(under_way, &name),
            Said::Execute { portal } => {
                let may_flush = || self.to() == To::Primary;
                under_way.time_execute(portal, may_flush, || self.stat_of_unparsed());
            }
            Said::Call => under_way.time(self.stat_of_unparsed(), None),
            _ => (),
        }
    }

    /// The client goes on with the data of a COPY, if there is one: until now its server has waited for it, unless some of what came
    /// before is still here. That is the client's time, and not the statement's.
    pub(super) fn leave_out_waiting_for_data(&self, link: &mut Link, now: Instant) {
        let Some(since) = link.awaits_data.take() else { return };
        if link.server.has_all_data() {
            let waited = now.saturating_duration_since(since);
            link.server.leave_out(waited);
            link.watch.leave_out(waited);
        }
    }

    /// Counts what has ended, unless it may still be said to have run elsewhere.
    pub(super) fn count_ended(&mut self, link: &mut Link) {
        if !self.is_on_trial() {
            self.count_all(link);
            self.count_told(link);
        }
    }

    /// Counts the errors that the client was told by, or at, its server.
    fn count_told(&self, link: &mut Link) {
        while let Some(Told { sqlstate, is_ours, statement }) = link.server.take_told() {
            let source = if is_ours { ErrorSource::Pooler } else { ErrorSource::Server };
            self.erred(sqlstate.as_ref().map_or(&[], |code| &code[..]), source, statement.as_deref());
        }
    }

    /// The client is told this, and PgOtter says it.
    pub(super) fn count_fault(&self, fault: &Fault) {
        self.erred(fault.sqlstate.0.as_bytes(), ErrorSource::Pooler, None);
    }

    #[cold]
    fn erred(&self, sqlstate: &[u8], source: ErrorSource, statement: Option<&Stat>) {
        let (role, at, user) = (self.role(), clock::now(), self.presence.user());
        let application = self.calls_itself();
        let error = ToldError { sqlstate, source, role, statement, at, user, application: &application };
        self.meter.erred(&self.application, &error);
    }

    /// Where its statement runs, as metrics call it.
    pub(super) fn role(&self) -> &'static str {
        ROLES[usize::from(self.is_on_replica())]
    }

    /// Whether that is a replica.
    pub(super) fn is_on_replica(&self) -> bool {
        self.to() != To::Primary
    }

    /// The client leaves its server, or has lost it, and does not hear the end of what is under way.
    pub(super) fn lose_statements(&mut self, link: &mut Link) {
        let now = clock::now();
        // It may have left in the middle of a COPY that waits for it.
        self.leave_out_waiting_for_data(link, now);
        self.note_idle_to_the_end(link);
        self.count_tried();
        let lost = link.server.lose_statements();
        if link.server.exchange().awaits_time() {
            link.server.ended_at(now);
        }
        self.count_all(link);
        self.count_told(link);
        self.observe_lost(link, u32::try_from(lost).unwrap_or(u32::MAX), now);
    }

    fn count_all(&mut self, link: &mut Link) {
        while let Some(ended) = link.server.take_ended() {
            let Some(call) = ended.call() else { continue };
            let bytes = if ended.together { 0 } else { std::mem::take(&mut self.answered_bytes) };
            // Where it ran, whatever was planned: with `mode = "observe"` that is the primary.
            let route = Plan { to: self.to(), ..self.planned() };
            let on_replica = self.is_on_replica();
            let call = Call { bytes, on_replica, route: route.kind(), ..call };
            self.meter.called(&ended.timed.stat, &call);
            if !self.rules.circles.is_empty() {
                self.count_in_circles(&ended.timed.stat, &call);
            }
            let Some(took) = call.server else { continue };
            if self.rules.slow.may_be(took + Duration::from_micros(call.waited_us.into())) {
                self.note_slow(link, &ended, &call, took);
            }
            if !ended.is_sample() {
                continue;
            }
            let said = ended.at();
            let Timed { stat, sent, waited_us, .. } = ended.timed;
            let answer = Answer { stat, sent, waited_us, on_replica, late: false, said };
            match &mut self.answer {
                None => self.answer = Some(answer),
                Some(_) => self.outgoing.get_or_insert_default().more.push(answer),
            }
        }
    }

    /// Counts it for those who want to hear of this client's application by itself.
    #[cold]
    fn count_in_circles(&self, stat: &Stat, call: &Call) {
        let name = self.calls_itself();
        let fits = |pattern: &&Arc<str>| RouteRule::fits(pattern, name.as_bytes());
        self.rules.circles.iter().filter(fits).for_each(|circle| self.meter.called_in(circle, stat, call));
    }

    /// It was tried to send what is queued. Where all of it went at once, that was when the server had said it.
    pub(super) fn note_sent<E>(&mut self, sent: &Poll<Result<(), E>>) {
        match sent {
            Poll::Pending => self.answers_under_way().for_each(|answer| answer.late = true),
            Poll::Ready(_) if self.answer.is_some() || self.outgoing.is_some() => self.note_delivered(),
            Poll::Ready(_) => (),
        }
    }

    fn answers_under_way(&mut self) -> impl Iterator<Item = &mut Answer> {
        self.answer.iter_mut().chain(self.outgoing.iter_mut().flat_map(|outgoing| outgoing.answers()))
    }

    /// What counts is about to be that of another place: answers on their way are counted where their statements ran.
    pub(super) fn leave_answers(&mut self) {
        let Some(first) = self.answer.take() else { return };
        let outgoing = self.outgoing.get_or_insert_default();
        let here = std::iter::once(first).chain(outgoing.more.drain(..));
        outgoing.left.extend(here.map(|answer| (self.meter.clone(), answer)));
    }

    /// The client has everything, or is gone.
    pub(super) fn note_delivered(&mut self) {
        let mut now = None;
        if let Some(answer) = self.answer.take() {
            self.deliver(&self.meter, &answer, &mut now);
        }
        if let Some(outgoing) = self.outgoing.take() {
            self.tell_slow(outgoing.slow);
            outgoing.left.iter().for_each(|(meter, answer)| self.deliver(meter, answer, &mut now));
            outgoing.more.iter().for_each(|answer| self.deliver(&self.meter, answer, &mut now));
        }
    }

    fn deliver(&self, meter: &Meter, answer: &Answer, now: &mut Option<Instant>) {
        let Answer { stat, sent, waited_us, on_replica, late, said } = answer;
        let taken = if *late { *now.get_or_insert_with(clock::now) } else { *said };
        let total = taken - *sent + Duration::from_micros((*waited_us).into());
        if meter.delivered(stat, total, *on_replica) {
            meter.took_long(stat, total, &self.calls_itself());
        }
    }
}

/// What a statement of this pattern is counted as.
fn counted_name(pattern: Option<&Pattern>) -> Name {
    pattern.map_or(Name::Unparsed, |pattern| Name::Fingerprint(pattern.fingerprint.0))
}
