//! tokio-postgres as it comes: it prepares by name in one round trip, uses the name in the next ones, in and out of
//! transactions, and closes it when the statement is dropped.

use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, future};
use pgotter::cli::local_postgres::{SUPERUSER, SUPERUSER_PASSWORD};
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Kind, ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Transaction};

/// Every promise, one after the other; panics at the first that is broken.
pub async fn everything(port: u16) {
    let mut client = connect(port, "").await;
    let other = connect(port, "").await;
    statements(&client).await;
    prepared_by_name(&mut client, &other).await;
    own_types(&client, &other).await;
    transactions(&mut client).await;
    copy(&mut client).await;
    cancel_and_errors(&client).await;
    must(client.batch_execute("DROP TABLE tokio_postgres").await);
    drop(client);
    prepared_by_two(port).await;
    startup_settings(port).await;
    listen(port).await;
}

/// `options` as in `-c name=value`.
async fn connect(port: u16, options: &str) -> Client {
    connect_hearing(port, options).await.0
}

/// With the payloads of what its connection is notified of.
async fn connect_hearing(port: u16, options: &str) -> (Client, UnboundedReceiver<String>) {
    let mut config = Config::new();
    config.host("127.0.0.1").port(port).dbname("postgres").user(SUPERUSER).password(SUPERUSER_PASSWORD);
    if !options.is_empty() {
        config.options(options);
    }
    let (client, mut connection) = must(config.connect(NoTls).await);
    let (heard, hear) = unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message {
                let _ = heard.send(notification.payload().to_owned());
            }
        }
    });
    (client, hear)
}

async fn text(client: &Client, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> String {
    must(client.query_one(sql, parameters).await).get(0)
}

async fn statements(client: &Client) {
    must(client.batch_execute("SELECT 1; SELECT 2").await);
    let big = "x".repeat(3_000_000);
    assert_eq!(text(client, "SELECT $1 || 'y'", &[&big]).await, big.clone() + "y");
    let row = must(client.query_typed_one("SELECT $1 || 'y'", &[(&big, Type::TEXT)]).await);
    assert_eq!(row.get::<_, String>(0), big + "y");
    // Sent at once, without waiting in between: unnamed in one round trip, and named.
    let numbers: Vec<i64> = (0..100).collect();
    let sums = numbers.iter().map(|number| async move {
        let unnamed = must(client.query_typed_one("SELECT $1 + 1", &[(number, Type::INT8)]).await);
        let named = must(client.query_one("SELECT $1::int8 + 1", &[number]).await);
        assert_eq!(unnamed.get::<_, i64>(0), named.get::<_, i64>(0));
        named.get::<_, i64>(0)
    });
    assert_eq!(future::join_all(sums).await, (1..=100).collect::<Vec<i64>>());
}

/// Prepared once; used in and out of transactions, by two in turn, and behind errors.
async fn prepared_by_name(client: &mut Client, other: &Client) {
    let mine = must(client.prepare("SELECT 10 / $1::int").await);
    let theirs = must(other.prepare("SELECT 20 / $1::int").await);
    for number in 1..20 {
        assert_eq!(must(client.query_one(&mine, &[&number]).await).get::<_, i32>(0), 10 / number);
        assert_eq!(must(other.query_one(&theirs, &[&number]).await).get::<_, i32>(0), 20 / number);
        let error = client.query_one(&mine, &[&0]).await.expect_err("division by zero");
        assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO));
        let transaction = must(client.transaction().await);
        assert_eq!(must(transaction.query_one(&mine, &[&number]).await).get::<_, i32>(0), 10 / number);
        let within = must(transaction.prepare("SELECT 30 / $1::int").await);
        must(transaction.rollback().await);
        assert_eq!(must(client.query_one(&within, &[&number]).await).get::<_, i32>(0), 30 / number);
    }
    // All at once: what stands behind an error has a Sync of its own.
    let divisors = [1, 0, 2, 0, 5];
    let mine = &mine;
    let client = &*client;
    let results = future::join_all(divisors.iter().map(|by| async move { client.query_one(mine, &[by]).await })).await;
    let quotients: Vec<Option<i32>> = results.into_iter().map(|result| result.ok().map(|row| row.get(0))).collect();
    assert_eq!(quotients, [Some(10), None, Some(5), None, Some(2)]);
    let error = client.prepare("SELECT nothing FROM nowhere WHERE 1 = $1").await.expect_err("there is no such table");
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE));
}

