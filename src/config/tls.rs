//! The settings `client_tls_…` and `server_tls_…`. Which files are named is decided here; what is in them is read when
//! they are put to use (`net::Tls::load`).

use super::model::{ClientTls, ServerTls, SslMode, TlsProtocols};
use super::outside::Outside;
use super::section::{Section, Value, Wrong};
use super::values::{names, word};
use std::path::PathBuf;

const SSL_MODES: [(&str, SslMode); 6] = [
    ("disable", SslMode::Disable),
    ("allow", SslMode::Allow),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// Reads `client_tls_…`.
pub(super) fn client(s: &mut Section<'_>, outside: &Outside<'_>) -> ClientTls {
    let tls = ClientTls {
        sslmode: s.or("client_tls_sslmode", SslMode::Disable, word(&SSL_MODES)),
        key_file: s.get("client_tls_key_file", |value| file(value, outside)).flatten(),
        cert_file: s.get("client_tls_cert_file", |value| file(value, outside)).flatten(),
        ca_file: s.get("client_tls_ca_file", |value| file(value, outside)).flatten(),
        protocols: s.or("client_tls_protocols", TlsProtocols::All, protocols),
    };
    if tls.sslmode != SslMode::Disable {
        let missing = if tls.key_file.is_none() { "client_tls_key_file" } else { "client_tls_cert_file" };
        let given = tls.key_file.is_some() && tls.cert_file.is_some();
        needs(s, "client_tls_sslmode", missing, given, "TLS needs our certificate and its key");
    }
    if tls.sslmode >= SslMode::VerifyCa {
        let why = "whose signatures are clients' certificates to have?";
        needs(s, "client_tls_sslmode", "client_tls_ca_file", tls.ca_file.is_some(), why);
    }
    tls
}

/// Reads `server_tls_…`.
pub(super) fn server(s: &mut Section<'_>, outside: &Outside<'_>) -> ServerTls {
    let tls = ServerTls {
        sslmode: s.or("server_tls_sslmode", SslMode::Prefer, word(&SSL_MODES)),
        ca_file: s.get("server_tls_ca_file", |value| file(value, outside)).flatten(),
        key_file: s.get("server_tls_key_file", |value| file(value, outside)).flatten(),
        cert_file: s.get("server_tls_cert_file", |value| file(value, outside)).flatten(),
        protocols: s.or("server_tls_protocols", TlsProtocols::All, protocols),
    };
    if tls.sslmode == SslMode::VerifyCa {
        let why = "without it the system's trusted certificates would do, and any of their owners could be the server";
        needs(s, "server_tls_sslmode", "server_tls_ca_file", tls.ca_file.is_some(), why);
    }
    if tls.cert_file.is_some() {
        needs(s, "server_tls_cert_file", "server_tls_key_file", tls.key_file.is_some(), "a certificate needs its key");
    }
    if tls.key_file.is_some() {
        let why = "a key needs its certificate";
        needs(s, "server_tls_key_file", "server_tls_cert_file", tls.cert_file.is_some(), why);
    }
    tls
}

fn needs(s: &mut Section<'_>, key: &'static str, needed: &'static str, given: bool, why: &'static str) {
    if !given && s.is_sound(&[key, needed]) {
        let place = s.place_of(key);
        s.notes.add(place, format!("`{key}` needs `{needed}`"), why, None);
    }
}

/// A path; empty is none.
fn file(value: &Value<'_>, outside: &Outside<'_>) -> Result<Option<PathBuf>, Wrong> {
    if value.get_ref().as_str() == Some("") { Ok(None) } else { outside.path(value).map(Some) }
}

/// PgBouncer's names, without the versions that nobody should use.
fn protocols(value: &Value<'_>) -> Result<TlsProtocols, Wrong> {
    let expected = "\"secure\", \"all\", \"tlsv1.2\" or \"tlsv1.3\"";
    let (mut v12, mut v13) = (false, false);
    for name in names(value).map_err(|wrong| Wrong { expected: expected.to_owned(), ..wrong })? {
        match name.as_str() {
            "secure" | "all" => (v12, v13) = (true, true),
            "tlsv1.2" => v12 = true,
            "tlsv1.3" => v13 = true,
            "tlsv1.0" | "tlsv1.1" | "legacy" => {
                return Err(Wrong::new(expected, format!("{name}: versions before 1.2 are not supported")));
            }
            _ => return Err(Wrong::new(expected, "not one of these")),
        }
    }
    match (v12, v13) {
        (true, true) => Ok(TlsProtocols::All),
        (true, false) => Ok(TlsProtocols::Only12),
        (false, true) => Ok(TlsProtocols::Only13),
        (false, false) => Err(Wrong::new(expected, "empty")),
    }
}
