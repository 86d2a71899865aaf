//! The rows about resident memory. Each value comes from a fresh pooler: memory that an earlier run made it keep would
//! hide what this run needs.

use crate::Result;
use crate::lab::Lab;
use crate::pooler::{Kind, Pooler};
use crate::raw_client::RawClient;
use crate::report::{Bar, Row};
use crate::rows::POOL_SIZE;

const IDLE_CLIENTS: u32 = 5_000;
/// PostgreSQL's own limit is 1 GiB minus a few bytes for one value (MaxAllocSize, 1,073,741,823).
const BIG: usize = 1_000_000_000;
/// Memory hardly varies from run to run: more rounds would only take time.
const ROUNDS_AT_MOST: usize = 3;

/// Measures PgBouncer and the candidate in turn, each started anew.
fn alternate_fresh(
    lab: &Lab,
    what: String,
    unit: &'static str,
    bar: Bar,
    measure: impl Fn(&Pooler) -> Result<f64>,
) -> Result<Row> {
    let mut row = Row { what, unit, bar, candidate: Vec::new(), pgbouncer: Vec::new() };
    for _ in 0..lab.options.pairs.min(ROUNDS_AT_MOST) {
        for (kind, values) in [(Kind::PgBouncer, &mut row.pgbouncer), (lab.candidate(None), &mut row.candidate)] {
            lab.go_on()?;
            values.push(measure(&Pooler::start(lab, kind, POOL_SIZE)?)?);
        }
        eprint!(".");
    }
    eprintln!();
    Ok(row)
}

/// 5,000 clients that log in, ask one query and fall silent.
pub fn idle_clients(lab: &Lab) -> Result<Vec<Row>> {
    let what = "resident memory per idle client, 5,000 clients".to_owned();
    let row = alternate_fresh(lab, what, "KiB", Bar::AtMost(2.0), |pooler| {
        let one_query = || -> Result<RawClient> {
            let mut client = RawClient::connect(pooler.port)?;
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
    Ok(vec![row])
}

/// One value of 1 GB, to the client and from it.
pub fn big_messages(lab: &Lab) -> Result<Vec<Row>> {
    let bar = Bar::AtMost(4.0);
    let growth = |pooler: &Pooler, pass: fn(&mut RawClient) -> Result<()>| -> Result<f64> {
        let mut client = RawClient::connect(pooler.port)?;
        client.query("select 1")?;
        let before = pooler.resident_kib()?;
        Ok((pooler.peak_resident_kib(|| pass(&mut client))? - before) / 1024.0)
    };
    let row = alternate_fresh(lab, "growth while a row of 1 GB passes".to_owned(), "MiB", bar, |pooler| {
        growth(pooler, |client| {
            let bytes = client.query(&format!("select repeat('x', {BIG})"))?;
            if bytes < BIG as u64 { Err(format!("only {bytes} bytes came").into()) } else { Ok(()) }
        })
    })?;
    let parameter = alternate_fresh(lab, "growth while a parameter of 1 GB passes".to_owned(), "MiB", bar, |pooler| {
        growth(pooler, |client| client.bind_bytes(BIG))
    })?;
    Ok(vec![row, parameter])
}
