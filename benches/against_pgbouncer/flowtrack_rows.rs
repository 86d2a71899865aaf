//! The rows about FlowTrack: its five rates at once, 1,000 clients on 20 servers and 5 in reserve, against what its example of a
//! configuration asks for. The queries are the workload's (`tests/workload/workload.sql`).

use crate::Result;
use crate::flowtrack_told::{Told, told};
use crate::lab::{DATABASE, Lab};
use crate::open_loop::{self, Answered, Arrival};
use crate::parts::{WORKLOAD, parts};
use crate::pooler::{Kind, Pooler, Setup};
use crate::process;
use crate::report::{Bar, Row};
use crate::statistics::quantile;
use pgotter::config::{self, Condition};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const CLIENTS: usize = 1_000;
const SERVERS: u32 = 20;
const RESERVE: u32 = 5;
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];
const EXAMPLE: &str = include_str!("../../config/examples/flowtrack.toml");
/// Any one; both poolers get the same arrivals.
const SEED: u64 = 6;

/// One kind of query.
struct Kinds {
    name: &'static str,
    per_second: f64,
    /// In the workload.
    part: &'static str,
    /// What of its text is another each time, and what it begins with then.
    changes: Option<(&'static str, &'static str)>,
    /// In the example.
    objective: &'static str,
}

/// An action is written with the claim of the execution that it belongs to.
const KINDS: [Kinds; 5] = [
    Kinds {
        name: "lead insert",
        per_second: 100.0,
        part: "F13a",
        changes: Some(("new-lead@", "lead-")),
        objective: "lead creation",
    },
    Kinds {
        name: "execution start",
        per_second: 500.0,
        part: "F13b",
        changes: Some(("key-new-1", "key-of-load-")),
        objective: "queue claim",
    },
    Kinds { name: "action write", per_second: 50.0, part: "F02b", changes: None, objective: "queue claim" },
    Kinds { name: "quota check", per_second: 1_000.0, part: "F05", changes: None, objective: "quota check" },
    Kinds { name: "log insert", per_second: 5_000.0, part: "F13c", changes: None, objective: "log write" },
];

/// What came of a pooler's run.
struct Outcome {
    answered: Vec<Answered>,
    /// By PgOtter alone.
    told: Vec<Told>,
    /// From the first that was due until the last was answered.
    per_second: f64,
    /// The pooler's, for each query.
    cpu_us: f64,
    /// Percent of the machine's, by everybody: at 100 it is the machine that is measured.
    busy: f64,
}

/// Everything of this.
pub fn flowtrack(lab: &Lab) -> Result<Vec<Row>> {
    let texts = texts()?;
    let objectives = objectives()?;
    let rates = KINDS.map(|kind| kind.per_second);
    let arrivals = open_loop::arrivals(&rates, lab.options.flowtrack_seconds, SEED);
    let [ours, theirs] = [lab.candidate(None), Kind::PgBouncer].map(|kind| serve(lab, kind, &arrivals, &texts));
    let (ours, theirs) = (ours?, theirs?);
    let mut table = overall(&ours, &theirs, arrivals.len() as f64 / lab.options.flowtrack_seconds as f64);
    for (at, kind) in KINDS.iter().enumerate() {
        let what = format!("{}, {} a second", kind.name, kind.per_second);
        let of = |outcome: &Outcome, took: fn(&Answered) -> Duration, part| -> Vec<f64> {
            let times = outcome.answered.iter().filter(|answered| answered.kind == at);
            vec![quantile(&times.map(|answered| took(answered).as_secs_f64() * 1e3).collect::<Vec<_>>(), part)]
        };
        let (from_due, from_sent) = (|answered: &Answered| answered.from_due, |answered: &Answered| answered.from_sent);
        let bar = |quantile| if quantile == "p95" { Bar::Objective(objectives[at]) } else { Bar::None };
        let mut row = |what: String, bar, candidate, pgbouncer| {
            table.push(Row { what, unit: "ms", bar, candidate, pgbouncer });
        };
        for (name, part) in QUANTILES {
            let what = format!("{what}: {name} from when it was due");
            row(what, bar(name), of(&ours, from_due, part), of(&theirs, from_due, part));
        }
        let Some(told) = ours.told.get(at) else { continue };
        for (quantile, (name, _)) in QUANTILES.iter().enumerate() {
            row(
                format!("{what}: {name} of servers, as PgOtter tells it"),
                bar(name),
                vec![told.server[quantile]],
                vec![],
            );
        }
        for (quantile, (name, part)) in QUANTILES.iter().enumerate() {
            let what = format!("{what}: {name} from sent to answered, as PgOtter tells it / as the client saw it");
            // It sees less of it than the client, and tells the middle of what may be 12.5 % wide.
            row(what, Bar::RatioAtMost(1.0625), vec![told.total[quantile]], of(&ours, from_sent, *part));
        }
    }
    Ok(table)
}

