//! What has come from the hub and the client has not been told yet. Bounded, here and in what is queued for the client.

use super::super::connection::{Client, Step};
use super::deeds::Deed;
use super::{Channels, Listening, Owed};
use crate::cluster::Listener;
use crate::fault::{Blame, Fault, SqlState};
use crate::metrics::Answered;
use crate::pool::{ENTRY, FromHub, Heard, NOTIFICATIONS_MAX};
use crate::wire::frame::{HEAD, take_cstr, take_i32};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Notifications, whole messages, in order.
#[derive(Default)]
pub(super) struct News {
    // With whether it is the client's own.
    heard: Vec<(Bytes, bool)>,
    bytes: usize,
    // Some have been lost, because there were too many.
    overrun: bool,
    // One was to be told in another encoding than it came in.
    misspelled: bool,
}

impl News {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn push(&mut self, frame: Bytes, own: bool) {
        self.bytes += frame.len() + ENTRY;
        self.overrun |= self.bytes > NOTIFICATIONS_MAX;
        if self.overrun {
            self.forget();
        } else {
            self.heard.push((frame, own));
        }
    }

    /// None of it is to be seen.
    pub fn forget(&mut self) {
        self.heard.clear();
        self.bytes = 0;
    }

    /// What of it a client that listens to `channels` is to see. Its own carries the number `pid`. `recoded`: the client reads in
    /// another encoding, and is told up to the first that is not ASCII.
    pub fn take(&mut self, channels: &Channels, pid: i32, recoded: bool) -> BytesMut {
        let mut out = BytesMut::new();
        self.bytes = 0;
        for (frame, own) in self.heard.drain(..) {
            let (_, channel) = read(&frame);
            if !channels.contains(channel) {
                continue;
            }
            self.misspelled |= recoded && !frame.get(HEAD + 4..).unwrap_or_default().is_ascii();
            if self.misspelled {
                break;
            }
            let at = out.len() + HEAD;
            out.extend_from_slice(&frame);
            if let Some(number) = out.get_mut(at..at + 4).filter(|_| own) {
                number.copy_from_slice(&pid.to_be_bytes());
            }
        }
        out
    }
}

impl Client {
    /// Takes in what lay in the mailbox. Costs nothing where nobody listens.
    pub(in super::super) fn hear_hub(&mut self, hub: Option<Box<FromHub>>) {
        if let (Some(hub), Some(listening)) = (hub, &mut self.listening) {
            listening.hear(*hub, Listener { id: self.id, mailbox: self.mailbox.clone() });
        }
    }

    /// Tells the client what has come. Between two transactions only, and at home: what it has been told of it must see there.
    pub(in super::super) fn tell_news(&mut self) {
        self.step(Step::Tell);
        if self.is_visiting() {
            return;
        }
        let Some(listening) = self.listening.as_deref() else { return };
        let recoded = *listening.encoding != *self.encoding();
        let Some(listening) = &mut self.listening else { return };
        let pid = self.registration.key().pid;
        let Listening { news, channels, .. } = &mut **listening;
        let out = news.take(channels, pid, recoded);
        if out.is_empty() {
            return;
        }
        if self.socket.queued() + out.len() > NOTIFICATIONS_MAX {
            news.overrun = true;
            return;
        }
        self.meter.heard(out.len(), Answered::default());
        // What was told of by a NOTIFY is committed.
        self.note_news();
        self.socket.queue(out);
    }

    /// Why a client that listens cannot go on: it would miss something.
    pub(in super::super) fn deafness(&self) -> Option<Fault> {
        let listening = self.listening.as_ref()?;
        if listening.news.overrun {
            let fault = Fault::fatal(
                Blame::Limit,
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "terminating connection because too many notifications wait for it",
            );
            let detail = format!("More than {NOTIFICATIONS_MAX} bytes of notifications were not read.");
            return Some(
                fault.with_detail(detail).with_hint("Read notifications as they come; end transactions soon."),
            );
        }
        if listening.news.misspelled {
            let message = "terminating connection because a notification came in another client_encoding";
            let fault = Fault::fatal(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message);
            let detail = "It is not ASCII, and client_encoding was another one when the client began to LISTEN.";
            return Some(fault.with_detail(detail).with_hint("UNLISTEN * and LISTEN anew behind a change of it."));
        }
        listening.lost.then(|| {
            let fault = Fault::fatal(
                Blame::Server,
                SqlState::ADMIN_SHUTDOWN,
                "terminating connection due to administrator command",
            );
            let detail = "The connection to PostgreSQL over which PgOtter listens for this client has ended.";
            fault.with_detail(detail).with_hint("Reconnect, and LISTEN again.")
        })
    }
}

impl Listening {
    /// Takes in what a hub has said to this client, `who`.
    pub(super) fn hear(&mut self, hub: FromHub, who: Listener) {
        self.news.overrun |= hub.overrun;
        for heard in hub.heard {
            match heard {
                Heard::Notification(frame) => {
                    let (pid, _) = read(&frame);
                    let notified = frame.get(HEAD + 4..).unwrap_or_default();
                    let owed = self.owed.take(pid, notified, self.server);
                    let own = owed || self.notifying && pid == self.server;
                    self.news.push(frame, own);
                }
                Heard::Done(ticket) => {
                    self.answered = self.answered.max(ticket);
                    self.owed.answer(self.answered);
                }
                Heard::Failed(ticket, fault) => {
                    self.answered = self.answered.max(ticket);
                    self.owed.answer(self.answered);
                    // Nobody waits any more for what it was asked before, but it may have given up more than that.
                    self.lost |= ticket < self.asked && !self.channels.is_empty();
                    self.refusal = Some(fault).filter(|_| ticket == self.asked);
                }
            }
        }
        if hub.lost {
            self.hub = None;
            self.answered = self.asked;
            self.owed = Owed::default();
            // One that waits for its first LISTEN, which has gone nowhere yet, has missed nothing.
            self.lost |= !self.channels.is_idle() || self.expected.iter().any(Deed::is_listen);
            self.channels.forsake_all();
            let lost = "the connection over which PgOtter listens was lost";
            let fault = Fault::error(Blame::Server, SqlState::CANNOT_CONNECT_NOW, lost);
            self.refusal = Some(Arc::new(fault.with_hint("Try again.")));
        }
        self.ask_for_owed(who);
    }
}

/// Process number and channel.
fn read(frame: &[u8]) -> (i32, &[u8]) {
    let mut body = frame.get(HEAD..).unwrap_or_default();
    let pid = take_i32(&mut body).unwrap_or_default();
    (pid, take_cstr(&mut body).unwrap_or_default())
}
