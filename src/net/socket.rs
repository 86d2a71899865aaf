//! A stream with its buffers: what was received and not yet used, what is queued and not yet sent.
//!
//! Nothing here waits by itself: `poll_recv` and `poll_flush` are polled by `client::turn` and by the few phases
//! that own a socket alone (login, repair). A chunk is a `BytesMut`; handing one on moves it, no byte is copied.

use super::bulk::Bulk;
use super::stream::Stream;
use bytes::{Buf, BytesMut};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::AsyncWrite;

/// Receiving from one side stops while the other side has more than this queued.
pub const HIGH_WATER: usize = 256 * 1024;

/// First size of a receive buffer: a small query or answer fits.
const READ_MIN: usize = 8 * 1024;
/// Largest size, reached by doubling while reads fill the buffer.
const READ_MAX: usize = 128 * 1024;
/// Chunks of one writev.
const VECTORS: usize = 16;

/// One socket with its buffers. An idle one holds none.
pub struct Socket {
    stream: Stream,
    inbox: BytesMut,
    read_size: usize,
    bulk: Bulk,
    // The first chunk stands alone because there is hardly ever a second.
    first: BytesMut,
    rest: VecDeque<BytesMut>,
    queued: usize,
    sent: u64,
}

impl Socket {
    /// Wraps a stream; `left_over` was received before.
    pub fn new(stream: Stream, left_over: BytesMut) -> Self {
        let bulk = Bulk::default();
        let (first, rest) = (BytesMut::new(), VecDeque::new());
        Self { stream, inbox: left_over, read_size: READ_MIN, bulk, first, rest, queued: 0, sent: 0 }
    }

    /// Takes the socket apart for its way to another thread: the parked stream and the bytes not yet used.
    pub fn into_parts(self) -> io::Result<(Stream, BytesMut)> {
        Ok((self.stream.park()?, self.inbox))
    }

    /// Leaves this thread's runtime.
    pub fn park(&mut self) -> io::Result<()> {
        self.stream = std::mem::replace(&mut self.stream, Stream::Gone).park()?;
        Ok(())
    }

    /// Enters this thread's runtime.
    pub fn unpark(&mut self) -> io::Result<()> {
        self.stream = std::mem::replace(&mut self.stream, Stream::Gone).unpark()?;
        Ok(())
    }

    /// Leaves the runtime it is in for that of this thread. False: its peer has said something meanwhile, or is gone.
    ///
    /// # Errors
    /// The system's.
    pub fn move_here(&mut self) -> io::Result<bool> {
        self.park()?;
        let silent = self.stream.is_silent();
        self.unpark()?;
        Ok(silent)
    }

    /// What was received and not yet used.
    pub fn inbox(&mut self) -> &mut BytesMut {
        &mut self.inbox
    }

    /// The same, to look at.
    pub fn received(&self) -> &[u8] {
        &self.inbox
    }

    /// Receives more behind what is in the inbox: the number of bytes, 0 at the peer's end.
    ///
    /// A buffer is taken only once something is there to read; one recv, and no second one to learn that it was all.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_read_ready(cx))?;
        self.inbox.reserve(self.read_size);
        let room = self.inbox.capacity() - self.inbox.len();
        let received = ready!(tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.inbox))?;
        if received == room {
            self.read_size = (self.read_size * 2).min(READ_MAX);
        } else if received < self.read_size / 4 {
            self.read_size = READ_MIN;
        }
        self.bulk.received(received, &self.stream);
        Poll::Ready(Ok(received))
    }

    /// Until when a long transfer may make this socket wait for more than one byte; then [`Socket::end_bulk`].
    pub fn bulk_deadline(&self) -> Option<Instant> {
        self.bulk.deadline()
    }

    /// Any byte counts again.
    pub fn end_bulk(&mut self) {
        self.bulk.end(&self.stream);
    }

    /// Changes TCP_USER_TIMEOUT; `None` = the system's.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) {
        self.stream.set_user_timeout(timeout);
    }

    /// Queues a chunk; never waits.
    pub fn queue(&mut self, chunk: BytesMut) {
        if chunk.is_empty() {
            return;
        }
        self.queued += chunk.len();
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.rest.push_back(chunk);
        }
    }

    /// Bytes queued and not yet taken by the system.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Bytes the system has taken so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends what is queued; ready when nothing is left.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.queued > 0 {
            let stream = Pin::new(&mut self.stream);
            let sent = if self.rest.is_empty() {
                ready!(stream.poll_write(cx, &self.first))?
            } else {
                let mut slices = [io::IoSlice::new(&[]); VECTORS];
                let chunks = std::iter::once(&self.first).chain(&self.rest);
                let mut used = 0;
                for (slice, chunk) in slices.iter_mut().zip(chunks) {
                    *slice = io::IoSlice::new(chunk);
                    used += 1;
                }
                ready!(stream.poll_write_vectored(cx, &slices[..used]))?
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.drop_sent(sent);
        }
        Poll::Ready(Ok(()))
    }

    fn drop_sent(&mut self, mut bytes: usize) {
        self.sent += bytes as u64;
        self.queued -= bytes;
        while bytes >= self.first.len() && bytes > 0 {
            bytes -= self.first.len();
            self.first = self.rest.pop_front().unwrap_or_default();
        }
        self.first.advance(bytes);
        if self.queued == 0 {
            // Nothing of a past burst stays with an idle socket.
            self.first = BytesMut::new();
            self.rest = VecDeque::new();
        }
    }

    /// Receives what is there, without waiting: the number of bytes, 0 at the peer's end; `None` when nothing is there. No
    /// syscall as long as the runtime knows of nothing.
    ///
    /// # Errors
    /// The system's.
    pub fn try_recv(&mut self) -> io::Result<Option<usize>> {
        if !self.stream.readable_now() {
            return Ok(None);
        }
        self.inbox.reserve(READ_MIN);
        match self.stream.try_read(&mut self.inbox) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            received => received.map(Some),
        }
    }

    /// Whether the runtime already knows that the peer will send nothing more. What it sent before may be unread. No
    /// syscall.
    pub fn peer_closed(&self) -> bool {
        self.stream.peer_closed()
    }

    /// Channel-binding data `tls-server-end-point` (RFC 5929): the hash of the TLS server's certificate, which is ours
    /// towards clients and theirs towards servers. `None` without TLS, or where the certificate's signature algorithm
    /// names no hash: channel binding is not to be offered or used then.
    pub fn tls_server_end_point(&self) -> Option<&[u8]> {
        None
    }

    /// The peer's certificate (DER), whose key it has proved to own. `None` without TLS, or when it showed none. Towards
    /// clients it has been verified against `client_tls_ca_file`.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        None
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
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await
    }

    /// [`Socket::poll_flush`] for phases that own the socket alone. Cancel-safe.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }
}
