//! JSON at /api/v1/: what the console shows, and the patterns of queries, in front of real PostgreSQL.

use crate::support::{PgOtter, scrape, table, talk, world};
use pgotter::cli::ports;
use scrape::{Scrape, get, request};
use serde_json::Value;
use std::cell::Cell;
use std::io::Write;
use table::{console, lines, show};
use talk::Client;
use world::{cluster, config, eventually, fresh_role, host};

/// One with an endpoint, and that one's port.
fn watched() -> (PgOtter, u16) {
    let http = Cell::new(0);
    let pooler = PgOtter::start(|port| {
        http.set(ports::free_port());
        let shop = "[databases.shop]\ndbname = \"postgres\"\nhosts = [\"".to_owned() + &host(cluster()) + "\"]";
        let rest = format!("{shop}\n[http]\nlisten = \"127.0.0.1:{}\"", http.get());
        config(port, &host(cluster()), &lines(""), &rest)
    });
    (pooler, http.get())
}

#[track_caller]
fn rows(http: u16, name: &str) -> Vec<Value> {
    let answer = get(http, &format!("/api/v1/{name}"));
    assert_eq!(answer.status, 200, "{name}: {answer:?}");
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    match serde_json::from_str(&answer.body) {
        Ok(Value::Array(rows)) => rows,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_table_of_the_console_is_there_and_nothing_else() {
    let (pooler, http) = watched();
    let role = fresh_role();
    Client::connect(pooler.port(), &role, "shop").value("SELECT 1");
    let mut console = console(&pooler);
    let paths = rows(http, "");
    let paths: Vec<&str> = paths.iter().map(|path| path.as_str().unwrap()).collect();
    for named in "active clients databases hosts pins pools queries queries/export routes servers state".split(' ') {
        assert!(paths.contains(&format!("/api/v1/{named}").as_str()), "{named} in {paths:?}");
    }
    for named in ["queries?window={window}", "histogram?fingerprint={fingerprint}"] {
        assert!(paths.contains(&format!("/api/v1/{named}").as_str()), "{named} in {paths:?}");
    }
    for path in paths.into_iter().filter(|path| !path.contains('{')) {
        let name = path.strip_prefix("/api/v1/").unwrap();
        let found = rows(http, name);
        assert_eq!(request(http, "HEAD", path).body, "", "{path}");
        let refused = request(http, "POST", path);
        assert!(refused.status == 405 && refused.head.contains("allow: get, head"), "{path}: {refused:?}");
        if name == "queries/export" {
            continue;
        }
        let shown = show(&mut console, name);
        let columns: Vec<&str> = shown.columns.iter().map(|(name, _)| name.as_str()).collect();
        // In their order, which a map of serde_json's does not keep.
        let text = get(http, path).body;
        let mut rest = text.as_str();
        for column in columns.iter().filter(|_| !found.is_empty()) {
            let key = format!("\"{column}\": ");
            rest = &rest[rest.find(&key).unwrap_or_else(|| panic!("no {column} there in {text}")) + key.len()..];
        }
        for row in &found {
            assert_eq!(row.as_object().unwrap().len(), columns.len(), "{path}");
        }
    }
    for path in ["help", "nothing", "Queries", "queries/", "queries/export/x", "../metrics", "%71ueries"] {
        let answer = get(http, &format!("/api/v1/{path}"));
        assert!(answer.status == 404 && answer.body.contains("/api/v1/ lists"), "{path}: {answer:?}");
    }
    for path in ["/api", "/api/v1", "/api/v2/queries"] {
        assert_eq!(get(http, path).status, 404, "{path}");
    }
    assert_eq!(request(http, "POST", "/api/v1/nothing").status, 405);
}

#[test]
fn numbers_are_numbers_and_literals_are_not_told() {
    let (pooler, http) = watched();
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "shop");
    for _ in 0..3 {
        client.query("select pg_sleep(0.05), 'very secret' as s, null as n");
    }
    client.query("select 'not so secret' from nowhere").error("42P01");
    let answer = get(http, "/api/v1/queries");
    assert!(!answer.body.contains("secret"), "{}", answer.body);
    let queries = rows(http, "queries");
    let of = |text: &str| queries.iter().find(|row| row["query"] == text).unwrap_or_else(|| panic!("{queries:#?}"));
    let slow = of("select pg_sleep(?), ? as s, null as n");
    assert_eq!((&slow["database"], &slow["calls"], &slow["rows"]), (&"shop".into(), &3.into(), &3.into()));
    assert!(slow["p95_ms"].as_f64().unwrap() >= 46.8 && slow["total_ms"].as_f64().unwrap() >= 150.0, "{slow}");
    assert_eq!(of("select ? from nowhere")["errors"], 1);
    let clients = rows(http, "clients");
    let own = clients.iter().find(|row| row["user"] == role.as_str()).unwrap();
    let port = client.stream.local_addr().unwrap().port();
    assert_eq!((&own["port"], &own["database"], &own["state"]), (&port.into(), &"shop".into(), &"idle".into()));
    let pools = rows(http, "pools");
    let pool = pools.iter().find(|row| row["user"] == role.as_str()).unwrap();
    assert!(pool["load_balance_hosts"].is_null() && pool["sv_idle"] == 1, "{pool}");
}

#[test]
fn what_is_asked_for_more_closely_is_there_or_it_is_said_why_not() {
    let (pooler, http) = watched();
    let role = fresh_role();
    let mut client = Client::connect(pooler.port(), &role, "shop");
    (0..3).for_each(|_| drop(client.query("select 'secret' as closer")));
    let of = |rows: Vec<Value>| rows.into_iter().find(|row| row["query"] == "select ? as closer");
    let found = of(rows(http, "queries")).unwrap();
    assert_eq!(found["replica_calls"], 0);
    let fingerprint = found["fingerprint"].as_str().unwrap();
    let histogram = rows(http, &format!("histogram?fingerprint={fingerprint}"));
    assert_eq!(histogram.iter().map(|row| row["server_calls"].as_u64().unwrap()).sum::<u64>(), 3);
    assert!(histogram.iter().all(|row| row["from_ms"].is_f64() && row["database"] == "shop"), "{histogram:?}");
    let routes = rows(http, &format!("routes?fingerprint={fingerprint}"));
    let expected = serde_json::json!([{ "database": "shop", "role": "primary", "reason": "single", "calls": 3 }]);
    assert_eq!(Value::from(routes), expected);
    let callers = rows(http, &format!("callers?fingerprint={fingerprint}"));
    assert_eq!((callers.len(), &callers[0]["user"], &callers[0]["clients"]), (1, &role.into(), &1.into()));
    eventually("they are in a window", || of(rows(http, "queries?window=1h")).is_some_and(|row| row["calls"] == 3));
    assert_eq!(get(http, "/api/v1/queries?").status, 200);
    let long = format!("queries?window={}", "9".repeat(10_000));
    for (path, status, said) in [
        ("queries?window=never", 400, "1s to 24h"),
        ("queries?window=25h", 400, "1s to 24h"),
        ("queries?window", 400, "1s to 24h"),
        ("queries?window=5m&window=6m", 400, "1s to 24h"),
        ("queries?windows=5m", 400, "queries takes window= and nothing else"),
        ("queries?window=%35m", 400, "1s to 24h"),
        ("pools?window=5m", 400, "takes nothing"),
        ("histogram", 400, "histogram needs fingerprint="),
        ("histogram?fingerprint=", 400, "16 hexadecimal digits"),
        ("callers?fingerprint=;SHOW+CONFIG", 400, "16 hexadecimal digits"),
        ("routes?fingerprint=0123456789abcdef", 404, "there is no query with the fingerprint 0123456789abcdef"),
        ("nothing?window=5m", 404, "/api/v1/ lists"),
        (&long, 400, "1s to 24h"),
    ] {
        let answer = get(http, &format!("/api/v1/{path}"));
        assert!(answer.status == status && answer.body.contains(said), "{path}: {answer:?}");
        assert!(answer.body.len() < 3_000 && answer.head.contains("content-type: text/plain"), "{path}: {answer:?}");
    }
}

#[test]
fn who_asks_for_too_much_or_leaves_half_way_keeps_nobody_from_looking() {
    let (_pooler, http) = watched();
    let long = format!("GET /api/v1/queries?window={} HTTP/1.1\r\nHost: x\r\n\r\n", "9".repeat(1 << 20));
    let mut stream = scrape::connect(http);
    let _ = stream.write_all(long.as_bytes());
    let answer = String::from_utf8_lossy(&scrape::rest_of(stream)).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    // More than there may be at a time; their answers find nobody.
    for said in ["GET /api/v1/config HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /api/v1/que"].repeat(50) {
        scrape::connect(http).write_all(said.as_bytes()).unwrap();
    }
    assert!(!rows(http, "config").is_empty());
}

#[test]
fn the_export_has_each_pattern_once_in_an_order_and_nothing_that_was_counted() {
    let export = |order: &[(&str, &str)]| {
        let (pooler, http) = watched();
        let role = fresh_role();
        for (database, text) in order {
            Client::connect(pooler.port(), &role, database).query(text);
        }
        // No fingerprint, and not to be compared.
        Client::connect(pooler.port(), &role, "shop").query("select 'never ends").error("42601");
        (get(http, "/api/v1/queries/export").body, rows(http, "queries/export"))
    };
    let tables = ["export_a", "export_b"];
    tables
        .iter()
        .for_each(|table| drop(world::look(&format!("CREATE TABLE {table} (i int); GRANT ALL ON {table} TO PUBLIC"))));
    let (read, write) = ("select 1 from export_a, export_b where export_a.i = 5", "insert into export_b values (1)");
    let (first, patterns) = export(&[("shop", read), ("postgres", read), ("shop", write)]);
    let (second, _) = export(&[
        ("postgres", "INSERT INTO export_b VALUES (70 )"),
        ("postgres", read),
        ("shop", write),
        ("shop", write),
    ]);
    assert_eq!(first, second);
    assert_eq!(patterns.len(), 2, "{first}");
    let sorted = patterns.windows(2).all(|pair| pair[0]["fingerprint"].as_str() < pair[1]["fingerprint"].as_str());
    assert!(sorted, "{first}");
    let of = |kind: &str| patterns.iter().find(|pattern| pattern["kind"] == kind).unwrap();
    assert_eq!(of("read")["query"], "select ? from export_a, export_b where export_a.i = ?");
    assert_eq!(of("read")["tables"], serde_json::json!(["export_a", "export_b"]));
    assert_eq!(of("write")["query"], "insert into export_b values (?)");
    assert!(patterns.iter().all(|pattern| pattern.as_object().unwrap().len() == 4), "{first}");
}

#[test]
fn pins_are_counted_by_their_reasons() {
    let (pooler, http) = watched();
    let role = fresh_role();
    let connect = || Client::connect(pooler.port(), &role, "shop");
    let (mut one, mut other) = (connect(), connect());
    one.query("CREATE TEMP TABLE mine (i int)");
    other.query("CREATE TEMP TABLE mine (i int)");
    other.query("SELECT pg_advisory_lock(1234)");
    let pins = |reason| [("database", "shop"), ("reason", reason)];
    let name = "pgotter_session_pins";
    Scrape::until(http, "the pins", |scrape| {
        scrape.get(name, &pins("temp")) == Some(2.0) && scrape.get(name, &pins("lock")) == Some(1.0)
    });
    eventually("SHOW PINS as well", || {
        let pins = rows(http, "pins");
        pins.len() == 2 && pins.iter().any(|pin| pin["reason"] == "temp lock" && pin["seconds"].is_f64())
    });
    drop((one, other));
    Scrape::until(http, "their end", |scrape| scrape.get(name, &pins("temp")).is_none());
}
