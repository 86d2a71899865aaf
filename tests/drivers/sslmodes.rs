//! psycopg with every sslmode, against every client_tls_sslmode: in, over TLS or not, and able to cancel; or kept out, for
//! the reason that is to be expected.

use super::world::{SSLMODES, cluster, comes_in, files, for_clients, ours, pgotter, root};
use super::{could_not_run, folder, program, succeeds};
use pgotter::cli::local_postgres::SUPERUSER;
use std::collections::HashMap;
use std::process::Command;

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn psycopg3_gets_in_as_both_sslmodes_say() {
    check("psycopg3", "psycopg");
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn psycopg2_gets_in_as_both_sslmodes_say() {
    check("psycopg2", "psycopg2");
}

fn check(driver: &str, module: &str) {
    let interpreter = folder().join("venv/bin/python");
    if !succeeds(Command::new(&interpreter).args(["-c", &format!("import {module}")])) {
        return could_not_run(driver, "not installed");
    }
    // psycopg runs as whoever runs this test, who must own the key; PgOtter as PostgreSQL's user.
    let own = tempfile::tempdir().unwrap();
    let [certificate, key] = files("driver-client", &ours().sign(SUPERUSER, &[])).map(|path| {
        let copy = own.path().join(path.file_name().unwrap());
        std::fs::copy(path, &copy).unwrap();
        copy
    });
    let root = root();
    for ours in SSLMODES {
        let lines = for_clients(ours) + &format!("client_tls_ca_file = {root:?}\nserver_tls_sslmode = \"require\"\n");
        let pooler = pgotter(cluster().port(), &lines);
        for shows in [false, true] {
            let mut command = Command::new(&interpreter);
            command.arg("-B").arg(program("python_sslmodes.py")).args(SSLMODES).env("DRIVER", driver);
            command.env("PGHOST", "localhost").env("PGPORT", pooler.port().to_string()).env("PGUSER", SUPERUSER);
            command.env("PGDATABASE", "postgres").env("PGCONNECT_TIMEOUT", "20").env("PGSSLROOTCERT", &root);
            if shows {
                command.env("PGSSLCERT", &certificate).env("PGSSLKEY", &key);
            }
            let said = said(command);
            for theirs in SSLMODES {
                compare(&said[theirs], comes_in(ours, theirs, shows), &format!("{ours}, {theirs}, {shows}"));
            }
        }
    }
}

/// What the program printed behind each mode.
fn said(mut command: Command) -> HashMap<String, String> {
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}{stderr}", output.status);
    stdout
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(mode, said)| (mode.to_owned(), said.to_owned()))
        .collect()
}

fn compare(said: &str, expected: Result<bool, &str>, case: &str) {
    match expected {
        Ok(tls) => assert_eq!(said, if tls { "tls" } else { "plain" }, "{case}"),
        Err(part) => assert!(said.starts_with("refused") && said.contains(part), "{case}: {said}"),
    }
}
