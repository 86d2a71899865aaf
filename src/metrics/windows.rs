//! What was counted lately, by statement: the last minute by seconds, the last hour by minutes, the last day by hours.
//!
//! Counters only go up from the start of the process. Whoever calls [`Windows::tick`] hands in what they show at that moment, and the
//! differences to the last time are kept, each step for itself, in which only what has happened takes memory. The time is an argument
//! and never the time of day: a clock that somebody sets changes nothing.
//!
//! What has come is found out, and what is asked for is added up, without the lock that both take for a moment: steps are shared.

use super::latency::Latency;
use super::statements::{Description, Name, Numbers, Seen};
use crate::clock::Instant;
use foldhash::HashMap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Fingerprints that each step keeps by their names: those that servers were busy with for longest. The others are its `other`.
pub const NAMED: usize = 500;

/// Bytes that all steps may take, but for those that are open; beyond it the oldest ones go. A step of a busy hour takes about 150 KiB.
const BYTES: usize = 32 << 20;

/// Bytes of an entry of a step, beside its histogram.
const ENTRY: usize = size_of::<Key>() + size_of::<Recent>() + 16;

/// Bytes of a description's text that are kept.
const TEXT: usize = 300;

/// The lengths of steps, and how many of each are kept beside the open one.
const RINGS: [(Duration, usize); 3] =
    [(Duration::from_secs(1), 60), (Duration::from_secs(60), 60), (Duration::from_secs(3600), 24)];

/// What names a statement among those of all databases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// As it is counted under.
    pub database: Arc<str>,
    /// Within it.
    pub name: Name,
}

/// What the counters of one statement show.
pub trait Reading {
    /// Which one.
    fn key(&self) -> Key;
    /// What there is to say of it.
    fn description(&self) -> &Description;
    /// Since the start of the process.
    fn numbers(&self) -> Numbers;
    /// How long servers took, since then. Asked only where the numbers have changed.
    fn server(&self) -> Latency;
}

impl Reading for Seen {
    fn key(&self) -> Key {
        Key { database: self.database.clone(), name: self.name }
    }

    fn description(&self) -> &Description {
        Self::description(self)
    }

    fn numbers(&self) -> Numbers {
        self.numbers
    }

    fn server(&self) -> Latency {
        Self::server(self)
    }
}

/// What was counted for one statement, or for several, within a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// What there is to say of the statement; of several, of one of them. Its text is cut.
    pub description: Arc<Description>,
    /// How often it was run.
    pub calls: u64,
    /// How often it failed.
    pub errors: u64,
    /// Those among them that were in the way of another transaction.
    pub conflicts: u64,
    /// Returned or changed.
    pub rows: u64,
    /// Waiting for a server.
    pub wait_us: u64,
    /// With a server.
    pub server_us: u64,
    // Buckets that are not empty, in order.
    server: Vec<(u8, u32)>,
}

/// The last minute, hour and day.
pub struct Windows {
    // Of who ticks alone.
    before: Mutex<Before>,
    rings: Mutex<Rings>,
}

/// What all counters showed at the last tick.
#[derive(Default)]
struct Before {
    known: HashMap<Key, Known>,
    // Counts the ticks.
    turn: u64,
}

struct Rings {
    rings: [Ring; RINGS.len()],
    // That they may take.
    bytes: usize,
}

/// What a statement's counters showed at the last tick.
struct Known {
    description: Arc<Description>,
    counts: Counts,
    server: Vec<(u8, u64)>,
    turn: u64,
    // They had just changed: a worker may have been between counting the call and its time.
    moves: bool,
}

/// Calls, errors, conflicts, rows, waiting, server time.
type Counts = [u64; 6];

/// What has gone from counters because a worker has folded it into `other`.
#[derive(Default)]
struct Gone {
    counts: Counts,
    server: Latency,
}

struct Ring {
    step: Duration,
    most: usize,
    // The last one is open.
    steps: VecDeque<Arc<Step>>,
    opened: Instant,
}

#[derive(Clone, Default)]
struct Step {
    entries: HashMap<Key, Recent>,
    // Once it is closed.
    bytes: usize,
}

impl Windows {
    /// Nothing was counted before the first tick: what it finds belongs to the step of `now`.
    pub fn new(now: Instant) -> Self {
        let ring = |(step, most)| Ring { step, most, steps: VecDeque::from([Arc::default()]), opened: now };
        let rings = Rings { rings: RINGS.map(ring), bytes: BYTES };
        Self { before: Mutex::default(), rings: Mutex::new(rings) }
    }

    /// From now on they take one part in so many of what they may take by themselves.
    pub fn share(&self, parts: usize) {
        self.rings.lock().bytes = BYTES / parts.max(1);
    }

    /// What the counters show now was counted before anybody wanted to know.
    pub fn begin<R: Reading>(&self, seen: &[R]) {
        drop(self.before.lock().differences(seen));
    }

