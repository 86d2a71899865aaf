//! Draws what the model has. Does nothing else.

mod one;

use super::model::{Crowd, Line as Row, Live, Model, Query, Sort, View};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Paragraph, Row as Drawn, Table, TableState};

/// The whole screen: what there is in a line, a list or one query, and what keys do.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let rows = Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(1)]);
    let [head, body, foot] = rows.areas(frame.area());
    frame.render_widget(Paragraph::new(heading(model)), head);
    match &model.view {
        View::Queries => queries(frame, body, model),
        View::Live => live(frame, body, model),
        View::One(key) => one::draw(frame, body, model, key),
    }
    frame.render_widget(footer(model), foot);
}

fn heading(model: &Model) -> Text<'static> {
    let window = model.window.as_ref().map_or(String::new(), |window| format!("  queries of the last {window}"));
    let title = Line::from(format!("pgotter top  {}  every {:?}{window}", model.place, model.interval)).bold();
    let Some(snapshot) = model.snapshot() else { return Text::from(vec![title, "nothing seen yet".into()]) };
    let Crowd { active, waiting, longest_wait_s, busy_servers, idle_servers } = snapshot.crowd;
    let mut crowd = format!("clients: {active} active, {waiting} waiting");
    if waiting > 0 {
        crowd += &format!(" for up to {}", seconds(longest_wait_s));
    }
    crowd += &format!("  servers: {busy_servers} busy, {idle_servers} idle");
    let lines = model.lines();
    let since: Vec<_> = lines.iter().filter_map(|line| line.since).collect();
    if model.passed().is_some() && model.window.is_none() {
        let (calls, errors): (f64, f64) =
            (since.iter().map(|since| since.calls).sum(), since.iter().map(|since| since.errors).sum());
        crowd += &format!("  now: {} calls/s, {} errors/s", short(calls), short(errors));
    }
    Text::from(vec![title, crowd.into()])
}

fn footer(model: &Model) -> Paragraph<'static> {
    if let Some(live) = &model.question {
        let Live { id, user, database, state, age_ms, .. } = live;
        let question = format!(
            "cancel what client {id} ({user} at {database}, {state} for {}) has asked for?  y yes  any other key no",
            seconds(age_ms / 1e3)
        );
        return Paragraph::new(question).bold().reversed();
    }
    if let Some(message) = &model.message {
        return Paragraph::new(message.clone()).bold().reversed();
    }
    if let Some(why) = &model.lost {
        return Paragraph::new(format!("the console cannot be asked, trying again: {why}")).bold().reversed();
    }
    let keys = match model.view {
        View::Queries if model.lately => {
            "t time  p p95  c calls  e errors  w wait  d since start  ⏎ one query  l clients  q quit"
        }
        View::Queries if model.window.is_some() => {
            "t time  p p95  c calls  e errors  w wait  ⏎ one query  l clients  q quit"
        }
        View::Queries => "t time  p p95  c calls  e errors  w wait  d now  ⏎ one query  l clients  q quit",
        View::One(_) => "esc back  ↑↓ further  l clients  q quit",
        View::Live => "k cancel  ↑↓ choose  l queries  q quit",
    };
    Paragraph::new(keys).reversed()
}

