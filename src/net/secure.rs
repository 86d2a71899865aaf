//! A socket under TLS: the same calls, with a session between the buffers and the stream.
//!
//! Everything that has come is decrypted at once, so that nothing waits where the runtime cannot know of it. What is queued
//! stays plaintext until the system takes what was encrypted before it.

use super::socket::Socket;
use super::tls::{Acceptor, Connector, Progress, Session};
use bytes::{Buf, BytesMut};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// First byte of a record of the handshake, and the longest that follows its five bytes of head.
const HANDSHAKE: u8 = 0x16;
const RECORD_MAX: usize = 16 * 1024;

impl Socket {
    /// Goes on under TLS with a client. What is in the inbox must have been sent as the beginning of the handshake.
    ///
    /// # Errors
    /// The handshake failed, or the connection; the peer has been told as TLS has it. That of `note`, which is told what memory the
    /// buffers take.
    pub async fn accept_tls(
        &mut self,
        acceptor: &Acceptor,
        mut note: impl FnMut(usize) -> io::Result<()>,
    ) -> io::Result<()> {
        // A session has keys and states, 2 KiB in all: whoever only begins a record gets none.
        while !is_whole_record(&self.inbox) {
            let (wire, inbox) = (&mut self.wire, &mut self.inbox);
            if poll_fn(|cx| wire.poll_read(cx, inbox)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            note(inbox.capacity())?;
        }
        let session = acceptor.session(std::mem::take(&mut self.inbox))?;
        self.shake_hands(session, note).await
    }

    /// Goes on under TLS with a server, which is expected to be `host`.
    ///
    /// # Errors
    /// `InvalidData`: the server is not what was asked for, or has sent something in plain. Others: the connection failed.
    pub async fn connect_tls(&mut self, connector: &Connector, host: &str) -> io::Result<()> {
        if !self.inbox.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "received unencrypted data after SSL response"));
        }
        let session = connector.session(host)?;
        self.shake_hands(session, |_| Ok(())).await
    }

    async fn shake_hands(&mut self, session: Session, mut note: impl FnMut(usize) -> io::Result<()>) -> io::Result<()> {
        let tls = &mut **self.tls.insert(Box::new(session));
        loop {
            let outcome = tls.advance(&mut self.inbox);
            // Also when it fails: this may be the alert that says why.
            let wire = &mut self.wire;
            poll_fn(|cx| flush(tls.outgoing(), Pin::new(&mut wire.stream), &mut self.sent, cx)).await?;
            match outcome? {
                Progress::Traffic => return Ok(()),
                Progress::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
                Progress::Handshake => (),
            }
            if poll_fn(|cx| wire.poll_read(cx, tls.incoming())).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            note(tls.memory())?;
        }
    }

    /// See [`Socket::poll_recv`].
    pub(super) fn poll_recv_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(0)) };
        let before = self.inbox.len();
        while !tls.peer_closed() {
            if ready!(self.wire.poll_read(cx, tls.incoming()))? == 0 {
                break;
            }
            tls.advance(&mut self.inbox)?;
            // A record may bring nothing, or not be whole.
            if self.inbox.len() > before {
                return Poll::Ready(Ok(self.inbox.len() - before));
            }
        }
        Poll::Ready(Ok(0))
    }

    /// See [`Socket::poll_flush`].
    pub(super) fn poll_flush_tls(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(())) };
            ready!(flush(tls.outgoing(), Pin::new(&mut self.wire.stream), &mut self.sent, cx))?;
            let outbox = &mut self.outbox;
            if outbox.queued == 0 {
                return Poll::Ready(Ok(()));
            }
            // Several small chunks go out in one write.
            while outbox.queued > 0 && tls.has_room() {
                let taken = tls.encrypt(&outbox.first)?;
                outbox.forget(taken);
            }
        }
    }

    /// close_notify, behind what is queued.
    pub(super) async fn say_goodbye(&mut self) -> io::Result<()> {
        self.flush().await?;
        if let Some(tls) = &mut self.tls {
            tls.say_goodbye()?;
        }
        self.flush().await
    }

    /// Whether the application protocol was agreed on that PostgreSQL has in TLS.
    pub fn has_alpn(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.alpn() == Some(super::tls::ALPN))
    }

    /// Whether this is TLS.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Channel-binding data `tls-server-end-point` (RFC 5929): the hash of the TLS server's certificate, which is ours
    /// towards clients and theirs towards servers. `None` without TLS, or where the certificate's signature algorithm
    /// names no hash: channel binding is not to be offered or used then.
    pub fn tls_server_end_point(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.end_point()
    }

    /// The peer's certificate (DER), whose key it has proved to own. `None` without TLS, or when it showed none. Towards
    /// clients it has been verified against `client_tls_ca_file`.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.peer_certificate()
    }
}

/// Whether a handshake's first record is there, or what is there is none: that is for the session to refuse.
/// Source: RFC 8446, section 5.1.
fn is_whole_record(received: &[u8]) -> bool {
    match received {
        [HANDSHAKE, _, _, high, low, body @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            body.len() >= length || length > RECORD_MAX
        }
        [] | [HANDSHAKE, ..] => false,
        _ => true,
    }
}

/// Sends ciphertext; ready when nothing is left, and no buffer either.
fn flush(
    outgoing: &mut BytesMut,
    mut stream: Pin<&mut super::stream::Stream>,
    total: &mut u64,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while !outgoing.is_empty() {
        let sent = ready!(stream.as_mut().poll_write(cx, outgoing))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        outgoing.advance(sent);
        *total += sent as u64;
    }
    *outgoing = BytesMut::new();
    Poll::Ready(Ok(()))
}
