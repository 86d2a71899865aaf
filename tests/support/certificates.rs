//! Certificates for tests: an authority, and what it signs, as PEM.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm,
};

/// Who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub certificate: String,
}

/// A certificate and its key.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut parameters = parameters(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(parameters, key), certificate }
    }

    /// For these alternative names.
    pub fn sign(&self, common_name: &str, names: &[&str]) -> Identity {
        self.sign_with(&parameters(common_name, names))
    }

    /// The same, and its time is over.
    pub fn sign_expired(&self, common_name: &str, names: &[&str]) -> Identity {
        let mut parameters = parameters(common_name, names);
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        self.sign_with(&parameters)
    }

    fn sign_with(&self, parameters: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// An authority and a server in one, as `openssl req -x509` makes it.
pub fn self_signed(common_name: &str) -> Identity {
    self_signed_by(&PKCS_ECDSA_P256_SHA256, common_name)
}

/// The same, with a key and a signature of this kind.
pub fn self_signed_by(kind: &'static SignatureAlgorithm, common_name: &str) -> Identity {
    let mut parameters = parameters(common_name, &[]);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(kind).expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    Identity { certificate: certificate.pem(), key: key.serialize_pem() }
}

fn parameters(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters
}
