//! Starting the two poolers with settings that mean the same, and asking what they cost.

use crate::Result;
use crate::lab::Lab;
use crate::local_postgres::{self, USER};
use crate::process::{self, Running};
use rustix::process::Signal;
use std::fs;
use std::path::Path;

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
        let port = local_postgres::free_port()?;
        let users = folder.join("userlist.txt");
        write(lab, &users, &format!("\"{USER}\" \"\"\n"))?;
        let (program, config, text) = match kind {
            Kind::PgBouncer => (&lab.pgbouncer, "pgbouncer.ini", pgbouncer_ini(lab.postgres.port, port, pool_size)),
            Kind::PgOtter(workers) => {
                (&lab.pgotter, "pooler.toml", pooler_toml(lab.postgres.port, port, pool_size, workers))
            }
        };
        let config = folder.join(config);
        write(lab, &config, &text)?;
        let log = folder.join("log");
        let mut command = lab.run_as.command(program, &folder, &log)?;
        if kind != Kind::PgBouncer {
            command.args(["run", "-c"]);
        }
        command.arg(&config);
        let mut process = Running::start(&mut command, Signal::TERM)?;
        local_postgres::wait_until_it_answers(&mut process, port, &log, &lab.stopping)?;
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

fn write(lab: &Lab, path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    lab.run_as.own(path)
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
         hosts = [\"127.0.0.1:{server_port}\"]\n",
        workers.unwrap_or(0)
    )
}
