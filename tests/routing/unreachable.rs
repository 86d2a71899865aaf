//! An entry to which a rule leads for the first time, and that cannot be reached: the client is told so within the time that a request waits,
//! goes on with its own database, and finds the other one as soon as it is there.

use crate::entries::{LOGS, ORDERS, Pair, READ, WRITE, hint, run, status};
use crate::support::raw::*;
use crate::world::eventually;
use pgotter::cli::ports;

/// No request waits for long, whatever a login may take.
const LIMITS: &str = "server_connect_timeout = \"1h\"\nserver_login_retry = \"100ms\"\n[databases.shop]";

/// A pair whose other entry is where nobody listens, and how that is written, for now and when there is somebody.
fn nobody_there(name: &str, patience: &str) -> (Pair, [String; 2]) {
    let usual = "20s";
    let mut pair = Pair::with(name, &[LOGS], &format!("query_wait_timeout = \"{usual}\""), "");
    let entry = |port: u16, patience: &str| {
        let hosts = format!("hosts = [\"127.0.0.1:{port}\"]\nquery_wait_timeout = \"{patience}\"");
        format!("[databases.logs]\ndbname = \"{name}\"\n{hosts}")
    };
    let entries = [entry(ports::free_port(), patience), entry(crate::entries::clusters()[1].port(), usual)];
    pair.reconfigure(&entries[1], &entries[0]);
    pair.reconfigure("[databases.shop]", LIMITS);
    (pair, entries)
}

fn refused(frames: &[Frame]) {
    assert_eq!(error_code(frames).as_deref(), Some("57P03"), "{}", print(frames));
    let error = frames.iter().find(|frame| frame.kind == b'E').unwrap();
    assert_eq!(error.field(b'M').as_deref(), Some("no server connection could be opened"), "{}", print(frames));
    assert!(error.field(b'D').unwrap_or_default().contains("onnection refused"), "{}", print(frames));
    assert!(hint(frames).contains("sends the statement to database \"logs\""), "{}", print(frames));
}

#[test]
fn its_clients_are_told_and_go_on() {
    let (mut pair, [nobody, somebody]) = nobody_there("unreachable", "300ms");
    let mut client = pair.client();
    for form in [Raw::ask, run] {
        for text in [READ, WRITE] {
            let frames = form(&mut client, text);
            refused(&frames);
            assert_eq!(status(&frames), b'I');
            assert_eq!(first_value(&form(&mut client, ORDERS)).as_deref(), Some("home"));
        }
        // In a block it is the statement that fails, and with it the block.
        client.ask("BEGIN");
        let frames = form(&mut client, READ);
        refused(&frames);
        assert_eq!(status(&frames), b'E');
        assert_eq!(error_code(&form(&mut client, ORDERS)).as_deref(), Some("25P02"));
        client.ask("ROLLBACK");
        assert_eq!(first_value(&form(&mut client, ORDERS)).as_deref(), Some("home"));
    }
    // What it prepares is refused as well, and there is nothing of that name.
    client.ask("SET application_name = 'goes on'");
    let prepares = [parse("read", READ), sync()].concat();
    client.send(&prepares);
    refused(&client.until_ready());
    pair.reconfigure(&nobody, &somebody);
    client.send(&prepares);
    assert_eq!(error_code(&client.until_ready()), None);
    let runs = [bind("", "read", &[]), execute("", 0), sync()].concat();
    client.send(&runs);
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("logs"));
    // What it has prepared there it has there again.
    pair.reconfigure(&somebody, &nobody);
    client.send(&runs);
    refused(&client.until_ready());
    assert_eq!(client.value("SHOW application_name"), "goes on");
    pair.reconfigure(&nobody, &somebody);
    client.send(&runs);
    assert_eq!(first_value(&client.until_ready()).as_deref(), Some("logs"));
    assert_eq!(client.value("SHOW application_name"), "goes on");
    pair.nothing_is_astray();
}

#[test]
fn who_waits_for_it_may_cancel_or_leave() {
    let (pair, _) = nobody_there("unreachable_cancelled", "1h");
    let mut client = pair.client();
    let waiting = |pair: &Pair| {
        let mut console = pair.come("postgres", "pgotter", &[]);
        let rows = console.ask("SHOW CLIENTS");
        let waits = |row: &&Frame| row_values(row).iter().flatten().any(|column| column == "waiting");
        rows.iter().filter(|frame| frame.kind == b'D').filter(waits).count()
    };
    client.send(&query(READ));
    eventually("it waits", || waiting(&pair) == 1);
    let mut cancel = pair.raw();
    cancel.send(&first_packet(80_877_102, &[&client.pid.to_be_bytes()[..], &client.secret].concat()));
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("57014"));
    assert_eq!(client.value(ORDERS), "home");
    client.send(&query(READ));
    eventually("it waits again", || waiting(&pair) == 1);
    drop(client);
    eventually("it has left", || waiting(&pair) == 0);
    assert_eq!(pair.client().value(ORDERS), "home");
}
