//! The cases of `tests/sql/normal.cases`, and what no text may do to a normal form.

use super::*;
use crate::sql::{Reading, Scanner};
use proptest::prelude::*;

const CASES: &str = include_str!("../../../tests/sql/normal.cases");

fn normal(text: &str) -> Option<String> {
    let mut normalizer = Normalizer::new();
    // What was before leaves nothing.
    for text in ["select - 'x' in (1, (2", text] {
        normalizer.clear();
        let mut scanner = Scanner::new(Reading::default());
        scanner.feed(text.as_bytes(), &mut |token| normalizer.token(token));
        let _ = scanner.finish(&mut |token| normalizer.token(token));
    }
    normalizer.finish().map(|normal| String::from_utf8_lossy(normal).into_owned())
}

fn cases() -> impl Iterator<Item = (String, String)> {
    let cases = CASES.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let in_clear = |text: &str| text.replace(r"\\", r"\");
    cases
        .map(move |line| line.rsplit_once(" => ").expect("a case has an arrow"))
        .map(move |(a, b)| (in_clear(a), in_clear(b)))
}

#[test]
fn every_case_has_the_normal_form_that_it_says() {
    let all = cases().map(|(text, answer)| (normal(&text).unwrap_or_default(), answer, text));
    let wrong: Vec<_> = all.filter(|(is, answer, _)| is != answer).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases().count() > 30);
}

#[test]
fn a_normal_form_without_question_marks_is_its_own() {
    for (_, form) in cases().filter(|(_, form)| !form.contains(['?', '\\', ')'])) {
        assert_eq!(normal(&form).as_deref(), Some(&*form));
    }
}

#[test]
fn fingerprints_do_not_change_with_constants_and_never_with_versions() {
    let fingerprint = |text| Fingerprint::of(normal(text).unwrap_or_default().as_bytes());
    assert_eq!(fingerprint("select * from t where id in (1,2)"), fingerprint("SELECT *\nFROM t WHERE id IN ('a')"));
    assert_ne!(fingerprint("select 1 from orders o"), fingerprint("select 1 from users o"));
    assert_eq!(fingerprint("select a from t where id = 1").to_string(), "65a3d25f7245f91c");
    assert_eq!(Fingerprint(0xab).to_string(), "00000000000000ab");
}

#[test]
fn a_long_list_has_a_short_normal_form_and_a_long_text_has_none() {
    let list = vec!["1"; 100_000].join(", ");
    assert_eq!(normal(&format!("select a in ({list})")).as_deref(), Some("select a in (?)"));
    assert_eq!(normal(&format!("select {list}")), None);
    let nested = format!("select {}1{}", "x in (".repeat(1000), ")".repeat(1000));
    assert_eq!(normal(&nested).map(|form| form.len()), Some(nested.len()));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_and_texts_that_differ_in_constants_are_alike(
        parts in prop::collection::vec(prop::sample::select(vec![
            "in", "values", "array", "(", ")", "[", "]", ",", "#", "-", "+", "a", ".", "\"q\"", "*", ";", "::",
        ]), 0..30),
    ) {
        let text = parts.join(" ");
        let forms = ["1", "'x'", "$1", "2.5e3"].map(|constant| normal(&text.replace('#', constant)));
        // A sign belongs to a number and to nothing else.
        prop_assert_eq!(&forms[1], &forms[2]);
        prop_assert_eq!(&forms[0], &forms[3]);
    }
}
