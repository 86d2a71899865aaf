//! The end of a client's connection stands behind all it has sent. A client that has not been read for a while is read
//! on, within bounds, until its end is found or it is read as usual again. One that has more to say than that is missed
//! if it resets its connection, and else when its server takes something.

use crate::clock;
use crate::net::Socket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// So long a client is not read before it is read on; then between two looks.
const PERIOD: Duration = Duration::from_millis(500);

/// How far one client is read on. More would find more, and be paid for by every client whose server pauses.
const EACH: usize = 1024 * 1024;

/// How far all clients together are read on.
const ALL: usize = 64 * 1024 * 1024;

/// One client's look-out.
#[derive(Default)]
pub struct Lookout {
    // When to look; None while the client is read as usual.
    next: Option<Instant>,
    reads_on: bool,
    // Bytes read on by this client, and by all.
    held: usize,
    all: Arc<AtomicUsize>,
}

impl Lookout {
    /// `all` counts what clients have been read on.
    pub fn new(all: Arc<AtomicUsize>) -> Self {
        Self { all, ..Self::default() }
    }

    /// The client is read as usual.
    pub fn rest(&mut self) {
        if self.next.take().is_some() {
            self.reads_on = false;
            self.give_back();
        }
    }

    /// The client has nothing more to say. What it was read on is still kept for it.
    pub fn end(&mut self) {
        self.next = None;
        self.reads_on = false;
    }

    /// The client is not read as usual. True: it is to be read all the same.
    pub fn wants_more(&mut self) -> bool {
        self.next.get_or_insert_with(|| clock::now() + PERIOD);
        self.reads_on && self.has_room()
    }

    /// Whether the client has closed its connection and its last words cannot be read.
    pub fn has_lost(&self, socket: &Socket) -> bool {
        self.reads_on && !self.has_room() && socket.peer_closed()
    }

    /// Bytes have been read.
    pub fn read(&mut self, bytes: usize) {
        if self.reads_on {
            self.held += bytes;
            self.all.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// When to [`Lookout::look`].
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// From now on the client is read on.
    pub fn look(&mut self, now: Instant) {
        self.reads_on = true;
        self.next = Some(now + PERIOD);
    }

    fn has_room(&self) -> bool {
        self.held < EACH && self.all.load(Ordering::Relaxed) < ALL
    }

    fn give_back(&mut self) {
        self.all.fetch_sub(std::mem::take(&mut self.held), Ordering::Relaxed);
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.give_back();
    }
}
