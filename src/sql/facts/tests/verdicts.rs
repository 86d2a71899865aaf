//! The cases of `tests/sql/verdict.cases`, and the statements of the workload.

use super::*;
use std::sync::Arc;

const CASES: &str = include_str!("../../../../tests/sql/verdict.cases");
const WORKLOAD: &str = include_str!("../../../../tests/workload/workload.sql");

/// The catalog that the cases with `[catalog]` are read with: every relation is known but `stranger`, `x` and `y`.
struct Catalog(Names);

impl Functions for Catalog {
    fn function(&self, name: &[u8]) -> Option<Effects> {
        self.0.function(name)
    }

    fn relation(&self, name: &[u8]) -> Effects {
        let relation = !matches!(name, b"stranger" | b"x" | b"y");
        self.0.relation(name) | Effects { relation, ..Effects::NOTHING }
    }
}

fn catalog() -> Catalog {
    let mut names = Names::new();
    for clean in ["clean", "clean_or_checked", "<->", "lower"] {
        names.add_function(clean.as_bytes(), Touches::NOTHING);
    }
    for writes in ["writes", "upper", "<+>", "json_value", "system_user"] {
        names.add_function(writes.as_bytes(), Bounds::WRITES);
    }
    names.add_relation(b"seen_through", Bounds::WRITES);
    names.add_relation(b"checked", Bounds::WRITES);
    // A domain beside a function of its name.
    names.add_relation(b"clean_or_checked", Bounds::WRITES);
    names.add_relation(b"locking_view", Bounds::LOCKS_ROWS);
    names.add_relation(b"unlogged", Bounds::ONE_SERVER);
    names.add_relation(b"a_sequence", Bounds::ONE_SERVER);
    Catalog(names)
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
    let functions: &dyn Functions = if known { &catalog } else { &Plain };
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
    assert!(cases().count() >= 600);
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
        let is = read(text.as_bytes(), Reading::default(), &Plain).verdict();
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

/// What a text reads and, marked so, writes.
fn relations(text: &str) -> String {
    let facts = read(text.as_bytes(), Reading::default(), &catalog());
    let Some(relations) = facts.relations() else { return "not all".to_owned() };
    let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let one = |relation: &Relation| {
        let schema = relation.schema.as_ref().map_or(String::new(), |schema| name(schema) + ".");
        format!("{}{schema}{}", if relation.written { "!" } else { "" }, name(&relation.name))
    };
    relations.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_relations_of_a_text_are_told() {
    let cases = include_str!("../../../../tests/sql/relations.cases");
    let mut report = String::new();
    for line in cases.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (text, answer) = line.rsplit_once(" ⇒").expect("a case has an arrow");
        let is = relations(&in_clear(text));
        if is != answer.trim() {
            writeln!(report, "{text}\n    is  {is}\n    not {answer}").expect("invariant: a String takes everything");
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn what_reads_other_relations_is_seen_in_each_notation_of_its_call() {
    let mut names = Names::new();
    names.add_function(b"reads", Effects { beyond: true, ..Effects::NOTHING });
    let catalog = Catalog(names);
    for text in [
        "select reads(t) from t",
        "select t.reads from t",
        "select (t).reads from t",
        "select (t).reads.name from t",
        "select (t).reads.* from t",
    ] {
        let facts = read(text.as_bytes(), Reading::default(), &catalog);
        assert_eq!((facts.verdict(), facts.relations()), (Verdict::Read, None), "{text}");
    }
}

#[test]
fn more_relations_than_are_kept_are_not_all() {
    let list = |count: usize| (0..count).map(|at| format!("t{at}")).collect::<Vec<_>>().join(", ");
    let told = |count| relations(&format!("select * from {}", list(count)));
    assert_eq!(told(relations::RELATIONS_MAX).split(' ').count(), relations::RELATIONS_MAX);
    assert_eq!(told(relations::RELATIONS_MAX + 1), "not all");
}

#[test]
fn before_the_catalog_is_read_and_while_it_is_doubtful_nothing_is_a_read() {
    let verdict = |known: &dyn Functions| read(b"select 1 from t", Reading::default(), known).verdict();
    assert_eq!(verdict(&Unknown), Verdict::Function);
    assert_eq!(verdict(&Knowledge::default()), Verdict::Function);
    let mut names = Names::new();
    names.add_relation(b"t", Effects { relation: true, ..Effects::NOTHING });
    let names = Arc::new(names);
    assert_eq!(verdict(&Knowledge::new(1, names.clone(), false)), Verdict::Read);
    assert_eq!(verdict(&Knowledge::new(1, names, true)), Verdict::Function);
}

#[test]
fn a_name_outside_ascii_is_not_known_in_another_encoding() {
    let recoded = Reading { utf8: false, ..Reading::default() };
    let verdict = |text: &str, reading| read(text.as_bytes(), reading, &Plain).verdict();
    for text in ["select * from größe", "select 1::\"größe\"", "select x.größe from t x"] {
        assert_eq!((verdict(text, Reading::default()), verdict(text, recoded)), (Verdict::Read, Verdict::Function));
    }
    assert_eq!(verdict("select * from t where a = 'größe'", recoded), Verdict::Read);
    let mut latin = Names::new();
    latin.add_relation("größe".as_bytes(), Effects { relation: true, ..Effects::NOTHING });
    let text = "select * from größe".as_bytes();
    assert_eq!(read(text, Reading::default(), &latin).verdict(), Verdict::Read);
    latin.is_in_another_encoding();
    assert_eq!(read(text, Reading::default(), &latin).verdict(), Verdict::Function);
}

#[test]
fn what_both_readers_have_said_of_a_statement_is_kept_for_the_rules_it_was_read_by() {
    let (default, other) = (Reading::default(), Reading { standard_strings: false, ..Reading::default() });
    let knowledge = Knowledge::new(1, Arc::new(Names::new()), false);
    let told = knowledge.told(std::sync::Arc::new(read(b"select 1", default, &knowledge)), false);
    assert_eq!((told.confirmed(default), told.is_of(&knowledge)), (None, true));
    told.confirm(default, Verdict::Read);
    assert_eq!((told.confirmed(default), told.confirmed(other)), (Some(Verdict::Read), None));
    told.confirm(other, Verdict::Unparsed);
    assert_eq!((told.confirmed(default), told.confirmed(other)), (Some(Verdict::Read), None), "the first one counts");
    assert!(!told.is_of(&Knowledge::new(2, Arc::new(Names::new()), false)), "of another catalog nothing is kept");
}

#[test]
fn what_asks_for_its_transaction_is_a_read_all_the_same_and_says_so() {
    let mut names = Names::new();
    for name in ["asks", "now"] {
        names.add_function(name.as_bytes(), Bounds::TRANSACTION);
    }
    names.add_function(b"clean", Touches::NOTHING);
    names.add_relation(b"recent", Bounds::TRANSACTION);
    let catalog = Catalog(names);
    let asks = |text: &str| {
        let facts = read(text.as_bytes(), Reading::default(), &catalog);
        assert_eq!(facts.verdict(), Verdict::Read, "{text}");
        assert_eq!(facts.confirmed(text.as_bytes(), Reading::default(), &catalog), Verdict::Read, "{text}");
        facts.asks_transaction()
    };
    for text in [
        "select now()",
        "select a from t where b > pg_catalog.now() - interval '1 day'",
        "select transaction_timestamp(), age(a) from t",
        "select current_timestamp",
        "select Current_Date - 1, localtime(2)",
        "select asks(1)",
        "select * from recent",
        "select 1; select now(); select 2",
        "select (select max(a) from t where b < localtimestamp)",
    ] {
        assert!(asks(text), "{text}");
    }
    for text in [
        "select 1",
        "select clean(now) from t",
        "select \"current_date\" from t",
        "select clock_timestamp(), statement_timestamp()",
        "select * from t where a = 'current_date'",
    ] {
        assert!(!asks(text), "{text}");
    }
}
