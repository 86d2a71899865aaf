//! Proofs over TLS: channel binding on both sides, and clients' certificates.

use super::certificates::{Authority, Identity, self_signed, self_signed_by};
use super::place::{fresh_role, line, log_in, pgotter_with, server};
use crate::support::{PgOtter, client, could_not_run, must, postgres, state};
use pgotter::cli::local_postgres::{HostAuth, LocalPostgres, Options};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file that only its owner may read, as PostgreSQL and libpq want keys.
pub fn file(text: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let path = state().path().join(format!("auth-{}.pem", NEXT.fetch_add(1, Ordering::Relaxed)));
    must(state().write(&path, text));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Lines for `[pooler]`.
pub fn client_tls(mode: &str, own: &Identity, authority: Option<&Authority>) -> String {
    let ca = authority.map(|ca| format!("client_tls_ca_file = {:?}\n", file(&ca.certificate))).unwrap_or_default();
    let (certificate, key) = (file(&own.certificate), file(&own.key));
    format!(
        "client_tls_sslmode = \"{mode}\"\nclient_tls_cert_file = {certificate:?}\nclient_tls_key_file = {key:?}\n{ca}"
    )
}

/// Every database, of one host.
pub fn any_database(port: u16) -> String {
    format!("[databases.\"*\"]\nhosts = [\"127.0.0.1:{port}\"]\n")
}

/// Whether psql gets in, or what it complains of.
pub fn psql(pooler: &PgOtter, user: &str, password: &str, options: &str) -> Result<(), String> {
    let target = format!("host=127.0.0.1 user={user} dbname=postgres {options}");
    let mut psql = client("psql", pooler.port(), &["-X", "-q", "-A", "-t", "-d", &target, "-c", "SELECT 1"]);
    let output = must(psql.env("PGPASSWORD", password).output());
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// A test that cannot run says so.
pub fn has_tls(what: &str) -> bool {
    let mut psql = client("psql", 1, &["-d", "sslmode=require host=127.0.0.1 port=1"]);
    let knows = !String::from_utf8_lossy(&must(psql.output()).stderr).contains("not compiled in");
    if !knows {
        could_not_run(what, "these programs of PostgreSQL's know no TLS");
    }
    knows
}

#[test]
fn libpq_binds_to_the_channel_as_it_is_told_to() {
    if !has_tls("channel_binding of clients") {
        return;
    }
    let role = fresh_role("scram-sha-256");
    for method in ["scram-sha-256", "md5"] {
        let pooler = client_tls("allow", &self_signed("localhost"), None) + &any_database(server().port());
        let pooler = pgotter_with(method, &line(&role.name, &role.verifier()), &pooler);
        let log_in = |options: &str| psql(&pooler, &role.name, &role.password(), options);
        for binding in ["disable", "prefer", "require"] {
            assert_eq!(log_in(&format!("sslmode=require channel_binding={binding}")), Ok(()), "{method} {binding}");
        }
        assert_eq!(log_in("sslmode=disable channel_binding=disable"), Ok(()));
        assert_eq!(log_in("sslmode=disable channel_binding=prefer"), Ok(()));
        let refused = log_in("sslmode=disable channel_binding=require").unwrap_err();
        assert!(refused.contains("channel binding"), "{refused}");
        let wrong = psql(&pooler, &role.name, "wrong", "sslmode=require channel_binding=require").unwrap_err();
        assert!(wrong.contains("password authentication failed"), "{wrong}");
    }
}

#[test]
fn libpq_and_pgotter_agree_on_the_hash_of_every_kind_of_certificate() {
    if !has_tls("kinds of certificates") {
        return;
    }
    let role = fresh_role("scram-sha-256");
    for (kind, has_hash) in [
        (&rcgen::PKCS_RSA_SHA256, true),
        (&rcgen::PKCS_RSA_SHA512, true),
        (&rcgen::PKCS_ECDSA_P384_SHA384, true),
        (&rcgen::PKCS_ED25519, false),
    ] {
        let tls = client_tls("require", &self_signed_by(kind, "localhost"), None) + &any_database(server().port());
        let pooler = pgotter_with("scram-sha-256", &line(&role.name, &role.verifier()), &tls);
        let log_in = |binding| {
            let options = format!("sslmode=require channel_binding={binding}");
            psql(&pooler, &role.name, &role.password(), &options)
        };
        assert_eq!(log_in("prefer"), Ok(()), "{kind:?}");
        match log_in("require") {
            Ok(()) => assert!(has_hash, "{kind:?}"),
            Err(why) => assert!(!has_hash && why.contains("channel binding"), "{kind:?}: {why}"),
        }
    }
}

/// A server with this certificate, and with SCRAM for everybody.
pub fn encrypted(own: &Identity) -> LocalPostgres {
    let settings = vec![
        "ssl = on".to_owned(),
        format!("ssl_cert_file = '{}'", file(&own.certificate).display()),
        format!("ssl_key_file = '{}'", file(&own.key).display()),
    ];
    postgres(&Options { settings, auth: HostAuth::ScramSha256, ..Options::default() })
}

#[test]
fn servers_are_bound_to_with_a_password_and_with_a_clients_key() {
    let server = encrypted(&self_signed("localhost"));
    must(server.psql("postgres", "CREATE ROLE otter LOGIN PASSWORD 'river stone'"));
    let verifier = must(server.psql("postgres", "SELECT rolpassword FROM pg_authid WHERE rolname = 'otter'"));
    for secret in ["river stone", &verifier] {
        let rest = "server_tls_sslmode = \"require\"\n".to_owned() + &any_database(server.port());
        let pooler = pgotter_with("scram-sha-256", &line("otter", secret), &rest);
        assert_eq!(log_in(pooler.port(), "otter", "river stone"), Ok("otter".to_owned()));
    }
}

#[test]
fn a_certificate_lets_in_the_user_it_names() {
    if !has_tls("certificates of clients") {
        return;
    }
    let (ours, strangers) = (Authority::new("ours"), Authority::new("strangers"));
    let (role, other) = (fresh_role("trust"), fresh_role("trust"));
    let tls = client_tls("verify-full", &ours.sign("localhost", &["localhost"]), Some(&ours));
    let lines = line(&role.name, "") + &line(&other.name, "");
    let pooler = pgotter_with("cert", &lines, &(tls + &any_database(server().port())));
    let log_in = |user: &str, shown: &Identity| {
        let (certificate, key) = (file(&shown.certificate), file(&shown.key));
        let files = format!("sslcert={} sslkey={}", certificate.display(), key.display());
        psql(&pooler, user, "", &format!("sslmode=require {files}"))
    };
    let own = ours.sign(&role.name, &[]);
    assert_eq!(log_in(&role.name, &own), Ok(()));
    let refused = log_in(&other.name, &own).unwrap_err();
    assert!(refused.contains("certificate authentication failed for user"), "{refused}");
    let nobody = log_in("nobody", &ours.sign("nobody", &[])).unwrap_err();
    assert!(nobody.contains("certificate authentication failed for user"), "{nobody}");
    assert!(log_in(&role.name, &strangers.sign(&role.name, &[])).is_err(), "signed by somebody else");
    assert!(psql(&pooler, &role.name, "", "sslmode=require sslcert=/nowhere").is_err(), "none");
    assert!(psql(&pooler, &role.name, "", "sslmode=disable").is_err(), "not encrypted");
}
