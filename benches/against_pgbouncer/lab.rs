//! What one run needs: a folder, a loaded PostgreSQL, the programs. Everything is gone when it is dropped.

use crate::Result;
use crate::local_postgres::{self, LocalPostgres, RunAs};
use crate::options::Options;
use crate::pgbench;
use crate::pooler::{Kind, Pooler};
use crate::process::{self, Stopping};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The place where the measuring is done.
pub struct Lab {
    /// What was asked for.
    pub options: Options,
    /// Loaded with `pgbench -i -s 10`. Fields drop in order: the server before its folder.
    pub postgres: LocalPostgres,
    /// PostgreSQL's programs.
    pub bin: PathBuf,
    /// The one to compare with.
    pub pgbouncer: PathBuf,
    /// The one under test: a copy, so that a build meanwhile changes nothing.
    pub pgotter: PathBuf,
    /// Whom all of them run as.
    pub run_as: RunAs,
    /// Whether to stop.
    pub stopping: Stopping,
    folder: TempDir,
}

impl Lab {
    /// Finds the programs, starts and loads PostgreSQL.
    pub fn set_up(options: Options) -> Result<Lab> {
        let stopping = Stopping::watch()?;
        let run_as = RunAs::detect()?;
        let bin = local_postgres::find_bin()?;
        let pgbouncer = process::find_program("PGBOUNCER", "pgbouncer", &["/usr/sbin"])?;
        let built = std::env::var_os("PGOTTER").unwrap_or_else(|| env!("CARGO_BIN_EXE_pgotter").into());
        let folder = tempfile::Builder::new().prefix("pgotter-bench-").tempdir()?;
        run_as.own(folder.path())?;
        let pgotter = folder.path().join("pgotter");
        fs::copy(&built, &pgotter).map_err(|e| format!("copy {}: {e}", built.display()))?;
        run_as.own(&pgotter)?;
        let postgres = LocalPostgres::start(run_as, &bin, folder.path(), &stopping)?;
        let lab = Lab { options, postgres, bin, pgbouncer, pgotter, run_as, stopping, folder };
        pgbench::load_tables(&lab)?;
        Ok(lab)
    }

    /// A new folder inside ours, of the user the servers run as.
    pub fn new_folder(&self, prefix: &str) -> Result<PathBuf> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(self.folder.path())?.keep();
        self.run_as.own(&folder)?;
        Ok(folder)
    }

    /// What is compared with PgBouncer: PgOtter with so many workers, or PgBouncer again.
    pub fn candidate(&self, workers: Option<u32>) -> Kind {
        if self.options.self_check { Kind::PgBouncer } else { Kind::PgOtter(workers) }
    }

    /// Its name.
    pub fn candidate_name(&self) -> &'static str {
        if self.options.self_check { "PgBouncer again" } else { "PgOtter" }
    }

    /// Measures every pooler in turn, A B C A B C …, `rounds` times. `results[pooler][round]`.
    pub fn alternate<T>(
        &self,
        poolers: &[Pooler],
        rounds: usize,
        mut measure: impl FnMut(&Pooler) -> Result<T>,
    ) -> Result<Vec<Vec<T>>> {
        let mut results: Vec<Vec<T>> = poolers.iter().map(|_| Vec::with_capacity(rounds)).collect();
        for _ in 0..rounds {
            for (pooler, result) in poolers.iter().zip(&mut results) {
                self.go_on()?;
                result.push(measure(pooler)?);
            }
            eprint!(".");
        }
        eprintln!();
        Ok(results)
    }

    /// An error once a signal asked us to stop.
    pub fn go_on(&self) -> Result<()> {
        if self.stopping.requested() { Err("interrupted".into()) } else { Ok(()) }
    }

    /// Versions of all that was measured, and the machine.
    pub fn description(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        format!(
            "{} · {} · {} · {cores} cores, Linux {} · {} pairs of {} s",
            first_line(&self.pgotter),
            first_line(&self.pgbouncer),
            first_line(&self.bin.join("postgres")),
            kernel.trim(),
            self.options.pairs,
            self.options.seconds
        )
    }
}

/// The first line a program prints for `--version`.
fn first_line(program: &Path) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    match Command::new(program).arg("--version").output() {
        Ok(output) => match String::from_utf8_lossy(&output.stdout).lines().next() {
            Some(line) => line.to_owned(),
            None => format!("{name} (prints no version)"),
        },
        Err(error) => format!("{name} ({error})"),
    }
}
