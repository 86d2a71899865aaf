//! The life of a query, from the first byte of a request to the server's return.

use super::between::Request;
use super::checkout::NoServer;
use super::connection::{Client, Step};
use super::failover::no_replica;
use super::in_force::database_removed;
use super::link::{At, Link};
use super::listen::{Found, Held};
use crate::activity::ClientState;
use crate::clock::Instant;
use crate::cluster::Target;
use crate::config::PoolMode;
use crate::fault::{Blame, Fault, Severity, SqlState};
use crate::metrics::CheckoutFailure;
use crate::pool::Lane;
use crate::server::Server;
use crate::wire::frame::HEAD;
use crate::wire::frontend::kind;
use bytes::BytesMut;
use std::sync::Arc;

/// Bytes of a ReadyForQuery.
const READY: usize = HEAD + 1;

/// Why a client's task has ended.
#[derive(Debug)]
pub enum Left {
    /// It said Terminate.
    Terminated,
    /// Its connection ended or broke, or it took nothing for too long.
    Gone,
    /// It was told why, with a FATAL error.
    Refused(Fault),
}

/// Serves a client that has been welcomed until it leaves.
pub async fn serve(client: &mut Client) -> Left {
    loop {
        client.end_visit();
        let mut request = match client.next_request().await {
            Ok(request) => request,
            Err(left) => return left,
        };
        if let Err(left) = client.renew() {
            return left;
        }
        let asked = client.now;
        client.presence.activity.requests(request.received);
        if client.close_in_failed(&mut request) || client.answers(&request) {
            client.show_prepared();
            continue;
        }
        client.run_behind_end(&mut request);
        if let Some(fault) = client.failed_block().or_else(|| client.comes_too_late(&request)) {
            match client.refuse(&fault, request.end) {
                Ok(()) => continue,
                Err(left) => return left,
            }
        }
        // However often it is decided anew.
        client.waits_since = client.now;
        let found = loop {
            if client.elsewhere.is_some()
                && let Err(why) = Box::pin(client.enter(&request)).await
            {
                break Err(why);
            }
            client.look_for_sequences(&request.bytes, request.first);
            client.route(&request);
            match client.server().await {
                Ok(found) if client.still_known() && client.still_belongs(&request) => break Ok(found),
                // What is known of its tables has changed while it waited.
                Ok((server, lane)) => client.hand_back(&lane, server),
                Err(why) => {
                    if matches!(why, NoServer::Refused(_)) {
                        client.count_decision();
                    }
                    break Err(why);
                }
            }
            client.step_back();
        };
        let (server, lane) = match found.map_err(|why| client.unless_visiting(why)) {
            Ok(found) => found,
            Err(NoServer::Refused(fault)) => match client.refuse(&fault, request.end) {
                Ok(()) => continue,
                Err(left) => return left,
            },
            Err(NoServer::ClientGone) => return Left::Gone,
            Err(NoServer::Dismissed) => return Left::Refused(client.dismissal()),
            Err(NoServer::SentAway) => return Left::Refused(database_removed()),
        };
        let link = match client.link(server, lane, request, asked) {
            Ok(link) => link,
            Err(left) => return left,
        };
        if let Err(left) = client.relay(link).await {
            return left;
        }
        client.does(ClientState::Idle);
        // What it is told next is of its own database.
        client.end_visit();
        if client.block.is_none() {
            client.tell_news();
        }
    }
}

impl Client {
    /// A server for the request at hand, wherever a reload has put those of this pool meanwhile. What a replica has no server for runs
    /// on the primary. It is waited for from `waits_since` on.
    pub(super) async fn server(&mut self) -> Result<(Box<Server>, Arc<Lane>), NoServer> {
        loop {
            self.step(Step::Decide);
            if self.shape.watch.as_ref().is_some_and(|watch| watch.is_over()) {
                // Nobody asks its hosts any more. A block that has read elsewhere has not looked for that.
                self.look_again().map_err(|_| NoServer::SentAway)?;
                self.turn_to_primary();
            }
            if self.lacks_replica() {
                return Err(NoServer::Refused(no_replica()));
            }
            let lane = match self.shape.target(self.to()) {
                Target::Lane(lane) => lane.clone(),
                Target::NoPrimary(watch) => {
                    let watch = watch.clone();
                    Box::pin(self.until_primary(&watch, self.waits_since, None, true)).await?;
                    continue;
                }
                Target::Removed => return Err(NoServer::SentAway),
            };
            self.step(Step::Checkout);
            let patience = self.patience();
            match self.checkout(&lane, self.waits_since, patience, true).await {
                Ok(server) if self.shape.leads_to(self.to(), &lane) && self.still_lives() => return Ok((server, lane)),
                Ok(server) => self.hand_back(&lane, server),
                Err(NoServer::SentAway) if self.look_again().is_ok() => (),
                Err(NoServer::Refused(fault)) if self.may_turn() && fault.blame != Blame::Client => (),
                Err(other) => return Err(other),
            }
            self.turn_to_primary();
        }
    }

