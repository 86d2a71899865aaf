//! The cases of `tests/sql/facts.cases`; the same answer however the text is cut; bounds.

use super::*;
use proptest::prelude::*;
use std::fmt::Write;

mod notation;
mod verdicts;

const CASES: &str = include_str!("../../../tests/sql/facts.cases");

/// The catalog that the cases with `[catalog]` are read with.
fn catalog() -> Names {
    let mut names = Names::new();
    names.add_function(b"clean", Touches::NOTHING);
    names.add_function(b"sets", Touches::SETTINGS | Touches::HIDDEN);
    names.add_function(b"locks", Touches::SESSION_LOCK);
    names.add_function(b"lower", Touches::HIDDEN);
    names.add_relation(b"audited", Touches::SETTINGS | Touches::HIDDEN);
    names
}

fn answer(pieces: &[&[u8]], functions: &dyn Functions) -> String {
    let mut reader = Reader::new(Reading::default());
    for piece in pieces {
        reader.feed(piece, functions);
    }
    let text = pieces.concat();
    notation::of(&reader.finish(functions), &text)
}

fn in_clear(text: &str) -> String {
    const BACKSLASH: &str = "\u{1}";
    text.replace(r"\\", BACKSLASH).replace(r"\n", "\n").replace(BACKSLASH, r"\")
}

/// Text, answer, and whether the catalog is known.
fn cases() -> impl Iterator<Item = (String, String, bool)> {
    CASES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
        let (text, answer) = line.rsplit_once(" ⇒ ").expect("a case has an arrow");
        let known = text.strip_prefix("[catalog] ");
        (in_clear(known.unwrap_or(text)), answer.to_owned(), known.is_some())
    })
}

fn answer_to(text: &str, known: bool) -> String {
    let catalog = catalog();
    let functions: &dyn Functions = if known { &catalog } else { &Unknown };
    answer(&[text.as_bytes()], functions)
}

#[test]
fn every_case_has_the_facts_that_it_says() {
    let all = cases().map(|(text, answer, known)| (answer_to(&text, known), answer, text));
    let wrong: Vec<_> = all.filter(|(is, answer, _)| is != answer).collect();
    let mut report = String::new();
    for (is, answer, text) in &wrong {
        writeln!(report, "{text}\n    is  {is}\n    not {answer}").expect("invariant: a String takes everything");
    }
    assert!(wrong.is_empty(), "\n{report}");
}

