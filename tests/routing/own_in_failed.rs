//! In a failed block, and among other statements, what is PgOtter's own is refused as PostgreSQL refuses its own.

use crate::support::raw::*;
use crate::world::*;

const FAILS: &str = "SELECT 1/0";

/// Something of PgOtter's own, and its likeness of PostgreSQL's.
const LIKENESSES: [(&str, &str); 6] = [
    ("SHOW pgotter.route", "SHOW work_mem"),
    ("SHOW pgotter.after_lsn", "SHOW work_mem"),
    ("SHOW pgotter.lsn", "SHOW work_mem"),
    ("SET pgotter.route = 'primary'", "SET work_mem = '1MB'"),
    ("SET LOCAL pgotter.route = 'nowhere'", "SET LOCAL work_mem = 'nowhere'"),
    ("RESET pgotter.route", "RESET work_mem"),
];

/// Ways to say a text in a block that fails before, or at the same time.
const WAYS: [&str; 9] = [
    "simple",
    "extended",
    "prepared before",
    "described",
    "bound before",
    "its portal described",
    "right behind the error",
    "extended, right behind the error",
    "in one request with the error",
];

/// The SQLSTATEs of all errors, and whether the block goes on to be a failed one.
fn said(client: &mut Raw, begin: &[&str], way: &str, text: &str) -> (Vec<String>, String) {
    begin.iter().for_each(|text| drop(client.ask(text)));
    let extended = |text: &str| [parse("", text), bind("", "", &[]), execute("", 0)].concat();
    let prepares = [parse("own", text), sync()].concat();
    let binds = [bind("held", "own", &[]), sync()].concat();
    let (before, failing, then, answers) = match way {
        "simple" => (vec![], query(FAILS), query(text), 1),
        "extended" => (vec![], query(FAILS), [extended(text), sync()].concat(), 1),
        "prepared before" => (vec![prepares], query(FAILS), [bind("", "own", &[]), execute("", 0), sync()].concat(), 1),
        "described" => (vec![prepares], query(FAILS), [describe(b'S', "own"), sync()].concat(), 1),
        "bound before" => (vec![prepares, binds], query(FAILS), [execute("held", 0), sync()].concat(), 1),
        "its portal described" => (vec![prepares, binds], query(FAILS), [describe(b'P', "held"), sync()].concat(), 1),
        "right behind the error" => (vec![], vec![], [query(FAILS), query(text)].concat(), 2),
        "extended, right behind the error" => {
            (vec![], vec![], [extended(FAILS), sync(), extended(text), sync()].concat(), 2)
        }
        _ => (vec![], vec![], [extended(FAILS), extended(text), sync()].concat(), 1),
    };
    let mut heard = Vec::new();
    for (request, answers) in before
        .into_iter()
        .map(|request| (request, 1))
        .chain([(failing.clone(), usize::from(!failing.is_empty())), (then, answers)])
    {
        client.send(&request);
        (0..answers).for_each(|_| heard.extend(client.until_ready()));
    }
    let status = heard.last().map(|ready| ready.body.escape_ascii().to_string()).unwrap_or_default();
    let errors = heard.iter().filter(|frame| frame.kind == b'E').filter_map(|error| error.field(b'C')).collect();
    client.ask("ROLLBACK");
    client.send(&[close(b'S', "own"), sync()].concat());
    client.until_ready();
    (errors, status)
}

#[test]
fn in_a_failed_block_it_is_refused_as_any_statement_is() {
    let world = World::new("");
    let mut wrong = String::new();
    // A block that the primary has, one that a replica has, and one that has no server yet.
    for begin in [&["BEGIN", "SELECT pg_backend_pid()"][..], &["BEGIN READ ONLY", WHERE], &["BEGIN"]] {
        for (own, likeness) in LIKENESSES {
            for way in WAYS {
                // It is the primary's to tell, and refused before anything fails.
                let is_refused = begin.len() == 2 && begin[0].ends_with("ONLY") && own == "SHOW pgotter.lsn";
                if is_refused && matches!(way, "bound before" | "its portal described") {
                    continue;
                }
                let (mut client, mut direct) = (world.client(), Raw::log_in(world.primary.port(), &[]));
                let (ours, theirs) = (said(&mut client, begin, way, own), said(&mut direct, begin, way, likeness));
                if ours != theirs {
                    wrong += &format!("{begin:?}, {own}, {way}: {ours:?} instead of {theirs:?}\n");
                }
                assert_eq!(client.value("SELECT 7"), "7", "{own}, {way}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn among_other_statements_it_is_refused_with_a_comment_in_front_as_without() {
    let world = World::new("");
    let mut client = world.client();
    for own in ["SHOW pgotter.route", "SHOW pgotter.lsn", "SET pgotter.route = ''", "RESET pgotter.route"] {
        for comment in ["/* by app */ ", "-- by app\n", "/* /* by */ app */ ", "/* a */ -- b\n/* c */"] {
            let frames = client.ask(&format!("{comment}{own}"));
            assert_eq!(error_code(&frames), None, "{comment}{own}: {}", print(&frames));
        }
        for text in [
            format!("{own}; SELECT 1"),
            format!("/* by app */ {own}; SELECT 1"),
            format!("-- by app\n{own}; SELECT 1"),
            format!("/* /* */ */ {own}; SELECT 1"),
            format!("SELECT 1; {own}"),
            format!("SELECT 1; /* by app */ {own}"),
            format!("/* by app */ SELECT 1; {own}"),
        ] {
            for begin in ["", "BEGIN", "BEGIN; SELECT 1", "BEGIN READ ONLY"] {
                client.ask(begin);
                let frames = client.ask(&text);
                assert_eq!(error_code(&frames).as_deref(), Some("0A000"), "{begin}: {text}: {}", print(&frames));
                client.ask("ROLLBACK");
            }
        }
    }
}
