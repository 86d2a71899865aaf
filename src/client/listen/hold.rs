//! What waits for the hub: a request that listens or notifies, and the ReadyForQuery of a transaction that has notified.

use super::super::checkout::canceled;
use super::super::connection::Client;
use super::super::link::{At, Link};
use super::super::serve::Left;
use super::super::texts::begins_with_end;
use super::Listening;
use super::deeds::Deed;
use super::request::Found;
use crate::clock::{self, Instant};
use crate::cluster::{Channel, Listener};
use crate::fault::{Blame, Fault, Severity, SqlState};
use crate::pool::Ticket;
use crate::sql::Facts;
use crate::wire::backend::{self, Status};
use crate::wire::frame;
use crate::wire::frontend::kind;
use bytes::BytesMut;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for the hub, in front of a transaction that notifies and again behind it, with a server held. Behind that only
/// what a text says itself is known as the client's own (`owed`).
const OWN: Duration = Duration::from_millis(50);

/// Longest wait for the hub in front of the COMMIT of a LISTEN, with a server held. Without an answer in time the client may hear what was
/// committed before.
const JOIN: Duration = Duration::from_secs(5);

/// Channels of one client. Each of them may cost 200 bytes, here and in the hub.
const CHANNELS_MAX: usize = 10_000;

/// A request that is not sent yet.
pub(in super::super) struct Held {
    pub bytes: BytesMut,
    /// Type of the message that ended it.
    pub end: Option<u8>,
    /// Type of its first message.
    pub first: Option<u8>,
    /// What it begins.
    pub at: At,
    pub found: Found,
    // What the hub was asked for it, and until when it waits, if there is an end to that.
    ticket: Option<Ticket>,
    until: Option<Instant>,
    // That was an earlier question; its own comes behind the answer.
    behind: bool,
    // What it is to listen to for this request.
    ahead: Vec<Channel>,
}

/// What may be done with a request.
pub(in super::super) enum Turn {
    /// It waits.
    Wait,
    /// It is to be sent.
    Go(Box<Held>),
    /// It is not run.
    Refuse(Fault, Box<Held>),
}

/// Where the last one of these messages begins.
fn last_frame(messages: &[u8]) -> usize {
    let mut at = 0;
    while let Some((.., total)) = frame::first(&messages[at..]) {
        if at + total == messages.len() {
            break;
        }
        at += total;
    }
    at
}

impl Held {
    pub fn new(bytes: BytesMut, (first, end): (Option<u8>, Option<u8>), at: At, found: Found) -> Box<Self> {
        Box::new(Self { bytes, end, first, at, found, ticket: None, until: None, behind: false, ahead: Vec::new() })
    }
}

impl Client {
    /// Whether the client must hear something before anything more is sent for it.
    pub(in super::super) fn is_listen_under_way(&self) -> bool {
        self.listening.as_ref().is_some_and(|listening| listening.is_under_way())
    }

