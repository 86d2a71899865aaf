//! A client and its server, linked: bytes both ways, the deadlines of that time, and every way in which it ends.

use super::connection::{Client, Step};
use super::listen::{Found, Held, Turn};
use super::request::{Gathered, ends_request, is_copy, names_something};
use super::serve::{Left, shutting_down, take};
use super::settle::Bent;
use super::stopwatch::Stopwatch;
use super::take_back::{Residue, TakeBack, take_back};
use super::turn::{Event, earlier, turn};
use crate::clock;
use crate::cluster::Loading;
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, SqlState};
use crate::pool::Lane;
use crate::server::{CleanServer, Hearing, Leaving, Server, Witness, cancel};
use crate::wire::backend::Status;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A statement that was cancelled because its time was up gets this long to end.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// A server while it is the client's.
pub(super) struct Link {
    pub(super) server: Box<Server>,
    // A request that waits for the hub. None behind it is sent.
    pub(super) held: Option<Box<Held>>,
    // One was turned down: what comes next is for another server.
    turned_down: bool,
    pub(super) lane: Arc<Lane>,
    // As it was when the link began: what a session has left in its server is not another's, whatever a reload says.
    pub(super) mode: PoolMode,
    // A BEGIN that was answered before went in front of the first request.
    pub(super) began: bool,
    // When it was linked, when the last request went out, when the server last said something.
    since: Instant,
    sent: Instant,
    heard: Instant,
    watch: Stopwatch,
    // A statement was cancelled because its time was up: when patience ends.
    overdue: Option<Instant>,
    // Another cancel came for what runs while one was on its way.
    cancel_again: bool,
}

impl Link {
    /// A server that was just given a request, which was `received` before it was there.
    pub(super) fn new(server: Box<Server>, lane: Arc<Lane>, mode: PoolMode, received: Instant, now: Instant) -> Self {
        let watch = Stopwatch::new(received, now);
        Self {
            server,
            held: None,
            turned_down: false,
            lane,
            mode,
            began: false,
            since: now,
            sent: now,
            heard: now,
            watch,
            overdue: None,
            cancel_again: false,
        }
    }

    /// Between two transactions.
    pub(super) fn is_at_rest(&self) -> bool {
        let exchange = self.server.exchange();
        !exchange.owes() && !exchange.unsynced() && exchange.status() == Status::Idle
    }

    /// A cancel on its way would hit the client's next statement: that one waits until PostgreSQL has dealt with it.
    fn awaits_cancel(&self) -> bool {
        self.server.cancel_under_way() && !self.server.exchange().owes()
    }
}

impl Client {
    /// Passes bytes both ways while the server is the client's, and gives it back.
    #[allow(clippy::manual_async_fn, reason = "an async fn holds its arguments twice, and every client has this one")]
    pub(super) fn relay(&mut self, mut link: Link) -> impl Future<Output = Result<(), Left>> {
        async move {
            self.observe_wait(&link.watch);
            // What lies behind the first part of a request may be all there is: neither side would say anything more.
            if let Err(left) = self.go_on(&mut link) {
                return Err(self.part(link, left));
            }
            // PgOtter may have answered all of it.
            if self.may_release(&link) {
                return self.release(link);
            }
            loop {
                self.step(Step::Relay);
                if std::mem::take(&mut link.turned_down) {
                    if self.may_release(&link) {
                        return self.release(link);
                    }
                    if let Err(left) = self.go_on(&mut link) {
                        return Err(self.part(link, left));
                    }
                    continue;
                }
                let deadline = earlier(self.deadline(&link), self.hub_deadline(&link));
                match turn(self, Some(&mut link.server), deadline).await {
                    Event::Client => {
                        self.now = clock::now();
                        if let Err(left) = self.go_on(&mut link) {
                            return Err(self.part(link, left));
                        }
                        continue;
                    }
                    Event::Server => {
                        if let Err(left) = self.hear(&mut link) {
                            return Err(self.part(link, left));
                        }
                    }
                    Event::ServerGone => return Err(self.bereave(link)),
                    Event::ClientGone => {
                        let left = if self.hung_up { Left::Terminated } else { Left::Gone };
                        return Err(self.part(link, left));
                    }
                    Event::Mail(mail) => {
                        self.draining |= mail.drain;
                        self.hear_hub(mail.hub);
                        if mail.kill {
                            let fault = self.dismissal();
                            return Err(self.part(link, Left::Refused(fault)));
                        }
                        if let Err(left) = self.turn_to_hub(&mut link) {
                            return Err(self.part(link, left));
                        }
                        // A session may be at rest for long.
                        if link.is_at_rest()
                            && let Err(left) = self.renew()
                        {
                            return Err(self.part(link, left));
                        }
                        if (mail.cancel || link.cancel_again) && link.server.exchange().owes() {
                            self.send_cancel(&mut link);
                        }
                    }
                    Event::TooMuch => {
                        let fault = self.holding.shed();
                        return Err(self.part(link, Left::Refused(fault)));
                    }
                    Event::Deadline if self.hub_deadline(&link).is_some_and(|at| at <= clock::now()) => {
                        if let Err(left) = self.turn_to_hub(&mut link) {
                            return Err(self.part(link, left));
                        }
                    }
                    Event::Deadline if self.is_kept(&link) => self.look_at_keeping(&link.lane),
                    Event::Deadline => {
                        if let Err(left) = self.time_is_up(&mut link) {
                            return Err(self.part(link, left));
                        }
                        continue;
                    }
                }
                if self.must_restore(&link)
                    && let Err(left) = Box::pin(self.restore(&mut link)).await
                {
                    return Err(self.part(link, left));
                }
                if self.must_settle(&mut link)
                    && let Err(left) = Box::pin(self.settle(&mut link)).await
                {
                    return Err(self.part(link, left));
                }
                self.end_keeping(&link);
                if self.may_release(&link) {
                    return self.release(link);
                }
                if let Err(left) = self.go_on(&mut link) {
                    return Err(self.part(link, left));
                }
            }
        }
    }

