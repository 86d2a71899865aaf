//! The cases of `tests/sql/hint.cases`; what hints are no part of.

use super::*;
use crate::sql::{Fingerprint, Normalizer, Plain, Token, read as facts};

const CASES: &str = include_str!("../../../tests/sql/hint.cases");

fn said(text: &str) -> String {
    match hint(text.as_bytes(), Reading::default()) {
        Ok(None) => "none".to_owned(),
        Ok(Some(hint)) => hint.to_string(),
        Err(Malformed::Unknown) => "malformed".to_owned(),
        Err(Malformed::Contradicted) => "contradicted".to_owned(),
    }
}

#[test]
fn every_text_asks_what_its_case_says() {
    let cases = CASES.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in cases.clone() {
        let (text, answer) = line.rsplit_once(" ⇒ ").expect("a case has an arrow");
        assert_eq!(said(&text.replace("\\n", "\n")), answer, "{text}");
    }
    assert!(cases.count() > 40);
}

#[test]
fn a_hint_is_no_part_of_fingerprint_or_facts() {
    let fingerprint = |text: &str| {
        let (mut normalizer, mut scanner) = (Normalizer::new(), Scanner::new(Reading::default()));
        scanner.feed(text.as_bytes(), &mut |token: Token<'_>| normalizer.token(token));
        scanner.finish(&mut |token: Token<'_>| normalizer.token(token)).expect("it is plain");
        Fingerprint::of(normalizer.finish().expect("it is short"))
    };
    let (with, without) = ("/* pgotter: primary */ select a from t", "select a from t");
    assert_eq!(fingerprint(with), fingerprint(without));
    let [with, without] = [with, without].map(|text| facts(text.as_bytes(), Reading::default(), &Plain));
    assert_eq!(with, without);
}

#[test]
fn a_hint_counts_only_where_postgresql_sees_a_comment() {
    let escaped = Reading { standard_strings: false, ..Reading::default() };
    let text = br"select 'a\' /* pgotter: primary */ from t --'";
    assert_eq!(hint(text, Reading::default()), Ok(Some(Hint::Primary)));
    assert_eq!(hint(text, escaped), Ok(None));
}
