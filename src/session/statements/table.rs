//! The statements of a pool's clients: equal ones are one.

use super::{Certain, Statement};
use crate::ids::Numbers;
use crate::session::Settings;
use crate::sql::Readings;
use foldhash::HashMap;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Bytes of statements that are kept although no client has them: the next client will prepare the same ones.
pub(super) const SPARE: usize = 16 * 1024 * 1024;

/// What is charged for a statement beside its text.
const OVERHEAD: usize = 96;

/// Statements by a hash of their bodies; found ones are compared in full.
#[derive(Debug)]
pub struct StatementTable {
    table: HashMap<u64, Vec<Arc<Statement>>>,
    hasher: RandomState,
    bytes: usize,
    max: usize,
    sweep_at: usize,
    numbers: Arc<Numbers>,
    generation: u64,
}

impl StatementTable {
    /// For at most `max` bytes of statements that clients have. They are named by these `numbers`, which all tables share: a client may
    /// take a statement to another pool's servers.
    pub fn new(max: usize, numbers: Arc<Numbers>) -> Self {
        let (table, hasher) = (HashMap::default(), RandomState::default());
        Self { table, hasher, bytes: 0, max, sweep_at: SPARE.min(max), numbers, generation: 0 }
    }

    /// What is charged now.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The statement with this body of Parse (behind the name) and these settings. `None`: clients have too many.
    pub fn share(&mut self, body: &[u8], settings: &Arc<Settings>) -> Option<Arc<Statement>> {
        let hash = self.hasher.hash_one(body);
        let found = self.table.get(&hash).and_then(|same| {
            same.iter().find(|statement| statement.generation == Some(self.generation) && statement.is(body, settings))
        });
        if let Some(found) = found {
            return Some(found.clone());
        }
        self.make_room(body.len() + OVERHEAD)?;
        let readings = Readings::certain(settings.reading());
        let number = self.numbers.next();
        let statement =
            Arc::new(Statement::named(number, Some(self.generation), Some(body), settings, Certain::All, readings));
        self.bytes += cost(&statement);
        self.table.entry(hash).or_default().push(statement.clone());
        Some(statement)
    }

    /// Something has changed that statements were made for: who prepares one from now on gets a new one, as PostgreSQL makes
    /// it. Those that have been prepared go on as they are.
    pub fn renew(&mut self) {
        self.generation += 1;
    }

    /// As [`Self::share`], but nobody else's. `certain`: so many of these settings are in force; it is read by these rules.
    pub fn own(
        &mut self,
        body: &[u8],
        settings: &Arc<Settings>,
        certain: Certain,
        readings: Readings,
    ) -> Arc<Statement> {
        Arc::new(Statement::named(self.numbers.next(), None, Some(body), settings, certain, readings))
    }

    /// One that is its client's alone, whose body was too long to be kept.
    pub fn alone(&mut self, settings: &Arc<Settings>) -> Arc<Statement> {
        let readings = Readings::certain(settings.reading());
        Arc::new(Statement::named(self.numbers.next(), None, None, settings, Certain::Nothing, readings))
    }

    /// Drops what no client has once that may be much. `None`: what clients have is too much.
    fn make_room(&mut self, bytes: usize) -> Option<()> {
        if self.bytes + bytes > self.sweep_at {
            self.table.retain(|_, same| {
                same.retain(|statement| Arc::strong_count(statement) > 1);
                !same.is_empty()
            });
            self.bytes = self.table.values().flatten().map(cost).sum();
            self.sweep_at = (self.bytes * 2).max(SPARE).min(self.max);
        }
        (self.bytes + bytes <= self.max).then_some(())
    }
}

fn cost(statement: &Arc<Statement>) -> usize {
    statement.len() + OVERHEAD
}