/// A list, with the cursor in the middle if it is long.
fn list<const N: usize>(
    frame: &mut Frame<'_>,
    area: Rect,
    (names, sorted): ([&'static str; N], Option<usize>),
    widths: [Constraint; N],
    (rows, at): (Vec<[String; N]>, usize),
) {
    let name = |(place, name)| {
        let style = if Some(place) == sorted { Style::new().underlined() } else { Style::new() };
        Cell::from(name).style(style)
    };
    let header = Drawn::new(names.into_iter().enumerate().map(name)).style(Style::new().bold().fg(Color::Cyan));
    let seen = usize::from(area.height.saturating_sub(1));
    let offset = at.saturating_sub(seen / 2).min(rows.len().saturating_sub(seen));
    let table = Table::new(rows.into_iter().map(Drawn::new), widths)
        .header(header)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_offset(offset).with_selected(Some(at));
    frame.render_stateful_widget(table, area, &mut state);
}

fn queries(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    const NAMES: [&str; 12] =
        ["SHARE%", "TIME", "BUSY", "CALLS", "/s", "ERRORS", "/s", "MEAN", "P95", "WAIT", "DATABASE", "QUERY"];
    const WIDTHS: [u16; 11] = [6, 7, 6, 7, 6, 6, 6, 7, 7, 7, 10];
    let sorted = match (model.sort, model.lately) {
        (Sort::Time, false) => 1,
        (Sort::Time, true) => 2,
        (Sort::Calls, false) => 3,
        (Sort::Calls, true) => 4,
        (Sort::Errors, false) => 5,
        (Sort::Errors, true) => 6,
        (Sort::P95, _) => 8,
        (Sort::Wait, _) => 9,
    };
    let row = |Row { query, since }: &Row<'_>| {
        let now =
            |value: fn(&super::model::Since) -> f64| since.as_ref().map_or(String::new(), |since| short(value(since)));
        [
            format!("{:.1}", query.share),
            seconds(query.total_ms / 1e3),
            now(|since| since.busy),
            short(query.calls as f64),
            now(|since| since.calls),
            short(query.errors as f64),
            now(|since| since.errors),
            known(query.mean_ms),
            known(query.p95_ms),
            seconds(query.wait_ms / 1e3),
            query.key.0.clone(),
            named(query),
        ]
    };
    let rows = model.lines().iter().map(row).collect();
    let widths =
        std::array::from_fn(|at| WIDTHS.get(at).map_or(Constraint::Min(20), |width| Constraint::Length(*width)));
    list(frame, area, (NAMES, Some(sorted)), widths, (rows, model.cursor()));
}

fn live(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    const NAMES: [&str; 10] =
        ["CLIENT", "AGE", "STATE", "DATABASE", "USER", "APPLICATION", "FROM", "PIN", "SERVER", "QUERY"];
    const WIDTHS: [u16; 9] = [8, 7, 19, 10, 10, 12, 21, 6, 30];
    let row = |live: &Live| {
        let Live { id, age_ms, state, database, user, application, address, pin, server, text, .. } = live;
        let age = seconds(age_ms / 1e3);
        let names = [state, database, user, application, address, pin, server, text].map(String::clone);
        let [state, database, user, application, address, pin, server, text] = names;
        [id.to_string(), age, state, database, user, application, address, pin, server, text]
    };
    let rows = model.live().iter().map(row).collect();
    let widths =
        std::array::from_fn(|at| WIDTHS.get(at).map_or(Constraint::Min(16), |width| Constraint::Length(*width)));
    list(frame, area, (NAMES, Some(1)), widths, (rows, model.cursor()));
}

/// What it is: `other` and `pipeline` have no text.
fn named(query: &Query) -> String {
    if query.text.is_empty() { format!("({})", query.key.1) } else { query.text.clone() }
}

fn known(ms: Option<f64>) -> String {
    ms.map_or(String::new(), |ms| seconds(ms / 1e3))
}

/// A duration in at most seven characters.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 0.000_999_5 => format!("{:.0}µs", s * 1e6),
        s if s < 0.009_995 => format!("{:.2}ms", s * 1e3),
        s if s < 0.099_95 => format!("{:.1}ms", s * 1e3),
        s if s < 0.999_5 => format!("{:.0}ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2}s"),
        s if s < 99.95 => format!("{s:.1}s"),
        s if s < 999.5 => format!("{s:.0}s"),
        s if s < 360_000.0 => format!("{:.0}m", s / 60.0),
        s => format!("{:.0}h", s / 3600.0),
    }
}

/// A count or rate in at most six characters.
pub fn short(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        n if n < 9.995 => format!("{n:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        n if n < 99.95 && n.fract() != 0.0 => format!("{n:.1}"),
        n if n < 99_999.5 => format!("{n:.0}"),
        n if n < 9_999_500.0 => format!("{:.0}k", n / 1e3),
        n if n < 9_999_500_000.0 => format!("{:.0}M", n / 1e6),
        n => format!("{:.0}G", n / 1e9),
    }
}

#[cfg(test)]
mod tests;
