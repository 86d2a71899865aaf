//! Errors that clients were told: how many by SQLSTATE, and which statements they came of. Pure: it knows no SQL, no log and no clock.
//!
//! Each worker counts in an [`ErrorBook`] of its own, with plain stores: in a storm of errors no worker waits for another, nor for who reads. It takes
//! a lock where an error is of a new kind, and where there are too many kinds.
//!
//! Bounded whatever clients do: a database has so many SQLSTATEs of its own and one `other`, a counter never changes its label; of
//! statements those that failed least often at a worker are folded into their database's `other`. Both still add up.

mod book;

pub(super) use book::ErrorBook;

use super::counter::Counter;
use super::statements::{Description, Name, Stat};
use crate::clock::Instant;
use crate::ids::WorkerId;
use parking_lot::Mutex;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// SQLSTATEs of one database that are counted by themselves.
const STATES_MAX: usize = 40;

/// Rows by statement and SQLSTATE that one worker has, beside those of `other`.
const ROWS_MAX: usize = 1_000;

/// Who said it. The order is that of [`ErrorSource::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorSource {
    /// PostgreSQL.
    Server,
    /// PgOtter, in place of an answer.
    Pooler,
}

impl ErrorSource {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 2] = [(Self::Server, "server"), (Self::Pooler, "pooler")];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// A SQLSTATE as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorState {
    /// Five digits and capital letters.
    Known([u8; 5]),
    /// Anything else, and those that there was no room for.
    Other,
}

impl ErrorState {
    fn of(sqlstate: &[u8]) -> Self {
        let code = sqlstate.try_into().ok();
        let is_code = |code: &[u8; 5]| code.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        code.filter(is_code).map_or(Self::Other, Self::Known)
    }
}

impl fmt::Display for ErrorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(code) => f.write_str(&String::from_utf8_lossy(code)),
            Self::Other => f.write_str("other"),
        }
    }
}

/// An error that a client was told.
pub struct ToldError<'a> {
    /// What it says of itself; empty: nothing.
    pub sqlstate: &'a [u8],
    /// Who said it.
    pub source: ErrorSource,
    /// Where it came from, or the statement was to run.
    pub role: &'static str,
    /// Which one failed; `None`: none that was to run, a Parse for instance.
    pub statement: Option<&'a Stat>,
    /// When it was told.
    pub at: Instant,
    /// As its client has logged in.
    pub user: &'a str,
    /// What its client calls itself.
    pub application: &'a str,
}

/// How many of one kind there were, as `/metrics` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorCount {
    /// As it is counted under.
    pub database: Arc<str>,
    /// `primary` or `replica`.
    pub role: &'static str,
    /// What was wrong.
    pub state: ErrorState,
    /// Who said it.
    pub source: ErrorSource,
    /// So many.
    pub count: u64,
}

/// Errors of one statement and SQLSTATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// As it is counted under.
    pub database: Arc<str>,
    /// What was wrong.
    pub state: ErrorState,
    /// Who said it.
    pub source: ErrorSource,
    /// The statement; `None`: none that was to run.
    pub name: Option<Name>,
    /// What there is to say of it. Its text is cut.
    pub description: Arc<Description>,
    /// So many.
    pub count: u64,
    /// When the last one was told.
    pub last: Instant,
    /// Whose client that was.
    pub user: Box<str>,
    /// What that called itself.
    pub application: Box<str>,
}

/// See the top of this file.
pub struct Errors {
    // SQLSTATEs that are counted by themselves, by database, whoever has met them.
    states: Mutex<BTreeMap<Arc<str>, BTreeSet<[u8; 5]>>>,
    // Of each worker.
    sheets: Vec<Arc<Sheet>>,
}

/// What readers see of a worker's errors.
#[derive(Default)]
struct Sheet {
    counts: Mutex<Vec<Arc<Count>>>,
    rows: Mutex<Vec<Arc<Row>>>,
}

struct Count {
    database: Arc<str>,
    kind: CountKey,
    count: Counter,
}

