//! Many clients on few servers for a while, some of them vanishing in the middle of what they do: nothing acknowledged
//! is lost or done twice, no server too many is opened, nobody hears an error that is not their own. And PostgreSQL
//! restarted twenty times under a thousand idle clients (`pooling/restarting.rs`).
//!
//! `make test-long CLIENTS=500 SECONDS=60`. Transfers between accounts leave a line each in a ledger, under a key that
//! the client made up; so the end can tell which transfers happened, and how often. What a transfer looks like to a
//! client, and the ways to vanish, are in `long/teller.rs`. Waits are printed and not judged: that is the bench's.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "pooling/restarting.rs"]
mod restarting;
#[path = "long/teller.rs"]
mod teller;

use pgotter::cli::local_postgres::{LocalPostgres, SUPERUSER, SUPERUSER_PASSWORD};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{PgOtter, client_output, must, postgres, talk, world};
use teller::{Key, Outcome, Report, Teller};
use tokio_postgres::{Config, NoTls};

const DATABASE: &str = "bank";
const ACCOUNTS: i64 = 1000;
const OPENING_BALANCE: i64 = 10_000;
const SERVERS: u32 = 10;
/// Beyond the time the clients have: for what is under way when it ends, and for a machine that does other things too.
const GRACE: Duration = Duration::from_secs(60);
/// The seed of all that is random; a client adds its number to it.
const SEED: u64 = 0x5eed_0f07_7e25;

#[test]
#[ignore = "takes a minute: make test-long"]
fn many_clients_on_few_servers_lose_and_double_nothing() {
    let (clients, time) = (size("CLIENTS", 500), Duration::from_secs(size("SECONDS", 60)));
    println!("{clients} clients on {SERVERS} servers for {time:?}, seed {SEED:#x}");
    let server = postgres(&Default::default());
    open_the_bank(&server);
    let pooler = PgOtter::in_front_of(&server, &format!("default_pool_size = {SERVERS}\nquery_wait_timeout = \"55s\""));
    let reports = runtime().block_on(async {
        let all = run_clients(pooler.port(), clients, time);
        let (reports, servers_max) = watched(&server, tokio::time::timeout(time + GRACE, all)).await;
        assert!(servers_max <= SERVERS.into(), "{servers_max} servers at once");
        println!("servers at once: at most {servers_max}");
        reports.expect("the clients end in time")
    });
    print_summary(&reports, time, &pooler);
    let errors: Vec<&String> = reports.iter().flat_map(|report| &report.unexpected).collect();
    assert!(errors.is_empty(), "{} unexpected errors: {:#?}", errors.len(), &errors[..errors.len().min(20)]);
    assert!(reports.iter().all(|report| !report.transfers.is_empty()), "a client never got its turn");
    all_servers_become_idle(&server);
    the_books_balance(&server, &reports);
    let answer = client_output("psql", pooler.port(), &["-X", "-At", "-d", DATABASE, "-c", "SELECT 'still there'"]);
    assert_eq!(answer, "still there\n");
    assert!(!pooler.log().contains("panic"), "a task of the pooler panicked");
}

#[test]
#[ignore = "takes a minute: make test-long"]
fn twenty_restarts_under_a_thousand_idle_and_fifty_active_clients_drop_no_idle_one() {
    restarting::restart_under(1_000, 50, 20);
}

/// From the environment, as the Makefile sets it.
fn size(name: &str, default: u64) -> u64 {
    let name = format!("PGOTTER_LONG_{name}");
    std::env::var(&name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

fn runtime() -> tokio::runtime::Runtime {
    must(tokio::runtime::Builder::new_current_thread().enable_all().build())
}

fn config(port: u16, database: &str) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).dbname(database).user(SUPERUSER).password(SUPERUSER_PASSWORD);
    config
}

