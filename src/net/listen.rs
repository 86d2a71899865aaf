//! Listening sockets.

use super::stream::{Peer, Stream, TcpOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener};

/// A listening socket. A unix one removes its file when dropped.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix, and the file.
    Unix(UnixListener, PathBuf),
}

/// Listens on a TCP address. Port 0 takes a free one.
pub fn listen_tcp(address: SocketAddr, backlog: u32) -> io::Result<Listener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM.nonblocking(),
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `0.0.0.0` and `::` can then stand side by side.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(Listener::Tcp(TcpListener::from_std(socket.into())?))
}

/// Listens on `folder/.s.PGSQL.port`. A file that nobody listens on any more is replaced.
///
/// # Errors
/// `AddrInUse` when somebody does.
pub fn listen_unix(folder: &Path, port: u16, mode: u32) -> io::Result<Listener> {
    let path = folder.join(format!(".s.PGSQL.{port}"));
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(&path)?;
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    Ok(Listener::Unix(listener, path))
}

impl Listener {
    /// The next connection; a TCP socket gets the options of that moment. Cancel-safe.
    pub async fn accept(&self, options: impl Fn() -> TcpOptions) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => loop {
                let (stream, peer) = listener.accept().await?;
                // It fails when the peer is gone already: that is no failure of ours to accept.
                if options().apply(&stream).is_ok() {
                    return Ok((Stream::Tcp(stream), Peer::Tcp(peer)));
                }
            },
            Self::Unix(listener, _) => Ok((Stream::Unix(listener.accept().await?.0), Peer::Unix)),
        }
    }

    /// Where it listens, for the log.
    pub fn describe(&self) -> String {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or_else(|e| e.to_string(), |a| a.to_string()),
            Self::Unix(_, path) => path.display().to_string(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Nothing to do about a failure; the next start replaces the file.
            let _ = std::fs::remove_file(path);
        }
    }
}
