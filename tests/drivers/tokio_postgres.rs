//! tokio-postgres. It prepares by name in one round trip and uses the name in the next, so in transaction mode what has
//! parameters runs inside a transaction, or in one round trip with `query_typed`.

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, future};
use pgotter::cli::local_postgres::{SUPERUSER, SUPERUSER_PASSWORD};
use std::pin::pin;
use std::time::Duration;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls, Transaction};

/// Every promise, one after the other; panics at the first that is broken.
pub async fn everything(port: u16, session: bool) {
    let mut client = connect(port, "").await;
    statements(&client).await;
    if session {
        prepared_by_name(&client).await;
    }
    transactions(&mut client).await;
    copy(&mut client).await;
    cancel_and_errors(&client).await;
    must(client.batch_execute("DROP TABLE tokio_postgres").await);
    drop(client);
    startup_settings(port).await;
}

async fn connect(port: u16, application_name: &str) -> Client {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).dbname("postgres").user(SUPERUSER).password(SUPERUSER_PASSWORD);
    if !application_name.is_empty() {
        config.application_name(application_name);
    }
    let (client, connection) = must(config.connect(NoTls).await);
    tokio::spawn(connection);
    client
}

async fn statements(client: &Client) {
    must(client.batch_execute("SELECT 1; SELECT 2").await);
    let big = "x".repeat(3_000_000);
    let row = must(client.query_typed_one("SELECT $1 || 'y'", &[(&big, Type::TEXT)]).await);
    assert_eq!(row.get::<_, String>(0), big + "y");
    // Sent at once, without waiting in between.
    let numbers: Vec<i64> = (0..100).collect();
    let sums = numbers.iter().map(|number| async move {
        let row = must(client.query_typed_one("SELECT $1 + 1", &[(number, Type::INT8)]).await);
        row.get::<_, i64>(0)
    });
    assert_eq!(future::join_all(sums).await, (1..=100).collect::<Vec<i64>>());
}

async fn prepared_by_name(client: &Client) {
    let statement = must(client.prepare("SELECT $1::int * 2").await);
    for number in 0..5 {
        assert_eq!(must(client.query_one(&statement, &[&number]).await).get::<_, i32>(0), number * 2);
    }
}

async fn transactions(client: &mut Client) {
    must(client.batch_execute("CREATE TABLE tokio_postgres (id int PRIMARY KEY, text text)").await);
    let mut transaction = must(client.transaction().await);
    must(insert(&transaction, 1, "kept").await);
    let savepoint = must(transaction.savepoint("before").await);
    let error = insert(&savepoint, 1, "twice").await.expect_err("a duplicate key is refused");
    assert_eq!(error.as_db_error().and_then(|error| error.constraint()), Some("tokio_postgres_pkey"));
    must(savepoint.rollback().await);
    must(insert(&transaction, 2, "kept").await);
    must(transaction.commit().await);
    // A transaction that is dropped is rolled back.
    let transaction = must(client.transaction().await);
    must(transaction.execute("DELETE FROM tokio_postgres", &[]).await);
    drop(transaction);
    let transaction = must(client.transaction().await);
    let portal = must(transaction.bind("SELECT id FROM tokio_postgres ORDER BY id", &[]).await);
    let first = must(transaction.query_portal(&portal, 1).await);
    let rest = must(transaction.query_portal(&portal, 0).await);
    let ids: Vec<i32> = first.iter().chain(&rest).map(|row| row.get(0)).collect();
    assert_eq!((first.len(), ids), (1, vec![1, 2]));
    must(transaction.commit().await);
}

async fn insert(transaction: &Transaction<'_>, id: i32, text: &str) -> Result<u64, tokio_postgres::Error> {
    transaction.execute("INSERT INTO tokio_postgres VALUES ($1, $2)", &[&id, &text]).await
}

async fn copy(client: &mut Client) {
    let lines: Vec<String> = (1000..21_000).map(|id| format!("{id}\trow {id}\n")).collect();
    let transaction = must(client.transaction().await);
    let mut sink = pin!(must(transaction.copy_in("COPY tokio_postgres FROM STDIN").await));
    for line in &lines {
        must(sink.feed(Bytes::copy_from_slice(line.as_bytes())).await);
    }
    assert_eq!(must(sink.finish().await), 20_000);
    let sql = "COPY (SELECT * FROM tokio_postgres WHERE id >= 1000 ORDER BY id) TO STDOUT";
    let chunks: Vec<Bytes> = must(must(transaction.copy_out(sql).await).try_collect().await);
    assert_eq!(chunks.concat(), lines.concat().into_bytes());
    must(transaction.commit().await);
    // A COPY whose sink is dropped fails, and takes its transaction along.
    let transaction = must(client.transaction().await);
    drop(must(transaction.copy_in::<_, Bytes>("COPY tokio_postgres FROM STDIN").await));
    let error = transaction.batch_execute("SELECT 1").await.expect_err("the transaction failed");
    assert_eq!(error.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    must(transaction.rollback().await);
}

async fn cancel_and_errors(client: &Client) {
    let token = client.cancel_token();
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        must(token.cancel_query(NoTls).await);
    };
    let (slept, ()) = tokio::join!(client.batch_execute("SELECT pg_sleep(60)"), cancel);
    assert_eq!(slept.expect_err("it is cancelled").code(), Some(&SqlState::QUERY_CANCELED));
    let error = client.batch_execute("SELECT nothing FROM nowhere").await.expect_err("there is no such table");
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));
    must(client.batch_execute("SELECT 'lives on'").await);
}

/// Clients share servers, and each finds its own.
async fn startup_settings(port: u16) {
    let (first, second) = (connect(port, "first").await, connect(port, "second").await);
    for _ in 0..3 {
        for (client, name) in [(&first, "first"), (&second, "second")] {
            let row = must(client.query_typed_one("SELECT current_setting('application_name')", &[]).await);
            assert_eq!(row.get::<_, &str>(0), name);
        }
    }
}

/// tokio-postgres' errors show what they are only on demand.
#[track_caller]
fn must<T>(result: Result<T, tokio_postgres::Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}: {:?}", error.as_db_error()),
    }
}
