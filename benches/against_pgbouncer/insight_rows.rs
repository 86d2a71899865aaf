//! The rows about measuring: what a scrape of `/metrics` each second does to the slowest transactions, and how many more instructions a
//! transaction is than it was to an older PgOtter, which BEFORE= names. PgBouncer has no part in them: in its column stands the same
//! without scrapes, and the older PgOtter.

use crate::Result;
use crate::callgrind::{Counted, Instructions, Tools};
use crate::http;
use crate::lab::Lab;
use crate::pgbench::{self, Load};
use crate::pooler::{Kind, Pooler, Setup};
use crate::report::{Bar, Row};
use crate::rows::{POOL_SIZE, full_speed, warm_up};
use crate::statistics::{median, p99};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// As many as PgOtter tells apart by default.
const STATEMENTS: u32 = 5_000;
const EACH: Duration = Duration::from_secs(1);

/// Everything of this.
pub fn insight(lab: &Lab) -> Result<Vec<Row>> {
    if lab.options.self_check {
        return Err("PgBouncer has neither".into());
    }
    let mut table = scrapes(lab)?;
    match std::env::var_os("BEFORE").map(PathBuf::from) {
        None => eprintln!("BEFORE= names no older PgOtter: instructions are not counted"),
        Some(before) => match Tools::find() {
            Err(error) => eprintln!("instructions are not counted: {error}"),
            Ok(tools) => table.extend(instructions(lab, tools, &before)?),
        },
    }
    Ok(table)
}

/// One for each scrape.
#[derive(Default)]
struct Scrapes {
    took_ms: Vec<f64>,
    series: f64,
}

fn scrapes(lab: &Lab) -> Result<Vec<Row>> {
    let pooler = Pooler::start(lab, Kind::PgOtter(None), Setup { http: true, ..Setup::plain(POOL_SIZE) })?;
    let http = pooler.http.ok_or("no HTTP")?;
    let mut client = pooler.entrance.log_in()?;
    for number in 0..STATEMENTS {
        client.query(&format!("select 1 as statement_{number}"))?;
    }
    warm_up(lab, std::slice::from_ref(&pooler))?;
    let most = (0..3).map(|_| Ok(full_speed(lab, &pooler, "simple", 64)?.per_second)).collect::<Result<Vec<_>>>()?;
    let rate = 0.6 * median(&most);
    let load = Load::at_rate(lab, rate);
    let (mut without, mut with, mut all) = (Vec::new(), Vec::new(), Scrapes::default());
    for round in 0..lab.options.pairs {
        // Whoever comes second finds more of everything: each does as often.
        for scraped in [round % 2 == 1, round % 2 == 0] {
            lab.go_on()?;
            if scraped {
                with.push(scraping(http, &mut all, || Ok(pgbench::run(lab, &pooler, &load)?.latencies_us))?);
            } else {
                without.push(pgbench::run(lab, &pooler, &load)?.latencies_us);
            }
        }
        eprint!(".");
    }
    eprintln!();
    let each = |runs: &[Vec<f64>], statistic: fn(&[f64]) -> f64| runs.iter().map(|run| statistic(run) / 1e3).collect();
    let row = |name: &str, bar, statistic| Row {
        what: format!("{name} at {rate:.0} tps, simple, 64 clients: a scrape each second / none"),
        unit: "ms",
        bar,
        candidate: each(&with, statistic),
        pgbouncer: each(&without, statistic),
    };
    let what = format!("a scrape of {} series, {STATEMENTS} statements seen", all.series);
    Ok(vec![
        row("p99", Bar::RatioAtMost(1.05), p99),
        row("p50", Bar::None, median),
        Row { what, unit: "ms", bar: Bar::None, candidate: all.took_ms, pgbouncer: Vec::new() },
    ])
}

/// Does `work` while somebody scrapes each second, once at least.
fn scraping<T>(http: u16, all: &mut Scrapes, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let scraper = scope.spawn(move || -> std::result::Result<Scrapes, String> {
            let mut scrapes = Scrapes::default();
            // In the middle of each second: the beginning of a load is not a usual time.
            let mut until = Instant::now() + EACH / 2;
            while ended.recv_timeout(until.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout)
            {
                let since = Instant::now();
                let text = http::get(http, "/metrics").map_err(|error| error.to_string())?;
                scrapes.took_ms.push(since.elapsed().as_secs_f64() * 1e3);
                scrapes.series = text.lines().filter(|line| !line.starts_with('#')).count() as f64;
                until += EACH;
            }
            Ok(scrapes)
        });
        let result = work();
        drop(end);
        let scrapes = scraper.join().map_err(|_| "the thread that scrapes panicked")??;
        if scrapes.took_ms.is_empty() {
            return Err("it was over before the first scrape".into());
        }
        all.took_ms.extend(scrapes.took_ms);
        all.series = scrapes.series;
        result
    })
}

/// Now and before, in turn.
fn instructions(lab: &Lab, tools: Tools, before: &Path) -> Result<Vec<Row>> {
    let state = lab.postgres.state();
    let older = state.path().join("before");
    fs::copy(before, &older).map_err(|e| format!("BEFORE: copy {}: {e}", before.display()))?;
    state.run_as.give(&older)?;
    // No endpoint of HTTP: nobody asks, and an older one may know less of it.
    let start = |program| Counted::start(lab, &tools, program, Setup::plain(POOL_SIZE));
    let (mut before, mut now) = (start(&older)?, start(&lab.pgotter)?);
    let mut table = Vec::new();
    for protocol in ["simple", "extended"] {
        let mut counts = [Vec::new(), Vec::new()];
        for _ in 0..lab.options.pairs.min(3) {
            counts[0].push(now.measure(lab, protocol)?);
            counts[1].push(before.measure(lab, protocol)?);
            eprint!(".");
        }
        eprintln!();
        let [now, before] = &counts;
        let mut row = |threads: &str, value: fn(&Instructions) -> f64| {
            table.push(Row {
                what: format!("instructions per transaction, {protocol}, 16 clients, {threads}: now / before"),
                unit: "",
                bar: Bar::RatioAtMost(1.03),
                candidate: now.iter().map(value).collect(),
                pgbouncer: before.iter().map(value).collect(),
            });
        };
        row("its worker", |count| count.worker);
        row("all threads", |count| count.all);
    }
    Ok(table)
}
