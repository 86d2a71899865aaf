//! The faults that one peer can have and no other may suffer from, by their numbers: each has a test whose name begins
//! with it, `f12_` for the twelfth.
//!
//! What a test proves is not looked at, only that it is there and runs in `cargo test`.

use crate::scan::words;
use std::collections::BTreeSet;

/// Number, and what breaks. Numbers that are missing belong to what PgOtter does not do yet.
const FAULTS: &[(u32, &str)] = &[
    (1, "a client vanishes in a transaction"),
    (2, "a client vanishes in a COPY"),
    (3, "COPY messages without a COPY"),
    (4, "a client vanishes in a pipeline"),
    (5, "an error in a pipeline, and what is sent until its Sync"),
    (6, "answers that we invent or swallow among the server's"),
    (11, "a server dies in a statement"),
    (12, "an idle server dies"),
    (13, "PostgreSQL restarts"),
    (14, "a server's machine dies without a word"),
    (15, "a client reads nothing"),
    (16, "a client reads slowly"),
    (17, "a message of any size"),
    (18, "messages cut anywhere"),
    (19, "many idle clients"),
    (20, "a herd of new clients"),
    (21, "no descriptors are left"),
    (22, "memory runs short"),
    (23, "SIGTERM"),
    (24, "storms of signals"),
    (25, "a reload of a bad configuration"),
    (30, "a host's name gets another address"),
    (31, "certificates are replaced"),
    (32, "the clock jumps"),
    (33, "a storm of wrong passwords"),
    (34, "a password is replaced"),
    (35, "all servers are in use"),
    (36, "a replication connection"),
];

/// Faults that no test in these sources is named after.
pub fn check<'a>(sources: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let proven: BTreeSet<u32> = sources.into_iter().flat_map(tests).filter_map(number).collect();
    let unproven = FAULTS.iter().filter(|(number, _)| !proven.contains(number));
    unproven.map(|(number, what)| format!("no test is named f{number}_…: {what}")).collect()
}

/// Names of the functions behind a `test` attribute and no `ignore`.
fn tests(source: &str) -> Vec<&str> {
    let words = words(source);
    let (mut names, mut is_test) = (Vec::new(), false);
    for at in 2..words.len() {
        match (words[at - 2].text, words[at - 1].text, words[at].text) {
            ("[" | "::", "test", "]") => is_test = true,
            ("#", "[", "ignore") => is_test = false,
            (_, "fn", name) => names.extend(std::mem::take(&mut is_test).then_some(name)),
            _ => (),
        }
    }
    names
}

fn number(test: &str) -> Option<u32> {
    test.strip_prefix('f')?.split_once('_')?.0.parse().ok()
}

#[test]
fn a_fault_without_a_test_is_named() {
    let source = |number: &u32| format!("#[test]\nfn f{number}_is_survived() {{}}\n");
    let whole: String = FAULTS.iter().map(|(number, _)| source(number)).collect();
    assert_eq!(check([&*whole]), [""; 0]);
    for (without, instead) in [
        ("f12_", "f1_2"),
        ("f12_", "twelve_"),
        ("#[test]\nfn f12_", "fn f12_"),
        ("#[test]\nfn f12_", "#[test]\n#[ignore = \"slow\"]\nfn f12_"),
        ("#[test]\nfn f12_", "// #[test]\nfn f12_"),
    ] {
        let complaints = check([&*whole.replace(without, instead)]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("f12_"), "{complaints:?}");
    }
    let asynchronous = whole.replace("#[test]\nfn f12_", "#[tokio::test]\nasync fn f12_");
    assert_eq!(check([&*asynchronous]), [""; 0]);
}
