//! The end of a client's connection stands behind all it has sent. A client that has not been read for a while is read
//! on, within bounds, until its end is found or it is read as usual again. One that has more to say than that is missed
//! if it resets its connection, and else when its server takes something.

use crate::clock::{self, Instant};
use crate::net::{Memory, Socket};
use std::time::Duration;

/// So long a client is not read before it is read on; then between two looks.
const PERIOD: Duration = Duration::from_millis(500);

/// How far one client is read on; less far when memory is tight. More would find more, and be paid for by every client whose server pauses.
const EACH: usize = 1024 * 1024;

/// One client's look-out.
#[derive(Default)]
pub struct Lookout {
    // When to look; None while the client is read as usual.
    next: Option<Instant>,
    reads_on: bool,
    // Bytes read on; few.
    held: u32,
}

impl Lookout {
    /// The client is read as usual.
    pub fn rest(&mut self) {
        if self.next.take().is_some() {
            self.reads_on = false;
            self.held = 0;
        }
    }

    /// The client has nothing more to say. What it was read on is still kept for it.
    pub fn end(&mut self) {
        self.next = None;
        self.reads_on = false;
    }

    /// The client is not read as usual. True: it is to be read all the same.
    pub fn wants_more(&mut self, memory: &Memory) -> bool {
        self.next.get_or_insert_with(|| clock::now() + PERIOD);
        self.reads_on && self.has_room(memory)
    }

    /// Whether the client has closed its connection and its last words cannot be read.
    pub fn has_lost(&self, socket: &Socket, memory: &Memory) -> bool {
        self.reads_on && !self.has_room(memory) && socket.peer_closed()
    }

    /// Bytes have been read.
    pub fn read(&mut self, bytes: usize) {
        if self.reads_on {
            self.held = self.held.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
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

    fn has_room(&self, memory: &Memory) -> bool {
        usize::try_from(self.held).is_ok_and(|held| held < memory.room_to_read_on(EACH))
    }
}

#[cfg(test)]
mod tests {
    //! How far is far enough.
    use super::*;
    use crate::net::{Holding, Stream};
    use bytes::BytesMut;
    use std::sync::Arc;
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn an_orderly_end_a_little_further_on_is_found_although_memory_is_tight() {
        let (ours, theirs) = UnixStream::pair().expect("socketpair");
        drop(theirs);
        let mut socket = Socket::new(Stream::Unix(ours), BytesMut::new());
        assert!(socket.recv().await.is_err() && socket.peer_closed());
        let memory = Arc::new(Memory::new(0));
        let mut hog = Holding::new(memory.clone());
        hog.note(EACH, 0);
        let mut lookout = Lookout::default();
        lookout.look(clock::now());
        lookout.read(60 * 1024);
        assert!(memory.is_tight() && lookout.wants_more(&memory) && !lookout.has_lost(&socket, &memory));
        lookout.read(60 * 1024);
        assert!(!lookout.wants_more(&memory) && lookout.has_lost(&socket, &memory));
        drop(hog);
        assert!(lookout.wants_more(&memory));
    }
}
