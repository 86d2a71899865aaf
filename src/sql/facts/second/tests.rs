//! That the second reader agrees with the cases, disagrees where the first one is made to be wrong, and is bounded.

use super::super::Plain;
use super::*;
use crate::sql::read;
use proptest::prelude::*;

fn confirmed(text: &str) -> Verdict {
    read(text.as_bytes(), Reading::default(), &Plain).confirmed(text.as_bytes(), Reading::default(), &Plain)
}

/// What it says of a text that the first reader has called a read, whatever it is.
fn agrees_to(text: &str) -> bool {
    let facts = read(b"select 1", Reading::default(), &Plain);
    agrees(&facts, text.as_bytes(), Reading::default(), &Plain)
}

#[test]
fn it_agrees_with_the_cases() {
    let cases = include_str!("../../../../tests/sql/verdict.cases").lines();
    let cases = cases.filter(|line| !line.starts_with(['#', '[']) && !line.contains('\\'));
    let cases = cases.filter_map(|line| line.rsplit_once(" ⇒ "));
    let wrong: Vec<_> = cases.clone().filter(|(text, answer)| confirmed(text).word() != *answer).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases.filter(|(_, answer)| *answer == "read").count() > 80);
}

#[test]
fn it_takes_back_what_is_no_read() {
    for text in [
        "insert into t values (1)",
        "with x as (delete from t returning *) select * from x",
        "with x as (insert into t values (1) returning 1) table x",
        "select 1; update t set a = 1",
        "select * into u",
        "select 1 from (select 1) x for update",
        "select (select 1 from (select 1) x for share)",
        "select nextval('s')",
        "select s.nobody_knows(1)",
        "select coalesce(1, pg_advisory_lock(1))",
        "select * from nobody_knows(1)",
        "select * from unseen",
        "select 1 where exists (select from unseen)",
        "copy (select 1) to program 'cat'",
        "copy t from stdin",
        "create table t (a int)",
        "truncate t",
        "call p()",
        "explain analyze delete from t",
    ] {
        assert!(!agrees_to(text), "{text}");
    }
    for text in ["select 1", "select lower('x'), count(*)", "select * from generate_series(1, 2) x", "nonsense (("] {
        assert!(agrees_to(text), "{text}");
    }
}

#[test]
fn a_disagreement_is_unparsed_and_asked_for_once() {
    let facts = read(b"select 1", Reading::default(), &Plain);
    assert_eq!(facts.is_confirmed(), None);
    assert_eq!(facts.confirmed(b"select nextval('s')", Reading::default(), &Plain), Verdict::Unparsed);
    assert_eq!(facts.is_confirmed(), Some(Verdict::Unparsed));
    assert_eq!(facts.confirmed(b"select 1", Reading::default(), &Plain), Verdict::Unparsed);
    assert_eq!(read(b"delete from t", Reading::default(), &Plain).is_confirmed(), Some(Verdict::Write));
}

/// Runs on a stack half of what a thread has.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(run);
    thread.expect("a thread starts").join().expect("it ends");
}

/// What other databases have between two operands.
const OF_OTHERS: [&str; 8] =
    [" xor 1", " rlike 1", " regexp 1", " member of (1)", " minus select 1", " div 1", " glob 1", " match 1"];

/// Whatever is deep in it is as deep as it gets at this length.
fn deep(at: usize, length: usize) -> String {
    let times = |part: &str| part.repeat(length / part.len());
    match at {
        0 => format!("select {}1{}", "(".repeat(length / 2), ")".repeat(length / 2)),
        1 => format!("select 1{}", times("+1")),
        2 => format!("select 1{}", times(" union select 1")),
        3 => format!("select {}1", times("not ")),
        4 => format!("select {}1", times("- ")),
        5 => format!("select a{}", times("[1]")),
        6 => format!("select a{}", times("::int")),
        7 => format!("select 1{}", times(" or 1")),
        8 => format!("select {}1{}", "f(".repeat(length / 3), ")".repeat(length / 3)),
        9 => format!("{}select 1{}", "select (".repeat(length / 9), ")".repeat(length / 9)),
        10 => format!("select {}1{}", "case when a then ".repeat(length / 21), " end".repeat(length / 21)),
        11 => format!("select * from t{}", times(" join t on a")),
        12 => format!("select a{}", times(" collate c")),
        13 => format!("select a{}", times(" at time zone 'x'")),
        14 => format!("select {}1{}", "array[".repeat(length / 7), "]".repeat(length / 7)),
        15 => format!("select a{}", times(".b")),
        16 => format!("select 1{}", times(", 1")),
        other => format!("select 1{}", times(OF_OTHERS[other - 17])),
    }
}

#[test]
fn deep_and_long_texts_need_no_more_stack() {
    on_a_small_stack(|| {
        for at in 0..=24 {
            for length in [100, 200, 500, 1_000, 4_000, SECOND_MAX - 200, 64 * 1024, 1 << 20] {
                let _ = confirmed(&deep(at, length));
            }
        }
        let arms = format!("select 1{}", " union select 1".repeat(10_000));
        assert_eq!(confirmed(&arms), Verdict::Read);
    });
}

proptest! {
    #[test]
    fn no_text_makes_it_overflow(
        parts in prop::collection::vec((0..25_usize, 1..400_usize), 1..6),
        noise in prop::collection::vec(prop::sample::select(vec!["(", ")", "select", "from", "'", ",", "::", "case", "with x as"]), 0..40),
    ) {
        on_a_small_stack(move || {
            let text = parts.iter().map(|(at, length)| deep(*at, *length)).collect::<Vec<_>>().join(" ") + &noise.join(" ");
            let _ = agrees_to(&text);
            let _ = confirmed(&text);
        });
    }
}
