//! Running PostgreSQL's own load generator, and reading what it measured.

use crate::Result;
use crate::lab::{DATABASE, Lab, USER};
use crate::pooler::Pooler;
use crate::process::{Running, log_tail};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What a transaction is.
#[derive(Clone, Copy)]
pub enum Script {
    /// `pgbench -S`: one row by its primary key.
    SelectOnly,
    /// Two milliseconds of a server's time that cost no CPU.
    Sleep2Ms,
}

/// One run.
pub struct Load {
    /// What is run.
    pub script: Script,
    /// Clients at once.
    pub clients: u32,
    /// `simple`, `extended` or `prepared`.
    pub protocol: &'static str,
    /// How long.
    pub seconds: u64,
    /// Transactions a second that are to begin; None is as many as it can.
    pub rate: Option<f64>,
    /// Whether to keep every transaction's latency. Costs pgbench a little, in every run alike.
    pub latencies: bool,
}

impl Load {
    /// Reads of 64 clients by the simple protocol, so many of them due a second, with the latency of each.
    pub fn at_rate(lab: &Lab, rate: f64) -> Self {
        Self {
            script: Script::SelectOnly,
            clients: 64,
            protocol: "simple",
            seconds: lab.options.seconds,
            rate: Some(rate),
            latencies: true,
        }
    }
}

/// What came of it.
pub struct Outcome {
    /// Transactions done.
    pub transactions: f64,
    /// Transactions a second, without connecting.
    pub per_second: f64,
    /// In microseconds, if asked for. With a rate it counts from when the transaction was *due*, so a pooler that
    /// falls behind cannot hide it. Source: pgbench's documentation, "Per-Transaction Logging" and `--rate`.
    pub latencies_us: Vec<f64>,
}

/// Fills the tables straight into PostgreSQL: `pgbench -i -s 10`.
pub fn load_tables(lab: &Lab, port: u16) -> Result<()> {
    let folder = lab.new_folder("load")?;
    let mut command = command(lab, port, &folder)?;
    command.args(["-i", "-q", "-s", "10", DATABASE]);
    finish(lab, &mut command, &folder, Duration::from_secs(120)).map(|_| ())
}

/// Runs one load against a pooler: over TLS where that has it.
pub fn run(lab: &Lab, pooler: &Pooler, load: &Load) -> Result<Outcome> {
    let folder = lab.new_folder("run")?;
    let mut command = command(lab, pooler.entrance.port, &folder)?;
    command.env("PGSSLMODE", if pooler.entrance.tls.is_some() { "require" } else { "disable" });
    // Two threads: one would be the bottleneck before a pooler is.
    command.args(["-n", "-j", "2", "-M", load.protocol, "-c", &load.clients.to_string()]);
    command.args(["-T", &load.seconds.to_string()]);
    match load.script {
        Script::SelectOnly => command.arg("-S"),
        Script::Sleep2Ms => {
            fs::write(folder.join("sleep.sql"), "select pg_sleep(0.002);\n")?;
            command.args(["-f", "sleep.sql"])
        }
    };
    if let Some(rate) = load.rate {
        command.args(["--rate", &format!("{rate:.0}")]);
    }
    if load.latencies {
        command.args(["--log", "--log-prefix=latency"]);
    }
    command.arg(DATABASE);
    let report = finish(lab, &mut command, &folder, Duration::from_secs(load.seconds + 30))?;
    let outcome = Outcome {
        transactions: number_behind(&report, "number of transactions actually processed: ")?,
        per_second: number_behind(&report, "tps = ")?,
        latencies_us: if load.latencies { read_latencies(&folder)? } else { Vec::new() },
    };
    fs::remove_dir_all(&folder)?;
    Ok(outcome)
}

fn command(lab: &Lab, port: u16, folder: &Path) -> Result<Command> {
    let mut command = lab.command(&lab.pgbench, folder, &folder.join("errors"))?;
    command.stdout(fs::File::create(folder.join("report"))?);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", USER]);
    Ok(command)
}

/// Runs pgbench to its end; returns what it printed.
fn finish(lab: &Lab, command: &mut Command, folder: &Path, limit: Duration) -> Result<String> {
    let errors = || log_tail(&folder.join("errors"));
    match Running::start(command, Signal::TERM)?.finish(limit, &lab.stopping) {
        Ok(true) => Ok(fs::read_to_string(folder.join("report"))?),
        Ok(false) => Err(format!("pgbench failed:\n{}", errors()).into()),
        Err(error) => Err(format!("pgbench: {error}\n{}", errors()).into()),
    }
}

fn number_behind(report: &str, label: &str) -> Result<f64> {
    let (_, rest) = report.split_once(label).ok_or_else(|| format!("pgbench printed no \"{label}\":\n{report}"))?;
    let number = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    number.parse().map_err(|_| format!("pgbench printed no number behind \"{label}\":\n{report}").into())
}

/// The third column of pgbench's logs (one for each thread).
fn read_latencies(folder: &Path) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("latency")) {
            let log = fs::read_to_string(path)?;
            latencies.extend(log.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok()));
        }
    }
    if latencies.is_empty() { Err("pgbench logged no transaction".into()) } else { Ok(latencies) }
}
