//! What the console has done: RELOAD, PAUSE and RESUME, RECONNECT, KILL_CLIENT.

use super::table::{console, lines, pgotter, show};
use super::talk::Client;
use super::world::{cluster, config, eventually, fresh_role, holder, host, servers_of};
use std::fs;

/// Whether this database is paused, by its name or with all others.
fn is_paused(console: &mut Client, database: &str) -> bool {
    let table = show(console, "DATABASES");
    table.with(&[("name", database)]).iter().any(|row| row.number("paused") == 1)
}

fn until_paused(console: &mut Client, database: &str) {
    eventually("it is paused", || is_paused(console, database));
}

#[test]
fn reload_applies_the_file_or_says_that_it_was_refused() {
    let pooler = pgotter("default_pool_size = 3", "");
    let mut console = console(&pooler);
    let size =
        |console: &mut Client| show(console, "CONFIG").row(&[("key", "default_pool_size")]).text("value").to_owned();
    assert_eq!(size(&mut console), "3");
    let text = |lines: &str| config(pooler.port(), &host(cluster()), lines, "");
    fs::write(pooler.config_file(), text(&lines("default_pool_size = 4"))).unwrap();
    assert_eq!(console.query("RELOAD;").tags, ["RELOAD"]);
    assert_eq!(size(&mut console), "4");
    fs::write(pooler.config_file(), text(&lines("default_pool_size = -5"))).unwrap();
    let refused = console.query("RELOAD");
    refused.error("F0000");
    assert_eq!(refused.errors[0].message, "RELOAD failed, see logs for additional details");
    assert_eq!(size(&mut console), "4");
    assert!(pooler.log().contains("`default_pool_size` must be"));
    console.query("RELOAD now").error("08P01");
}

#[test]
fn pause_answers_when_no_server_is_left_and_resume_lets_everybody_go_on() {
    let role = fresh_role();
    let pooler = pgotter("query_wait_notify = \"50ms\"", "");
    let mut busy = holder(pooler.port(), &role);
    let mut other = Client::connect(pooler.port(), &role, "postgres");
    other.value("SELECT 1");
    let (mut pausing, mut console) = (console(&pooler), console(&pooler));
    pausing.send(&super::talk::query("PAUSE"));
    until_paused(&mut console, "postgres");
    let again = console.query("PAUSE");
    again.error("08P01");
    assert_eq!(again.errors[0].message, "already suspended/paused");
    assert_eq!(show(&mut console, "STATE").row(&[("key", "paused")]).text("value"), "yes");
    other.queue("SELECT 'later'");
    assert_eq!(show(&mut console, "POOLS").row(&[("user", &role)]).numbers(["sv_active", "cl_waiting"]), [1, 1]);
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    assert_eq!(pausing.answer().tags, ["PAUSE"]);
    assert_eq!(servers_of(&role), 0);
    // Whoever comes now finds the console as it was.
    let mut late = super::table::console(&pooler);
    assert_eq!(late.query("RESUME").tags, ["RESUME"]);
    assert_eq!(other.answer().value(), "later");
    let refused = late.query("RESUME");
    refused.error("08P01");
    assert_eq!(refused.errors[0].message, "pooler is not paused/suspended");
}

#[test]
fn one_database_is_paused_while_others_are_served() {
    let role = fresh_role();
    let shop = format!(
        "[databases.shop]\ndbname = \"postgres\"\nhosts = [\"{}\"]\n[databases.\"o'\\\"dd\"]\ndbname = \"postgres\"\nhosts = [\"{}\"]\n",
        host(cluster()),
        host(cluster())
    );
    // Without "*" there are databases that do not exist.
    let pooler = crate::support::PgOtter::start(|port| {
        let text = config(port, &host(cluster()), &lines("query_wait_notify = \"50ms\""), &shop);
        text.replace("[databases.\"*\"]", "[databases.web]\ndbname = \"postgres\"")
    });
    let mut shop = Client::connect(pooler.port(), &role, "shop");
    let mut web = Client::connect(pooler.port(), &role, "web");
    shop.value("SELECT 1");
    let mut console = console(&pooler);
    assert_eq!(console.query("PAUSE shop").tags, ["PAUSE"]);
    let table = show(&mut console, "DATABASES");
    assert_eq!(["shop", "web"].map(|name| table.row(&[("name", name)]).number("paused")), [1, 0]);
    shop.queue("SELECT 'later'");
    assert_eq!(web.value("SELECT 'now'"), "now");
    for (command, message) in [
        ("RESUME web", "database web is not paused"),
        ("RESUME nowhere", "no such database: nowhere"),
        ("PAUSE nowhere", "no such database: nowhere"),
        ("RECONNECT nowhere", "no such database: nowhere"),
        ("PAUSE pgbouncer", "cannot pause admin db: pgbouncer"),
        ("RECONNECT pgotter", "cannot reconnect admin db: pgotter"),
    ] {
        let refused = console.query(command);
        refused.error("08P01");
        assert_eq!(refused.errors[0].message, message);
    }
    assert_eq!(console.query("RESUME shop").tags, ["RESUME"]);
    assert_eq!(shop.answer().value(), "later");
    assert_eq!(console.query("PAUSE \"o'\"\"dd\"").tags, ["PAUSE"]);
    assert_eq!(console.query("RESUME").tags, ["RESUME"], "of all databases that are paused");
}

