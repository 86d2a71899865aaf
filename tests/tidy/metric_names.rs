//! Every metric is in docs/metrics.md, and nothing else is.
//!
//! Reads both as text: in the source a name is a string that begins with `pgotter_`, in the document one in backticks.

use std::collections::BTreeSet;

/// One complaint for each metric of `sources` (path, text) that `document` lacks, or has and should not.
pub fn check(sources: &[(String, String)], document: &str) -> Vec<String> {
    let shown: BTreeSet<&str> = names(document, '`').map(|(_, name)| name).collect();
    let mut complaints = Vec::new();
    let mut made = BTreeSet::new();
    for (file, text) in sources {
        for (line, name) in names(text, '"') {
            if made.insert(name) && !shown.contains(name) {
                complaints.push(format!("{file}:{line}: `{name}` is not in docs/metrics.md"));
            }
        }
    }
    complaints.extend(shown.difference(&made).map(|name| format!("docs/metrics.md: `{name}` does not exist")));
    complaints
}

/// (line, name) for every `pgotter_…` between two of `quote`.
fn names(text: &str, quote: char) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(move |(at, line)| {
        let name = |part: &&str| {
            part.starts_with("pgotter_")
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        line.split(quote).skip(1).step_by(2).filter(name).map(move |part| (at + 1, part))
    })
}

#[test]
fn a_metric_that_is_not_documented_and_one_that_does_not_exist_are_named() {
    let sources = [("src/http/x.rs".to_owned(), "\nf(\"pgotter_a\", \"pgotter_b_total\")".to_owned())];
    let complaints = check(&sources, "| `pgotter_a` | and `pgotter_gone` |");
    assert_eq!(
        complaints,
        [
            "src/http/x.rs:2: `pgotter_b_total` is not in docs/metrics.md",
            "docs/metrics.md: `pgotter_gone` does not exist"
        ]
    );
}
