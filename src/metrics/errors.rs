//! Errors that clients were told: how many by SQLSTATE, and which statements they came of. Written by workers, and only where there was an
//! error, so that a lock does. Pure: it knows no SQL, no log and no clock.
//!
//! Bounded whatever clients do: a database has so many SQLSTATEs of its own and one `other`, a counter never changes its label; of
//! statements those that failed least often are folded into their database's `other`. Both still add up.

use super::statements::{Description, Name, Stat};
use crate::clock::Instant;
use parking_lot::Mutex;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

/// SQLSTATEs of one database that are counted by themselves.
const STATES_MAX: usize = 40;

/// Rows by statement and SQLSTATE, beside those of `other`.
const ROWS_MAX: usize = 1_000;

/// Of what is folded at once, one part in so many.
const FOLDED: usize = 8;

/// Bytes of a normal form that are kept.
const TEXT_MAX: usize = 300;

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

/// See the top of this file. Held for a moment by whoever tells an error.
#[derive(Default)]
pub struct Errors(Mutex<Told>);

#[derive(Default)]
struct Told {
    databases: BTreeMap<Arc<str>, Totals>,
    rows: HashMap<Key, Row>,
    // Those among them that are of one statement.
    named: usize,
}

#[derive(Default)]
struct Totals {
    states: BTreeSet<[u8; 5]>,
    counts: BTreeMap<(ErrorState, ErrorSource, &'static str), u64>,
}

type Key = (Arc<str>, Option<Name>, ErrorState, ErrorSource);

struct Row {
    description: Arc<Description>,
    count: u64,
    last: Instant,
    user: Box<str>,
    application: Box<str>,
}

impl Errors {
    /// A client of this database was told one.
    pub fn note(&self, database: &Arc<str>, error: &ToldError<'_>) {
        let mut told = self.0.lock();
        let state = told.count(database, error);
        let name = error.statement.map(Stat::name);
        told.note((database.clone(), name, state, error.source), error);
    }

    /// How many there were, by database, role, SQLSTATE and source.
    pub fn counts(&self) -> Vec<ErrorCount> {
        let told = self.0.lock();
        let of_one = |(database, totals): (&Arc<str>, &Totals)| {
            let count = |(&(state, source, role), &count): (&(ErrorState, ErrorSource, &'static str), &u64)| {
                ErrorCount { database: database.clone(), role, state, source, count }
            };
            totals.counts.iter().map(count).collect::<Vec<_>>()
        };
        told.databases.iter().flat_map(of_one).collect()
    }

    /// By statement, those first of which there were most.
    pub fn rows(&self) -> Vec<ErrorRow> {
        let row = |((database, name, state, source), row): (&Key, &Row)| ErrorRow {
            database: database.clone(),
            state: *state,
            source: *source,
            name: *name,
            description: row.description.clone(),
            count: row.count,
            last: row.last,
            user: row.user.clone(),
            application: row.application.clone(),
        };
        let mut rows: Vec<_> = self.0.lock().rows.iter().map(row).collect();
        let order = |row: &ErrorRow| (std::cmp::Reverse(row.count), row.database.clone(), row.state, row.name);
        rows.sort_by_key(|row| (order(row), row.source));
        rows
    }
}

impl Told {
    /// As which SQLSTATE it is counted.
    fn count(&mut self, database: &Arc<str>, error: &ToldError<'_>) -> ErrorState {
        let totals = self.databases.entry(database.clone()).or_default();
        let mut state = ErrorState::of(error.sqlstate);
        if let ErrorState::Known(code) = state
            && !totals.states.contains(&code)
        {
            if totals.states.len() < STATES_MAX {
                totals.states.insert(code);
            } else {
                state = ErrorState::Other;
            }
        }
        *totals.counts.entry((state, error.source, error.role)).or_default() += 1;
        state
    }

    fn note(&mut self, key: Key, error: &ToldError<'_>) {
        let is_named = matches!(key.1, Some(Name::Fingerprint(_)));
        if is_named && !self.rows.contains_key(&key) {
            if self.named >= ROWS_MAX {
                self.fold();
            }
            self.named += 1;
        }
        let description = error.statement.map(Stat::description).filter(|_| is_named);
        let (last, user, application) = (error.at, error.user.into(), error.application.into());
        let more = |description| Row { description, count: 1, last, user, application };
        match self.rows.entry(key) {
            Entry::Vacant(new) => drop(new.insert(more(description.map(cut).unwrap_or_default()))),
            Entry::Occupied(mut row) => row.get_mut().add(more(Arc::default())),
        }
    }

    /// The part of the rows of which there were least, and of those the oldest, become rows of `other`.
    fn fold(&mut self) {
        let may_go = self.rows.iter().filter(|((_, name, ..), _)| matches!(name, Some(Name::Fingerprint(_))));
        let mut least: Vec<_> = may_go.map(|(key, row)| (row.count, row.last, key.clone())).collect();
        let folded = least.len().div_ceil(FOLDED);
        least.sort_unstable_by_key(|(count, last, _)| (*count, *last));
        for (.., key) in least.into_iter().take(folded) {
            let Some(row) = self.rows.remove(&key) else { continue };
            self.named -= 1;
            let (database, _, state, source) = key;
            match self.rows.entry((database, Some(Name::Other), state, source)) {
                Entry::Vacant(new) => drop(new.insert(Row { description: Arc::default(), ..row })),
                Entry::Occupied(mut other) => other.get_mut().add(row),
            }
        }
    }
}

impl Row {
    /// The last one tells who it was.
    fn add(&mut self, other: Self) {
        self.count += other.count;
        if other.last >= self.last {
            (self.last, self.user, self.application) = (other.last, other.user, other.application);
        }
    }
}

fn cut(description: &Description) -> Arc<Description> {
    let text = &description.text[..description.text.floor_char_boundary(TEXT_MAX)];
    let tables = &description.tables[..description.tables.floor_char_boundary(TEXT_MAX)];
    Arc::new(Description { kind: description.kind, text: text.into(), tables: tables.into() })
}

#[cfg(test)]
mod tests {
    //! Bounds, and that nothing is lost by them.

    use super::*;
    use crate::clock::now;
    use crate::ids::WorkerId;
    use crate::metrics::{Meters, Registry};

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
}
