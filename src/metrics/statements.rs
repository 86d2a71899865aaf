//! What is counted for each statement: calls, errors, rows and times, by database and fingerprint.
//!
//! Each worker has a [`Book`] that nobody else writes, and finds a statement's [`Stat`] in it without a lock. The list of them that
//! readers go through is locked by the worker only when a statement is new, or when there are too many: then the eighth that was
//! called least is folded into its databases' `other`. What was counted stays counted. One that somebody still has then, as it is under way,
//! takes its memory until that is over, and counts against the bound as long. Knows no SQL: a statement comes with its name and a description.
//!
//! Statements of clients whose application somebody wants to hear of by itself are counted once more, in a *circle* of that name: a
//! place like that of a database, within the same bounds, that only alerts look at.

mod book;
mod export;
mod seen;

pub(super) use book::{Book, Place};
pub(super) use export::Exported;
pub use export::Series;
pub(super) use seen::see;
pub use seen::{Numbers, Seen};

use super::counter::{Counter, SharedHistogram};
use super::ladder::micros;
use super::latency::{BLOCK, SharedLatency};
use super::shard::{KINDS, Routes};
use parking_lot::Mutex;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes of an entry in a book and in the list, beside its [`Stat`].
const ENTRY: usize = 64;

/// What names a statement within its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Of its normal form.
    Fingerprint(u64),
    /// Those whose text cannot be read, or is too long for it.
    Unparsed,
    /// The time of several that were sent at once; their calls are counted with them.
    Pipeline,
    /// Those that there was no room for.
    Other,
}

/// A text that names no statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoName;

impl FromStr for Name {
    type Err = NoName;

    /// As it is displayed; a fingerprint has 16 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, NoName> {
        match text {
            "unparsed" => Ok(Self::Unparsed),
            "pipeline" => Ok(Self::Pipeline),
            "other" => Ok(Self::Other),
            _ if text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u64::from_str_radix(text, 16).map(Self::Fingerprint).map_err(|_| NoName)
            }
            _ => Err(NoName),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(fingerprint) => write!(f, "{fingerprint:016x}"),
            Self::Unparsed => f.write_str("unparsed"),
            Self::Pipeline => f.write_str("pipeline"),
            Self::Other => f.write_str("other"),
        }
    }
}

/// What there is to say of a statement, the same for all of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// `read`, `write`, `ddl`, `utility`; empty where it is not known.
    pub kind: &'static str,
    /// Its normal form, or the beginning of it.
    pub text: Box<str>,
    /// The tables that it names, with commas between them.
    pub tables: Box<str>,
}

/// What one worker has counted for one statement. About 2 KiB.
pub struct Stat {
    place: Place,
    name: Name,
    description: Description,
    calls: Counter,
    errors: Counter,
    conflicts: Counter,
    rows: Counter,
    bytes: Counter,
    wait_us: Counter,
    server_us: Counter,
    // Calls by where they ran and why.
    routes: Routes<Counter>,
    // From its arrival to the end of its answer: for quantiles, and as it is exported.
    total: SharedLatency,
    ladder: SharedHistogram,
    server: SharedLatency,
    // By its number in [`KINDS`].
    kind: usize,
    // It has been added to `other`: nothing more is counted here.
    folded: AtomicBool,
    // It is exported by its name, which stays so.
    kept: AtomicBool,
}

/// One statement that has been answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// By the tags of its answers.
    pub rows: u64,
    /// Of its answer, as its client gets it.
    pub bytes: usize,
    /// For a server, in microseconds.
    pub waited_us: u32,
    /// How long the server took; `None`: it was sent together with others.
    pub server: Option<Duration>,
    /// With an error.
    pub failed: bool,
    /// And that because it was in the way of another transaction: 40001, 40P01.
    pub conflict: bool,
    /// It goes on with a portal that was counted when it was begun.
    pub goes_on: bool,
    /// It ran on a replica.
    pub on_replica: bool,
    /// Where it ran and why, as a kind of [`ROUTES`](super::ROUTES).
    pub route: usize,
}

