//! TLS towards clients and servers, as it is asked for.

use std::path::PathBuf;

/// How much TLS is asked for, in libpq's words; from less to more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// None.
    Disable,
    /// Clients: if they want it. Servers: if they refuse us without.
    Allow,
    /// Clients: if they want it. Servers: if they have it.
    Prefer,
    /// Always, whatever the peer's certificate.
    Require,
    /// Always, and the peer's certificate is verified.
    VerifyCa,
    /// Towards servers, the certificate must also be for this host.
    VerifyFull,
}

/// Versions of TLS that are spoken. There is none below 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsProtocols {
    /// 1.2 and 1.3. Default.
    All,
    /// 1.2.
    Only12,
    /// 1.3.
    Only13,
}

/// TLS towards clients. The key and the certificate are there unless it is disabled, the CA for `VerifyCa` and above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Default disable.
    pub sslmode: SslMode,
    /// Our private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Our certificate and what is needed to verify it, PEM.
    pub cert_file: Option<PathBuf>,
    /// Whose signatures clients' certificates must have, PEM. None = they are asked for none.
    pub ca_file: Option<PathBuf>,
    /// Default all.
    pub protocols: TlsProtocols,
}

/// TLS towards servers; never on unix sockets. The key and the certificate are there both or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Default prefer.
    pub sslmode: SslMode,
    /// Whose signatures servers' certificates must have, PEM. None with `VerifyFull` = the system's.
    pub ca_file: Option<PathBuf>,
    /// Our private key, PEM, for servers that ask for a certificate.
    pub key_file: Option<PathBuf>,
    /// Its certificate, PEM.
    pub cert_file: Option<PathBuf>,
    /// Default all.
    pub protocols: TlsProtocols,
}

impl Default for ServerTls {
    fn default() -> Self {
        let protocols = TlsProtocols::All;
        Self { sslmode: SslMode::Prefer, ca_file: None, key_file: None, cert_file: None, protocols }
    }
}
