//! What a write sets off is known by name: those tables are read as they are now, and all others stay on replicas.

use crate::support::raw::*;
use crate::world::*;

/// A read that says what it sees and where it runs.
fn on(table: &str) -> String {
    format!("SELECT sum(n) || ' ' || current_setting('otter.host') FROM {table}")
}

/// Runs each write, and looks at what every client must see of it at once while no replica does; `quiet` stays where it is.
fn sets_off(world: &World, writes: &[(&str, &[&str])]) {
    let (mut writer, mut reader) = (world.client(), world.client());
    let quiet = on("quiet");
    eventually("all is known", || reader.value(&quiet).starts_with("1 replica"));
    for (write, changed) in writes {
        world.pause_replay(true);
        for write in write.split(";;") {
            assert_eq!(error_code(&writer.ask(write)), None, "{write}");
        }
        for table in *changed {
            let now = world.on_primary(&format!("SELECT sum(n) FROM {table}"));
            assert_eq!(reader.value(&on(table)), format!("{now} {PRIMARY}"), "{table} behind {write}");
        }
        assert!(reader.value(&quiet).starts_with("1 replica"), "{write}: a table that it does not touch");
        world.pause_replay(false);
        for table in changed.iter().chain(&["quiet"]) {
            eventually("the replicas are near enough", || !reader.value(&on(table)).ends_with(PRIMARY));
        }
    }
}

#[test]
fn what_triggers_keys_and_partitions_change_is_read_as_it_is_now_and_other_tables_on_replicas() {
    let world = World::new("max_replica_lag = \"1h\"");
    world.define(
        "quiet (n int)",
        "INSERT INTO quiet VALUES (1); \
         CREATE TABLE log (n int); INSERT INTO log VALUES (0); \
         CREATE TABLE audited (n int); INSERT INTO audited VALUES (0); \
         CREATE FUNCTION deeper(x int) RETURNS void LANGUAGE sql AS $$ INSERT INTO log VALUES (x) $$; \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM deeper(100); RETURN NEW; END $$; \
         CREATE TRIGGER note AFTER INSERT OR UPDATE ON audited FOR EACH ROW EXECUTE FUNCTION note(); \
         CREATE TABLE one (id int PRIMARY KEY, n int); INSERT INTO one SELECT g, g FROM generate_series(1, 9) g; \
         CREATE TABLE two (id int PRIMARY KEY REFERENCES one ON DELETE CASCADE, n int); INSERT INTO two TABLE one; \
         CREATE TABLE three (id int REFERENCES two ON DELETE SET NULL, n int); INSERT INTO three TABLE two; \
         CREATE VIEW seen AS SELECT n FROM three; \
         CREATE TABLE parts (n int) PARTITION BY RANGE (n); \
         CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (10); \
         CREATE TABLE high PARTITION OF parts FOR VALUES FROM (10) TO (100); INSERT INTO parts VALUES (1), (11)",
    );
    sets_off(
        &world,
        &[
            ("INSERT INTO audited VALUES (1)", &["audited", "log"]),
            ("BEGIN;;UPDATE audited SET n = n + 1;;SELECT 1;;COMMIT", &["audited", "log"]),
            ("DELETE FROM one WHERE id = 1", &["one", "two", "three", "seen"]),
            ("DELETE FROM two WHERE id = 2", &["two", "three"]),
            ("INSERT INTO parts VALUES (2)", &["parts", "low"]),
            ("UPDATE high SET n = n + 1", &["high", "parts"]),
            ("WITH gone AS (DELETE FROM low RETURNING n) INSERT INTO log SELECT n FROM gone", &["parts", "log"]),
        ],
    );
}

#[test]
fn a_copy_names_its_table_and_a_cursor_changes_nothing() {
    let world = World::new("max_replica_lag = \"1h\"");
    world.define(
        "quiet (n int)",
        "INSERT INTO quiet VALUES (1); CREATE TABLE filled (n int); INSERT INTO filled VALUES (0)",
    );
    let (mut writer, mut reader) = (world.client(), world.client());
    eventually("all is known", || reader.value(&on("filled")).starts_with("0 replica"));
    world.pause_replay(true);
    writer.send(&[query("COPY filled (n) FROM STDIN"), copy_data("7\n"), copy_done()].concat());
    writer.until_ready();
    assert_eq!(reader.value(&on("filled")), format!("7 {PRIMARY}"));
    assert!(reader.value(&on("quiet")).starts_with("1 replica"));
    writer.ask("BEGIN");
    writer.ask("DECLARE c CURSOR FOR SELECT * FROM filled");
    writer.ask("FETCH ALL FROM c");
    writer.ask("COMMIT");
    assert!(reader.value(&on("quiet")).starts_with("1 replica"));
    world.pause_replay(false);
}

#[test]
fn what_nobody_can_follow_counts_for_all_tables() {
    let world = World::new("max_replica_lag = \"1h\"");
    world.define(
        "quiet (n int)",
        "INSERT INTO quiet VALUES (1); CREATE TABLE audited (n int); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN EXECUTE 'INSERT INTO ' || TG_ARGV[0] || ' VALUES (1)'; RETURN NEW; END $$; \
         CREATE TRIGGER note AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION note('quiet')",
    );
    let (mut writer, mut reader) = (world.client(), world.client());
    eventually("all is known", || reader.value(&on("quiet")).starts_with("1 replica"));
    world.pause_replay(true);
    writer.ask("INSERT INTO audited VALUES (1)");
    assert_eq!(reader.value(&on("quiet")), format!("2 {PRIMARY}"));
    world.pause_replay(false);
}
