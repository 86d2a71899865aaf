//! `pgotter report`: what share of the transactions and of the servers' time replicas take, or would take, and what keeps the rest on
//! the primary. Asks a running PgOtter through its console.

use super::init::{self, Stop};
use crate::server::{Row, ask};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

/// A longer answer is no console's.
const ANSWER: usize = 4 * 1024 * 1024;

/// Nothing is read for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// `pgotter report`
#[derive(clap::Args)]
pub struct Args {
    /// The console of a running PgOtter: postgresql://admin:password@host:6432/pgotter. Without a password in it, PGPASSWORD is taken
    #[arg(value_name = "URL")]
    console: String,
}

/// Runs it. 0: said; 1: the console cannot be asked; 2: the URL cannot be read.
pub fn run(args: Args) -> ExitCode {
    match report(args.console) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(Stop { code, message }) => {
            eprintln!("pgotter report: {message}");
            ExitCode::from(code)
        }
    }
}

fn report(url: String) -> Result<String, Stop> {
    let failure = |message: &str| Stop { code: 1, message: message.to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failure(&format!("could not start the runtime: {error}")))?;
    runtime.block_on(async {
        let mut server = init::connect(&[url]).await?;
        let answer = tokio::time::timeout(PATIENCE, ask(&mut server, "SHOW ROUTES", ANSWER)).await.ok().flatten();
        let rows = answer.filter(|answer| answer.error.is_none()).map(|answer| answer.rows);
        let rows = rows.ok_or_else(|| failure("SHOW ROUTES was not answered: is the URL's database `pgotter`?"))?;
        let routes: Option<Vec<_>> = rows.into_iter().map(Route::read).collect();
        Ok(written(&routes.ok_or_else(|| failure("this is not how PgOtter's console answers"))?))
    })
}

/// One row of SHOW ROUTES.
struct Route {
    database: String,
    role: String,
    reason: String,
    decisions: u64,
    server_time: Duration,
}

impl Route {
    fn read(row: Row) -> Option<Self> {
        let texts: Option<Vec<_>> = row.into_iter().map(|cell| String::from_utf8(cell?.into_vec()).ok()).collect();
        let [database, role, reason, decisions, server_time] = texts?.try_into().ok()?;
        let server_time = Duration::from_micros(server_time.parse().ok()?);
        Some(Self { database, role, reason, decisions: decisions.parse().ok()?, server_time })
    }
}

fn written(routes: &[Route]) -> String {
    let mut databases: BTreeMap<&str, Vec<&Route>> = BTreeMap::new();
    routes.iter().for_each(|route| databases.entry(&route.database).or_default().push(route));
    if databases.is_empty() {
        return "nothing has been decided yet\n".to_owned();
    }
    databases.iter().fold(String::new(), |out, (database, routes)| out + &of_database(database, routes))
}

fn of_database(database: &str, routes: &[&Route]) -> String {
    let decisions: u64 = routes.iter().map(|route| route.decisions).sum();
    let time: Duration = routes.iter().map(|route| route.server_time).sum();
    let share = |route: &Route| {
        let of_decisions = route.decisions as f64 / decisions.max(1) as f64 * 100.0;
        let of_time = route.server_time.as_secs_f64() / time.as_secs_f64().max(1e-6) * 100.0;
        format!("{:>12} transactions {of_decisions:>6.1} % {of_time:>6.1} % of the servers' time", route.decisions)
    };
    let (mut replica, mut primary): (Vec<&Route>, Vec<&Route>) =
        routes.iter().partition(|route| route.role == "replica");
    let mut out = format!("{database}: {decisions} transactions, {:.1} s of the servers' time\n", time.as_secs_f64());
    for (title, rows) in [("for replicas:", &mut replica), ("for the primary:", &mut primary)] {
        rows.sort_by_key(|route| std::cmp::Reverse(route.server_time));
        let _ = writeln!(out, "  {title}");
        if rows.is_empty() {
            let _ = writeln!(out, "    nothing");
        }
        for route in rows.iter() {
            let _ = writeln!(out, "    {:<12}{}", route.reason, share(route));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    //! What is written of rows.

    use super::*;

    fn row(cells: [&str; 5]) -> Row {
        cells.iter().map(|cell| Some(cell.as_bytes().into())).collect()
    }

    #[test]
    fn shares_are_told_by_database_the_longest_first() {
        let rows = [
            ["shop", "primary", "write", "20", "1000000"],
            ["shop", "primary", "lock", "10", "2000000"],
            ["shop", "replica", "read", "70", "1000000"],
            ["logs", "primary", "write", "1", "0"],
        ];
        let routes: Vec<_> = rows.map(|cells| Route::read(row(cells)).unwrap()).into();
        let report = written(&routes);
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(lines[0], "logs: 1 transactions, 0.0 s of the servers' time");
        assert_eq!(lines[2].trim(), "nothing");
        assert_eq!(lines[5], "shop: 100 transactions, 4.0 s of the servers' time");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[7]), "read 70 transactions 70.0 % 25.0 % of the servers' time");
        assert_eq!(words(lines[9]), "lock 10 transactions 10.0 % 50.0 % of the servers' time");
        assert_eq!(words(lines[10]), "write 20 transactions 20.0 % 25.0 % of the servers' time");
    }

    #[test]
    fn what_is_no_row_of_routes_is_none() {
        assert!(Route::read(row(["shop", "primary", "write", "many", "1"])).is_none());
        assert!(Route::read(vec![None; 5]).is_none());
        assert!(Route::read(Vec::new()).is_none());
        assert_eq!(written(&[]), "nothing has been decided yet\n");
    }
}
