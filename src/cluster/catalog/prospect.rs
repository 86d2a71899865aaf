//! For who cannot go on without a catalog: whether it is to be waited for, and for what.

use super::{Catalog, Loading};
use crate::clock::Instant;
use crate::pool::Mailbox;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How a catalog comes to be known as it is now.
pub enum Prospect {
    /// It is, or there is nothing to wait for: a client is in the middle of changing it, or the last reading has failed.
    Settled,
    /// By this reading, which is the caller's to do.
    Own(Loading),
    /// Somebody else reads it: [`Catalog::is_reading`] with this number, and the mailbox is called when that has ended.
    Others(u64),
    /// It may not be read before then.
    Rests(Instant),
}

impl Catalog {
    /// Whether what is known of it may be wrong, or nothing is.
    pub fn is_uncertain(&self) -> bool {
        let known = self.known();
        known.is_blank() || known.is_doubtful()
    }

    /// Whether it is being changed, or has been since it was read.
    pub fn is_doubtful(&self) -> bool {
        self.known().is_doubtful()
    }

    /// What is to be done for it to be known. Whoever is told to wait is called once through `mailbox`, by mail that says nothing.
    pub fn prospect(self: &Arc<Self>, now: Instant, mailbox: &Arc<Mailbox>) -> Prospect {
        if !self.is_uncertain() && !self.may_be_read(now) {
            return Prospect::Settled;
        }
        {
            // Behind this lock a reading ends: whoever is on the list is called at the end of this one.
            let mut waiting = self.waiting.lock();
            let reading = self.readings.load(Ordering::SeqCst);
            if self.loading.load(Ordering::SeqCst) {
                if !waiting.iter().any(|one| Arc::ptr_eq(one, mailbox)) {
                    waiting.push(mailbox.clone());
                }
                return Prospect::Others(reading);
            }
        }
        if let Some(loading) = self.is_due(now) {
            return Prospect::Own(loading);
        }
        let (now, due, rest) = (self.millis(now), self.due.load(Ordering::Relaxed), self.rest.load(Ordering::Relaxed));
        if due > now || self.open.load(Ordering::Relaxed) > 0 {
            return Prospect::Settled;
        }
        // In the past: somebody else was faster just now, and the next look tells.
        Prospect::Rests(self.since + Duration::from_millis(rest))
    }

    /// Whether the reading of which [`Prospect::Others`] tells has not ended yet.
    pub fn is_reading(&self, number: u64) -> bool {
        self.readings.load(Ordering::SeqCst) == number
    }

    /// In one step for those who ask meanwhile: they are on the list, or see that it has ended.
    pub(super) fn end_reading(&self) {
        let waiting = {
            let mut waiting = self.waiting.lock();
            self.readings.fetch_add(1, Ordering::SeqCst);
            self.loading.store(false, Ordering::SeqCst);
            std::mem::take(&mut *waiting)
        };
        waiting.iter().for_each(|mailbox| mailbox.put(|_| ()));
    }
}
