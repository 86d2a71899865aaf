//! The rows about splitting: what it costs to decide for every read, beside the same PgOtter in front of one host. PgBouncer has no part in
//! them: in its column stands the one host.

use crate::Result;
use crate::lab::{DATABASE, Lab, SETTINGS};
use crate::pgbench;
use crate::pooler::{Kind, Pooler, Setup};
use crate::report::{Bar, Row};
use crate::rows::{POOL_SIZE, Variant, cpu_per_transaction, full_speed, rows, warm_up};
use pgotter::cli::local_postgres::{LocalPostgres, Options};
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: u32 = 64;

/// What has not happened by then never will; PostgreSQL tells of what it counts a second late.
const PATIENCE: Duration = Duration::from_secs(10);

/// `pgbench -S` through a PgOtter that knows one host, and through one that knows its two replicas as well.
pub fn routing(lab: &Lab) -> Result<Vec<Row>> {
    if lab.options.self_check {
        return Err("PgBouncer does not route".into());
    }
    let hosts = Hosts::start(lab)?;
    let ports = hosts.ports();
    let start = |ports: &[u16], servers| Pooler::in_front_of(lab, Kind::PgOtter(None), Setup::plain(servers), ports);
    // As it comes a replica has as many servers as the one host, and both together twice as many.
    let poolers = [start(&ports[..1], POOL_SIZE)?, start(&ports, POOL_SIZE)?, start(&ports, POOL_SIZE / 2)?];
    let variants =
        |bar| ["20 servers on each", "10 servers on each"].map(|label| Variant { label, workers: None, bar });
    warm_up(lab, &poolers)?;
    let share = hosts.share_of_replicas(lab, &poolers[1])?;
    let what = "share of reads that replicas have run".to_owned();
    let mut table = vec![Row { what, unit: "", bar: Bar::AtLeast(0.9), candidate: vec![share], pgbouncer: vec![0.0] }];
    for protocol in ["simple", "extended", "prepared"] {
        let values = cpu_per_transaction(lab, &poolers, protocol, CLIENTS)?;
        let what = format!("CPU per transaction, {protocol}, {CLIENTS} clients: split over three hosts / one host");
        table.extend(rows(&what, "µs", &variants(Bar::RatioAtMost(1.1)), values));
    }
    let values = lab
        .alternate(&poolers, lab.options.pairs, |pooler| Ok(full_speed(lab, pooler, "simple", CLIENTS)?.per_second))?;
    let what = format!("throughput of reads, simple, {CLIENTS} clients: split over three hosts / one host");
    table.extend(rows(&what, "tps", &variants(Bar::None), values));
    Ok(table)
}

/// Loaded as the lab's own PostgreSQL.
struct Hosts {
    replicas: Vec<LocalPostgres>,
    primary: LocalPostgres,
}

impl Hosts {
    fn start(lab: &Lab) -> Result<Self> {
        let settings = SETTINGS.map(str::to_owned).to_vec();
        let mut primary = LocalPostgres::primary(&Options { max_connections: 200, settings, ..Options::default() })?;
        pgbench::load_tables(lab, primary.port())?;
        let replicas = (0..2).map(|_| primary.replica()).collect::<std::result::Result<_, _>>()?;
        primary.wait_for_replicas(2)?;
        Ok(Self { replicas, primary })
    }

    /// The primary's first.
    fn ports(&self) -> Vec<u16> {
        [&self.primary].into_iter().chain(&self.replicas).map(LocalPostgres::port).collect()
    }

    fn commits_on_replicas(&self) -> Result<f64> {
        let sql = format!("SELECT xact_commit FROM pg_stat_database WHERE datname = '{DATABASE}'");
        let each = self.replicas.iter().map(|replica| Ok(replica.psql(DATABASE, &sql)?.parse::<f64>()?));
        each.sum()
    }

    /// Of one run.
    fn share_of_replicas(&self, lab: &Lab, pooler: &Pooler) -> Result<f64> {
        // What was run before is told a second late, too.
        thread::sleep(Duration::from_secs(2));
        let before = self.commits_on_replicas()?;
        let outcome = full_speed(lab, pooler, "simple", CLIENTS)?;
        let since = Instant::now();
        loop {
            let share = (self.commits_on_replicas()? - before) / outcome.transactions;
            if share > 0.99 || since.elapsed() > PATIENCE {
                // Our own questions are among them.
                return Ok(share.min(1.0));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}
