//! The rows about TLS and logging in.

use crate::Result;
use crate::lab::{DATABASE, Lab, USER};
use crate::pooler::{Pooler, Setup};
use crate::report::{Bar, Row};
use crate::rows::{POOL_SIZE, Variant, cpu_per_transaction, rows, start, warm_up};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Clients that log in at once, each again and again.
const LOGGING_IN: usize = 8;

/// `pgbench -S` with TLS between it and the pooler, and none between the pooler and PostgreSQL.
pub fn tls(lab: &Lab) -> Result<Vec<Row>> {
    let variants = Variant::default(Bar::RatioAtMost(1.0));
    let poolers = start(lab, &variants, Setup { tls: true, ..Setup::plain(POOL_SIZE) })?;
    let ciphers: Vec<String> = poolers.iter().map(|pooler| cipher(lab, pooler)).collect::<Result<_>>()?;
    let cipher = ciphers.first().cloned().unwrap_or_default();
    if ciphers.iter().any(|other| *other != cipher) {
        return Err(format!("they do not agree on the same with libpq: {}", ciphers.join(" and ")).into());
    }
    warm_up(lab, &poolers)?;
    let values = cpu_per_transaction(lab, &poolers, "simple", 64)?;
    Ok(rows(&format!("CPU per transaction over {cipher}, simple, 64 clients"), "µs", &variants, values))
}

/// What libpq agrees on with this pooler, as psql says it: protocol and cipher.
fn cipher(lab: &Lab, pooler: &Pooler) -> Result<String> {
    let state = lab.postgres.state();
    let mut psql = Command::new(state.programs.client_program("psql")?);
    let port = pooler.entrance.port;
    psql.arg(format!("host=127.0.0.1 port={port} user={USER} dbname={DATABASE} sslmode=require"));
    let said = state.output(psql.args(["-X", "-c", "\\conninfo"]))?;
    let behind = |label: &str| said.split_once(label).and_then(|(_, rest)| rest.split([',', ')']).next());
    match (behind("protocol: "), behind("cipher: ")) {
        (Some(protocol), Some(cipher)) => Ok(format!("{protocol} ({cipher})")),
        _ => Err(format!("psql names no cipher: {said}").into()),
    }
}

/// Logging in and leaving, as fast as it goes; nothing is asked in between.
pub fn logins(lab: &Lab) -> Result<Vec<Row>> {
    let plain = Setup::plain(POOL_SIZE);
    let ways = [
        ("trust", plain, Bar::RatioAtMost(1.5)),
        ("SCRAM with stored keys", Setup { scram: true, ..plain }, Bar::RatioAtMost(1.5)),
        ("trust over TLS", Setup { tls: true, ..plain }, Bar::None),
    ];
    let mut table = Vec::new();
    for (what, setup, bar) in ways {
        let variants = Variant::default(bar);
        let poolers = start(lab, &variants, setup)?;
        let measured = lab.alternate(&poolers, lab.options.pairs, |pooler| {
            let before = pooler.cpu_seconds()?;
            let (count, seconds) = log_in_and_leave(lab, pooler)?;
            Ok(((pooler.cpu_seconds()? - before) * 1e6 / count, count / seconds))
        })?;
        let each = |value: fn(&(f64, f64)) -> f64| measured.iter().map(|m| m.iter().map(value).collect()).collect();
        table.extend(rows(&format!("CPU per login, {what}"), "µs", &variants, each(|(cpu, _)| *cpu)));
        let informative = Variant::default(Bar::None);
        table.extend(rows(&format!("logins a second, {what}"), "", &informative, each(|(_, rate)| *rate)));
    }
    Ok(table)
}

/// How many logins, and in how many seconds.
fn log_in_and_leave(lab: &Lab, pooler: &Pooler) -> Result<(f64, f64)> {
    let begin = Instant::now();
    let end = begin + Duration::from_secs(lab.options.seconds);
    let again_and_again = || -> std::result::Result<u32, String> {
        let mut count = 0;
        while Instant::now() < end && !lab.stopping.requested() {
            let client = pooler.entrance.log_in().map_err(|error| error.to_string())?;
            client.leave().map_err(|error| error.to_string())?;
            count += 1;
        }
        Ok(count)
    };
    let counts: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..LOGGING_IN).map(|_| scope.spawn(again_and_again)).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| Err("a client panicked".to_owned())))
            .collect()
    });
    let mut total = 0.0;
    for count in counts {
        total += f64::from(count?);
    }
    Ok((total, begin.elapsed().as_secs_f64()))
}
