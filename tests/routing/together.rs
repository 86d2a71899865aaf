//! Requests of which PgOtter cannot tell where they end, or that begin a block and go on in it: all of it is the primary's. So drivers
//! begin: pgJDBC sends BEGIN with the first statement, asyncpg prepares with a Flush.

use crate::support::raw::*;
use crate::world::*;

fn reason(client: &mut Raw) -> String {
    let frames = client.ask("SHOW pgotter.route");
    let row = frames.iter().find(|frame| frame.kind == b'D').unwrap();
    row_values(row)[2].clone().unwrap_or_default()
}

fn last_value(frames: &[Frame]) -> String {
    let row = frames.iter().rfind(|frame| frame.kind == b'D').unwrap_or_else(|| panic!("{}", print(frames)));
    row_values(row)[0].clone().unwrap_or_default()
}

#[test]
fn a_block_that_begins_in_one_request_with_its_first_statement_is_the_primarys() {
    let world = World::new("read_your_writes = \"off\"\ntransaction_reads = \"replica_until_write\"");
    for begin in ["BEGIN", "BEGIN READ ONLY"] {
        let mut client = world.client();
        client.send(&[extended(begin, &[]), extended(WHERE, &[]), sync()].concat());
        assert_eq!(last_value(&client.until_ready()), PRIMARY, "{begin}");
        // And what follows in it.
        assert_eq!(client.value(WHERE), PRIMARY, "{begin}");
        client.ask("COMMIT");
        assert_eq!(reason(&mut client), "utility", "{begin}");
        // By a Sync of its own it can be told.
        client.send(&[extended(begin, &[]), sync()].concat());
        client.until_ready();
        assert_ne!(client.value(WHERE), PRIMARY, "{begin}");
        client.ask("COMMIT");
    }
}

#[test]
fn what_ends_with_a_flush_is_the_primarys_and_is_decided_for_itself_once_it_is_bound_by_name() {
    let world = World::new("read_your_writes = \"off\"");
    let mut client = world.client();
    client.send(&[parse("s", WHERE), describe(b'S', "s"), flush()].concat());
    client.until(b'T');
    // Its server goes back behind that, sooner or later than this comes.
    let run = [bind("", "s", &[]), execute("", 0), sync()].concat();
    client.send(&run);
    client.until_ready();
    client.send(&run);
    assert_ne!(last_value(&client.until_ready()), PRIMARY);
    assert_eq!(reason(&mut client), "read");
    client.send(&[bind("", "s", &[]), execute("", 0), flush()].concat());
    let answer = client.until(b'C');
    client.send(&sync());
    client.until_ready();
    assert_eq!((last_value(&answer).as_str(), reason(&mut client).as_str()), (PRIMARY, "unparsed"));
}
