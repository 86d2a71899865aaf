//! Who is busy, who is pinned, and how a statement is canceled: SHOW ACTIVE, SHOW PINS, CANCEL.

use super::table::{Table, WATCHER, console, pgotter, show};
use super::talk::{Client, query};
use super::world::{eventually, fresh_role, holder, until_it_sleeps};

fn id_of(console: &mut Client, client: &Client) -> String {
    let port = client.stream.local_addr().unwrap().port().to_string();
    show(console, "CLIENTS").row(&[("type", "C"), ("port", &port)]).text("id").to_owned()
}

fn names(table: &Table) -> String {
    table.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_running_statement_is_canceled_and_its_client_goes_on() {
    let (pooler, role) = (pgotter("", ""), fresh_role());
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let mut console = console(&pooler);
    client.query("SET application_name = 'batch'");
    let backend = client.backend();
    let id = id_of(&mut console, &client);
    assert!(show(&mut console, "ACTIVE").rows.is_empty(), "nobody is busy");
    // What runs nothing is left alone, and what it sends next as well.
    assert_eq!(console.query(&format!("CANCEL {id}")).tags, ["CANCEL"]);
    assert_eq!(client.value("SELECT 'on'"), "on");
    client.send(&query("SELECT pg_sleep(600)"));
    until_it_sleeps(&backend);
    let active = show(&mut console, "ACTIVE");
    assert_eq!(
        names(&active),
        "id database user application_name addr port state age_ms server server_pid pin fingerprint query"
    );
    let row = active.row(&[("id", &id)]);
    let texts = ["database", "user", "application_name", "addr", "state", "server_pid"].map(|column| row.text(column));
    assert_eq!(texts, ["postgres", &role, "batch", "127.0.0.1", "active", &backend]);
    assert_eq!((row.text("query"), row.text("fingerprint").len()), ("select pg_sleep(?)", 16));
    assert!(row.text("age_ms").parse::<f64>().unwrap() > 0.0 && row.get("pin").is_none());
    let mut watcher = Client::connect(pooler.port(), WATCHER, "pgotter");
    watcher.query(&format!("CANCEL {id}")).error("08P01");
    assert_eq!(console.query(&format!("CANCEL {id};")).tags, ["CANCEL"]);
    client.answer().error("57014");
    assert_eq!(client.value("SELECT 'on'"), "on");
    let own = show(&mut console, "CLIENTS").row(&[("user", WATCHER)]).text("id").to_owned();
    for unknown in [own.as_str(), "123456789012", "me", "", "-1"] {
        console.query(&format!("CANCEL {unknown}")).error("08P01");
    }
}

#[test]
fn whoever_waits_is_refused_as_by_a_cancel_request_and_who_idles_in_a_transaction_is_told_apart() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 1\nquery_wait_notify = \"50ms\"", "");
    let mut busy = holder(pooler.port(), &role);
    let mut waiting = Client::connect(pooler.port(), &role, "postgres");
    waiting.queue("SELECT 'never'");
    let mut console = console(&pooler);
    let (first, second) = (id_of(&mut console, &busy), id_of(&mut console, &waiting));
    let active = show(&mut console, "ACTIVE");
    let states = active.rows.iter().map(|row| [row[0].clone().unwrap(), row[6].clone().unwrap()]);
    let expected = [[first.as_str(), "idle_in_transaction"], [second.as_str(), "waiting"]];
    assert_eq!(states.collect::<Vec<_>>(), expected, "the oldest first");
    let row = active.row(&[("id", &second)]);
    assert_eq!((row.get("server"), row.get("server_pid"), row.get("query")), (None, None, None));
    assert_eq!(active.row(&[("id", &first)]).text("query"), "begin");
    assert_eq!(console.query(&format!("CANCEL {second}")).tags, ["CANCEL"]);
    waiting.answer().error("57014");
    assert_eq!(console.query(&format!("CANCEL {first}")).tags, ["CANCEL"]);
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    assert_eq!(waiting.value("SELECT 'served'"), "served");
    assert!(show(&mut console, "ACTIVE").rows.is_empty());
}

#[test]
fn pins_tell_who_keeps_a_server_and_why() {
    let (pooler, role) = (pgotter("", ""), fresh_role());
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let mut console = console(&pooler);
    let pins = show(&mut console, "PINS");
    assert_eq!(names(&pins), "id database user application_name addr reason since seconds");
    assert!(pins.rows.is_empty());
    let id = id_of(&mut console, &client);
    // The client has its answer before its server has said what it holds.
    let mut until = |reason: Option<&str>| {
        eventually(&format!("{reason:?}"), || {
            let pins = show(&mut console, "PINS");
            pins.rows.first().and_then(|row| row[5].as_deref()) == reason
        });
        show(&mut console, "PINS")
    };
    client.query("CREATE TEMP TABLE mine (i int)");
    let pins = until(Some("temp"));
    let row = pins.row(&[("id", &id), ("database", "postgres"), ("user", &role), ("addr", "127.0.0.1")]);
    let since = row.text("since").to_owned();
    assert!(since.ends_with(" UTC") && row.text("seconds").parse::<f64>().unwrap() >= 0.0, "{row:?}");
    client.query("SELECT pg_advisory_lock(4711)");
    assert_eq!(until(Some("temp lock")).row(&[("id", &id)]).text("since"), since);
    client.query("DROP TABLE mine");
    until(Some("lock"));
    client.query("BEGIN -- with a server");
    let active = show(&mut super::table::console(&pooler), "ACTIVE");
    let row = active.row(&[("id", &id)]);
    assert_eq!((row.text("state"), row.text("pin")), ("idle_in_transaction", "lock"));
    client.query("COMMIT");
    assert!(
        show(&mut super::table::console(&pooler), "ACTIVE").rows.is_empty(),
        "it keeps its server, and does nothing"
    );
    client.query("SELECT pg_advisory_unlock(4711)");
    until(None);
}
