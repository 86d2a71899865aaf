//! What prometheus-community's pgbouncer_exporter asks, it is answered as it can read it. It scans columns by name and type: what is no
//! number there fails its scrape, and so does a label of a type that it does not know.
//!
//! Source: pgbouncer_exporter 0.11, `collector.go`; lib/pq, `encode.go`.

use super::table::{BOSS, Table, WATCHER, console, pgotter, show};
use super::talk::{Client, query};
use super::world::{cluster, eventually, fresh_role, host};
use crate::support::{client_output, raw};

const DATABASES: Map = Map {
    statement: "SHOW databases;",
    labels: &["name", "host", "port", "database", "force_user", "pool_mode"],
    numbers: &["pool_size", "max_connections", "current_connections", "paused", "disabled"],
};
const STATS: Map = Map {
    statement: "SHOW stats_totals;",
    labels: &["database"],
    numbers: &[
        "query_count",
        "query_time",
        "bytes_received",
        "bytes_sent",
        "wait_time",
        "xact_count",
        "xact_time",
        "client_parse_count",
        "server_parse_count",
        "bind_count",
    ],
};
const POOLS: Map = Map {
    statement: "SHOW pools;",
    labels: &["database", "user"],
    numbers: &[
        "cl_active",
        "cl_active_cancel_req",
        "cl_waiting",
        "cl_waiting_cancel_req",
        "sv_active",
        "sv_active_cancel",
        "sv_being_canceled",
        "sv_idle",
        "sv_used",
        "sv_tested",
        "sv_login",
        "maxwait",
    ],
};
const LISTS: [&str; 11] = [
    "databases",
    "users",
    "pools",
    "free_clients",
    "used_clients",
    "login_clients",
    "free_servers",
    "used_servers",
    "dns_names",
    "dns_zones",
    "dns_queries",
];

/// One of its maps of columns.
struct Map {
    statement: &'static str,
    labels: &'static [&'static str],
    numbers: &'static [&'static str],
}

/// What lib/pq makes of a value in text: the types that the exporter knows.
#[derive(Debug, PartialEq)]
enum Scanned {
    Int64(i64),
    Text(String),
    Bytes(String),
    Nil,
}

fn scan(oid: u32, value: Option<&str>) -> Scanned {
    let Some(value) = value else { return Scanned::Nil };
    match oid {
        20 | 21 | 23 => Scanned::Int64(value.parse().unwrap_or_else(|_| panic!("{value:?} is no integer"))),
        25 | 1043 => Scanned::Text(value.to_owned()),
        // numeric is one of those that it leaves as they are.
        _ => Scanned::Bytes(value.to_owned()),
    }
}

/// Its `dbToFloat64`; NaN: it is NULL.
fn number(scanned: &Scanned) -> f64 {
    match scanned {
        Scanned::Int64(number) => *number as f64,
        Scanned::Text(text) | Scanned::Bytes(text) => text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")),
        Scanned::Nil => f64::NAN,
    }
}

impl Map {
    fn read(&self, table: &Table) {
        assert!(!table.rows.is_empty(), "{} shows nothing", self.statement);
        let place = |name: &str| {
            let mut places = (0..table.columns.len()).filter(|place| table.columns[*place].0 == name);
            let place = places.next().unwrap_or_else(|| panic!("{} has no {name}", self.statement));
            assert_eq!(places.next(), None, "{} has {name} twice", self.statement);
            place
        };
        for row in &table.rows {
            let cell = |name: &str| scan(table.columns[place(name)].1, row[place(name)].as_deref());
            for label in self.labels {
                let found = cell(label);
                assert!(!matches!(found, Scanned::Bytes(_)), "{} {label} is {found:?}", self.statement);
            }
            for name in self.numbers {
                let found = number(&cell(name));
                assert!(found >= 0.0 && found.is_finite(), "{} {name} is {found}", self.statement);
            }
        }
    }
}

