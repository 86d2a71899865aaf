//! The drivers that applications use, with everything they do by default: statements prepared by name and kept in caches,
//! settings at login and later, pipelines, transactions, COPY, LISTEN, cancel, errors, migrations. `make test-drivers`.
//!
//! Other languages' drivers are programs in `drivers/`, which print `ok` or fail; `.ci/install-drivers` gets them their
//! packages and `.ci/build-drivers` builds those that need it. tokio-postgres is in `drivers/tokio_postgres.rs`. Each
//! runs on PostgreSQL itself, which shows that the program is right, and through PgOtter in transaction mode, with one server
//! for all its connections so that what sticks to a server would be seen, and in session mode. Behind each a newcomer
//! looks for what may have been left ([`left`]). psycopg with every sslmode is in `drivers/sslmodes.rs`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

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
use support::{PgOtter, certificates, could_not_run, must, postgres, psql};

/// A driver's program takes a few seconds. One that hangs is ended.
const PATIENCE: Duration = Duration::from_secs(90);
/// Transaction mode: one server for everybody.
const ONE: u32 = 1;
/// Transaction mode for a program that keeps one server to itself, by a session's lock, while it works with another.
const SOME: u32 = 4;
/// Session mode: as many as a program has connections.
const MANY: u32 = 12;

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn psycopg3_works_as_it_comes() {
    python("psycopg 3", "psycopg, psycopg_pool", "python_psycopg3.py", ONE);
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn psycopg2_works_as_it_comes() {
    python("psycopg2", "psycopg2", "python_psycopg2.py", ONE);
}

// It pins its two clients.
#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn prepare_and_execute_in_sql_work() {
    python("psycopg2", "psycopg2", "python_prepare_in_sql.py", SOME);
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn sqlalchemy_works_as_it_comes() {
    python("SQLAlchemy", "sqlalchemy, psycopg, psycopg2", "python_sqlalchemy.py", ONE);
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn asyncpg_works_as_it_comes() {
    python("asyncpg", "asyncpg", "python_asyncpg.py", ONE);
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn what_rails_sends_works() {
    python("Rails by libpq", "psycopg", "python_rails.py", SOME);
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn node_postgres_works_as_it_comes() {
    node("node-postgres", &["pg", "pg-copy-streams", "pg-cursor"], "node_postgres.js");
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn postgres_js_works_as_it_comes() {
    node("postgres.js", &["postgres"], "postgres_js.js");
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn knex_works_as_it_comes() {
    node("Knex", &["knex", "pg", "pg-query-stream"], "knex.js");
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn jdbc_works_as_it_comes() {
    // Debian's. The source is compiled as it is run.
    let driver = "/usr/share/java/postgresql.jar";
    if !succeeds(Command::new("java").args(["--describe-module", "jdk.compiler"])) || !Path::new(driver).exists() {
        return could_not_run("JDBC", "not installed");
    }
    in_every_mode(ONE, |port, mode| {
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-cp", driver]).arg(program("Jdbc.java"));
        run(command, port, mode);
    });
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn pgx_works_as_it_comes() {
    built("pgx", "pgx");
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn lib_pq_works_as_it_comes() {
    built("lib/pq", "pq");
}

#[test]
#[ignore = "needs drivers from outside: make test-drivers"]
fn sqlx_works_as_it_comes() {
    built("sqlx", "sqlx");
}

#[test]
#[ignore = "takes a few seconds: make test-drivers"]
fn tokio_postgres_works_as_it_comes() {
    in_every_mode(ONE, |port, _| {
        let runtime = must(tokio::runtime::Builder::new_current_thread().enable_all().build());
        let all = async { tokio::time::timeout(PATIENCE, driver::everything(port)).await };
        runtime.block_on(all).expect("it ends in time");
    });
}

fn python(name: &str, modules: &str, file: &str, servers: u32) {
    let interpreter = folder().join("venv/bin/python");
    if !succeeds(Command::new(&interpreter).args(["-c", &format!("import {modules}")])) {
        return could_not_run(name, "not installed");
    }
    in_every_mode(servers, |port, mode| {
        let mut command = Command::new(&interpreter);
        command.arg("-B").arg(program(file));
        run(command, port, mode);
    });
}

fn node(name: &str, modules: &[&str], file: &str) {
    let node = || {
        let mut command = Command::new("node");
        command.env("NODE_PATH", folder().join("node_modules"));
        command
    };
    let look: String = modules.iter().map(|module| format!("require('{module}');")).collect();
    if !succeeds(node().args(["-e", &look])) {
        return could_not_run(name, "not installed");
    }
    in_every_mode(ONE, |port, mode| {
        let mut command = node();
        command.arg(program(file));
        run(command, port, mode);
    });
}

/// A program that `.ci/build-drivers` has built.
fn built(name: &str, file: &str) {
    let program = folder().join("bin").join(file);
    if !program.exists() {
        return could_not_run(name, "not built");
    }
    in_every_mode(ONE, |port, mode| run(Command::new(&program), port, mode));
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

/// A server of the test's own: the programs make tables. `servers` is what transaction mode has.
fn in_every_mode(servers: u32, test: impl Fn(u16, &str)) {
    let server = postgres(&Default::default());
    test(server.port(), "direct");
    let expected = left(server.port());
    for (mode, servers) in [("transaction", servers), ("session", MANY)] {
        let pooler = PgOtter::in_front_of(&server, &format!("pool_mode = \"{mode}\"\ndefault_pool_size = {servers}"));
        test(pooler.port(), mode);
        // As often as there are servers, and a few times more.
        for _ in 0..=servers {
            assert_eq!(left(pooler.port()), expected, "{mode} mode: what a newcomer finds");
        }
    }
}

/// What a newcomer finds of the sessions before it: all settings, and what belongs to a session alone. Whether PL/pgSQL has been
/// used, and so has settings, is no matter.
fn left(port: u16) -> String {
    let sql = "SELECT concat_ws(E'\\n', session_user, current_user, current_schemas(true), pg_my_temp_schema(),
        nullif(current_setting('app.tenant', true), ''),
        (SELECT string_agg(name || ' = ' || setting, E'\\n' ORDER BY name)
            FROM pg_settings WHERE name NOT LIKE 'plpgsql.%'),
        (SELECT string_agg(name, ',') FROM pg_cursors WHERE name <> ''),
        (SELECT string_agg(channel, ',') FROM pg_listening_channels() AS channel),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'))";
    psql(port, sql)
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