type CountKey = (ErrorState, ErrorSource, &'static str);

type Key = (Arc<str>, Option<Name>, ErrorState, ErrorSource);

struct Row {
    key: Key,
    description: Arc<Description>,
    count: Counter,
    // A reader may hold it for a moment; the worker then leaves it as it is.
    last: Mutex<Last>,
}

#[derive(Clone)]
struct Last {
    at: Instant,
    user: Box<str>,
    application: Box<str>,
}

impl Errors {
    /// None yet; so many workers will tell some.
    pub(super) fn new(workers: usize) -> Self {
        Self { states: Mutex::default(), sheets: (0..workers).map(|_| Arc::default()).collect() }
    }

    /// Where this worker counts.
    pub(super) fn book(self: &Arc<Self>, worker: WorkerId) -> ErrorBook {
        let sheet = self.sheets.get(usize::from(worker.0)).cloned();
        ErrorBook::new(self.clone(), sheet.expect("invariant: there is a sheet for every worker"))
    }

    /// How many there were, by database, role, SQLSTATE and source.
    pub fn counts(&self) -> Vec<ErrorCount> {
        let mut sums: BTreeMap<(Arc<str>, CountKey), u64> = BTreeMap::new();
        for sheet in &self.sheets {
            for one in sheet.counts.lock().iter() {
                *sums.entry((one.database.clone(), one.kind)).or_default() += one.count.get();
            }
        }
        let count = |((database, (state, source, role)), count)| ErrorCount { database, role, state, source, count };
        sums.into_iter().map(count).collect()
    }

    /// By statement, those first of which there were most.
    pub fn rows(&self) -> Vec<ErrorRow> {
        let mut sums: BTreeMap<Key, ErrorRow> = BTreeMap::new();
        for (row, count) in self.sheets.iter().flat_map(|sheet| sheet.read()) {
            let last = row.last.lock().clone();
            match sums.entry(row.key.clone()) {
                Entry::Vacant(new) => drop(new.insert(row.seen(count, last))),
                Entry::Occupied(mut sum) => sum.get_mut().add(count, last),
            }
        }
        let mut rows: Vec<_> = sums.into_values().collect();
        let order = |row: &ErrorRow| (std::cmp::Reverse(row.count), row.database.clone(), row.state, row.name);
        rows.sort_by_key(|row| (order(row), row.source));
        rows
    }

    /// As this SQLSTATE is counted; with `Other`, those that are counted by themselves, which are all that ever will be.
    fn admit(&self, database: &Arc<str>, code: [u8; 5]) -> (ErrorState, Option<BTreeSet<[u8; 5]>>) {
        let mut states = self.states.lock();
        let known = states.entry(database.clone()).or_default();
        if known.contains(&code) || known.len() < STATES_MAX {
            known.insert(code);
            return (ErrorState::Known(code), None);
        }
        (ErrorState::Other, Some(known.clone()))
    }
}

impl Sheet {
    /// All rows with their counts, no error in two of them: the worker waits meanwhile if it has to add or to fold one.
    fn read(&self) -> Vec<(Arc<Row>, u64)> {
        self.rows.lock().iter().map(|row| (row.clone(), row.count.get())).collect()
    }
}

impl Row {
    fn seen(&self, count: u64, Last { at: last, user, application }: Last) -> ErrorRow {
        let (database, name, state, source) = self.key.clone();
        let description = self.description.clone();
        ErrorRow { database, state, source, name, description, count, last, user, application }
    }
}

impl ErrorRow {
    /// The last one tells who it was.
    fn add(&mut self, count: u64, last: Last) {
        self.count += count;
        if last.at >= self.last {
            (self.last, self.user, self.application) = (last.at, last.user, last.application);
        }
    }
}

#[cfg(test)]
mod tests {
    //! Bounds, and that nothing is lost by them.

    use super::*;
    use crate::clock::now;
    use crate::ids::WorkerId;
    use crate::metrics::{Meters, Registry};
    use std::time::Duration;

    #[test]
    fn ten_thousand_statements_and_as_many_sqlstates_make_no_more_rows_than_there_may_be_and_all_add_up() {
        let (registry, start) = (Arc::new(Registry::new(1, now())), now());
        let meter = Meters::new(&registry, WorkerId(0)).meter("shop");
        let counted = meter.application("psql");
        let tell = |number: u64, sqlstate: &str| {
            let stat = meter.statement(Name::Fingerprint(number), Description::default);
            let (source, role, at) = (ErrorSource::Server, "primary", start);
            let (statement, user, application) = (Some(&*stat), "me", "psql");
            let error = ToldError { sqlstate: sqlstate.as_bytes(), source, role, statement, at, user, application };
            meter.erred(&counted, &error);
        };
        (0..50).for_each(|_| tell(7, "22012"));
        (0..10_000).for_each(|number| tell(number, &format!("{number:05}")));
        (0..10).for_each(|_| tell(7, "no code"));
        let (counts, rows) = (registry.errors().counts(), registry.errors().rows());
        assert_eq!(counts.len(), STATES_MAX + 1, "{counts:?}");
        assert_eq!(counts.iter().map(|count| count.count).sum::<u64>(), 10_060);
        assert_eq!(
            counts.iter().find(|count| count.state == ErrorState::Known(*b"22012")).map(|one| one.count),
            Some(50)
        );
        assert!(rows.len() <= ROWS_MAX + STATES_MAX + 1, "{}", rows.len());
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 10_060);
        let first = (rows[0].name, rows[0].state);
        assert_eq!(first, (Some(Name::Other), ErrorState::Other));
        assert_eq!((rows[1].name, rows[1].count), (Some(Name::Fingerprint(7)), 50), "what fails often is not folded");
    }

    #[test]
    fn a_database_that_has_used_up_its_sqlstates_leaves_others_theirs() {
        let (registry, start) = (Arc::new(Registry::new(1, now())), now());
        let meters = Meters::new(&registry, WorkerId(0));
        let tell = |database: &str, code: String, role| {
            let (source, sqlstate) = (ErrorSource::Pooler, code.as_bytes());
            let error = ToldError { sqlstate, source, role, statement: None, at: start, user: "", application: "" };
            let meter = meters.meter(database);
            meter.erred(&meter.application(""), &error);
        };
        (0..100).for_each(|number| tell("crowded", format!("{number:05}"), "primary"));
        tell("shop", "40001".to_owned(), "replica");
        tell("shop", "40001".to_owned(), "primary");
        let counts = registry.errors().counts();
        let of = |database: &str| counts.iter().filter(|count| &*count.database == database).collect::<Vec<_>>();
        assert_eq!(of("crowded").len(), STATES_MAX + 1);
        let of_shop: Vec<_> =
            of("shop").iter().map(|count| (count.state.to_string(), count.role, count.count)).collect();
        assert_eq!(of_shop, [("40001".to_owned(), "primary", 1), ("40001".to_owned(), "replica", 1)]);
        let row = registry.errors().rows().into_iter().find(|row| &*row.database == "shop");
        assert_eq!(row.map(|row| (row.name, row.count)), Some((None, 2)));
    }
    #[test]
    fn workers_count_apart_share_the_sqlstates_and_add_up() {
        let (registry, start) = (Arc::new(Registry::new(2, now())), now());
        let meters = [0, 1].map(|worker| Meters::new(&registry, WorkerId(worker)).meter("shop"));
        let tell = |worker: usize, code: String, user: &str, seconds| {
            let (source, sqlstate) = (ErrorSource::Server, code.as_bytes());
            let at = start + Duration::from_secs(seconds);
            let error = ToldError { sqlstate, source, role: "primary", statement: None, at, user, application: "" };
            meters[worker].erred(&meters[worker].application(""), &error);
        };
        (0..30).for_each(|number| tell(0, format!("{number:05}"), "early", 0));
        (20..100).for_each(|number| tell(1, format!("{number:05}"), "late", 1));
        (0..100).for_each(|number| tell(0, format!("{number:05}"), "early", 0));
        let (counts, rows) = (registry.errors().counts(), registry.errors().rows());
        assert_eq!(counts.len(), STATES_MAX + 1, "{counts:?}");
        assert_eq!(counts.iter().map(|count| count.count).sum::<u64>(), 210);
        let of =
            |code: [u8; 5]| counts.iter().find(|count| count.state == ErrorState::Known(code)).map(|one| one.count);
        assert_eq!([of(*b"00025"), of(*b"00035"), of(*b"00040")], [Some(3), Some(2), None]);
        let row = rows.iter().find(|row| row.state == ErrorState::Known(*b"00025"));
        assert_eq!(row.map(|row| (row.count, &*row.user)), Some((3, "late")), "the last one's, whoever told it");
    }

    #[test]
    fn a_worker_waits_for_nobody_to_tell_errors_of_a_kind_that_there_was() {
        let (registry, start) = (Arc::new(Registry::new(1, now())), now());
        let (told, telling) = std::sync::mpsc::channel();
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let counting = registry.clone();
        let worker = std::thread::spawn(move || {
            let meter = Meters::new(&counting, WorkerId(0)).meter("shop");
            let stat = meter.statement(Name::Fingerprint(7), Description::default);
            let application = meter.application("psql");
            for _ in 0..2 {
                let (source, sqlstate, statement) = (ErrorSource::Server, &b"22012"[..], Some(&*stat));
                let (role, user, application_name) = ("primary", "me", "psql");
                let error =
                    ToldError { sqlstate, source, role, statement, at: start, user, application: application_name };
                meter.erred(&application, &error);
                told.send(()).unwrap();
                gone.recv().unwrap();
            }
        });
        telling.recv().unwrap();
        // Whoever reads holds everything that there is to hold.
        let sheet = registry.errors().sheets[0].clone();
        let (states, counts, rows) = (registry.errors().states.lock(), sheet.counts.lock(), sheet.rows.lock());
        let last = rows[0].last.lock();
        go.send(()).unwrap();
        let second = telling.recv_timeout(Duration::from_secs(60));
        drop((states, counts, last));
        drop(rows);
        assert_eq!(second, Ok(()), "it waits");
        go.send(()).unwrap();
        worker.join().unwrap();
        assert_eq!(registry.errors().rows()[0].count, 2);
    }
}
