//! sqlx as it comes: settings of its own at login, every statement with parameters prepared by name and kept in a cache,
//! a pool that pings before it lends, migrations under an advisory lock. Connects as the PG… variables say.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row, SqlStr};
use std::time::Duration;

type Result<T = (), E = sqlx::Error> = std::result::Result<T, E>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = everything().await {
        eprintln!("{error:?}");
        std::process::exit(1);
    }
    println!("ok");
}

async fn everything() -> Result {
    let (mut one, mut other) = (connect(&[]).await?, connect(&[]).await?);
    statements(&mut one).await?;
    prepared(&mut one, &mut other).await?;
    transactions(&mut one).await?;
    copy(&mut one).await?;
    one.execute("DROP TABLE sqlx").await?;
    one.close().await?;
    other.close().await?;
    prepared_by_two().await?;
    startup_settings().await?;
    listen().await?;
    pool().await?;
    migrations().await
}

/// Never over TLS; with settings on top of the driver's own.
fn options(settings: &[(&str, &str)]) -> PgConnectOptions {
    PgConnectOptions::new().ssl_mode(sqlx::postgres::PgSslMode::Disable).options(settings.iter().copied())
}

async fn connect(settings: &[(&str, &str)]) -> Result<PgConnection> {
    options(settings).connect().await
}

async fn text(db: &mut PgConnection, sql: &'static str, parameter: &str) -> Result<String> {
    sqlx::query_scalar(sql).bind(parameter).fetch_one(db).await
}

async fn number(db: &mut PgConnection, sql: &'static str, parameter: i32) -> Result<i32> {
    sqlx::query_scalar(sql).bind(parameter).fetch_one(db).await
}

/// The SQLSTATE of what must fail.
fn code<T>(result: Result<T>) -> String {
    let error = result.err().expect("it fails");
    error.as_database_error().and_then(|error| error.code()).unwrap_or_else(|| panic!("{error:?}")).into_owned()
}

async fn statements(db: &mut PgConnection) -> Result {
    sqlx::raw_sql("SELECT 1; SELECT 2").execute(&mut *db).await?;
    let row =
        sqlx::query("SELECT $1::bytea, $2::text[]").bind(vec![0u8, 255]).bind(vec!["käse", "b"]).fetch_one(&mut *db);
    let row = row.await?;
    assert_eq!(row.get::<Vec<u8>, _>(0), [0, 255]);
    assert_eq!(row.get::<Vec<String>, _>(1), ["käse", "b"]);
    let big = "x".repeat(3_000_000);
    assert_eq!(text(db, "SELECT $1", &big).await?, big);
    Ok(())
}

/// Prepared once; used in and out of transactions, by two in turn, and behind errors; beyond the cache the oldest is closed.
async fn prepared(one: &mut PgConnection, other: &mut PgConnection) -> Result {
    for n in 1..20 {
        assert_eq!(number(one, "SELECT 10 / $1", n).await?, 10 / n);
        assert_eq!(number(other, "SELECT 20 / $1", n).await?, 20 / n);
        assert_eq!(code(number(one, "SELECT 10 / $1", 0).await), "22012");
        let mut transaction = one.begin().await?;
        assert_eq!(number(&mut transaction, "SELECT 10 / $1", n).await?, 10 / n);
        assert_eq!(code(number(&mut transaction, "SELECT 10 / $1", 0).await), "22012");
        assert_eq!(code(number(&mut transaction, "SELECT 10 / $1", 1).await), "25P02");
        transaction.rollback().await?;
    }
    assert_eq!(code(number(one, "SELECT nothing FROM nowhere WHERE 1 = $1", 1).await), "42P01");
    one.clear_cached_statements().await?;
    assert_eq!(number(one, "SELECT 10 / $1", 1).await?, 10);
    let mut small = options(&[]).statement_cache_capacity(3).connect().await?;
    for _ in 0..3 {
        for n in 0..10 {
            let sql = AssertSqlSafe(format!("SELECT {n} + $1"));
            let sum: i32 = sqlx::query_scalar(sql).bind(1).fetch_one(&mut small).await?;
            assert_eq!(sum, n + 1);
        }
    }
    small.close().await?;
    // Unnamed, when the driver is told not to keep it.
    for n in 0..5 {
        let sum: i32 = sqlx::query_scalar("SELECT $1 + 7").bind(n).persistent(false).fetch_one(&mut *one).await?;
        assert_eq!(sum, n + 7);
        assert_eq!(number(other, "SELECT $1 + 8", n).await?, n + 8);
    }
    Ok(())
}

