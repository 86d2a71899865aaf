//! What a hub has for one client, in the order in which it came: notifications, and answers to what the client asked of
//! it. In the client's [`Mailbox`](super::Mailbox) until its task takes it out.

use crate::fault::Fault;
use bytes::Bytes;
use std::sync::Arc;

/// Bytes of notifications that wait for one client, here and once more in its task. PostgreSQL's own queue holds 8 GB for
/// all; a client that takes nothing for so long is closed.
pub const NOTIFICATIONS_MAX: usize = 8 * 1024 * 1024;

/// What one notification takes beside its own bytes.
pub const ENTRY: usize = 64;

/// Names what a client has asked of its hub. Higher ones were asked later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One thing from a hub.
#[derive(Clone, Debug)]
pub enum Heard {
    /// A whole NotificationResponse, as PostgreSQL sent it.
    Notification(Bytes),
    /// Everything that PostgreSQL had committed when this was asked has been heard, and what was to be listened to is.
    Done(Ticket),
    /// It is not listened to, and why.
    Failed(Ticket, Arc<Fault>),
}

/// What has come since the client last looked.
#[derive(Debug, Default)]
pub struct FromHub {
    /// In order.
    pub heard: Vec<Heard>,
    /// More notifications came than are kept: some are lost.
    pub overrun: bool,
    /// The hub's connection has ended: from here on the client would hear nothing.
    pub lost: bool,
    bytes: usize,
}

impl FromHub {
    /// One more; behind [`NOTIFICATIONS_MAX`] bytes of notifications none is kept any more.
    pub fn push(&mut self, heard: Heard) {
        if let Heard::Notification(frame) = &heard {
            let bytes = frame.len() + ENTRY;
            if self.overrun || self.bytes + bytes > NOTIFICATIONS_MAX {
                self.overrun = true;
                self.bytes = 0;
                self.heard.retain(|heard| !matches!(heard, Heard::Notification(_)));
                return;
            }
            self.bytes += bytes;
        }
        self.heard.push(heard);
    }
}

#[cfg(test)]
mod tests {
    //! The bound.
    use super::*;

    #[test]
    fn what_a_client_does_not_take_is_bounded_and_its_answers_are_kept() {
        let mut hub = FromHub::default();
        let frame = Bytes::from(vec![b'A'; 64 * 1024 - ENTRY]);
        hub.push(Heard::Done(Ticket(1)));
        for _ in 0..NOTIFICATIONS_MAX / (64 * 1024) {
            hub.push(Heard::Notification(frame.clone()));
        }
        assert!(!hub.overrun);
        hub.push(Heard::Notification(frame));
        hub.push(Heard::Done(Ticket(2)));
        assert!(hub.overrun);
        assert!(matches!(hub.heard[..], [Heard::Done(Ticket(1)), Heard::Done(Ticket(2))]), "{} kept", hub.heard.len());
    }
}
