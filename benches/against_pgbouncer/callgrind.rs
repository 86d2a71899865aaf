//! Counting instructions: a PgOtter under valgrind's callgrind, and what that says of a load.
//!
//! Source: valgrind's manual, "Callgrind": `--separate-threads`, `--instr-atstart`, callgrind_control, and its file format.

use crate::Result;
use crate::lab::Lab;
use crate::pgbench::{self, Load, Script};
use crate::pooler::{Kind, Pooler, Setup};
use crate::process::{self, Running};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What may be slow under valgrind.
const PATIENCE: Duration = Duration::from_secs(120);

/// Seconds of a short load and of a long one. What only logging in and leaving costs is in both.
const SECONDS: [u64; 2] = [2, 10];

/// Valgrind's programs.
pub struct Tools {
    valgrind: PathBuf,
    control: PathBuf,
}

impl Tools {
    /// An error says what is missing.
    pub fn find() -> Result<Self> {
        let find = |variable, name| process::find_program(variable, name, &[]);
        Ok(Self { valgrind: find("VALGRIND", "valgrind")?, control: find("CALLGRIND_CONTROL", "callgrind_control")? })
    }
}

/// A PgOtter of one worker whose instructions are counted.
pub struct Counted {
    pooler: Pooler,
    control: PathBuf,
    folder: PathBuf,
    dumps: u32,
}

/// Instructions for each transaction.
#[derive(Clone, Copy)]
pub struct Instructions {
    /// Of its worker.
    pub worker: f64,
    /// Of all its threads.
    pub all: f64,
}

impl Counted {
    /// This program.
    pub fn start(lab: &Lab, tools: &Tools, program: &Path, setup: Setup) -> Result<Self> {
        let folder = lab.new_folder("callgrind")?;
        let pooler = Pooler::run_by(lab, Kind::PgOtter(Some(1)), setup, &[lab.postgres.port()], |own, log| {
            let mut command = lab.command(&tools.valgrind, own, log)?;
            command.args(["--tool=callgrind", "--separate-threads=yes", "--instr-atstart=no"]);
            command.arg(format!("--callgrind-out-file={}", folder.join("out").display())).arg(program);
            Ok(command)
        })?;
        let counted = Self { pooler, control: tools.control.clone(), folder, dumps: 0 };
        // It opens its servers, and reads what is asked for the first time.
        for protocol in ["simple", "extended"] {
            counted.load(lab, protocol, SECONDS[0])?;
        }
        counted.tell(lab, &["--instr=on"])?;
        Ok(counted)
    }

    /// Of `pgbench -S`, 16 clients: the difference of a long load and a short one.
    pub fn measure(&mut self, lab: &Lab, protocol: &'static str) -> Result<Instructions> {
        let mut measured = Vec::new();
        for seconds in SECONDS {
            lab.go_on()?;
            // What was counted before, while nobody asked, is none of it.
            self.dump(lab)?;
            let transactions = self.load(lab, protocol, seconds)?;
            measured.push((transactions, self.dump(lab)?));
        }
        let [(few, short), (many, long)] = &measured[..] else { return Err("two loads were not measured".into()) };
        if many - few < *few {
            return Err(format!("{few} transactions in {} s, and {many} in {} s", SECONDS[0], SECONDS[1]).into());
        }
        let of = |value: fn(&[f64]) -> f64| (value(long) - value(short)) / (many - few);
        // Nothing else has as much to do as the one worker.
        Ok(Instructions {
            worker: of(|threads| threads.iter().copied().fold(0.0, f64::max)),
            all: of(|threads| threads.iter().sum()),
        })
    }

    /// The number of transactions.
    fn load(&self, lab: &Lab, protocol: &'static str, seconds: u64) -> Result<f64> {
        let load = Load { script: Script::SelectOnly, clients: 16, protocol, seconds, rate: None, latencies: false };
        Ok(pgbench::run(lab, &self.pooler, &load)?.transactions)
    }

    /// The instructions of each thread since the last time.
    fn dump(&mut self, lab: &Lab) -> Result<Vec<f64>> {
        self.tell(lab, &["--dump"])?;
        self.dumps += 1;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)? {
            let text = fs::read_to_string(entry?.path())?;
            let number = |label| text.lines().find_map(|line| line.strip_prefix(label)?.trim().parse::<f64>().ok());
            if number("part:") == Some(f64::from(self.dumps)) {
                let thread = number("thread:").ok_or("callgrind named no thread")?;
                threads.insert(thread as u32, number("totals:").unwrap_or(0.0));
            }
        }
        if threads.is_empty() {
            return Err(format!("callgrind wrote no part {} into {}", self.dumps, self.folder.display()).into());
        }
        Ok(threads.into_values().collect())
    }

    fn tell(&self, lab: &Lab, arguments: &[&str]) -> Result<()> {
        let log = self.folder.with_extension("control");
        let mut command = lab.command(&self.control, &self.folder, &log)?;
        command.args(arguments).arg(self.pooler.pid().to_string());
        match Running::start(&mut command, Signal::TERM)?.finish(PATIENCE, &lab.stopping)? {
            true => Ok(()),
            false => Err(format!("callgrind_control:\n{}", process::log_tail(&log)).into()),
        }
    }
}
