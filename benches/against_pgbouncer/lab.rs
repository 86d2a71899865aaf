//! What one run needs: a loaded PostgreSQL, and the programs. Everything is gone when it is dropped, or its process
//! ends in any other way: `pgotter::cli::local_postgres` tells how.

use crate::Result;
use crate::identity::Identity;
use crate::options::Options;
use crate::pgbench;
use crate::pooler::{Kind, Pooler};
use crate::process::{self, Stopping};
use pgotter::cli::local_postgres::{self, LocalPostgres};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user of every connection.
pub const USER: &str = local_postgres::SUPERUSER;
/// The database that is measured.
pub const DATABASE: &str = "postgres";

/// Besides what every throw-away cluster has, such as `fsync = off`: room for the tables.
pub const SETTINGS: [&str; 3] = [
    "synchronous_commit = off",
    "shared_buffers = '256MB'",
    // Nothing is written while we measure; a background worker would only be noise.
    "autovacuum = off",
];

/// Why there is nothing to measure. What `cargo bench` builds has tokio's test clock in it, which costs some 4 % of the instructions.
const NOT_NAMED: &str = "PGOTTER= must name the program to measure; `make bench` does it";

/// The place where the measuring is done.
pub struct Lab {
    /// What was asked for.
    pub options: Options,
    /// Loaded with `pgbench -i -s 10`.
    pub postgres: LocalPostgres,
    /// PostgreSQL's load generator.
    pub pgbench: PathBuf,
    /// The one to compare with.
    pub pgbouncer: PathBuf,
    /// The one under test: a copy, so that a build meanwhile changes nothing.
    pub pgotter: PathBuf,
    /// The poolers' certificate, the clients' password.
    pub identity: Identity,
    /// Whether to stop.
    pub stopping: Stopping,
}

impl Lab {
    /// Finds the programs, starts and loads PostgreSQL.
    pub fn set_up(options: Options) -> Result<Lab> {
        let stopping = Stopping::watch()?;
        let pgbouncer = process::find_program("PGBOUNCER", "pgbouncer", &["/usr/sbin"])?;
        let built = std::env::var_os("PGOTTER").map(PathBuf::from).ok_or(NOT_NAMED)?;
        let settings = SETTINGS.map(str::to_owned).to_vec();
        let postgres = LocalPostgres::primary(&local_postgres::Options {
            max_connections: 200,
            settings,
            ..local_postgres::Options::default()
        })?;
        let state = postgres.state();
        let pgbench = state.programs.client_program("pgbench")?;
        let pgotter = state.path().join("pgotter");
        fs::copy(&built, &pgotter).map_err(|e| format!("copy {}: {e}", built.display()))?;
        state.run_as.give(&pgotter)?;
        let identity = Identity::new()?;
        let lab = Lab { options, postgres, pgbench, pgbouncer, pgotter, identity, stopping };
        lab.go_on()?;
        pgbench::load_tables(&lab, lab.postgres.port())?;
        Ok(lab)
    }

    /// A new folder of the user the servers run as, which goes with the lab.
    pub fn new_folder(&self, name: &str) -> Result<PathBuf> {
        Ok(self.postgres.state().new_folder(name)?)
    }

    /// A command that will run as that user, in `folder`, in English, with nothing of our environment but PATH, and with
    /// its output in `log`.
    pub fn command(&self, program: &Path, folder: &Path, log: &Path) -> Result<Command> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        self.postgres.state().adopt(&mut command).current_dir(folder).stdout(output.try_clone()?).stderr(output);
        Ok(command)
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
            first_line(&self.postgres.state().programs.bin.join("postgres")),
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
