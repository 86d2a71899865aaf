//! Who listens to what. Pure but for the mailboxes that it fills.

use super::{Channel, Listener};
use crate::ids::ClientId;
use crate::pool::{Heard, Mailbox};
use crate::wire::frame::{HEAD, take_cstr, take_i32};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// The listeners of each channel. A channel without any is not in it.
#[derive(Default)]
pub struct Book(HashMap<Channel, HashMap<ClientId, Arc<Mailbox>>>);

impl Book {
    /// True: nobody listened to it before.
    pub fn listen(&mut self, who: &Listener, channel: &Channel) -> bool {
        if let Some(listeners) = self.0.get_mut(channel) {
            listeners.insert(who.id, who.mailbox.clone());
            return false;
        }
        self.0.insert(channel.clone(), HashMap::from([(who.id, who.mailbox.clone())]));
        true
    }

    /// True: nobody listens to it any more.
    pub fn unlisten(&mut self, who: ClientId, channel: &[u8]) -> bool {
        let Some(listeners) = self.0.get_mut(channel) else { return false };
        listeners.remove(&who);
        let last = listeners.is_empty();
        if last {
            self.0.remove(channel);
        }
        last
    }

    /// Passes a whole NotificationResponse on to those who listen. One that nobody listens to any more is on its way when
    /// UNLISTEN is.
    pub fn hear(&self, frame: &Bytes) {
        let mut body = frame.get(HEAD..).unwrap_or_default();
        let channel = take_i32(&mut body).and_then(|_| take_cstr(&mut body)).unwrap_or_default();
        for mailbox in self.0.get(channel).into_iter().flat_map(HashMap::values) {
            mailbox.put(|mail| mail.hear(Heard::Notification(frame.clone())));
        }
    }

    /// Whether nobody listens to anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those who listen to one channel, which they do no longer.
    pub fn give_up(&mut self, channel: &[u8]) -> impl Iterator<Item = (ClientId, Arc<Mailbox>)> + use<> {
        self.0.remove(channel).into_iter().flatten()
    }

    /// Tells every listener that it would hear nothing any more, and forgets all.
    pub fn lose(&mut self) {
        for mailbox in self.0.drain().flat_map(|(_, listeners)| listeners.into_values()) {
            lose(&mailbox);
        }
    }
}

/// Tells a client that its hub has ended.
pub fn lose(mailbox: &Mailbox) {
    mailbox.put(|mail| mail.hub.get_or_insert_default().lost = true);
}
