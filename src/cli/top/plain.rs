//! What `--once` prints: one line of names, one for each row, columns in line, the longest last and never cut.

use super::model::{Live, Model, Query, View};
use std::io::{self, Write};

/// Prints the queries, or the clients that something is done for.
///
/// # Errors
/// That of `out`.
pub fn print(model: &Model, mut out: impl Write) -> io::Result<()> {
    let (names, rows): (&[&str], Vec<Vec<String>>) = match model.view {
        View::Live => (&LIVE, model.live().iter().map(live).collect()),
        View::Queries | View::One(_) => (&QUERIES, model.lines().iter().map(|line| query(line.query)).collect()),
    };
    let widths: Vec<usize> = (0..names.len())
        .map(|at| rows.iter().map(|row| row[at].chars().count()).chain([names[at].len()]).max().unwrap_or(0))
        .collect();
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    for row in std::iter::once(names).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:<width$}  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

const QUERIES: [&str; 13] = [
    "SHARE%",
    "TIME_MS",
    "CALLS",
    "ERRORS",
    "ROWS",
    "MEAN_MS",
    "P50_MS",
    "P95_MS",
    "P99_MS",
    "WAIT_MS",
    "DATABASE",
    "FINGERPRINT",
    "QUERY",
];

const LIVE: [&str; 11] =
    ["ID", "AGE_MS", "STATE", "DATABASE", "USER", "APPLICATION", "FROM", "PIN", "SERVER", "FINGERPRINT", "QUERY"];

fn query(query: &Query) -> Vec<String> {
    let Query { key: (database, fingerprint), calls, errors, rows, total_ms, share, wait_ms, text, .. } = query;
    let known = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.3}"));
    vec![
        format!("{share:.1}"),
        format!("{total_ms:.3}"),
        calls.to_string(),
        errors.to_string(),
        rows.to_string(),
        known(query.mean_ms),
        known(query.p50_ms),
        known(query.p95_ms),
        known(query.p99_ms),
        format!("{wait_ms:.3}"),
        word(database),
        fingerprint.clone(),
        text.clone(),
    ]
}

fn live(live: &Live) -> Vec<String> {
    let Live { id, age_ms, state, database, user, application, address, pin, server, fingerprint, text } = live;
    let names = [state, database, user, application, address, pin, server, fingerprint].map(|name| word(name));
    let text = if text.is_empty() { "-".to_owned() } else { text.clone() };
    [id.to_string(), format!("{age_ms:.3}")].into_iter().chain(names).chain([text]).collect()
}

/// One word, whatever it holds, for scripts that count them.
fn word(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.replace(char::is_whitespace, "_") }
}
