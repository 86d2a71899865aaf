//! The parts of `workload.sql`: statements of five platforms, each with what it must come to.

use pgotter::sql::{Reading, Scanner, Token};
use std::cell::Cell;
use std::time::Duration;

/// The schema with its rows, and behind it the parts.
pub const WORKLOAD: &str = include_str!("workload.sql");

/// One annotated part of the file.
pub struct Part {
    pub id: &'static str,
    pub target: &'static str,
    /// `slo_ms`: what the platform asks for.
    pub goal: Option<Duration>,
    pub statements: Vec<String>,
}

pub fn parts() -> Vec<Part> {
    let part = |part: &'static str| {
        let (head, body) = part.split_once('\n').expect("a part has a body");
        let id = head.split(' ').next().expect("a part has a name");
        let value = |key| head.split(' ').find_map(|word| word.strip_prefix(key));
        let target = value("target=").expect("a part has a target");
        let goal = value("slo_ms=").map(|text| Duration::from_millis(text.parse().expect("a number")));
        let body = body.split("\n-- =====").next().unwrap_or_default();
        let lines = body.lines().filter(|line| !line.starts_with("-- ") && !line.starts_with('\\'));
        Part { id, target, goal, statements: statements(&lines.fold(String::new(), |text, line| text + line + "\n")) }
    };
    WORKLOAD.split("\n-- @stmt ").skip(1).map(part).collect()
}

/// At its semicolons.
fn statements(text: &str) -> Vec<String> {
    let (begun, mut ends) = (Cell::new(0), Vec::new());
    Scanner::new(Reading::default()).feed_telling(text.as_bytes(), &begun, &mut |token| {
        if let Token::Symbol(b';') = token {
            ends.push(begun.get() + 1);
        }
    });
    let starts = [0].into_iter().chain(ends.clone());
    let each = starts.zip(ends).map(|(start, end)| text[start..end].trim().trim_end_matches(';').to_owned());
    each.filter(|statement| !statement.is_empty()).collect()
}
