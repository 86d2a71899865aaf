//! What one worker counts of the errors that its clients are told. It stays on the worker's thread and is the one writer.

use super::{Count, CountKey, ErrorState, Errors, Key, Last, ROWS_MAX, Row, Sheet, ToldError};
use crate::metrics::counter::Counter;
use crate::metrics::statements::{Description, Name, Stat};
use foldhash::HashMap;
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Of what is folded at once, one part in so many.
const FOLDED: usize = 8;

/// Bytes of a normal form that are kept.
const TEXT_MAX: usize = 300;

/// See the top of this file.
pub struct ErrorBook {
    errors: Arc<Errors>,
    sheet: Arc<Sheet>,
    told: RefCell<Told>,
}

#[derive(Default)]
struct Told {
    databases: HashMap<Arc<str>, Totals>,
    rows: HashMap<Key, Arc<Row>>,
    // Those among them that are of one statement.
    named: usize,
}

#[derive(Default)]
struct Totals {
    states: BTreeSet<[u8; 5]>,
    // There are no more than these, at whatever worker.
    all_known: bool,
    counts: HashMap<CountKey, Arc<Count>>,
}

impl ErrorBook {
    pub(super) fn new(errors: Arc<Errors>, sheet: Arc<Sheet>) -> Self {
        Self { errors, sheet, told: RefCell::default() }
    }

    /// A client of this database was told one.
    pub(in crate::metrics) fn note(&self, database: &Arc<str>, error: &ToldError<'_>) {
        let mut told = self.told.borrow_mut();
        let state = self.count(&mut told, database, error);
        let name = error.statement.map(Stat::name);
        self.note_row(&mut told, (database.clone(), name, state, error.source), error);
    }

    /// As which SQLSTATE it is counted.
    fn count(&self, told: &mut Told, database: &Arc<str>, error: &ToldError<'_>) -> ErrorState {
        if !told.databases.contains_key(database) {
            told.databases.insert(database.clone(), Totals::default());
        }
        let Some(totals) = told.databases.get_mut(database) else { return ErrorState::Other };
        let state = self.state(totals, database, ErrorState::of(error.sqlstate));
        let kind = (state, error.source, error.role);
        let count = totals.counts.entry(kind).or_insert_with(|| {
            let count = Arc::new(Count { database: database.clone(), kind, count: Counter::default() });
            self.sheet.counts.lock().push(count.clone());
            count
        });
        count.count.add(1);
        state
    }

    fn state(&self, totals: &mut Totals, database: &Arc<str>, state: ErrorState) -> ErrorState {
        let ErrorState::Known(code) = state else { return state };
        if totals.states.contains(&code) {
            return state;
        }
        if totals.all_known {
            return ErrorState::Other;
        }
        let (state, all) = self.errors.admit(database, code);
        match all {
            None => drop(totals.states.insert(code)),
            Some(all) => (totals.states, totals.all_known) = (all, true),
        }
        state
    }

    fn note_row(&self, told: &mut Told, key: Key, error: &ToldError<'_>) {
        if let Some(row) = told.rows.get(&key) {
            return row.note(error);
        }
        let is_named = is_named(&key);
        if is_named {
            if told.named >= ROWS_MAX {
                self.fold(told);
            }
            told.named += 1;
        }
        let description = error.statement.map(Stat::description).filter(|_| is_named).map(cut).unwrap_or_default();
        let last = Last { at: error.at, user: error.user.into(), application: error.application.into() };
        let row = self.add(told, key, description, last);
        row.count.add(1);
    }

    fn add(&self, told: &mut Told, key: Key, description: Arc<Description>, last: Last) -> Arc<Row> {
        let row = Arc::new(Row { key: key.clone(), description, count: Counter::default(), last: Mutex::new(last) });
        self.sheet.rows.lock().push(row.clone());
        told.rows.insert(key, row.clone());
        row
    }

    /// The part of the rows of which there were least, and of those the oldest, become rows of `other`.
    fn fold(&self, told: &mut Told) {
        let may_go = told.rows.values().filter(|row| is_named(&row.key));
        let mut least: Vec<_> = may_go.map(|row| (row.count.get(), row.last.lock().clone(), row.clone())).collect();
        let folded = least.len().div_ceil(FOLDED);
        least.sort_unstable_by_key(|(count, last, _)| (*count, last.at));
        least.truncate(folded);
        // In front of the lock, which they take.
        let others: Vec<_> = least.iter().map(|(_, last, row)| self.other(told, &row.key, last)).collect();
        let mut listed = self.sheet.rows.lock();
        for ((count, last, row), other) in least.iter().zip(others) {
            told.rows.remove(&row.key);
            told.named -= 1;
            other.count.add(*count);
            let mut known = other.last.lock();
            if last.at >= known.at {
                *known = last.clone();
            }
        }
        listed.retain(|row| told.rows.contains_key(&row.key));
    }

    /// Where what is folded of this key goes.
    fn other(&self, told: &mut Told, key: &Key, last: &Last) -> Arc<Row> {
        let (database, _, state, source) = key.clone();
        let key = (database, Some(Name::Other), state, source);
        let known = told.rows.get(&key).cloned();
        known.unwrap_or_else(|| self.add(told, key, Arc::default(), last.clone()))
    }
}

impl Row {
    /// One more.
    fn note(&self, error: &ToldError<'_>) {
        self.count.add(1);
        let Some(mut last) = self.last.try_lock() else { return };
        last.at = error.at;
        // Mostly it is who it was.
        if *last.user != *error.user {
            last.user = error.user.into();
        }
        if *last.application != *error.application {
            last.application = error.application.into();
        }
    }
}

fn is_named((_, name, ..): &Key) -> bool {
    matches!(name, Some(Name::Fingerprint(_)))
}

fn cut(description: &Description) -> Arc<Description> {
    let text = &description.text[..description.text.floor_char_boundary(TEXT_MAX)];
    let tables = &description.tables[..description.tables.floor_char_boundary(TEXT_MAX)];
    Arc::new(Description { kind: description.kind, text: text.into(), tables: tables.into() })
}
