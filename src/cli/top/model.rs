//! What is shown, and what keys do to it. Pure: it neither asks nor draws.

mod tables;

pub use tables::{Bucket, Caller, Closer, Crowd, Live, Query, Route, Snapshot, Table};

use crate::clock::Instant;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::Duration;

/// Rows that Page Up and Page Down go.
const PAGE: usize = 10;

/// What stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// How long servers were busy with it
    Time,
    /// How slow its slowest twentieth is
    P95,
    /// How often it was run
    Calls,
    /// How often it failed
    Errors,
    /// How long it waited for servers
    Wait,
}

/// What the screen is full of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// All queries.
    Queries,
    /// One of them, by database and fingerprint.
    One(Key),
    /// Clients that something is done for.
    Live,
}

/// What the user has pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as they are called on keyboards")]
pub enum Press {
    Char(char),
    Enter,
    Escape,
    Tab,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Leave.
    Quit,
    /// Cancel what this client runs.
    Cancel(u64),
    /// Look at the query of this fingerprint more closely from now on; `None`: at none.
    Closer(Option<String>),
}

/// Database and fingerprint.
pub type Key = (String, String);

/// What a query has done between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Since {
    /// Calls in a second.
    pub calls: f64,
    /// Errors in a second.
    pub errors: f64,
    /// Servers that were busy with it, on average.
    pub busy: f64,
    /// Milliseconds waited in a second.
    pub wait_ms: f64,
}

/// A query and what it has done since the look before. Nothing: it was not among them then, or its counters have begun anew.
pub struct Line<'a> {
    /// Since the start.
    pub query: &'a Query,
    /// Lately.
    pub since: Option<Since>,
}

/// All that is shown.
pub struct Model {
    /// Where the console is.
    pub place: String,
    /// Between two looks.
    pub interval: Duration,
    /// Queries are those of the last so long; `None`: since the start.
    pub window: Option<String>,
    /// What stands first.
    pub sort: Sort,
    /// By what was done since the look before, and not since the start.
    pub lately: bool,
    /// What the screen is full of.
    pub view: View,
    /// Something was refused or done; until a key is pressed.
    pub message: Option<String>,
    /// The console cannot be asked; until it can.
    pub lost: Option<String>,
    /// Whose statement is to be canceled, if the user means it.
    pub question: Option<Live>,
    /// Rows of the one query that are above the screen.
    pub above: usize,
    /// Rows that it had when it was drawn last, with those of long lines: nobody goes beyond the last one.
    pub drawn: Cell<usize>,
    before: Option<Before>,
    now: Option<Snapshot>,
    // Where the cursor is in each of the lists.
    query: Option<Key>,
    client: Option<u64>,
}

/// The look before: what queries had done, as far as they were shown.
struct Before {
    at: Instant,
    queries: HashMap<Key, Query>,
}

impl Model {
    /// Nothing has been seen yet.
    pub fn new(place: String, view: View, sort: Sort, interval: Duration) -> Self {
        Self {
            place,
            interval,
            window: None,
            sort,
            lately: false,
            view,
            message: None,
            lost: None,
            question: None,
            above: 0,
            drawn: Cell::default(),
            before: None,
            now: None,
            query: None,
            client: None,
        }
    }