/// The ledger has no unique key, so that a transfer done twice is found and not refused.
fn open_the_bank(server: &LocalPostgres) {
    must(server.psql("postgres", &format!("CREATE DATABASE {DATABASE}")));
    must(server.psql(
        DATABASE,
        &format!(
            "CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
             CREATE TABLE ledger (key bigint NOT NULL, payer bigint NOT NULL, payee bigint NOT NULL, amount bigint NOT NULL);
             INSERT INTO account SELECT id, {OPENING_BALANCE} FROM generate_series(0, {ACCOUNTS} - 1) AS id;"
        ),
    ));
    must(server.wait_until("postgres", &format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE {IS_SERVER}")));
}

/// Which lines of pg_stat_activity are servers of the pool: nobody else uses this database while clients run, but the connection that
/// asks for the role where all servers are busy. While it logs in, it has no name and no state.
const IS_SERVER: &str = "datname = 'bank' AND backend_type = 'client backend' AND state IS NOT NULL \
     AND application_name <> 'pgotter role check'";

async fn run_clients(port: u16, clients: u64, time: Duration) -> Vec<Report> {
    let until = Instant::now() + time;
    let config = Arc::new(config(port, DATABASE));
    let tasks: Vec<_> = (0..clients)
        .map(|number| tokio::spawn(Teller::new(Arc::clone(&config), number, SEED, ACCOUNTS).work(until)))
        .collect();
    let mut reports = Vec::new();
    for task in tasks {
        reports.push(task.await.expect("a client does not panic"));
    }
    reports
}

/// Runs `work` and counts the servers all the while, in a thread of its own so that it is not late; the most there were.
async fn watched<T>(server: &LocalPostgres, work: impl Future<Output = T>) -> (T, i64) {
    let (port, done) = (server.port(), Arc::new(AtomicBool::new(false)));
    let seen_done = Arc::clone(&done);
    let watcher = std::thread::spawn(move || {
        runtime().block_on(async {
            let (client, connection) = must(config(port, "postgres").connect(NoTls).await);
            tokio::spawn(connection);
            let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE {IS_SERVER}");
            let mut most = 0;
            while !seen_done.load(Ordering::Relaxed) {
                most = most.max(must(client.query_one(&sql, &[]).await).get::<_, i64>(0));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            most
        })
    });
    let result = work.await;
    done.store(true, Ordering::Relaxed);
    (result, watcher.join().expect("the watcher does not panic"))
}

/// Servers are left neither inside a transaction nor with a statement running, and hold no lock.
fn all_servers_become_idle(server: &LocalPostgres) {
    let busy = format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE {IS_SERVER} AND state <> 'idle'");
    if let Err(error) = server.wait_until("postgres", &busy) {
        let what = "pid, state, wait_event, now() - xact_start, now() - query_start, now() - state_change, query";
        let list = format!("SELECT {what} FROM pg_stat_activity WHERE {IS_SERVER}");
        panic!("{error}\n{}", must(server.psql("postgres", &list)));
    }
    let servers = must(server.psql("postgres", &format!("SELECT count(*) FROM pg_stat_activity WHERE {IS_SERVER}")));
    println!("servers at the end: {servers}, all idle");
}

fn the_books_balance(server: &LocalPostgres, reports: &[Report]) {
    let total = psql_in_bank(server, "SELECT sum(balance) FROM account");
    assert_eq!(total, (ACCOUNTS * OPENING_BALANCE).to_string(), "money was made or lost");
    let wrong = psql_in_bank(
        server,
        &format!(
            "SELECT count(*) FROM account
             LEFT JOIN (SELECT payer AS id, sum(amount) AS paid FROM ledger GROUP BY payer) AS payer USING (id)
             LEFT JOIN (SELECT payee AS id, sum(amount) AS got FROM ledger GROUP BY payee) AS payee USING (id)
             WHERE balance <> {OPENING_BALANCE} - coalesce(paid, 0) + coalesce(got, 0)"
        ),
    );
    assert_eq!(wrong, "0", "accounts differ from what the ledger says of them");

    let mut in_ledger: HashMap<Key, u32> = HashMap::new();
    for line in psql_in_bank(server, "SELECT key FROM ledger").lines() {
        *in_ledger.entry(must(line.parse())).or_default() += 1;
    }
    let mut unheard_of = 0;
    for (key, outcome) in reports.iter().flat_map(|report| &report.transfers) {
        let times = in_ledger.remove(key).unwrap_or(0);
        match outcome {
            Outcome::Acknowledged => {
                assert_eq!(times, 1, "transfer {key} was acknowledged, and is there {times} times")
            }
            Outcome::Abandoned => assert_eq!(times, 0, "transfer {key} was never committed, and is there"),
            Outcome::Unknown => {
                assert!(times <= 1, "transfer {key} is there {times} times");
                unheard_of += times;
            }
        }
    }
    assert!(in_ledger.is_empty(), "transfers that nobody asked for: {in_ledger:?}");
    println!("the books balance; {unheard_of} transfers were committed that their clients did not hear of");
}

fn psql_in_bank(server: &LocalPostgres, sql: &str) -> String {
    must(server.psql(DATABASE, sql))
}

fn print_summary(reports: &[Report], time: Duration, pooler: &PgOtter) {
    let count = |wanted: Outcome| {
        reports.iter().flat_map(|report| &report.transfers).filter(|(_, outcome)| *outcome == wanted).count()
    };
    let (done, unknown, abandoned) = (count(Outcome::Acknowledged), count(Outcome::Unknown), count(Outcome::Abandoned));
    let vanished: u64 = reports.iter().map(|report| report.vanished).sum();
    println!(
        "{done} transfers acknowledged ({:.0} a second), {abandoned} abandoned, {unknown} with a COMMIT unanswered; \
         clients vanished {vanished} times",
        done as f64 / time.as_secs_f64()
    );
    let mut waits: Vec<Duration> = reports.iter().flat_map(|report| report.waits.iter().copied()).collect();
    waits.sort_unstable();
    let Some(longest) = waits.last() else { return };
    let mean = waits.iter().sum::<Duration>().as_secs_f64() / waits.len() as f64;
    let p99 = waits.get(waits.len() * 99 / 100).unwrap_or(longest).as_secs_f64();
    println!(
        "from BEGIN to its answer: mean {:.1} ms, p99 {:.1} ms ({:.2} x mean), longest {:.1} ms",
        mean * 1e3,
        p99 * 1e3,
        p99 / mean,
        longest.as_secs_f64() * 1e3
    );
    println!("pgotter: {} KiB resident, {:?} of CPU", pooler.resident_kib(), pooler.cpu());
}