    /// Brings the request that is held, if there is one, nearer to being sent.
    pub(in super::super) fn advance(&mut self, link: &mut Link) -> Turn {
        self.take_up_commit(link);
        let exchange = link.server.exchange();
        let (owes, status) = (exchange.owes(), exchange.status());
        let Some(mut held) = link.held.take_if(|_| !owes) else { return Turn::Wait };
        // A failed block ends with PREPARE TRANSACTION as with ROLLBACK.
        let ends = status == Status::Failed && held.found.deeds == [Deed::Prepare];
        if let Some(refusal) = held.found.refusal.take().filter(|_| !ends) {
            return Turn::Refuse(refusal, held);
        }
        let is_answered = |ticket| self.listening.as_ref().is_some_and(|listening| listening.answered >= ticket);
        if held.ticket.is_none_or(|ticket| held.behind && is_answered(ticket))
            && let Err(fault) = self.ask_hub(&mut held, status)
        {
            return Turn::Refuse(fault, held);
        }
        let pid = link.server.pid();
        let Some(listening) = &mut self.listening else { return Turn::Go(held) };
        if held.ticket.is_some_and(|ticket| ticket > listening.answered) {
            if held.until.is_none_or(|until| clock::now() < until) {
                link.held = Some(held);
                return Turn::Wait;
            }
            if !held.ahead.is_empty() {
                listening.abandon(&held.ahead);
                self.now = clock::now();
                return Turn::Refuse(canceled(), held);
            }
            // Without an answer nobody can tell what else is its own.
            held.found.notifies = false;
        }
        // What needs nothing new of the hub may run although that is lost: its client hears of it then.
        if let Some(refusal) = listening.refusal.take().filter(|_| !held.ahead.is_empty()) {
            listening.channels.forsake(&held.ahead);
            return Turn::Refuse(Fault::clone(&refusal), held);
        }
        let listens = held.found.deeds.iter().any(Deed::is_listen);
        // An earlier statement of this transaction may have notified, when nobody cared.
        listening.notifying |= held.found.notifies || listens && status == Status::InTransaction;
        listening.server = pid;
        listening.set_out();
        held.found.notified.drain(..).for_each(|notified| listening.owed.send(notified));
        listening.expected.extend(held.found.deeds.drain(..));
        listening.commit = held.found.commit.take();
        Turn::Go(held)
    }

    /// The COMMIT that its Query ended with comes when what stands in front of it has succeeded, as if it had been sent now.
    fn take_up_commit(&mut self, link: &mut Link) {
        if link.held.is_some() || link.server.exchange().owes() {
            return;
        }
        let commit = self.listening.as_mut().and_then(|listening| listening.commit.take());
        let Some(mut commit) = commit else { return };
        link.sent = self.moment(link);
        let readings = self.readings(&link.server);
        let found = self.examine(&mut commit, link.mode, readings);
        link.held = Some(Held::new(commit, (Some(kind::QUERY), Some(kind::QUERY)), At::Nothing, found));
    }

    /// A client outside a transaction listens to nothing any more.
    pub(in super::super) fn unlisten_all(&mut self) {
        if let Some(listening) = &mut self.listening {
            listening.channels.done(Deed::UnlistenAll, true, &mut listening.left);
            listening.end();
        }
    }

    /// Asks the hub for what a request needs of it.
    fn ask_hub(&mut self, held: &mut Held, status: Status) -> Result<(), Fault> {
        let patience = self.shape.settings.query_timeout;
        let who = Listener { id: self.id, mailbox: self.mailbox.clone() };
        let encoding: Channel = self.encoding().into();
        let Some(listening) = &mut self.listening else { return Ok(()) };
        let new = listening.channels.ahead(&held.found.deeds);
        if new.is_empty() {
            let joins = status != Status::Failed && listening.joins(&held.found.deeds);
            let asks = joins || held.found.notifies && !listening.notifying && !listening.channels.is_empty();
            held.behind = asks && listening.is_asking();
            held.ticket = match held.behind {
                true => Some(listening.asked),
                false => asks.then(|| listening.ask(who)).flatten(),
            };
            held.until.get_or_insert_with(|| clock::now() + if joins { JOIN } else { OWN });
            return Ok(());
        }
        let fault = if listening.channels.len() > CHANNELS_MAX {
            let fault = Fault::error(Blame::Limit, SqlState::PROGRAM_LIMIT_EXCEEDED, "too many channels");
            Some(fault.with_detail(format!("A client listens to {CHANNELS_MAX} channels at most.")))
        } else if listening.hub.is_some() && listening.encoding != encoding {
            let message = "cannot LISTEN in another client_encoding than before";
            let fault = Fault::error(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message);
            Some(fault.with_hint("UNLISTEN * first, and LISTEN to all channels anew."))
        } else {
            None
        };
        if let Some(fault) = fault {
            listening.channels.forsake(&new);
            return Err(fault);
        }
        let ticket = listening.next_ticket();
        held.ticket = Some(ticket);
        (held.behind, held.until) = (false, patience.and_then(|patience| clock::now().checked_add(patience)));
        held.ahead.clone_from(&new);
        let heard = listening.hub.as_ref().is_some_and(|hub| hub.listen(who.clone(), new.clone(), ticket));
        if !heard {
            self.open_hub(encoding, who, new, ticket);
        }
        Ok(())
    }

