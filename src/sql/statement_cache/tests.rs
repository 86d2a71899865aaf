//! What is kept for a shape, what is not, and by what it is told apart.

use super::*;
use crate::sql::{Names, Touches, Verb};
use proptest::prelude::*;
use proptest::sample::select;

/// Bytes for more than any test needs.
const AMPLE: usize = 1 << 20;

fn known(cache: &StatementCache) -> Knowledge {
    Knowledge::new(cache.edition(), Arc::new(Names::new()), false)
}

/// Whether the second text is not read again behind the first.
fn shares(one: &str, other: &str) -> bool {
    let cache = StatementCache::new(AMPLE);
    let known = known(&cache);
    let facts = cache.read(one.as_bytes(), Reading::default(), &known);
    Arc::ptr_eq(&facts, &cache.read(other.as_bytes(), Reading::default(), &known))
}

#[test]
fn a_text_that_differs_in_its_constants_alone_is_not_read_again() {
    assert!(shares("select a from t where id = 1", "select a from t where id = 22"));
    assert!(shares("update t set a = 'x' where b = 'y'", "update t set a = '' where b = '--'"));
    assert!(shares("begin", "begin"));
    assert!(!shares("select a from t where id = 1", "select a from u where id = 1"));
}

#[test]
fn what_is_looked_into_is_read_each_time() {
    for (one, other) in [
        ("set search_path = 'a'", "set search_path = 'b'"),
        ("select set_config('a.b', 'c', false)", "select set_config('a.d', 'c', false)"),
        ("do 'select 1'", "do 'select nextval(''s'')'"),
        ("notify a, 'b'", "notify a, 'c'"),
        ("select 1; prepare a as select 1", "select 22; prepare a as select 1"),
    ] {
        assert!(!shares(one, other), "{one}");
    }
    let cache = StatementCache::new(AMPLE);
    let known = known(&cache);
    let names = |text: &str| {
        let facts = cache.read(text.as_bytes(), Reading::default(), &known);
        facts.names().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("select set_config('work_mem', '1', false)"), ["work_mem"]);
    assert_eq!(names("select set_config('jit', '1', false)"), ["jit"]);
}

#[test]
fn a_text_is_read_again_by_other_rules_or_with_another_catalog() {
    let cache = StatementCache::new(AMPLE);
    let (before, text) = (known(&cache), b"select f(1)");
    let facts = cache.read(text, Reading::default(), &before);
    assert!(facts.touches.any(Touches::HIDDEN));

    let mut names = Names::new();
    names.add_function(b"f", Touches::NOTHING);
    let after = Knowledge::new(cache.edition(), Arc::new(names), false);
    assert!(!cache.read(text, Reading::default(), &after).touches.any(Touches::HIDDEN));
    assert!(cache.read(text, Reading::default(), &before).touches.any(Touches::HIDDEN));

    let other = Reading { standard_strings: false, ..Reading::default() };
    assert!(!Arc::ptr_eq(&facts, &cache.read(text, other, &before)));
}

#[test]
fn it_keeps_no_more_than_its_size() {
    let cache = StatementCache::new(64 * 1024);
    let known = known(&cache);
    for number in 0..10_000 {
        let text = format!("select a from t{number} where id = 1");
        let facts = cache.read(text.as_bytes(), Reading::default(), &known);
        assert_eq!(facts.statements.only().map(|statement| &statement.verb), Some(&Verb::Select));
    }
    assert!(cache.facts.weight() <= 64 * 1024, "{}", cache.facts.weight());
    assert!(cache.facts.len() > 10);

    let many = "a;".repeat(1_000);
    assert!(!Arc::ptr_eq(
        &cache.read(many.as_bytes(), Reading::default(), &known),
        &cache.read(many.as_bytes(), Reading::default(), &known)
    ));

    cache.resize(0);
    cache.read(b"select 1", Reading::default(), &known);
    assert_eq!(cache.facts.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever was read before, the facts are those of the text itself.
    #[test]
    fn facts_of_a_kept_shape_are_those_of_the_text(texts in prop::collection::vec(text(), 2..6)) {
        let cache = StatementCache::new(AMPLE);
        let known = known(&cache);
        for text in &texts {
            let kept = cache.read(text.as_bytes(), Reading::default(), &known);
            prop_assert_eq!(&*kept, &read(text.as_bytes(), Reading::default(), &known), "{} in {:?}", text, texts);
        }
    }
}

/// Statements that look alike, with other constants.
fn text() -> impl Strategy<Value = String> {
    const TEXTS: &[&str] = &[
        "select ? from t where a = ?",
        "select set_config(?, ?, false)",
        "select set_config(?, ?, true), ?",
        "select pg_catalog.set_config(?, f(?), false)",
        "set a.b = ?",
        "set local a.b = ?",
        "set time zone ?",
        "begin; set work_mem = ?; commit",
        "do ?",
        "do language plpgsql ?",
        "select ?; do ?",
        "insert into t values (?, ?), (?, ?)",
        "prepare a as select ?",
        "select ?; begin read only",
        "select ?; prepare a as select ?",
        "execute a(?)",
        "declare c cursor with hold for select ?",
        "notify a, ?",
        "explain select ?",
        "copy t to ?",
        "create function f() returns int language sql as ?",
        "update t set a = ? where b = ?",
        "load ?",
        "select ? ? from t",
        "select lastval(), ?",
        "select currval(?)",
    ];
    const CONSTANTS: &[&str] = &[
        "1",
        "22",
        "1.5",
        "'a'",
        "'a.b'",
        "'work_mem'",
        "'begin perform set_config(''a.b'', ''c'', false); end'",
        "'select nextval(''s'')'",
        "''",
        "'it''s'",
        "'plpgsql'",
        "'--'",
    ];
    (select(TEXTS), prop::collection::vec(select(CONSTANTS), 4)).prop_map(|(text, constants)| {
        let mut out = String::new();
        for (at, part) in text.split('?').enumerate() {
            if at > 0 {
                out.push_str(constants[(at - 1) % constants.len()]);
            }
            out.push_str(part);
        }
        out
    })
}
