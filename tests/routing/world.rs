//! A primary and two replicas that can be told apart, and a PgOtter in front of them.

use crate::support::raw::{Raw, error_code};
use crate::support::waiting::reload_with;
use crate::support::{PgOtter, must, postgres};
use pgotter::cli::local_postgres::{LocalPostgres, Options, SUPERUSER, SUPERUSER_PASSWORD};
use pgotter::cli::ports;
use std::io::{Read, Write};

pub use crate::support::waiting::eventually;

/// A read that says where it runs.
pub const WHERE: &str = "SELECT current_setting('otter.host')";

pub const PRIMARY: &str = "primary";
pub const REPLICAS: [&str; 2] = ["replica 1", "replica 2"];

/// The servers, and a pooler that knows them.
pub struct World {
    pub primary: LocalPostgres,
    pub replicas: Vec<LocalPostgres>,
    pub pgotter: PgOtter,
    http: u16,
    rest: String,
}

impl World {
    /// Reads go to replicas. `routing` are further lines for `[routing]`.
    pub fn new(routing: &str) -> Self {
        Self::with("mode = \"split\"", routing)
    }

    /// As [`Self::new`], in another mode.
    pub fn with(mode: &str, routing: &str) -> Self {
        Self::started(mode, routing, &[], |primary| primary)
    }

    /// As [`Self::with`], with variables in the pooler's environment; it reaches the primary by what `way` makes of its port.
    pub fn started(mode: &str, routing: &str, environment: &[(&str, &str)], way: fn(u16) -> u16) -> Self {
        let settings = vec!["otter.host = 'primary'".to_owned(), "log_statement = 'all'".to_owned()];
        let mut primary = postgres(&Options { max_connections: 200, settings, ..Options::default() });
        let replicas = REPLICAS.map(|name| must(primary.replica_with(&format!("otter.host = '{name}'"))));
        must(primary.wait_for_replicas(2));
        let replicas = Vec::from(replicas);
        let http = ports::free_port();
        let rest = format!("[routing]\n{mode}\n{routing}\n[http]\nlisten = \"127.0.0.1:{http}\"");
        let hosts: Vec<_> = replicas.iter().map(LocalPostgres::port).chain([way(primary.port())]).collect();
        let pgotter = PgOtter::start_with(|port| config(port, &hosts, &rest), environment);
        let world = Self { primary, replicas, pgotter, http, rest };
        world.until_reads_run_on_replicas();
        world
    }

    fn hosts(&self, replicas: &[usize]) -> Vec<u16> {
        replicas.iter().map(|at| self.replicas[*at].port()).chain([self.primary.port()]).collect()
    }

    /// Has the pooler know these hosts alone, of the primary and, by their numbers, the replicas.
    pub fn reload(&mut self, replicas: &[usize]) {
        let hosts = self.hosts(replicas);
        let text = config(self.pgotter.port(), &hosts, &self.rest);
        assert!(reload_with(&mut self.pgotter, &text), "{}", self.pgotter.log());
    }

    /// Has the pooler's configuration say something else.
    pub fn reconfigure(&mut self, before: &str, now: &str) {
        assert!(self.rest.contains(before));
        self.rest = self.rest.replace(before, now);
        self.reload(&[0, 1]);
    }

    /// Another pooler in front of the same hosts, for a database `shop` with aliases.
    pub fn shop(&self) -> PgOtter {
        let hosts = self.hosts(&[0, 1]);
        let rest = "[routing]\nmode = \"split\"\n[http]\nlisten = \"\"";
        PgOtter::start(|port| {
            let text = config(port, &hosts, rest);
            text.replace("[databases.\"*\"]", "[databases.shop]\ndbname = \"postgres\"\naliases = true")
        })
    }

    /// Another pooler in front of the same hosts.
    pub fn another(&self) -> PgOtter {
        self.another_with("")
    }

    /// The same with further lines for `[pooler]`.
    pub fn another_with(&self, pooler: &str) -> PgOtter {
        let hosts = self.hosts(&[0, 1]);
        let rest = "[routing]\nmode = \"split\"\n[http]\nlisten = \"\"";
        PgOtter::start(|port| config(port, &hosts, rest).replace("[pooler]", &format!("[pooler]\n{pooler}")))
    }