    /// What only PgOtter has needs no server.
    fn answers(&mut self, request: &Request) -> bool {
        self.step(Step::Answer);
        if request.end.is_none() || self.shape.settings.pool_mode == PoolMode::Session {
            return false;
        }
        let answer = match request.first {
            kind::QUERY => self
                .answer_block(&request.bytes)
                .or_else(|| self.answer_alone(&request.bytes))
                .or_else(|| self.answer_own(&request.bytes)),
            kind::PARSE | kind::BIND => {
                self.answer_block_messages(&request.bytes).or_else(|| self.answer_own_messages(&request.bytes))
            }
            kind::DESCRIBE => self.answer_own_messages(&request.bytes),
            _ => None,
        };
        let Some(mut answer) = answer else { return false };
        if request.first == kind::QUERY
            && let Some(statements) = &mut self.statements
        {
            // As any Query does.
            statements.put(b"", None);
        }
        let ends = if request.end == Some(kind::FLUSH) { 0 } else { READY };
        let ready = answer.split_off(answer.len().saturating_sub(ends));
        self.socket.queue(answer);
        if self.block.is_none() {
            self.tell_news();
        }
        self.socket.queue(ready);
        true
    }

    /// Gives the request to the server, which it has asked for since `asked`, with what that lacks in front of it; or holds it back for the
    /// hub.
    fn link(
        &mut self,
        server: Box<Server>,
        lane: Arc<Lane>,
        mut request: Request,
        asked: Instant,
    ) -> Result<Link, Left> {
        self.step(Step::Link);
        self.meter.assigned(self.now.saturating_duration_since(asked), self.is_on_replica());
        let mode = self.shape.settings.pool_mode;
        let whole = request.end.is_some();
        let found = if whole && !self.is_visiting() {
            self.examine(&mut request.bytes, mode, self.own_readings())
        } else {
            Found::default()
        };
        self.tell_ungranted();
        self.note_where(&lane);
        self.does(ClientState::Active(server.id));
        server.serves(self.id, self.now);
        let mut link = Link::new(server, lane, mode, request.received, self.now);
        if whole {
            self.try_out(&request);
        }
        if !self.is_on_trial() {
            self.count_decision();
        }
        if !found.is_nothing() {
            link.held = Some(Held::new(request.bytes, (Some(request.first), request.end), At::Link, found));
            return Ok(link);
        }
        match self.send_at(At::Link, &mut link, request.bytes, Some(request.first)) {
            Ok(()) => Ok(link),
            Err(left) => Err(self.part(link, left)),
        }
    }

    /// The request is not run; the client hears why and goes on, in step with the protocol.
    pub(super) fn refuse(&mut self, fault: &Fault, end: Option<u8>) -> Result<(), Left> {
        self.step(Step::Refuse);
        if fault.severity == Severity::Fatal {
            return Err(Left::Refused(fault.clone()));
        }
        self.count_refusal(fault);
        self.tell(fault);
        self.fail_block();
        match end {
            Some(kind::QUERY | kind::FUNCTION_CALL | kind::SYNC) => self.tell_ready(),
            // Everything up to the next Sync, or to the end of this Query, is skipped, as PostgreSQL does after an error.
            _ => self.skip_to = Some(self.gather.passing_simple().unwrap_or(kind::SYNC)),
        }
        Ok(())
    }

    /// What is said to a client that is to leave now: everybody is, or an operator wants to be rid of this one alone.
    pub(super) fn dismissal(&self) -> Fault {
        if self.draining {
            return shutting_down();
        }
        Fault::fatal(Blame::Pooler, SqlState::ADMIN_SHUTDOWN, "admin forced disconnect")
            .with_hint("An operator has closed this connection.")
    }

    fn count_refusal(&self, fault: &Fault) {
        match fault.blame {
            // Of the wait for a server. Others are of something else that there is only so much of.
            Blame::Limit if fault.sqlstate == SqlState::TOO_MANY_CONNECTIONS => {
                self.meter.not_assigned(CheckoutFailure::Timeout)
            }
            Blame::Limit => self.meter.not_assigned(CheckoutFailure::Limit),
            Blame::Server => self.meter.not_assigned(CheckoutFailure::NoServer),
            // It has cancelled its request.
            Blame::Client | Blame::Pooler => (),
        }
    }
}

/// What was used up moves whole.
pub(super) fn take(inbox: &mut BytesMut, bytes: usize) -> BytesMut {
    if bytes == inbox.len() { std::mem::take(inbox) } else { inbox.split_to(bytes) }
}

pub(super) fn shutting_down() -> Fault {
    Fault::fatal(Blame::Pooler, SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
        .with_hint("PgOtter is shutting down; reconnect.")
}
