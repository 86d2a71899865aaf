//! A PostgreSQL of our own for one run: its own folder, a free port, nothing durable. Ends with its owner.

use crate::Result;
use crate::process::{Running, Stopping};
use crate::raw_client::RawClient;
use rustix::process::Signal;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The user of every connection, and the superuser of the cluster.
pub const USER: &str = "postgres";
/// The database that is measured.
pub const DATABASE: &str = "postgres";

/// Whom servers and poolers run as: PostgreSQL and PgBouncer refuse root.
#[derive(Clone, Copy)]
pub enum RunAs {
    /// Whoever started the benchmark.
    Caller,
    /// The system's `postgres`, by uid and gid.
    Postgres(u32, u32),
}

impl RunAs {
    /// Decides from who we are. Fails as root without a system user `postgres`.
    pub fn detect() -> Result<RunAs> {
        if !rustix::process::geteuid().is_root() {
            return Ok(RunAs::Caller);
        }
        let users = fs::read_to_string("/etc/passwd")?;
        let line = users
            .lines()
            .find(|line| line.starts_with("postgres:"))
            .ok_or("root may not run PostgreSQL, and there is no system user postgres: install PostgreSQL's package")?;
        let mut ids = line.split(':').skip(2).filter_map(|field| field.parse().ok());
        match (ids.next(), ids.next()) {
            (Some(uid), Some(gid)) => Ok(RunAs::Postgres(uid, gid)),
            _ => Err("the line of postgres in /etc/passwd has no uid and gid".into()),
        }
    }

    /// A command that will run as this user, in `folder`, without a terminal, in English, with its output in `log`.
    pub fn command(self, program: &Path, folder: &Path, log: &Path) -> Result<Command> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C");
        if let RunAs::Postgres(uid, gid) = self {
            command.uid(uid).gid(gid);
        }
        Ok(command)
    }

    /// Gives a file or folder to this user.
    pub fn own(self, path: &Path) -> Result<()> {
        if let RunAs::Postgres(uid, gid) = self {
            std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
        }
        Ok(())
    }
}

/// A running cluster.
pub struct LocalPostgres {
    /// On 127.0.0.1.
    pub port: u16,
    // Held for its Drop.
    _server: Running,
}

impl LocalPostgres {
    /// Makes and starts a cluster in `folder`; returns once it takes connections.
    pub fn start(run_as: RunAs, bin: &Path, folder: &Path, stopping: &Stopping) -> Result<LocalPostgres> {
        let data = folder.join("data");
        let log = folder.join("postgres.log");
        let mut initdb = run_as.command(&bin.join("initdb"), folder, &log)?;
        initdb.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "-D"]).arg(&data);
        if !Running::start(&mut initdb, Signal::TERM)?.finish(Duration::from_secs(60), stopping)? {
            return Err(format!("initdb failed:\n{}", log_tail(&log)).into());
        }
        let port = free_port()?;
        let mut postgres = run_as.command(&bin.join("postgres"), folder, &log)?;
        postgres.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "synchronous_commit=off",
            "shared_buffers=256MB",
            "max_connections=200",
            // Nothing is written while we measure; a background worker would only be noise.
            "autovacuum=off",
        ] {
            postgres.args(["-c", setting]);
        }
        // SIGQUIT: the quickest end; nothing here is to be kept.
        let mut server = Running::start(&mut postgres, Signal::QUIT)?;
        wait_until_it_answers(&mut server, port, &log, stopping)?;
        Ok(LocalPostgres { port, _server: server })
    }
}

/// Waits until one can log in at `port`. Fails when the process ends or 15 s have passed.
pub fn wait_until_it_answers(process: &mut Running, port: u16, log: &Path, stopping: &Stopping) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let Err(error) = RawClient::connect(port) else { return Ok(()) };
        if process.ended() || Instant::now() > deadline || stopping.requested() {
            return Err(format!("nothing answers on port {port} ({error}); its log ends:\n{}", log_tail(log)).into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A port nobody listens on just now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The last lines of a log.
pub fn log_tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// What of PostgreSQL is run here.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pgbench"];

/// The folder of PostgreSQL's programs: PGBIN, else the first in PATH with all of them, else the newest of Debian's.
pub fn find_bin() -> Result<PathBuf> {
    let from_path = std::env::var_os("PATH").unwrap_or_default();
    // make hands on a variable that nobody set as an empty one.
    let pgbin = std::env::var_os("PGBIN").filter(|folder| !folder.is_empty());
    let mut folders: Vec<PathBuf> = match pgbin.clone() {
        Some(folder) => vec![folder.into()],
        None => std::env::split_paths(&from_path).collect(),
    };
    if pgbin.is_none()
        && let Ok(versions) = fs::read_dir("/usr/lib/postgresql")
    {
        let mut versions: Vec<(u32, PathBuf)> = versions
            .flatten()
            .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
            .collect();
        versions.sort();
        folders.extend(versions.into_iter().rev().map(|(_, bin)| bin));
    }
    folders.into_iter().find(|folder| PROGRAMS.iter().all(|program| folder.join(program).is_file())).ok_or_else(|| {
        let programs = PROGRAMS.join(", ");
        format!("no folder with {programs}; on Debian: apt-get install postgresql, or set PGBIN=folder").into()
    })
}
