//! The cases of `tests/sql/tokens.cases`; the same answer however the text is cut; long and deep texts.

use super::*;
use proptest::prelude::*;
use std::fmt::Write;

const CASES: &str = include_str!("../../../tests/sql/tokens.cases");

/// What a text says, in the notation of the cases.
fn tokens(pieces: &[&[u8]], reading: Reading) -> String {
    let mut scanner = Scanner::new(reading);
    let (mut out, mut text) = (String::new(), Vec::new());
    let mut note = |token: Token<'_>| {
        let lossy = String::from_utf8_lossy;
        match token {
            Token::Word { name, quoted: false } => write!(out, "{} ", lossy(name)),
            Token::Word { name, quoted: true } => write!(out, "\"{}\" ", lossy(name)),
            Token::Text(piece) => {
                text.extend_from_slice(piece);
                Ok(())
            }
            Token::TextEnd { exact } => {
                let mark = if exact { "" } else { "~" };
                write!(out, "{mark}'{}' ", lossy(&std::mem::take(&mut text)))
            }
            Token::Number(number) => write!(out, "#{} ", lossy(number)),
            Token::Parameter => write!(out, "$ "),
            Token::Operator(operator) => write!(out, "<{}> ", lossy(operator)),
            Token::Symbol(byte) => write!(out, "{} ", lossy(&[byte])),
        }
        .expect("invariant: a String takes everything");
    };
    for piece in pieces {
        scanner.feed(piece, &mut note);
    }
    match scanner.finish(&mut note) {
        Ok(()) => out.trim_end().to_owned(),
        Err(why) => format!("unsure: {why}"),
    }
}

fn whole(text: &str) -> String {
    tokens(&[text.as_bytes()], Reading::default())
}

fn in_clear(text: &str) -> String {
    const BACKSLASH: &str = "\u{1}";
    text.replace(r"\\", BACKSLASH)
        .replace(r"\n", "\n")
        .replace(r"\r", "\r")
        .replace(r"\t", "\t")
        .replace(BACKSLASH, r"\")
}

fn cases() -> impl Iterator<Item = (String, String)> {
    CASES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| {
        let (text, answer) = line.rsplit_once(" => ").expect("a case has an arrow");
        (in_clear(text), in_clear(answer))
    })
}

#[test]
fn every_case_is_read_as_it_says() {
    let wrong: Vec<_> =
        cases().map(|(text, answer)| (whole(&text), answer, text)).filter(|(is, answer, _)| is != answer).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases().count() > 70);
}

#[test]
fn every_case_is_read_alike_in_pieces_of_one_byte() {
    for (text, answer) in cases() {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(tokens(&pieces, Reading::default()), answer, "{text}");
    }
}

#[test]
fn without_standard_strings_a_backslash_escapes_the_quote() {
    let reading = Reading { standard_strings: false, ..Reading::default() };
    assert_eq!(tokens(&[br"select 'a\', b', N'\'c'"], reading), "select ~'a', b' , ~''c'");
}

#[test]
fn where_a_byte_may_be_half_a_character_nothing_but_ascii_is_certain() {
    let reading = Reading { ascii_trails: true, ..Reading::default() };
    assert_eq!(tokens(&[b"select 'a'"], reading), "select 'a'");
    assert_eq!(tokens(&[b"select '\x95\x5c'"], reading), format!("unsure: {}", Unsure::Encoding));
}

#[test]
fn names_in_ascii_end_after_63_bytes_and_other_long_ones_are_not_certain() {
    let (fits, long) = ("n".repeat(NAME_MAX), "n".repeat(NAME_MAX + 1));
    for name in [fits.clone(), long.clone(), "N".repeat(100_000)] {
        assert_eq!(whole(&name), fits);
    }
    assert_eq!(whole(&format!("\"{fits}\"")), format!("\"{fits}\""));
    assert_eq!(whole(&format!("\"{fits}\"\"\"")), format!("\"{fits}\""));
    assert_eq!(whole(&format!("\"{long}\" {long}x")), format!("\"{fits}\" {fits}"));
    assert_eq!(whole(&format!("${fits}$'${fits}$")), "'''");
    for text in [
        // PostgreSQL cuts in front of a letter that does not fit, and what is a letter depends on the encoding.
        format!("{}ä", &fits[1..]),
        format!("ä{fits}"),
        format!("\"{long}ä\""),
        format!("${long}n$ ${long}n$"),
        "1".repeat(NAME_MAX + 2),
    ] {
        assert_eq!(whole(&text), format!("unsure: {}", Unsure::Overlong), "{} bytes", text.len());
    }
    assert_eq!(whole(&format!("U&\"{long}\"")), format!("unsure: {}", Unsure::UnicodeEscape));
}

#[test]
fn deep_comments_and_long_texts_need_no_more_room() {
    let depth = 1_000_000;
    let deep = format!("{}{} select", "/*".repeat(depth), "*/".repeat(depth));
    assert_eq!(whole(&deep), "select");
    assert!(size_of::<Scanner>() <= 104, "{}", size_of::<Scanner>());
}

/// Texts in which everything that matters is frequent.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "'", "''", "\"", "\\", "$", "$$", "$a$", "--", "-", "/*", "*/", "/", "*", "\n", "\r", " ", "U&", "u&'", "E'",
        "b'", "n", "x", "uescape", "1", "1.", "e", "+", ".", ";", "(", "é", "?", "a", "select", "\u{b}", ":",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn a_text_is_read_alike_however_it_is_cut(text in hostile(), cuts in prop::collection::vec(1usize..6, 1..40), standard in any::<bool>()) {
        let reading = Reading { standard_strings: standard, ..Reading::default() };
        let (mut pieces, mut rest) = (Vec::new(), text.as_slice());
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        pieces.push(rest);
        prop_assert_eq!(tokens(&pieces, reading), tokens(&[&text], reading));
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = tokens(&[&text], Reading::default());
    }
}
