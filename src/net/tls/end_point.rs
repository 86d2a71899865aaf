//! The channel-binding data `tls-server-end-point`: a hash of the server's certificate, by the hash function of the
//! certificate's signature.
//!
//! Source: RFC 5929, section 4.1; PostgreSQL `be_tls_get_certificate_hash`.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use x509_parser::oid_registry as oid;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::SignatureAlgorithm;

/// The hash of a certificate in DER; `None` where its signature names no hash (Ed25519), or is not understood.
pub(super) fn hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = algorithm(&parsed)?;
    Some(digest(algorithm, certificate).as_ref().to_vec())
}

fn algorithm(certificate: &X509Certificate<'_>) -> Option<&'static Algorithm> {
    let signature = &certificate.signature_algorithm;
    let parsed = SignatureAlgorithm::try_from(signature).ok();
    let named = match &parsed {
        Some(SignatureAlgorithm::RSASSA_PSS(parameters)) => parameters.hash_algorithm_oid(),
        _ => &signature.algorithm,
    };
    // MD5 and SHA-1 are too weak; SHA-256 takes their place, says the RFC.
    let sha256 = [
        oid::OID_PKCS1_MD5WITHRSAENC,
        oid::OID_PKCS1_SHA1WITHRSA,
        oid::OID_PKCS1_SHA256WITHRSA,
        oid::OID_SIG_ECDSA_WITH_SHA256,
        oid::OID_NIST_HASH_SHA256,
        oid::OID_HASH_SHA1,
    ];
    let sha384 = [oid::OID_PKCS1_SHA384WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA384, oid::OID_NIST_HASH_SHA384];
    let sha512 = [oid::OID_PKCS1_SHA512WITHRSA, oid::OID_SIG_ECDSA_WITH_SHA512, oid::OID_NIST_HASH_SHA512];
    [(&sha256[..], &SHA256), (&sha384, &SHA384), (&sha512, &SHA512)]
        .into_iter()
        .find(|(oids, _)| oids.contains(named))
        .map(|(_, algorithm)| algorithm)
}

#[cfg(test)]
mod tests;
