//! What a client has notified of by a text that says it, and has not heard yet: so its own is known however late its hub
//! hears of it. Bounded. Pure.
//!
//! Of two that are alike in server, channel and payload, the first that comes is taken for the client's own, whoever sent it:
//! nobody can tell them apart.

use super::notices::Told;
use crate::pool::{ENTRY, Ticket};

/// Bytes of what is remembered for a client. Whatever is beyond that is not.
const OWED_MAX: usize = 64 * 1024;

/// What is owed to one client.
#[derive(Default)]
pub(super) struct Owed {
    // By the open transaction.
    sent: Vec<Told>,
    // Committed, with the server's process, until this is answered.
    committed: Vec<(i32, Told, Option<Ticket>)>,
    bytes: usize,
}

impl Owed {
    /// A statement that says this goes to the server.
    pub fn send(&mut self, told: Told) {
        let bytes = self.bytes + told.len() + ENTRY;
        if bytes <= OWED_MAX {
            self.bytes = bytes;
            self.sent.push(told);
        }
    }

    /// Whether anything is owed.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.committed.is_empty()
    }

    /// Whether the open transaction has sent any.
    pub fn is_sending(&self) -> bool {
        !self.sent.is_empty()
    }

    /// What was sent has come to nothing, or it is not known of which of it that is true.
    pub fn forget_sent(&mut self) {
        self.bytes -= self.sent.drain(..).map(|told| told.len() + ENTRY).sum::<usize>();
    }

    /// What was sent has been committed by the process `server`.
    pub fn commit(&mut self, server: i32) {
        self.committed.extend(self.sent.drain(..).map(|told| (server, told, None)));
    }

    /// When this is answered everything has come that has been committed so far.
    pub fn ask(&mut self, ticket: Ticket) {
        self.committed.iter_mut().for_each(|(.., asked)| *asked = asked.or(Some(ticket)));
    }

    /// What has not come by now never will.
    pub fn answer(&mut self, answered: Ticket) {
        let bytes = &mut self.bytes;
        self.committed.retain(|(_, told, asked)| {
            let stays = asked.is_none_or(|asked| asked > answered);
            *bytes -= if stays { 0 } else { told.len() + ENTRY };
            stays
        });
    }

    /// Whether this notification of a server's process is owed; it is not any longer. `current` is the process of the open transaction.
    pub fn take(&mut self, pid: i32, told: &[u8], current: i32) -> bool {
        let found = match self.committed.iter().position(|(server, owed, _)| *server == pid && **owed == *told) {
            Some(at) => self.committed.remove(at).1,
            None if pid == current => match self.sent.iter().position(|sent| **sent == *told) {
                Some(at) => self.sent.remove(at),
                None => return false,
            },
            None => return false,
        };
        self.bytes -= found.len() + ENTRY;
        true
    }
}

#[cfg(test)]
mod tests;