    /// The hub may have answered, or the client need not wait for it any longer.
    fn turn_to_hub(&mut self, link: &mut Link) -> Result<(), Left> {
        if self.end_wait_for_rest() {
            self.hear(link)?;
        }
        if self.listening.is_some() && link.is_at_rest() && self.block.is_none() && !self.awaits_rest() {
            // It keeps its server between transactions.
            self.tell_news();
            return self.deafness().map_or(Ok(()), |fault| Err(Left::Refused(fault)));
        }
        Ok(())
    }

    /// Sends on what can be sent.
    fn go_on(&mut self, link: &mut Link) -> Result<(), Left> {
        self.send_held(link)?;
        self.send_on(link)
    }

    /// Sends the request that waits for the hub, if it need not wait any longer.
    fn send_held(&mut self, link: &mut Link) -> Result<(), Left> {
        match self.advance(link) {
            Turn::Wait => (),
            Turn::Go(held) if held.adopt => self.send_first(link, held.bytes, held.first)?,
            Turn::Go(held) => self.send(&mut link.server, &link.lane, link.mode, held.bytes, held.first)?,
            Turn::Refuse(fault, end) => {
                self.turn_down(link, fault, end)?;
                link.turned_down = true;
            }
        }
        Ok(())
    }

    /// Sends on what the client has sent behind its first request.
    fn send_on(&mut self, link: &mut Link) -> Result<(), Left> {
        while link.held.is_none()
            && !link.turned_down
            && !self.must_hear_first(link)
            && !link.server.exchange().guard_pending()
            && !link.server.exchange().is_full()
            && (!refused(link) || self.is_pinned())
            && !link.awaits_cancel()
            && !self.awaits_effects(link)
            && !(self.awaits_settling(link) && link.server.exchange().will_answer())
        {
            let look = self.gather.look(self.socket.received(), self.rules.request_gather);
            // The client's last word, be it goodbye or nonsense, is read behind the replies to what stands in front of
            // it, as by PostgreSQL.
            if matches!(look, Ok(Gathered::Terminate) | Err(_)) && link.server.exchange().will_answer() {
                break;
            }
            match look.map_err(Left::Refused)? {
                Gathered::Terminate => return Err(Left::Terminated),
                Gathered::More => break,
                Gathered::Take { bytes, first, end } => {
                    link.sent = self.now;
                    self.presence.activity.requests(self.now);
                    link.server.activity().requests(self.now);
                    if !link.server.exchange().owes() {
                        link.watch.asked(self.now);
                    }
                    let begins = link.is_at_rest();
                    if begins {
                        link.began = false;
                        self.drawn.begin();
                        self.bent = Bent::No;
                        let _ = link.server.take_erred();
                        self.renew()?;
                        link.since = self.now;
                    }
                    let mut chunk = take(self.socket.inbox(), bytes);
                    let whole = first.is_some() && end.is_some();
                    let found = if whole { self.examine(&mut chunk, link.mode) } else { Found::default() };
                    if found.is_nothing() {
                        if begins && link.mode != PoolMode::Session {
                            self.discard_sequences(&mut link.server, link.mode);
                        }
                        self.send(&mut link.server, &link.lane, link.mode, chunk, first)?;
                    } else {
                        link.held = Some(Held::new(chunk, (first, end), false, found));
                        self.send_held(link)?;
                    }
                }
            }
        }
        // The rest of a request that the guard stopped has to go out before its Sync.
        if link.server.exchange().guard_pending() && link.server.exchange().cut_outgoing() {
            let look = self.gather.look(self.socket.received(), self.rules.request_gather).map_err(Left::Refused)?;
            if let Gathered::Take { bytes, first, .. } = look {
                let chunk = take(self.socket.inbox(), bytes);
                self.send(&mut link.server, &link.lane, link.mode, chunk, first)?;
            }
        }
        link.server.send_wanted_sync();
        Ok(())
    }

