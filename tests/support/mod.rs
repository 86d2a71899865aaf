//! What integration tests share: PostgreSQL, a PgOtter in front of it, the clients that come with PostgreSQL, and what
//! to do when a test cannot run here.

// Every test binary compiles this file and uses a part of it.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

pub mod certificates;
pub mod elsewhere;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod reloading;
pub mod scrape;
mod skipped;
pub mod stopped;
pub mod table;
pub mod talk;
pub mod waiting;
pub mod world;

#[allow(unused_imports)]
pub use skipped::{could_not_run, needs_root};

use pgotter::cli::local_postgres::{Error, LocalPostgres, Options, SUPERUSER, SUPERUSER_PASSWORD, StateDir};
use pgotter::cli::pooler_process::PoolerProcess;
use pgotter::cli::ports;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::TcpStream;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A test that fails says why, in PostgreSQL's or the system's words.
pub fn must<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// The folder all of a test binary's servers live in. Kept for the binary's life, so that initdb runs once.
pub fn state() -> &'static Arc<StateDir> {
    static STATE: OnceLock<Arc<StateDir>> = OnceLock::new();
    STATE.get_or_init(|| must(StateDir::shared()))
}

/// A primary that the whole test binary shares. For tests that neither stop it nor mind each other.
pub fn shared_postgres() -> &'static LocalPostgres {
    static SHARED: OnceLock<LocalPostgres> = OnceLock::new();
    SHARED.get_or_init(|| postgres(&Options::default()))
}

/// A primary of the test's own, gone at the end of it.
pub fn postgres(options: &Options) -> LocalPostgres {
    state();
    must(LocalPostgres::primary(options))
}

/// A `pgotter run`. A test that fails prints its log; dropping it stops it.
pub struct PgOtter(PoolerProcess);

impl PgOtter {
    /// Starts one with what `config` makes of a free port, and waits until it accepts. Tries again with another port
    /// if somebody was quicker.
    pub fn start(config: impl Fn(u16) -> String) -> Self {
        Self::start_with(config, &[])
    }

    /// As [`Self::start`], with variables of the environment.
    pub fn start_with(config: impl Fn(u16) -> String, environment: &[(&str, &str)]) -> Self {
        let mut attempts = 5;
        loop {
            let port = ports::free_port();
            attempts -= 1;
            let started = PoolerProcess::start_with(state(), Self::program(), &config(port), port, environment);
            match started.map(Self) {
                Err(_) if attempts > 0 && !ports::is_free(port) => {}
                other => return must(other),
            }
        }
    }

    /// As [`Self::start`], for a configuration that may be wrong.
    pub fn try_start(config: &str, port: u16) -> Result<Self, Error> {
        PoolerProcess::start(state(), Self::program(), config, port).map(Self)
    }

    /// That of this build; the variable `PGOTTER_PROGRAM` names another one.
    fn program() -> &'static Path {
        static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
        PROGRAM.get_or_init(|| {
            let named = std::env::var_os("PGOTTER_PROGRAM").filter(|path| !path.is_empty());
            named.unwrap_or_else(|| env!("CARGO_BIN_EXE_pgotter").into()).into()
        })
    }

    /// In front of one server, every database, trust on both sides; `pooler` are lines for `[pooler]`.
    pub fn in_front_of(server: &LocalPostgres, pooler: &str) -> Self {
        Self::start(|port| simple_config(port, server, pooler))
    }
}

/// See [`PgOtter::in_front_of`].
pub fn simple_config(port: u16, server: &LocalPostgres, pooler: &str) -> String {
    format!(
        "[pooler]\nlisten_addr = \"127.0.0.1\"\nlisten_port = {port}\nauth_type = \"trust\"\n{pooler}\n\
         [databases.\"*\"]\nhosts = [\"{}:{}\"]\n[users.{SUPERUSER}]\npassword = \"{SUPERUSER_PASSWORD}\"\n",
        server.host(),
        server.port()
    )
}

impl Deref for PgOtter {
    type Target = PoolerProcess;
    fn deref(&self) -> &PoolerProcess {
        &self.0
    }
}

impl DerefMut for PgOtter {
    fn deref_mut(&mut self) -> &mut PoolerProcess {
        &mut self.0
    }
}

impl Drop for PgOtter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // println! and not stderr: the test harness captures it and prints it with the failure.
            println!("--- log of pgotter, process {}\n{}", self.id(), self.log());
        }
        self.stop(Duration::from_secs(5));
    }
}

/// Sets it at the end of its own life: clients that work until then must not keep a test that has failed from ending.
pub struct SetAtEnd<'a>(pub &'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Clock ticks of processor time that each thread of a process has taken, by the names of the threads.
/// Source: proc(5), /proc/pid/stat.
pub fn worked(process: u32) -> Vec<(String, u64)> {
    let tasks = must(std::fs::read_dir(format!("/proc/{process}/task")));
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(must(task).path().join("stat")).ok()?;
        let (head, rest) = stat.rsplit_once(')')?;
        let ticks = rest.split_whitespace().skip(11).take(2).map(|ticks| must(ticks.parse::<u64>())).sum();
        Some((head.split_once('(')?.1.to_owned(), ticks))
    };
    tasks.filter_map(of_task).collect()
}

/// As many descriptors as the system lets this process have, and those that it starts, which it may have from now on.
pub fn descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let descriptors = if raised.is_ok() { limit.maximum } else { limit.current };
    descriptors.unwrap_or(u64::MAX)
}

/// From now on nothing that is sent to `stream` arrives, and the system does not say so: to its peer the whole machine is
/// gone, although both are on loopback.
pub fn fall_silent(stream: &TcpStream) {
    must(keep_nothing(stream));
}

/// Whether this user may [`fall_silent`]; some kernels want privileges for it.
pub fn may_fall_silent() -> bool {
    let listener = must(std::net::TcpListener::bind("127.0.0.1:0"));
    let stream = must(TcpStream::connect(must(listener.local_addr())));
    !keep_nothing(&stream).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Of every segment. Source: Linux, Documentation/networking/filter.rst.
fn keep_nothing(stream: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(stream).attach_filter(&[socket2::SockFilter::new(0x06, 0, 0, 0)])
}

/// psql, pgbench, pg_dump, pg_restore … on 127.0.0.1:`port` as the superuser. Runs in [`state`]'s folder: name files
/// by absolute paths that the user `postgres` can read.
pub fn client(program: &str, port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(must(state().programs.client_program(program)));
    state().adopt(&mut command);
    command.env("PGHOST", "127.0.0.1").env("PGPORT", port.to_string()).env("PGUSER", SUPERUSER);
    command.env("PGPASSWORD", SUPERUSER_PASSWORD).env("PGDATABASE", "postgres").env("PGCONNECT_TIMEOUT", "20");
    command.args(arguments);
    command
}

/// Runs [`client`] to its end, whatever that is.
pub fn run_client(program: &str, port: u16, arguments: &[&str]) -> Output {
    must(client(program, port, arguments).output())
}

/// Runs [`client`], which must succeed; its standard output.
pub fn client_output(program: &str, port: u16, arguments: &[&str]) -> String {
    let output = run_client(program, port, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{stderr}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What psql answers to `sql`, unaligned, without headers and the last newline.
pub fn psql(port: u16, sql: &str) -> String {
    let answer = client_output("psql", port, &["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
    answer.trim_end_matches('\n').to_owned()
}
