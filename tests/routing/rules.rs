//! The configuration's rules: by table, fingerprint, application and user, under the same limits as a hint.

use crate::support::raw::*;
use crate::world::*;
use pgotter::sql::{Fingerprint, Reading};

const FINGERPRINTED: &str = "SELECT current_setting('otter.host') || 'x'";

fn read(from: &str) -> String {
    format!("SELECT current_setting('otter.host') FROM (SELECT count(*) FROM {from}) AS counted")
}

fn fingerprint(text: &str) -> Fingerprint {
    Fingerprint::of_text(text.as_bytes(), Reading::default()).unwrap()
}

fn world(rules: &[&str]) -> World {
    let world = World::new(&format!("rules = [{}]", rules.join(",\n")));
    world.define(
        "plain (a int)",
        "CREATE TABLE audit_2026 (a int); CREATE VIEW v AS SELECT 1 AS a; CREATE VIEW audited AS SELECT 1 AS a; CREATE SCHEMA s; CREATE TABLE s.t (a int); INSERT INTO s.t VALUES (0)",
    );
    world
}

#[test]
fn a_rule_chooses_the_host_of_what_it_is_for() {
    let by_fingerprint = format!("{{ fingerprint = \"{}\", route = \"primary\" }}", fingerprint(FINGERPRINTED));
    let world = world(&[
        "{ table = \"audit*\", route = \"primary\" }",
        "{ table = \"s.t\", application_name = \"report*\", route = \"primary\" }",
        &by_fingerprint,
        "{ user = \"nobody\", route = \"primary\" }",
        "{ application_name = \"batch\", user = \"postgres\", route = \"primary\" }",
    ]);
    let mut client = world.client();
    eventually("all is near enough", || client.value(WHERE) != PRIMARY && client.value(&read("s.t")) != PRIMARY);
    let before = world.decisions("primary", "rule");
    assert_ne!(client.value(&read("v")), PRIMARY);
    for text in [
        &read("audit_2026"),
        &read("plain, public.audit_2026"),
        &read("audit_2026, v"),
        &read("audited"),
        FINGERPRINTED,
    ] {
        assert!(client.value(text).starts_with(PRIMARY), "{text}");
        client.send(&[parse("r", text), bind("", "r", &[]), execute("", 0), close(b'S', "r"), sync()].concat());
        assert!(first_value(&client.until_ready()).unwrap().starts_with(PRIMARY), "{text}");
    }
    assert_eq!(world.decisions("primary", "rule"), before + 10);
    assert_ne!(client.value(&read("plain")), PRIMARY);
    assert_ne!(client.value("SELECT current_setting('otter.host') || 'x' || 'y'"), format!("{PRIMARY}xy"));
    client.ask("SET application_name = 'reporting'");
    assert_eq!(client.value(&read("s.t")), PRIMARY);
    assert_ne!(client.value(&read("plain")), PRIMARY, "all of a rule must be so");
    client.ask("SET application_name = 'batch'");
    assert_eq!(client.value(&read("plain")), PRIMARY);
    let shown = client.ask("SHOW pgotter.route");
    let row = row_values(shown.iter().find(|frame| frame.kind == b'D').unwrap());
    assert_eq!((row[1].as_deref(), row[2].as_deref()), (Some("primary"), Some("rule")));
    assert_ne!(client.value(&format!("/* pgotter: replica */ {}", read("plain"))), PRIMARY, "a hint counts before it");
}

#[test]
fn a_rule_lifts_what_a_hint_would_and_nothing_else() {
    let world = world(&[
        "{ table = \"t\", application_name = \"stale\", route = \"replica stale\" }",
        "{ table = \"t\", route = \"replica\" }",
    ]);
    let mut client = world.client();
    let mut stale = Raw::log_in(world.pgotter.port(), &[("application_name", "stale")]);
    world.pause_replay(true);
    for client in [&mut client, &mut stale] {
        let frames = client.ask("UPDATE s.t SET a = a + 1 RETURNING current_setting('otter.host')");
        assert_eq!(first_value(&frames).as_deref(), Some(PRIMARY));
        assert!(frames.iter().all(|frame| frame.kind != b'N'), "{}", print(&frames));
    }
    assert_eq!((client.value("SELECT a FROM s.t"), stale.value("SELECT a FROM s.t")), ("2".to_owned(), "0".to_owned()));
    world.pause_replay(false);
}

#[test]
fn a_rule_may_name_a_host_and_is_changed_by_a_reload() {
    let mut world = World::new("rules = []");
    let host = format!("rules = [{{ user = \"postgres\", route = \"host=127.0.0.1:{}\" }}]", world.replicas[1].port());
    world.reconfigure("rules = []", &host);
    let mut client = world.client();
    eventually("it is near enough", || client.value("SELECT pg_is_in_recovery()") == "t");
    for _ in 0..8 {
        assert_eq!(client.value(WHERE), REPLICAS[1]);
    }
    world.reconfigure(&host, "");
    assert_eq!(client.value("SELECT pg_is_in_recovery()"), "f");
}
