//! A read on a replica is on trial until something of its answer is shown: should the replica refuse it, or be lost, it runs once on the
//! primary, and what that answers counts. Nothing of a read that was shown to nobody has had an effect.
//!
//! Replicas fail where a primary would not: they cancel what is in the way of replay (40001), have not replayed a definition yet
//! (42P01 and others), or are about to end. What PostgreSQL says before a row or the end of a command is held back for that, a second
//! at most; it keeps most of it back itself.

use super::between::Request;
use super::connection::Client;
use super::link::Link;
use super::route::Refusal;
use crate::clock::{self, Instant};
use crate::metrics::{Answered, Retry};
use crate::router::To;
use crate::session::{Statement, key};
use crate::wire::backend::{error_field, kind as said};
use crate::wire::frame::{self, HEAD, Head, take_cstr};
use crate::wire::frontend::kind;
use bytes::BytesMut;
use std::sync::Arc;
use std::time::Duration;

/// Longest time that an answer is held back.
const HELD: Duration = Duration::from_secs(1);

/// Bytes of an answer that are held back.
const HELD_MAX: usize = 64 * 1024;

/// A name of a statement, and what it stood for.
type Named = (Box<[u8]>, Option<Arc<Statement>>);

/// A request on a replica of whose answer nothing was shown yet.
pub(super) struct Trial {
    request: Request,
    // What the names of statements stood for that it gives or drops.
    named: Vec<Named>,
    held: BytesMut,
    // What the replica has answered, as far as it was not counted: what the primary answers in its place is what counts.
    answered: Answered,
    until: Option<Instant>,
    // It has been cancelled.
    cancelled: bool,
    // It is to be the primary's.
    moves: Option<Moved>,
}

/// A request runs on the primary instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moved {
    why: Retry,
    refusal: Refusal,
}

/// What is to become of it.
#[derive(Debug, PartialEq, Eq)]
enum Ruling {
    /// Nothing yet.
    Wait,
    /// Its answer is shown as it comes.
    Show,
    /// It runs on the primary, as the replica has refused it so.
    Move(Moved),
}

impl Trial {
    /// What the server says goes here.
    pub fn held(&mut self) -> &mut BytesMut {
        &mut self.held
    }
}

impl Client {
    /// A request is about to be sent. If it goes to a replica, outside of any block or of the one around it, it is on trial; but not for a client that listens,
    /// whose ReadyForQuery has to wait for notifications, nor if it asks for what only this replica knows.
    pub(super) fn try_out(&mut self, request: &Request) {
        let stays = self.block.is_some() && !self.is_apart() || self.listening.is_some() || self.asks_replica_itself();
        if self.to() == To::Primary || stays {
            return;
        }
        let names = self.route.as_ref().is_some_and(|route| route.names);
        let trial = Trial {
            named: if names { self.names_of(&request.bytes) } else { Vec::new() },
            request: Request { bytes: request.bytes.clone(), ..*request },
            held: BytesMut::new(),
            answered: Answered::default(),
            until: None,
            cancelled: false,
            moves: None,
        };
        if let Some(route) = &mut self.route {
            route.trial = Some(trial);
        }
    }

    /// What is to be as it was if these messages are said again: what the names of statements that they give or drop stand for. A name that
    /// is taken no Parse gives to another; and the unnamed one is parsed again.
    fn names_of(&self, messages: &[u8]) -> Vec<Named> {
        let stands_for = |name: &[u8]| self.statements.as_ref().and_then(|statements| statements.get(name)).cloned();
        let mut named: Vec<Named> = Vec::new();
        for (message, mut body) in frame::all(messages) {
            let closes = message == kind::CLOSE && body.first() == Some(&b'S');
            if !closes && message != kind::PARSE {
                continue;
            }
            body = body.get(usize::from(closes)..).unwrap_or_default();
            let Some(name) = take_cstr(&mut body).map(key) else { continue };
            let before = stands_for(name);
            let changes = closes || !name.is_empty() && before.is_none();
            if changes && !named.iter().any(|(known, _)| **known == *name) {
                named.push((name.into(), before));
            }
        }
        named
    }

