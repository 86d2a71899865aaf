//! The hash is by the certificate's own signature, whichever that is.

use super::*;
use base64::Engine;
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PKCS_RSA_SHA256, PKCS_RSA_SHA384, PKCS_RSA_SHA512,
};

/// Signed by RSA with SHA-1; as those below made by `openssl req -x509`, and signed by RSASSA-PSS.
const SHA1: &str = "\
    MIIBAzCBrgIBATANBgkqhkiG9w0BAQUFADAMMQowCAYDVQQDDAFvMCAXDTI2MTEzMDE1NTkxNVoYDzIxMjYxMTA2MTU1OTE1WjAMMQowCAYDVQ\
    QDDAFvMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOpUo5uypKQ8WTO9EJt/dX/WmCShU43pjexPAzG9fB79TqcHs+gUQF1KuF8VmnPZV/EWl3GZ\
    Z3U1un/m+9bziU0CAwEAATANBgkqhkiG9w0BAQUFAANBALu6cnvvb6fGa16AYeVBtWJasoWF8UB+J4Q/m41qFy+glXEo2HTqatGaqYwDWpnMKW\
    obkrYg7tcGJderoLjNdfM=";

/// With the hash that is meant where none is named.
const PSS_SHA1: &str = "\
    MIIBCzCBsQIBATASBgkqhkiG9w0BAQowBaIDAgEAMAwxCjAIBgNVBAMMAW8wIBcNMjYxMTMwMTU1OTE1WhgPMjEyNjExMDYxNTU5MTVaMAwxCj\
    AIBgNVBAMMAW8wWjALBgkqhkiG9w0BAQoDSwAwSAJBAMobJh3H4MkaqY4l9siqkyLUCB97ZSo89QJhB0jTbi53/uSOgMWUKOydxIbxJccLheK4\
    3Twm4lQhn//dQSWX1s0CAwEAATASBgkqhkiG9w0BAQowBaIDAgEAA0EAosGe1jTHsKHe3iGkcJ0F3Nghlkgo8KEE1+ILIIUgPzzIqE5gz/bV6a\
    Wkqpdz7UyGKstlvPuGsnaAmki1GPierA==";

/// With SHA-256.
const PSS_SHA256: &str = "\
    MIIBaTCB4AIBATBBBgkqhkiG9w0BAQowNKAPMA0GCWCGSAFlAwQCAQUAoRwwGgYJKoZIhvcNAQEIMA0GCWCGSAFlAwQCAQUAogMCAQAwDDEKMA\
    gGA1UEAwwBbzAgFw0yNjExMzAxNTU5MTVaGA8yMTI2MTEwNjE1NTkxNVowDDEKMAgGA1UEAwwBbzBaMAsGCSqGSIb3DQEBCgNLADBIAkEAyhsm\
    HcfgyRqpjiX2yKqTItQIH3tlKjz1AmEHSNNuLnf+5I6AxZQo7J3EhvElxwuF4rjdPCbiVCGf/91BJZfWzQIDAQABMEEGCSqGSIb3DQEBCjA0oA\
    8wDQYJYIZIAWUDBAIBBQChHDAaBgkqhkiG9w0BAQgwDQYJYIZIAWUDBAIBBQCiAwIBAANBAApaIadyCRI0E82UyviFwYGWWeRBOrUfUrKUKb3k\
    wyChPHK7p3+MFdJoUnjYN81GZHZC5HfYztVVFF6Tlh5fAvA=";

/// With SHA-384.
const PSS_SHA384: &str = "\
    MIIBaTCB4AIBATBBBgkqhkiG9w0BAQowNKAPMA0GCWCGSAFlAwQCAgUAoRwwGgYJKoZIhvcNAQEIMA0GCWCGSAFlAwQCAgUAogMCAQAwDDEKMA\
    gGA1UEAwwBbzAgFw0yNjExMzAxNTU5MTVaGA8yMTI2MTEwNjE1NTkxNVowDDEKMAgGA1UEAwwBbzBaMAsGCSqGSIb3DQEBCgNLADBIAkEAyhsm\
    HcfgyRqpjiX2yKqTItQIH3tlKjz1AmEHSNNuLnf+5I6AxZQo7J3EhvElxwuF4rjdPCbiVCGf/91BJZfWzQIDAQABMEEGCSqGSIb3DQEBCjA0oA\
    8wDQYJYIZIAWUDBAICBQChHDAaBgkqhkiG9w0BAQgwDQYJYIZIAWUDBAICBQCiAwIBAANBAFMf9gviWOyDoh4D4Kinnsr9ueb15q/o3HDc+i7z\
    0h7TSWTiRm53W5mwV1s/lQn+5ABDvPFwjk8VXfQ/10Eczpw=";

fn hex_of(text: &str) -> Option<String> {
    let certificate = base64::prelude::BASE64_STANDARD.decode(text).expect("base64");
    Some(hash(&certificate)?.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn a_certificate_is_hashed_by_the_hash_of_its_signature() {
    for (signed, by) in [
        (&PKCS_RSA_SHA256, Some(&SHA256)),
        (&PKCS_RSA_SHA384, Some(&SHA384)),
        (&PKCS_RSA_SHA512, Some(&SHA512)),
        (&PKCS_ECDSA_P256_SHA256, Some(&SHA256)),
        (&PKCS_ECDSA_P384_SHA384, Some(&SHA384)),
        (&PKCS_ECDSA_P521_SHA512, Some(&SHA512)),
        (&PKCS_ED25519, None),
    ] {
        let key = KeyPair::generate_for(signed).expect("a key");
        let certificate =
            CertificateParams::new(Vec::new()).expect("no names").self_signed(&key).expect("a certificate");
        let expected = by.map(|by| digest(by, certificate.der()).as_ref().to_vec());
        assert_eq!(hash(certificate.der()), expected, "{signed:?}");
    }
}

/// As `openssl dgst` has it.
#[test]
fn the_hash_is_the_one_that_others_come_to() {
    for (certificate, expected) in [
        (SHA1, "8aa4c45d5fdf53e61217462d9bab029c3cd2d5008246f7d6fd1131280d57c7ab"),
        (PSS_SHA1, "d7c16e28ccefd141c53eea767e843438fed4461961d6ef046d49efa1c929690a"),
        (PSS_SHA256, "4cda76655ac82156978ba1adb9572d63ceb60421ece81286afc43e8481954077"),
        (
            PSS_SHA384,
            "611d411319e26b866fffa10882ca2dc428547be8d35b260a310e360065d2607c024fb9e8f5369c80e764e7492df6dad6",
        ),
    ] {
        assert_eq!(hex_of(certificate).as_deref(), Some(expected), "{certificate}");
    }
}

#[test]
fn what_is_no_certificate_has_no_hash() {
    let whole = base64::prelude::BASE64_STANDARD.decode(PSS_SHA256).expect("base64");
    assert!((0..whole.len()).all(|end| hash(&whole[..end]).is_none()));
}
