//! Connecting to a host.

use super::stream::{Stream, TcpOptions};
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream, lookup_host};

/// How long one address of a name is waited for before the next one is tried beside it. Source: RFC 8305, section 5.
const HEAD_START: Duration = Duration::from_millis(250);

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

    /// The name or IP, as certificates have it; empty for a unix socket.
    pub fn host(&self) -> &str {
        match self {
            Self::Tcp(host, _) => host,
            Self::Unix(_) => "",
        }
    }

    /// What has to be looked up before one can connect; `None` for an IP and a unix socket.
    pub fn name(&self) -> Option<&str> {
        Some(self.host()).filter(|host| !host.is_empty() && host.parse::<IpAddr>().is_err())
    }

    /// The same, at this address of its name.
    #[must_use]
    pub fn at(&self, ip: Option<IpAddr>) -> Self {
        match (self, ip) {
            (Self::Tcp(_, port), Some(ip)) => Self::Tcp(ip.to_string(), *port),
            _ => self.clone(),
        }
    }
}

/// Where a host was found. Its name may lead to several servers: what is known of it is known of the one that was asked, so nobody
/// is to be sent to another one. None while nobody is asked.
#[derive(Debug, Default)]
pub struct Found(Mutex<Option<IpAddr>>);

impl Found {
    /// There, from now on.
    pub fn set(&self, ip: Option<IpAddr>) {
        *self.0.lock() = ip;
    }

    /// There.
    pub fn get(&self) -> Option<IpAddr> {
        *self.0.lock()
    }

    /// Nowhere any more, if it was there. Whether it was.
    pub fn leave(&self, lost: impl FnOnce(IpAddr) -> bool) -> bool {
        self.0.lock().take_if(|ip| lost(*ip)).is_some()
    }

    /// Whether this is another place.
    pub fn is_other(&self, ip: IpAddr) -> bool {
        self.get().is_some_and(|found| found != ip)
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
///
/// # Errors
/// The last one, once every address has failed.
pub async fn connect(address: &Address, options: &TcpOptions) -> io::Result<Stream> {
    match address {
        Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        Address::Tcp(host, port) => {
            let stream = connect_to_first(lookup_host((host.as_str(), *port)).await?.collect()).await?;
            options.apply(&stream)?;
            Ok(Stream::Tcp(stream))
        }
    }
}

/// The addresses of a name. Blocks a thread of the runtime's and not the caller's, for as long as the system likes.
///
/// # Errors
/// The system's, whether nobody knows the name or nobody could be asked.
pub async fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok(lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
}

/// The first of several addresses that answers. One that says nothing is overtaken by the next and not given up: all of
/// them may be slow.
pub(super) async fn connect_to_first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut untried = addresses.into_iter();
    let mut attempts = Attempts::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        attempts.extend(untried.next().map(|address| Box::pin(TcpStream::connect(address)) as Attempt));
        if attempts.is_empty() {
            return Err(last);
        }
        let head_start = if untried.len() > 0 { HEAD_START } else { Duration::MAX };
        match tokio::time::timeout(head_start, first_to_end(&mut attempts)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => (),
        }
    }
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;
type Attempts = Vec<Attempt>;

async fn first_to_end(attempts: &mut Attempts) -> io::Result<TcpStream> {
    std::future::poll_fn(|cx| {
        for at in 0..attempts.len() {
            if let Poll::Ready(outcome) = attempts[at].as_mut().poll(cx) {
                drop(attempts.swap_remove(at));
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    })
    .await
}
