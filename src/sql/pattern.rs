//! What a statement is called and how it is shown where it is counted: its fingerprint, its normal form, what kind it is, the tables
//! that it names. Worked out once for the facts of a shape, and kept with them.

use super::facts::{Facts, Relation, Verdict};
use super::normal::{Fingerprint, Normalizer};
use super::scan::Scanner;
use super::token::Reading;
use std::sync::Arc;

/// Bytes of a normal form that are kept to be shown.
pub const PATTERN_MAX: usize = 1024;

/// Bytes of the names of tables that are.
const TABLES_MAX: usize = 256;

/// Of all texts that differ in nothing but constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Of the whole normal form.
    pub fingerprint: Fingerprint,
    /// `read`, `write`, `ddl` or `utility`.
    pub kind: &'static str,
    /// The normal form, or as much of it as is kept.
    pub text: Box<str>,
    /// The tables that it names, perhaps not all, with commas between them.
    pub tables: Box<str>,
}

impl Facts {
    /// The pattern of the text that these are the facts of, or of another one of its shape, read by these rules. `None`: nobody can
    /// tell what it says, or it is too long.
    pub fn pattern(&self, text: &[u8], reading: Reading) -> Option<&Arc<Pattern>> {
        self.pattern.get_or_init(|| self.new_pattern(text, reading).map(Arc::new)).as_ref()
    }

    fn new_pattern(&self, text: &[u8], reading: Reading) -> Option<Pattern> {
        if self.unsure.is_some() {
            return None;
        }
        let (mut scanner, mut normalizer) = (Scanner::new(reading), Normalizer::new());
        scanner.feed(text, &mut |token| normalizer.token(token));
        scanner.finish(&mut |token| normalizer.token(token)).ok()?;
        let normal = normalizer.finish()?;
        let tables = tables(self.named_relations());
        let kind = kind(self.verdict());
        Some(Pattern { fingerprint: Fingerprint::of(normal), kind, text: shown(normal, PATTERN_MAX), tables })
    }
}

/// A statement that calls what may write counts as a read.
fn kind(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Read | Verdict::Catalog | Verdict::Node | Verdict::Session | Verdict::Function => "read",
        Verdict::Lock | Verdict::Write => "write",
        Verdict::Ddl => "ddl",
        Verdict::Utility | Verdict::Unparsed => "utility",
    }
}

fn tables(relations: &[Relation]) -> Box<str> {
    let mut all: Vec<Vec<u8>> = relations
        .iter()
        .map(|relation| match &relation.schema {
            Some(schema) => [schema, &b"."[..], &relation.name].concat(),
            None => relation.name.to_vec(),
        })
        .collect();
    all.sort();
    all.dedup();
    shown(&all.join(&b','), TABLES_MAX)
}

/// As text, cut at a character.
fn shown(bytes: &[u8], max: usize) -> Box<str> {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(max));
    text.into()
}

#[cfg(test)]
mod tests {
    //! One name for all texts that differ in constants.

    use super::*;
    use crate::sql::{Plain, read};

    fn pattern(text: &str) -> Option<Arc<Pattern>> {
        read(text.as_bytes(), Reading::default(), &Plain).pattern(text.as_bytes(), Reading::default()).cloned()
    }

    #[test]
    fn constants_make_no_difference_and_tables_and_kind_are_told() {
        let one = pattern("SELECT * FROM Shop.orders JOIN items USING (id) WHERE id = 4711").expect("it can be read");
        let two = pattern("select *  from shop.orders join items using (id) where id = 'x' -- y").expect("so can this");
        assert_eq!(one, two);
        assert_eq!((&*one.tables, one.kind), ("items,shop.orders", "read"));
        assert_eq!(&*one.text, "select * from shop.orders join items using(id) where id = ?");
        for (text, kind) in [
            ("INSERT INTO t VALUES (1)", "write"),
            ("SELECT * FROM t FOR UPDATE", "write"),
            ("CREATE TABLE t (i int)", "ddl"),
            ("BEGIN", "utility"),
            ("SELECT nobody_knows_it()", "read"),
        ] {
            assert_eq!(pattern(text).map(|pattern| pattern.kind), Some(kind), "{text}");
        }
        assert_eq!(pattern("SELECT 'never ends"), None);
        for text in ["REINDEX TABLE CONCURRENTLY orders", "REINDEX (VERBOSE) TABLE orders"] {
            assert_eq!(pattern(text).map(|pattern| pattern.tables.clone()).as_deref(), Some("orders"), "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character_and_its_fingerprint_is_of_all_of_it() {
        let long = |end: &str| format!("SELECT {}{end}", "é, ".repeat(1000));
        let (one, other) = (pattern(&long("a")).expect("it can be read"), pattern(&long("b")).expect("so can this"));
        assert!(one.text.len() <= PATTERN_MAX && one.text.len() > PATTERN_MAX - 4);
        assert_eq!(one.text, other.text);
        assert_ne!(one.fingerprint, other.fingerprint);
    }
}
