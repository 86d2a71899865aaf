//! Getting a server: at once, or after a wait with a deadline that the client hears of.

use super::connection::{Client, Step};
use super::turn::{Event, earlier, turn};
use crate::activity::ClientState;
use crate::clock::{self, Instant};
use crate::fault::{Blame, Fault, Severity, SqlState};
use crate::pool::{Checked, Grant, Lane, Mail, Waiting};
use crate::server::{CleanServer, LoginError, REPAIR_DEADLINE, Server, probe};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// A sign of life may take this long, however little of the client's patience is left.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// Why there is no server.
pub(super) enum NoServer {
    /// The request is refused; a client that is only queued goes on after it.
    Refused(Fault),
    /// The client has gone.
    ClientGone,
    /// The client was told to leave.
    Dismissed,
    /// The lane has been closed: the pool has others, or none any more.
    SentAway,
}

impl NoServer {
    /// Whether it is of the client's own: it has cancelled or left, is to leave, or its buffers were given up. Another server would not do.
    pub(super) fn is_of_client(&self) -> bool {
        match self {
            Self::Refused(fault) => fault.blame == Blame::Client || fault.sqlstate == SqlState::OUT_OF_MEMORY,
            Self::ClientGone | Self::Dismissed => true,
            Self::SentAway => false,
        }
    }
}

impl Client {
    /// A server of this lane, alive as far as can be known; `patience` is the longest wait, counted from `since`.
    /// `notify` says whether the client is told that it waits.
    pub(super) async fn checkout(
        &mut self,
        lane: &Arc<Lane>,
        since: Instant,
        patience: Option<Duration>,
        notify: bool,
    ) -> Result<Box<Server>, NoServer> {
        let last = patience.and_then(|patience| since.checked_add(patience));
        loop {
            let grant = match self.ask_for_server(lane) {
                Checked::Server(grant) => grant,
                Checked::Wait(waiting) => {
                    self.step(Step::Wait);
                    self.does(ClientState::Waiting);
                    let answer = Box::pin(self.wait(lane, waiting, since, last, notify)).await;
                    self.now = clock::now();
                    self.does(ClientState::Idle);
                    answer?
                }
                Checked::Refused(error) => return Err(refused(&error)),
                Checked::Closed => return Err(NoServer::SentAway),
            };
            let found = match self.inspect(grant) {
                Ok(server) if self.must_probe(&server) => Box::pin(self.probe(server, last)).await,
                other => other,
            };
            match found {
                Ok(server) => return Ok(server),
                Err(dead) if dead.is_newborn(self.now) => lane.stillborn(dead),
                Err(dead) => drop(dead),
            }
            self.now = clock::now();
            if last.is_some_and(|last| last <= self.now) {
                return Err(NoServer::Refused(waited_too_long(lane, since)));
            }
        }
    }

    /// Where it has drawn from a sequence last, if it may ask; else any, best one in its settings.
    fn ask_for_server(&self, lane: &Arc<Lane>) -> Checked {
        match self.own_server(lane) {
            Some(grant) => Checked::Server(grant),
            None => lane.checkout(self.worker, self.settings.key(), self.now, &self.mailbox),
        }
    }

    /// Whether a server is alive as far as is known without asking it, and nothing on it would show the client that it
    /// has served others. If not it comes back as an error, to be closed.
    fn inspect(&self, grant: Grant) -> Result<Box<Server>, Box<Server>> {
        let mut server = grant.server;
        // Before its welcome a client has nothing to run.
        let unfit = !self.settings.is_blank() && !server.suits(&self.settings);
        if grant.moved && !server.move_here() || !server.still_idle() || unfit {
            return Err(server);
        }
        Ok(server)
    }

    /// A host that died without a word shows only in a round trip.
    fn must_probe(&self, server: &Server) -> bool {
        self.now.saturating_duration_since(server.last_used()) >= self.rules.server_check_delay
    }

    async fn probe(&self, mut server: Box<Server>, last: Option<Instant>) -> Result<Box<Server>, Box<Server>> {
        let left = last.map_or(REPAIR_DEADLINE, |last| last.saturating_duration_since(self.now));
        let alive = tokio::time::timeout(left.clamp(SIGN_OF_LIFE, REPAIR_DEADLINE), probe(&mut server)).await;
        if matches!(alive, Ok(true)) { Ok(server) } else { Err(server) }
    }

    async fn wait(
        &mut self,
        lane: &Arc<Lane>,
        waiting: Waiting,
        since: Instant,
        last: Option<Instant>,
        notify: bool,
    ) -> Result<Grant, NoServer> {
        let mut notice = self.rules.query_wait_notify.filter(|_| notify).and_then(|after| since.checked_add(after));
        loop {
            let outcome = match turn(self, None, earlier(last, notice)).await {
                Event::Client => continue,
                Event::Server | Event::ServerGone => continue, // there is none
                Event::Mail(mail) => match self.answer(mail) {
                    Some(answer) => {
                        waiting.end();
                        return self.accept(lane, answer);
                    }
                    None => match self.leave_queue(lane.is_paused()) {
                        Some(why) => why,
                        None => continue,
                    },
                },
                Event::Deadline if notice.is_some_and(|at| at <= clock::now()) => {
                    notice = None;
                    self.tell_waiting();
                    continue;
                }
                Event::Deadline => NoServer::Refused(waited_too_long(lane, since)),
                Event::TooMuch => NoServer::Refused(self.holding.shed()),
                Event::ClientGone => NoServer::ClientGone,
            };
            self.leave(lane, waiting).await;
            // A kill that came meanwhile counts; a cancel is of what is refused anyway, and not of the next request.
            self.cancelled = false;
            return Err(if self.killed { NoServer::Dismissed } else { outcome });
        }
    }

