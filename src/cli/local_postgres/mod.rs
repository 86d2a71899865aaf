//! Throw-away PostgreSQL clusters on this machine, for `pgotter demo`, the tests and the benches: a primary, its
//! streaming replicas, every way of stopping one, and nothing left behind. Blocking; not for the query path.
//!
//! Everything lives in one [`StateDir`] per process; how it is cleared, also after SIGKILL, is told there.
//! Deliberately knows nothing of PgOtter.

mod error;
mod programs;
mod run_as;
mod state_dir;

pub use error::Error;
pub use programs::Programs;
pub use run_as::RunAs;
pub use state_dir::StateDir;

use crate::cli::ports;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The superuser of every cluster.
pub const SUPERUSER: &str = "postgres";
/// Its password, the same everywhere. The clusters listen on loopback only and hold nothing of value.
pub const SUPERUSER_PASSWORD: &str = "otter-postgres";
/// A condition that has not come true by then never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// How TCP clients prove who they are. The unix socket, in a folder nobody else can enter, is always `trust`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostAuth {
    /// No proof. Default.
    #[default]
    Trust,
    /// Clear text.
    Password,
    /// MD5; passwords are stored as MD5 too, or PostgreSQL would ask for SCRAM.
    Md5,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// Nobody, but for what [`Options::hba`] lets in.
    Reject,
}

impl HostAuth {
    /// The word in pg_hba.conf.
    fn method(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Password => "password",
            Self::Md5 => "md5",
            Self::ScramSha256 => "scram-sha-256",
            Self::Reject => "reject",
        }
    }
}

/// What a cluster is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// TCP port on 127.0.0.1. 0 = a free one. Default 0.
    pub port: u16,
    /// Default 100, the least that a primary with replicas may have: they begin with what initdb has written down.
    pub max_connections: u32,
    /// For TCP connections. Default trust.
    pub auth: HostAuth,
    /// Lines of pg_hba.conf that come before the one `auth` stands for. Default none.
    pub hba: Vec<String>,
    /// Lines of postgresql.conf, such as `work_mem = '8MB'`. Default none.
    pub settings: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: 0, max_connections: 100, auth: HostAuth::Trust, hba: Vec::new(), settings: Vec::new() }
    }
}

/// How a server is told to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Waits for its clients to leave. Returns an error after a minute.
    Smart,
    /// Ends its clients with 57P01. What an operator's restart does.
    Fast,
    /// Ends its clients with 57P02; recovers at the next start.
    Immediate,
}

/// One running (or stopped) PostgreSQL. Dropping it stops the server and removes its files.
pub struct LocalPostgres {
    state: Arc<StateDir>,
    home: PathBuf,
    port: u16,
}

impl LocalPostgres {
    /// Starts a primary and waits until it accepts connections. About half a second; the first of a process runs
    /// initdb, the others copy what it made.
    ///
    /// # Errors
    /// No PostgreSQL on this machine, no user to run it as, or a server that does not start (with its log).
    pub fn primary(options: &Options) -> Result<Self, Error> {
        let state = StateDir::shared()?;
        let home = state.new_folder("cluster")?;
        let mut cluster = Self { state, home, port: options.port };
        let template = cluster.state.template()?;
        cluster.copy(&template, &cluster)?;
        cluster.configure(options)?;
        cluster.start_on_a_port(options.port)?;
        if options.auth == HostAuth::Md5 {
            cluster.psql("postgres", &format!("ALTER ROLE {SUPERUSER} PASSWORD '{SUPERUSER_PASSWORD}'"))?;
        }
        Ok(cluster)
    }

    /// Starts a streaming replica of this primary, on a free port, with the primary's settings, and waits until it
    /// accepts connections. It may still lag: see [`Self::wait_for_replicas`].
    ///
    /// # Errors
    /// As [`Self::primary`].
    pub fn replica(&mut self) -> Result<Self, Error> {
        self.replica_with("")
    }

