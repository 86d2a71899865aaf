//! What PgOtter tells of queries, as JSON: how often each was called, and how long it took.

use crate::Result;
use crate::http;
use crate::lab::{DATABASE, Lab};
use pgotter::sql::{Plain, Reading, read};
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

/// It is at most a second old.
const PATIENCE: Duration = Duration::from_secs(10);

/// p50, p95 and p99, in ms.
pub struct Told {
    /// How long servers took.
    pub server: [f64; 3],
    /// From a query's arrival until its client had the answer, waiting for a server included.
    pub total: [f64; 3],
}

/// Of each of these texts, once it says that they were called so often: no more and no less.
pub fn told(lab: &Lab, http: u16, expected: &[(&str, usize)]) -> Result<Vec<Told>> {
    let since = Instant::now();
    loop {
        lab.go_on()?;
        let found: Vec<_> = expected.iter().map(|(text, calls)| of(http, text, *calls)).collect();
        if found.iter().all(Result::is_ok) || since.elapsed() > PATIENCE {
            return found.into_iter().collect();
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn of(http: u16, text: &str, calls: usize) -> Result<Told> {
    let reading = Reading::default();
    let pattern = read(text.as_bytes(), reading, &Plain).pattern(text.as_bytes(), reading).cloned();
    let fingerprint = pattern.ok_or_else(|| format!("nobody can read {text}"))?.fingerprint.to_string();
    let queries = rows(http, "/api/v1/queries")?;
    let row = queries.iter().find(|row| row["fingerprint"] == *fingerprint && row["database"] == DATABASE);
    let row = row.ok_or_else(|| format!("PgOtter tells nothing of {text}"))?;
    if row["calls"] != calls || row["errors"] != 0 {
        return Err(format!(
            "{calls} calls, and PgOtter tells of {} with {} errors: {text}",
            row["calls"], row["errors"]
        )
        .into());
    }
    let mut server = [0.0; 3];
    for (told, column) in server.iter_mut().zip(["p50_ms", "p95_ms", "p99_ms"]) {
        *told = row[column].as_f64().ok_or_else(|| format!("no {column}"))?;
    }
    let buckets = rows(http, &format!("/api/v1/histogram?fingerprint={fingerprint}"))?;
    let buckets: Vec<_> = buckets.iter().filter(|row| row["database"] == DATABASE).collect();
    let count = |row: &Value| row["total_calls"].as_u64().unwrap_or(0) as usize;
    let delivered: usize = buckets.iter().map(|row| count(row)).sum();
    if delivered != calls {
        return Err(format!("{calls} calls, of which PgOtter says how long {delivered} took: {text}").into());
    }
    let total = [0.5, 0.95, 0.99].map(|part| {
        let mut left = (part * calls as f64).ceil() as usize;
        let bucket = buckets.iter().find(|row| {
            let here = count(row);
            left = left.saturating_sub(here);
            left == 0
        });
        let edge = |column| bucket.and_then(|row| row[column].as_f64()).unwrap_or(f64::INFINITY);
        (edge("from_ms") + edge("to_ms")) / 2.0
    });
    Ok(Told { server, total })
}

fn rows(http: u16, path: &str) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(&http::get(http, path)?)?)
}
