//! The rows about prepared statements. Debian's PgBouncer carries none from server to server: it runs in session mode with
//! as many servers as there are clients, and so changes no name. PgOtter carries them, over its usual pool.

use crate::Result;
use crate::lab::Lab;
use crate::memory_rows::alternate_fresh;
use crate::pooler::Setup;
use crate::report::{Bar, Row};
use crate::rows::{POOL_SIZE, Variant, cpu_per_transaction, rows, start, warm_up};

const CLIENTS: u32 = 5_000;
const STATEMENTS: u32 = 50;

/// `pgbench -M prepared`.
pub fn prepared(lab: &Lab) -> Result<Vec<Row>> {
    let variants = Variant::default(Bar::RatioAtMost(1.1));
    let poolers = start(lab, &variants, Setup { pgbouncer_sessions: Some(64), ..Setup::plain(POOL_SIZE) })?;
    warm_up(lab, &poolers)?;
    let mut table = Vec::new();
    for clients in [16, 64] {
        let values = cpu_per_transaction(lab, &poolers, "prepared", clients)?;
        table.extend(rows(&format!("CPU per transaction, prepared, {clients} clients"), "µs", &variants, values));
    }
    Ok(table)
}

/// 5,000 clients that prepare 50 statements each and fall silent. PgBouncer has them only say that they would.
pub fn memory(lab: &Lab) -> Result<Vec<Row>> {
    let (pgbouncer, candidate) = alternate_fresh(lab, Setup::plain(POOL_SIZE), |pooler| {
        pooler.entrance.log_in()?.query("select 1")?;
        let before = pooler.resident_kib()?;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            lab.go_on()?;
            let mut client = pooler.entrance.log_in()?;
            // Unnamed for PgBouncer, which would have the next client fail with a name that is taken.
            client.prepare(STATEMENTS, pooler.is_pgotter())?;
            clients.push(client);
        }
        Ok((pooler.resident_kib()? - before) / f64::from(CLIENTS))
    })?;
    let what = "resident memory per client with 50 prepared statements, 5,000 clients".to_owned();
    Ok(vec![Row { what, unit: "KiB", bar: Bar::None, candidate, pgbouncer }])
}