    /// As [`Self::replica`], with further lines of postgresql.conf.
    ///
    /// While the primary has all of its WAL, the replica begins where the primary did, with a copy of the same template,
    /// and streams the rest: half of what pg_basebackup takes, and no checkpoint. Later, pg_basebackup; where there is none
    /// (PostgreSQL's packages from npm) the primary is stopped for the copy, which ends its clients.
    ///
    /// # Errors
    /// As [`Self::primary`].
    pub fn replica_with(&mut self, settings: &str) -> Result<Self, Error> {
        let home = self.state.new_folder("cluster")?;
        let mut replica = Self { state: Arc::clone(&self.state), home, port: 0 };
        let name = replica.home.file_name().map(|name| name.to_string_lossy().replace('-', "_")).unwrap_or_default();
        let upstream =
            format!("host={} port={} user={SUPERUSER} application_name={name}", self.socket_dir().display(), self.port);
        let template = self.state.template()?;
        if self.has_all_wal_since(&template) {
            self.copy(&template, &replica)?;
            for file in ["postgresql.conf", "postgresql.auto.conf", "pg_hba.conf"] {
                self.run(Command::new("cp").arg(self.data_dir().join(file)).arg(replica.data_dir()))?;
            }
            replica.follow(&upstream)?;
        } else if let Some(pg_basebackup) = self.state.programs.server_program("pg_basebackup") {
            let mut command = Command::new(pg_basebackup);
            command.arg("-D").arg(replica.data_dir()).args(["-d", &upstream, "-R", "-X", "stream", "-c", "fast"]);
            self.run(command.arg("--no-sync"))?;
        } else {
            self.stop(StopMode::Fast)?;
            self.copy(&self.data_dir(), &replica)?;
            self.start()?;
            replica.follow(&upstream)?;
        }
        replica.set(settings)?;
        replica.start_on_a_port(0)?;
        Ok(replica)
    }

    /// Starts a stopped server on its port and waits until it accepts connections.
    ///
    /// # Errors
    /// A server that does not start, with its log.
    pub fn start(&mut self) -> Result<(), Error> {
        let mut pg_ctl = self.pg_ctl("start");
        let started = self.run(pg_ctl.arg("-l").arg(self.log_file()));
        started.map_err(|error| error.with_log(&self.log()))?;
        // pg_ctl is content with a standby that does not accept connections yet.
        wait_for("the server to accept connections", || self.accepts())
    }

    /// Stops the server and waits until it has gone.
    ///
    /// # Errors
    /// It is not running, or clients outstay [`StopMode::Smart`].
    pub fn stop(&mut self, mode: StopMode) -> Result<(), Error> {
        let mode = match mode {
            StopMode::Smart => "smart",
            StopMode::Fast => "fast",
            StopMode::Immediate => "immediate",
        };
        let mut pg_ctl = self.pg_ctl("stop");
        self.run(pg_ctl.args(["-m", mode]))
    }

    /// [`Self::stop`], then [`Self::start`] on the same port.
    ///
    /// # Errors
    /// Theirs.
    pub fn restart(&mut self, mode: StopMode) -> Result<(), Error> {
        self.stop(mode)?;
        self.start()
    }

    /// SIGKILL to every process of this server at once, as the kernel's OOM killer or a power cut would.
    ///
    /// # Errors
    /// Processes that are still there after a minute.
    pub fn kill(&mut self) -> Result<(), Error> {
        let data = self.data_dir();
        wait_for("the killed server to be gone", || {
            let alive = state_dir::processes_inside(&data);
            for pid in &alive {
                // It may have gone between the look and the kill: then the signal finds nobody.
                let _ = rustix::process::kill_process(*pid, rustix::process::Signal::KILL);
            }
            alive.is_empty()
        })?;
        // The dead postmaster may stay a zombie for long (or for ever, in a container whose first process reaps nobody),
        // and PostgreSQL takes a zombie that these files name for a living postmaster.
        for file in [data.join("postmaster.pid"), self.home.join(format!(".s.PGSQL.{}.lock", self.port))] {
            fs::remove_file(&file).map_err(Error::io(format!("remove {}", file.display())))?;
        }
        Ok(())
    }