async fn transactions(db: &mut PgConnection) -> Result {
    db.execute("CREATE TABLE sqlx (id int PRIMARY KEY, text text)").await?;
    let insert = |id: i32, text: &'static str| sqlx::query("INSERT INTO sqlx VALUES ($1, $2)").bind(id).bind(text);
    let mut transaction = db.begin().await?;
    insert(1, "kept").execute(&mut *transaction).await?;
    let mut savepoint = transaction.begin().await?;
    assert_eq!(code(insert(1, "twice").execute(&mut *savepoint).await), "23505");
    savepoint.rollback().await?;
    insert(2, "kept").execute(&mut *transaction).await?;
    transaction.commit().await?;
    // A transaction that is dropped is rolled back in front of the next statement.
    let mut transaction = db.begin().await?;
    transaction.execute("DELETE FROM sqlx").await?;
    drop(transaction);
    let mut transaction = db.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY").await?;
    assert_eq!(text(&mut transaction, "SELECT current_setting($1)", "transaction_isolation").await?, "serializable");
    transaction.commit().await?;
    assert_eq!(number(db, "SELECT count(*)::int FROM sqlx WHERE id >= $1", 1).await?, 2);
    // A changed result type: the driver passes the error on; a new text is a new statement.
    let all = sqlx::query("SELECT * FROM sqlx WHERE id = $1").bind(1).fetch_one(&mut *db).await?;
    assert_eq!(all.len(), 2);
    db.execute("ALTER TABLE sqlx ADD COLUMN more int").await?;
    assert_eq!(code(sqlx::query("SELECT * FROM sqlx WHERE id = $1").bind(1).fetch_one(&mut *db).await), "0A000");
    db.execute("ALTER TABLE sqlx DROP COLUMN more").await?;
    Ok(())
}

async fn copy(db: &mut PgConnection) -> Result {
    let lines: String = (1000..21_000).map(|id| format!("{id}\trow {id}\n")).collect();
    let mut into = db.copy_in_raw("COPY sqlx FROM STDIN").await?;
    into.send(lines.as_bytes()).await?;
    assert_eq!(into.finish().await?, 20_000);
    let mut into = db.copy_in_raw("COPY sqlx FROM STDIN").await?;
    into.send(b"7\tlost\n".as_slice()).await?;
    into.abort("the client gives up").await?;
    assert_eq!(number(db, "SELECT count(*)::int FROM sqlx WHERE id = $1", 7).await?, 0);
    Ok(())
}

/// The same text under other settings is another statement.
async fn prepared_by_two() -> Result {
    let mut home = connect(&[]).await?;
    for name in ["here", "there"] {
        let table = format!("CREATE TABLE sqlx_{name}.place AS SELECT '{name}' AS name");
        home.execute(AssertSqlSafe(format!("CREATE SCHEMA sqlx_{name}; {table}"))).await?;
    }
    let mut here = connect(&[("search_path", "sqlx_here"), ("IntervalStyle", "iso_8601")]).await?;
    let mut there = connect(&[("search_path", "sqlx_there")]).await?;
    let (place, hours) = ("SELECT name FROM place WHERE name <> $1", "SELECT ($1 || ' hours')::interval::text");
    for _ in 0..5 {
        assert_eq!(text(&mut here, place, "").await?, "here");
        assert_eq!(text(&mut there, place, "").await?, "there");
        assert_eq!(text(&mut here, hours, "2").await?, "PT2H");
        assert_eq!(text(&mut there, hours, "2").await?, "02:00:00");
    }
    here.execute("SET search_path = sqlx_there").await?;
    assert_eq!(text(&mut here, place, "").await?, "there");
    here.execute("RESET search_path").await?;
    assert_eq!(text(&mut here, place, "").await?, "here");
    home.execute("DROP SCHEMA sqlx_here, sqlx_there CASCADE").await?;
    for db in [home, here, there] {
        db.close().await?;
    }
    Ok(())
}