    /// What the next request names depends on whether an earlier one is skipped, or is a COPY that ends with it. COPY data names
    /// nothing.
    fn awaits_effects(&mut self, link: &mut Link) -> bool {
        let exchange = link.server.exchange();
        let next = self.socket.received().first().copied();
        if self.gather.is_passing() || next.is_some_and(is_copy) {
            return false;
        }
        if exchange.may_be_copying() && next.is_some_and(|kind| names_something(kind) || ends_request(kind)) {
            // PostgreSQL may keep the answer that tells.
            link.server.send_flush();
            return true;
        }
        exchange.awaits_effects()
    }

    /// Passes on what the server said.
    fn hear(&mut self, link: &mut Link) -> Result<(), Left> {
        self.step(Step::Hear);
        if self.awaits_rest() {
            return Ok(());
        }
        let notifications = link.mode == PoolMode::Session || self.has_hidden_listen();
        let queued = self.socket.queued();
        let received = loop {
            let statements = self.statements.as_deref_mut();
            let witness = self.listening.as_deref_mut().filter(|_| link.mode != PoolMode::Session);
            let witness = witness.map(|listening| listening as &mut dyn Witness);
            let (socket, settings) = (&mut self.socket, &mut self.settings);
            let hearing = Hearing {
                blocks: link.mode != PoolMode::Statement,
                notifications,
                restored: self.touched.as_ref().map_or(&[], |touched| touched.to_restore()),
                base: &self.base,
            };
            match link.server.receive(socket, settings, statements, &hearing, witness) {
                Ok(true) if self.come_to_rest() => (),
                other => break other,
            }
        };
        let answered = link.server.take_answered();
        self.show_settings();
        if link.server.take_stale() {
            self.pool.statements().renew();
        }
        self.meter.heard(self.socket.queued() - queued, answered);
        link.watch.note(answered);
        if let Err(violation) = received {
            tracing::error!(server = %link.server.id, client = %self.id, reason = violation.0, "protocol violation by the server");
            return Err(Left::Refused(
                Fault::fatal(Blame::Server, SqlState::PROTOCOL_VIOLATION, "the server broke the protocol")
                    .with_detail(violation.0),
            ));
        }
        if link.server.lacks_settings() {
            // Nothing of it was run.
            self.drawn.stop();
        }
        if link.server.take_failed_begin() || link.began && link.server.lacks_settings() {
            // It believes to be in a block, and what it sends next would be committed one by one.
            let fault = Fault::fatal(Blame::Server, SqlState::CONNECTION_FAILURE, "the transaction could not be begun");
            return Err(Left::Refused(
                fault.with_detail("Nothing of it was run.").with_hint("See the error before this one."),
            ));
        }
        let limits = &self.shape.settings;
        let timed =
            self.keeps_for_sequences() || limits.idle_transaction_timeout.or(limits.client_idle_timeout).is_some();
        if timed {
            link.heard = clock::now();
        }
        let exchange = link.server.exchange();
        link.overdue = link.overdue.filter(|_| exchange.owes());
        link.cancel_again &= exchange.owes();
        if link.mode == PoolMode::Statement && exchange.status() != Status::Idle {
            return Err(Left::Refused(Fault::fatal(
                Blame::Client,
                SqlState::FEATURE_NOT_SUPPORTED,
                "transaction blocks are not allowed in statement pooling mode",
            )));
        }
        if !self.may_release(link) && link.watch.has_news() && !link.server.exchange().owes() {
            let now = if timed { link.heard } else { clock::now() };
            self.observe(&mut link.watch, link.since, now);
        }
        Ok(())
    }

