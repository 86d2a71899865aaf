//! One client: transfers, one after the other, over connections that now and then vanish.
//!
//! Writes down what it was told and judges nothing but errors.

use crate::support::random::Random;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// A transfer's own number: the client's and a running one.
pub type Key = i64;
/// One wait in this many is a client's last.
const VANISH_EVERY: u64 = 40;
/// One transaction in this many meets an error of its own making.
const FAIL_EVERY: u64 = 50;
/// More than one would be told apart by nothing.
const ERRORS_MAX: usize = 3;

/// What a client knows of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// COMMIT was answered.
    Acknowledged,
    /// COMMIT was sent, and the client vanished.
    Unknown,
    /// COMMIT was not sent.
    Abandoned,
}

/// What one client saw.
#[derive(Default)]
pub struct Report {
    /// Every transfer it began.
    pub transfers: Vec<(Key, Outcome)>,
    /// From sending BEGIN to its answer: the wait for a server, and one round trip.
    pub waits: Vec<Duration>,
    /// How often it left without a word.
    pub vanished: u64,
    /// Errors that it did not cause itself, in words. After three it gives up.
    pub unexpected: Vec<String>,
}

/// Odd numbers use the extended protocol, even ones the simple one.
pub struct Teller {
    config: Arc<Config>,
    number: u64,
    random: Random,
    accounts: i64,
    report: Report,
}

/// Where in a transaction a client vanishes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vanish {
    WaitingForAServer,
    BetweenStatements,
    WhileAStatementRuns,
    WaitingForCommit,
    Never,
}

/// How a transaction ended for the connection.
enum End {
    Stays,
    Vanishes,
}

impl Teller {
    /// `number` tells it from the other clients; accounts are 0 to `accounts` - 1.
    pub fn new(config: Arc<Config>, number: u64, seed: u64, accounts: i64) -> Self {
        Self { config, number, random: Random(seed.wrapping_add(number)), accounts, report: Report::default() }
    }

    /// Makes transfers until `until`, and finishes the one it is in.
    pub async fn work(mut self, until: Instant) -> Report {
        while Instant::now() < until && self.report.unexpected.len() < ERRORS_MAX {
            if let Err(error) = self.live(until).await {
                self.report.unexpected.push(format!("client {}: {}", self.number, in_words(&error)));
            }
        }
        self.report
    }

    /// One connection, from its login to its end.
    async fn live(&mut self, until: Instant) -> Result<(), tokio_postgres::Error> {
        let connected = Connected::open(&self.config).await?;
        while Instant::now() < until {
            if let End::Vanishes = self.transfer(&connected.client).await? {
                self.report.vanished += 1;
                connected.vanish();
                return Ok(());
            }
        }
        connected.leave().await;
        Ok(())
    }

    async fn transfer(&mut self, client: &Client) -> Result<End, tokio_postgres::Error> {
        let vanish = self.whether_to_vanish();
        let begun = Instant::now();
        let begin = client.batch_execute("BEGIN");
        if vanish == Vanish::WaitingForAServer {
            // Not long enough to be sure of anything: it may have a server by then or not.
            let _ = tokio::time::timeout(self.moment(), begin).await;
            return Ok(End::Vanishes);
        }
        begin.await?;
        self.report.waits.push(begun.elapsed());
        let key = self.next_key();
        // Abandoned until it is known better, so that an error on the way leaves it written down.
        self.report.transfers.push((key, Outcome::Abandoned));
        if self.random.one_in(FAIL_EVERY) {
            return self.fail(client).await;
        }
        self.pay(client, key).await?;
        match vanish {
            Vanish::BetweenStatements => Ok(End::Vanishes),
            Vanish::WhileAStatementRuns => {
                let long = client.batch_execute("SELECT pg_sleep(600)");
                let _ = tokio::time::timeout(self.moment(), long).await;
                Ok(End::Vanishes)
            }
            Vanish::WaitingForCommit => {
                self.ended(Outcome::Unknown);
                tokio::select! {
                    biased;
                    answered = client.batch_execute("COMMIT") => {
                        answered?;
                        self.ended(Outcome::Acknowledged);
                    }
                    () = turns(self.random.next() % 8) => {}
                }
                Ok(End::Vanishes)
            }
            Vanish::WaitingForAServer | Vanish::Never => {
                // Should this fail, nobody can say whether it was done.
                self.ended(Outcome::Unknown);
                client.batch_execute("COMMIT").await?;
                self.ended(Outcome::Acknowledged);
                Ok(End::Stays)
            }
        }
    }