/// As lib/pq logs in and sends what has no arguments: a Query.
fn exporter(port: u16, user: &str) -> Client {
    let parameters = [
        ("user", user),
        ("database", "pgbouncer"),
        ("client_encoding", "UTF8"),
        ("datestyle", "ISO, MDY"),
        ("extra_float_digits", "2"),
    ];
    Client::connect_with(port, &parameters)
}

fn asked(exporter: &mut Client, statement: &str) -> Table {
    show(exporter, statement.strip_prefix("SHOW ").expect("it shows something"))
}

#[test]
fn the_exporter_is_answered_as_it_reads_it() {
    let shop = format!(
        "[databases.shop]\ndbname = \"postgres\"\nhosts = [\"{}\"]\npool_mode = \"session\"\nuser = \"{}\"\n",
        host(cluster()),
        fresh_role()
    );
    let pooler = pgotter("", &shop);
    let role = fresh_role();
    let mut clients = ["postgres", "shop"].map(|database| Client::connect(pooler.port(), &role, database));
    clients.iter_mut().for_each(|client| assert_eq!(client.value("SELECT 1"), "1"));
    // Who may only look is enough for it.
    for user in [BOSS, WATCHER] {
        let mut exporter = exporter(pooler.port(), user);
        // Its ping.
        assert!(!asked(&mut exporter, "SHOW STATS").rows.is_empty());
        let version = asked(&mut exporter, "SHOW VERSION;");
        assert_eq!(version.columns, [("version".to_owned(), 25)]);
        let lists = asked(&mut exporter, "SHOW LISTS;");
        assert_eq!(lists.columns.len(), 2);
        for list in LISTS {
            let row = lists.rows.iter().find(|row| row[0].as_deref() == Some(list));
            let items = row.unwrap_or_else(|| panic!("no {list} in {lists:?}"))[1].as_deref();
            assert!(number(&scan(lists.columns[1].1, items)) >= 0.0, "{list}");
        }
        let config = asked(&mut exporter, "SHOW CONFIG;");
        let names: Vec<_> = config.columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["key", "value", "default", "changeable"]);
        // The key and whether it can be changed are scanned into a string each, which takes no NULL.
        assert!(config.rows.iter().all(|row| row[0].is_some() && row[3].is_some()), "{config:?}");
        for key in ["max_client_conn", "max_user_connections"] {
            let row = config.rows.iter().find(|row| row[0].as_deref() == Some(key));
            let value = row.unwrap_or_else(|| panic!("no {key}"))[1].as_deref();
            assert!(number(&scan(config.columns[1].1, value)) >= 0.0, "{key}");
        }
        for map in [DATABASES, STATS, POOLS] {
            map.read(&asked(&mut exporter, map.statement));
        }
    }
}

#[test]
fn psql_and_tokio_postgres_read_the_same() {
    let pooler = pgotter("", "");
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    client.value("SELECT 1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for Map { statement, labels, numbers } in [DATABASES, STATS, POOLS] {
        let login = ["-X", "-A", "-F", "\u{1}", "-P", "footer=off", "-U", WATCHER, "-d", "pgbouncer", "-c", statement];
        let printed = client_output("psql", pooler.port(), &login);
        let mut lines = printed.lines().map(|line| line.split('\u{1}').map(str::to_owned).collect::<Vec<_>>());
        let names = lines.next().unwrap_or_default();
        let of_psql: Vec<_> = lines.collect();
        let (columns, rows) = runtime.block_on(simple(pooler.port(), statement));
        assert_eq!(columns, names, "{statement}");
        assert_eq!(rows.len(), of_psql.len(), "{statement}");
        assert!(rows.iter().any(|row| row[0].as_deref() == Some("postgres")), "{statement}: {rows:?}");
        for name in labels.iter().chain(numbers) {
            assert!(columns.iter().any(|column| column == name), "{statement} has no {name}");
        }
        for row in &rows {
            for (column, value) in columns.iter().zip(row).filter(|(column, _)| numbers.contains(&column.as_str())) {
                let value = value.as_deref().unwrap_or_else(|| panic!("{column} is NULL"));
                assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{statement} {column} is {value:?}");
            }
        }
    }
}