/// Clients share servers, and each finds its own. The driver itself sends DateStyle, TimeZone and extra_float_digits.
async fn startup_settings() -> Result {
    let settings = [("statement_timeout", "12000"), ("work_mem", "7MB"), ("app.tenant", "4711")];
    let mut first = options(&settings).application_name("first").connect().await?;
    let mut second = options(&[]).application_name("second").extra_float_digits(None).connect().await?;
    let shown = "SELECT coalesce(current_setting($1, true), '')";
    for _ in 0..3 {
        for (name, mine, theirs) in [
            ("application_name", "first", "second"),
            ("statement_timeout", "12s", "0"),
            ("work_mem", "7MB", "4MB"),
            ("app.tenant", "4711", ""),
            ("extra_float_digits", "2", "1"),
            ("TimeZone", "UTC", "UTC"),
        ] {
            assert_eq!(text(&mut first, shown, name).await?, mine, "{name}");
            assert_eq!(text(&mut second, shown, name).await?, theirs, "{name}");
        }
    }
    first.close().await?;
    second.close().await
}

async fn listen() -> Result {
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options(&[])).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen_all(["sqlx", "sqlx other"]).await?;
    for n in 0..5 {
        sqlx::query("SELECT pg_notify('sqlx', $1)").bind(n.to_string()).execute(&pool).await?;
    }
    for n in 0..5 {
        let heard =
            tokio::time::timeout(Duration::from_secs(20), listener.recv()).await.expect("it is heard in time")?;
        assert_eq!((heard.channel(), heard.payload()), ("sqlx", n.to_string().as_str()));
    }
    listener.unlisten("sqlx").await?;
    pool.execute("NOTIFY sqlx, 'to nobody'").await?;
    pool.execute("NOTIFY \"sqlx other\", 'last'").await?;
    let heard = tokio::time::timeout(Duration::from_secs(20), listener.recv()).await.expect("it is heard in time")?;
    assert_eq!(heard.payload(), "last");
    drop(listener);
    pool.close().await;
    Ok(())
}

/// Pings before it lends; a setting for each connection behind its login.
async fn pool() -> Result {
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .after_connect(|db, _| Box::pin(async move { db.execute("SET search_path = pg_catalog").await.map(drop) }));
    let pool = pool.connect_with(options(&[])).await?;
    let mut tasks = Vec::new();
    for n in 0..100 {
        let pool = pool.clone();
        tasks.push(tokio::spawn(async move {
            let mut transaction = pool.begin().await?;
            let sum = number(&mut transaction, "SELECT $1 + 1", n).await?;
            let path = text(&mut transaction, "SELECT current_setting($1)", "search_path").await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>((sum - n, path))
        }));
    }
    for task in tasks {
        assert_eq!(task.await.expect("no task panics")?, (1, "pg_catalog".to_owned()));
    }
    pool.close().await;
    Ok(())
}

/// Two migrators at once: a session's advisory lock lets one of them do the work.
async fn migrations() -> Result {
    let step =
        |version, sql| Migration::new(version, "step".into(), MigrationType::Simple, SqlStr::from_static(sql), false);
    let table = step(1, "CREATE TABLE sqlx_author (id serial PRIMARY KEY, name text)");
    let index = step(2, "CREATE INDEX sqlx_author_name ON sqlx_author (name)");
    let migrator = Migrator::with_migrations(vec![table, index]);
    let (mut one, mut other) = (connect(&[]).await?, connect(&[]).await?);
    let (mine, theirs) = tokio::join!(migrator.run(&mut one), migrator.run(&mut other));
    mine.and(theirs).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(number(&mut one, "SELECT count(*)::int FROM _sqlx_migrations WHERE version > $1", 0).await?, 2);
    let locks = "SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND objsubid >= $1";
    assert_eq!(number(&mut other, locks, 0).await?, 0);
    one.execute("DROP TABLE sqlx_author, _sqlx_migrations").await?;
    one.close().await?;
    other.close().await
}