    /// A grant or a failure ends the wait; anything else is noted.
    pub(super) fn answer(&mut self, mail: Mail) -> Option<Result<Grant, NoServer>> {
        self.draining |= mail.drain;
        self.killed |= mail.kill;
        self.cancelled |= mail.cancel;
        self.hear_hub(mail.hub);
        if let Some(grant) = mail.grant {
            return Some(Ok(grant));
        }
        if mail.sent_away {
            return Some(Err(NoServer::SentAway));
        }
        mail.failed.map(|error| Err(refused(&error)))
    }

    /// A cancel that crossed the grant still counts: the statement has not been sent.
    fn accept(&mut self, lane: &Lane, answer: Result<Grant, NoServer>) -> Result<Grant, NoServer> {
        let Some(why) = self.leave_queue(lane.is_paused()) else { return answer };
        if let Ok(grant) = answer {
            self.put_back(lane, grant);
        }
        Err(why)
    }

    /// Why a wait is over although it was in vain. `stuck`: its end does not depend on other clients.
    pub(super) fn leave_queue(&mut self, stuck: bool) -> Option<NoServer> {
        // A pause does not end for those who are to leave.
        if self.killed || self.draining && stuck {
            return Some(NoServer::Dismissed);
        }
        std::mem::take(&mut self.cancelled).then(|| NoServer::Refused(canceled()))
    }

    /// Gives the place up; a server that was granted at the same moment goes back untouched.
    async fn leave(&mut self, lane: &Arc<Lane>, waiting: Waiting) {
        if waiting.give_up() {
            return;
        }
        // The answer has been given. Left on its way, it would be taken for that to the client's next wait.
        let answer = async {
            loop {
                let mail = poll_fn(|_| self.mailbox.take().map_or(Poll::Pending, Poll::Ready)).await;
                // What else lies there, say the end of the process, counts as well.
                if let Some(answer) = self.answer(mail) {
                    return answer;
                }
            }
        };
        if let Ok(Ok(grant)) = tokio::time::timeout(SIGN_OF_LIFE, answer).await {
            self.put_back(lane, grant);
        }
    }

    fn put_back(&self, lane: &Lane, grant: Grant) {
        let mut server = grant.server;
        if !grant.moved || server.move_here() {
            self.hand_back(lane, server);
        }
    }

    /// A server that was not used.
    pub(super) fn hand_back(&self, lane: &Lane, server: Box<Server>) {
        if let Some(proof) = server.boundary() {
            lane.checkin(self.worker, CleanServer::kept(server, proof), clock::now());
        }
    }

    pub(super) fn tell_waiting(&mut self) {
        let notice = Fault::error(
            Blame::Limit,
            SqlState::SUCCESSFUL_COMPLETION,
            "no server connection is available, the client is queued",
        );
        let mut out = bytes::BytesMut::new();
        crate::wire::backend::notice(&mut out, &notice);
        self.socket.queue(out);
    }
}

/// Of a statement that was sent nowhere.
pub(super) fn canceled() -> Fault {
    Fault::error(Blame::Client, SqlState::QUERY_CANCELED, "canceling statement due to user request")
}

/// PostgreSQL has refused our login for good.
pub(super) fn refused(error: &LoginError) -> NoServer {
    let fault = Fault { severity: Severity::Error, ..error.fault() };
    NoServer::Refused(fault.with_hint("The log of PgOtter says which login failed."))
}

/// No server became free, or could be opened.
pub(super) fn waited_too_long(lane: &Lane, since: Instant) -> Fault {
    let now = clock::now();
    let waited = now.saturating_duration_since(since).as_secs_f64();
    if lane.is_paused() {
        return Fault::error(Blame::Pooler, SqlState::CANNOT_CONNECT_NOW, "query_wait_timeout: the database is paused")
            .with_detail(format!("Waited {waited:.1} s."))
            .with_hint("An operator has paused it, and will resume it.");
    }
    let stats = lane.stats(now);
    let failure = lane.failure();
    if stats.active + stats.idle == 0 && (failure.is_some() || stats.opening > 0) {
        let why =
            failure.map_or("the first attempt is not answered yet".to_owned(), |f| format!("the last attempt: {f}"));
        return Fault::error(Blame::Server, SqlState::CANNOT_CONNECT_NOW, "no server connection could be opened")
            .with_detail(format!("Waited {waited:.1} s; {why}."))
            .with_hint("Check that PostgreSQL accepts connections.");
    }
    Fault::error(Blame::Limit, SqlState::TOO_MANY_CONNECTIONS, "query_wait_timeout: no server connection became free")
        .with_detail(format!(
            "Waited {waited:.1} s; the pool has {} servers in use, {} idle, {} being opened, and {} other clients waiting{}.",
            stats.active,
            stats.idle,
            stats.opening,
            stats.waiting.saturating_sub(1),
            failure.map_or(String::new(), |f| format!("; the last attempt to open one failed: {f}"))
        ))
        .with_hint("Shorten transactions, or raise pool_size or query_wait_timeout.")
}
