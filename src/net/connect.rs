//! Connecting to a host.

use super::stream::{Stream, TcpOptions};
use std::fmt;
use std::io;
use std::path::PathBuf;
use tokio::net::{TcpStream, UnixStream, lookup_host};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// Name or IP, and port.
    Tcp(String, u16),
    /// Path of the socket file.
    Unix(PathBuf),
}

impl Address {
    /// `host` as libpq reads it: a folder when it begins with `/`, else a name or IP.
    pub fn new(host: &str, port: u16) -> Self {
        if host.starts_with('/') {
            Self::Unix(PathBuf::from(host).join(format!(".s.PGSQL.{port}")))
        } else {
            Self::Tcp(host.to_owned(), port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Connects, trying every address a name has. No deadline of its own.
pub async fn connect(address: &Address, options: &TcpOptions) -> io::Result<Stream> {
    match address {
        Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        Address::Tcp(host, port) => {
            let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            for candidate in lookup_host((host.as_str(), *port)).await? {
                match TcpStream::connect(candidate).await {
                    Ok(stream) => {
                        options.apply(&stream)?;
                        return Ok(Stream::Tcp(stream));
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    }
}