    /// Takes in what the counters show now: all of them, each statement once.
    pub fn tick<R: Reading>(&self, now: Instant, seen: &[R]) {
        let differences = self.before.lock().differences(seen);
        let mut rings = self.rings.lock();
        rings.rings.iter_mut().for_each(|ring| ring.advance(now));
        for (key, recent) in differences {
            rings.rings.iter_mut().for_each(|ring| ring.add(&key, &recent));
        }
        rings.keep_within();
    }

    /// What was counted in the last `window`, for each statement that ran. A window of up to a minute is made of seconds, one of up to an
    /// hour of minutes, a longer one, a day at most, of hours: it is as long as it says, rounded up to whole steps, and up to one step longer.
    pub fn recent(&self, window: Duration) -> HashMap<Key, Recent> {
        let steps = self.rings.lock().steps(window);
        let mut sums: HashMap<Key, Recent> = HashMap::default();
        for (key, recent) in steps.iter().flat_map(|step| &step.entries) {
            match sums.get_mut(key) {
                Some(sum) => sum.add(recent),
                None => drop(sums.insert(key.clone(), recent.clone())),
            }
        }
        sums
    }
}

impl Before {
    /// What has come since the last tick, for each statement that something has.
    fn differences<R: Reading>(&mut self, seen: &[R]) -> BTreeMap<Key, Recent> {
        self.turn += 1;
        let (mut found, mut gone) = (BTreeMap::new(), BTreeMap::<Arc<str>, Gone>::new());
        for one in seen {
            let (key, counts) = (one.key(), counts(&one.numbers()));
            let known = self.known.entry(key.clone()).or_insert_with(|| Known::new(one.description()));
            known.turn = self.turn;
            let moves = known.counts != counts;
            if moves || known.moves {
                let recent = known.step_to(counts, &one.server(), || gone.entry(key.database.clone()).or_default());
                found.insert(key, recent);
            }
            known.moves = moves;
        }
        self.known.retain(|key, known| {
            let stays = known.turn == self.turn;
            if !stays {
                gone.entry(key.database.clone()).or_default().add(known);
            }
            stays
        });
        // It is in their `other` now, and came long ago.
        for (database, gone) in gone {
            if let Some(other) = found.get_mut(&Key { database, name: Name::Other }) {
                other.subtract(&gone);
            }
        }
        found.retain(|_, recent| !recent.is_empty());
        found
    }
}

impl Rings {
    fn steps(&self, window: Duration) -> Vec<Arc<Step>> {
        let is_long_enough = |ring: &&Ring| window <= ring.step * u32::try_from(ring.most).unwrap_or(u32::MAX);
        let ring = self.rings.iter().find(is_long_enough).or(self.rings.last());
        ring.into_iter().flat_map(|ring| ring.last(window)).cloned().collect()
    }

    fn keep_within(&mut self) {
        while self.rings.iter().map(Ring::bytes).sum::<usize>() > self.bytes {
            let Some(biggest) = self.rings.iter_mut().max_by_key(|ring| ring.bytes()) else { return };
            biggest.steps.pop_front();
        }
    }
}

impl Known {
    fn new(description: &Description) -> Self {
        let text = &description.text[..description.text.floor_char_boundary(TEXT)];
        let description = Arc::new(Description { text: text.into(), ..description.clone() });
        Self { description, counts: Counts::default(), server: Vec::new(), turn: 0, moves: false }
    }

    /// What has come. What has gone is noted in `gone`.
    fn step_to<'g>(&mut self, counts: Counts, server: &Latency, gone: impl FnOnce() -> &'g mut Gone) -> Recent {
        let mut before = Latency::default();
        self.server.iter().for_each(|(bucket, count)| before.add_to((*bucket).into(), *count));
        let more = |now: u64, before: u64| now.saturating_sub(before);
        let came: Counts = std::array::from_fn(|at| more(counts[at], self.counts[at]));
        let server_came = server.buckets().zip(before.buckets()).map(|(now, before)| more(now, before));
        let less: Counts = std::array::from_fn(|at| more(self.counts[at], counts[at]));
        let server_is_less = server.buckets().zip(before.buckets()).any(|(now, before)| now < before);
        if less != Counts::default() || server_is_less {
            let gone = gone();
            gone.counts.iter_mut().zip(less).for_each(|(total, less)| *total += less);
            for (bucket, (now, before)) in server.buckets().zip(before.buckets()).enumerate() {
                gone.server.add_to(bucket, more(before, now));
            }
        }
        let recent = Recent::new(self.description.clone(), came, filled(server_came));
        (self.counts, self.server) = (counts, filled(server.buckets()));
        recent
    }
}

impl Gone {
    fn add(&mut self, known: &Known) {
        self.counts.iter_mut().zip(known.counts).for_each(|(total, more)| *total += more);
        known.server.iter().for_each(|(bucket, count)| self.server.add_to((*bucket).into(), *count));
    }
}

impl Recent {
    fn new(description: Arc<Description>, counts: Counts, server: Vec<(u8, u64)>) -> Self {
        let [calls, errors, conflicts, rows, wait_us, server_us] = counts;
        let cut = |(bucket, count)| (bucket, u32::try_from(count).unwrap_or(u32::MAX));
        let server = server.into_iter().map(cut).collect();
        Self { description, calls, errors, conflicts, rows, wait_us, server_us, server }
    }