    /// The lower account first, so that no two clients wait for each other.
    async fn pay(&mut self, client: &Client, key: Key) -> Result<(), tokio_postgres::Error> {
        let (payer, payee, amount) = (self.account(), self.account(), self.below(100));
        let mut changes = [(payer, -amount), (payee, amount)];
        changes.sort_unstable();
        for (account, change) in changes {
            if self.number % 2 == 1 {
                let sql = "UPDATE account SET balance = balance + $1 WHERE id = $2 RETURNING id";
                let row = client.query_typed_one(sql, &typed(&[&change, &account])).await?;
                assert_eq!(row.get::<_, i64>(0), account, "somebody else's answer");
            } else {
                let sql = format!("UPDATE account SET balance = balance + {change} WHERE id = {account} RETURNING id");
                let answer = client.simple_query(&sql).await?;
                let row = answer.iter().find_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get(0),
                    _ => None,
                });
                assert_eq!(row, Some(account.to_string().as_str()), "somebody else's answer");
            }
        }
        if self.number % 2 == 1 {
            let line: [&(dyn ToSql + Sync); 4] = [&key, &payer, &payee, &amount];
            client.query_typed("INSERT INTO ledger VALUES ($1, $2, $3, $4)", &typed(&line)).await?;
        } else {
            client.batch_execute(&format!("INSERT INTO ledger VALUES ({key}, {payer}, {payee}, {amount})")).await?;
        }
        Ok(())
    }

    /// An error of one's own, and the way out of it.
    async fn fail(&mut self, client: &Client) -> Result<End, tokio_postgres::Error> {
        match client.batch_execute("SELECT 1 / 0").await {
            Err(error) if error.code().is_some_and(|code| code.code() == "22012") => {}
            Err(error) => return Err(error),
            Ok(()) => self.report.unexpected.push(format!("client {}: 1 / 0 has a result", self.number)),
        }
        client.batch_execute("ROLLBACK").await?;
        Ok(End::Stays)
    }

    fn ended(&mut self, outcome: Outcome) {
        if let Some(transfer) = self.report.transfers.last_mut() {
            transfer.1 = outcome;
        }
    }

    fn next_key(&self) -> Key {
        let (client, running) = (must_fit(self.number), must_fit(self.report.transfers.len() as u64));
        client * 1_000_000_000 + running
    }

    fn whether_to_vanish(&mut self) -> Vanish {
        if !self.random.one_in(VANISH_EVERY) {
            return Vanish::Never;
        }
        match self.random.next() % 4 {
            0 => Vanish::WaitingForAServer,
            1 => Vanish::BetweenStatements,
            2 => Vanish::WhileAStatementRuns,
            _ => Vanish::WaitingForCommit,
        }
    }

    /// Around the time that a statement takes.
    fn moment(&mut self) -> Duration {
        Duration::from_micros(self.random.next() % 5000)
    }

    fn account(&mut self) -> i64 {
        self.below(self.accounts)
    }

    fn below(&mut self, bound: i64) -> i64 {
        must_fit(self.random.next() % bound.unsigned_abs())
    }
}

/// A connection, and the task that moves its bytes.
struct Connected {
    client: Client,
    task: JoinHandle<()>,
}

impl Connected {
    async fn open(config: &Config) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = config.connect(NoTls).await?;
        // What ends the connection is heard by whoever has a request under way.
        let task = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { client, task })
    }

    /// Closes the socket, whatever is under way. No Terminate is sent.
    fn vanish(self) {
        self.task.abort();
    }

    /// Terminate, then close.
    async fn leave(self) {
        drop(self.client);
        let _ = self.task.await;
    }
}

/// All parameters of this suite are bigint. Naming the type makes it one round trip with an unnamed statement.
fn typed<'a>(values: &[&'a (dyn ToSql + Sync)]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    values.iter().map(|value| (*value, Type::INT8)).collect()
}

fn in_words(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refused) => format!("{} {} ({:?})", refused.code().code(), refused.message(), refused.detail()),
        None => error.to_string(),
    }
}

/// Lets the other tasks of this thread have that many turns. Much shorter than any timer: COMMIT is quick.
async fn turns(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

fn must_fit(number: u64) -> i64 {
    i64::try_from(number).expect("a small number")
}
