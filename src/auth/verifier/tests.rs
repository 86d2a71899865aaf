//! Secrets' texts, among them some that PostgreSQL 15 wrote.

use super::*;

/// `rolpassword` of a role created with the password `river stone`.
const OTTER: &str = "SCRAM-SHA-256$4096:TkV46UBszwWGv7mJ3+FoIQ==$UeYRF4A0bF2tE0ka6dDZzHjQMoNNFEIC1rN5Cm6Tnl8=:/YMChrV4+A9YgWHJyBpIaaxPGuSdfjrYxLJ6pv9WeZ4=";

fn scram(text: &str) -> Verifier {
    match Stored::parse(text) {
        Ok(Stored::Scram(verifier)) => verifier,
        _ => panic!("not read as a verifier: {text}"),
    }
}

#[test]
fn postgresqls_own_verifier_is_read_and_written_unchanged() {
    assert_eq!(scram(OTTER).to_text().expose(), OTTER);
}

#[test]
fn the_verifier_of_a_password_is_the_one_that_postgresql_makes() {
    // Spaces that are mapped, a soft hyphen that vanishes; a control character, which SASLprep refuses; and a
    // password of which SASLprep leaves nothing: the last two are used raw.
    let cases = [
        ("river stone", OTTER),
        (
            "p\u{e4}ss\u{a0}w\u{f6}rd\u{ad}",
            "SCRAM-SHA-256$4096:MIjwRn/TWm+CI60JA7UJiQ==$wIV5txp7UFZMG4vSWOl+QIo6Bx4IJACWWEAJ5iTBmVM=:PLwSu70myLr8BVp1Rv3BGiK5Eeb5WXTeddp5TBsif4w=",
        ),
        (
            "a\u{7}b",
            "SCRAM-SHA-256$4096:bLI33gNKLQufJOLpU2IaRg==$eFeVnm15M90NSaZn813SR/jmyXn8/Y0+Sf0AsslAOBg=:r1zX6PdyGtUZkr1dAclaZ+7DFuAjhi6M5RUqM4pDdPk=",
        ),
        (
            "\u{ad}",
            "SCRAM-SHA-256$4096:+xVa8tHNW6e+3QVtYQ5XQg==$OK+APmOnAvBdqnuyoXO6PIWCbiEJm2shdwJL2XwubNo=:AxCo7NKODgQQAhGVPn1GrFaQg7ig0VZe4djkg3Peryw=",
        ),
    ];
    for (password, text) in cases {
        let salt = scram(text).salt;
        let made = Verifier::from_password(password, salt, ITERATIONS_DEFAULT).to_text();
        assert_eq!(made.expose(), text, "{password:?}");
    }
}

#[test]
fn a_damaged_verifier_is_an_error_and_not_a_password() {
    let (head, keys) = OTTER.rsplit_once('$').expect("a verifier has keys");
    let (stored, server) = keys.split_once(':').expect("a verifier has two keys");
    let salt = "TkV46UBszwWGv7mJ3+FoIQ==";
    let damaged = [
        "SCRAM-SHA-256$".to_owned(),
        head.to_owned(),
        format!("{head}${stored}"),
        format!("{head}${stored}:"),
        format!("{head}${stored}:{server}:"),
        format!("{head}${stored}:{server} "),
        format!("{head}${stored}:{}", &server[4..]),
        format!("{head}${}:{server}", stored.trim_end_matches('=')),
        format!("SCRAM-SHA-256$0:{salt}${keys}"),
        format!("SCRAM-SHA-256$-1:{salt}${keys}"),
        format!("SCRAM-SHA-256$+1:{salt}${keys}"),
        format!("SCRAM-SHA-256$04096:{salt}${keys}"),
        format!("SCRAM-SHA-256$:{salt}${keys}"),
        format!("SCRAM-SHA-256$2147483648:{salt}${keys}"),
        format!("SCRAM-SHA-256$4096:{salt}*${keys}"),
        format!("SCRAM-SHA-256$4096${keys}"),
    ];
    for text in damaged {
        assert_eq!(Stored::parse(&text).err(), Some(MalformedVerifier), "{text}");
    }
}

#[test]
fn md5_is_told_from_plain_text_as_postgresql_tells_it() {
    let is_md5 = |text: &str| matches!(Stored::parse(text), Ok(Stored::Md5(_)));
    let is_plain = |text: &str| matches!(Stored::parse(text), Ok(Stored::Plain(it)) if it.expose() == text);
    assert!(is_md5("md5c70a524903470fbe78cff9b422bc2738"));
    assert!(is_plain("md5C70A524903470FBE78CFF9B422BC2738"));
    assert!(is_plain("md5c70a524903470fbe78cff9b422bc273"));
    assert!(is_plain("md5c70a524903470fbe78cff9b422bc27380"));
    assert!(is_plain("scram-sha-256$4096"));
    assert!(is_plain("river stone"));
    assert!(is_plain(""));
}

#[test]
fn an_empty_password_and_an_md5_hash_cannot_be_checked_by_scram() {
    let disguise = Disguise::new([0; 32], std::iter::empty());
    for text in ["", "md5c70a524903470fbe78cff9b422bc2738"] {
        let stored = Stored::parse(text).expect("well formed");
        assert!(stored.verifier("otter", &disguise).is_none(), "{text:?}");
    }
}