/// For a type it does not know the driver asks the catalog, with statements that it prepares and keeps.
async fn own_types(client: &Client, other: &Client) {
    must(client.batch_execute("CREATE TYPE tokio_postgres_mood AS ENUM ('sad', 'glad')").await);
    for client in [client, other] {
        let statement = must(client.prepare("SELECT $1::tokio_postgres_mood[]").await);
        let Kind::Array(mood) = statement.params()[0].kind() else { panic!("{:?}", statement.params()) };
        assert_eq!(mood.kind(), &Kind::Enum(vec!["sad".into(), "glad".into()]));
    }
    must(client.batch_execute("DROP TYPE tokio_postgres_mood").await);
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
    let mut sink = pin!(must(client.copy_in("COPY tokio_postgres FROM STDIN").await));
    for line in &lines {
        must(sink.feed(Bytes::copy_from_slice(line.as_bytes())).await);
    }
    assert_eq!(must(sink.finish().await), 20_000);
    let sql = "COPY (SELECT * FROM tokio_postgres WHERE id >= 1000 ORDER BY id) TO STDOUT";
    let chunks: Vec<Bytes> = must(must(client.copy_out(sql).await).try_collect().await);
    assert_eq!(chunks.concat(), lines.concat().into_bytes());
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

/// The same text under other settings is another statement.
async fn prepared_by_two(port: u16) {
    let home = connect(port, "").await;
    let place = "SELECT name FROM place WHERE name <> $1";
    for name in ["here", "there"] {
        let table = format!("CREATE TABLE tokio_{name}.place AS SELECT '{name}' AS name");
        must(home.batch_execute(&format!("CREATE SCHEMA tokio_{name}; {table}")).await);
    }
    let here = connect(port, "-c search_path=tokio_here -c TimeZone=Asia/Tokyo").await;
    let there = connect(port, "-c search_path=tokio_there -c TimeZone=America/New_York").await;
    let [in_here, in_there] = [must(here.prepare(place).await), must(there.prepare(place).await)];
    for _ in 0..5 {
        for (client, statement, name, hour) in [(&here, &in_here, "here", " 09:"), (&there, &in_there, "there", " 20:")]
        {
            assert_eq!(must(client.query_one(statement, &[&""]).await).get::<_, &str>(0), name);
            let when = text(client, "SELECT ($1 || '-07-02 00:00+00')::timestamptz::text", &[&"2026"]).await;
            assert!(when.contains(hour), "{when}");
        }
    }
    must(here.batch_execute("SET search_path = tokio_there").await);
    assert_eq!(must(here.query_one(&in_here, &[&""]).await).get::<_, &str>(0), "there");
    must(here.batch_execute("RESET search_path").await);
    assert_eq!(must(here.query_one(&in_here, &[&""]).await).get::<_, &str>(0), "here");
    must(home.batch_execute("DROP SCHEMA tokio_here, tokio_there CASCADE").await);
}

/// Clients share servers, and each finds its own.
async fn startup_settings(port: u16) {
    let first = connect(port, "-c application_name=first -c statement_timeout=12000 -c app.tenant=4711").await;
    let second = connect(port, "-c application_name=second -c work_mem=7MB").await;
    let shown = "SELECT coalesce(current_setting($1, true), '')";
    for _ in 0..3 {
        for (name, mine, theirs) in
            [("application_name", "first", "second"), ("statement_timeout", "12s", "0"), ("work_mem", "4MB", "7MB")]
        {
            assert_eq!(text(&first, shown, &[&name]).await, mine);
            assert_eq!(text(&second, shown, &[&name]).await, theirs);
        }
        assert_eq!(text(&first, shown, &[&"app.tenant"]).await, "4711");
        assert_eq!(text(&second, shown, &[&"app.tenant"]).await, "");
    }
}

/// Each listener hears each notification once and in order.
async fn listen(port: u16) {
    let (one, mut hear_one) = connect_hearing(port, "").await;
    let (other, mut hear_other) = connect_hearing(port, "").await;
    let speaker = connect(port, "").await;
    for client in [&one, &other] {
        must(client.batch_execute("LISTEN tokio_postgres").await);
    }
    for number in 0..5 {
        must(speaker.execute("SELECT pg_notify('tokio_postgres', $1)", &[&number.to_string()]).await);
    }
    for hear in [&mut hear_one, &mut hear_other] {
        for number in 0..5 {
            let heard = tokio::time::timeout(Duration::from_secs(20), hear.recv()).await;
            assert_eq!(heard.expect("it is heard in time"), Some(number.to_string()));
        }
    }
    must(other.batch_execute("UNLISTEN *").await);
    must(one.batch_execute("NOTIFY tokio_postgres, 'my own'").await);
    let heard = tokio::time::timeout(Duration::from_secs(20), hear_one.recv()).await;
    assert_eq!(heard.expect("it is heard in time").as_deref(), Some("my own"));
    must(other.batch_execute("SELECT 1").await);
    assert!(hear_other.try_recv().is_err(), "who listens no longer hears nothing");
}

/// tokio-postgres' errors show what they are only on demand.
#[track_caller]
fn must<T>(result: Result<T, tokio_postgres::Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}: {:?}", error.as_db_error()),
    }
}
