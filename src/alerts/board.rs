//! What alerts and webhooks have come to, for whoever wants to see it: the console, and the endpoint for monitoring.

use crate::clock::Instant;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The state that is shown.
#[derive(Default)]
pub struct Board {
    rows: Mutex<Arc<Vec<Row>>>,
    /// What has become of what was to be told.
    pub deliveries: Deliveries,
}

/// One alert and what it is about. An alert that does not fire has one row, with the worst there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// As configured.
    pub name: String,
    /// Its type, as configured.
    pub kind: &'static str,
    /// As it is counted under. Empty: it is about the process, or about several.
    pub database: String,
    /// The fingerprint, user or host; empty: the database as a whole.
    pub subject: String,
    /// `ok` or `firing`.
    pub state: &'static str,
    /// Of an objective: the last step that is passed; else empty.
    pub level: &'static str,
    /// As it is now. `None`: nothing to be said, or too little.
    pub value: Option<String>,
    /// What it is compared with.
    pub threshold: String,
    /// Since when it fires.
    pub since: Option<Instant>,
    /// How often the alert began to fire, whatever about.
    pub fired: u64,
    /// A statement's normal form, cut.
    pub query: String,
}

impl Row {
    /// Whether it fires.
    pub fn is_firing(&self) -> bool {
        self.since.is_some()
    }
}

impl Board {
    /// From now on this is what there is.
    pub fn show(&self, rows: Vec<Row>) {
        *self.rows.lock() = Arc::new(rows);
    }

    /// All of it.
    pub fn rows(&self) -> Arc<Vec<Row>> {
        self.rows.lock().clone()
    }
}

/// How a request to a webhook ended. The order is that of [`RequestEnd::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEnd {
    /// 2xx.
    Ok,
    /// Another status that says that it will not work later either.
    Refused,
    /// 408, 429, 5xx.
    Failed,
    /// It could not be reached, or what it said was no answer.
    Unreachable,
    /// It did not answer in time.
    Timeout,
}

impl RequestEnd {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Ok, "ok"),
        (Self::Refused, "refused"),
        (Self::Failed, "failed"),
        (Self::Unreachable, "unreachable"),
        (Self::Timeout, "timeout"),
    ];
}

/// What became of an event for one webhook. The order is that of [`EventEnd::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventEnd {
    /// It was told.
    Delivered,
    /// It was refused, or could not be told in time.
    GivenUp,
    /// There was no room for it among those that wait, or its webhook was taken out of the configuration.
    Dropped,
}

impl EventEnd {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 3] =
        [(Self::Delivered, "delivered"), (Self::GivenUp, "given_up"), (Self::Dropped, "dropped")];
}

/// Counts of both.
#[derive(Debug, Default)]
pub struct Deliveries {
    requests: [AtomicU64; RequestEnd::ALL.len()],
    events: [AtomicU64; EventEnd::ALL.len()],
}

impl Deliveries {
    /// A request has ended.
    pub fn request(&self, end: RequestEnd) {
        self.requests[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// So many events have.
    pub fn events(&self, end: EventEnd, count: usize) {
        self.events[end as usize].fetch_add(count.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Requests by how they ended, in the order of [`RequestEnd::ALL`].
    pub fn requests_counted(&self) -> [u64; RequestEnd::ALL.len()] {
        self.requests.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    /// Events by what became of them, in the order of [`EventEnd::ALL`].
    pub fn events_counted(&self) -> [u64; EventEnd::ALL.len()] {
        self.events.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}
