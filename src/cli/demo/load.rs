//! The demo's load: pgbench, several at once, through one port. Simple and extended protocol, reads, writes, a queue,
//! a quota, and one slow query. Deliberately at a fixed rate: this is a demo, not a benchmark.

use crate::cli::local_postgres::{Error, StateDir};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// File name, text, weight.
const MIXED: [(&str, &str, u32); 5] = [
    ("reads.sql", include_str!("load/reads.sql"), 65),
    ("writes.sql", include_str!("load/writes.sql"), 10),
    ("claims.sql", include_str!("load/claims.sql"), 10),
    ("quota.sql", include_str!("load/quota.sql"), 14),
    ("cleanup.sql", include_str!("load/cleanup.sql"), 1),
];
const SLOW: [(&str, &str, u32); 1] = [("slow.sql", include_str!("load/slow.sql"), 1)];

/// Three years: until somebody stops it.
const FOREVER: Duration = Duration::from_secs(100_000_000);

/// pgbench draws the pauses at random: of a stream that is to begin fewer transactions than this in its whole time, not
/// one may begin. Beyond it that would happen once in 300 million runs.
const SURE: f64 = 20.0;

/// Where the load goes.
pub struct Target {
    /// On 127.0.0.1.
    pub port: u16,
    /// Logs in without a password.
    pub user: String,
    /// Holds what workload.sql made.
    pub database: String,
}

/// What one pgbench is to do.
struct Stream {
    scripts: &'static [(&'static str, &'static str, u32)],
    protocol: &'static str,
    clients: u32,
    /// Transactions per second, all clients together.
    rate: f64,
}

const STREAMS: [Stream; 3] = [
    Stream { scripts: &MIXED, protocol: "simple", clients: 16, rate: 300.0 },
    Stream { scripts: &MIXED, protocol: "extended", clients: 16, rate: 300.0 },
    Stream { scripts: &SLOW, protocol: "simple", clients: 1, rate: 0.5 },
];

/// How many clients [`Load::start`] connects.
pub fn clients() -> u32 {
    STREAMS.iter().map(|stream| stream.clients).sum()
}

/// What the load has done, as pgbench counts it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Transactions that succeeded.
    pub transactions: u64,
    /// Transactions that failed.
    pub failed: u64,
    /// Transactions per second over the last report's time.
    pub tps: f64,
    /// Their mean latency; counted from when the rate wanted them begun, so it includes any backlog.
    pub latency_ms: f64,
    /// What pgbench complained about, at most [`Totals::COMPLAINTS_MAX`] lines.
    pub complaints: Vec<String>,
}

impl Totals {
    /// Beyond these, complaints repeat each other.
    pub const COMPLAINTS_MAX: usize = 10;
}

/// The running pgbenches.
pub struct Load {
    runners: Vec<Runner>,
}

struct Runner {
    child: Child,
    ended: Option<ExitStatus>,
    // It has time enough for one transaction at least.
    sure_of_one: bool,
    reader: JoinHandle<()>,
    lines: tokio::sync::mpsc::UnboundedReceiver<String>,
    seen: Seen,
}

/// What one pgbench has said.
#[derive(Default)]
struct Seen {
    /// Summed from progress lines, until the final count replaces it.
    transactions: f64,
    counted: Option<u64>,
    failed: u64,
    /// Clients that gave up; pgbench counts their last transaction nowhere.
    aborted: u64,
    at_seconds: f64,
    tps: f64,
    latency_ms: f64,
    complaints: Vec<String>,
}

impl Load {
    /// Starts it, for `duration` or until it is stopped, reporting every `every` (whole seconds). Needs a runtime.
    ///
    /// # Errors
    /// No pgbench, or it cannot be started.
    pub fn start(
        state: &Arc<StateDir>,
        target: &Target,
        duration: Option<Duration>,
        every: Duration,
    ) -> Result<Self, Error> {
        let folder = state.path().join("load");
        fs::create_dir_all(&folder)
            .and_then(|()| state.run_as.give(&folder))
            .map_err(Error::io(format!("create {}", folder.display())))?;
        let mut runners = Vec::new();
        for stream in &STREAMS {
            let mut command = Command::new(state.programs.client_program("pgbench")?);
            let seconds = duration.unwrap_or(FOREVER).as_secs().max(1);
            stream.arguments(&mut command, target, seconds, every);
            for (name, text, weight) in stream.scripts {
                let script: PathBuf = folder.join(name);
                state.write(&script, text)?;
                command.arg("-f").arg(format!("{}@{weight}", script.display()));
            }
            state.adopt(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped());
            runners.push(Runner::spawn(command, stream.rate * seconds as f64 > SURE)?);
        }
        Ok(Self { runners })
    }