    /// Whether it is time to ask the server what the client has left there, before it goes on to others.
    fn must_settle(&self, link: &mut Link) -> bool {
        if link.mode == PoolMode::Session || self.gather.is_passing() {
            return false;
        }
        link.server.send_early_sync();
        let tied = self.statements.as_ref().is_some_and(|statements| statements.is_tied());
        // A question would drop what ties it.
        self.touched.is_some()
            && !tied
            && !self.awaits_rest()
            && !link.server.cancel_under_way()
            && link.server.boundary().is_some()
    }

    /// Nothing is sent before the client's LISTEN or NOTIFY has been answered, but for the data of a COPY.
    fn must_hear_first(&self, link: &Link) -> bool {
        let exchange = link.server.exchange();
        // Nor the rest of what has begun.
        if self.gather.is_passing() || exchange.cut_outgoing() {
            return false;
        }
        self.is_listen_under_way() && exchange.will_answer() && !exchange.copy_in() && !exchange.is_tied_to_client()
            || self.awaits_rest()
    }

    pub(super) fn may_release(&self, link: &Link) -> bool {
        // A session has not begun before its settings are in force.
        let session = link.mode == PoolMode::Session && !link.server.lacks_settings();
        let tied = self.statements.as_ref().is_some_and(|statements| statements.is_tied());
        let held = (session || tied || self.is_pinned() || self.keeps_for_sequences()) && !self.draining;
        // A cancel on its way could hit the next client.
        let unsettled = self.touched.is_some() && link.mode != PoolMode::Session && !self.draining;
        let waits = link.held.is_some() || self.awaits_rest() || unsettled;
        !held
            && !waits
            && !self.gather.is_passing()
            && !link.server.cancel_under_way()
            && link.server.boundary().is_some()
    }

    /// The server goes back before its last bytes reach a slow client.
    fn release(&mut self, mut link: Link) -> Result<(), Left> {
        self.step(Step::Release);
        let Some(boundary) = link.server.boundary() else { return Err(self.part(link, Left::Gone)) };
        self.now = clock::now();
        self.observe(&mut link.watch, link.since, self.now);
        if link.mode == PoolMode::Session && !link.server.lacks_settings() || self.is_pinned() || self.touched.is_some()
        {
            return Err(self.part(link, Left::Refused(shutting_down())));
        }
        if link.server.has_no_future() {
            // Closed by being dropped.
            return Ok(());
        }
        let always = self.rules.server_reset_query_always && link.mode != PoolMode::Session;
        let catalog = if link.mode == PoolMode::Session { None } else { self.pool.catalog().is_due(self.now) };
        if always || catalog.is_some() {
            let residue = if always { Residue::Reset(self.rules.server_reset_query.clone()) } else { Residue::Nothing };
            self.take_back(link, Leaving::Terminated, residue, catalog);
            return Ok(());
        }
        link.lane.checkin(self.worker, CleanServer::kept(link.server, boundary), self.now);
        Ok(())
    }

    /// The client leaves its server; another task brings the server back.
    pub(super) fn part(&mut self, link: Link, left: Left) -> Left {
        self.step(Step::Part);
        let leaving = if matches!(left, Left::Terminated) { Leaving::Terminated } else { Leaving::Vanished };
        let cut = link.server.exchange().cut_incoming();
        let residue = self.residue(&link);
        self.take_back(link, leaving, residue, None);
        match left {
            // In the middle of a frame a FATAL would be read as a part of it.
            Left::Refused(fault) if cut => {
                self.log_fault(&fault);
                Left::Gone
            }
            other => other,
        }
    }

    /// Another task brings the server back.
    fn take_back(&self, mut link: Link, leaving: Leaving, residue: Residue, catalog: Option<Loading>) {
        if residue != Residue::Nothing && link.mode != PoolMode::Session {
            link.server.forget_settings();
        }
        let how = TakeBack {
            lane: link.lane,
            worker: self.worker,
            leaving,
            residue,
            catalog,
            query_timeout: self.shape.settings.query_timeout,
            parting: self.in_force.partings.begin(),
        };
        tokio::task::spawn_local(take_back(link.server, how));
    }