    fn open_hub(&mut self, encoding: Channel, who: Listener, channels: Vec<Channel>, ticket: Ticket) {
        let (Some(listening), Some(lane)) = (&mut self.listening, self.shape.lane_or_last()) else { return };
        listening.hub = Some(self.pool.listen(lane, &encoding, who, channels, ticket));
        listening.encoding = encoding;
    }

    /// The request is not run. Whether that is all there is to it: else something that fails has gone to the server in its place, as
    /// a block is to fail with it, or what is behind it to be skipped.
    pub(in super::super) fn turn_down(&mut self, link: &mut Link, fault: &Fault, held: Held) -> Result<bool, Left> {
        let exchange = link.server.exchange();
        let block = exchange.status() != Status::Idle || exchange.unsynced();
        let goes_on = matches!(held.end, Some(kind::QUERY | kind::SYNC));
        if fault.severity == Severity::Fatal || !block && (goes_on || self.may_release(link)) {
            return self.refuse(fault, held.end).map(|()| true);
        }
        if exchange.is_skipping() {
            // It would not have been looked at.
            link.server.send(held.bytes);
            return Ok(false);
        }
        self.refuse_there(link, fault, held)?;
        Ok(false)
    }

    fn refuse_there(&mut self, link: &mut Link, fault: &Fault, mut held: Held) -> Result<(), Left> {
        self.log_fault(fault);
        if held.found.by_query && held.first != Some(kind::QUERY) {
            // What stands in front of the Query is run.
            let query = held.bytes.split_off(last_frame(&held.bytes));
            let front = std::mem::replace(&mut held.bytes, query);
            self.send_at(held.at, link, front, held.first)?;
        }
        let mut error = BytesMut::new();
        backend::error_response(&mut error, fault);
        let readings = self.readings(&link.server);
        let mut under_way = link.server.forward(held.bytes, link.sent, 0);
        match under_way.message().filter(|message| message.kind == kind::QUERY) {
            Some(message) => {
                let mut facts = Arc::new(Facts::default());
                // That may be what is refused.
                if held.found.deeds.first() != Some(&Deed::Prepare) {
                    facts = self.read(message.body.strip_suffix(b"\0").unwrap_or(message.body), readings);
                }
                if let Some(listening) = self.listening.as_deref_mut().filter(|_| begins_with_end(&facts)) {
                    listening.expected.extend(facts.statements.get(0).and_then(|first| Deed::of(&first.verb)));
                }
                self.refuse_query(&mut under_way, &facts, error);
            }
            None => under_way.replace_refused(error),
        }
        // What is left of it is skipped.
        while under_way.message().is_some() {
            under_way.pass(None);
        }
        under_way.finish();
        Ok(())
    }

    /// A transaction is over, and the client waits for ReadyForQuery. False: it has to wait longer.
    pub(in super::super) fn come_to_rest(&mut self) -> bool {
        if self.listening.as_ref().is_some_and(|listening| listening.commit.is_some()) {
            // Not yet.
            return true;
        }
        let who = Listener { id: self.id, mailbox: self.mailbox.clone() };
        if let Some(listening) = &mut self.listening
            && let Some(ticket) = listening.ask_at_rest(who)
        {
            listening.ready = Some((ticket, clock::now() + OWN));
            return false;
        }
        self.tell_rest();
        true
    }

