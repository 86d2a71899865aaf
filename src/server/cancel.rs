//! A CancelRequest on a connection of its own.

use super::open::{Way, open};
use crate::net::{Address, SharedTls, TcpOptions};
use crate::wire::frontend;
use crate::wire::startup::CancelKey;
use bytes::BytesMut;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where a server's cancel request goes, and with what key.
pub struct CancelTarget {
    /// The host the server is on; the very address it was opened with.
    pub address: Address,
    /// What it sent in BackendKeyData.
    pub key: CancelKey,
    /// Socket options.
    pub options: TcpOptions,
    /// What the server's certificate calls it; `None` = its connection is in plain, and so is this one.
    pub host: Option<String>,
    /// The TLS in force.
    pub tls: SharedTls,
    /// Requests that were sent and whose end was not seen: they may still come to PostgreSQL, and hit whatever runs then.
    pub astray: AtomicUsize,
}

/// Sends the request and waits until PostgreSQL has closed the connection: only then has the signal been sent, and
/// only then may the server go to another client. No deadline of its own.
///
/// # Errors
/// The way to the host failed; whether the request arrived is then unknown.
pub async fn cancel(target: &CancelTarget) -> io::Result<()> {
    let (way, host) = target.host.as_ref().map_or((Way::Plain, ""), |host| (Way::Tls, host));
    let tls = target.tls.load_full();
    let opened = open((&target.address, host), &target.options, tls.connector(), way);
    let mut socket = opened.await.map_err(io::Error::other)?;
    let mut request = BytesMut::new();
    frontend::cancel(&mut request, target.key.pid, &target.key.secret);
    socket.queue(request);
    target.astray.fetch_add(1, Ordering::Relaxed);
    socket.flush().await?;
    match socket.recv().await {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error),
        _ => {
            target.astray.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        }
    }
}
