//! TLS as configured, towards clients and towards servers. Built whole from a configuration and its files, and swapped
//! whole: connections keep what they began with.

mod end_point;
mod load;
mod session;
mod verify;

pub(super) use session::{Progress, Session};

use crate::config::{Config, Report, ServerTls, SslMode, TlsProtocols};
use arc_swap::ArcSwap;
use bytes::BytesMut;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// PostgreSQL's application protocol. Source: the IANA registry of ALPN identifiers.
pub const ALPN: &[u8] = b"postgresql";

/// The TLS in force. Whoever reloads stores another; new connections use it, others keep what they have.
pub type SharedTls = Arc<ArcSwap<Tls>>;

/// TLS towards clients and towards servers. The default is that of the settings: none for clients, preferred for servers.
#[derive(Default)]
pub struct Tls {
    acceptor: Option<Acceptor>,
    required: bool,
    connector: Connector,
}

impl Tls {
    /// What `config` and the files it names make of it. Depends on nothing else and changes nothing.
    ///
    /// # Errors
    /// The first setting whose file cannot be read or used, with the file and the reason.
    pub fn load(config: &Config) -> Result<Self, Report> {
        let (client, server) = (&config.pooler.client_tls, &config.pooler.server_tls);
        let acceptor =
            (client.sslmode != SslMode::Disable).then(|| load::acceptor(&config.file, client)).transpose()?;
        let connector = Connector { mode: server.sslmode, config: load::client_config(&config.file, server)? };
        Ok(Self { acceptor, required: client.sslmode >= SslMode::Require, connector })
    }

    /// The same, to be shared and swapped.
    pub fn share(self) -> SharedTls {
        Arc::new(ArcSwap::from_pointee(self))
    }

    /// For clients; `None` = they get none.
    pub fn acceptor(&self) -> Option<&Acceptor> {
        self.acceptor.as_ref()
    }

    /// Whether a client that comes over TCP without TLS is refused.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether clients that have shaken hands under the other one could have come in here just so. What we show them
    /// ourselves does not matter.
    pub fn admits_as(&self, other: &Self) -> bool {
        let admission = |tls: &Self| tls.acceptor.as_ref().map(|acceptor| acceptor.admission.clone());
        admission(self) == admission(other)
    }

    /// For servers.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }
}

/// Our side of the connections that clients open.
pub struct Acceptor {
    config: Arc<ServerConfig>,
    end_point: Option<Arc<[u8]>>,
    admission: Arc<Admission>,
}

/// What of a client is looked at in the handshake.
#[derive(PartialEq, Eq)]
struct Admission {
    protocols: TlsProtocols,
    /// Whose signatures a certificate must have; none: it is not asked for.
    roots: Vec<CertificateDer<'static>>,
    must_show: bool,
}

impl Acceptor {
    pub(super) fn session(&self, incoming: BytesMut) -> io::Result<Session> {
        Session::server(self.config.clone(), incoming, self.end_point.clone())
    }
}

/// Our side of the connections that we open.
pub struct Connector {
    mode: SslMode,
    config: Arc<ClientConfig>,
}

impl Connector {
    /// How much TLS is asked for.
    pub fn mode(&self) -> SslMode {
        self.mode
    }

    pub(super) fn session(&self, host: &str) -> io::Result<Session> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {host} is no name of a host")))?;
        Session::client(self.config.clone(), name)
    }
}

impl Default for Connector {
    fn default() -> Self {
        let settings = ServerTls::default();
        let config = load::client_config(Path::new(""), &settings);
        Self { mode: settings.sslmode, config: config.expect("invariant: without files nothing can be wrong") }
    }
}

#[cfg(test)]
mod tests;