    /// SIGSTOP to (`true`) or SIGCONT to every process of this server: a host that hangs without closing anything.
    pub fn freeze(&mut self, frozen: bool) {
        let signal = if frozen { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        for pid in state_dir::processes_inside(&self.data_dir()) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Makes a replica a primary and waits for it.
    ///
    /// # Errors
    /// It is no replica.
    pub fn promote(&mut self) -> Result<(), Error> {
        let mut pg_ctl = self.pg_ctl("promote");
        self.run(&mut pg_ctl)
    }

    /// Waits until `count` replicas stream from this primary and have replayed all it has written.
    ///
    /// # Errors
    /// They have not after a minute.
    pub fn wait_for_replicas(&self, count: usize) -> Result<(), Error> {
        let sql = format!(
            "SELECT count(*) = {count} FROM pg_stat_replication \
             WHERE state = 'streaming' AND replay_lsn >= pg_current_wal_lsn()"
        );
        self.wait_until("postgres", &sql)
    }

    /// Asks `sql`, which answers one boolean, until it is true. A server that is not there yet counts as false.
    ///
    /// # Errors
    /// Not true after a minute.
    pub fn wait_until(&self, database: &str, sql: &str) -> Result<(), Error> {
        wait_for(sql, || self.psql(database, sql).is_ok_and(|answer| answer == "t"))
    }

    /// Runs `sql` as superuser through the unix socket (so never through a pooler); the answer is unaligned, without
    /// headers, without the last newline.
    ///
    /// # Errors
    /// psql's own message.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, Error> {
        let mut psql = self.psql_command(database)?;
        Ok(self.state.output(psql.args(["-A", "-t", "-c", sql]))?.trim_end_matches('\n').to_owned())
    }

    /// Runs a file of psql's language, stopping at the first error.
    ///
    /// # Errors
    /// psql's own message.
    pub fn psql_file(&self, database: &str, file: &Path) -> Result<(), Error> {
        let mut psql = self.psql_command(database)?;
        self.run(psql.arg("-f").arg(file))
    }

    /// The TCP port on [`Self::host`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The only address it listens on.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The folder of its unix socket; its owner's alone.
    pub fn socket_dir(&self) -> &Path {
        &self.home
    }

    /// PGDATA.
    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Everything the server logged so far.
    pub fn log(&self) -> String {
        fs::read(self.log_file()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Where it lives, and who runs it.
    pub fn state(&self) -> &Arc<StateDir> {
        &self.state
    }

    /// Appends lines to postgresql.conf; they count from the next start or reload.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn set(&self, settings: &str) -> Result<(), Error> {
        self.state.append(&self.data_dir().join("postgresql.conf"), &format!("{settings}\n"))
    }

    fn configure(&self, options: &Options) -> Result<(), Error> {
        let encryption = if options.auth == HostAuth::Md5 { "md5" } else { "scram-sha-256" };
        let mut conf = format!(
            "listen_addresses = '127.0.0.1'\nmax_connections = {}\n\
             password_encryption = '{encryption}'\n{SETTINGS}",
            options.max_connections
        );
        conf.extend(options.settings.iter().flat_map(|line| [line.as_str(), "\n"]));
        self.set(&conf)?;
        let mut hba = String::from("local all all trust\nlocal replication all trust\n");
        hba.extend(options.hba.iter().flat_map(|line| [line.as_str(), "\n"]));
        let method = options.auth.method();
        hba.push_str(&format!("host all all 127.0.0.1/32 {method}\nhost replication all 127.0.0.1/32 {method}\n"));
        self.state.write(&self.data_dir().join("pg_hba.conf"), &hba)
    }

    /// Whether the WAL reaches back to `template`, from which every cluster here begins.
    fn has_all_wal_since(&self, template: &Path) -> bool {
        let segments = fs::read_dir(template.join("pg_wal")).into_iter().flatten().flatten();
        let mut segments = segments.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name());
        segments.all(|segment| self.data_dir().join("pg_wal").join(segment).exists())
    }

    /// `data` becomes the data directory of `to`.
    fn copy(&self, data: &Path, to: &Self) -> Result<(), Error> {
        self.run(Command::new("cp").arg("-r").arg(data).arg(to.data_dir()))
    }

    /// Makes what was copied from a stopped primary a standby.
    fn follow(&self, upstream: &str) -> Result<(), Error> {
        let data = self.data_dir();
        self.state.append(&data.join("postgresql.auto.conf"), &format!("primary_conninfo = '{upstream}'\n"))?;
        self.state.append(&data.join("standby.signal"), "")
    }

    /// Whether the postmaster says so. Source: miscadmin.h, `LOCK_FILE_LINE_PM_STATUS`.
    fn accepts(&self) -> bool {
        let file = fs::read_to_string(self.data_dir().join("postmaster.pid")).unwrap_or_default();
        file.lines().nth(7).is_some_and(|status| status.trim_end() == "ready")
    }

    /// Starts on `wanted`; if that is 0, on a free port, and on another one when somebody was quicker.
    fn start_on_a_port(&mut self, wanted: u16) -> Result<(), Error> {
        let mut attempts = if wanted == 0 { 5 } else { 1 };
        loop {
            attempts -= 1;
            self.port = if wanted == 0 { ports::free_port() } else { wanted };
            // Here and not in `configure`: a replica inherits its primary's file.
            let sockets = self.home.display();
            self.set(&format!("port = {}\nunix_socket_directories = '{sockets}'", self.port))?;
            match self.start() {
                Err(Error::Failed { output, .. }) if attempts > 0 && output.contains("Address already in use") => {}
                other => return other,
            }
        }
    }

    fn pg_ctl(&self, action: &str) -> Command {
        let mut command = Command::new(self.state.programs.bin.join("pg_ctl"));
        command.args([action, "-w", "-s", "-t", "60", "-D"]).arg(self.data_dir());
        command
    }

    fn psql_command(&self, database: &str) -> Result<Command, Error> {
        let mut psql = Command::new(self.state.programs.client_program("psql")?);
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", SUPERUSER, "-d", database, "-p", &self.port.to_string()]);
        psql.arg("-h").arg(self.socket_dir());
        Ok(psql)
    }

    fn run(&self, command: &mut Command) -> Result<(), Error> {
        self.state.output(command).map(drop)
    }

    fn log_file(&self) -> PathBuf {
        self.home.join("log")
    }
}

impl Drop for LocalPostgres {
    fn drop(&mut self) {
        // Immediate: nobody will start it again. It may be stopped already; whatever stays is ended with the StateDir.
        if self.data_dir().join("postmaster.pid").exists() {
            self.freeze(false);
            let _ = self.stop(StopMode::Immediate);
        }
        let _ = fs::remove_dir_all(&self.home);
    }
}

/// Speed instead of durability, and everything inside the folder (mmap: a killed server leaves nothing in /dev/shm).
const SETTINGS: &str = "\
fsync = off
full_page_writes = off
shared_buffers = '32MB'
dynamic_shared_memory_type = mmap
wal_level = replica
max_wal_senders = 10
wal_keep_size = '64MB'
hot_standby = on
";

/// Looks every 20 ms.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) -> Result<(), Error> {
    let since = Instant::now();
    while !done() {
        if since.elapsed() > PATIENCE {
            return Err(Error::NeverCameTrue(what.to_owned()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
