//! What is found in texts, and what becomes of them.

use super::*;

fn read(text: &str) -> Deeds {
    Deeds::by(text.as_bytes(), Reading::default())
}

fn changed(text: &str) -> String {
    let channels: [&[u8]; 2] = [b"a", b"o'b\\c"];
    String::from_utf8(read(text).changed(text.as_bytes(), &channels.map(constant))).expect("text")
}

fn name(text: &str) -> Channel {
    text.as_bytes().into()
}

#[test]
fn every_statement_that_matters_is_found() {
    use Deed::*;
    let found: [(&str, &[Deed]); 14] = [
        ("LISTEN Jobs", &[Listen(name("jobs"))]),
        (" /* x */ listen \"Jobs\" ;", &[Listen(name("Jobs"))]),
        ("UNLISTEN jobs; UNLISTEN *", &[Unlisten(name("jobs")), UnlistenAll]),
        ("UNLISTEN/*LISTEN*/ jobs", &[Listen(name("jobs"))]),
        ("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;", &[UnlistenAll]),
        (
            "SAVEPOINT s; ROLLBACK TO s; rollback work to savepoint S",
            &[Savepoint(name("s")), RollBackTo(name("s")), RollBackTo(name("s"))],
        ),
        ("RELEASE s; RELEASE SAVEPOINT s", &[Release(name("s")), Release(name("s"))]),
        ("COMMIT; END WORK; COMMIT AND CHAIN", &[Commit, Commit, Commit]),
        ("ROLLBACK; ABORT; ROLLBACK AND CHAIN", &[RollBack, RollBack, RollBack]),
        ("COMMIT PREPARED 'x'; ROLLBACK PREPARED 'x'", &[]),
        ("PREPARE TRANSACTION 'x'; DISCARD ALL; DISCARD TEMP", &[Prepare, UnlistenAll]),
        ("SELECT 'LISTEN x'; -- LISTEN y\nSELECT listen FROM listen", &[]),
        ("CREATE RULE r AS ON INSERT TO t DO (NOTIFY a; LISTEN b)", &[]),
        ("LISTEN x; SELECT 'open", &[]),
    ];
    for (text, deeds) in found {
        assert_eq!(read(text).deeds, deeds, "{text}");
    }
}

#[test]
fn a_long_name_is_cut_as_postgresql_cuts_it_and_what_cannot_be_told_is_not_guessed() {
    let long = "x".repeat(70);
    assert_eq!(read(&format!("LISTEN {long}")).deeds, [Deed::Listen(name(&long[..63]))]);
    for text in [&format!("LISTEN {}", "é".repeat(40)), "LISTEN U&\"x\" UESCAPE '!'"] {
        assert!(read(text).uncertain && read(text).deeds.is_empty(), "{text}");
    }
    assert!(!read("LISTEN x; SELECT 'open").uncertain, "PostgreSQL refuses it as a whole");
    let sjis = Reading { ascii_trails: true, ..Reading::default() };
    assert!(Deeds::by(b"LISTEN \x83\x65", sjis).uncertain);
    assert!(!Deeds::by(b"SELECT '\x83\x65'", sjis).uncertain);
}

#[test]
fn who_notifies_is_found() {
    for text in
        ["NOTIFY x", "SELECT 1; notify x, 'y'", "SELECT pg_notify('a', 'b')", "select pg_catalog.pg_notify($1,$2)"]
    {
        assert!(read(text).notifies, "{text}");
    }
    for text in ["SELECT 'NOTIFY x'", "SELECT notify FROM t", "UPDATE t SET notify = 1"] {
        assert!(!read(text).notifies, "{text}");
    }
}

#[test]
fn listen_becomes_an_unlisten_that_says_so() {
    assert_eq!(changed("LISTEN x"), "UNLISTEN/*LISTEN*/ x");
    assert_eq!(
        changed("/* LISTEN */ listen\"X\"; SELECT 'ä'; LiStEn y;"),
        "/* LISTEN */ UNLISTEN/*LISTEN*/\"X\"; SELECT 'ä'; UNLISTEN/*LISTEN*/ y;"
    );
    let again = changed("LISTEN x");
    assert_eq!(read(&again).deeds, [Deed::Listen(name("x"))]);
    assert!(!read(&again).must_change());
}

