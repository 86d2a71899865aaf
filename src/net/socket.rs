//! A stream with its buffers: what was received and not yet used, what is queued and not yet sent.
//!
//! Nothing here waits by itself: `poll_recv` and `poll_flush` are polled by `client::turn` and by the few phases
//! that own a socket alone (login, repair). A chunk is a `BytesMut`; handing one on moves it, no byte is copied.

use super::bulk::Bulk;
use super::connect::Address;
use super::stream::{Stream, TcpOptions};
use super::tls::Session;
use crate::clock::Instant;
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;

/// Receiving from one side stops while the other side has more than this queued.
pub const HIGH_WATER: usize = 256 * 1024;

/// First size of a receive buffer, doubled while reads fill it: any message of a login fits. A connection that has sent a
/// byte and no more keeps such a buffer until it is closed, and there may be thousands.
const READ_FIRST: usize = 512;
/// Size after a burst: a small query or answer fits.
const READ_MIN: usize = 8 * 1024;
/// Largest size.
const READ_MAX: usize = 128 * 1024;
/// A chunk as short as this is copied behind the first one where that has room: cheaper than a second one to be sent.
const COPIED: usize = 512;
/// Chunks of one writev.
const VECTORS: usize = 16;

/// One socket with its buffers. An idle one holds none. Under TLS (`secure.rs`) the buffers hold plaintext.
pub struct Socket {
    pub(super) wire: Wire,
    pub(super) tls: Option<Box<Session>>,
    pub(super) inbox: BytesMut,
    pub(super) outbox: Outbox,
    pub(super) sent: u64,
}

/// Chunks to be sent, in order.
#[derive(Default)]
pub(super) struct Outbox {
    // The first chunk stands alone because there is hardly ever a second.
    pub(super) first: BytesMut,
    #[allow(clippy::box_collection, reason = "every idle connection pays for what stands here")]
    rest: Option<Box<VecDeque<BytesMut>>>,
    pub(super) queued: usize,
}

impl Outbox {
    fn push(&mut self, chunk: BytesMut) {
        self.queued += chunk.len();
        let room = self.first.capacity() - self.first.len();
        if self.first.is_empty() {
            self.first = chunk;
        } else if self.rest.is_none() && chunk.len() <= room.min(COPIED) {
            self.first.extend_from_slice(&chunk);
        } else {
            self.rest.get_or_insert_default().push_back(chunk);
        }
    }

    fn memory(&self) -> usize {
        self.chunks().map(BytesMut::capacity).sum()
    }

    fn chunks(&self) -> impl Iterator<Item = &BytesMut> {
        std::iter::once(&self.first).chain(self.rest.iter().flat_map(|rest| rest.iter()))
    }

    /// Drops from the front.
    pub(super) fn forget(&mut self, mut bytes: usize) {
        self.queued -= bytes;
        while bytes >= self.first.len() && bytes > 0 {
            bytes -= self.first.len();
            self.first = self.rest.as_mut().and_then(|rest| rest.pop_front()).unwrap_or_default();
        }
        self.first.advance(bytes);
        if self.queued == 0 {
            // Nothing of a past burst stays with an idle socket.
            *self = Self::default();
        }
    }
}

/// A stream, and how much is read from it at a time.
pub(super) struct Wire {
    pub(super) stream: Stream,
    read_size: usize,
    bulk: Bulk,
}

impl Wire {
    /// Receives more behind what is in `buffer`: the number of bytes, 0 at the peer's end.
    ///
    /// A buffer is taken only once something is there to read; one recv, and no second one to learn that it was all. The
    /// runtime takes a new stream to be readable until a recv has found nothing: that buffer goes back.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_read_ready(cx))?;
        if buffer.capacity() == 0 {
            // As `reserve` would, which takes longer to find out that there is nothing to keep.
            *buffer = BytesMut::with_capacity(self.read_size);
        } else {
            buffer.reserve(self.read_size);
        }
        let room = buffer.capacity() - buffer.len();
        let received = loop {
            match self.stream.try_read(buffer) {
                // Now the runtime knows, too.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let ready = self.stream.poll_read_ready(cx);
                    if ready.is_pending() && buffer.is_empty() {
                        *buffer = BytesMut::new();
                    }
                    ready!(ready)?;
                }
                received => break received?,
            }
        };
        if received == room {
            self.read_size = (self.read_size * 2).min(READ_MAX);
        } else if received < self.read_size / 4 {
            self.read_size = self.read_size.min(READ_MIN);
        }
        self.bulk.received(received, &self.stream);
        Poll::Ready(Ok(received))
    }
}

impl Socket {
    /// Wraps a stream; `left_over` was received before.
    pub fn new(stream: Stream, left_over: BytesMut) -> Self {
        let wire = Wire { stream, read_size: READ_FIRST, bulk: Bulk::default() };
        Self { wire, tls: None, inbox: left_over, outbox: Outbox::default(), sent: 0 }
    }

    /// Leaves this thread's runtime.
    pub fn park(&mut self) -> io::Result<()> {
        self.wire.stream = std::mem::replace(&mut self.wire.stream, Stream::Gone).park()?;
        Ok(())
    }

    /// Enters this thread's runtime.
    pub fn unpark(&mut self) -> io::Result<()> {
        self.wire.stream = std::mem::replace(&mut self.wire.stream, Stream::Gone).unpark()?;
        Ok(())
    }

