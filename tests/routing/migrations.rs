//! A schema changes on the primary while both replicas stand still: nobody hears that what is there is not.

use crate::support::raw::*;
use crate::world::*;

/// One step of a migration, and a read that needs it.
const STEPS: [(&str, &str); 8] = [
    ("CREATE TABLE {}_new (a int)", "SELECT count(*) FROM {}_new"),
    ("ALTER TABLE {} ADD COLUMN b text DEFAULT 'new'", "SELECT b FROM {}"),
    ("ALTER TABLE {} RENAME COLUMN a TO c", "SELECT c FROM {}"),
    ("ALTER TABLE {} RENAME TO {}_old; CREATE TABLE {} AS SELECT 1 AS d", "SELECT d FROM {}"),
    ("CREATE VIEW {}_seen AS SELECT b FROM {}_old", "SELECT b FROM {}_seen"),
    ("CREATE SCHEMA {}_s; CREATE TABLE {}_s.deep (e int)", "SELECT count(e) FROM {}_s.deep"),
    (
        "CREATE TABLE {}_p (k int) PARTITION BY LIST (k); CREATE TABLE {}_p1 PARTITION OF {}_p DEFAULT",
        "SELECT count(k) FROM {}_p",
    ),
    ("BEGIN; ALTER TABLE {} ADD COLUMN f int; ALTER TABLE {} RENAME f TO g; COMMIT", "SELECT count(g) FROM {}"),
];

/// Reads in one form of the protocol, and says what went wrong.
type Form = (&'static str, fn(&mut Raw, &str) -> Vec<Frame>);

const FORMS: [Form; 4] = [
    ("simple", |client, sql| client.ask(sql)),
    ("extended", |client, sql| {
        client.send(&[extended(sql, &[]), sync()].concat());
        client.until_ready()
    }),
    ("prepared", |client, sql| {
        client.send(&[parse("p", sql), describe(b'S', "p"), sync()].concat());
        let mut frames = client.until_ready();
        client.send(&[bind("", "p", &[]), execute("", 0), sync()].concat());
        frames.extend(client.until_ready());
        client.send(&[close(b'S', "p"), sync()].concat());
        frames.extend(client.until_ready());
        frames
    }),
    ("prepared and run at once", |client, sql| {
        client.send(&[parse("q", sql), bind("", "q", &[]), execute("", 0), close(b'S', "q"), sync()].concat());
        client.until_ready()
    }),
];

/// New clients, one for each form, that would read on replicas. Who has read before the catalog was read again may not.
fn readers(world: &World) -> Vec<Raw> {
    eventually("new clients read on replicas", || world.client().value(WHERE) != PRIMARY);
    FORMS.iter().map(|_| world.client()).collect()
}

/// Has every reader say a read in its form; what it heard instead of an answer.
fn heard(readers: &mut [Raw], read: &str) -> String {
    readers.iter_mut().zip(FORMS).fold(String::new(), |wrong, (reader, (form, say))| {
        let code = error_code(&say(reader, read));
        code.map_or(wrong.clone(), |code| format!("{wrong}{read}, {form}: {code}\n"))
    })
}

#[test]
fn what_a_client_has_defined_every_other_one_finds_while_no_replica_has_it() {
    for scope in ["tables", "off"] {
        let world = World::new(&format!("read_your_writes = \"{scope}\"\nmax_replica_lag = \"1h\""));
        world.define("t (a int)", "INSERT INTO t VALUES (1)");
        let mut migration = world.client();
        let (mut wrong, moved) = (String::new(), world.retries("not_replayed"));
        world.pause_replay(true);
        for (step, read) in STEPS {
            let (step, read) = (step.replace("{}", "t"), read.replace("{}", "t"));
            let mut at_once: Vec<_> = FORMS.map(|_| world.client()).into();
            let frames = migration.ask(&step);
            assert_eq!(error_code(&frames), None, "{step}: {}", print(&frames));
            wrong += &heard(&mut at_once, &read);
            if scope == "tables" {
                let mut reader = world.client();
                reader.ask("BEGIN READ ONLY");
                wrong += &error_code(&reader.ask(&read))
                    .map_or(String::new(), |code| format!("{read}, in a block: {code}\n"));
                reader.ask("COMMIT");
            } else {
                // Those who go to replicas as soon as the catalog has been read again.
                wrong += &heard(&mut readers(&world), &read);
            }
        }
        assert!(wrong.is_empty(), "{scope}:\n{wrong}");
        if scope != "tables" {
            eventually("they were tried on replicas", || world.retries("not_replayed") > moved);
        }
    }
}

#[test]
fn what_was_defined_past_the_pooler_everybody_finds_while_no_replica_has_it() {
    // In scope `tables` the first read that is moved would count as a write to all of them.
    let world = World::new("read_your_writes = \"session\"\nmax_replica_lag = \"1h\"");
    world.define("t (a int)", "INSERT INTO t VALUES (1)");
    world.pause_replay(true);
    let (mut wrong, moved) = (String::new(), world.retries("not_replayed"));
    for (step, read) in STEPS {
        let mut readers = readers(&world);
        world.on_primary(&step.replace("{}", "t"));
        wrong += &heard(&mut readers, &read.replace("{}", "t"));
    }
    assert!(wrong.is_empty(), "{wrong}");
    eventually("they were tried on replicas", || world.retries("not_replayed") > moved);
}