    /// What happened so far. Does not wait.
    pub fn totals(&mut self) -> Totals {
        let mut totals = Totals::default();
        let mut latency_sum = 0.0;
        for runner in &mut self.runners {
            runner.read();
            let seen = &runner.seen;
            totals.transactions += seen.counted.unwrap_or_else(|| whole(seen.transactions));
            totals.failed += seen.failed + seen.aborted;
            totals.tps += seen.tps;
            latency_sum += seen.tps * seen.latency_ms;
            let room = Totals::COMPLAINTS_MAX.saturating_sub(totals.complaints.len());
            totals.complaints.extend(seen.complaints.iter().take(room).cloned());
        }
        if totals.tps > 0.0 {
            totals.latency_ms = latency_sum / totals.tps;
        }
        totals
    }

    /// Waits until every pgbench has ended: the time is up, or all clients have failed. Cancel-safe.
    pub async fn ended(&mut self) {
        for runner in &mut self.runners {
            if runner.ended.is_none() {
                runner.ended = runner.child.wait().await.ok();
            }
        }
    }

    /// Reads what an ended load still had to say; `true` if every pgbench ended well and did what could be expected.
    pub async fn finish(&mut self) -> bool {
        let mut well = true;
        for runner in &mut self.runners {
            let _ = (&mut runner.reader).await;
            runner.read();
            let least = u64::from(runner.sure_of_one);
            well &= runner.ended.is_some_and(|status| status.success()) && runner.seen.counted >= Some(least);
        }
        well
    }

    /// Ends it now. `true`, unless one had ended with an error before.
    pub async fn stop(&mut self) -> bool {
        let mut well = true;
        for runner in &mut self.runners {
            well &= runner.child.try_wait().ok().flatten().is_none_or(|status| status.success());
            let _ = runner.child.kill().await;
            let _ = (&mut runner.reader).await;
        }
        well
    }
}

impl Stream {
    fn arguments(&self, command: &mut Command, target: &Target, seconds: u64, every: Duration) {
        command.args(["-n", "-h", "127.0.0.1", "-M", self.protocol, "-R", &self.rate.to_string()]);
        command.args(["-p", &target.port.to_string(), "-U", &target.user]);
        command.args(["-c", &self.clients.to_string(), "-T", &seconds.to_string()]);
        command.args(["-P", &every.as_secs().max(1).to_string()]).arg(&target.database);
    }
}

impl Runner {
    fn spawn(command: Command, sure_of_one: bool) -> Result<Self, Error> {
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().map_err(Error::io("start pgbench"))?;
        let (sender, lines) = unbounded_channel();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reader = tokio::spawn(async move {
            tokio::join!(forward(stdout, sender.clone()), forward(stderr, sender));
        });
        Ok(Self { child, ended: None, sure_of_one, reader, lines, seen: Seen::default() })
    }

    fn read(&mut self) {
        while let Ok(line) = self.lines.try_recv() {
            self.seen.line(&line);
        }
    }
}

async fn forward(stream: Option<impl AsyncRead + Unpin>, sender: UnboundedSender<String>) {
    let Some(stream) = stream else { return };
    let mut lines = BufReader::new(stream).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = sender.send(line);
    }
}

impl Seen {
    /// One line of what pgbench prints, in any version from 15 on.
    fn line(&mut self, line: &str) {
        let number = |text: &str| text.trim().split([' ', '/']).next().and_then(|word| word.parse::<f64>().ok());
        if let Some(progress) = line.strip_prefix("progress: ") {
            // progress: 2.0 s, 598.9 tps, lat 1.530 ms stddev 0.9, 0 failed, lag 0.100 ms
            let mut parts = progress.split(", ");
            let at = parts.next().and_then(number).unwrap_or(self.at_seconds);
            self.tps = parts.next().and_then(number).unwrap_or_default();
            self.transactions += self.tps * (at - self.at_seconds);
            self.at_seconds = at;
            for part in parts {
                match part.strip_prefix("lat ") {
                    Some(latency) => self.latency_ms = number(latency).unwrap_or_default(),
                    None if part.ends_with(" failed") => self.failed += number(part).map_or(0, whole),
                    None => {}
                }
            }
        } else if let Some(count) = line.strip_prefix("number of transactions actually processed: ") {
            self.counted = number(count).map(whole);
        } else if let Some(count) = line.strip_prefix("number of failed transactions: ") {
            self.failed = number(count).map_or(self.failed, whole);
        } else if line.contains("error:") || line.contains("ERROR:") || line.contains("FATAL:") {
            self.aborted += u64::from(line.contains("aborted"));
            if self.complaints.len() < Totals::COMPLAINTS_MAX {
                self.complaints.push(line.to_owned());
            }
        }
    }
}

/// Rounded. `as` saturates, and a demo's counts are far from where it would.
fn whole(number: f64) -> u64 {
    number.round().max(0.0) as u64
}

#[cfg(test)]
mod tests;
