//! The command line: `make bench ARGS="[options]"`.

use crate::rows;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: make bench ARGS='[options]'

  --only NAME           one group of rows; may be repeated. Groups: cpu, throughput, p99, copy, idle, big, tls,
                        logins, idle-tls, half-open, prepared, statements, settings, routing, insight, flowtrack,
                        waiters
  --pairs N             alternating pairs per row, default 7 (memory rows: at most 3)
  --seconds N           length of each pgbench run, default 5
  --waiter-seconds N    length of the run with 500 waiting clients, default 60
  --flowtrack-seconds N length of FlowTrack's load, default 60
  --self-check          PgBouncer against itself: the noise of this machine

  PGBOUNCER=path        another PgBouncer; default: from PATH or /usr/sbin
  PGOTTER=path          the PgOtter to measure; `make bench` names the release build
  BEFORE=path           an older PgOtter, whose instructions are counted beside; default: none are counted
  PGBIN=folder          another PostgreSQL; default: the newest in /usr/lib/postgresql, or from PATH";

/// What to measure, and for how long.
#[derive(Debug)]
pub struct Options {
    /// Groups to run; empty means all.
    pub only: Vec<String>,
    /// Alternating pairs per row. Default 7.
    pub pairs: usize,
    /// Seconds of one pgbench run. Default 5.
    pub seconds: u64,
    /// Seconds of one run with waiting clients. Default 60.
    pub waiter_seconds: u64,
    /// Seconds of FlowTrack's load. Default 60.
    pub flowtrack_seconds: u64,
    /// PgBouncer takes PgOtter's place.
    pub self_check: bool,
}

impl Options {
    /// Whether this group was asked for.
    pub fn wants(&self, group: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == group)
    }
}

/// What the command line asks for.
pub enum Command {
    /// Print [`USAGE`].
    Help,
    /// Measure.
    Run(Options),
}

/// Reads the arguments. The error says what is wrong with them.
pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = Options {
        only: Vec::new(),
        pairs: 7,
        seconds: 5,
        waiter_seconds: 60,
        flowtrack_seconds: 60,
        self_check: false,
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => return Ok(Command::Help),
            // `cargo bench` always passes this one.
            "--bench" => {}
            "--self-check" => options.self_check = true,
            "--only" => options.only.push(group(arguments.next())?),
            "--pairs" => options.pairs = number("--pairs", arguments.next())?,
            "--seconds" => options.seconds = number("--seconds", arguments.next())?,
            "--waiter-seconds" => options.waiter_seconds = number("--waiter-seconds", arguments.next())?,
            "--flowtrack-seconds" => options.flowtrack_seconds = number("--flowtrack-seconds", arguments.next())?,
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(Command::Run(options))
}

fn group(value: Option<String>) -> Result<String, String> {
    let name = value.ok_or("--only needs the name of a group")?;
    if rows::GROUPS.iter().any(|group| group.name == name) { Ok(name) } else { Err(format!("unknown group {name}")) }
}

fn number<T: std::str::FromStr + PartialOrd + From<u8>>(option: &str, value: Option<String>) -> Result<T, String> {
    let value = value.ok_or_else(|| format!("{option} needs a number"))?;
    match value.parse() {
        Ok(number) if number >= T::from(1) => Ok(number),
        _ => Err(format!("{option} needs a number of at least 1, not \"{value}\"")),
    }
}