/// How much there may be; a reload changes it, and it holds when a statement comes that is new.
pub(super) struct Limits {
    /// Fingerprints of one worker.
    pub fingerprints: AtomicUsize,
    /// Bytes, of all workers together.
    pub bytes: AtomicUsize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { fingerprints: AtomicUsize::new(5_000), bytes: AtomicUsize::new(64 << 20) }
    }
}

/// What readers see of a worker's book.
#[derive(Default)]
pub(super) struct Shelf {
    stats: Mutex<Vec<Arc<Stat>>>,
    // Changes before a folding begins and when it is over, see `seen`.
    folds: AtomicU64,
}

impl Stat {
    fn new(place: Place, name: Name, description: Description) -> Self {
        let kind = KINDS.iter().position(|word| *word == description.kind).unwrap_or(0);
        Self {
            place,
            name,
            description,
            kind,
            calls: Counter::default(),
            errors: Counter::default(),
            conflicts: Counter::default(),
            rows: Counter::default(),
            bytes: Counter::default(),
            wait_us: Counter::default(),
            server_us: Counter::default(),
            routes: Routes::default(),
            total: SharedLatency::default(),
            ladder: SharedHistogram::default(),
            server: SharedLatency::default(),
            folded: AtomicBool::new(false),
            kept: AtomicBool::new(false),
        }
    }

    /// Whose it is.
    pub(super) fn about(&self) -> (&Arc<str>, Name, &Description) {
        (&self.place.label, self.name, &self.description)
    }

    /// What it is counted as.
    pub fn name(&self) -> Name {
        self.name
    }

    /// What there is to say of it.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// By its number in [`KINDS`].
    pub(super) fn kind(&self) -> usize {
        self.kind
    }

    /// Whether it changes the rows that it tells of.
    pub(super) fn changes(&self) -> bool {
        matches!(KINDS[self.kind], "write" | "ddl")
    }

    /// Whether it was folded: what comes under its name is counted elsewhere.
    pub fn is_folded(&self) -> bool {
        self.folded.load(Ordering::Relaxed)
    }

    /// What it takes of memory.
    fn bytes(&self) -> usize {
        let texts = self.description.text.len() + self.description.tables.len();
        let blocks = self.total.blocks() + self.server.blocks();
        size_of::<Self>() + ENTRY + texts + blocks * BLOCK
    }

    /// Says how many blocks of memory that took.
    fn count(&self, call: &Call) -> usize {
        if !call.goes_on {
            self.calls.add(1);
            if let Some(calls) = self.routes.get(call.route) {
                calls.add(1);
            }
        }
        if call.failed {
            self.errors.add(1);
            self.conflicts.add(call.conflict.into());
        }
        if call.rows > 0 {
            self.rows.add(call.rows);
        }
        self.bytes.add(call.bytes as u64);
        if call.waited_us > 0 {
            self.wait_us.add(call.waited_us.into());
        }
        let Some(server) = call.server else { return 0 };
        self.server_us.add(micros(server));
        usize::from(!call.goes_on && self.server.observe(server))
    }

    fn observe_total(&self, total: Duration) -> usize {
        self.ladder.observe(total);
        usize::from(self.total.observe(total))
    }

    fn take_over(&self, other: &Self) -> usize {
        for (total, more) in [
            (&self.calls, &other.calls),
            (&self.errors, &other.errors),
            (&self.conflicts, &other.conflicts),
            (&self.rows, &other.rows),
            (&self.bytes, &other.bytes),
            (&self.wait_us, &other.wait_us),
            (&self.server_us, &other.server_us),
        ] {
            total.add(more.get());
        }
        self.routes.iter().zip(&*other.routes).for_each(|(total, more)| total.add(more.get()));
        self.ladder.add(&other.ladder.read());
        self.total.take_over(&other.total) + self.server.take_over(&other.server)
    }

    fn may_be_folded(&self) -> bool {
        matches!(self.name, Name::Fingerprint(_)) && !self.kept.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