/// What all kinds have in common.
fn overall(ours: &Outcome, theirs: &Outcome, due: f64) -> Vec<Row> {
    let row = |what: String, unit, bar, value: fn(&Outcome) -> f64| {
        let (candidate, pgbouncer) = (vec![value(ours)], vec![value(theirs)]);
        Row { what, unit, bar, candidate, pgbouncer }
    };
    vec![
        row(format!("FlowTrack, 1,000 clients: answered a second, of {due:.0} due"), "", Bar::None, |run| {
            run.per_second
        }),
        row("FlowTrack: CPU of the pooler for each query".to_owned(), "µs", Bar::None, |run| run.cpu_us),
        row("FlowTrack: CPU of all in use meanwhile, of what there is".to_owned(), "%", Bar::None, |run| run.busy),
    ]
}

/// As the workload has them, in the order of the kinds.
fn texts() -> Result<Vec<String>> {
    let parts = parts();
    let text = |kind: &Kinds| -> Result<String> {
        let part = parts.iter().find(|part| part.id == kind.part).ok_or_else(|| format!("no part {}", kind.part))?;
        let text = part.statements.first().ok_or("a part without a statement")?;
        match kind.changes {
            Some((old, _)) if !text.contains(old) => Err(format!("{}: no {old} in {text}", kind.part).into()),
            _ => Ok(text.clone()),
        }
    };
    KINDS.iter().map(text).collect()
}

fn text(texts: &[String], arrival: &Arrival) -> String {
    let text = &texts[arrival.kind];
    match KINDS[arrival.kind].changes {
        Some((old, new)) => {
            let end = if old.ends_with('@') { "@" } else { "" };
            text.replace(old, &format!("{new}{}{end}", arrival.number))
        }
        None => text.clone(),
    }
}

/// Target, acceptable and critical latency of each kind, in ms.
fn objectives() -> Result<Vec<[f64; 3]>> {
    let users = |_: &Path| Ok("\"admin\" \"one\"\n\"monitor\" \"two\"\n".to_owned());
    let env = |_: &str| Some("https://hooks.example.test/".to_owned());
    let config = config::parse(EXAMPLE, Path::new("flowtrack.toml"), &users, &env, 2);
    let config = config.map_err(|report| report.render(false))?;
    let named: BTreeMap<&str, [Duration; 3]> = config
        .alerts
        .iter()
        .filter_map(|alert| match alert.condition {
            Condition::Objective { target, acceptable, critical, .. } => {
                Some((&*alert.name, [target, acceptable, critical]))
            }
            _ => None,
        })
        .collect();
    let of = |kind: &Kinds| -> Result<[f64; 3]> {
        let steps = named.get(kind.objective).ok_or_else(|| format!("no objective {}", kind.objective))?;
        Ok(steps.map(|step| step.as_secs_f64() * 1e3))
    };
    KINDS.iter().map(of).collect()
}

/// The whole load on tables as they were at first.
fn serve(lab: &Lab, kind: Kind, arrivals: &[Arrival], texts: &[String]) -> Result<Outcome> {
    let schema = WORKLOAD.split("\n-- @stmt ").next().unwrap_or_default();
    let file = lab.new_folder("flowtrack")?.join("schema.sql");
    lab.postgres.state().write(&file, schema)?;
    lab.postgres.psql_file(DATABASE, &file)?;
    lab.postgres.psql(DATABASE, "ANALYZE")?;
    lab.postgres.psql(DATABASE, "CHECKPOINT")?;
    let pooler = Pooler::start(lab, kind, Setup { reserve: RESERVE, http: true, ..Setup::plain(SERVERS) })?;
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        lab.go_on()?;
        let mut client = pooler.entrance.log_in()?;
        client.query("select 1")?;
        sockets.push(client.into_socket().ok_or("a connection with TLS")?);
    }
    let (since, cpu, busy) = (Instant::now(), pooler.cpu_seconds()?, process::busy_and_all()?);
    let answered = open_loop::run(lab, sockets, arrivals, |arrival| text(texts, arrival))?;
    let (cpu_us, per_second) = (
        (pooler.cpu_seconds()? - cpu) * 1e6 / answered.len() as f64,
        answered.len() as f64 / since.elapsed().as_secs_f64(),
    );
    let (busy_then, all_then) = process::busy_and_all()?;
    let busy = 100.0 * (busy_then - busy.0) / (all_then - busy.1);
    let calls = |kind| arrivals.iter().filter(|arrival| arrival.kind == kind).count();
    let expected: Vec<_> = texts.iter().enumerate().map(|(kind, text)| (text.as_str(), calls(kind))).collect();
    let told = pooler.http.map_or_else(|| Ok(Vec::new()), |http| told(lab, http, &expected))?;
    Ok(Outcome { answered, told, per_second, cpu_us, busy })
}
