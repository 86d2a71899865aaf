//! Starting the two poolers with settings that mean the same, and asking what they cost.

use crate::Result;
use crate::identity::Identity;
use crate::lab::{Lab, USER};
use crate::process::{self, Running, Stopping, log_tail};
use crate::raw_login::Entrance;
use pgotter::cli::ports;
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;
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

/// What both poolers are told; everything else is as it comes.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Servers at most.
    pub pool_size: u32,
    /// Whether clients get TLS, and [`Pooler::entrance`] asks for it.
    pub tls: bool,
    /// Whether they prove themselves by SCRAM, instead of trust.
    pub scram: bool,
    /// `client_login_timeout` in seconds; None is each pooler's default.
    pub login_timeout: Option<u64>,
    /// PgBouncer runs in session mode, with so many servers.
    pub pgbouncer_sessions: Option<u32>,
    /// `reserve_pool_size`: servers beyond those, for clients that have waited for long.
    pub reserve: u32,
    /// Whether PgOtter serves [`Pooler::http`].
    pub http: bool,
}

impl Setup {
    /// So many servers, trust, no TLS.
    pub const fn plain(pool_size: u32) -> Setup {
        Setup {
            pool_size,
            tls: false,
            scram: false,
            login_timeout: None,
            pgbouncer_sessions: None,
            reserve: 0,
            http: false,
        }
    }
}

/// A running pooler that answers.
pub struct Pooler {
    /// Where clients come in, and how.
    pub entrance: Entrance,
    /// Where PgOtter serves `/metrics`, on 127.0.0.1, if it was asked to.
    pub http: Option<u16>,
    kind: Kind,
    process: Running,
}

impl Pooler {
    /// Starts one.
    pub fn start(lab: &Lab, kind: Kind, setup: Setup) -> Result<Pooler> {
        Self::in_front_of(lab, kind, setup, &[lab.postgres.port()])
    }

    /// As [`Self::start`], in front of others than the lab's own PostgreSQL. Of several, reads go to replicas; PgBouncer knows the first.
    pub fn in_front_of(lab: &Lab, kind: Kind, setup: Setup, servers: &[u16]) -> Result<Pooler> {
        let program = if kind == Kind::PgBouncer { &lab.pgbouncer } else { &lab.pgotter };
        Self::run_by(lab, kind, setup, servers, |folder, log| lab.command(program, folder, log))
    }

