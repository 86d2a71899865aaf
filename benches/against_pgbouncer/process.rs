//! Processes this run starts, and what the kernel says of them in `/proc`. Knows no PostgreSQL.

use crate::Result;
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Ticks a second in `/proc/PID/stat`: USER_HZ, which is 100 on every Linux that Rust's std supports, whatever the
/// kernel's own HZ. Source: proc(5).
const TICKS_PER_SECOND: f64 = 100.0;

/// A child that ends with its owner.
pub struct Running {
    child: Child,
    stop_with: Signal,
}

impl Running {
    /// Starts `command`; `stop_with` is what ends it quickly.
    pub fn start(command: &mut Command, stop_with: Signal) -> Result<Running> {
        let child = command.spawn().map_err(|e| format!("start {}: {e}", command.get_program().display()))?;
        Ok(Running { child, stop_with })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends, at most for `limit`. Returns whether it succeeded.
    pub fn finish(&mut self, limit: Duration, stopping: &Stopping) -> Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            if stopping.requested() {
                return Err("interrupted".into());
            }
            if Instant::now() > deadline {
                return Err(format!("still running after {} s", limit.as_secs()).into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // try_wait first: the id of a child already waited for may belong to someone else.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill_process(Pid::from_child(&self.child), self.stop_with);
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Set by SIGINT, SIGTERM and SIGHUP. Nothing is killed by them, so that every owner still cleans up behind itself.
#[derive(Clone)]
pub struct Stopping(Arc<AtomicBool>);

impl Stopping {
    /// Starts listening for the three signals.
    pub fn watch() -> Result<Stopping> {
        use tokio::signal::unix::{SignalKind, signal};
        let flag = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate, mut hangup) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
        };
        let seen = Arc::clone(&flag);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} _ = hangup.recv() => {} }
            });
            seen.store(true, Ordering::Relaxed);
        });
        Ok(Stopping(flag))
    }

    /// Whether one of them came.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// User and system time of all threads of a process, in seconds, ended threads included.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| format!("the pooler is gone: {e}"))?;
    // The name may hold blanks and brackets; utime and stime are the 12th and 13th field behind it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// Ticks that all cores have been busy for since the machine was started, and all their ticks. Source: proc(5), /proc/stat.
pub fn busy_and_all() -> Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq steal; guests are in user and nice.
    let ticks: Vec<f64> = first.split_whitespace().skip(1).take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    let [_, _, _, idle, iowait, ..] = ticks[..] else { return Err("/proc/stat says nothing of cores".into()) };
    let all: f64 = ticks.iter().sum();
    Ok((all - idle - iowait, all))
}

/// Resident memory of a process in KiB.
pub fn resident_kib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| format!("the pooler is gone: {e}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS: the pooler has ended")?;
    let number = line.split_whitespace().next().ok_or("an empty VmRSS")?;
    Ok(number.parse()?)
}

/// Descriptors a process has open.
pub fn descriptors(pid: u32) -> Result<usize> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).map_err(|e| format!("the pooler is gone: {e}"))?;
    Ok(entries.count())
}

/// Runs `work` while looking at a process' resident memory every millisecond; returns the highest seen, in KiB.
pub fn peak_resident_kib(pid: u32, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0.0_f64;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(resident_kib(pid).unwrap_or(0.0));
                thread::sleep(Duration::from_millis(1));
            }
            peak.max(resident_kib(pid).unwrap_or(0.0))
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        let peak = watcher.join().map_err(|_| "the thread that watches memory panicked")?;
        result.map(|()| peak)
    })
}

/// Lets this process and its children open as many files as the hard limit allows: 5,000 clients need 5,000 here
/// and 5,000 in the pooler. There is room for them at once: a client that waits for room here would take
/// that for the pooler's doing.
pub fn raise_open_files_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|e| format!("raise the limit of open files: {e}"))?;
    pgotter::app::make_room(limit.current.unwrap_or(u64::MAX));
    Ok(())
}

/// The last lines of a log.
pub fn log_tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// The program `name`: what the environment variable says, else the first in PATH or `folders`.
pub fn find_program(variable: &str, name: &str, folders: &[&str]) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() { Ok(path) } else { Err(format!("{variable}: no file {}", path.display()).into()) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(folders.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("no {name} here; on Debian: apt-get install {name}, or set {variable}=path").into())
}