    /// Tells the client what it is to hear, and that it is its turn.
    fn tell_rest(&mut self) {
        self.tell_news();
        if let Some(listening) = &mut self.listening {
            listening.notifying = false;
            listening.ready = None;
        }
        self.tell_ready();
    }

    /// Whether ReadyForQuery is kept back.
    pub(in super::super) fn awaits_rest(&self) -> bool {
        self.listening.as_ref().is_some_and(|listening| listening.ready.is_some())
    }

    /// A request to cancel what the client does. Where that is to wait for its hub: if it is to listen it is not run, else it goes on.
    pub(in super::super) fn end_wait_for_hub(&mut self, link: &mut Link) {
        // One that waits for what is in front of it is not what is meant.
        if let Some(held) = link.held.as_mut().filter(|held| held.ticket.is_some()) {
            held.until = Some(clock::now());
        }
    }

    /// Until when the client waits for its hub at most.
    pub(in super::super) fn hub_deadline(&self, link: &Link) -> Option<Instant> {
        let rest = self.listening.as_ref().and_then(|listening| listening.ready).map(|(_, until)| until);
        rest.or_else(|| link.held.as_ref()?.until)
    }

    /// Says ReadyForQuery if it was kept back and need not wait any longer. Whether it did.
    pub(in super::super) fn end_wait_for_rest(&mut self) -> bool {
        let Some((ticket, until)) = self.listening.as_ref().and_then(|listening| listening.ready) else { return false };
        let answered = self.listening.as_ref().is_some_and(|listening| listening.answered >= ticket);
        let over = answered || clock::now() >= until;
        if over {
            self.tell_rest();
        }
        over
    }
}

impl Listening {
    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.asked = Ticket(self.asked.0 + 1);
        // What went wrong before has been told.
        self.refusal = None;
        self.asked
    }

    /// Whether a question is under way.
    fn is_asking(&self) -> bool {
        self.asked > self.answered
    }

    /// Whether these commit a first LISTEN, so that what was notified before them is to be told from what is behind.
    pub(super) fn joins(&self, deeds: &[Deed]) -> bool {
        self.hub.is_some() && deeds.contains(&Deed::Commit) && self.channels.is_joining()
    }

    /// Something is about to be sent, and nothing is under way: what is here was committed before a first LISTEN will be.
    pub(super) fn set_out(&mut self) {
        if self.channels.own().next().is_none() {
            self.news.forget();
        }
    }

    /// The hub need not listen to these, which it was asked to and has not answered yet.
    fn abandon(&mut self, new: &[Channel]) {
        self.channels.forsake(new);
        if let Some(hub) = &self.hub {
            hub.unlisten(self.id, new.to_vec());
        }
    }

    /// Asks for everything that has been committed. `None`: the hub is gone, of which the client will hear.
    pub(super) fn ask(&mut self, who: Listener) -> Option<Ticket> {
        let ticket = self.next_ticket();
        self.hub.as_ref().is_some_and(|hub| hub.ask(who, ticket)).then_some(ticket)
    }

    /// Behind a transaction: asks for what is to come of it. The answer to wait for; `None`: there is nothing to wait for.
    pub(super) fn ask_at_rest(&mut self, who: Listener) -> Option<Ticket> {
        if !self.notifying {
            // A hub that was late in front of it is not waited for again.
            self.ask_for_owed(who);
            return None;
        }
        if self.channels.is_empty() {
            return None;
        }
        let ticket = self.ask(who)?;
        self.owed.ask(ticket);
        Some(ticket)
    }

    /// Asks for what is owed without waiting for the answer, unless one is under way already: then it is asked for behind that.
    pub(super) fn ask_for_owed(&mut self, who: Listener) {
        // A refusal is for a request that waits to be told.
        if !self.is_asking()
            && self.refusal.is_none()
            && self.owed.is_unasked()
            && !self.channels.is_empty()
            && let Some(ticket) = self.ask(who)
        {
            self.owed.ask(ticket);
        }
    }
}
