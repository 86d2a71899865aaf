//! When what a client has asked for was received and sent, and what came of it: from this its metrics are made.
//!
//! Requests sent while others are still owed their answers are timed together.

use super::connection::Client;
use super::link::Link;
use crate::clock::{self, Instant};
use crate::metrics::Answered;
use std::time::Duration;

/// Runs from a request that was sent while nothing was owed until nothing is owed again. Small, as it is a part of every
/// client's task.
pub(super) struct Stopwatch {
    // None: all of it was answered and observed.
    received: Option<Instant>,
    // Microseconds from there until it was sent, most of all to a server that had to be waited for.
    waited_us: u32,
    answered: Answered,
}

impl Stopwatch {
    /// The first request was received, and sent when there was a server.
    pub fn new(received: Instant, sent: Instant) -> Self {
        let waited = sent.saturating_duration_since(received).as_micros();
        Self {
            received: Some(received),
            waited_us: u32::try_from(waited).unwrap_or(u32::MAX),
            answered: Answered::default(),
        }
    }

    /// A request is sent, and nothing else is owed: from then on this goes by its time.
    pub fn asked(&mut self, request: Self) {
        *self = Self { answered: self.answered, ..request };
    }

    /// What was held back until now is sent, and nothing else is owed; it was received then at the latest.
    pub fn held_back(&mut self, received: Instant, sent: Instant) {
        self.asked(Self::new(self.received.unwrap_or(received), sent));
    }

    /// So long the server has waited for the client in the middle of it.
    pub fn leave_out(&mut self, waited: Duration) {
        if let Some(received) = &mut self.received {
            *received += waited;
        }
    }

    /// Some of it has been answered.
    pub fn note(&mut self, answered: Answered) {
        self.answered.add(answered);
    }

    /// Whether it does not run: all that was owed to the client has been observed.
    pub fn rests(&self) -> bool {
        self.received.is_none()
    }

    /// Microseconds from when the request was received until it was sent.
    pub fn waited_us(&self) -> u32 {
        self.waited_us
    }

    /// Since the request was received until `now`: waiting, and with a server. Nothing, if it was observed already.
    pub fn times(&self, now: Instant) -> (Duration, Duration) {
        let Some(received) = self.received else { return (Duration::ZERO, Duration::ZERO) };
        let total = now.saturating_duration_since(received);
        (self.waited(), total.saturating_sub(self.waited()))
    }

    fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_us.into())
    }
}

impl Client {
    /// Nothing is owed any more, since `now`.
    pub(super) fn observe(&mut self, link: &mut Link, now: Instant) {
        let Answered { queries, transactions } = std::mem::take(&mut link.watch.answered);
        let server = self.count_time(link, queries, false, now);
        if transactions > 0 {
            let took = now.saturating_duration_since(link.since);
            self.meter.transaction(took, self.is_on_replica());
            if let Some(busy) = link.busy.take() {
                self.note_idle(took, busy + server);
            }
        } else {
            link.busy = Some(link.busy.unwrap_or_default() + server);
        }
    }

    /// The client leaves its server, or has lost it: what is under way, with so many queries that will not be answered to it, has taken
    /// until `now`. It may be nothing but a Parse.
    #[cold]
    pub(super) fn observe_lost(&mut self, link: &mut Link, lost: u32, now: Instant) {
        let Answered { queries, .. } = std::mem::take(&mut link.watch.answered);
        let exchange = link.server.exchange();
        if queries + lost > 0 || exchange.owes() && !exchange.is_tied_to_client() {
            self.meter.heard(0, Answered { queries: lost, transactions: 0 });
            self.count_time(link, queries + lost, true, now);
        }
    }

    /// So many queries have taken until `now`. How long their server was busy with them.
    fn count_time(&mut self, link: &mut Link, queries: u32, lost: bool, now: Instant) -> Duration {
        let (waited, server) = link.watch.times(now);
        let (route, bytes) = (self.planned().kind(), std::mem::take(&mut self.answered_bytes));
        self.meter.answered(&self.application, route, queries, server);
        if link.server.take_together() {
            self.meter.pipeline(waited + server, server, bytes);
            self.note_slow_pipeline(link, lost, bytes, now);
        }
        // What comes before the next request, a look at what was left behind or the client's silence, is no part of it.
        link.watch.received = None;
        server
    }

    /// The client leaves its server, or has lost it: the transaction under way ends with that, however long it has waited for its client.
    #[cold]
    pub(super) fn note_idle_to_the_end(&self, link: &mut Link) {
        if link.is_at_rest() {
            return;
        }
        let Some(busy) = link.busy.take() else { return };
        let now = clock::now();
        let (_, server) = link.watch.times(now);
        let since_then = if link.server.exchange().owes() { server } else { Duration::ZERO };
        self.note_idle(now.saturating_duration_since(link.since), busy + since_then);
    }

    fn note_idle(&self, took: Duration, busy: Duration) {
        self.meter.idled((&self.application, &self.whose), took.saturating_sub(busy), self.is_on_replica());
    }
}
