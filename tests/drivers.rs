//! The drivers that applications use, on what PgOtter promises today: simple and extended protocol, pipelines,
//! transactions, COPY, cancel, errors, and the five startup settings that it keeps. `make test-drivers`.
//!
//! Other languages' drivers are small programs in `drivers/`, which print `ok` or fail; `.ci/install-drivers` gets them
//! their packages. tokio-postgres is in `drivers/tokio_postgres.rs`. Each driver runs twice: in transaction mode with
//! one server for all its connections, so that settings which stick to a server would be seen, and in session mode. psycopg
//! with every sslmode is in `drivers/sslmodes.rs`.
//!
//! Left out until sessions are carried from server to server: drivers that cannot be kept from sending other startup
//! settings, which are refused (JDBC and Npgsql send extra_float_digits; options such as statement_timeout), LISTEN,
//! and, in transaction mode, statements prepared by name outside of a transaction (tokio-postgres and asyncpg by
//! default, psycopg 3 without `prepare_threshold=None`).

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "support/certificates.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod certificates;
#[path = "drivers/tokio_postgres.rs"]
mod driver;
#[path = "drivers/sslmodes.rs"]
mod sslmodes;
#[path = "tls/world.rs"]
#[allow(dead_code, reason = "as above")]
mod world;

use pgotter::cli::local_postgres::{SUPERUSER, SUPERUSER_PASSWORD};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{PgOtter, could_not_run, must, postgres};

/// A driver's program takes a few seconds. One that hangs is ended.
const PATIENCE: Duration = Duration::from_secs(90);
/// One server for everybody, and as many as a program has connections.
const MODES: [(&str, u32); 2] = [("transaction", 1), ("session", 10)];

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn psycopg3_with_unnamed_statements_and_pipelines() {
    python("psycopg 3", "psycopg", "python_psycopg3.py");
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn psycopg2_works() {
    python("psycopg2", "psycopg2", "python_psycopg2.py");
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn asyncpg_without_its_statement_cache() {
    python("asyncpg", "asyncpg", "python_asyncpg.py");
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn node_postgres_works() {
    let mut look = Command::new("node");
    look.env("NODE_PATH", folder().join("node_modules")).args(["-e", "require('pg')"]);
    if !succeeds(&mut look) {
        return could_not_run("node-postgres", "not installed");
    }
    in_every_mode(|port, mode| {
        let mut command = Command::new("node");
        command.env("NODE_PATH", folder().join("node_modules")).arg(program("node_postgres.js"));
        run(command, port, mode);
    });
}

#[test]
#[ignore = "takes a few seconds: make test-drivers"]
fn tokio_postgres_works() {
    let runtime = must(tokio::runtime::Builder::new_current_thread().enable_all().build());
    in_every_mode(|port, mode| {
        let all = driver::everything(port, mode == "session");
        runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await }).expect("it ends in time");
    });
}

fn python(name: &str, module: &str, file: &str) {
    let interpreter = folder().join("venv/bin/python");
    if !succeeds(Command::new(&interpreter).args(["-c", &format!("import {module}")])) {
        return could_not_run(name, "not installed");
    }
    in_every_mode(|port, mode| {
        let mut command = Command::new(&interpreter);
        command.arg("-B").arg(program(file));
        run(command, port, mode);
    });
}

/// Where `.ci/install-drivers` puts what it installs.
fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's tmp folder lies in target");
    target.join("drivers")
}

fn program(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers").join(file)
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// A server of the test's own: the programs make tables.
fn in_every_mode(test: impl Fn(u16, &str)) {
    let server = postgres(&Default::default());
    for (mode, servers) in MODES {
        let pooler = PgOtter::in_front_of(&server, &format!("pool_mode = \"{mode}\"\ndefault_pool_size = {servers}"));
        test(pooler.port(), mode);
    }
}

/// Runs a driver's program to its end, which must be the line `ok`.
fn run(mut command: Command, port: u16, mode: &str) {
    command.env("PGHOST", "127.0.0.1").env("PGPORT", port.to_string()).env("PGDATABASE", "postgres");
    command.env("PGUSER", SUPERUSER).env("PGPASSWORD", SUPERUSER_PASSWORD).env("POOL_MODE", mode);
    for settled in ["PGOPTIONS", "PGTZ", "PGDATESTYLE", "PGAPPNAME", "PGCLIENTENCODING", "PGSERVICE"] {
        command.env_remove(settled);
    }
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = must(spawned);
    let since = Instant::now();
    // What these programs print fits into a pipe.
    while must(child.try_wait()).is_none() {
        if since.elapsed() > PATIENCE {
            must(child.kill());
            let output = must(child.wait_with_output());
            panic!("{mode} mode: hangs\n{}", String::from_utf8_lossy(&output.stderr));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = must(child.wait_with_output());
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.trim() == "ok", "{mode} mode: {}\n{stdout}{stderr}", output.status);
}
