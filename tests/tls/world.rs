//! What these tests stand on: two authorities, PostgreSQL with and without TLS, and a PgOtter.

use super::certificates::{Authority, Identity};
use crate::support::{PgOtter, client, could_not_run, must, postgres, state};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

/// Whom everybody trusts here.
pub fn ours() -> &'static Authority {
    static OURS: OnceLock<Authority> = OnceLock::new();
    OURS.get_or_init(|| Authority::new("ours"))
}

/// Whom nobody trusts.
pub fn strangers() -> &'static Authority {
    static STRANGERS: OnceLock<Authority> = OnceLock::new();
    STRANGERS.get_or_init(|| Authority::new("strangers"))
}

/// A file that PostgreSQL's user owns and nobody else may read, as PostgreSQL wants its key.
pub fn file(name: &str, text: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(|| must(state().new_folder("tls"))).join(name);
    // Written once whole: tests that run beside each other name the same files.
    let fresh = path.with_extension(format!("{:?}", std::thread::current().id()));
    must(state().write(&fresh, text));
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(&fresh, &path).unwrap();
    path
}

/// The paths of a certificate and its key.
pub fn files(name: &str, identity: &Identity) -> [PathBuf; 2] {
    [file(&format!("{name}.crt"), &identity.certificate), file(&format!("{name}.key"), &identity.key)]
}

/// What PgOtter shows its clients: for `localhost` only.
fn own() -> &'static [PathBuf; 2] {
    static OWN: OnceLock<[PathBuf; 2]> = OnceLock::new();
    OWN.get_or_init(|| files("pgotter", &ours().sign("pgotter", &["localhost"])))
}

/// Our authority's certificate.
pub fn root() -> PathBuf {
    file("ours.crt", &ours().certificate)
}

/// Lines for `[pooler]`: TLS for clients.
pub fn for_clients(mode: &str) -> String {
    showing(mode, own())
}

/// The same, with a certificate and a key of the test's own.
pub fn showing(mode: &str, [certificate, key]: &[PathBuf; 2]) -> String {
    format!("client_tls_sslmode = \"{mode}\"\nclient_tls_cert_file = {certificate:?}\nclient_tls_key_file = {key:?}\n")
}

/// The modes of both sides.
pub const SSLMODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// What libpq comes to with this sslmode where PgOtter has that one: in, and whether over TLS; else a part of what it
/// complains of. `shows` is whether the client has a certificate of our authority, which the verify modes want.
pub fn comes_in(ours: &str, theirs: &str, shows: bool) -> Result<bool, &'static str> {
    let has_tls = ours != "disable";
    let wants_tls = ["require", "verify-ca", "verify-full"];
    match theirs {
        _ if wants_tls.contains(&theirs) && !has_tls => Err("does not support SSL"),
        "disable" if wants_tls.contains(&ours) => Err("SSL required"),
        "disable" => Ok(false),
        "allow" if !wants_tls.contains(&ours) => Ok(false),
        "prefer" if !has_tls => Ok(false),
        _ if ours.starts_with("verify") && !shows => Err("certificate required"),
        _ => Ok(true),
    }
}

/// Lines for `[pooler]`: TLS towards servers.
pub fn for_servers(mode: &str, root: &Path) -> String {
    format!("server_tls_sslmode = \"{mode}\"\nserver_tls_ca_file = {root:?}\n")
}

/// PostgreSQL with TLS, and these lines in front of pg_hba.conf. Its certificate is for `localhost` only.
pub fn secure_postgres(by: &Authority, hba: &[&str]) -> LocalPostgres {
    let name = if std::ptr::eq(by, ours()) { "postgres" } else { "stranger" };
    let [certificate, key] = files(name, &by.sign("postgres", &["localhost"]));
    let settings = vec![
        "ssl = on".to_owned(),
        format!("ssl_cert_file = '{}'", certificate.display()),
        format!("ssl_key_file = '{}'", key.display()),
        format!("ssl_ca_file = '{}'", root().display()),
    ];
    let hba = hba.iter().map(|line| (*line).to_owned()).collect();
    postgres(&Options { settings, hba, max_connections: 100, ..Options::default() })
}

/// One with TLS that the whole binary shares.
pub fn cluster() -> &'static LocalPostgres {
    static CLUSTER: OnceLock<LocalPostgres> = OnceLock::new();
    CLUSTER.get_or_init(|| secure_postgres(ours(), &[]))
}

/// Whether PostgreSQL's programs here know TLS; a test that cannot run says so.
pub fn has_tls(what: &str) -> bool {
    let output = crate::support::run_client("psql", 1, &["sslmode=require host=127.0.0.1 port=1"]);
    let knows = !String::from_utf8_lossy(&output.stderr).contains("not compiled in");
    if !knows {
        could_not_run(what, "these programs of PostgreSQL's know no TLS");
    }
    knows
}

/// In front of one host, every database, trusting clients.
pub fn config(port: u16, host: &str, pooler: &str, rest: &str) -> String {
    format!(
        "[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\n{pooler}\n[databases.\"*\"]\nhosts = [\"{host}\"]\n{rest}\n"
    )
}

/// A PgOtter in front of a port of `localhost`.
pub fn pgotter(server: u16, pooler: &str) -> PgOtter {
    PgOtter::start(|port| config(port, &format!("localhost:{server}"), pooler, ""))
}

/// psql with these variables of its environment.
pub fn psql_with(port: u16, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = client("psql", port, &["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
    command.args(arguments).env("PGHOST", "localhost").envs(environment.iter().copied());
    must(command.output())
}

/// What a process wrote to its standard error.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a process wrote to its standard output.
pub fn answer(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
