//! A name without a schema may be that of a table here or of one in another entry, and the catalogs that tell are being read for somebody
//! else just now: whoever names it waits for that.

use crate::entries::{LOGS, Pair, come, refused, run};
use crate::support::raw::*;
use crate::world::eventually;

const THERE: &str = "SELECT current_setting('otter.host') FROM only_there";
const HERE: &str = "SELECT current_setting('otter.host') FROM only_here";

/// Only the catalog's reading looks at it.
const HOLD: &str = "BEGIN; LOCK TABLE pg_extension IN ACCESS EXCLUSIVE MODE";

/// Both have a table of their own that is found by its name alone; a client whose search path leads to both, and knows them.
fn both(name: &str, limits: &str) -> (Pair, Raw) {
    let mut pair = Pair::new(name, &[LOGS]);
    pair.at_logs("CREATE TABLE logs.only_there (a text); INSERT INTO logs.only_there VALUES ('first')");
    pair.at_home("CREATE TABLE only_here (a text); INSERT INTO only_here VALUES ('first')");
    if !limits.is_empty() {
        pair.reconfigure("[databases.shop]", &format!("[databases.shop]\n{limits}"));
    }
    let mut client = pair.client();
    client.ask("SET search_path = logs, public");
    eventually("both are known", || {
        [THERE, HERE].map(|text| first_value(&client.ask(text))) == [Some("logs".into()), Some("home".into())]
    });
    (pair, client)
}

/// Another client changes the catalog of this entry, and the reading behind that hangs until what comes back is asked to `ROLLBACK`.
fn held_up(pair: &Pair, entry: &str, table: &str) -> (Raw, Raw) {
    let [home, logs] = crate::entries::clusters();
    let server = if entry == "logs" { logs } else { home };
    let mut lock = come(server.port(), "postgres", &pair.name, &[]);
    assert_eq!(error_code(&lock.ask(HOLD)), None);
    let mut other = pair.come("postgres", entry, &[]);
    assert_eq!(error_code(&other.ask(&format!("CREATE TABLE {table} (a int)"))), None);
    let hangs = "SELECT count(*) FROM pg_locks WHERE relation = 'pg_extension'::regclass AND NOT granted";
    // It rests for a moment behind the reading before.
    eventually("its catalog is being read", || {
        other.ask("SELECT 1");
        lock.value(hangs) == "1"
    });
    (lock, other)
}

fn is_waiting(pair: &Pair) -> bool {
    let mut console = pair.come("postgres", "pgotter", &[]);
    console
        .ask("SHOW CLIENTS")
        .iter()
        .filter(|frame| frame.kind == b'D')
        .any(|row| row_values(row).iter().flatten().any(|column| column == "waiting"))
}

#[test]
fn a_statement_waits_for_the_catalog_that_is_being_read_for_another_client() {
    let (pair, mut client) = both("being_read", "");
    for (number, entry) in ["shop", "logs"].into_iter().enumerate() {
        for (form, (text, place)) in [(THERE, "logs"), (HERE, "home")].into_iter().enumerate() {
            let (mut lock, other) = held_up(&pair, entry, &format!("made_{number}_{form}"));
            match form {
                0 => client.send(&query(text)),
                _ => client.send(&[extended(text, &[]), sync()].concat()),
            }
            eventually("it waits, or is answered", || is_waiting(&pair) || !client.hears_nothing());
            lock.ask("ROLLBACK");
            let frames = client.until_ready();
            assert_eq!(first_value(&frames).as_deref(), Some(place), "{entry}, {text}: {}", print(&frames));
            drop(other);
        }
    }
    pair.nothing_is_astray();
}

#[test]
fn who_waits_for_a_catalog_may_cancel_and_waits_no_longer_than_for_a_server() {
    let (pair, mut client) = both("cancelled", "");
    let (mut lock, _other) = held_up(&pair, "shop", "made");
    client.send(&query(THERE));
    eventually("it waits", || is_waiting(&pair));
    let mut cancel = pair.raw();
    cancel.send(&first_packet(80_877_102, &[&client.pid.to_be_bytes()[..], &client.secret].concat()));
    assert_eq!(error_code(&client.until_ready()).as_deref(), Some("57014"));
    lock.ask("ROLLBACK");
    eventually("it goes on", || first_value(&run(&mut client, THERE)).as_deref() == Some("logs"));
    drop(pair);

    let (pair, mut client) = both("impatient", "query_wait_timeout = \"200ms\"");
    let (mut lock, _other) = held_up(&pair, "shop", "made");
    refused(&client.ask(THERE), "Write the schema in front");
    assert_eq!(client.value("SELECT current_setting('otter.host') FROM logs.only_there"), "logs");
    lock.ask("ROLLBACK");
}

#[test]
fn who_has_waited_is_answered_although_its_text_reads_otherwise_where_it_goes() {
    let pair = Pair::new("read_otherwise", &[LOGS]);
    // There the name is a table's as well; at home it is the text's own alone.
    pair.at_logs("CREATE TABLE logs.written (n int); CREATE TABLE known_there (n int)");
    let mut client = pair.client();
    let text = "WITH known_there AS (SELECT 1) SELECT count(*) FROM logs.written, known_there";
    // The first of them waits for the first server there.
    for _ in 0..2 {
        let frames = client.ask(text);
        let told = (error_code(&frames), first_value(&frames));
        assert!(
            matches!((told.0.as_deref(), told.1.as_deref()), (None, Some("0")) | (Some("0A000"), None)),
            "{told:?}"
        );
    }
    pair.nothing_is_astray();
}
