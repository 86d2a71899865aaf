//! psql as a client, with every sslmode.

use super::certificates::Identity;
use super::world::{
    SSLMODES, answer, cluster, comes_in, complaint, file, files, for_clients, has_tls, ours, pgotter, psql_with, root,
    strangers,
};
use crate::support::client;
use std::path::PathBuf;
use std::process::Stdio;

/// Whether psql came in, and over TLS; else what it complained of.
fn connects(port: u16, environment: &[(&str, &str)]) -> Result<bool, String> {
    let output = psql_with(port, environment, &["-c", "\\conninfo", "-c", "SELECT 'served'"]);
    if !output.status.success() {
        return Err(complaint(&output));
    }
    let text = answer(&output);
    assert!(text.contains("served"), "{text}");
    Ok(text.contains("SSL connection"))
}

#[test]
fn psql_gets_in_as_both_sslmodes_say() {
    if !has_tls("sslmodes of clients") {
        return;
    }
    let root = root();
    let [certificate, key] = files("matrix-client", &ours().sign("postgres", &[]));
    let [root, certificate, key] = [&root, &certificate, &key].map(|path| path.to_str().unwrap());
    for ours in SSLMODES {
        let lines = for_clients(ours) + &format!("client_tls_ca_file = {root:?}\n");
        let pooler = pgotter(cluster().port(), &lines);
        for (theirs, shows) in SSLMODES.iter().flat_map(|mode| [(mode, false), (mode, true)]) {
            let mut environment = vec![("PGSSLMODE", *theirs), ("PGSSLROOTCERT", root)];
            if shows {
                environment.extend([("PGSSLCERT", certificate), ("PGSSLKEY", key)]);
            }
            match (connects(pooler.port(), &environment), comes_in(ours, theirs, shows)) {
                (Err(said), Err(part)) => assert!(said.contains(part), "{ours}, {theirs}, {shows}: {said}"),
                (got, expected) => assert_eq!(got.ok(), expected.ok(), "{ours}, {theirs}, {shows}"),
            }
        }
    }
}

#[test]
fn psql_finds_out_who_shows_a_foreign_certificate_or_has_another_name() {
    if !has_tls("verify-full of clients") {
        return;
    }
    let pooler = pgotter(cluster().port(), &for_clients("require"));
    let (root, foreign) = (root(), file("strangers.crt", &strangers().certificate));
    let foreign = [("PGSSLMODE", "verify-ca"), ("PGSSLROOTCERT", foreign.to_str().unwrap())];
    let said = connects(pooler.port(), &foreign).unwrap_err();
    assert!(said.contains("certificate verify failed"), "{said}");
    let by_number = [("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", root.to_str().unwrap()), ("PGHOST", "127.0.0.1")];
    let said = connects(pooler.port(), &by_number).unwrap_err();
    assert!(said.contains("does not match host name"), "{said}");
    let log = pooler.log();
    assert!(log.contains("TLS handshake failed"), "{log}");
}

#[test]
fn versions_below_the_configured_ones_are_refused() {
    if !has_tls("versions of TLS") {
        return;
    }
    for (protocols, version, does) in
        [("secure", "TLSv1.2", true), ("tlsv1.3", "TLSv1.2", false), ("tlsv1.3", "TLSv1.3", true)]
    {
        let lines = for_clients("require") + &format!("client_tls_protocols = \"{protocols}\"\n");
        let pooler = pgotter(cluster().port(), &lines);
        let environment = [("PGSSLMODE", "require"), ("PGSSLMAXPROTOCOLVERSION", version)];
        assert_eq!(connects(pooler.port(), &environment).is_ok(), does, "{protocols}, {version}");
    }
}

#[test]
fn a_certificate_is_asked_of_clients_and_checked() {
    if !has_tls("certificates of clients") {
        return;
    }
    let with_ca = |mode| for_clients(mode) + &format!("client_tls_ca_file = {:?}\n", root());
    let identity = |name, identity: &Identity| -> [PathBuf; 2] { files(name, identity) };
    let good = identity("good-client", &ours().sign("postgres", &[]));
    let foreign = identity("foreign-client", &strangers().sign("postgres", &[]));
    for (mode, shown, does) in [
        ("verify-full", None, false),
        ("verify-ca", None, false),
        ("verify-ca", Some(&good), true),
        ("verify-full", Some(&good), true),
        ("verify-full", Some(&foreign), false),
        ("require", None, true),
        ("require", Some(&good), true),
        ("require", Some(&foreign), false),
    ] {
        let pooler = pgotter(cluster().port(), &with_ca(mode));
        let mut environment = vec![("PGSSLMODE", "require")];
        if let Some([certificate, key]) = shown {
            let [certificate, key] = [certificate, key].map(|path| path.to_str().unwrap());
            environment.extend([("PGSSLCERT", certificate), ("PGSSLKEY", key)]);
        }
        let outcome = connects(pooler.port(), &environment);
        assert_eq!(outcome.is_ok(), does, "{mode}: {outcome:?}");
    }
}

#[test]
fn long_results_and_copies_pass_whole_both_ways() {
    if !has_tls("long results over TLS") {
        return;
    }
    let lines = for_clients("require") + "server_tls_sslmode = \"require\"\n";
    let pooler = pgotter(cluster().port(), &lines);
    let tls = [("PGSSLMODE", "require")];
    let sql = "SELECT count(*), sum(length(line)) FROM";
    let rows = "generate_series(1, 65536) AS n, LATERAL (SELECT repeat(chr(65 + n % 26), 1024) AS line) AS lines";
    let expected = answer(&psql_with(pooler.port(), &tls, &["-c", &format!("{sql} {rows}")]));
    assert_eq!(expected, "65536|67108864");
    let result = psql_with(pooler.port(), &tls, &["-c", &format!("SELECT line FROM {rows}")]);
    assert_eq!(result.stdout.len(), 65536 * 1025);
    let out = psql_with(pooler.port(), &tls, &["-c", &format!("COPY (SELECT line FROM {rows}) TO STDOUT")]);
    assert!(out.stdout == result.stdout, "COPY and SELECT say the same");
    let path = file("lines", &String::from_utf8(out.stdout).unwrap());
    let mut copy = client("psql", pooler.port(), &["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
    copy.args(["-c", "CREATE TABLE lines (line text)", "-c", "COPY lines FROM STDIN"]).envs(tls);
    let status = copy.stdin(Stdio::from(std::fs::File::open(path).unwrap())).status().unwrap();
    assert!(status.success());
    let copied = psql_with(pooler.port(), &tls, &["-c", &format!("{sql} lines")]);
    assert_eq!(answer(&copied), expected);
}