    /// What was seen last.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.now.as_ref()
    }

    /// Another look was taken.
    pub fn take(&mut self, snapshot: Snapshot) {
        self.lost = None;
        let before = self.now.replace(snapshot);
        self.before = before.map(|Snapshot { at, queries, .. }| Before {
            at,
            queries: queries.into_iter().map(|query| (query.key.clone(), query)).collect(),
        });
    }

    /// Between the last two looks.
    pub fn passed(&self) -> Option<Duration> {
        let passed = self.now.as_ref()?.at.saturating_duration_since(self.before.as_ref()?.at);
        Some(passed).filter(|passed| !passed.is_zero())
    }

    /// All queries in their order.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let Some(now) = &self.now else { return Vec::new() };
        let mut lines: Vec<_> = now.queries.iter().map(|query| Line { query, since: self.since(query) }).collect();
        lines.sort_by(|one, other| self.order(one, other).then_with(|| one.query.key.cmp(&other.query.key)));
        lines
    }

    /// The one that is looked at, if it is still there.
    pub fn one(&self, key: &Key) -> Option<Line<'_>> {
        let query = self.now.as_ref()?.queries.iter().find(|query| query.key == *key)?;
        Some(Line { query, since: self.since(query) })
    }

    /// What is known of it beyond that, once it has been asked for.
    pub fn closer(&self, key: &Key) -> Option<&Closer> {
        self.now.as_ref()?.closer.as_ref().filter(|closer| closer.fingerprint == key.1)
    }

    /// Clients that something is done for, the oldest first.
    pub fn live(&self) -> &[Live] {
        self.now.as_ref().map_or(&[], |now| &now.live)
    }

    /// The row of the list on the screen that the cursor is at.
    pub fn cursor(&self) -> usize {
        match self.view {
            View::Live => self.live().iter().position(|live| Some(live.id) == self.client),
            View::Queries | View::One(_) => {
                self.lines().iter().position(|line| Some(&line.query.key) == self.query.as_ref())
            }
        }
        .unwrap_or(0)
    }

    /// What a key does.
    pub fn press(&mut self, press: Press) -> Option<Order> {
        let before = self.view.clone();
        let order = self.act(press);
        let looked_at =
            |view: &View| if let View::One((_, fingerprint)) = view { Some(fingerprint.clone()) } else { None };
        let (before, now) = (looked_at(&before), looked_at(&self.view));
        order.or_else(|| (before != now).then_some(Order::Closer(now)))
    }

    fn act(&mut self, press: Press) -> Option<Order> {
        self.message = None;
        if let Some(live) = self.question.take() {
            return matches!(press, Press::Char('y' | 'Y')).then_some(Order::Cancel(live.id));
        }
        match press {
            Press::Char('q') => return Some(Order::Quit),
            Press::Char('t') => self.sort = Sort::Time,
            Press::Char('p') => self.sort = Sort::P95,
            Press::Char('c') => self.sort = Sort::Calls,
            Press::Char('e') => self.sort = Sort::Errors,
            Press::Char('w') => self.sort = Sort::Wait,
            Press::Char('d') => self.lately = !self.lately && self.window.is_none(),
            Press::Char('l') | Press::Tab => self.change_view(),
            Press::Escape => self.view = if self.view == View::Live { View::Live } else { View::Queries },
            Press::Enter if self.view == View::Queries => self.enter(),
            Press::Char('k') if self.view == View::Live => {
                self.question = self.live().get(self.cursor()).cloned();
            }
            Press::Up => self.go(|at, _| at.saturating_sub(1)),
            Press::Down => self.go(|at, _| at + 1),
            Press::PageUp => self.go(|at, _| at.saturating_sub(PAGE)),
            Press::PageDown => self.go(|at, _| at + PAGE),
            Press::Home => self.go(|_, _| 0),
            Press::End => self.go(|_, last| last),
            Press::Enter | Press::Char(_) => {}
        }
        None
    }

    fn change_view(&mut self) {
        self.view = if self.view == View::Live { View::Queries } else { View::Live };
    }

    fn enter(&mut self) {
        let chosen = self.lines().get(self.cursor()).map(|line| line.query.key.clone());
        if let Some(key) = chosen {
            (self.query, self.view, self.above) = (Some(key.clone()), View::One(key), 0);
        }
    }

    /// To the row that `to` makes of this one and the last; no further than that. The cursor stays with what is there.
    fn go(&mut self, to: impl Fn(usize, usize) -> usize) {
        let last = match &self.view {
            View::Live => self.live().len(),
            View::Queries => self.now.as_ref().map_or(0, |now| now.queries.len()),
            View::One(_) => {
                let last = self.drawn.get().saturating_sub(1);
                self.above = to(self.above.min(last), last).min(last);
                return;
            }
        }
        .saturating_sub(1);
        let at = to(self.cursor(), last).min(last);
        if self.view == View::Live {
            self.client = self.live().get(at).map(|live| live.id);
        } else {
            self.query = self.lines().get(at).map(|line| line.query.key.clone());
        }
    }

    fn since(&self, query: &Query) -> Option<Since> {
        // What a window has is no more than it had before by what was done since.
        let seconds = self.passed().filter(|_| self.window.is_none())?.as_secs_f64();
        let before = self.before.as_ref()?.queries.get(&query.key)?;
        Some(Since {
            calls: query.calls.checked_sub(before.calls)? as f64 / seconds,
            errors: query.errors.checked_sub(before.errors)? as f64 / seconds,
            busy: (query.total_ms - before.total_ms).max(0.0) / 1e3 / seconds,
            wait_ms: (query.wait_ms - before.wait_ms).max(0.0) / seconds,
        })
    }

    /// The most first.
    fn order(&self, one: &Line<'_>, other: &Line<'_>) -> Ordering {
        let value = |line: &Line<'_>| {
            let (query, lately) = (line.query, line.since.unwrap_or_default());
            match (self.sort, self.lately) {
                (Sort::Time, false) => query.total_ms,
                (Sort::Time, true) => lately.busy,
                // It is of all that were counted.
                (Sort::P95, _) => query.p95_ms.unwrap_or(0.0),
                (Sort::Calls, false) => query.calls as f64,
                (Sort::Calls, true) => lately.calls,
                (Sort::Errors, false) => query.errors as f64,
                (Sort::Errors, true) => lately.errors,
                (Sort::Wait, false) => query.wait_ms,
                (Sort::Wait, true) => lately.wait_ms,
            }
        };
        value(other).total_cmp(&value(one))
    }
}

#[cfg(test)]
pub mod tests;
