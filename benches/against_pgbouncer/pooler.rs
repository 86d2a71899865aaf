//! Starting the two poolers with settings that mean the same, and asking what they cost.

use crate::Result;
use crate::lab::{Lab, USER};
use crate::process::{self, Running, Stopping, log_tail};
use crate::raw_client::RawClient;
use pgotter::cli::ports;
use rustix::process::Signal;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Room for the 5,000 idle clients.
const MAX_CLIENT_CONN: u32 = 6_000;

/// Which pooler, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As Debian builds it, one thread.
    PgBouncer,
    /// With so many workers; None is the default, half the cores.
    PgOtter(Option<u32>),
}

/// A running pooler that answers.
pub struct Pooler {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    process: Running,
}

impl Pooler {
    /// Starts one with `pool_size` servers at most and everything else as it comes.
    pub fn start(lab: &Lab, kind: Kind, pool_size: u32) -> Result<Pooler> {
        let folder = lab.new_folder("pooler")?;
        let (port, server_port) = (ports::free_port(), lab.postgres.port());
        let state = lab.postgres.state();
        state.write(&folder.join("userlist.txt"), &format!("\"{USER}\" \"\"\n"))?;
        let (program, config, text) = match kind {
            Kind::PgBouncer => (&lab.pgbouncer, "pgbouncer.ini", pgbouncer_ini(server_port, port, pool_size)),
            Kind::PgOtter(workers) => (&lab.pgotter, "pooler.toml", pooler_toml(server_port, port, pool_size, workers)),
        };
        let config = folder.join(config);
        state.write(&config, &text)?;
        let log = folder.join("log");
        let mut command = lab.command(program, &folder, &log)?;
        if kind != Kind::PgBouncer {
            command.args(["run", "-c"]);
        }
        command.arg(&config);
        let mut process = Running::start(&mut command, Signal::TERM)?;
        wait_until_it_answers(&mut process, port, &log, &lab.stopping)?;
        Ok(Pooler { port, process })
    }

    /// CPU seconds used so far, all threads.
    pub fn cpu_seconds(&self) -> Result<f64> {
        process::cpu_seconds(self.process.pid())
    }

    /// Resident memory now, in KiB.
    pub fn resident_kib(&self) -> Result<f64> {
        process::resident_kib(self.process.pid())
    }

    /// The most resident memory while `work` runs, in KiB.
    pub fn peak_resident_kib(&self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        process::peak_resident_kib(self.process.pid(), work)
    }
}

/// Waits until one can log in at `port`. Fails when the process ends or 15 s have passed.
fn wait_until_it_answers(process: &mut Running, port: u16, log: &Path, stopping: &Stopping) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let Err(error) = RawClient::connect(port) else { return Ok(()) };
        if process.ended() || Instant::now() > deadline || stopping.requested() {
            return Err(format!("nothing answers on port {port} ({error}); its log ends:\n{}", log_tail(log)).into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn pgbouncer_ini(server_port: u16, port: u16, pool_size: u32) -> String {
    format!(
        "[databases]\n\
         * = host=127.0.0.1 port={server_port}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = trust\n\
         auth_file = userlist.txt\n\
         pool_mode = transaction\n\
         default_pool_size = {pool_size}\n\
         max_client_conn = {MAX_CLIENT_CONN}\n\
         log_connections = 0\n\
         log_disconnections = 0\n"
    )
}

fn pooler_toml(server_port: u16, port: u16, pool_size: u32, workers: Option<u32>) -> String {
    format!(
        "[pooler]\n\
         workers = {}\n\
         listen_addr = \"127.0.0.1\"\n\
         listen_port = {port}\n\
         auth_type = \"trust\"\n\
         auth_file = \"userlist.txt\"\n\
         pool_mode = \"transaction\"\n\
         default_pool_size = {pool_size}\n\
         max_client_conn = {MAX_CLIENT_CONN}\n\
         log_connections = false\n\
         log_disconnections = false\n\
         [databases.\"*\"]\n\
         hosts = [\"127.0.0.1:{server_port}\"]\n\
         [http]\n\
         listen = \"\"\n",
        workers.unwrap_or(0)
    )
}