#[test]
fn whoever_breaks_a_pause_off_ends_it_and_whoever_vanishes_leaves_it_to_others() {
    let role = fresh_role();
    let pooler = pgotter("query_wait_notify = \"50ms\"", "");
    let mut busy = holder(pooler.port(), &role);
    let (mut pausing, mut other) = (console(&pooler), console(&pooler));
    for command in ["PAUSE", "PAUSE postgres"] {
        pausing.send(&super::talk::query(command));
        until_paused(&mut other, "postgres");
        pausing.cancel();
        pausing.answer().error("57014");
        assert_eq!(show(&mut other, "DATABASES").row(&[("name", "postgres")]).number("paused"), 0);
        assert_eq!(pausing.query("SHOW VERSION").tags, ["SHOW"], "it goes on");
    }
    // What another one ends is not complete.
    pausing.send(&super::talk::query("PAUSE"));
    until_paused(&mut other, "postgres");
    assert_eq!(other.query("RESUME").tags, ["RESUME"]);
    pausing.answer().error("08P01");
    pausing.send(&super::talk::query("PAUSE"));
    until_paused(&mut other, "postgres");
    pausing.reset();
    eventually("it is gone", || show(&mut other, "POOLS").row(&[("database", "pgbouncer")]).number("cl_active") == 1);
    let mut waiting = Client::connect(pooler.port(), &role, "postgres");
    waiting.queue("SELECT 'served'");
    assert_eq!(busy.query("COMMIT").tags, ["COMMIT"]);
    eventually("the pause is complete", || servers_of(&role) == 0);
    assert_eq!(other.query("RESUME").tags, ["RESUME"]);
    assert_eq!(waiting.answer().value(), "served");
}

#[test]
fn whoever_breaks_a_pause_off_ends_no_pause_of_others() {
    let role = fresh_role();
    let shop = format!("[databases.shop]\ndbname = \"postgres\"\nhosts = [\"{}\"]\n", host(cluster()));
    let pooler = pgotter("query_wait_notify = \"50ms\"", &shop);
    let mut busy = [holder(pooler.port(), &role), Client::connect(pooler.port(), &role, "shop")];
    busy[1].query("BEGIN -- with a server");
    busy[1].query("SELECT 1");
    let (mut first, mut second, mut other) = (console(&pooler), console(&pooler), console(&pooler));
    first.send(&super::talk::query("PAUSE shop"));
    until_paused(&mut other, "shop");
    for (command, orders, detail) in
        [("PAUSE", 2, "The pause has been ended."), ("PAUSE shop", 3, "It was paused before, and stays so.")]
    {
        second.send(&super::talk::query(command));
        // Between its line in the log and its waiting nothing else is done.
        eventually("it waits", || pooler.log().matches("\"command\":\"Pause(").count() == orders);
        second.cancel();
        let refused = second.answer();
        refused.error("57014");
        assert_eq!(refused.errors[0].detail, detail);
        assert_eq!(["postgres", "shop"].map(|name| is_paused(&mut other, name)), [false, true], "{command}");
    }
    assert_eq!(Client::connect(pooler.port(), &role, "postgres").value("SELECT 'served'"), "served");
    let mut waiting = Client::connect(pooler.port(), &role, "shop");
    waiting.queue("SELECT 'later'");
    assert_eq!(busy[1].query("COMMIT").tags, ["COMMIT"]);
    assert_eq!(first.answer().tags, ["PAUSE"]);
    assert_eq!(other.query("RESUME shop").tags, ["RESUME"]);
    assert_eq!(waiting.answer().value(), "later");
    assert_eq!(busy[0].query("COMMIT").tags, ["COMMIT"]);
}

#[test]
fn what_is_said_while_a_pause_goes_on_is_answered_behind_it() {
    let role = fresh_role();
    let pooler = pgotter("", "");
    let mut busy = holder(pooler.port(), &role);
    let (mut pausing, mut other) = (console(&pooler), console(&pooler));
    pausing.send(&[super::talk::query("PAUSE"), super::talk::query("SHOW VERSION")].concat());
    until_paused(&mut other, "postgres");
    busy.query("COMMIT");
    assert_eq!(pausing.answer().tags, ["PAUSE"]);
    assert_eq!(pausing.answer().tags, ["SHOW"]);
}

#[test]
fn reconnect_replaces_servers_and_drops_nobody() {
    let role = fresh_role();
    let pooler = pgotter("", "");
    let mut client = Client::connect(pooler.port(), &role, "postgres");
    let mut console = console(&pooler);
    for command in ["RECONNECT", "RECONNECT postgres"] {
        let before = client.backend();
        assert_eq!(console.query(command).tags, ["RECONNECT"]);
        assert_ne!(client.backend(), before);
    }
}

#[test]
fn one_client_is_thrown_out_and_no_other() {
    let role = fresh_role();
    let pooler = pgotter("default_pool_size = 1\nquery_wait_notify = \"50ms\"", "");
    let mut busy = holder(pooler.port(), &role);
    let mut waiting = Client::connect(pooler.port(), &role, "postgres");
    waiting.queue("SELECT 'never'");
    let (mut idle, mut other) =
        (Client::connect(pooler.port(), &role, "postgres"), Client::connect(pooler.port(), &role, "postgres"));
    let mut console = console(&pooler);
    for client in [&mut waiting, &mut busy, &mut idle] {
        let port = client.stream.local_addr().unwrap().port().to_string();
        let number = show(&mut console, "CLIENTS").row(&[("user", &role), ("port", &port)]).text("id").to_owned();
        assert_eq!(console.query(&format!("KILL_CLIENT {number}")).tags, ["KILL_CLIENT"]);
        let answer = client.answer();
        answer.fatal("57P01");
        assert_eq!(answer.errors[0].message, "admin forced disconnect");
    }
    assert_eq!(other.value("SELECT 'still here'"), "still here");
    let unknown = console.query("KILL_CLIENT 123456");
    unknown.error("08P01");
    assert_eq!(unknown.errors[0].message, "client not found");
    console.query("KILL_CLIENT me").error("08P01");
}