    /// Leaves the runtime it is in for that of this thread. False: its peer has said something meanwhile, or is gone.
    ///
    /// # Errors
    /// The system's.
    pub fn move_here(&mut self) -> io::Result<bool> {
        self.park()?;
        let silent = self.wire.stream.is_silent() && !self.tls.as_ref().is_some_and(|tls| tls.is_cut());
        self.unpark()?;
        Ok(silent)
    }

    /// What was received and not yet used.
    pub fn inbox(&mut self) -> &mut BytesMut {
        &mut self.inbox
    }

    /// Drops what was received and not used, and the room for it.
    pub(super) fn forget(&mut self) {
        self.inbox = BytesMut::new();
        self.wire.read_size = READ_MIN;
    }

    /// The same, to look at.
    pub fn received(&self) -> &[u8] {
        &self.inbox
    }

    /// Receives more behind what is in the inbox: the number of bytes, 0 at the peer's end.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.tls.is_some() {
            return self.poll_recv_tls(cx);
        }
        self.wire.poll_read(cx, &mut self.inbox)
    }

    /// Until when a long transfer may make this socket wait for more than one byte; then [`Socket::end_bulk`].
    pub fn bulk_deadline(&self) -> Option<Instant> {
        self.wire.bulk.deadline()
    }

    /// Any byte counts again.
    pub fn end_bulk(&mut self) {
        self.wire.bulk.end(&self.wire.stream);
    }

    /// The very address it is connected to; `None` for a unix one.
    pub fn peer_address(&self) -> Option<Address> {
        self.wire.stream.peer_address()
    }

    /// Changes TCP_USER_TIMEOUT; `None` = the system's.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) {
        self.wire.stream.set_user_timeout(timeout);
    }

    /// Changes how its peer is kept alive, and nothing else of these options. A unix stream has none.
    pub fn set_keepalive(&self, options: &TcpOptions) {
        self.wire.stream.set_keepalive(options);
    }

    /// Queues a chunk; never waits.
    pub fn queue(&mut self, chunk: BytesMut) {
        if !chunk.is_empty() {
            self.outbox.push(chunk);
        }
    }

    /// Bytes queued and not yet taken by the system.
    pub fn queued(&self) -> usize {
        self.outbox.queued + self.tls.as_ref().map_or(0, |tls| tls.unsent())
    }

    /// Bytes of memory that its buffers take.
    pub fn memory(&self) -> usize {
        self.inbox.capacity() + self.outbox.memory() + self.tls.as_ref().map_or(0, |tls| tls.memory())
    }

    /// Bytes the system has taken so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends what is queued; ready when nothing is left.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tls.is_some() {
            return self.poll_flush_tls(cx);
        }
        let outbox = &mut self.outbox;
        while outbox.queued > 0 {
            let stream = Pin::new(&mut self.wire.stream);
            let sent = if outbox.rest.is_none() {
                match stream.try_write(&outbox.first) {
                    // Whether to be woken for it is a question that mostly need not be asked.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(stream.poll_write(cx, &outbox.first))?
                    }
                    sent => sent?,
                }
            } else {
                let mut slices = [io::IoSlice::new(&[]); VECTORS];
                let mut used = 0;
                for (slice, chunk) in slices.iter_mut().zip(outbox.chunks()) {
                    *slice = io::IoSlice::new(chunk);
                    used += 1;
                }
                ready!(stream.poll_write_vectored(cx, &slices[..used]))?
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent as u64;
            outbox.forget(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Receives what is there, without waiting: the number of bytes, 0 at the peer's end; `None` when nothing is there. No
    /// syscall as long as the runtime knows of nothing. However much the task has done at once already: tokio would
    /// otherwise say that nothing is there.
    ///
    /// # Errors
    /// The system's.
    pub fn try_recv(&mut self) -> io::Result<Option<usize>> {
        if !self.wire.stream.readable_now() {
            return Ok(None);
        }
        let mut recv = std::pin::pin!(tokio::task::unconstrained(poll_fn(|cx| self.poll_recv(cx))));
        match recv.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(received) => received.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Whether the runtime already knows that the peer will send nothing more. What it sent before may be unread. No
    /// syscall.
    pub fn peer_closed(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.peer_closed()) || self.wire.stream.peer_closed()
    }

    /// [`Socket::poll_recv`] for phases that own the socket alone. Cancel-safe.
    ///
    /// # Errors
    /// `UnexpectedEof` at the peer's end.
    pub async fn recv(&mut self) -> io::Result<usize> {
        // Nobody here keeps the time for a long transfer.
        self.end_bulk();
        match poll_fn(|cx| self.poll_recv(cx)).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            received => Ok(received),
        }
    }

    /// Says that nothing more will be sent.
    pub async fn shut_down(&mut self) -> io::Result<()> {
        if self.tls.is_some() {
            self.say_goodbye().await?;
        }
        poll_fn(|cx| Pin::new(&mut self.wire.stream).poll_shutdown(cx)).await
    }

    /// [`Socket::poll_flush`] for phases that own the socket alone. Cancel-safe.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends as much as goes at once. Whether it failed shows at the next flush.
    pub fn flush_now(&mut self) {
        let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
    }
}
