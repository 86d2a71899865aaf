//! Measures PgOtter against PgBouncer on this machine, in one run, alternating. Start with `rows.rs` (what is
//! measured, and each bar) and `benches/README.md` (how to run it and what the columns mean).
//!
//! Exit status: 0 if every chosen row was measured, whatever the verdicts; 1 if something could not run; 2 for a
//! mistake on the command line. It deliberately judges nothing by absolute speed: only ratios travel between machines.

mod callgrind;
mod flowtrack_rows;
mod flowtrack_told;
mod half_open_rows;
mod http;
mod identity;
mod insight_rows;
mod lab;
mod memory_rows;
mod open_loop;
mod options;
#[path = "../../tests/workload/parts.rs"]
#[allow(dead_code, reason = "shared with tests, which use more of it")]
mod parts;
mod pgbench;
mod pooler;
mod prepared_rows;
mod process;
#[path = "../../tests/support/random.rs"]
#[allow(dead_code, reason = "as above")]
mod random;
mod raw_client;
mod raw_login;
mod report;
mod routing_rows;
mod rows;
mod secure_rows;
mod settings_rows;
mod statistics;

use options::{Command, Options};
use report::Report;
use std::error::Error;
use std::process::ExitCode;

/// A benchmark has one reader of its errors, the person who started it: text with its cause is enough.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match options::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            println!("{}", options::USAGE);
            ExitCode::SUCCESS
        }
        Ok(Command::Run(options)) => match run(options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("cannot measure: {error}");
                ExitCode::FAILURE
            }
        },
        Err(mistake) => {
            eprintln!("{mistake}\n\n{}", options::USAGE);
            ExitCode::from(2)
        }
    }
}

/// Measures what the options ask for and prints the table; false if a group could not run.
fn run(options: Options) -> Result<bool> {
    process::raise_open_files_limit()?;
    let lab = lab::Lab::set_up(options)?;
    let mut report = Report::new(&lab);
    for group in rows::GROUPS {
        if !lab.options.wants(group.name) {
            continue;
        }
        eprintln!("{}: {}", group.name, group.about);
        match (group.measure)(&lab) {
            Ok(rows) => report.add(rows),
            Err(error) => {
                eprintln!("{}: could not run: {error}", group.name);
                report.could_not_run(group.name, error.as_ref());
            }
        }
        if lab.stopping.requested() {
            break;
        }
    }
    println!("{report}");
    Ok(report.complete() && !lab.stopping.requested())
}
