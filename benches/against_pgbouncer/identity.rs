//! Who the poolers are, and who their clients: one certificate and one password for all of a run.

use crate::Result;
use crate::raw_login::HOST;
use pgotter::auth::verifier::ITERATIONS_DEFAULT;
use pgotter::auth::{Derivation, ScramKeys, Verifier};
use pgotter::secret::{Secret, random};
use rustls::crypto::aws_lc_rs;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Made anew for each run.
pub struct Identity {
    /// PEM, ECDSA on P-256, self-signed.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    /// A client that trusts it, and speaks TLS 1.3.
    pub trusted: Arc<ClientConfig>,
    /// The user's secret as `auth_file` has it.
    pub verifier: String,
    /// What the password comes to: derived once, so that a login costs our client no PBKDF2.
    pub keys: Arc<ScramKeys>,
}

impl Identity {
    /// A new certificate and a new password.
    pub fn new() -> Result<Identity> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let trusted = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (password, salt) = ("otter-bench", random::<16>());
        Ok(Identity {
            certificate: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            trusted: Arc::new(trusted),
            verifier: Verifier::from_password(password, salt, ITERATIONS_DEFAULT).to_text().expose().clone(),
            keys: Arc::new(Derivation::new(Secret::new(password.to_owned()), &salt, ITERATIONS_DEFAULT).run()),
        })
    }
}
