//! The fuzz targets over their corpus: bytes that have been trouble or could be, the cases of `tests/sql`, and all of them cut and damaged.
//! `tests/fuzz/Cargo.toml` says how to look for more.

mod readers;

use crate::support::must;
use crate::support::random::Random;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest time for one text; an outer bound, so that what takes quadratic time is found.
const PATIENCE: Duration = Duration::from_secs(10);

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<_> = must(std::fs::read_dir(&folder)).map(|entry| must(entry).path()).collect();
    files.sort();
    files
}

/// Those of the corpus whole, the cases line by line.
fn corpus() -> Vec<Vec<u8>> {
    let whole = files("fuzz/corpus").into_iter().map(|file| must(std::fs::read(file)));
    let lines = files("sql").into_iter().flat_map(|file| {
        let text = must(std::fs::read(file));
        text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>()
    });
    whole.chain(lines).filter(|text| !text.is_empty()).collect()
}

/// What is too long to be kept in a file.
fn long() -> Vec<Vec<u8>> {
    let megabyte = |part: &str| part.repeat((1 << 20) / part.len());
    let around =
        |open: &str, close: &str, depth: usize| format!("select {}1{}", open.repeat(depth), close.repeat(depth));
    let texts = [
        around("(", ")", 512 * 1024),
        around("f(", ")", 256 * 1024),
        around("(select ", ")", 64 * 1024),
        around("/*", "*/", 256 * 1024),
        format!("select 1{}", " union select 1".repeat(10_000)),
        format!("select 1{}", megabyte("+1")),
        format!("select {}", megabyte("'")),
        format!("select {}", megabyte("$a$")),
        format!("select {}", megabyte("\\")),
        format!("select {}", megabyte("a.")),
        format!("select {}", megabyte("/* pgotter: replica */")),
        megabyte(";"),
        megabyte("select 1;"),
        megabyte("with x as ("),
        megabyte("\0"),
        megabyte("\u{e9}"),
    ];
    texts.map(String::into_bytes).into()
}

/// A text, cut and damaged.
fn variants(text: &[u8], random: &mut Random) -> Vec<Vec<u8>> {
    const TROUBLE: &[u8] = b"'\"$\\/*-\0(;\xff\xc3uUeE\n";
    let at = random.below(text.len());
    let mut damaged = text.to_vec();
    damaged[at] = random.pick(TROUBLE);
    vec![text.to_vec(), text[..at].to_vec(), damaged]
}

fn run(target: readers::Target, name: &str, text: &[u8]) {
    let began = Instant::now();
    let outcome = std::panic::catch_unwind(|| target(text));
    let shown = String::from_utf8_lossy(&text[..text.len().min(300)]);
    assert!(outcome.is_ok(), "{name}: {shown:?}");
    assert!(began.elapsed() < PATIENCE, "{name} took {:?}: {shown:?}", began.elapsed());
}

#[test]
fn every_reader_holds_over_the_corpus() {
    let corpus = corpus();
    assert!(corpus.len() > 1000, "{} texts", corpus.len());
    let mut random = Random(0xc0_4b05);
    for text in &corpus {
        for text in variants(text, &mut random) {
            readers::ALL.iter().for_each(|(name, target)| run(*target, name, &text));
        }
    }
}

#[test]
fn every_reader_holds_for_a_megabyte_of_anything() {
    for text in long() {
        readers::ALL.iter().for_each(|(name, target)| run(*target, name, &text));
    }
}
