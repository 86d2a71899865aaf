//! What is measured, group by group, with the bars. Those about memory are in `memory_rows.rs`, those about logging in and
//! TLS in `secure_rows.rs`, about prepared statements in `prepared_rows.rs`, about connections that never log in in
//! `half_open_rows.rs`, about settings in `settings_rows.rs`, about replicas in `routing_rows.rs`,
//! about what measuring costs in `insight_rows.rs`, about a platform's own rates in `flowtrack_rows.rs`.

use crate::Result;
use crate::flowtrack_rows;
use crate::half_open_rows;
use crate::insight_rows;
use crate::lab::Lab;
use crate::memory_rows;
use crate::pgbench::{self, Load, Outcome, Script};
use crate::pooler::{Kind, Pooler, Setup};
use crate::prepared_rows;
use crate::report::{Bar, Row};
use crate::routing_rows;
use crate::secure_rows;
use crate::settings_rows;
use crate::statistics::{mean, median, p99};

/// Servers of a pool, except where clients are to wait.
pub const POOL_SIZE: u32 = 20;

/// Rows that are measured together.
pub struct Group {
    /// For `--only`.
    pub name: &'static str,
    /// Shown while it runs.
    pub about: &'static str,
    /// Does it.
    pub measure: fn(&Lab) -> Result<Vec<Row>>,
}

/// All of them, in the order they run.
pub const GROUPS: &[Group] = &[
    Group { name: "cpu", about: "CPU per transaction, pgbench -S, 16 and 64 clients", measure: cpu },
    Group { name: "throughput", about: "transactions a second, pgbench -S, 64 clients", measure: throughput },
    Group { name: "p99", about: "latency at 60 % of PgBouncer's most", measure: latency },
    Group { name: "copy", about: "CPU of 1 GB of COPY TO STDOUT", measure: copy },
    Group { name: "idle", about: "memory of 5,000 idle clients", measure: memory_rows::idle_clients },
    Group { name: "big", about: "memory while 1 GB passes in one message", measure: memory_rows::big_messages },
    Group { name: "tls", about: "CPU per transaction over TLS, pgbench -S, 64 clients", measure: secure_rows::tls },
    Group { name: "logins", about: "CPU per login, and logins a second", measure: secure_rows::logins },
    Group { name: "idle-tls", about: "memory of 5,000 idle clients over TLS", measure: memory_rows::idle_tls_clients },
    Group { name: "half-open", about: "5,000 connections that do not log in", measure: half_open_rows::half_open },
    Group { name: "prepared", about: "CPU per transaction, pgbench -S -M prepared", measure: prepared_rows::prepared },
    Group { name: "statements", about: "memory of 5,000 clients' statements", measure: prepared_rows::memory },
    Group { name: "settings", about: "1,000 clients with settings of their own", measure: settings_rows::settings },
    Group { name: "routing", about: "reads split over a primary and two replicas", measure: routing_rows::routing },
    Group {
        name: "insight",
        about: "what measuring costs: scrapes, and instructions (BEFORE=)",
        measure: insight_rows::insight,
    },
    Group { name: "flowtrack", about: "FlowTrack's rates, 1,000 clients", measure: flowtrack_rows::flowtrack },
    Group { name: "waiters", about: "500 clients on 10 servers", measure: waiters },
];

/// PgOtter as configured for a row, and the row's bar.
pub struct Variant {
    /// Behind the row's name, where there are several.
    pub label: &'static str,
    /// None: the default.
    pub workers: Option<u32>,
    /// See [`Bar`].
    pub bar: Bar,
}

impl Variant {
    /// PgOtter as it comes, the only variant.
    pub const fn default(bar: Bar) -> [Variant; 1] {
        [Variant { label: "", workers: None, bar }]
    }
}

/// PgBouncer first, then the variants; a self-check knows only one variant, as PgBouncer has no workers.
pub fn start(lab: &Lab, variants: &[Variant], setup: Setup) -> Result<Vec<Pooler>> {
    let count = if lab.options.self_check { 1 } else { variants.len() };
    let candidates = variants[..count].iter().map(|variant| lab.candidate(variant.workers));
    std::iter::once(Kind::PgBouncer).chain(candidates).map(|kind| Pooler::start(lab, kind, setup)).collect()
}

