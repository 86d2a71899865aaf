//! What the functions, triggers and views of one database may touch of a session, read from its catalog now and then, for who
//! reads the texts of its clients. Shared by all pools of a database.
//!
//! Until it was read, every function that is not built in is hidden. It is read before the first client is welcomed, behind
//! each change that a client makes, or may have made by a text that code has computed, and every [`AGAIN`] while there are clients;
//! between a change that a text says and the reading behind it everything that a text names is hidden. What others change than clients
//! of this process in transaction mode is found at the next reading. Does not know who has a server to ask.

mod body;
mod claims;
mod foreign;
mod graph;
mod load;
mod prospect;
mod spread;
mod writers;

use crate::clock::{self, Instant};
use crate::pool::Mailbox;
use crate::router::Fences;
use crate::session::{Computed, Statement};
use crate::sql::{Facts, Knowledge, Names, Reading, StatementCache, Told, Verdict};
use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

pub use claims::Claims;
pub use load::{Loading, MARK, Volatility, read_catalog, read_volatility};
pub use prospect::Prospect;
pub use writers::Writers;

/// A catalog is read again this long after it was read, or could not be.
const AGAIN: Duration = Duration::from_secs(60);

/// Behind functions that run computed texts it is read so long after it was read before: they may be called all the time.
const CALLED: Duration = Duration::from_secs(5);

/// Readings take at most one part in these of the time.
const SHARE: u32 = 10;

/// Bytes of a text that the second reader is given at once: some 50 µs.
const INLINE_MAX: usize = 1024;

/// Longer texts that are being read elsewhere at once.
const CONFIRMING_MAX: usize = 2;

/// The catalog of one database.
pub struct Catalog {
    known: ArcSwap<Knowledge>,
    // Of that; changes behind it.
    edition: AtomicU64,
    since: Instant,
    // Milliseconds since `since` at which it is to be read, and before which it must not be.
    due: AtomicU64,
    rest: AtomicU64,
    // When the last reading has ended, in the same way.
    ended: AtomicU64,
    loading: AtomicBool,
    read: AtomicBool,
    // So many milliseconds behind the end of a reading the next one is due, as has been asked for since the last one began.
    wanted: AtomicU64,
    // Changes that are under way, and how often one has begun or ended.
    open: AtomicUsize,
    changes: AtomicU64,
    cache: Arc<StatementCache>,
    /// What has been written to its tables.
    pub fences: Fences,
    /// Texts that look like reads and write.
    pub writers: Writers,
    // Readings that have ended, and who is called at the end of the one under way.
    readings: AtomicU64,
    waiting: Mutex<Vec<Arc<Mailbox>>>,
    // Texts that the second reader has been given elsewhere.
    confirming: AtomicUsize,
    last: Mutex<Last>,
    claims: Mutex<Arc<Claims>>,
}

/// Of the last reading.
#[derive(Default)]
struct Last {
    // What the catalog looked like.
    mark: Option<Box<[u8]>>,
    // It failed, and that was logged.
    failed: bool,
}

/// A client changes the catalog, until this is dropped.
pub struct Change(Arc<Catalog>);

impl Catalog {
    /// Of which nothing is known.
    pub fn new(cache: Arc<StatementCache>) -> Arc<Self> {
        Arc::new(Self {
            known: ArcSwap::default(),
            edition: AtomicU64::new(0),
            since: clock::now(),
            due: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            loading: AtomicBool::new(false),
            read: AtomicBool::new(false),
            wanted: AtomicU64::new(millis(AGAIN)),
            open: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            cache,
            fences: Fences::default(),
            writers: Writers::default(),
            readings: AtomicU64::new(0),
            waiting: Mutex::default(),
            confirming: AtomicUsize::new(0),
            last: Mutex::default(),
            claims: Mutex::default(),
        })
    }

    /// What is known. Costs no lock and no allocation.
    pub fn known(&self) -> Guard<Arc<Knowledge>> {
        self.known.load()
    }

    /// Another number behind each change of what is known. Whoever asks for it in front of a reading and again behind that has read with what
    /// is known then, if it is the same. Costs one load.
    pub fn edition(&self) -> u64 {
        self.edition.load(Ordering::SeqCst)
    }

    /// What a whole text may do, by what is known now.
    pub fn read(&self, text: &[u8], reading: Reading) -> Arc<Facts> {
        self.cache.read(text, reading, &self.known.load())
    }

    /// What running a prepared statement may do, see [`Statement::told`].
    pub fn told(&self, statement: &Statement) -> Guard<Option<Arc<Told>>> {
        let known = self.known.load();
        statement.told(&known, |text, reading| self.cache.read(text, reading, &known))
    }

    /// As [`Self::read`], and where the text may run. Up to [`INLINE_MAX`] bytes both readers have their say; for a longer text whose facts
    /// are kept the second one is asked on another thread, and until it has answered the text is the primary's, `unparsed`. What is
    /// not kept would be asked for each time, and beyond 16 KiB it is not asked: there the first reader decides alone.
    pub fn judge(self: &Arc<Self>, text: &[u8], reading: Reading) -> (Arc<Facts>, Verdict) {
        let known = self.known.load();
        let (facts, kept) = self.cache.read_telling(text, reading, &known);
        let verdict = match facts.is_confirmed() {
            Some(verdict) => verdict,
            None if text.len() <= INLINE_MAX => facts.confirmed(text, reading, &**known),
            None if kept => {
                self.confirm(text, reading, &facts, Guard::into_inner(known));
                Verdict::Unparsed
            }
            None => facts.verdict(),
        };
        (facts, verdict)
    }

