//! Slow statements, one by one: which of them are told of, so that many of one kind do not hide the others; the newest of those; and how many
//! there were in all. Written by workers, and only where a statement was slow. Pure: it knows no SQL, no log and no clock.

use super::statements::Name;
use crate::clock::Instant;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// For which so many of one fingerprint are told of.
const WINDOW: Duration = Duration::from_secs(60);

/// Fingerprints whose lines are counted by themselves; all others share theirs.
const FINGERPRINTS_MAX: usize = 1_000;

/// Those whose minute is over are looked for no more often, under the lock that all slow statements take.
const LOOK: Duration = Duration::from_secs(1);

/// Thresholds that are counted by themselves: a counter never changes its label, and each reload may bring new ones.
const THRESHOLDS_MAX: usize = 6;

/// A statement that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowQuery {
    /// When PostgreSQL was done with it, or it was lost.
    pub ended: Instant,
    /// What it is counted as.
    pub name: Name,
    /// `read`, `write`, `ddl`, `utility`; empty where it is not known.
    pub kind: &'static str,
    /// Its normal form, or the beginning of it.
    pub query: Box<str>,
    /// The entry of the configuration.
    pub database: Box<str>,
    /// As its client has logged in.
    pub user: Box<str>,
    /// What its client calls itself; empty: nothing.
    pub application_name: Box<str>,
    /// Where its client is.
    pub client: Box<str>,
    /// Where it ran.
    pub server: Box<str>,
    /// What that was to it: `primary` or `replica`.
    pub role: &'static str,
    /// Why it ran there.
    pub reason: &'static str,
    /// From its arrival until there was a server for it.
    pub waited: Duration,
    /// From then on until PostgreSQL was done with it.
    pub server_time: Duration,
    /// From its arrival until its client had all of the answer, or was gone.
    pub total: Duration,
    /// How long its transaction had had its server by then.
    pub transaction: Duration,
    /// Returned or changed; `None`: several were sent together.
    pub rows: Option<u64>,
    /// Of its answer, or of the answers of those that were sent together, as its client gets them.
    pub bytes: u64,
    /// It was not answered, or with an error.
    pub failed: bool,
    /// Of the error; `None`: there was none, or its client did not hear it.
    pub sqlstate: Option<Box<str>>,
    /// What the application says of it.
    pub tags: SlowTags,
    /// The text as it was sent, or the beginning of it. `None`: it is not asked for, or not known.
    pub text: Option<Box<str>>,
    /// What it was run with. `None`: as above.
    pub parameters: Option<Box<str>>,
    /// How many of its fingerprint were not told of since the last one that was.
    pub suppressed: u64,
}

/// What the application says of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowTags {
    /// Of the trace that it is a part of.
    pub trace_id: Option<Box<str>>,
    /// What the application was asked for.
    pub route: Option<Box<str>>,
    /// What of it did that.
    pub action: Option<Box<str>>,
    /// Which one it is.
    pub application: Option<Box<str>>,
}

/// A threshold, as a statement over it is counted; `None`: together with others, as there were too many.
pub type Threshold = Option<Duration>;

/// See the top of this file. Held for a moment by whoever has a slow statement.
pub struct SlowLog(Mutex<Log>);

struct Log {
    keep: usize,
    per_minute: u32,
    rows: VecDeque<Arc<SlowQuery>>,
    windows: HashMap<Key, Window>,
    looked: Option<Instant>,
    counts: BTreeMap<Arc<str>, BTreeMap<Threshold, u64>>,
    thresholds: Vec<Duration>,
    broken_tags: u64,
}

type Key = (Arc<str>, Name);

struct Window {
    since: Instant,
    told: u32,
    suppressed: u64,
}

impl Default for SlowLog {
    fn default() -> Self {
        Self(Mutex::new(Log {
            keep: 1_000,
            per_minute: 10,
            rows: VecDeque::new(),
            windows: HashMap::new(),
            looked: None,
            counts: BTreeMap::new(),
            thresholds: Vec::new(),
            broken_tags: 0,
        }))
    }
}