/// Names of the columns, and rows, by the simple protocol.
async fn simple(port: u16, statement: &str) -> (Vec<String>, Vec<Vec<Option<String>>>) {
    let login = format!("host=127.0.0.1 port={port} user={WATCHER} dbname=pgbouncer");
    let (client, connection) = tokio_postgres::connect(&login, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let (mut columns, mut rows) = (Vec::new(), Vec::new());
    for message in client.simple_query(statement).await.unwrap() {
        match message {
            tokio_postgres::SimpleQueryMessage::RowDescription(description) => {
                columns = description.iter().map(|column| column.name().to_owned()).collect();
            }
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
            }
            _ => (),
        }
    }
    drop(client);
    connection.await.unwrap().unwrap();
    (columns, rows)
}

/// client_parse_count, server_parse_count, bind_count of the database `postgres`.
fn prepared(console: &mut Client) -> [u64; 3] {
    let totals = show(console, "STATS_TOTALS");
    totals.row(&[("database", "postgres")]).numbers(["client_parse_count", "server_parse_count", "bind_count"])
}

#[test]
fn statements_that_have_a_name_are_counted_where_they_are_carried_from_server_to_server() {
    let pooler = pgotter("default_pool_size = 1", "");
    let role = fresh_role();
    let (mut one, mut other) =
        (Client::connect(pooler.port(), &role, "postgres"), Client::connect(pooler.port(), &role, "postgres"));
    let mut console = console(&pooler);
    let run = |client: &mut Client, messages: &[Vec<u8>]| {
        client.send(&[messages.concat(), raw::sync()].concat());
        let answer = client.answer();
        assert!(answer.errors.is_empty(), "{answer:?}");
    };
    let uses = |name: &str| [raw::bind("", name, &[]), raw::execute("", 0)].concat();
    run(&mut one, &[raw::parse("s", "SELECT 1"), uses("s")]);
    assert_eq!(prepared(&mut console), [1, 1, 1]);
    // Its server has it: no Parse goes there, whoever asks and whatever he calls it.
    run(&mut one, &[uses("s"), uses("s")]);
    run(&mut other, &[raw::parse("t", "SELECT 1"), raw::describe(b'S', "t"), uses("t")]);
    assert_eq!(prepared(&mut console), [2, 1, 4]);
    // Another server lacks it.
    assert!(console.query("RECONNECT").errors.is_empty());
    run(&mut one, &[uses("s")]);
    assert_eq!(prepared(&mut console), [2, 2, 5]);
    // What has no name is not counted, as by PgBouncer, nor is what is no message of the extended protocol.
    run(&mut one, &[raw::parse("", "SELECT 2"), uses("")]);
    one.value("SELECT 3");
    assert_eq!(prepared(&mut console), [2, 2, 5]);
    let stats = show(&mut console, "STATS");
    let names = ["total_client_parse_count", "total_server_parse_count", "total_bind_count"];
    assert_eq!(stats.row(&[("database", "postgres")]).numbers(names), [2, 2, 5]);
    let totals = show(&mut console, "TOTALS");
    let value = |name: &str| totals.row(&[("name", name)]).number("value");
    let names = ["total_ps_client_parse_count", "total_ps_server_parse_count", "total_ps_bind_count"];
    assert_eq!(names.map(value), [2, 2, 5]);
    // In session mode names are the server's: nothing is carried.
    let session = pgotter("pool_mode = \"session\"", "");
    let (mut client, mut console) = (Client::connect(session.port(), &role, "postgres"), self::console(&session));
    client.send(&[raw::parse("s", "SELECT 1"), uses("s"), raw::sync()].concat());
    assert!(client.answer().errors.is_empty());
    client.send(&query("SELECT 1"));
    client.answer();
    eventually("it is seen", || {
        show(&mut console, "STATS").row(&[("database", "postgres")]).number("total_query_count") == 2
    });
    assert_eq!(prepared(&mut console), [0; 3]);
}