    pub fn client(&self) -> Raw {
        Raw::log_in(self.pgotter.port(), &[])
    }

    /// Directly on the primary, past the pooler.
    pub fn on_primary(&self, sql: &str) -> String {
        must(self.primary.psql("postgres", sql))
    }

    /// Defines and fills something, through the pooler, which learns of it; and waits until reads of it run on replicas.
    pub fn define(&self, table: &str, rest: &str) {
        let mut client = self.client();
        assert_eq!(error_code(&client.ask(&format!("CREATE TABLE {table};{rest}"))), None);
        let name = table.split(' ').next().unwrap_or_default();
        let read = format!("SELECT current_setting('otter.host') FROM (SELECT count(*) FROM {name}) AS counted");
        let mut reader = self.client();
        eventually("it is known and replayed", || reader.value(&read) != PRIMARY);
        self.until_replayed();
    }

    /// Waits until the replicas have replayed all that there is.
    pub fn until_replayed(&self) {
        must(self.primary.wait_for_replicas(2));
    }

    /// Has both replicas stand still, or go on.
    pub fn pause_replay(&self, paused: bool) {
        let (what, state) = if paused { ("pause", "paused") } else { ("resume", "not paused") };
        for replica in &self.replicas {
            must(replica.psql("postgres", &format!("SELECT pg_wal_replay_{what}()")));
            must(replica.wait_until("postgres", &format!("SELECT pg_get_wal_replay_pause_state() = '{state}'")));
        }
    }

    /// Has both replicas stand still and lack a column `b` of the table `t`, which holds 'new' on the primary.
    pub fn run_ahead(&self) {
        self.pause_replay(true);
        self.on_primary("ALTER TABLE t ADD COLUMN b text DEFAULT 'new'");
    }

    /// What the console counts of decisions with this reason.
    pub fn decisions(&self, role: &str, reason: &str) -> u64 {
        let rows = self.console("SHOW ROUTES");
        let prefix = format!("postgres|{role}|{reason}|");
        rows.lines().find_map(|row| row.strip_prefix(&prefix)?.split('|').next()?.parse().ok()).unwrap_or(0)
    }

    /// What the console answers, with `|` between columns.
    pub fn console(&self, command: &str) -> String {
        let login = ["-h", "127.0.0.1", "-U", SUPERUSER, "-At", "-F", "|", "-d", "pgotter", "-c", command];
        crate::support::client_output("psql", self.pgotter.port(), &login)
    }

    /// What /metrics counts of requests that were run again for this reason.
    pub fn retries(&self, reason: &str) -> u64 {
        self.metric(&format!("pgotter_routing_retries_total{{database=\"postgres\",reason=\"{reason}\"}}"))
    }

    /// A sample of /metrics; 0: it is not there.
    pub fn metric(&self, sample: &str) -> u64 {
        metric(self.http, sample)
    }

    fn until_reads_run_on_replicas(&self) {
        let mut client = self.client();
        let before = || self.decisions("replica", "read");
        eventually("reads are for replicas", || {
            let counted = before();
            // Where replicas are required it is refused until they are known.
            let refused = error_code(&client.ask(WHERE)).is_some();
            !refused && before() > counted
        });
    }
}

/// `hosts` are ports; `rest` are further sections.
fn config(port: u16, hosts: &[u16], rest: &str) -> String {
    let hosts: Vec<_> = hosts.iter().map(|host| format!("\"127.0.0.1:{host}\"")).collect();
    format!(
        "[pooler]\nlisten_port = {port}\nauth_type = \"trust\"\nadmin_users = [\"{SUPERUSER}\"]\n[databases.\"*\"]\n\
         hosts = [{}]\n[users.{SUPERUSER}]\npassword = \"{SUPERUSER_PASSWORD}\"\n{rest}\n",
        hosts.join(", ")
    )
}

/// What /metrics on this port says of a sample; 0: nothing.
pub fn metric(http: u16, sample: &str) -> u64 {
    let mut http = std::net::TcpStream::connect(("127.0.0.1", http)).unwrap();
    http.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    http.read_to_string(&mut text).unwrap();
    text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok()).unwrap_or(0)
}
