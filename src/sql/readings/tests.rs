//! Texts whose rules are not certain.

use super::*;
use crate::sql::{Unknown, read};

fn facts(text: &[u8]) -> Facts {
    let readings = Readings::any(Reading::default());
    let whole: Facts = readings.facts(text, |reading| read(text, reading, &Unknown));
    for cut in 0..=text.len() {
        let mut readers = Readers::new(readings);
        readers.feed(&text[..cut], &Unknown);
        readers.feed(&text[cut..], &Unknown);
        assert_eq!(readers.finish(&Unknown), whole, "{} cut at {cut}", text.escape_ascii());
    }
    whole
}

#[test]
fn a_text_that_may_do_either_of_two_things_may_do_anything() {
    for text in [
        &br"SELECT 'a\', pg_advisory_lock(1) --'"[..],
        br"SELECT 'a\'; SET work_mem = '\' --'",
        // Half of a character of SJIS.
        b"SELECT E'\x83\\', pg_advisory_lock(1) --'",
        b"SELECT $\x83^$ '; LISTEN a; --$\x83^$'",
    ] {
        assert_eq!(facts(text), Facts::anything(), "{}", text.escape_ascii());
    }
}

#[test]
fn a_text_that_does_the_same_in_each_way_does_that() {
    for text in [
        &br"SELECT 'a\b', E'\\'"[..],
        br"SELECT 1 \ 2",
        "SELECT 'größer', 'ein Wort' AS größe, '中文'".as_bytes(),
        // Refused where a backslash is an escape: the string does not end.
        br"SELECT 'a\'",
        b"SET work_mem = '5MB'",
    ] {
        assert_eq!(facts(text), read(text, Reading::default(), &Unknown), "{}", text.escape_ascii());
    }
    // Refused where it is none.
    let escaped = Reading { standard_strings: false, ..Reading::default() };
    let text = br"SELECT pg_advisory_lock(1), 'a\'b'";
    assert_eq!(facts(text), read(text, escaped, &Unknown));
}

#[test]
fn a_text_whose_rules_are_known_is_read_by_them() {
    let reading = Reading { standard_strings: false, ..Reading::default() };
    let text = br"SELECT 'a\', pg_advisory_lock(1) --'";
    let known: Facts = Readings::certain(reading).facts(text, |reading| read(text, reading, &Unknown));
    assert_eq!(known, read(text, reading, &Unknown));
    assert_eq!(Readings::certain(reading).only(text), Some(reading));
    assert_eq!(Readings::any(reading).only(text), None);
}
