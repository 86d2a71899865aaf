//! `pgotter run` as a child process, for the demo, the tests and the benches: started with a configuration's text,
//! waited for, measured, stopped. Blocking.

use crate::cli::local_postgres::{Error, StateDir};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From start to listening. A debug build on a busy machine takes less than one.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// USER_HZ, the unit of /proc/PID/stat, is 100 on every architecture Linux runs on today.
const TICK: Duration = Duration::from_millis(10);

/// Dropping it kills it.
pub struct PoolerProcess {
    child: Child,
    port: u16,
    config_file: PathBuf,
    log_file: PathBuf,
    _state: Arc<StateDir>,
}

impl PoolerProcess {
    /// Starts `program run -c FILE`, where FILE holds `config`, and waits until 127.0.0.1:`port` accepts; that the
    /// configuration says that port is up to the caller. Without `[http]` in it, there is no endpoint.
    ///
    /// # Errors
    /// It ends, or does not listen in time; the error carries its log.
    pub fn start(state: &Arc<StateDir>, program: &Path, config: &str, port: u16) -> Result<Self, Error> {
        Self::start_with(state, program, config, port, &[])
    }

    /// As [`Self::start`], with variables of the environment.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(
        state: &Arc<StateDir>,
        program: &Path,
        config: &str,
        port: u16,
        environment: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let folder = state.path().join(format!("pgotter-{port}"));
        fs::create_dir_all(&folder)
            .and_then(|()| state.run_as.give(&folder))
            .map_err(Error::io(format!("create {}", folder.display())))?;
        let (config_file, log_file) = (folder.join("pooler.toml"), folder.join("log"));
        state.write(&config_file, &without_default_endpoint(config))?;
        state.write(&log_file, "")?;
        let log = |error| Error::io(format!("write {}", log_file.display()))(error);
        let stderr = File::options().append(true).open(&log_file).map_err(log)?;
        let stdout = stderr.try_clone().map_err(log)?;
        let mut command = Command::new(state.runnable(program)?);
        command.arg("run").arg("-c").arg(&config_file);
        state.adopt(&mut command).envs(environment.iter().copied()).stdout(stdout).stderr(stderr);
        let child = spawn(&mut command).map_err(Error::io("start pgotter run"))?;
        let mut started = Self { child, port, config_file, log_file, _state: Arc::clone(state) };
        started.wait_until_it_accepts()?;
        Ok(started)
    }

    fn wait_until_it_accepts(&mut self) -> Result<(), Error> {
        let since = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let output = match self.ended() {
                Some(status) => format!("it ended ({status})\n{}", self.log()),
                None if since.elapsed() > START_PATIENCE => format!("does not listen on {}\n{}", self.port, self.log()),
                None => {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
            };
            return Err(Error::Failed { command: "pgotter run".to_owned(), output });
        }
        Ok(())
    }

    /// The port it was started on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its configuration's file: change it before a SIGHUP.
    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// All it printed so far.
    pub fn log(&self) -> String {
        fs::read(&self.log_file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Its exit status, once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            // Not reaped, so the id is still its own.
            let _ = pid.map(|pid| kill_process(pid, signal));
        }
    }

    /// SIGTERM, then SIGKILL if it is still there after `patience`. `None`: it had to be killed.
    pub fn stop(&mut self, patience: Duration) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        let since = Instant::now();
        while since.elapsed() < patience {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.kill();
        None
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// CPU time of all its threads, user and system. Unit of measure: 10 ms. Zero once it has ended.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        cpu_ticks(&stat).map_or(Duration::ZERO, |ticks| TICK.saturating_mul(ticks))
    }

    /// Resident memory. Zero once it has ended.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    }
}

impl Drop for PoolerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Several of these run at once, and only one could have the endpoint's default port: a configuration that does not say
/// where it listens gets none.
fn without_default_endpoint(config: &str) -> String {
    if config.contains("[http]") { config.to_owned() } else { format!("[http]\nlisten = \"\"\n{config}") }
}

/// A process that another thread is starting right now holds, until its exec, what this one had open for writing: a
/// program that was just copied counts as being written for that moment.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let since = Instant::now();
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && since.elapsed() < START_PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

/// utime + stime. The name in front may hold spaces and brackets; the last bracket ends it. Source: proc(5).
fn cpu_ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}