#[test]
fn what_is_listened_to_is_told_in_place_of_the_function() {
    let rows = "pg_catalog.unnest(array['a', E'o''b\\\\c']::pg_catalog.text[])";
    let asks = [
        ("SELECT pg_listening_channels()", format!("SELECT {rows} AS pg_listening_channels")),
        ("select * from pg_listening_channels ( ) c", format!("select * from {rows} c")),
        (
            "select array(select pg_listening_channels())",
            format!("select array(select {rows} AS pg_listening_channels)"),
        ),
        ("SELECT pg_listening_channels() FROM t", format!("SELECT {rows} AS pg_listening_channels FROM t")),
        ("SELECT 'pg_listening_channels()'", "SELECT 'pg_listening_channels()'".to_owned()),
    ];
    for (text, expected) in asks {
        assert_eq!(changed(text), expected);
    }
}

#[test]
fn a_commit_is_found_at_the_end_of_a_block_that_listens_and_nowhere_else() {
    for (front, commit) in [
        ("BEGIN; LISTEN a; ", "COMMIT"),
        ("start transaction read write; SELECT ';', (1); LISTEN a; SAVEPOINT s; ROLLBACK TO s;\n", "end ; ;"),
        ("BEGIN; /* ; */ LISTEN a; -- ;\n", "COMMIT WORK"),
    ] {
        assert_eq!(read(&[front, commit].concat()).commit, Some(front.len()), "{front}{commit}");
    }
    for text in [
        "BEGIN; COMMIT",
        "BEGIN; UNLISTEN a; COMMIT",
        "LISTEN a; COMMIT",
        "BEGIN; LISTEN a; COMMIT AND CHAIN",
        "BEGIN; LISTEN a; COMMIT; SELECT 1",
        "BEGIN; LISTEN a; COMMIT; BEGIN; COMMIT",
        "BEGIN; ROLLBACK; BEGIN; LISTEN a; COMMIT",
        "BEGIN; LISTEN a; ROLLBACK",
    ] {
        assert_eq!(read(text).commit, None, "{text}");
    }
}

#[test]
fn readings_that_differ_in_how_many_statements_there_are_agree_all_the_same() {
    let text = r"SELECT pg_notify('a', f(x)), '\'; SELECT 1 --'";
    let deeds = Deeds::read(text.as_bytes(), Readings::any(Reading::default()));
    assert!(deeds.notifies && !deeds.uncertain, "it notifies by either: {deeds:?}");
    let either = |text: &str| Deeds::read(text.as_bytes(), Readings::any(Reading::default()));
    assert_eq!(either(r"LISTEN a; SELECT '\'; SELECT 1 --'").deeds, [Deed::Listen(name("a"))]);
    assert_eq!(either(r"UNLISTEN a; SELECT '\'; SELECT 1 --'").deeds, [Deed::Unlisten(name("a"))]);
    let found = either(r"BEGIN; LISTEN a; SELECT '\'; COMMIT --'; COMMIT");
    assert!(found.commit.is_none() && !found.uncertain && found.must_change(), "it listens by either: {found:?}");
}

#[test]
fn several_statements_do_nothing_in_a_parse() {
    for text in ["NOTIFY a; NOTIFY b", "UNLISTEN a; SELECT 1", "LISTEN a; SELECT pg_notify('a', 'x')"] {
        let deeds = read(text).in_parse();
        assert!(deeds.deeds.is_empty() && deeds.notices.is_empty(), "{text}");
    }
    assert!(read("LISTEN a; LISTEN b").in_parse().must_change(), "no server sees a LISTEN, whatever it says to two");
    assert_eq!(read("LISTEN a;").in_parse().deeds, [Deed::Listen(name("a"))]);
    assert_eq!(read("NOTIFY a; ;").in_parse().notices.len(), 1);
}