#[test]
fn every_case_has_the_same_facts_wherever_it_is_cut_in_two() {
    let catalog = catalog();
    for (text, answer_is, known) in cases() {
        let functions: &dyn Functions = if known { &catalog } else { &Unknown };
        for at in 0..=text.len() {
            let (before, behind) = text.as_bytes().split_at(at);
            assert_eq!(answer(&[before, behind], functions), answer_is, "{text} cut at {at}");
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(answer(&bytes, functions), answer_is, "{text} in single bytes");
    }
    assert!(cases().count() > 400);
}

#[test]
fn plain_statements_keep_nothing_on_the_heap() {
    // What could: all of it is still as it was made.
    for text in ["select a from t where b = 1", "insert into t (a) values ('x')", "begin", "commit", "delete from t"] {
        let mut reader = Reader::new(Reading::default());
        reader.feed(text.as_bytes(), &Unknown);
        assert!(reader.machine.is_lean(), "{text}");
        let facts = reader.finish(&Unknown);
        assert_eq!((facts.statements.more.capacity(), facts.settings.capacity()), (0, 0), "{text}");
    }
    assert!(size_of::<Reader>() <= 1024, "{}", size_of::<Reader>());
}

#[test]
fn more_statements_or_names_than_are_kept_make_a_text_unsure() {
    let many = "select 1;".repeat(STATEMENTS_MAX);
    assert_eq!(read(many.as_bytes(), Reading::default(), &Unknown).unsure, None);
    let many = "select 1;".repeat(STATEMENTS_MAX + 1);
    let facts = read(many.as_bytes(), Reading::default(), &Unknown);
    assert_eq!((facts.unsure, facts.touches), (Some(Unsure::Overfull), Touches::ALL));
    assert_eq!(facts.statements.len(), STATEMENTS_MAX);
    let mut names = String::new();
    for at in 0..=NAMES_MAX {
        write!(names, "set app.x{at} = 1;").expect("invariant: a String takes everything");
    }
    let facts = read(names.as_bytes(), Reading::default(), &Unknown);
    assert_eq!((facts.unsure, facts.custom_names().count()), (Some(Unsure::Overfull), NAMES_MAX));
}

#[test]
fn values_up_to_64_kib_are_kept_and_longer_ones_are_to_be_read_back() {
    for (length, kept) in [(VALUE_MAX, true), (VALUE_MAX + 1, false), (10 * VALUE_MAX, false)] {
        let value = "v".repeat(length);
        let expected = if kept { Value::Literal(value.as_bytes().into()) } else { Value::Computed };
        for text in [format!("set x = '{value}'"), format!("select set_config('x', '{value}', false)")] {
            let facts = read(text.as_bytes(), Reading::default(), &Unknown);
            let statement = facts.statements.only().expect("one statement");
            let values: Vec<_> = statement.settings().iter().map(|setting| &setting.value).collect();
            match &statement.verb {
                Verb::Select if !kept => assert!(values.is_empty()),
                _ => assert_eq!(values, [&expected], "{length}"),
            }
            assert_eq!(facts.names().collect::<Vec<_>>(), [b"x"]);
        }
    }
    let elements = vec!["a"; 10_000].join(",");
    let facts = read(format!("set search_path = {elements}").as_bytes(), Reading::default(), &Unknown);
    let statement = facts.statements.only().expect("one statement");
    assert_eq!(statement.settings().first().map(|setting| &setting.value), Some(&Value::Computed));
}

#[test]
fn deep_brackets_need_no_more_room_and_hide_no_call() {
    let depth = 100_000;
    let text = format!("select {}1{} f(1)", "(".repeat(depth), ")".repeat(depth));
    let facts = read(text.as_bytes(), Reading::default(), &Unknown);
    assert_eq!(facts.unsure, None);
    let deep = format!("select {} distinct on (a) f(1){}", "(".repeat(100), ")".repeat(100));
    assert_eq!(read(deep.as_bytes(), Reading::default(), &Unknown).touches, Touches::HIDDEN);
}

#[test]
fn without_standard_strings_a_value_with_a_backslash_is_read_back() {
    let reading = Reading { standard_strings: false, ..Reading::default() };
    let facts = read(br"set x = 'a\'b'; set y = 'c'", reading, &Unknown);
    let values: Vec<_> = facts.statements.iter().flat_map(Statement::settings).map(|setting| &setting.value).collect();
    assert_eq!(values, [&Value::Computed, &Value::Literal(b"c".as_slice().into())]);
}

/// Texts in which everything that matters is frequent.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "set",
        "local",
        "select",
        "set_config",
        "(",
        ")",
        "'a'",
        "'a.b'",
        ",",
        "true",
        "false",
        ";",
        "prepare",
        "p",
        "as",
        "begin",
        "atomic",
        "end",
        "create",
        "function",
        "temp",
        "table",
        "do",
        "$$",
        "$x$",
        "execute",
        "explain",
        "=",
        "to",
        "-",
        "1",
        ".",
        "pg_catalog",
        "f",
        "\"q\"",
        "declare",
        "with",
        "hold",
        "for",
        "case",
        "else",
        "language",
        "plpgsql",
        "--\n",
        "/*",
        "*/",
        "E'\\\\'",
        "::",
        "text",
        "null",
        "in",
        "values",
        "insert",
        "into",
        "default",
        "search_path",
        "'",
        "$1",
    ]);
    let gap = prop::sample::select(vec![" ", " ", " ", "", "\n"]);
    prop::collection::vec((piece, gap), 0..40)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, gap)| [piece, gap]).collect::<String>().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_text_has_the_same_facts_however_it_is_cut(text in hostile(), cuts in prop::collection::vec(1usize..9, 1..40)) {
        let (mut pieces, mut rest) = (Vec::new(), text.as_slice());
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        prop_assert_eq!(answer(&pieces, &Unknown), answer(&[&text], &Unknown));
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&text, Reading::default(), &Unknown);
    }
}