    /// Whether nothing was shown yet of an answer that may be the primary's.
    pub(super) fn is_on_trial(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.trial.is_some())
    }

    fn trial(&mut self) -> Option<&mut Trial> {
        self.route.as_mut()?.trial.as_mut()
    }

    /// A cancel is sent for it, whether that gets through or not: on the primary nobody would cancel it.
    pub(super) fn cancel_trial(&mut self) {
        if let Some(trial) = self.trial() {
            trial.cancelled = true;
        }
    }

    /// Whether nothing was shown yet of an answer that may be the primary's, and not too many have been moved just now.
    pub(super) fn may_move_once_more(&self) -> bool {
        let trial = self.route.as_ref().and_then(|route| route.trial.as_ref());
        trial.is_some_and(|trial| !trial.cancelled) && self.rules.moved.note(clock::now()).is_some()
    }

    /// PgOtter's own answer to something of the request.
    pub(super) fn say(&mut self, answer: BytesMut) {
        match self.trial() {
            Some(trial) => trial.held.extend_from_slice(&answer),
            None => self.socket.queue(answer),
        }
    }

    /// Of what was answered, what is counted now: nothing while another answer may take its place.
    pub(super) fn shown_now(&mut self, answered: Answered) -> Answered {
        let Some(trial) = self.trial() else { return answered };
        trial.answered.add(answered);
        Answered::default()
    }

    /// Nothing is going to take its place.
    pub(super) fn count_tried(&mut self) {
        if let Some(trial) = self.route.as_mut().and_then(|route| route.trial.take()) {
            self.count_decision();
            self.meter.heard(0, trial.answered);
        }
    }

    /// Looks at what has been said: shows it, or has the request moved to the primary.
    pub(super) fn judge(&mut self) {
        let Some(trial) = self.trial() else { return };
        match ruling(&trial.held) {
            Ruling::Wait if trial.held.is_empty() => (),
            Ruling::Wait => trial.until = trial.until.or_else(|| clock::now().checked_add(HELD)),
            Ruling::Show => self.show(),
            Ruling::Move(moved) if self.may_move_once_more() => self.move_for(moved),
            Ruling::Move(_) => self.show(),
        }
    }

    /// A text that a replica has refused because it writes has been run by the primary, or not.
    pub(super) fn learn(&mut self, link: &Link, answered: Answered) {
        let Some(route) = self.route.as_mut().filter(|route| route.suspect.is_some()) else { return };
        let failed = link.server.has_erred();
        if (failed || answered.queries > 0)
            && let Some(writer) = route.suspect.take()
            && !failed
        {
            tracing::debug!(client = %self.id, fingerprint = %writer, "a text that looks like a read writes");
            self.pool.catalog().writers.note(writer);
        }
    }

    /// The server is lost.
    pub(super) fn lose(&mut self) {
        self.move_for(Moved { why: Retry::Lost, refusal: Refusal::Other });
    }

    fn move_for(&mut self, moved: Moved) {
        if let Some(trial) = self.trial() {
            trial.moves = Some(moved);
        }
    }

    /// Why the request is to run on the primary, if it is.
    pub(super) fn moves(&self) -> Option<Moved> {
        self.route.as_ref()?.trial.as_ref()?.moves
    }

    /// The trial is over: the client sees what there is.
    pub(super) fn show(&mut self) {
        if let Some(trial) = self.route.as_mut().and_then(|route| route.trial.take()) {
            self.count_decision();
            self.meter.heard(trial.held.len(), trial.answered);
            self.answered_bytes += trial.held.len();
            self.socket.queue(trial.held);
        }
    }

    /// The request runs on the primary now. The replica's server is closed: it may hold what the request has taken.
    pub(super) fn move_to_primary(&mut self, link: Link, Moved { why, refusal }: Moved) {
        let Some(trial) = self.route.as_mut().and_then(|route| route.trial.take()) else { return };
        tracing::debug!(client = %self.id, server = %link.server.id, why = why.word(), "a read moves to the primary");
        self.meter.retried(why);
        drop(link);
        self.now = clock::now();
        // PgOtter's own refusal is about the moment, and no sign that the text writes.
        let by_replica = why == Retry::ReadOnly && !self.is_refused_here();
        let suspect = if by_replica { self.first_text(&trial.request) } else { None };
        if let Some(route) = &mut self.route {
            route.suspect = suspect;
        }
        if let Some(statements) = &mut self.statements {
            trial.named.into_iter().for_each(|(name, before)| _ = statements.put(&name, before));
        }
        self.run_on_primary(trial.request, refusal);
    }

    /// When what is held back must be shown.
    pub(super) fn trial_deadline(&self) -> Option<Instant> {
        self.route.as_ref()?.trial.as_ref()?.until
    }
}

