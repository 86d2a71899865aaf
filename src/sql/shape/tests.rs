//! Which texts are of one shape, which have none, and that texts of one shape are read alike.

use super::*;
use crate::sql::{Scanner, Token};
use proptest::prelude::*;
use proptest::sample::select;

fn shape_of(text: &str) -> Option<String> {
    shape(text.as_bytes(), Reading::default()).map(|shape| String::from_utf8_lossy(&shape).into_owned())
}

#[test]
fn constants_make_no_difference_and_all_else_does() {
    for (text, expected) in [
        ("SELECT a FROM t WHERE id = 12345;", "SELECT a FROM t WHERE id = 0;"),
        ("select 1.5, .5, 1., -17", "select 0.0, .0, 0., -0"),
        ("insert into t1 values ('it''s', '', 'x\n--')", "insert into t1 values ('''', '', '')"),
        ("select $1, t2.c3 from \"T 4\" where a1$b = 'é'", "select $1, t2.c3 from \"T 4\" where a1$b = ''"),
        ("select \"a\"\"'b\" / 2 - 1", "select \"a\"\"'b\" / 0 - 0"),
        ("select 1..2", "select 0..0"),
        ("", ""),
    ] {
        assert_eq!(shape_of(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_hard_to_read_has_no_shape() {
    for text in [
        "select 1 -- one",
        "select /* one */ 1",
        r"select 'a\'b'",
        "select e'a'",
        "select U&'a'",
        "select u&\"a\"",
        "select n'a'",
        "select b'1'",
        "select $$a$$",
        "select $a$1$a$",
        "select $1a",
        "select 1e5",
        "select 1.e5",
        "select 0x1F",
        "select 1_000",
        "select 1é",
        "select 'a",
        "select \"a",
        "select 1234567890123456789012345",
        "select \0",
    ] {
        assert_eq!(shape_of(text), None, "{text}");
    }
    let long = format!("select '{}'", "x".repeat(SHAPE_MAX));
    assert_eq!(shape_of(&long), None);
}

#[test]
fn where_a_byte_may_be_half_a_letter_nothing_outside_ascii_has_a_shape() {
    let reading = Reading { ascii_trails: true, ..Reading::default() };
    for text in ["select é", "select aé", "select 1é", "select é1"] {
        assert_eq!(shape(text.as_bytes(), reading), None, "{text}");
    }
    assert_eq!(shape(b"select 'a'", reading).as_deref(), Some(&b"select ''"[..]));
    // Its second byte may be the quote.
    assert_eq!(shape("select 'é'".as_bytes(), reading), None);
}

/// Tokens without what is inside constants.
fn kinds(text: &[u8], reading: Reading) -> Result<String, crate::sql::Unsure> {
    let mut kinds = String::new();
    let mut scanner = Scanner::new(reading);
    let mut note = |token: Token<'_>| match token {
        Token::Text(_) => (),
        Token::Number(_) => kinds.push('#'),
        other => kinds.push_str(&format!("{other:?} ")),
    };
    scanner.feed(text, &mut note);
    scanner.finish(&mut note)?;
    Ok(kinds)
}

/// A piece of a text: twice, with other constants perhaps.
fn piece() -> impl Strategy<Value = (&'static str, &'static str)> {
    const NUMBERS: &[&str] = &["1", "0", "12", "007", "123456789012345678901234", "1234567890123456789012345"];
    const STRINGS: &[&str] =
        &["''", "'a'", "'a''b'", "'--'", "'/*'", "'\"'", "'$$'", "'\n'", "';'", "'é'", "'\\'", "'1'"];
    const OTHERS: &[&str] = &[
        "'",
        "\"",
        "\"a\"",
        "\"1\"",
        "--",
        "-",
        "/*",
        "*/",
        "/",
        "\\",
        "$",
        "$1",
        "$$",
        "$a$",
        "e",
        "E",
        "u&",
        "n",
        "b",
        "x",
        "0x",
        "_",
        ".",
        "..",
        " ",
        "\n",
        ";",
        ",",
        "(",
        ")",
        "::",
        "=",
        "+",
        "é",
        "a",
        "a1",
        "select",
        "set_config",
        "set",
        "do",
        "prepare",
        "as",
        "uescape",
    ];
    prop_oneof![
        (select(NUMBERS), select(NUMBERS)),
        (select(STRINGS), select(STRINGS)),
        select(OTHERS).prop_map(|piece| (piece, piece)),
        Just((" ", " ")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn texts_of_one_shape_are_read_alike(
        pieces in prop::collection::vec(piece(), 1..12), standard_strings: bool, ascii_trails: bool,
    ) {
        let reading = Reading { standard_strings, ascii_trails, ..Reading::default() };
        let one: String = pieces.iter().map(|(one, _)| *one).collect();
        let other: String = pieces.iter().map(|(_, other)| *other).collect();
        let shape_of_one = shape(one.as_bytes(), reading);
        if shape_of_one.is_some() && shape_of_one == shape(other.as_bytes(), reading) {
            prop_assert_eq!(kinds(one.as_bytes(), reading), kinds(other.as_bytes(), reading), "{} and {}", one, other);
        }
    }
}
