//! What has come from the hub and the client has not been told yet. Bounded, here and in what is queued for the client.

use super::super::connection::Client;
use super::{Channels, Listening, Outcome, Owed};
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
}

impl News {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn push(&mut self, frame: Bytes, own: bool) {
        self.bytes += frame.len() + ENTRY;
        self.overrun |= self.bytes > NOTIFICATIONS_MAX;
        if self.overrun {
            self.heard.clear();
            self.bytes = 0;
        } else {
            self.heard.push((frame, own));
        }
    }

    /// Nothing is under way: what is here of a channel that the client does not listen to was committed before it will.
    pub fn forget_others(&mut self, channels: &Channels) {
        self.heard.retain(|(frame, _)| channels.contains(read(frame).1));
        self.bytes = self.heard.iter().map(|(frame, _)| frame.len() + ENTRY).sum();
    }

    /// What of it a client that listens to `channels` is to see. What others have notified before its COMMIT is not for
    /// whoever listens since then only. Its own carries the number `pid`.
    pub fn take(&mut self, channels: &Channels, outcome: &mut Outcome, pid: i32) -> BytesMut {
        let mut out = BytesMut::new();
        let joined = std::mem::take(&mut outcome.joined);
        self.bytes = 0;
        for (frame, own) in self.heard.drain(..) {
            let (_, channel) = read(&frame);
            if !channels.contains(channel) || !own && joined.contains(channel) {
                continue;
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
        if self.is_visiting() {
            return;
        }
        let Some(listening) = &mut self.listening else { return };
        let pid = self.registration.key().pid;
        let Listening { news, channels, outcome, .. } = &mut **listening;
        let out = news.take(channels, outcome, pid);
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
                    self.refusal = Some(fault);
                }
            }
        }
        if hub.lost {
            self.hub = None;
            self.answered = self.asked;
            self.owed = Owed::default();
            // One that waits for its first LISTEN has missed nothing.
            self.lost = !self.channels.is_idle();
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
