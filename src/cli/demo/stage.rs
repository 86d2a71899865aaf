//! What the demo plays on: three servers, the data, PgOtter. Blocking.

use super::load::{self, Target};
use super::report::say;
use crate::cli::local_postgres::{Error, HostAuth, LocalPostgres, Options, StateDir};
use crate::cli::pooler_process::PoolerProcess;
use crate::cli::ports;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const WORKLOAD: &str = include_str!("../../../tests/workload/workload.sql");
const DATABASE: &str = "demo";
/// Owns the database and nothing else, and logs in without a password: whoever can reach the port must not become
/// superuser, and with it (COPY … TO PROGRAM) the user who runs the demo.
const USER: &str = "otter";
/// Where applications expect PgOtter.
const PORT: u16 = 6432;
/// Where Prometheus expects it.
const HTTP_PORT: u16 = 9127;

/// Fields are dropped in this order: PgOtter, replicas, primary, files.
pub(super) struct Stage {
    pub(super) pooler: PoolerProcess,
    pub(super) replicas: Vec<LocalPostgres>,
    pub(super) primary: LocalPostgres,
    pub(super) target: Target,
    http_port: u16,
    pub(super) state: Arc<StateDir>,
}

impl Stage {
    /// Takes a few seconds. `None`: `unwanted` became true on the way.
    pub(super) fn set_up(unwanted: &AtomicBool) -> Result<Option<Self>, Error> {
        let go_on = || !unwanted.load(Ordering::Relaxed);
        let hba = vec![format!("host {DATABASE} {USER} 127.0.0.1/32 trust")];
        say("starting a primary and two streaming replicas …");
        let mut primary = LocalPostgres::primary(&Options { auth: HostAuth::Reject, hba, ..Options::default() })?;
        let state = Arc::clone(primary.state());
        let mut replicas = Vec::new();
        while replicas.len() < 2 && go_on() {
            replicas.push(primary.replica()?);
        }
        if !go_on() {
            return Ok(None);
        }
        say("loading the workload's tables …");
        load_workload(&primary, &state)?;
        primary.wait_for_replicas(replicas.len())?;
        if !go_on() {
            return Ok(None);
        }
        let (pooler, http_port) = start_pooler(&state, &primary, &replicas)?;
        let target = Target { port: pooler.port(), user: USER.to_owned(), database: DATABASE.to_owned() };
        Ok(Some(Self { pooler, replicas, primary, target, http_port, state }))
    }

    /// Addresses, and what to try.
    pub(super) fn announce(&self) {
        let (port, http_port) = (self.pooler.port(), self.http_port);
        let replicas: Vec<_> = self.replicas.iter().map(|replica| format!("127.0.0.1:{}", replica.port())).collect();
        say(&format!(
            "\n  PgOtter   127.0.0.1:{port}\n  metrics   http://127.0.0.1:{http_port}/metrics\n  primary   127.0.0.1:{}\n  replicas  {}\n\n  \
             try:      psql -h 127.0.0.1 -p {port} -U {USER} {DATABASE}\n  stop:     Ctrl-C\n\n\
             {} clients: reads, writes, a queue with SKIP LOCKED, a quota, a slow query\n",
            self.primary.port(),
            replicas.join(", "),
            load::clients(),
        ));
    }
}

/// Straight to the primary: what it creates is the demo user's own.
fn load_workload(primary: &LocalPostgres, state: &StateDir) -> Result<(), Error> {
    primary.psql("postgres", &format!("CREATE ROLE {USER} LOGIN"))?;
    primary.psql("postgres", &format!("CREATE DATABASE {DATABASE} OWNER {USER}"))?;
    let file = state.path().join("workload.sql");
    state.write(&file, &format!("SET ROLE {USER};\n{WORKLOAD}"))?;
    primary.psql_file(DATABASE, &file)
}

fn start_pooler(
    state: &Arc<StateDir>,
    primary: &LocalPostgres,
    replicas: &[LocalPostgres],
) -> Result<(PoolerProcess, u16), Error> {
    let (port, http_port) = (free_from(PORT), free_from(HTTP_PORT));
    let program = env::current_exe().map_err(Error::io("find pgotter"))?;
    let config = config(port, http_port, primary, replicas);
    Ok((PoolerProcess::start(state, &program, &config, port)?, http_port))
}

/// This port or the next one that is free, and a word about it.
fn free_from(wanted: u16) -> u16 {
    let (port, in_the_way) = ports::free_from(wanted);
    if let Some(holder) = in_the_way {
        say(&format!("port {wanted} is taken by {holder}; using {port}"));
    }
    port
}

/// A pooler.toml a user could have written.
fn config(port: u16, http_port: u16, primary: &LocalPostgres, replicas: &[LocalPostgres]) -> String {
    let host = |server: &LocalPostgres, role: &str| {
        format!("    {{ host = \"{}\", port = {}, role = \"{role}\" }},\n", server.host(), server.port())
    };
    let mut hosts = host(primary, "primary");
    hosts.extend(replicas.iter().map(|replica| host(replica, "replica")));
    format!(
        "[pooler]\nlisten_addr = \"127.0.0.1\"\nlisten_port = {port}\npool_mode = \"transaction\"\n\
         default_pool_size = 10\nauth_type = \"trust\"\n\n\
         [databases.{DATABASE}]\ndbname = \"{DATABASE}\"\nhosts = [\n{hosts}]\n\n[users.{USER}]\n\n[http]\nlisten = \"127.0.0.1:{http_port}\"\n"
    )
}
