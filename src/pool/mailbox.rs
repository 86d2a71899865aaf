//! How anything outside a client's task reaches it: a granted server, a cancel, the end.

use super::from_hub::{FromHub, Heard};
use crate::server::{LoginError, Server};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

/// A server whose turn it was to serve this client.
pub struct Grant {
    /// The server; counts as handed out.
    pub server: Box<Server>,
    /// It is registered with another worker's runtime.
    pub moved: bool,
}

/// Everything that may lie in a mailbox. Taken as a whole.
#[derive(Default)]
pub struct Mail {
    /// A waiter's server.
    pub grant: Option<Grant>,
    /// No server can be had: why.
    pub failed: Option<Arc<LoginError>>,
    /// The lane that the client waited for has been closed.
    pub sent_away: bool,
    /// The client's own CancelRequest has come.
    pub cancel: bool,
    /// A cancel connection that was opened for this client's server has been closed.
    pub cancel_ended: bool,
    /// Leave at the next transaction boundary.
    pub drain: bool,
    /// Leave now.
    pub kill: bool,
    /// What the hub has for a client that listens. Boxed: every client's task holds a `Mail` now and then.
    pub hub: Option<Box<FromHub>>,
}

impl Mail {
    /// Something from the hub.
    pub fn hear(&mut self, heard: Heard) {
        self.hub.get_or_insert_default().push(heard);
    }
}

/// One client's mailbox. Putting something in wakes the client's task, on whatever worker it is.
#[derive(Default)]
pub struct Mailbox {
    full: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    mail: Mail,
    waker: Option<Waker>,
}

impl Mailbox {
    /// The client's task says how to wake it. A task's waker stays the same for its life.
    pub fn register(&self, waker: &Waker) {
        self.inner.lock().waker = Some(waker.clone());
    }

    /// Puts something in and wakes the client.
    pub fn put(&self, write: impl FnOnce(&mut Mail)) {
        let waker = {
            let mut inner = self.inner.lock();
            write(&mut inner.mail);
            self.full.store(true, Ordering::Release);
            inner.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes what is there. Costs one load when there is nothing.
    pub fn take(&self) -> Option<Mail> {
        if !self.full.load(Ordering::Acquire) {
            return None;
        }
        let mut inner = self.inner.lock();
        self.full.store(false, Ordering::Relaxed);
        Some(std::mem::take(&mut inner.mail))
    }
}
