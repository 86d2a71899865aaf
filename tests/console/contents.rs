//! Numbers of PgBouncer's tables that are easily left at 0.

use super::table::{console, lines, pgotter, show};
use super::talk::{Client, query};
use super::world::{cluster, eventually, fresh_role, until_it_sleeps};
use crate::support::proxy::Proxy;
use crate::support::raw::{close, parse, sync};

#[test]
fn prepared_statements_are_counted_of_clients_and_of_servers() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 1", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let mut console = console(&pooler);
    let mut counted = |what: &str, expected: [u64; 2]| {
        eventually(what, || {
            ["CLIENTS", "SERVERS"]
                .map(|of| show(&mut console, of).row(&[("user", &role)]).number("prepared_statements"))
                == expected
        });
    };
    let said = [parse("a", "SELECT 1"), parse("b", "SELECT 2"), parse("", "SELECT 3"), sync()].concat();
    client.send(&said);
    client.answer();
    counted("two have names", [2, 2]);
    client.send(&[close(b'S', "a"), sync()].concat());
    client.answer();
    counted("the server keeps it for others", [1, 2]);
    client.query("DEALLOCATE ALL");
    counted("the client has none", [0, 2]);
}

#[test]
fn servers_that_are_to_be_asked_for_a_sign_of_life_are_counted_as_used() {
    let role = fresh_role();
    for (delay, expected) in [("0", [0, 1]), ("\"1h\"", [1, 0])] {
        let pooler = pgotter(&format!("default_pool_size = 1\nserver_check_delay = {delay}"), "");
        Client::connect(pooler.port(), &role, "postgres").query("SELECT 1");
        let mut console = console(&pooler);
        eventually("it is idle", || {
            show(&mut console, "POOLS").row(&[("user", &role)]).numbers(["sv_idle", "sv_used"]) == expected
        });
    }
}

#[test]
fn a_cancel_request_on_its_way_is_counted() {
    let role = fresh_role();
    let proxy = Proxy::new(1);
    let pooler = proxy.behind_pgotter(&lines("default_pool_size = 1"));
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let backend = client.backend();
    let mut console = console(&pooler);
    let mut cancels = || show(&mut console, "POOLS").row(&[("user", &role)]).number("sv_active_cancel");
    assert_eq!(cancels(), 0);
    proxy.hold_cancels(true);
    client.send(&query("SELECT pg_sleep(100)"));
    until_it_sleeps(&backend);
    client.cancel();
    eventually("it is on its way", || cancels() == 1);
    proxy.hold_cancels(false);
    client.answer().error("57014");
    eventually("it has come", || cancels() == 0);
}

#[test]
fn names_of_hosts_that_are_looked_up_are_counted_once_each() {
    let role = fresh_role();
    let port = cluster().port();
    let database = |name| format!("[databases.{name}]\ndbname = \"postgres\"\nhosts = [\"localhost:{port}\"]\n");
    let pooler = pgotter("", &(database("one") + &database("two")));
    for name in ["one", "two", "postgres"] {
        Client::connect(pooler.port(), &role, name).query("SELECT 1");
    }
    let lists = show(&mut console(&pooler), "LISTS");
    assert_eq!(lists.row(&[("list", "dns_names")]).number("items"), 1);
}
