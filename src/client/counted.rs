//! The client's statements as they are counted: which one a message is, and what has come of it.
//!
//! What a server has said of them comes from its exchange; how long they took in all is known when the client has taken its answer.

use super::connection::Client;
use super::link::Link;
use super::names::{Said, read};
use crate::clock::{self, Instant};
use crate::metrics::{Description, Name, Stat};
use crate::server::{Forwarding, Timed};
use crate::sql::{Facts, Pattern, Readings};
use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What is on its way to a client. Boxed: most clients have nothing, most of the time.
#[derive(Default)]
pub(super) struct Outgoing {
    /// Since when nothing of it could be sent, and how much had been until then.
    pub stalled: Option<(Instant, u64)>,
    // Not all of it could be sent at once.
    late: bool,
    // Statements whose answers are in it.
    first: Option<Answer>,
    more: Vec<Answer>,
}

struct Answer {
    stat: Arc<Stat>,
    sent: Instant,
    waited_us: u32,
    // The server, for all of it.
    took: Duration,
}

impl Client {
    /// What this text of a Query is counted as, read by these rules.
    pub(super) fn counted_as(&self, facts: &Facts, text: &[u8], readings: Readings) -> Arc<Stat> {
        self.stat(readings.only(text).and_then(|reading| facts.pattern(text, reading)))
    }

    /// What is counted for this pattern.
    pub(super) fn stat(&self, pattern: Option<&Arc<Pattern>>) -> Arc<Stat> {
        let Some(pattern) = pattern else { return self.meter.statement(Name::Unparsed, Description::default) };
        let describe =
            || Description { kind: pattern.kind, text: pattern.text.clone(), tables: pattern.tables.clone() };
        self.meter.statement(Name::Fingerprint(pattern.fingerprint.0), describe)
    }

    /// A statement that is known without its text.
    pub(super) fn time(&self, under_way: &mut Forwarding<'_>, said: &Said) {
        match said {
            Said::Execute { portal } => under_way.time_execute(portal.clone(), || self.stat(None)),
            Said::Call => under_way.time(self.stat(None), false),
            _ => (),
        }
    }

    /// A Bind, whose portal will be counted as this. `at` is where it names the statement: behind the portal.
    pub(super) fn time_portal(
        &self,
        under_way: &mut Forwarding<'_>,
        at: &Range<usize>,
        pattern: Option<&Arc<Pattern>>,
    ) {
        under_way.bind_portal(0..at.start.saturating_sub(1), self.stat(pattern));
    }

    /// The same where names are the server's.
    pub(super) fn time_own_portal(&self, under_way: &mut Forwarding<'_>, at: &Range<usize>) {
        let pattern = under_way.known_statement(at.clone());
        self.time_portal(under_way, at, pattern.as_ref());
    }

    /// A message of a session, whose server is its own.
    pub(super) fn time_in_session(&self, under_way: &mut Forwarding<'_>) {
        use crate::wire::frontend::kind::BIND;
        let Some(message) = under_way.message() else { return };
        let (whole, binds) = (message.whole, message.kind == BIND);
        // What PostgreSQL has to say of a name is its own to say.
        let said = read(&message).unwrap_or(Said::Other);
        match said {
            Said::Query => {
                let (text, readings) =
                    (message.body.strip_suffix(b"\0").unwrap_or(message.body), self.readings(under_way.server()));
                let stat =
                    if whole { self.counted_as(&self.read(text, readings), text, readings) } else { self.stat(None) };
                under_way.time(stat, false);
            }
            Said::Parse { name } => {
                let text = message
                    .body
                    .get(name.end + 1..)
                    .unwrap_or_default()
                    .split(|&byte| byte == 0)
                    .next()
                    .unwrap_or_default();
                let readings = self.readings(under_way.server());
                let reading = readings.only(text).filter(|_| whole);
                let pattern = reading.and_then(|reading| self.read(text, readings).pattern(text, reading).cloned());
                under_way.know_statement(name, pattern);
            }
            Said::Use { name } if binds => self.time_own_portal(under_way, &name),
            said => self.time(under_way, &said),
        }
    }

    /// Counts what has ended, unless it may still be said to have run elsewhere.
    pub(super) fn count_ended(&mut self, link: &mut Link) {
        if !self.is_on_trial() {
            self.count_all(link);
        }
    }

    /// The client does not hear the end of what is under way.
    pub(super) fn lose_statements(&mut self, link: &mut Link) {
        link.server.lose_statements();
        if link.server.exchange().awaits_time() {
            link.server.ended_at(clock::now());
        }
        self.count_all(link);
    }

    fn count_all(&mut self, link: &mut Link) {
        while let Some(ended) = link.server.take_ended() {
            let Some(call) = ended.call() else { continue };
            self.meter.called(&ended.timed.stat, &call);
            let Some(took) = call.server.filter(|_| ended.is_sample()) else { continue };
            let Timed { stat, sent, waited_us, .. } = ended.timed;
            let answer = Answer { stat, sent, waited_us, took };
            match &mut self.outgoing {
                None => self.outgoing = Some(Box::new(Outgoing { first: Some(answer), ..Outgoing::default() })),
                Some(outgoing) if outgoing.first.is_none() => outgoing.first = Some(answer),
                Some(outgoing) => outgoing.more.push(answer),
            }
        }
    }

    /// It was tried to send what is queued. Where all of it went at once, that was when the server had said it.
    pub(super) fn note_sent<E>(&mut self, sent: &Poll<Result<(), E>>) {
        let Some(outgoing) = &mut self.outgoing else { return };
        match sent {
            Poll::Pending => outgoing.late = true,
            Poll::Ready(_) => self.note_delivered(),
        }
    }

    /// The client has everything, or is gone.
    pub(super) fn note_delivered(&mut self) {
        let Some(outgoing) = self.outgoing.take() else { return };
        let now = outgoing.late.then(clock::now);
        let deliver = |answer: &Answer| {
            let took = now.map_or(answer.took, |now| now.saturating_duration_since(answer.sent));
            self.meter.delivered(&answer.stat, took + Duration::from_micros(answer.waited_us.into()));
        };
        outgoing.first.iter().for_each(deliver);
        outgoing.more.iter().for_each(deliver);
    }
}
