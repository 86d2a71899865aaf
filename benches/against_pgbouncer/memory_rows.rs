//! The rows about resident memory. Each value comes from a fresh pooler: memory that an earlier run made it keep would
//! hide what this run needs.

use crate::Result;
use crate::lab::Lab;
use crate::pooler::{Kind, Pooler, Setup};
use crate::raw_client::RawClient;
use crate::report::{Bar, Row};
use crate::rows::POOL_SIZE;

const IDLE_CLIENTS: u32 = 5_000;
/// PostgreSQL's own limit is 1 GiB minus a few bytes for one value (MaxAllocSize, 1,073,741,823).
const BIG: usize = 1_000_000_000;
/// Memory hardly varies from run to run: more rounds would only take time.
const ROUNDS_AT_MOST: usize = 3;

/// Measures PgBouncer and the candidate in turn, each started anew: their values.
pub fn alternate_fresh<T>(lab: &Lab, setup: Setup, measure: impl Fn(&Pooler) -> Result<T>) -> Result<(Vec<T>, Vec<T>)> {
    let (mut pgbouncer, mut candidate) = (Vec::new(), Vec::new());
    for _ in 0..lab.options.pairs.min(ROUNDS_AT_MOST) {
        for (kind, values) in [(Kind::PgBouncer, &mut pgbouncer), (lab.candidate(None), &mut candidate)] {
            lab.go_on()?;
            values.push(measure(&Pooler::start(lab, kind, setup)?)?);
        }
        eprint!(".");
    }
    eprintln!();
    Ok((pgbouncer, candidate))
}

/// 5,000 clients that log in, ask one query and fall silent.
pub fn idle_clients(lab: &Lab) -> Result<Vec<Row>> {
    idle(lab, "resident memory per idle client, 5,000 clients", Setup::plain(POOL_SIZE), 2.0)
}

/// The same over TLS.
pub fn idle_tls_clients(lab: &Lab) -> Result<Vec<Row>> {
    let setup = Setup { tls: true, ..Setup::plain(POOL_SIZE) };
    idle(lab, "resident memory per idle client over TLS, 5,000 clients", setup, 24.0)
}

fn idle(lab: &Lab, what: &str, setup: Setup, bar_kib: f64) -> Result<Vec<Row>> {
    let (pgbouncer, candidate) = alternate_fresh(lab, setup, |pooler| {
        let one_query = || -> Result<RawClient> {
            let mut client = pooler.entrance.log_in()?;
            client.query("select 1")?;
            Ok(client)
        };
        // The first one makes the pooler open its server and whatever else it sets up once.
        drop(one_query()?);
        let before = pooler.resident_kib()?;
        let mut clients = Vec::new();
        for _ in 0..IDLE_CLIENTS {
            lab.go_on()?;
            clients.push(one_query()?);
        }
        Ok((pooler.resident_kib()? - before) / f64::from(IDLE_CLIENTS))
    })?;
    Ok(vec![Row { what: what.to_owned(), unit: "KiB", bar: Bar::AtMost(bar_kib), candidate, pgbouncer }])
}

/// One value of 1 GB, to the client and from it.
pub fn big_messages(lab: &Lab) -> Result<Vec<Row>> {
    let growth = |what: &str, pass: fn(&mut RawClient) -> Result<()>| -> Result<Row> {
        let (pgbouncer, candidate) = alternate_fresh(lab, Setup::plain(POOL_SIZE), |pooler| {
            let mut client = pooler.entrance.log_in()?;
            client.query("select 1")?;
            let before = pooler.resident_kib()?;
            Ok((pooler.peak_resident_kib(|| pass(&mut client))? - before) / 1024.0)
        })?;
        Ok(Row { what: what.to_owned(), unit: "MiB", bar: Bar::AtMost(4.0), candidate, pgbouncer })
    };
    let row = growth("growth while a row of 1 GB passes", |client| {
        let bytes = client.query(&format!("select repeat('x', {BIG})"))?;
        if bytes < BIG as u64 { Err(format!("only {bytes} bytes came").into()) } else { Ok(()) }
    })?;
    let parameter = growth("growth while a parameter of 1 GB passes", |client| client.bind_bytes(BIG))?;
    Ok(vec![row, parameter])
}
