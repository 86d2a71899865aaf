//! What it costs to read a text for where it may run: the first time, and when a text of its shape has been read before. In time, and, where
//! valgrind is installed, in instructions, which do not depend on what the machine does beside.
//!
//!     cargo bench --bench reading
//!
//! What is measured is what `cluster::Catalog::judge` does for a client: both readers and the cache. Knows no server and no pooler.

use pgotter::sql::{Effects, Knowledge, Names, Reading, Scanner, StatementCache, Token, Verdict, hint, read};
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Texts of one run.
const TEXTS: usize = 10_000;

/// Runs; the median of them counts.
const RUNS: usize = 15;

/// One thing to measure.
struct Case {
    name: &'static str,
    about: &'static str,
    /// Nanoseconds; the bar, if there is one.
    bar: Option<f64>,
    run: fn(usize),
}

const CASES: [Case; 6] = [
    Case {
        name: "new",
        about: "a text of 200 bytes that was never seen: both readers, and kept",
        bar: Some(20_000.0),
        run: new,
    },
    Case { name: "known", about: "a text of 200 bytes of a shape that is known", bar: Some(300.0), run: known },
    Case {
        name: "known-short",
        about: "pgbench -S (56 bytes), of a shape that is known",
        bar: Some(300.0),
        run: known_short,
    },
    Case { name: "tokens", about: "its tokens alone, 200 bytes", bar: None, run: tokens },
    Case { name: "facts", about: "the first reader alone, 200 bytes", bar: None, run: facts },
    Case { name: "hint", about: "looking for a hint where there is none, 200 bytes", bar: None, run: hints },
];

/// 200 bytes; texts with different numbers are of different shapes.
fn text(number: usize) -> Vec<u8> {
    let text = format!(
        "SELECT o.id, o.total, c{number:05}.name FROM orders o JOIN customers c{number:05} ON c{number:05}.id = o.customer_id \
         WHERE o.status = 'open' AND o.total > 17.5 AND lower(c{number:05}.name) LIKE 'a%'"
    );
    let mut bytes = text.into_bytes();
    assert!(bytes.len() <= 200, "{} bytes", bytes.len());
    bytes.resize(200, b' ');
    bytes
}

/// One of its shape.
fn again(number: usize) -> Vec<u8> {
    let mut bytes = text(0);
    let digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
    let at = bytes.iter().rposition(|&byte| byte == b'7').unwrap_or_default();
    bytes[at] = digit;
    bytes
}

/// Of a database with these tables.
fn knowledge(cache: &StatementCache) -> Knowledge {
    let mut names = Names::new();
    for table in ["orders", "customers", "pgbench_accounts"] {
        names.add_relation(table.as_bytes(), Effects { relation: true, ..Effects::NOTHING });
    }
    Knowledge::new(cache.edition(), Arc::new(names), false)
}

/// Judges each as the pooler would, so often.
fn judge(texts: &[Vec<u8>], times: usize) {
    let cache = StatementCache::new(64 << 20);
    let known = knowledge(&cache);
    for text in texts.iter().cycle().take(times) {
        let (facts, _) = cache.read_telling(black_box(text), Reading::default(), &known);
        let verdict = facts.is_confirmed().unwrap_or_else(|| facts.confirmed(text, Reading::default(), &known));
        assert_eq!(black_box(verdict), Verdict::Read);
    }
}

fn new(times: usize) {
    // As many whatever is asked for, so that making them counts for nothing.
    let texts: Vec<_> = (0..2 * TEXTS).map(text).collect();
    judge(&texts, times);
}

fn known(times: usize) {
    let texts: Vec<_> = (0..10).map(again).collect();
    judge(&texts, times);
}

fn known_short(times: usize) {
    let texts: Vec<_> = (0..10)
        .map(|digit| format!("SELECT abalance FROM pgbench_accounts WHERE aid = 12345{digit};").into_bytes())
        .collect();
    judge(&texts, times);
}

fn tokens(times: usize) {
    let text = text(0);
    for _ in 0..times {
        let mut count = 0_usize;
        let mut note = |token: Token<'_>| {
            black_box(token);
            count += 1;
        };
        let mut scanner = Scanner::new(Reading::default());
        scanner.feed(black_box(&text), &mut note);
        let _ = scanner.finish(&mut note);
        black_box(count);
    }
}

fn facts(times: usize) {
    let (cache, text) = (StatementCache::new(0), text(0));
    let known = knowledge(&cache);
    for _ in 0..times {
        black_box(read(black_box(&text), Reading::default(), &known));
    }
}

fn hints(times: usize) {
    let text = text(0);
    for _ in 0..times {
        let _ = black_box(hint(black_box(&text), Reading::default()));
    }
}

/// Nanoseconds for one, what is made ready beforehand not counted: the difference of two lengths.
fn nanoseconds(case: &Case) -> Vec<f64> {
    let time = |times| {
        let began = Instant::now();
        (case.run)(times);
        began.elapsed().as_secs_f64() * 1e9
    };
    let once = || (time(2 * TEXTS) - time(TEXTS)) / TEXTS as f64;
    let mut each: Vec<_> = (0..RUNS).map(|_| once()).collect();
    each.sort_by(f64::total_cmp);
    each
}

/// Instructions for one, in the same way; `None`: there is no valgrind, or it does not say.
fn instructions(case: &Case) -> Option<f64> {
    let count = |times: usize| {
        let program = std::env::current_exe().ok()?;
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        let said = valgrind.args(["--count", case.name, &times.to_string()]).output().ok()?;
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        said.split_once("Collected : ")?.1.split_whitespace().next()?.parse::<f64>().ok()
    };
    Some((count(2000)? - count(1000)?) / 1000.0)
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, flag, name, times] = &arguments[..]
        && flag == "--count"
    {
        let case = CASES.iter().find(|case| case.name == name);
        let times = times.parse().unwrap_or_default();
        return case.map_or((), |case| (case.run)(times));
    }
    println!("| what | bar | time, median (least–most of {RUNS}) | instructions | verdict |\n|---|---|---|---|---|");
    for case in &CASES {
        let times = nanoseconds(case);
        let (least, median, most) = (times[0], times[RUNS / 2], times[RUNS - 1]);
        let bar = case.bar.map_or(String::new(), |bar| format!("≤ {:.1} µs", bar / 1e3));
        let met = case.bar.map_or("", |bar| if median <= bar { "met" } else { "missed" });
        let count = instructions(case).map_or("—".to_owned(), |count| format!("{count:.0}"));
        println!("| {} | {bar} | {median:.0} ns ({least:.0}–{most:.0}) | {count} | {met} |", case.about);
    }
}
