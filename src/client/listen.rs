//! LISTEN and NOTIFY of a client that shares its servers. They do not listen themselves: a [`Hub`](crate::cluster::Hub)
//! does for the client, which hears of it what PostgreSQL would tell it, when PostgreSQL would: between two transactions,
//! in order, its own ahead of the ReadyForQuery of their transaction and with its own process number.
//!
//! `deeds` reads what a text does, `channels` keeps PostgreSQL's rules, `request` finds both in a client's messages, `hold`
//! lets them wait for the hub, `news` is what has come from it. `notices` reads what a text notifies of, `owed` knows it again.
//!
//! How a LISTEN goes: the hub listens *ahead* of it; then the statement goes to the server, as an UNLISTEN; when its
//! transaction has been committed the client listens, else the hub is told to forget it. So nothing that is committed
//! behind the client's COMMIT is missed, nor what its own transaction notifies. A client that
//! listens to nothing yet is to hear nothing of what was committed before: in front of a COMMIT that it sends, the hub is asked for that, and
//! what has come by its answer is forgotten; if a Query begins the transaction and ends with that COMMIT, it goes apart. One that
//! listens already hears it as well, as with PostgreSQL's own `Exec_ListenPreCommit`.
//!
//! How a NOTIFY of a client that listens goes: the hub is asked for what has been committed so far, then the statement goes;
//! behind its COMMIT the hub is asked once more. What has come between these two from the process of the client's server
//! is the client's own. No server is held for a hub that is more than 50 ms late: then what comes later, behind its
//! ReadyForQuery, is known as the client's own if a text of the client's says it, and carries the server's number if not. What
//! others notify through PgOtter carries the number of the server's process, and so does what triggers notify.

use crate::clock::Instant;
use crate::cluster::{Channel, Hub};
use crate::fault::Fault;
use crate::ids::ClientId;
use crate::pool::Ticket;
use crate::server::Witness;
use crate::wire::backend::{self, Status};
use bytes::BytesMut;
use channels::Channels;
use deeds::Deed;
use news::News;
use owed::Owed;
use std::collections::VecDeque;
use std::sync::Arc;

mod channels;
mod deeds;
mod hold;
mod news;
mod notices;
mod owed;
mod request;

pub(super) use hold::{Held, Turn};
pub(super) use request::Found;

/// What a client has that has ever listened, or begun to.
pub(super) struct Listening {
    id: ClientId,
    channels: Channels,
    // The hub is to listen no more to these.
    left: Vec<Channel>,
    // Listened to through this one, in this encoding.
    hub: Option<Hub>,
    encoding: Box<[u8]>,
    // Statements under way, in the order of their answers.
    expected: VecDeque<Deed>,
    // A Query under way ended with this, which has yet to go.
    commit: Option<BytesMut>,
    // An error came since the last answer that ends its transaction, or its failure.
    failed: bool,
    // From now to the end of the transaction what the server's process notifies is the client's own.
    notifying: bool,
    server: i32,
    owed: Owed,
    // The last question to the hub, and the last answer; why it was no.
    asked: Ticket,
    answered: Ticket,
    refusal: Option<Arc<Fault>>,
    // The client waits for ReadyForQuery until this is answered, at the latest until then.
    ready: Option<(Ticket, Instant)>,
    news: News,
    // The hub's connection has ended.
    lost: bool,
}

impl Listening {
    fn new(id: ClientId) -> Self {
        Self {
            id,
            channels: Channels::default(),
            left: Vec::new(),
            hub: None,
            encoding: Box::default(),
            expected: VecDeque::new(),
            commit: None,
            failed: false,
            notifying: false,
            server: 0,
            owed: Owed::default(),
            asked: Ticket(0),
            answered: Ticket(0),
            refusal: None,
            ready: None,
            news: News::default(),
            lost: false,
        }
    }

    /// Bytes of memory that wait in it.
    pub fn memory(&self) -> usize {
        self.news.bytes()
    }

    /// What was sent decides what the client listens to, or notifies: nothing more is sent before it has been answered.
    pub fn is_under_way(&self) -> bool {
        self.notifying || self.owed.is_sending() || !self.expected.is_empty() || self.commit.is_some()
    }

    /// Whether its transaction has done, or is about to do, what a later statement may undo.
    fn awaits_anything(&self) -> bool {
        self.channels.is_pending() || self.is_under_way()
    }

    /// The end of a transaction.
    fn end(&mut self) {
        let failed = std::mem::take(&mut self.failed);
        self.channels.end(failed, &mut self.left);
        if failed {
            self.owed.forget_sent();
        }
        self.owed.commit(self.server);
        let left = std::mem::take(&mut self.left);
        if let Some(hub) = &self.hub
            && !left.is_empty()
        {
            hub.unlisten(self.id, left);
        }
        if self.channels.is_empty() {
            self.hub = None;
            // It is told of nothing any more, so of nothing that would be taken for this later.
            self.owed = Owed::default();
        }
    }
}

impl Witness for Listening {
    fn complete(&mut self, tag: &[u8]) -> Option<BytesMut> {
        self.failed &= !matches!(tag, b"ROLLBACK" | b"COMMIT");
        if tag == b"ROLLBACK" {
            // To a savepoint, too, in front of which there may have been some: those may come under the server's number.
            self.owed.forget_sent();
        }
        let deed = match self.expected.pop_front_if(|deed| deed.fits(tag)) {
            Some(deed) => deed,
            // In a text that nobody has read.
            None if tag == b"COMMIT" => Deed::Commit,
            None if tag == b"ROLLBACK" => Deed::RollBack,
            None => return None,
        };
        let listen = deed.is_listen();
        self.channels.done(deed, tag == b"COMMIT", &mut self.left);
        if tag == b"DISCARD ALL" {
            // It commits of its own accord, whatever fails behind it in the same pipeline.
            self.channels.done(Deed::Commit, true, &mut self.left);
        }
        listen.then(|| {
            let mut out = BytesMut::new();
            backend::command_complete(&mut out, b"LISTEN");
            out
        })
    }

    fn error(&mut self) {
        self.failed = true;
    }

    fn ready(&mut self, status: Status) -> bool {
        self.expected.clear();
        self.commit.take_if(|_| status != Status::InTransaction);
        if status != Status::Idle {
            return self.commit.is_none();
        }
        self.end();
        false
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(hub) = &self.hub {
            hub.unlisten(self.id, self.channels.all());
        }
    }
}

#[cfg(test)]
mod tests;
