//! The rows about settings: what it costs that each of many clients has its own, on few servers.

use crate::Result;
use crate::lab::Lab;
use crate::pooler::{Pooler, Setup};
use crate::raw_client::RawClient;
use crate::report::{Bar, Row};
use crate::rows::{Variant, rows, start};
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: usize = 1_000;
/// Of our load generator; each has its share of the clients.
const THREADS: usize = 2;
const SERVERS: u32 = 10;
/// As `pgbench -S`.
const QUERY: &str = "select abalance from public.pgbench_accounts where aid = 4711";

/// Both ways on one pooler, one after the other.
struct Cost {
    equal_us: f64,
    different_us: f64,
}

/// Clients with the same application_name and search_path, then with a different one each. To PgBouncer the search_path means
/// nothing: it only has the names to set.
pub fn settings(lab: &Lab) -> Result<Vec<Row>> {
    let poolers = start(lab, &Variant::default(Bar::None), Setup::plain(SERVERS))?;
    let mut crowds = Vec::new();
    for pooler in &poolers {
        crowds.push([crowd(lab, pooler, |_| 0)?, crowd(lab, pooler, |number| number)?]);
    }
    let mut costs: Vec<Vec<Cost>> = poolers.iter().map(|_| Vec::new()).collect();
    // The first round warms up.
    for round in 0..=lab.options.pairs {
        for ((pooler, crowd), costs) in poolers.iter().zip(&mut crowds).zip(&mut costs) {
            let [equal, different] = crowd;
            let cost = Cost { equal_us: cpu(lab, pooler, equal)?, different_us: cpu(lab, pooler, different)? };
            if round > 0 {
                costs.push(cost);
            }
        }
    }
    let each = |value: fn(&Cost) -> f64| costs.iter().map(|of_one| of_one.iter().map(value).collect()).collect();
    let what = "1,000 clients on 10 servers";
    let bar = Variant::default(Bar::AtMost(1.15));
    let mut table = rows(
        &format!("{what}: CPU per transaction with different settings / with equal ones"),
        "",
        &bar,
        each(|cost| cost.different_us / cost.equal_us),
    );
    let informative = Variant::default(Bar::None);
    table.extend(rows(
        &format!("{what}: CPU per transaction, equal settings"),
        "µs",
        &informative,
        each(|c| c.equal_us),
    ));
    let what = format!("{what}: CPU per transaction, different settings");
    table.extend(rows(&what, "µs", &informative, each(|cost| cost.different_us)));
    Ok(table)
}

/// Logs in all of them, in shares.
fn crowd(lab: &Lab, pooler: &Pooler, who: impl Fn(usize) -> usize) -> Result<Vec<Vec<RawClient>>> {
    let mut shares: Vec<Vec<RawClient>> = (0..THREADS).map(|_| Vec::new()).collect();
    for number in 0..CLIENTS {
        lab.go_on()?;
        let (name, path) = (format!("client {}", who(number)), format!("schema{}, public", who(number)));
        let client = pooler.entrance.log_in_with(&[("application_name", &name), ("search_path", &path)])?;
        shares[number % THREADS].push(client);
    }
    Ok(shares)
}

/// In microseconds for each transaction. All clients of a share ask before the first is listened to.
fn cpu(lab: &Lab, pooler: &Pooler, shares: &mut [Vec<RawClient>]) -> Result<f64> {
    let before = pooler.cpu_seconds()?;
    let end = Instant::now() + Duration::from_secs(lab.options.seconds);
    let again_and_again = |share: &mut Vec<RawClient>| -> std::result::Result<u32, String> {
        let mut count = 0;
        while Instant::now() < end && !lab.stopping.requested() {
            for client in share.iter_mut() {
                client.ask(QUERY).map_err(|error| error.to_string())?;
            }
            for client in share.iter_mut() {
                client.until_ready().map_err(|error| error.to_string())?;
                count += 1;
            }
        }
        Ok(count)
    };
    let counts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = shares.iter_mut().map(|share| scope.spawn(|| again_and_again(share))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a client panicked".to_owned())))
            .collect()
    });
    let mut total = 0.0;
    for count in counts {
        total += f64::from(count?);
    }
    Ok((pooler.cpu_seconds()? - before) * 1e6 / total)
}
