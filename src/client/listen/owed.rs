//! What a client has notified of by a text that says it, and has not heard yet: so its own is known however late its hub
//! hears of it. Bounded. Pure.
//!
//! Of two that are alike in server, channel and payload, the first that comes is taken for the client's own, whoever sent it:
//! nobody can tell them apart. Of those that are alike in one transaction PostgreSQL sends one; the transactions of
//! one Query count as one here.

use super::notices::Notified;
use crate::pool::{ENTRY, Ticket};
use std::collections::{HashMap, HashSet};

/// Bytes of what is remembered for a client. Whatever is beyond that is not.
pub(super) const OWED_MAX: usize = 64 * 1024;

/// What is owed to one client.
#[derive(Default)]
pub(super) struct Owed {
    // By the open transaction.
    sent: HashSet<Notified>,
    // Committed, in the order of that.
    committed: HashMap<Notified, Vec<Committed>>,
    // Some of these are not asked for yet.
    unasked: bool,
    bytes: usize,
}

struct Committed {
    // The server's process.
    server: i32,
    // It is owed until this is answered.
    until: Option<Ticket>,
}

/// What it takes to remember one.
pub(super) fn cost(notified: &[u8]) -> usize {
    notified.len() + ENTRY
}

impl Owed {
    /// A statement that says this goes to the server.
    pub fn send(&mut self, notified: Notified) {
        let bytes = self.bytes + cost(&notified);
        if bytes <= OWED_MAX && self.sent.insert(notified) {
            self.bytes = bytes;
        }
    }

    /// Whether the open transaction has sent any.
    pub fn is_sending(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Whether anything was committed of which it was not asked yet when it has come.
    pub fn is_unasked(&self) -> bool {
        self.unasked && !self.committed.is_empty()
    }

    /// What was sent has come to nothing, or it is not known of which of it that is true.
    pub fn forget_sent(&mut self) {
        self.bytes -= self.sent.drain().map(|notified| cost(&notified)).sum::<usize>();
    }

    /// What was sent has been committed by the process `server`.
    pub fn commit(&mut self, server: i32) {
        self.unasked |= self.is_sending();
        for notified in self.sent.drain() {
            // Mostly there is one.
            let committed = self.committed.entry(notified).or_insert_with(|| Vec::with_capacity(1));
            committed.push(Committed { server, until: None });
        }
    }

    /// When this is answered everything has come that has been committed so far.
    pub fn ask(&mut self, ticket: Ticket) {
        if std::mem::take(&mut self.unasked) {
            let committed = self.committed.values_mut().flatten();
            committed.for_each(|one| one.until = one.until.or(Some(ticket)));
        }
    }

    /// What has not come by now never will.
    pub fn answer(&mut self, answered: Ticket) {
        let bytes = &mut self.bytes;
        self.committed.retain(|notified, committed| {
            let before = committed.len();
            committed.retain(|one| one.until.is_none_or(|until| until > answered));
            *bytes -= (before - committed.len()) * cost(notified);
            !committed.is_empty()
        });
    }

    /// Whether this notification of a server's process is owed; it is not any longer. `current` is the process of the open transaction.
    pub fn take(&mut self, pid: i32, notified: &[u8], current: i32) -> bool {
        let owed = self.take_committed(pid, notified) || pid == current && self.sent.remove(notified);
        if owed {
            self.bytes -= cost(notified);
        }
        owed
    }

    fn take_committed(&mut self, pid: i32, notified: &[u8]) -> bool {
        let Some(committed) = self.committed.get_mut(notified) else { return false };
        let Some(at) = committed.iter().position(|one| one.server == pid) else { return false };
        committed.remove(at);
        if committed.is_empty() {
            self.committed.remove(notified);
        }
        true
    }
}

#[cfg(test)]
mod tests;