/// One row for each variant, from `values[pooler][round]` in the order of [`start`].
pub fn rows(what: &str, unit: &'static str, variants: &[Variant], values: Vec<Vec<f64>>) -> Vec<Row> {
    let mut values = values.into_iter();
    let pgbouncer = values.next().unwrap_or_default();
    let nameless = values.len() == 1;
    let row = |(variant, candidate): (&Variant, Vec<f64>)| Row {
        what: if nameless { what.to_owned() } else { format!("{what}, {}", variant.label) },
        unit,
        bar: variant.bar,
        candidate,
        pgbouncer: pgbouncer.clone(),
    };
    variants.iter().zip(values).map(row).collect()
}

/// `pgbench -S` at full speed for the time asked for.
pub fn full_speed(lab: &Lab, pooler: &Pooler, protocol: &'static str, clients: u32) -> Result<Outcome> {
    let load = Load {
        script: Script::SelectOnly,
        clients,
        protocol,
        seconds: lab.options.seconds,
        rate: None,
        latencies: false,
    };
    pgbench::run(lab, pooler, &load)
}

/// Opens every server of every pool, so that no measured run has to.
pub fn warm_up(lab: &Lab, poolers: &[Pooler]) -> Result<()> {
    let load =
        Load { script: Script::SelectOnly, clients: 64, protocol: "simple", seconds: 1, rate: None, latencies: false };
    poolers.iter().try_for_each(|pooler| pgbench::run(lab, pooler, &load).map(|_| ()))
}

/// In microseconds, at full speed, logins included: 64 are nothing beside the transactions of some seconds.
pub fn cpu_per_transaction(
    lab: &Lab,
    poolers: &[Pooler],
    protocol: &'static str,
    clients: u32,
) -> Result<Vec<Vec<f64>>> {
    lab.alternate(poolers, lab.options.pairs, |pooler| {
        let before = pooler.cpu_seconds()?;
        let outcome = full_speed(lab, pooler, protocol, clients)?;
        Ok((pooler.cpu_seconds()? - before) * 1e6 / outcome.transactions)
    })
}

fn cpu(lab: &Lab) -> Result<Vec<Row>> {
    let variants = |default_bar, two_bar| {
        [
            Variant { label: "default workers", workers: None, bar: Bar::RatioAtMost(default_bar) },
            Variant { label: "2 workers", workers: Some(2), bar: Bar::RatioAtMost(two_bar) },
        ]
    };
    let poolers = start(lab, &variants(0.0, 0.0), Setup::plain(POOL_SIZE))?;
    warm_up(lab, &poolers)?;
    let mut table = Vec::new();
    for protocol in ["simple", "extended"] {
        for (clients, default_bar, two_bar) in [(16, 1.15, 1.3), (64, 1.0, 1.05)] {
            let values = cpu_per_transaction(lab, &poolers, protocol, clients)?;
            let what = format!("CPU per transaction, {protocol}, {clients} clients");
            table.extend(rows(&what, "µs", &variants(default_bar, two_bar), values));
        }
    }
    let resident: Result<Vec<Vec<f64>>> = poolers.iter().map(|p| Ok(vec![p.resident_kib()? / 1024.0])).collect();
    let mut variants = variants(0.0, 0.0);
    variants.iter_mut().for_each(|variant| variant.bar = Bar::None);
    table.extend(rows("resident memory after these runs", "MiB", &variants, resident?));
    Ok(table)
}

fn throughput(lab: &Lab) -> Result<Vec<Row>> {
    let variants = [
        Variant { label: "1 worker", workers: Some(1), bar: Bar::RatioAtLeast(1.0) },
        Variant { label: "2 workers", workers: Some(2), bar: Bar::RatioAtLeast(1.05) },
    ];
    let poolers = start(lab, &variants, Setup::plain(POOL_SIZE))?;
    warm_up(lab, &poolers)?;
    let values =
        lab.alternate(&poolers, lab.options.pairs, |pooler| Ok(full_speed(lab, pooler, "simple", 64)?.per_second))?;
    Ok(rows("throughput, simple, 64 clients", "tps", &variants, values))
}

