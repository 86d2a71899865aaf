//! A reader of Prometheus' text format that takes nothing but what the format allows, and of just enough HTTP.
//!
//! Source: Prometheus documentation, "Exposition formats", text-based format.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// Longer than any answer takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An answer: status, head, body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// A connection that says nothing yet.
pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("write timeout");
    stream
}

/// Everything up to the end of the connection; a reset is an end.
pub fn rest_of(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("it does not end: {error}"),
        _ => bytes,
    }
}

pub fn request(port: u16, method: &str, path: &str) -> Answer {
    let since = Instant::now();
    let mut stream = connect(port);
    // In one piece: whoever takes long from one to the next is not answered, and a machine can stand still.
    stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).expect("send");
    let sent = since.elapsed();
    let text = String::from_utf8(rest_of(stream)).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| {
        panic!("no answer to {method} {path}: {text:?}; sent after {sent:?}, at its end after {:?}", since.elapsed())
    });
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

pub fn get(port: u16, path: &str) -> Answer {
    request(port, "GET", path)
}

/// Samples by name and labels.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    pub types: BTreeMap<String, String>,
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

impl Scrape {
    /// Of a running PgOtter.
    pub fn take(port: u16) -> Self {
        let answer = get(port, "/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
        Self::read(&answer.body)
    }

    /// Takes scrapes until one is as wanted; answers may be a second old.
    pub fn until(port: u16, what: &str, wanted: impl Fn(&Self) -> bool) -> Self {
        let since = Instant::now();
        loop {
            let scrape = Self::take(port);
            if wanted(&scrape) {
                return scrape;
            }
            assert!(since.elapsed() < PATIENCE, "{what} never came: {scrape:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The sample with exactly these labels.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// As [`Self::get`]; it must be there.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?} in {self:#?}"))
    }

    /// The sum over all that have these labels among theirs.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
        };
        self.samples.iter().filter(|((found, labels), _)| found == name && fits(labels)).map(|(_, value)| value).sum()
    }

    /// How many series there are.
    #[allow(dead_code, reason = "the tests of storms count them")]
    pub fn series(&self) -> usize {
        self.samples.len()
    }

    /// The names of the labels that this has, in order; of all its samples the same.
    pub fn labels_of(&self, name: &str) -> String {
        let of_it = self.samples.keys().filter(|(found, _)| found == name);
        let names: BTreeSet<String> =
            of_it.map(|(_, labels)| labels.keys().cloned().collect::<Vec<_>>().join(" ")).collect();
        assert!(names.len() <= 1, "{name} has {names:?}");
        names.into_iter().next().unwrap_or_default()
    }

    /// Every value of a label.
    pub fn values_of(&self, label: &str) -> BTreeSet<&str> {
        self.samples.keys().filter_map(|(_, labels)| Some(labels.get(label)?.as_str())).collect()
    }

    /// How many values a label has, in the metric where it has most.
    #[allow(dead_code, reason = "the tests of storms count them")]
    pub fn most_values_of(&self, label: &str) -> usize {
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, labels) in self.samples.keys() {
            values.entry(name).or_default().extend(labels.get(label).map(String::as_str));
        }
        values.values().map(BTreeSet::len).max().unwrap_or_default()
    }

    /// Counters, and the counts of histograms, never go down.
    pub fn assert_not_below(&self, before: &Self) {
        for ((name, labels), value) in &before.samples {
            let counts = ["_total", "_bucket", "_sum", "_count"].iter().any(|ending| name.ends_with(ending));
            let now = self.samples.get(&(name.clone(), labels.clone()));
            assert!(!counts || now >= Some(value), "{name} {labels:?} went from {value} to {now:?}");
        }
    }

    /// Panics at anything that Prometheus would not read, or would warn of.
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut scrape = Self::default();
        let (mut family, mut helped) = (String::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect(line);
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect(line);
                assert!(is_name(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(helped.contains(name), "{name} has no help");
                assert!(scrape.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} comes twice");
                family = name.to_owned();
            } else {
                let (name, labels, value) = sample(line);
                let kind = scrape.types.get(&family).map_or("", String::as_str);
                let ending = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} is not of {family}"));
                let fits = if kind == "histogram" {
                    ["_bucket", "_sum", "_count"].contains(&ending)
                        && labels.contains_key("le") == (ending == "_bucket")
                } else {
                    ending.is_empty()
                };
                assert!(fits, "{line} is not of {family}");
                assert!(kind == "gauge" || value >= 0.0, "{line}");
                assert!(scrape.samples.insert((name, labels), value).is_none(), "{line} comes twice");
            }
        }
        scrape.check_histograms();
        scrape
    }

    fn check_histograms(&self) {
        for (family, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let counts = self.samples.iter().filter(|((name, _), _)| *name == format!("{family}_count"));
            for ((_, labels), count) in counts {
                assert!(self.samples.contains_key(&(format!("{family}_sum"), labels.clone())), "{family} {labels:?}");
                let ladder = self.ladder(family, labels);
                assert_eq!(ladder.len(), 16, "{family} {labels:?}");
                assert!(ladder.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{family} {labels:?}: {ladder:?}");
                assert_eq!(ladder.last(), Some(&(f64::INFINITY, *count)), "{family} {labels:?}");
            }
        }
    }

    /// (upper bound, cumulative count) of a histogram with exactly these labels, in order.
    fn ladder(&self, family: &str, labels: &BTreeMap<String, String>) -> Vec<(f64, f64)> {
        let buckets = self.samples.iter().filter(|((name, _), _)| *name == format!("{family}_bucket"));
        let mut ladder: Vec<_> = buckets
            .filter_map(|((_, found), count)| {
                let mut rest = found.clone();
                let bound = rest.remove("le")?;
                (rest == *labels).then(|| (bound.replace("+Inf", "inf").parse::<f64>().expect("a bound"), *count))
            })
            .collect();
        ladder.sort_by(|one, other| one.0.total_cmp(&other.0));
        ladder
    }

    /// How many of a histogram's samples were at most so many seconds; the bound must be one of its own.
    pub fn at_most(&self, family: &str, labels: &[(&str, &str)], bound: f64) -> f64 {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let ladder = self.ladder(family, &labels);
        ladder.iter().find(|(at, _)| *at == bound).unwrap_or_else(|| panic!("no {bound} in {ladder:?}")).1
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `name{label="value",…} 1.5`
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let (label, behind) = inside.split_once("=\"").expect(line);
            let (value, behind) = quoted(behind).unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label) && labels.insert(label.to_owned(), value).is_none(), "{line}");
            match behind.strip_prefix(',') {
                Some(next) => inside = next,
                None => {
                    rest = behind.strip_prefix('}').expect(line);
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("{line}")))
}

/// The value up to its closing quote, and what is behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"') => value.push(c),
                _ => return None,
            },
            (_, c) => value.push(c),
        }
    }
}

#[test]
fn a_text_that_prometheus_would_not_read_is_found_out() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"x\\\"\\\\\\n,}\"} 3\n";
    assert_eq!(Scrape::read(good).value("a_total", &[("b", "x\"\\\n,}")]), 3.0);
    for bad in [
        good.trim_end(),
        &good.replace("# HELP a_total A.\n", ""),
        &good.replace("} 3", "} three"),
        &good.replace("b=", "1b="),
        &good.replace("\na_total{", "\nb_total{"),
        &good.replace("counter", "summary"),
        &good.replace("a_total", "a"),
        &format!("{good}a_total{{b=\"x\\\"\\\\\\n,}}\"}} 4\n"),
        &good.replace("\\n,}\"", "\\t\""),
        "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
    ] {
        assert!(std::panic::catch_unwind(|| Scrape::read(bad)).is_err(), "{bad}");
    }
}