    /// The server has gone; the client hears what that means for what it sent.
    fn bereave(&mut self, link: Link) -> Left {
        self.step(Step::Bereave);
        let exchange = link.server.exchange();
        if exchange.said_fatal() || exchange.cut_incoming() {
            return Left::Gone;
        }
        let (code, detail) = if exchange.owes() || exchange.unsynced() {
            (SqlState::TRANSACTION_RESOLUTION_UNKNOWN, "Whether the last statement took effect is unknown.")
        } else if exchange.status() == Status::Idle {
            (SqlState::CONNECTION_FAILURE, "The session is lost; no statement was running.")
        } else {
            (SqlState::CONNECTION_FAILURE, "The transaction was rolled back.")
        };
        let fault = Fault::fatal(Blame::Server, code, "server closed the connection unexpectedly");
        Left::Refused(fault.with_detail(detail).with_hint("Reconnect, and look into the log of PostgreSQL."))
    }

    /// One at a time: however many a client sends, PostgreSQL sees one connection.
    fn send_cancel(&self, link: &mut Link) {
        self.step(Step::Cancel);
        link.cancel_again = link.server.cancel_under_way();
        if link.cancel_again {
            return;
        }
        let target = link.server.cancel_target();
        let (mailbox, limit) = (self.mailbox.clone(), self.rules.cancel_wait_timeout);
        tokio::task::spawn_local(async move {
            if !matches!(tokio::time::timeout(limit, cancel(&target)).await, Ok(Ok(()))) {
                tracing::warn!(address = %target.address, "a cancel request did not get through");
            }
            drop(target);
            // The client's task looks again whether its server may go back.
            mailbox.put(|mail| mail.cancel_ended = true);
        });
    }

    fn deadline(&self, link: &Link) -> Option<Instant> {
        let limits = &self.shape.settings;
        let after = |from: Instant, limit: Option<Duration>| limit.and_then(|limit| from.checked_add(limit));
        let exchange = link.server.exchange();
        let phase = if link.overdue.is_some() {
            return link.overdue;
        } else if exchange.owes() {
            after(link.sent, limits.query_timeout)
        } else if exchange.status() != Status::Idle || exchange.unsynced() {
            after(link.heard, limits.idle_transaction_timeout)
        } else if self.is_kept(link) {
            return self.next_look(self.now.max(link.heard));
        } else if link.mode == PoolMode::Session || self.is_pinned() {
            return after(self.now.max(link.heard), limits.client_idle_timeout);
        } else {
            None
        };
        earlier(phase, after(link.since, limits.transaction_timeout))
    }

    /// A deadline has passed: which one follows from what the link is doing.
    fn time_is_up(&mut self, link: &mut Link) -> Result<(), Left> {
        let now = clock::now();
        let limits = &self.shape.settings;
        let over = |from: Instant, limit: Option<Duration>| limit.is_some_and(|limit| now >= from + limit);
        let fatal = |code, message| Err(Left::Refused(Fault::fatal(Blame::Limit, code, message)));
        let exchange = link.server.exchange();
        if link.overdue.is_some() {
            return fatal(
                SqlState::QUERY_CANCELED,
                "terminating connection: query_timeout passed and the cancel was not heeded",
            );
        }
        let transaction = link.mode != PoolMode::Session || exchange.owes() || exchange.status() != Status::Idle;
        if transaction && over(link.since, limits.transaction_timeout) {
            return fatal(SqlState::TRANSACTION_TIMEOUT, "terminating connection due to transaction_timeout");
        }
        if exchange.owes() {
            // The client gets PostgreSQL's own 57014 and goes on.
            link.overdue = now.checked_add(CANCEL_GRACE);
            self.send_cancel(link);
            return Ok(());
        }
        if exchange.status() != Status::Idle || exchange.unsynced() {
            return fatal(
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle_transaction_timeout",
            );
        }
        fatal(SqlState::IDLE_SESSION_TIMEOUT, "terminating connection due to client_idle_timeout")
    }
}

/// The guard has failed and the request that it stopped has ended. The next one needs a guard of its own: it waits until
/// the server has been given back, unless the client keeps it: then a guard has succeeded before, or it would not.
fn refused(link: &Link) -> bool {
    link.server.lacks_settings() && !link.server.exchange().is_skipping()
}