fn latency(lab: &Lab) -> Result<Vec<Row>> {
    let variants = Variant::default(Bar::RatioAtMost(1.1));
    let poolers = start(lab, &variants, Setup::plain(POOL_SIZE))?;
    warm_up(lab, &poolers)?;
    let most = lab.alternate(&poolers[..1], 3, |pooler| Ok(full_speed(lab, pooler, "simple", 64)?.per_second))?;
    let rate = 0.6 * median(&most.concat());
    let load = Load::at_rate(lab, rate);
    let values =
        lab.alternate(&poolers, lab.options.pairs, |pooler| Ok(pgbench::run(lab, pooler, &load)?.latencies_us))?;
    let each = |statistic: fn(&[f64]) -> f64| -> Vec<Vec<f64>> {
        values.iter().map(|runs| runs.iter().map(|run| statistic(run) / 1e3).collect()).collect()
    };
    let mut table = rows(&format!("p99 at {rate:.0} tps, simple, 64 clients"), "ms", &variants, each(p99));
    let informative = Variant::default(Bar::None);
    table.extend(rows(&format!("p50 at {rate:.0} tps, simple, 64 clients"), "ms", &informative, each(median)));
    Ok(table)
}

fn copy(lab: &Lab) -> Result<Vec<Row>> {
    const COPY: &str = "copy (select repeat('x', 1000) from generate_series(1, 1000000)) to stdout";
    let variants = Variant::default(Bar::RatioAtMost(0.5));
    let poolers = start(lab, &variants, Setup::plain(POOL_SIZE))?;
    let values = lab.alternate(&poolers, lab.options.pairs, |pooler| {
        let mut client = pooler.entrance.log_in()?;
        let before = pooler.cpu_seconds()?;
        let bytes = client.query(COPY)?;
        if bytes < 1_000_000_000 {
            return Err(format!("COPY brought only {bytes} bytes").into());
        }
        Ok(pooler.cpu_seconds()? - before)
    })?;
    Ok(rows("CPU of COPY TO STDOUT, 1 GB in 1 kB rows", "s", &variants, values))
}

/// What came of 500 clients on 10 servers.
struct Waiting {
    p99_to_mean: f64,
    mean_ms: f64,
    to_ten_clients: f64,
}

fn waiters(lab: &Lab) -> Result<Vec<Row>> {
    let poolers = start(lab, &Variant::default(Bar::None), Setup::plain(10))?;
    warm_up(lab, &poolers)?;
    let runs = lab.alternate(&poolers, 1, |pooler| wait_in_line(lab, pooler))?;
    let each = |value: fn(&Waiting) -> f64| runs.iter().map(|r| r.iter().map(value).collect()).collect();
    let what = "500 clients on 10 servers";
    let mut table = rows(
        &format!("{what}: p99 wait / mean wait"),
        "",
        &Variant::default(Bar::AtMost(3.0)),
        each(|w| w.p99_to_mean),
    );
    table.extend(rows(
        &format!("{what}: throughput / that of 10 clients"),
        "",
        &Variant::default(Bar::AtLeast(0.95)),
        each(|w| w.to_ten_clients),
    ));
    table.extend(rows(&format!("{what}: mean wait"), "ms", &Variant::default(Bar::None), each(|w| w.mean_ms)));
    Ok(table)
}

/// Ten clients never wait for one of ten servers, so their mean latency is the time a transaction itself takes; what
/// a transaction of 500 clients takes above that is its wait. The transaction sleeps, so that clients queue for servers
/// and not for the cores, as they do with `pgbench -S`.
fn wait_in_line(lab: &Lab, pooler: &Pooler) -> Result<Waiting> {
    let load = |clients| Load {
        script: Script::Sleep2Ms,
        clients,
        protocol: "simple",
        seconds: lab.options.waiter_seconds,
        rate: None,
        latencies: true,
    };
    let ten = pgbench::run(lab, pooler, &load(10))?;
    lab.go_on()?;
    let many = pgbench::run(lab, pooler, &load(500))?;
    let service_us = mean(&ten.latencies_us);
    let waits_us: Vec<f64> = many.latencies_us.iter().map(|latency| (latency - service_us).max(0.0)).collect();
    Ok(Waiting {
        p99_to_mean: p99(&waits_us) / mean(&waits_us),
        mean_ms: mean(&waits_us) / 1e3,
        to_ten_clients: many.per_second / ten.per_second,
    })
}
