//! The way to a host: a connection, and TLS as far as the settings and the host want it. Nothing secret is said here.
//!
//! Source: libpq, `sslmode`; PostgreSQL documentation, "SSL Session Encryption".

use super::login::{LoginError, untrusted};
use crate::config::SslMode;
use crate::net::{Address, Connector, Socket, TcpOptions, Tls, connect};
use crate::wire::frontend;
use bytes::BytesMut;

/// How a connection is to be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Not at all.
    Plain,
    /// If the server has TLS.
    Offered,
    /// Or not be used.
    Tls,
}

/// What to try, and what else if that fails for want of the other. Nobody can listen in on a unix socket.
pub(super) fn ways(mode: SslMode, address: &Address) -> (Way, Option<Way>) {
    match mode {
        _ if matches!(address, Address::Unix(_)) => (Way::Plain, None),
        SslMode::Disable => (Way::Plain, None),
        SslMode::Allow => (Way::Plain, Some(Way::Tls)),
        SslMode::Prefer => (Way::Offered, Some(Way::Plain)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Way::Tls, None),
    }
}

/// Connects as a login would, in TLS where the settings want it, for those who only ask whether somebody is there.
///
/// # Errors
/// As a login's: the way to the host failed, or it does not give us the TLS that is asked for.
pub async fn knock(address: &Address, options: &TcpOptions, tls: &Tls) -> Result<Socket, LoginError> {
    let connector = tls.connector();
    let (first, second) = ways(connector.mode(), address);
    match (open((address, address.host()), options, connector, first).await, second) {
        (Err(LoginError::Insecure(_)), Some(second)) => {
            open((address, address.host()), options, connector, second).await
        }
        (outcome, _) => outcome,
    }
}

/// Connects to `address`, which is `host` to TLS.
///
/// # Errors
/// [`LoginError::Insecure`] if the server does not give us the TLS that is asked for; [`LoginError::Untrusted`] if somebody
/// tampers with the question.
pub(super) async fn open(
    (address, host): (&Address, &str),
    options: &TcpOptions,
    connector: &Connector,
    way: Way,
) -> Result<Socket, LoginError> {
    let mut socket = Socket::new(connect(address, options).await?, BytesMut::new());
    if way == Way::Plain {
        return Ok(socket);
    }
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    socket.queue(request);
    socket.flush().await?;
    socket.recv().await?;
    // One byte is the whole answer. What comes behind it in plain was not sent by the server that we go on with.
    match (socket.received(), way) {
        (b"S", _) => {
            socket.inbox().clear();
            socket.connect_tls(connector, host).await?;
            Ok(socket)
        }
        (b"N", Way::Offered) => {
            socket.inbox().clear();
            Ok(socket)
        }
        (b"N", _) => Err(insecure("server does not support SSL, but SSL was required")),
        ([b'S' | b'N', ..], _) => Err(untrusted("received unencrypted data after SSL response")),
        _ => Err(untrusted("received invalid response to SSL negotiation")),
    }
}

fn insecure(why: &str) -> LoginError {
    LoginError::Insecure(why.to_owned())
}
