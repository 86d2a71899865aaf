//! Statements that their client sends together. PgOtter has the server answer each of them on its own, of one pipeline in 16: such a server
//! goes on as soon as the client has heard, so that the time of one is not taken for that of another. The client learns from here that it was
//! so, which the protocol does not tell.

use crate::support::waiting::PATIENCE;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::time::Duration;

/// By the number of their client, which has one at a time.
#[derive(Default)]
pub struct Bursts {
    under_way: Mutex<HashMap<String, Burst>>,
    changed: Condvar,
    // Of each connection of the server's: how many were answered one by one, and how many there were.
    shares: Mutex<Vec<(usize, usize)>>,
}

#[derive(Default)]
struct Burst {
    flushed: Vec<Duration>,
    heard: usize,
}

impl Bursts {
    pub fn begin(&self, client: &str) {
        self.under_way.lock().insert(client.to_owned(), Burst::default());
    }

    /// The client has one more answer.
    pub fn heard(&self, client: &str) {
        self.under_way.lock().entry(client.to_owned()).or_default().heard += 1;
        self.changed.notify_all();
    }

    /// The server is about to answer one on its own, now. Whether it is the first.
    pub fn flushes(&self, client: &str, now: Duration) -> bool {
        let mut under_way = self.under_way.lock();
        let flushed = &mut under_way.entry(client.to_owned()).or_default().flushed;
        flushed.push(now);
        flushed.len() == 1
    }

    /// Waits until the client knows what was answered so; or has gone on, as it knows all.
    pub fn until_heard(&self, client: &str) {
        let mut under_way = self.under_way.lock();
        let is_unheard = |under_way: &mut HashMap<String, Burst>| {
            under_way.get(client).is_some_and(|burst| burst.heard < burst.flushed.len())
        };
        let outcome = self.changed.wait_while_for(&mut under_way, is_unheard, PATIENCE);
        assert!(!outcome.timed_out(), "client {client} does not hear what was flushed");
    }

    pub fn is_apart(&self, client: &str) -> bool {
        self.under_way.lock().get(client).is_some_and(|burst| !burst.flushed.is_empty())
    }

    /// When each was answered on its own, but for the last one. Empty: none was.
    pub fn end(&self, client: &str) -> Vec<Duration> {
        self.under_way.lock().remove(client).unwrap_or_default().flushed
    }

    /// A connection that had so many.
    pub fn note_share(&self, apart: usize, all: usize) {
        self.shares.lock().push((apart, all));
    }

    /// What is asked for one by one is every 16th of each connection.
    #[track_caller]
    pub fn assert_shares(&self) {
        let shares = self.shares.lock();
        for &(apart, all) in shares.iter() {
            assert!((all / 16..=all.div_ceil(16)).contains(&apart), "{apart} of {all} pipelines");
        }
        assert!(shares.iter().map(|(apart, _)| apart).sum::<usize>() > 0, "{shares:?}");
    }
}