fn ruling(mut held: &[u8]) -> Ruling {
    if held.len() > HELD_MAX {
        return Ruling::Show;
    }
    while let Some(head) = Head::read(held) {
        match head.kind {
            said::ERROR_RESPONSE => {
                let Some((_, body, _)) = frame::first(held) else { return Ruling::Wait };
                return moves(error_field(body, b'C').unwrap_or_default()).map_or(Ruling::Show, Ruling::Move);
            }
            // What it tells its client has taken note of already.
            said::PARAMETER_STATUS => return Ruling::Show,
            said::PARSE_COMPLETE
            | said::BIND_COMPLETE
            | said::CLOSE_COMPLETE
            | said::PARAMETER_DESCRIPTION
            | said::ROW_DESCRIPTION
            | said::NO_DATA
            | said::NOTICE_RESPONSE
            | said::COPY_OUT_RESPONSE => {
                let total = head.frame_len().unwrap_or(HEAD);
                let Some(rest) = held.get(total..) else { return Ruling::Wait };
                held = rest;
            }
            _ => return Ruling::Show,
        }
    }
    Ruling::Wait
}

/// Why an error of this SQLSTATE moves the request; `None`: the client has cancelled it.
fn moves(code: &[u8]) -> Option<Moved> {
    let why = match code {
        b"57014" => return None,
        b"25006" => Retry::ReadOnly,
        b"40001" | b"40P01" => Retry::Conflict,
        b"42P01" | b"42703" | b"42704" | b"42883" | b"22023" => Retry::NotReplayed,
        b"0A000" | b"55000" => Retry::NotSupported,
        _ => Retry::OtherError,
    };
    // In recovery PostgreSQL refuses writes by the first. What gets past that fails where it asks for a transaction's number, a place in
    // the log or a lock: "cannot assign TransactionIds during recovery" and the like.
    let refusal = match code {
        b"25006" | b"55000" | b"XX000" => Refusal::OfWrite,
        _ => Refusal::Other,
    };
    Some(Moved { why, refusal })
}

#[cfg(test)]
mod tests {
    //! What moves a request, and what shows its answer.

    use super::{Refusal, Retry, Ruling, ruling};
    use crate::wire::frame::HEAD;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(body.len() + HEAD - 1).unwrap_or(0).to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    fn error(code: &str) -> Vec<u8> {
        message(b'E', format!("SERROR\0C{code}\0Mno\0\0").as_bytes())
    }

    fn why(held: &[u8]) -> Option<Retry> {
        match ruling(held) {
            Ruling::Move(moved) => Some(moved.why),
            _ => None,
        }
    }

    #[test]
    fn an_error_before_the_first_row_moves_the_request_and_behind_it_does_not() {
        let before = [message(b'1', b""), message(b'2', b""), message(b'T', b"\0\0"), error("40001")].concat();
        assert_eq!(why(&before), Some(Retry::Conflict));
        let behind = [message(b'T', b"\0\0"), message(b'D', b"\0\0"), error("40001")].concat();
        assert_eq!(ruling(&behind), Ruling::Show);
        assert_eq!(ruling(&[message(b'C', b"SELECT 0\0"), error("40001")].concat()), Ruling::Show);
    }

    #[test]
    fn a_cancel_is_the_clients_own_and_shown() {
        assert_eq!(ruling(&error("57014")), Ruling::Show);
        assert_eq!(why(&error("25006")), Some(Retry::ReadOnly));
        assert_eq!(why(&error("42P01")), Some(Retry::NotReplayed));
        assert_eq!(why(&error("XX000")), Some(Retry::OtherError));
    }

    #[test]
    fn only_what_refuses_writes_says_that_a_text_may_be_one() {
        let refusal = |code: &str| match ruling(&error(code)) {
            Ruling::Move(moved) => Some(moved.refusal),
            _ => None,
        };
        for code in ["25006", "55000", "XX000"] {
            assert_eq!(refusal(code), Some(Refusal::OfWrite), "{code}");
        }
        for code in ["42P01", "42703", "42883", "22012", "40001", "0A000", "57P01"] {
            assert_eq!(refusal(code), Some(Refusal::Other), "{code}");
        }
    }

    #[test]
    fn what_may_still_end_either_way_is_waited_for_cut_anywhere() {
        let whole = [message(b'1', b""), message(b'T', b"\0\x01abc\0"), error("55000")].concat();
        for cut in 0..whole.len() {
            assert_eq!(ruling(&whole[..cut]), Ruling::Wait, "cut at {cut}");
        }
        assert_eq!(why(&whole), Some(Retry::NotSupported));
    }
}
