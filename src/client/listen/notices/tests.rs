//! What is found in texts, and what comes of it.

use super::*;

fn notified(text: &str) -> Vec<String> {
    let parameters: [Option<&[u8]>; 3] = [Some(b"one"), Some(b"two"), None];
    let found = notices(text.as_bytes(), Reading::default()).into_iter();
    let notified = found.filter_map(|notice| notice.notified(&parameters));
    notified.map(|notified| String::from_utf8(notified.into()).expect("text").replace('\0', "|")).collect()
}

#[test]
fn what_a_text_says_itself_is_found() {
    let found: [(&str, &[&str]); 10] = [
        ("NOTIFY Jobs", &["jobs||"]),
        ("notify \"Jobs\", 'it''s' ;", &["Jobs|it's|"]),
        ("SELECT 1; NOTIFY a; NOTIFY a, $$x$$; COMMIT", &["a||", "a|x|"]),
        ("SELECT pg_notify('Jobs', 'x')", &["Jobs|x|"]),
        ("select pg_catalog.pg_notify ( $2 , $1 )", &["two|one|"]),
        ("SELECT pg_notify($1::text, $2::text), pg_notify('b', /* y */ 'y')", &["one|two|", "b|y|"]),
        ("SELECT pg_notify('a', 'x'\n'y')", &["a|xy|"]),
        ("SELECT pg_notify('a', $3)", &[]),
        ("SELECT pg_notify('a', $4)", &[]),
        ("SELECT pg_notify('a', $0); NOTIFY b", &["b||"]),
    ];
    for (text, notices) in found {
        assert_eq!(notified(text), notices, "{text}");
    }
}

#[test]
fn what_only_postgresql_knows_is_left_out() {
    for text in [
        "SELECT pg_notify('a', 'x') WHERE false",
        "SELECT pg_notify('a', n::text) FROM generate_series(1, 3) n",
        "SELECT pg_notify('a', 'x' || 'y')",
        "SELECT pg_notify('a', $1::int::text)",
        "SELECT pg_notify('a', E'\\t')",
        "SELECT pg_notify('a', 1)",
        "SELECT other.pg_notify('a', 'x')",
        "SELECT count(pg_notify('a', 'x'))",
        "EXPLAIN SELECT pg_notify('a', 'x')",
        "INSERT INTO t SELECT pg_notify('a', 'x')",
        "DO $$ BEGIN NOTIFY a; END $$",
        "CREATE RULE r AS ON INSERT TO t DO (NOTIFY a)",
        "NOTIFY a, $1 || 'x'",
        "PREPARE n AS SELECT pg_notify('a', 'x')",
    ] {
        assert_eq!(notified(text), [""; 0], "{text}");
    }
}

#[test]
fn a_statement_without_end_costs_no_memory() {
    let long = format!("SELECT {} pg_notify('a', 'x'); NOTIFY b", "pg_notify('a', 'x'),".repeat(1_000));
    assert_eq!(notified(&long), ["b||"]);
}

#[test]
fn what_is_too_long_for_postgresql_is_not_even_copied() {
    let found = notices(b"SELECT pg_notify('a', $1), pg_notify($1, 'x')", Reading::default());
    let count = |length: usize| {
        let parameter = vec![b'x'; length];
        found.iter().filter_map(|notice| notice.notified(&[Some(&parameter)])).count()
    };
    assert_eq!((count(7_999), count(8_000)), (2, 0));
}
