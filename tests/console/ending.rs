//! SHUTDOWN in its forms.

use super::table::{console, pgotter, show};
use super::talk::{Client, query};
use super::world::{eventually, exit_code, fresh_role, holder};

#[test]
fn shutdown_ends_at_once_and_the_end_of_the_connection_is_the_answer() {
    let role = fresh_role();
    let mut pooler = pgotter("shutdown_timeout = \"1h\"", "");
    let mut busy = holder(pooler.port(), &role);
    let mut console = console(&pooler);
    let answer = console.query("SHUTDOWN");
    assert_eq!((answer.status, answer.tags.len(), answer.errors.len()), (None, 0, 0), "{answer:?}");
    busy.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
}

#[test]
fn shutdown_wait_for_clients_lets_everybody_stay_until_he_leaves_and_the_console_works_meanwhile() {
    let role = fresh_role();
    let mut pooler = pgotter("", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let mut console = console(&pooler);
    assert_eq!(console.query("SHUTDOWN WAIT_FOR_CLIENTS").tags, ["SHUTDOWN"]);
    eventually("nobody new is let in", || std::net::TcpStream::connect(("127.0.0.1", pooler.port())).is_err());
    assert_eq!(client.value("SELECT 'still here'"), "still here");
    assert_eq!(show(&mut console, "CLIENTS").row(&[("user", &role)]).number("close_needed"), 0);
    let refused = console.query("RESUME");
    refused.error("08P01");
    assert_eq!(refused.errors[0].message, "pooler is shutting down");
    assert!(pooler.ended().is_none());
    client.leave();
    assert_eq!(exit_code(&mut pooler), Some(0), "a console is no client");
}

#[test]
fn shutdown_wait_for_servers_lets_transactions_end() {
    let role = fresh_role();
    let mut pooler = pgotter("", "");
    let mut busy = holder(pooler.port(), &role);
    let mut idle = Client::connect(pooler.port(), &role, "postgres");
    let mut console = console(&pooler);
    assert_eq!(console.query("SHUTDOWN WAIT_FOR_SERVERS;").tags, ["SHUTDOWN"]);
    idle.answer().fatal("57P01");
    let clients = show(&mut console, "CLIENTS");
    assert_eq!(clients.row(&[("user", &role), ("state", "active")]).number("close_needed"), 1);
    assert_eq!(clients.row(&[("database", "pgbouncer")]).number("close_needed"), 0);
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    busy.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
}

#[test]
fn the_same_shutdown_once_more_does_not_wait() {
    let role = fresh_role();
    let mut pooler = pgotter("", "");
    let mut busy = holder(pooler.port(), &role);
    let mut console = console(&pooler);
    console.query("SHUTDOWN soon").error("08P01");
    for _ in 0..2 {
        assert_eq!(console.query("SHUTDOWN WAIT_FOR_CLIENTS").tags, ["SHUTDOWN"]);
    }
    busy.answer().fatal("57P01");
    assert_eq!(exit_code(&mut pooler), Some(0));
}

#[test]
fn a_shutdown_is_carried_out_even_if_its_console_hears_nothing_of_it() {
    let mut pooler = pgotter("", "");
    let mut console = console(&pooler);
    // The first answer takes a moment and then finds nobody, so that the second cannot be sent.
    console.send(&[query("RELOAD"), query("SHUTDOWN WAIT_FOR_CLIENTS")].concat());
    drop(console);
    assert_eq!(exit_code(&mut pooler), Some(0));
}