impl SlowLog {
    /// How many rows are kept, and how many of one fingerprint are told of in a minute. Holds from now on.
    pub fn limit(&self, keep: usize, per_minute: u32) {
        let mut log = self.0.lock();
        (log.keep, log.per_minute) = (keep, per_minute);
        log.make_room(0);
        log.rows.shrink_to_fit();
    }

    /// A statement of this database and name took longer than that. `Some`: it is to be told of, with how many of its kind were not since
    /// the last one.
    pub fn admit(&self, database: &Arc<str>, name: Name, threshold: Duration, now: Instant) -> Option<u64> {
        let mut log = self.0.lock();
        log.count(database, threshold);
        log.admit((database.clone(), name), now)
    }

    /// This one was told of.
    pub fn keep(&self, slow: Arc<SlowQuery>) {
        let mut log = self.0.lock();
        if log.keep > 0 {
            log.make_room(1);
            log.rows.push_back(slow);
        }
    }

    /// Tags of slow statements that could not be read.
    pub fn note_broken_tags(&self, count: u32) {
        self.0.lock().broken_tags += u64::from(count);
    }

    /// How many those were.
    pub fn broken_tags(&self) -> u64 {
        self.0.lock().broken_tags
    }

    /// Those that were told of, the newest first.
    pub fn newest(&self) -> Vec<Arc<SlowQuery>> {
        self.0.lock().rows.iter().rev().cloned().collect()
    }

    /// How many there were, told of or not, by database and threshold.
    pub fn counts(&self) -> Vec<(Arc<str>, Threshold, u64)> {
        let log = self.0.lock();
        let each = |(database, counts): (&Arc<str>, &BTreeMap<Threshold, u64>)| {
            counts.iter().map(|(threshold, count)| (database.clone(), *threshold, *count)).collect::<Vec<_>>()
        };
        log.counts.iter().flat_map(each).collect()
    }
}

impl Log {
    /// For so many more.
    fn make_room(&mut self, more: usize) {
        let over = (self.rows.len() + more).saturating_sub(self.keep);
        self.rows.drain(..over.min(self.rows.len()));
    }

    fn count(&mut self, database: &Arc<str>, threshold: Duration) {
        if !self.thresholds.contains(&threshold) && self.thresholds.len() < THRESHOLDS_MAX {
            self.thresholds.push(threshold);
        }
        let threshold = Some(threshold).filter(|threshold| self.thresholds.contains(threshold));
        *self.counts.entry(database.clone()).or_default().entry(threshold).or_default() += 1;
    }

    fn admit(&mut self, mut key: Key, now: Instant) -> Option<u64> {
        if !self.windows.contains_key(&key) && self.windows.len() >= FINGERPRINTS_MAX {
            if self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK) {
                self.looked = Some(now);
                self.forget_old(now);
            }
            if self.windows.len() >= FINGERPRINTS_MAX {
                key.1 = Name::Other;
            }
        }
        let window = self.windows.entry(key).or_insert(Window { since: now, told: 0, suppressed: 0 });
        if now.saturating_duration_since(window.since) >= WINDOW {
            (window.since, window.told) = (now, 0);
        }
        if window.told >= self.per_minute {
            window.suppressed += 1;
            return None;
        }
        window.told += 1;
        Some(std::mem::take(&mut window.suppressed))
    }

    /// Those whose minute is over. What they have suppressed is said with what shares.
    fn forget_old(&mut self, now: Instant) {
        let is_old = |window: &Window| now.saturating_duration_since(window.since) >= WINDOW;
        let mut unsaid: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        for ((database, _), window) in
            self.windows.extract_if(|(_, name), window| *name != Name::Other && is_old(window))
        {
            if window.suppressed > 0 {
                *unsaid.entry(database).or_default() += window.suppressed;
            }
        }
        for (database, suppressed) in unsaid {
            let shared = Window { since: now, told: 0, suppressed: 0 };
            self.windows.entry((database, Name::Other)).or_insert(shared).suppressed += suppressed;
        }
    }
}

#[cfg(test)]
mod tests;