    /// As [`Self::in_front_of`], by a command that gets a folder of its own and a log, and the pooler's arguments behind its own.
    pub fn run_by(
        lab: &Lab,
        kind: Kind,
        setup: Setup,
        servers: &[u16],
        command: impl FnOnce(&Path, &Path) -> Result<Command>,
    ) -> Result<Pooler> {
        let folder = lab.new_folder("pooler")?;
        let port = ports::free_port();
        let state = lab.postgres.state();
        let identity = &lab.identity;
        let secret = if setup.scram { identity.verifier.as_str() } else { "" };
        state.write(&folder.join("userlist.txt"), &format!("\"{USER}\" \"{secret}\"\n"))?;
        state.write(&folder.join("tls.crt"), &identity.certificate)?;
        state.write(&folder.join("tls.key"), &identity.key)?;
        let http = (setup.http && kind != Kind::PgBouncer).then(ports::free_port);
        let (config, text) = match kind {
            Kind::PgBouncer => ("pgbouncer.ini", pgbouncer_ini(servers[0], port, setup)),
            Kind::PgOtter(workers) => ("pooler.toml", pooler_toml(servers, [port, http.unwrap_or(0)], setup, workers)),
        };
        let config = folder.join(config);
        state.write(&config, &text)?;
        let log = folder.join("log");
        let mut command = command(&folder, &log)?;
        if kind != Kind::PgBouncer {
            command.args(["run", "-c"]);
        }
        command.arg(&config);
        let mut process = Running::start(&mut command, Signal::TERM)?;
        let entrance = entrance(identity, port, setup);
        wait_until_it_answers(&mut process, &entrance, &log, &lab.stopping)?;
        Ok(Pooler { entrance, http, kind, process })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Not PgBouncer.
    pub fn is_pgotter(&self) -> bool {
        self.kind != Kind::PgBouncer
    }

    /// Files and sockets it has open.
    pub fn descriptors(&self) -> Result<usize> {
        process::descriptors(self.process.pid())
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

fn entrance(identity: &Identity, port: u16, setup: Setup) -> Entrance {
    Entrance {
        port,
        tls: setup.tls.then(|| identity.trusted.clone()),
        keys: setup.scram.then(|| identity.keys.clone()),
    }
}

/// Waits until one can log in. Fails when the process ends or 15 s have passed.
fn wait_until_it_answers(process: &mut Running, entrance: &Entrance, log: &Path, stopping: &Stopping) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let Err(error) = entrance.log_in() else { return Ok(()) };
        if process.ended() || Instant::now() > deadline || stopping.requested() {
            let port = entrance.port;
            return Err(format!("nothing answers on port {port} ({error}); its log ends:\n{}", log_tail(log)).into());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn pgbouncer_ini(server_port: u16, port: u16, setup: Setup) -> String {
    let Setup { tls, scram, login_timeout, .. } = setup;
    let pool_mode = if setup.pgbouncer_sessions.is_some() { "session" } else { "transaction" };
    let pool_size = setup.pgbouncer_sessions.unwrap_or(setup.pool_size);
    let mut text = format!(
        "[databases]\n\
         * = host=127.0.0.1 port={server_port}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = {}\n\
         auth_file = userlist.txt\n\
         pool_mode = {pool_mode}\n\
         default_pool_size = {pool_size}\n\
         max_client_conn = {MAX_CLIENT_CONN}\n\
         log_connections = 0\n\
         log_disconnections = 0\n\
         ignore_startup_parameters = search_path\n",
        auth_type(scram)
    );
    if setup.reserve > 0 {
        text += &format!("reserve_pool_size = {}\n", setup.reserve);
    }
    if tls {
        text += "client_tls_sslmode = allow\nclient_tls_cert_file = tls.crt\nclient_tls_key_file = tls.key\n";
    }
    if let Some(seconds) = login_timeout {
        text += &format!("client_login_timeout = {seconds}\nlog_pooler_errors = 0\n");
    }
    text
}

/// `ports`: of clients, and of HTTP; 0 is none.
fn pooler_toml(servers: &[u16], [port, http]: [u16; 2], setup: Setup, workers: Option<u32>) -> String {
    let Setup { pool_size, tls, scram, login_timeout, .. } = setup;
    let mut text = format!(
        "[pooler]\n\
         workers = {}\n\
         listen_addr = \"127.0.0.1\"\n\
         listen_port = {port}\n\
         auth_type = \"{}\"\n\
         auth_file = \"userlist.txt\"\n\
         pool_mode = \"transaction\"\n\
         default_pool_size = {pool_size}\n\
         max_client_conn = {MAX_CLIENT_CONN}\n\
         log_connections = false\n\
         log_disconnections = false\n",
        workers.unwrap_or(0),
        auth_type(scram)
    );
    if tls {
        text += "client_tls_sslmode = \"allow\"\n\
                 client_tls_cert_file = \"tls.crt\"\n\
                 client_tls_key_file = \"tls.key\"\n";
    }
    if let Some(seconds) = login_timeout {
        text += &format!("client_login_timeout = {seconds}\nlog_pooler_errors = false\n");
    }
    if setup.reserve > 0 {
        text += &format!("reserve_pool_size = {}\n", setup.reserve);
    }
    let listen = if http == 0 { String::new() } else { format!("127.0.0.1:{http}") };
    let hosts: Vec<_> = servers.iter().map(|server| format!("\"127.0.0.1:{server}\"")).collect();
    text += &format!("[databases.\"*\"]\nhosts = [{}]\n[http]\nlisten = \"{listen}\"\n", hosts.join(", "));
    if servers.len() > 1 {
        text += "[routing]\nmode = \"split\"\n";
    }
    text
}

fn auth_type(scram: bool) -> &'static str {
    if scram { "scram-sha-256" } else { "trust" }
}
