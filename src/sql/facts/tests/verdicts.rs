//! The cases of `tests/sql/verdict.cases`, and the statements of the workload.

use super::*;

const CASES: &str = include_str!("../../../../tests/sql/verdict.cases");
const WORKLOAD: &str = include_str!("../../../../tests/workload/workload.sql");

/// The catalog that the cases with `[catalog]` are read with.
fn catalog() -> Names {
    let mut names = Names::new();
    for clean in ["clean", "<->", "lower"] {
        names.add_function(clean.as_bytes(), Touches::NOTHING);
    }
    for writes in ["writes", "upper", "<+>", "json_value"] {
        names.add_function(writes.as_bytes(), Bounds::WRITES);
    }
    names.add_relation(b"seen_through", Bounds::WRITES);
    names.add_relation(b"checked", Bounds::WRITES);
    names.add_relation(b"locking_view", Bounds::LOCKS_ROWS);
    names.add_relation(b"unlogged", Bounds::ONE_SERVER);
    names.add_relation(b"a_sequence", Bounds::ONE_SERVER);
    names
}

fn cases() -> impl Iterator<Item = (String, &'static str, bool)> {
    CASES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
        let (text, answer) = line.rsplit_once(" ⇒ ").expect("a case has an arrow");
        let known = text.strip_prefix("[catalog] ");
        (in_clear(known.unwrap_or(text)), answer, known.is_some())
    })
}

fn verdict(pieces: &[&[u8]], known: bool) -> Verdict {
    let catalog = catalog();
    let functions: &dyn Functions = if known { &catalog } else { &Unknown };
    let mut reader = Reader::new(Reading::default());
    pieces.iter().for_each(|piece| reader.feed(piece, functions));
    reader.finish(functions).verdict()
}

#[test]
fn every_text_may_run_where_its_case_says() {
    let mut report = String::new();
    for (text, answer, known) in cases() {
        let is = verdict(&[text.as_bytes()], known);
        if is.word() != answer {
            writeln!(report, "{text}\n    is  {is}\n    not {answer}").expect("invariant: a String takes everything");
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert!(cases().count() > 300);
}

#[test]
fn a_text_may_run_in_the_same_place_wherever_it_is_cut() {
    for (text, answer, known) in cases() {
        for at in 0..=text.len() {
            let (before, behind) = text.as_bytes().split_at(at);
            assert_eq!(verdict(&[before, behind], known).word(), answer, "{text} cut at {at}");
        }
    }
}

/// Identity, what it is expected to be, text.
fn workload() -> Vec<(&'static str, &'static str, String)> {
    let parts = WORKLOAD.split("\n-- @stmt ").skip(1);
    let each = parts.map(|part| {
        let (head, body) = part.split_once('\n').expect("a statement has a body");
        let mut words = head.split(' ');
        let id = words.next().expect("a statement has a name");
        let target = words.find_map(|word| word.strip_prefix("target=")).expect("a statement has a target");
        let body = body.split("\n-- =====").next().unwrap_or_default();
        let lines = body.lines().filter(|line| !line.starts_with("-- ") && !line.starts_with('\\'));
        (id, target, lines.fold(String::new(), |text, line| text + line + "\n"))
    });
    each.collect()
}

#[test]
fn the_workload_reads_on_replicas_only_where_it_may() {
    let mut report = String::new();
    let mut reads = 0;
    for (id, target, text) in workload() {
        let is = read(text.as_bytes(), Reading::default(), &Unknown).verdict();
        let wrong = match target {
            "primary" | "node" => is == Verdict::Read,
            "replica" => {
                reads += usize::from(is == Verdict::Read);
                // Nobody knows its functions here. Blocks, and what was prepared, are not of one text.
                let elsewhere = ["BEGIN", "EXECUTE"].iter().any(|word| text.starts_with(word));
                !matches!(is, Verdict::Read | Verdict::Function) && !elsewhere
            }
            _ => false,
        };
        if wrong {
            writeln!(report, "{id} {target}: {is}\n{text}").expect("invariant: a String takes everything");
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert!(reads > 50, "{reads}");
}
