//! One query: what is counted for it, where it ran and why, how long it takes, and who calls it.

use super::super::model::{Bucket, Caller, Closer, Line as Row, Model, Route, Since};
use super::{named, seconds, short};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::collections::BTreeMap;

/// Columns of the longest bar.
const BAR: f64 = 40.0;

/// With more octaves than this, a bar is for an octave; with fewer, for a bucket, an eighth of one.
const OCTAVES: usize = 2;

/// All of it that the screen has room for, behind what was scrolled away.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, key: &(String, String)) {
    let Some(row) = model.one(key) else {
        let gone = "It is not among those that the console shows any more.";
        return frame.render_widget(Paragraph::new(gone), area);
    };
    let mut lines = facts(&row);
    if let Some(closer) = model.closer(key) {
        lines.extend(closely(closer, &key.0));
    }
    let width = usize::from(area.width);
    let rows = |line: &Line<'_>| {
        let style = line.style;
        broken(&line.to_string(), width).into_iter().map(move |row| Line::from(row).style(style)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = lines.iter().flat_map(rows).collect();
    model.drawn.set(rows.len());
    let above = model.above.min(rows.len().saturating_sub(1));
    let seen: Vec<_> = rows.into_iter().skip(above).take(area.height.into()).collect();
    frame.render_widget(Paragraph::new(seen), area);
}

/// In rows of at most `width` columns, behind white space where there is any; that may stand out, as nobody sees it. One at least. Ours, as
/// it is to be known how many there are.
pub(super) fn broken(text: &str, width: usize) -> Vec<String> {
    let (mut rows, mut row, mut columns) = (Vec::new(), String::new(), 0);
    // Bytes and columns of the row up to and with its last white space.
    let mut space = (0, 0);
    let line = Span::raw(text);
    for letter in line.styled_graphemes(Style::new()) {
        let (symbol, wide) = (letter.symbol, Span::raw(letter.symbol).width());
        let is_space = symbol.chars().all(char::is_whitespace);
        while !is_space && columns + wide > width && !row.is_empty() {
            let (bytes, before) = if space.0 > 0 { space } else { (row.len(), columns) };
            let rest = row.split_off(bytes);
            rows.push(std::mem::replace(&mut row, rest));
            (columns, space) = (columns - before, (0, 0));
        }
        row.push_str(symbol);
        columns += wide;
        if is_space {
            space = (row.len(), columns);
        }
    }
    rows.push(row);
    rows
}

fn facts(Row { query, since }: &Row<'_>) -> Vec<Line<'static>> {
    let pair = |name: &str, value: String| Line::from(format!("{name:<14}{value}"));
    let exact = |ms: Option<f64>| ms.map_or("not known".to_owned(), |ms| format!("{ms:.3} ms"));
    let lately = |value: fn(&Since) -> f64, what: &str| {
        since.as_ref().map_or(String::new(), |since| format!(" ({} {what})", short(value(since))))
    };
    vec![
        pair("database", query.key.0.clone()),
        pair("fingerprint", query.key.1.clone()),
        pair("kind", query.kind.clone()),
        pair("tables", query.tables.replace(',', ", ")),
        pair("calls", query.calls.to_string() + &lately(|since| since.calls, "a second now")),
        pair("errors", query.errors.to_string() + &lately(|since| since.errors, "a second now")),
        pair("rows", query.rows.to_string()),
        pair(
            "server time",
            format!("{} ({:.1} % of all)", seconds(query.total_ms / 1e3), query.share)
                + &lately(|since| since.busy, "servers busy now"),
        ),
        pair("  mean", exact(query.mean_ms)),
        pair("  p50", exact(query.p50_ms)),
        pair("  p95", exact(query.p95_ms)),
        pair("  p99", exact(query.p99_ms)),
        pair("waited", seconds(query.wait_ms / 1e3)),
        Line::default(),
        Line::from(named(query)),
    ]
}

/// Of this database, but for callers: they are who they are wherever it is counted.
fn closely(closer: &Closer, database: &str) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut part = |title: &'static str, part: Vec<String>| {
        if !part.is_empty() {
            lines.extend([Line::default(), Line::from(title).bold()]);
            lines.extend(part.into_iter().map(Line::from));
        }
    };
    let routes = closer.routes.iter().filter(|route| route.database == database);
    part("where it ran, and why", routes.map(route).collect());
    let buckets: Vec<_> = closer.buckets.iter().filter(|bucket| bucket.database == database).collect();
    part("how long servers took", bars(&buckets));
    part("who was seen to call it", closer.callers.iter().map(caller).collect());
    lines
}

fn route(Route { role, reason, calls, .. }: &Route) -> String {
    format!("{role:<9}{reason:<14}{calls:>9}")
}

fn caller(Caller { database, user, application, clients, active, slow, slowest_ms }: &Caller) -> String {
    let who = match application.is_empty() {
        true => format!("{user} at {database}"),
        false => format!("{user} at {database}, {application}"),
    };
    let mut line = format!("{who:<44}");
    if *clients > 0 {
        line += &format!("  clients: {clients}, running it: {active}");
    }
    if *slow > 0 {
        let slowest = slowest_ms.map_or(String::new(), |ms| format!(" up to {}", seconds(ms / 1e3)));
        line += &format!("  slow: {slow}{slowest}");
    }
    line
}

/// A line for each octave or bucket from the first to the last one that calls fell into.
fn bars(buckets: &[&Bucket]) -> Vec<String> {
    let buckets: Vec<_> = buckets.iter().filter(|bucket| bucket.calls > 0).collect();
    // The octaves begin at 16 µs; what is shorter is one step below them. Source: `metrics/latency.rs`.
    let octave = |bucket: &Bucket| (bucket.from_ms / 0.016).log2().floor().max(-1.0) as i32;
    let mut octaves: BTreeMap<i32, u64> = BTreeMap::new();
    buckets.iter().for_each(|bucket| *octaves.entry(octave(bucket)).or_default() += bucket.calls);
    let (Some((&first, _)), Some((&last, _))) = (octaves.first_key_value(), octaves.last_key_value()) else {
        return Vec::new();
    };
    let ranges: Vec<(f64, Option<f64>, u64)> = if octaves.len() > OCTAVES {
        let end = buckets.last().and_then(|bucket| bucket.to_ms);
        let edge = |octave: i32| if octave < 0 { 0.0 } else { 0.016 * 2f64.powi(octave) };
        let calls = |octave| octaves.get(&octave).copied().unwrap_or(0);
        let to = |octave| if octave == last && end.is_none() { None } else { Some(edge(octave + 1)) };
        (first..=last).map(|octave| (edge(octave), to(octave), calls(octave))).collect()
    } else {
        buckets.iter().map(|bucket| (bucket.from_ms, bucket.to_ms, bucket.calls)).collect()
    };
    let (all, most) = ranges.iter().fold((0, 0), |(all, most), range| (all + range.2, most.max(range.2)));
    let bar = |(from, to, calls): (f64, Option<f64>, u64)| {
        let to = to.map_or("more".to_owned(), |to| seconds(to / 1e3));
        // Nothing that there is looks like nothing.
        let length = (BAR * calls as f64 / most.max(1) as f64).ceil() as usize;
        let share = 100.0 * calls as f64 / all.max(1) as f64;
        format!("{:>7} - {to:<7} {calls:>9} {share:>5.1}%  {}", seconds(from / 1e3), "█".repeat(length))
            .trim_end()
            .to_owned()
    };
    ranges.into_iter().map(bar).collect()
}