    /// How long servers took.
    pub fn server(&self) -> Latency {
        let mut latency = Latency::default();
        self.server.iter().for_each(|(bucket, count)| latency.add_to((*bucket).into(), (*count).into()));
        latency
    }

    /// Those among the calls whose time is known by itself: not of pipelines.
    pub fn timed(&self) -> u64 {
        self.server.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Adds another one's.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.conflicts += other.conflicts;
        self.rows += other.rows;
        self.wait_us += other.wait_us;
        self.server_us += other.server_us;
        for &(bucket, count) in &other.server {
            match self.server.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
                Ok(at) => self.server[at].1 = self.server[at].1.saturating_add(count),
                Err(at) => self.server.insert(at, (bucket, count)),
            }
        }
    }

    fn subtract(&mut self, gone: &Gone) {
        let counts = [&mut self.calls, &mut self.errors, &mut self.conflicts, &mut self.rows];
        let counts = counts.into_iter().chain([&mut self.wait_us, &mut self.server_us]);
        counts.zip(gone.counts).for_each(|(total, gone)| *total = total.saturating_sub(gone));
        let gone: Vec<_> = gone.server.buckets().collect();
        self.server.iter_mut().for_each(|(bucket, count)| {
            let less = gone.get(usize::from(*bucket)).copied().unwrap_or(0);
            *count = count.saturating_sub(u32::try_from(less).unwrap_or(u32::MAX));
        });
        self.server.retain(|(_, count)| *count > 0);
    }

    fn is_empty(&self) -> bool {
        let counts = [self.calls, self.errors, self.conflicts, self.rows, self.wait_us, self.server_us];
        counts == Counts::default() && self.server.is_empty()
    }
}

impl Ring {
    /// Closes what is over at `now`.
    fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.opened).as_nanos() / self.step.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.opened = self.opened.checked_add(self.step * passed).unwrap_or(now);
        for _ in 0..passed.min(u32::try_from(self.most + 1).unwrap_or(u32::MAX)) {
            if let Some(open) = self.steps.back_mut() {
                Arc::make_mut(open).close();
            }
            self.steps.push_back(Arc::default());
        }
        while self.steps.len() > self.most + 1 {
            self.steps.pop_front();
        }
    }

    fn add(&mut self, key: &Key, recent: &Recent) {
        // Whoever is adding it up at this moment has it as it was.
        if let Some(open) = self.steps.back_mut().map(Arc::make_mut) {
            open.add(key, recent);
            // Not at each one beyond: to find those that are least takes a look at all.
            if open.entries.len() > 2 * NAMED {
                open.fold();
            }
        }
    }

    /// The open one, and those before it that the window reaches.
    fn last(&self, window: Duration) -> impl Iterator<Item = &Arc<Step>> {
        let reached = window.as_nanos().div_ceil(self.step.as_nanos());
        self.steps.iter().rev().take(usize::try_from(reached).unwrap_or(usize::MAX).saturating_add(1))
    }

    fn bytes(&self) -> usize {
        self.steps.iter().map(|step| step.bytes).sum()
    }
}

impl Step {
    fn add(&mut self, key: &Key, recent: &Recent) {
        match self.entries.get_mut(key) {
            Some(known) => known.add(recent),
            None => drop(self.entries.insert(key.clone(), recent.clone())),
        }
    }

    fn close(&mut self) {
        self.fold();
        self.entries.values_mut().for_each(|recent| recent.server.shrink_to_fit());
        self.entries.shrink_to_fit();
        let bytes = |recent: &Recent| ENTRY + recent.server.capacity() * size_of::<(u8, u32)>();
        self.bytes = self.entries.values().map(bytes).sum();
    }

    /// Keeps [`NAMED`] by name.
    fn fold(&mut self) {
        let is_named = |(key, _): &(&Key, &Recent)| matches!(key.name, Name::Fingerprint(_));
        let named = self.entries.iter().filter(is_named);
        let mut named: Vec<_> = named.map(|(key, recent)| (recent.server_us, key.clone())).collect();
        let Some(least) = named.len().checked_sub(NAMED).filter(|least| *least > 0) else { return };
        named.select_nth_unstable(least - 1);
        for (_, key) in named.into_iter().take(least) {
            let Some(mut recent) = self.entries.remove(&key) else { continue };
            recent.description = Arc::default();
            self.add(&Key { database: key.database, name: Name::Other }, &recent);
        }
    }
}

fn counts(numbers: &Numbers) -> Counts {
    [numbers.calls, numbers.errors, numbers.conflicts, numbers.rows, numbers.wait_us, numbers.server_us]
}

/// Buckets that are not empty.
fn filled(buckets: impl Iterator<Item = u64>) -> Vec<(u8, u64)> {
    let filled = buckets.enumerate().filter(|(_, count)| *count > 0);
    // There are 226 of them.
    filled.filter_map(|(bucket, count)| Some((u8::try_from(bucket).ok()?, count))).collect()
}

#[cfg(test)]
mod tests;
