//! From settings and their files to what rustls needs. A failure names the setting, the file and the reason.

use super::verify::{Check, Verifier};
use super::{ALPN, Acceptor, Admission, end_point};
use crate::config::{ClientTls, Report, ServerTls, SslMode, TlsProtocols};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A setting that names a file.
struct Source<'a> {
    config: &'a Path,
    key: &'static str,
    file: &'a Path,
}

impl Source<'_> {
    fn bad(&self, why: impl std::fmt::Display) -> Report {
        Report::of_file(self.config, format!("`{}` {}: {why}", self.key, self.file.display()))
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Report> {
        std::fs::read(self.file).map(Zeroizing::new).map_err(|error| self.bad(format!("cannot be read: {error}")))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Report> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err(self.bad("no certificate in it")),
            other => other.map_err(|error| self.bad(error)),
        }
    }

    fn roots(&self) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Report> {
        let certificates = self.certificates()?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| self.bad(error))?;
        }
        Ok((roots, certificates))
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, Report> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| self.bad(error))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn versions(protocols: TlsProtocols) -> Vec<&'static SupportedProtocolVersion> {
    match protocols {
        TlsProtocols::All => vec![&TLS13, &TLS12],
        TlsProtocols::Only12 => vec![&TLS12],
        TlsProtocols::Only13 => vec![&TLS13],
    }
}

/// Our certificate and its key, both or neither.
fn pair<'a>(
    config: &'a Path,
    keys: [&'static str; 2],
    files: [&'a Option<PathBuf>; 2],
) -> Result<Option<(Source<'a>, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, Report> {
    let [Some(certificate), Some(key)] = files else { return Ok(None) };
    let certificate = Source { config, key: keys[0], file: certificate };
    let chain = certificate.certificates()?;
    let key = Source { config, key: keys[1], file: key }.private_key()?;
    Ok(Some((certificate, chain, key)))
}

pub(super) fn acceptor(config: &Path, settings: &ClientTls) -> Result<Acceptor, Report> {
    let keys = ["client_tls_cert_file", "client_tls_key_file"];
    let pair = pair(config, keys, [&settings.cert_file, &settings.key_file])?;
    let missing = || Report::of_file(config, "`client_tls_cert_file` and `client_tls_key_file` are needed".to_owned());
    let (source, chain, key) = pair.ok_or_else(missing)?;
    let end_point = chain.first().and_then(|certificate| end_point::hash(certificate)).map(Arc::from);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions(settings.protocols))
        .map_err(|error| source.bad(error))?;
    let must_show = settings.sslmode >= SslMode::VerifyCa;
    let mut admission = Admission { protocols: settings.protocols, roots: Vec::new(), must_show };
    let builder = match &settings.ca_file {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let source = Source { config, key: "client_tls_ca_file", file };
            let (roots, certificates) = source.roots()?;
            admission.roots = certificates;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            // Below verify-ca nobody has to show a certificate; who does is still checked, as in PgBouncer.
            let verifier = if must_show { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| source.bad(error))?)
        }
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| source.bad(error))?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    // PostgreSQL resumes no sessions either: libpq never asks.
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    Ok(Acceptor { config: Arc::new(server), end_point, admission: Arc::new(admission) })
}

pub(super) fn client_config(config: &Path, settings: &ServerTls) -> Result<Arc<ClientConfig>, Report> {
    let keys = ["server_tls_cert_file", "server_tls_key_file"];
    let pair = match settings.sslmode {
        SslMode::Disable => None,
        _ => pair(config, keys, [&settings.cert_file, &settings.key_file])?,
    };
    let verifier = verifier(config, settings)?;
    let bad = |error: rustls::Error| match &pair {
        Some((source, ..)) => source.bad(&error),
        None => Report::of_file(config, format!("TLS towards servers: {error}")),
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions(settings.protocols))
        .map_err(&bad)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut client = match &pair {
        None => builder.with_no_client_auth(),
        Some((_, chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(&bad)?,
    };
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(client))
}

fn verifier(config: &Path, settings: &ServerTls) -> Result<Verifier, Report> {
    let check = match settings.sslmode {
        SslMode::VerifyFull => Check::ChainAndName,
        SslMode::VerifyCa => Check::Chain,
        _ => return Ok(blind()),
    };
    let (roots, listed) = match &settings.ca_file {
        Some(file) => Source { config, key: "server_tls_ca_file", file }.roots()?,
        None => (system_roots(config)?, Vec::new()),
    };
    Ok(Verifier { check, roots, listed, ..blind() })
}

/// The certificates that this system trusts.
fn system_roots(config: &Path) -> Result<RootCertStore, Report> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let message = "this system has no trusted certificates; name a file under `server_tls_ca_file`".to_owned();
        return Err(Report::of_file(config, message));
    }
    Ok(roots)
}

fn blind() -> Verifier {
    let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    Verifier { check: Check::Nothing, roots: RootCertStore::empty(), listed: Vec::new(), algorithms }
}
