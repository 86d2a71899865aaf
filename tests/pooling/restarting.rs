//! PostgreSQL restarted again and again under clients that rest and clients that work: nobody's connection to us is lost, and
//! who was in the middle of something hears why. Its sizes are the caller's: small in `make test`, whole in `make test-long`.

use super::support::{PgOtter, SetAtEnd, must, postgres};
use super::talk::{Answer, Client};
use super::world::{PATIENCE, config, host};
use pgotter::cli::local_postgres::{LocalPostgres, Options, SUPERUSER, StopMode};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a client may hear while PostgreSQL goes away, is away, and comes back: PostgreSQL's own words, a connection that
/// was lost in or between statements, a wait in vain.
const EXPECTED: [&str; 5] = ["57P01", "57P02", "57P03", "08006", "08007"];

/// Five times what the first answer may take once PostgreSQL accepts.
const BACK: Duration = Duration::from_secs(5);

/// Restarts PostgreSQL `times` times, fast and immediate in turn, under so many clients.
pub fn restart_under(idle: usize, active: usize, times: usize) {
    let mut server = postgres(&Options::default());
    let pooler = PgOtter::start(|port| {
        let lines = "workers = 2\ndefault_pool_size = 20\nmax_client_conn = 2000\nquery_wait_timeout = \"20s\"";
        config(port, &host(&server), lines, "")
    });
    let port = pooler.port();
    let mut resting: Vec<Client> = (0..idle).map(|_| Client::connect(port, SUPERUSER, "postgres")).collect();
    resting.iter_mut().for_each(|client| assert_eq!(client.value("SELECT 1"), "1"));
    let over = AtomicBool::new(false);
    let heard = thread::scope(|scope| {
        let end = SetAtEnd(&over);
        let workers: Vec<_> = (0..active)
            .map(|number| {
                scope.spawn({
                    let over = &over;
                    move || work(port, number, over)
                })
            })
            .collect();
        for time in 0..times {
            restart(&mut server, if time % 2 == 0 { StopMode::Fast } else { StopMode::Immediate });
            let since = Instant::now();
            let number = time % resting.len();
            assert_eq!(resting[number].value("SELECT 'back'"), "back");
            assert!(since.elapsed() < BACK, "{:?} after the restart", since.elapsed());
            resting.iter().for_each(is_there);
        }
        drop(end);
        workers.into_iter().map(|worker| worker.join().unwrap()).collect::<Vec<_>>()
    });
    resting.iter_mut().for_each(|client| assert_eq!(client.value("SELECT 'never dropped'"), "never dropped"));
    let mut sum: BTreeMap<String, usize> = BTreeMap::new();
    heard.into_iter().flatten().for_each(|(code, count)| *sum.entry(code).or_default() += count);
    println!("{idle} idle and {active} active clients, {times} restarts: {sum:?}");
    assert!(sum.keys().all(|code| code == "served" || EXPECTED.contains(&&**code)), "{sum:?}");
    assert!(sum["served"] >= active, "{sum:?}");
    assert!(!pooler.log().contains("panicked"), "{}", pooler.log());
}

fn restart(server: &mut LocalPostgres, mode: StopMode) {
    must(server.stop(mode));
    must(server.start());
}

/// A client that rests has heard nothing, not even the end.
fn is_there(client: &Client) {
    client.stream.set_nonblocking(true).unwrap();
    let heard = client.stream.peek(&mut [0; 512]);
    assert!(heard.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{heard:?}");
    client.stream.set_nonblocking(false).unwrap();
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

/// Statements and transactions without a pause; what came of them, by SQLSTATE.
fn work(port: u16, number: usize, over: &AtomicBool) -> BTreeMap<String, usize> {
    let mut heard = BTreeMap::new();
    let mut client = None;
    while !over.load(Ordering::Relaxed) {
        let Some(mut own) = client.take().or_else(|| connect(port, &mut heard)) else { continue };
        let steps: &[&str] = if number.is_multiple_of(2) { &["SELECT 1"] } else { &["BEGIN", "SELECT 1", "COMMIT"] };
        let failed = steps.iter().map(|sql| own.query(sql)).find(|answer| !answer.errors.is_empty());
        match failed {
            None => *heard.entry("served".to_owned()).or_default() += 1,
            Some(answer) => {
                note(&answer, &mut heard);
                if answer.status.is_none() {
                    continue;
                }
                own.query("ROLLBACK");
            }
        }
        client = Some(own);
    }
    heard
}

fn connect(port: u16, heard: &mut BTreeMap<String, usize>) -> Option<Client> {
    let login = Client::try_connect(port, &[("user", SUPERUSER), ("database", "postgres")]);
    login.map_err(|answer| note(&answer, heard)).ok()
}

fn note(answer: &Answer, heard: &mut BTreeMap<String, usize>) {
    let code = answer.errors.first().map_or("closed without a word", |error| &error.code);
    *heard.entry(code.to_owned()).or_default() += 1;
}