    /// As [`Self::judge`], but that both readers have their say at once, which may take a millisecond: for whom there is no other way.
    pub fn judge_at_once(self: &Arc<Self>, text: &[u8], reading: Reading) -> (Arc<Facts>, Verdict) {
        let known = self.known.load();
        let facts = self.cache.read(text, reading, &known);
        let verdict = facts.confirmed(text, reading, &**known);
        (facts, verdict)
    }

    /// Has the second reader asked elsewhere, unless too many texts are being read just now.
    fn confirm(self: &Arc<Self>, text: &[u8], reading: Reading, facts: &Arc<Facts>, known: Arc<Knowledge>) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.confirming.fetch_add(1, Ordering::Relaxed) >= CONFIRMING_MAX {
            self.confirming.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let (confirming, facts, text) = (Confirming(self.clone()), facts.clone(), text.to_vec());
        runtime.spawn_blocking(move || {
            facts.confirmed(&text, reading, &*known);
            drop(confirming);
        });
    }

    /// It has been read once.
    pub fn is_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// A client is about to change it.
    pub fn begin_change(self: &Arc<Self>) -> Change {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.doubt();
        Change(self.clone())
    }

    /// It may be another one now.
    pub fn doubt_all(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.doubt();
        self.due.store(0, Ordering::SeqCst);
    }

    /// It may be another one now, by texts that code has computed; though most likely it is not, and what is known is believed until it
    /// was read.
    pub fn read_behind(&self, computed: Computed) {
        let wanted = match computed {
            Computed::Nothing => return,
            Computed::ByFunction => millis(CALLED),
            Computed::ByDo => 0,
        };
        let due = if wanted == 0 { 0 } else { self.ended.load(Ordering::SeqCst) + wanted };
        for (at, asked) in [(&self.wanted, wanted), (&self.due, due)] {
            // Most often somebody has asked already.
            if at.load(Ordering::SeqCst) > asked {
                at.fetch_min(asked, Ordering::SeqCst);
            }
        }
    }

    /// What the configuration says of its functions, from the next reading on.
    pub fn claim(&self, claims: Arc<Claims>) {
        *self.claims.lock() = claims;
    }

    /// Whether the time has come to read it.
    pub fn may_be_read(&self, now: Instant) -> bool {
        let now = self.millis(now);
        now >= self.due.load(Ordering::Relaxed) && now >= self.rest.load(Ordering::Relaxed)
    }

    /// Whether it is to be read now, which is then the caller's to do. Costs two loads if it is not.
    pub fn is_due(self: &Arc<Self>, now: Instant) -> Option<Loading> {
        if !self.may_be_read(now) {
            return None;
        }
        if self.open.load(Ordering::Relaxed) > 0 || self.loading.swap(true, Ordering::SeqCst) {
            return None;
        }
        self.wanted.store(millis(AGAIN), Ordering::SeqCst);
        Some(Loading::new(self.clone(), self.changes.load(Ordering::SeqCst)))
    }

    fn doubt(&self) {
        let known = self.known.load();
        // Before it was read there is nothing to doubt.
        if self.is_read() && !known.is_doubtful() {
            self.know(known.names().clone(), true);
        }
    }

    fn know(&self, names: Arc<Names>, doubtful: bool) {
        let edition = self.cache.edition();
        self.known.store(Arc::new(Knowledge::new(edition, names, doubtful)));
        self.edition.store(edition, Ordering::SeqCst);
    }

    /// These were read, beginning behind so many `changes`.
    fn learn(&self, names: Names, changes: u64) {
        let unchanged = || self.changes.load(Ordering::SeqCst) == changes && self.open.load(Ordering::SeqCst) == 0;
        let known = self.known.load();
        let names = if **known.names() == names { known.names().clone() } else { Arc::new(names) };
        let first = !self.read.swap(true, Ordering::Relaxed);
        let doubtful = !unchanged();
        if !Arc::ptr_eq(known.names(), &names) {
            self.fences.rename(|| self.know(names, doubtful));
        } else if first || known.is_doubtful() || doubtful {
            self.know(names, doubtful);
        }
        // What has begun in between may have been overwritten.
        if !doubtful && !unchanged() {
            self.doubt();
        }
    }

    /// A reading has ended, or was not even tried.
    fn rest(&self, began: Instant, changes: u64, tried: bool) {
        let now = clock::now();
        let rest = (now.saturating_duration_since(began) * SHARE).min(AGAIN);
        self.rest.store(self.millis(now + rest), Ordering::Relaxed);
        self.ended.store(self.millis(now), Ordering::SeqCst);
        self.due.store(if tried { self.millis(now + AGAIN) } else { 0 }, Ordering::SeqCst);
        // Looked for behind that, so that it takes the place of nobody's wish.
        self.due.fetch_min(self.millis(now) + self.wanted.load(Ordering::SeqCst), Ordering::SeqCst);
        if self.changes.load(Ordering::SeqCst) != changes {
            self.due.store(0, Ordering::SeqCst);
        }
        self.end_reading();
    }

    fn millis(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.since))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A text that the second reader is asked about elsewhere, until it is dropped: its worker may end before that has begun.
struct Confirming(Arc<Catalog>);

impl Drop for Confirming {
    fn drop(&mut self) {
        self.0.confirming.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let Self(catalog) = self;
        catalog.changes.fetch_add(1, Ordering::SeqCst);
        catalog.due.store(0, Ordering::SeqCst);
        catalog.open.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
