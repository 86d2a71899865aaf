//! One connected stream, TCP or unix, that can leave one runtime and enter another.

use super::connect::Address;
use bytes::BytesMut;
use rustix::net::{RecvFlags, recv};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected stream. While *parked* it belongs to no runtime and may travel between threads.
#[derive(Debug)]
pub enum Stream {
    /// TCP, in a runtime.
    Tcp(TcpStream),
    /// Unix, in a runtime.
    Unix(UnixStream),
    /// TCP, parked.
    ParkedTcp(std::net::TcpStream),
    /// Unix, parked.
    ParkedUnix(std::os::unix::net::UnixStream),
    /// Between two states; also what is left after a failed move.
    Gone,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Address and port.
    Tcp(SocketAddr),
    /// A process on this machine.
    Unix,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// Keepalive and dead-peer detection of TCP sockets; `None` = the system's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpOptions {
    /// SO_KEEPALIVE.
    pub keepalive: bool,
    /// Idle before the first probe.
    pub keepidle: Option<Duration>,
    /// Between probes.
    pub keepintvl: Option<Duration>,
    /// Probes before the connection counts as dead.
    pub keepcnt: Option<u32>,
    /// TCP_USER_TIMEOUT: sent bytes without an acknowledgement.
    pub user_timeout: Option<Duration>,
}

impl TcpOptions {
    /// The same, with the system's values of keepalive where nothing is said: a socket that has been told others does not find them again.
    ///
    /// # Errors
    /// The system's, where no socket can be had to ask.
    pub fn or_system(self) -> io::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        let or = |said: Option<Duration>, system: io::Result<Duration>| {
            said.map_or_else(|| system.map(Some), |said| Ok(Some(said)))
        };
        Ok(Self {
            keepidle: or(self.keepidle, socket.tcp_keepalive_time())?,
            keepintvl: or(self.keepintvl, socket.tcp_keepalive_interval())?,
            keepcnt: Some(self.keepcnt.map_or_else(|| socket.tcp_keepalive_retries(), Ok)?),
            ..self
        })
    }

    /// Sets them, and TCP_NODELAY, on a connected socket.
    pub fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = socket2::SockRef::from(stream);
        socket.set_tcp_nodelay(true)?;
        self.keep_alive(&socket)?;
        if self.user_timeout.is_some() {
            socket.set_tcp_user_timeout(self.user_timeout)?;
        }
        Ok(())
    }

    fn keep_alive(&self, socket: &socket2::Socket) -> io::Result<()> {
        if !self.keepalive {
            return Ok(());
        }
        let mut keepalive = socket2::TcpKeepalive::new();
        if let Some(idle) = self.keepidle {
            keepalive = keepalive.with_time(idle);
        }
        if let Some(interval) = self.keepintvl {
            keepalive = keepalive.with_interval(interval);
        }
        if let Some(count) = self.keepcnt {
            keepalive = keepalive.with_retries(count);
        }
        socket.set_tcp_keepalive(&keepalive)
    }
}

impl Stream {
    /// Changes how its peer is kept alive, and nothing else of these options. A unix stream has none.
    pub fn set_keepalive(&self, options: &TcpOptions) {
        if let Self::Tcp(stream) = self {
            // Fails only on a socket that is gone, which shows soon enough.
            let _ = options.keep_alive(&socket2::SockRef::from(stream));
        }
    }

    /// Changes TCP_USER_TIMEOUT; `None` = the system's. A unix stream has none.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) {
        if let Self::Tcp(stream) = self {
            // Fails only on a socket that is gone, which shows soon enough.
            let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(timeout);
        }
    }

    /// Leaves the runtime: from now on only [`Stream::unpark`] is of use.
    pub fn park(self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Self::ParkedTcp),
            Self::Unix(stream) => stream.into_std().map(Self::ParkedUnix),
            parked => Ok(parked),
        }
    }

    /// Enters the runtime of the calling thread.
    pub fn unpark(self) -> io::Result<Self> {
        match self {
            Self::ParkedTcp(stream) => TcpStream::from_std(stream).map(Self::Tcp),
            Self::ParkedUnix(stream) => UnixStream::from_std(stream).map(Self::Unix),
            here => Ok(here),
        }
    }

    /// Whether a parked stream has neither bytes nor an end to read. Asks the system: the runtime that it enters next
    /// knows nothing of it at first.
    pub fn is_silent(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let asked = match self {
            Self::ParkedTcp(stream) => recv(stream, &mut [0][..], flags),
            Self::ParkedUnix(stream) => recv(stream, &mut [0][..], flags),
            _ => return false,
        };
        matches!(asked, Err(rustix::io::Errno::AGAIN))
    }

    /// The very address it is connected to; `None` for a unix one.
    pub fn peer_address(&self) -> Option<Address> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok().map(|peer| Address::Tcp(peer.ip().to_string(), peer.port())),
            _ => None,
        }
    }

    /// Waits until bytes, an end or an error can be read.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            _ => Poll::Ready(Err(gone())),
        }
    }

    /// Reads what is there behind what is in `buffer`, which has room: the number of bytes, 0 at the peer's end. Where there is room left
    /// nothing more is there, which the runtime is told, so that no recv has to find it out.
    ///
    /// # Errors
    /// `WouldBlock`: nothing is there, or the runtime does not know of it. The system's.
    pub fn try_read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        let mut received = None;
        let mut note = |bytes: io::Result<usize>| {
            let bytes = bytes?;
            received = Some(bytes);
            if 0 < bytes && bytes < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        };
        let ended = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, || note(stream.try_read_buf(buffer))),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, || note(stream.try_read_buf(buffer))),
            _ => Err(gone()),
        };
        received.map_or_else(|| ended.map(|()| 0), Ok)
    }

    /// Sends what goes at once: the number of bytes.
    ///
    /// # Errors
    /// `WouldBlock`: nothing does, as far as the runtime knows. The system's.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
            _ => Err(gone()),
        }
    }

    /// Whether the runtime already knows of something to read. No syscall; it does not matter how much the
    /// task has done at once.
    pub fn readable_now(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, || Ok(())).is_ok(),
            Self::Unix(stream) => stream.try_io(Interest::READABLE, || Ok(())).is_ok(),
            _ => true,
        }
    }

    /// Whether the runtime already knows that the peer has closed its side. No syscall.
    pub fn peer_closed(&self) -> bool {
        let known = match self {
            Self::Tcp(stream) => poll_once(stream.ready(Interest::READABLE)),
            Self::Unix(stream) => poll_once(stream.ready(Interest::READABLE)),
            _ => return true,
        };
        match known {
            Poll::Ready(known) => known.map_or(true, |known| known.is_read_closed()),
            Poll::Pending => false,
        }
    }
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn gone() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            _ => Poll::Ready(Err(gone())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            _ => Poll::Ready(Err(gone())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            _ => Poll::Ready(Err(gone())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            _ => Poll::Ready(Err(gone())),
        }
    }
}
