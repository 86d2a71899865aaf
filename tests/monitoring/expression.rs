//! What an expression of Prometheus names: selectors of series, and labels. Reads as much of the language as alerts and dashboards use.
//!
//! Source: Prometheus documentation, "Querying basics" and "Operators".

/// Words that stand alone and are no metric.
const WORDS: [&str; 18] = [
    "sum",
    "max",
    "min",
    "avg",
    "count",
    "topk",
    "bottomk",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "bool",
    "offset",
];
/// Behind these stand labels in brackets.
const LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// See the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Each with its matchers, as it stands there, without a range.
    pub selectors: Vec<String>,
    /// Those that results are grouped and joined by.
    pub labels: Vec<String>,
}

/// Reads one.
pub fn named(expression: &str) -> Named {
    let (mut named, mut rest) = (Named::default(), expression);
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '[' {
            rest = &rest[closed(rest)..];
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_of_a_name(first) {
            rest = word(rest, &mut named);
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    named
}

/// What begins with a name; gives what is left.
fn word<'a>(text: &'a str, named: &mut Named) -> &'a str {
    let (name, behind) = text.split_at(text.find(|c| !is_of_a_name(c)).unwrap_or(text.len()));
    let behind = behind.trim_start();
    match behind.chars().next() {
        Some('{') => {
            let (matchers, behind) = behind.split_at(closed(behind));
            named.selectors.push(format!("{name}{matchers}"));
            behind
        }
        Some('(') if LABELS.contains(&name) => {
            let (labels, behind) = behind.split_at(closed(behind));
            let labels = labels.trim_matches(['(', ')']).split(',').map(str::trim);
            named.labels.extend(labels.filter(|label| !label.is_empty()).map(str::to_owned));
            behind
        }
        // A function's name.
        Some('(') => behind,
        _ if WORDS.contains(&name) => behind,
        _ => {
            named.selectors.push(name.to_owned());
            behind
        }
    }
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// Where what is opened by the first character ends. What stands between quotes closes nothing.
fn closed(text: &str) -> usize {
    let close = match text.as_bytes()[0] {
        b'{' => b'}',
        b'[' => b']',
        b'(' => b')',
        quote => quote,
    };
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == close && !quoted => return at + 1,
            b'"' => quoted = !quoted,
            _ => (),
        }
    }
    panic!("it does not end: {text}");
}

#[test]
fn selectors_and_labels_are_found_and_nothing_else() {
    let found = named(
        "histogram_quantile(0.95, sum by (le, database) (rate(a_bucket{x=\"}[\\\"\", le!=\"1\"}[5m]))) > 1e3 and on (host) up == 1 \
         or topk(3, a:b * on(i) group_left (query) max without () (c)) unless vector(0)",
    );
    assert_eq!(found.selectors, ["a_bucket{x=\"}[\\\"\", le!=\"1\"}", "up", "a:b", "c"]);
    assert_eq!(found.labels, ["le", "database", "host", "i", "query"]);
}
