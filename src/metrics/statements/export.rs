//! Which statements are exported by their names. A name that was exported once is exported for ever, and `other` holds everything
//! else: what a statement had there before it got a name of its own stays there, so that no series ever goes down.

use super::{Name, Numbers, Seen};
use foldhash::HashMap;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Those that have a name.
#[derive(Default)]
pub struct Exported(Mutex<Chosen>);

#[derive(Default)]
struct Chosen {
    // In which databases, with what of each stays in `other`. Asked of each statement that there is.
    names: HashMap<Name, Vec<(Arc<str>, Numbers)>>,
    // Some were in `other` when it was last looked.
    hidden: bool,
}

/// What is exported under one name.
pub struct Series {
    /// As it is counted under.
    pub database: Arc<str>,
    /// Within it.
    pub name: Name,
    /// What was counted.
    pub numbers: Numbers,
    /// Where it is one statement.
    pub seen: Option<Seen>,
}

/// Sees all that there is, and is told which of them have to stay what they are.
pub(in crate::metrics) type See<'a> = &'a dyn Fn(&dyn Fn(&str, Name) -> bool) -> Vec<Seen>;

impl Exported {
    /// All that was counted: `max` fingerprints by their names, those that servers have been busy with for longest when there was room
    /// for them, and for each database `unparsed`, `pipeline` and `other`.
    pub(in crate::metrics) fn series(&self, max: usize, see: See<'_>) -> Vec<Series> {
        let mut chosen = self.0.lock();
        let mut seen = see(&|database, name| chosen.has(database, name));
        let new = chosen.choose(max, &seen);
        if !new.is_empty() {
            // Some may have been folded meanwhile. From now on they are not.
            seen = see(&|database, name| chosen.has(database, name));
        }
        if chosen.hidden {
            for one in seen.iter().filter(|one| new.contains(&(one.database.clone(), one.name))) {
                if let Some(before) = chosen.before(&one.database, one.name) {
                    *before = one.numbers;
                }
            }
        }
        chosen.hidden = seen.iter().any(|one| !chosen.is_shown(one));
        chosen.share_out(seen)
    }
}

impl Chosen {
    fn has(&self, database: &str, name: Name) -> bool {
        self.names.get(&name).is_some_and(|all| all.iter().any(|(label, _)| **label == *database))
    }

    /// What of it stays in `other`, if it has a name.
    fn before(&mut self, database: &str, name: Name) -> Option<&mut Numbers> {
        self.names.get_mut(&name)?.iter_mut().find(|(label, _)| **label == *database).map(|(_, before)| before)
    }

    fn is_shown(&self, one: &Seen) -> bool {
        matches!(one.name, Name::Unparsed | Name::Pipeline) || self.has(&one.database, one.name)
    }

    /// Fills up what there is room for. Says with which ones.
    fn choose(&mut self, max: usize, seen: &[Seen]) -> Vec<(Arc<str>, Name)> {
        let room = max.saturating_sub(self.names.values().map(Vec::len).sum());
        if room == 0 {
            return Vec::new();
        }
        let is_new = |one: &&Seen| matches!(one.name, Name::Fingerprint(_)) && !self.is_shown(one);
        let mut new: Vec<_> = seen.iter().filter(is_new).collect();
        new.sort_by_key(|one| (Reverse(one.numbers.server_us), one.name));
        let new: Vec<_> = new.into_iter().take(room).map(|one| (one.database.clone(), one.name)).collect();
        for (database, name) in &new {
            self.names.entry(*name).or_default().push((database.clone(), Numbers::default()));
        }
        new
    }

    fn share_out(&mut self, seen: Vec<Seen>) -> Vec<Series> {
        let (mut series, mut others) = (Vec::new(), BTreeMap::<Arc<str>, Numbers>::new());
        for one in seen {
            if !self.is_shown(&one) {
                others.entry(one.database).or_default().add(&one.numbers);
                continue;
            }
            let before = self.before(&one.database, one.name).copied().unwrap_or_default();
            if before != Numbers::default() {
                others.entry(one.database.clone()).or_default().add(&before);
            }
            let (database, name, numbers) = (one.database.clone(), one.name, one.numbers.since(&before));
            series.push(Series { database, name, numbers, seen: Some(one) });
        }
        let other = |(database, numbers)| Series { database, name: Name::Other, numbers, seen: None };
        series.extend(others.into_iter().map(other));
        series.sort_by(|one, other| (&one.database, one.name).cmp(&(&other.database, other.name)));
        series
    }
}
