//! What is counted for each application, by the name that a client gives itself: who keeps servers busy, and who keeps them waiting.
//!
//! A client looks its [`Application`] up when it comes and when it changes its name, and counts there with plain stores. Each worker has
//! a [`Roll`] of its own, whose lock it takes only for such a look; readers take it too. When there are too many names, those that no
//! client has any more are folded into their database's `other`; what was counted stays counted. Knows no SQL and no protocol.
//!
//! Users are counted in the same way, in rolls of their own, as far as who keeps transactions open is concerned.

use super::counter::Counter;
use super::registry::OTHER;
use foldhash::HashMap;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Names that one worker keeps apart, those of all databases together.
const NAMES_MAX: usize = 500;

/// Names that are exported, of all databases together; the rest is `other`.
pub const EXPORTED: usize = 50;

/// What one worker has counted for one application, or one user, of one database. There is one writer.
#[derive(Debug, Default)]
pub struct Application {
    queries: Counter,
    errors: Counter,
    server_us: Counter,
    idle: Counter,
    idle_us: Counter,
    // It is exported by its name, which stays so.
    kept: AtomicBool,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplicationNumbers {
    /// Queries, function calls and executions.
    pub queries: u64,
    /// Errors that its clients were told.
    pub errors: u64,
    /// How long servers were busy with it.
    pub server_us: u64,
    /// Transactions that have waited for their client.
    pub idle: u64,
    /// How long they did.
    pub idle_us: u64,
}

/// One application, or one user, of one database, by all workers together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationRow {
    /// As it is counted under.
    pub database: Arc<str>,
    /// As its clients call it; empty: nothing.
    pub name: Arc<str>,
    /// What was counted.
    pub numbers: ApplicationNumbers,
}

/// The applications that one worker has met.
#[derive(Default)]
pub(super) struct Roll(Mutex<HashMap<Key, Arc<Application>>>);

/// Database and name.
type Key = (Arc<str>, Arc<str>);

impl Application {
    /// So many queries of it have been answered, and a server was busy with them for so long.
    pub(super) fn answered(&self, queries: u32, server_us: u64) {
        self.queries.add(queries.into());
        self.server_us.add(server_us);
    }

    /// A client of it was told an error.
    pub(super) fn erred(&self) {
        self.errors.add(1);
    }

    /// A transaction of it is over that has waited for its client.
    pub(super) fn idled(&self, idle_us: u64) {
        self.idle.add(1);
        self.idle_us.add(idle_us);
    }

    fn numbers(&self) -> ApplicationNumbers {
        ApplicationNumbers {
            queries: self.queries.get(),
            errors: self.errors.get(),
            server_us: self.server_us.get(),
            idle: self.idle.get(),
            idle_us: self.idle_us.get(),
        }
    }

    /// Only while nobody else counts here.
    fn take_over(&self, numbers: &ApplicationNumbers) {
        self.queries.add(numbers.queries);
        self.errors.add(numbers.errors);
        self.server_us.add(numbers.server_us);
        self.idle.add(numbers.idle);
        self.idle_us.add(numbers.idle_us);
    }
}

impl ApplicationNumbers {
    fn add(&mut self, other: &Self) {
        self.queries += other.queries;
        self.errors += other.errors;
        self.server_us += other.server_us;
        self.idle += other.idle;
        self.idle_us += other.idle_us;
    }

    /// By which those are chosen that have a name. No server is counted for users.
    fn weight(&self) -> (u64, u64) {
        (self.server_us, self.idle_us)
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            queries: self.queries.saturating_sub(before.queries),
            errors: self.errors.saturating_sub(before.errors),
            server_us: self.server_us.saturating_sub(before.server_us),
            idle: self.idle.saturating_sub(before.idle),
            idle_us: self.idle_us.saturating_sub(before.idle_us),
        }
    }
}

impl Roll {
    /// Where its worker counts for this application.
    pub fn application(&self, database: &Arc<str>, name: &str) -> Arc<Application> {
        let mut known = self.0.lock();
        let key = (database.clone(), name.into());
        if let Some(application) = known.get(&key) {
            return application.clone();
        }
        if known.len() >= NAMES_MAX {
            fold(&mut known);
        }
        // What calls itself so is counted there as well.
        let key = if known.len() >= NAMES_MAX { (key.0, OTHER.into()) } else { key };
        known.entry(key).or_default().clone()
    }

    /// What it holds.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        let known = self.0.lock();
        // Behind an Arc stand two counts; the table has a byte beside each place.
        let counts = 2 * size_of::<usize>();
        let names = known.keys().map(|(_, name)| name.len() + counts).sum::<usize>();
        let places = known.capacity() * 8 / 7 * (size_of::<(Key, Arc<Application>)>() + 1);
        names + places + known.len() * (size_of::<Application>() + counts)
    }

    /// What there is; those that are to be kept are not folded from then on.
    fn read(&self, keep: &dyn Fn(&Key) -> bool, sums: &mut BTreeMap<Key, ApplicationNumbers>) {
        for (key, application) in self.0.lock().iter() {
            if keep(key) {
                application.kept.store(true, Ordering::Relaxed);
            }
            sums.entry(key.clone()).or_default().add(&application.numbers());
        }
    }
}

/// Those that no client counts in, and that are not exported, are counted as `other` from now on.
fn fold(known: &mut HashMap<Key, Arc<Application>>) {
    let goes = |(_, name): &Key, application: &mut Arc<Application>| {
        // Nobody but this list has it, and whoever could get it waits for the lock.
        **name != *OTHER && Arc::strong_count(application) == 1 && !application.kept.load(Ordering::Relaxed)
    };
    let gone: Vec<_> = known.extract_if(goes).collect();
    for ((database, _), application) in gone {
        known.entry((database, OTHER.into())).or_default().take_over(&application.numbers());
    }
}

/// What all of these have counted, those first that servers were busy with for longest; of users, who have kept transactions open for longest.
pub(super) fn applications(rolls: &[Arc<Roll>]) -> Vec<ApplicationRow> {
    let mut rows: Vec<_> = sums(rolls, &|_| false).into_iter().map(row).collect();
    rows.sort_by_key(|row| (Reverse(row.numbers.weight()), row.database.clone(), row.name.clone()));
    rows
}

fn sums(rolls: &[Arc<Roll>], keep: &dyn Fn(&Key) -> bool) -> BTreeMap<Key, ApplicationNumbers> {
    let mut sums = BTreeMap::new();
    rolls.iter().for_each(|roll| roll.read(keep, &mut sums));
    sums
}

fn row(((database, name), numbers): (Key, ApplicationNumbers)) -> ApplicationRow {
    ApplicationRow { database, name, numbers }
}

/// Which ones are exported by their names. A name that was exported once is exported for ever; what it had in `other` before that stays
/// there, so that no series ever goes down.
#[derive(Default)]
pub(super) struct Exported(Mutex<Chosen>);

#[derive(Default)]
struct Chosen {
    // With what of each stays in `other`.
    names: BTreeMap<Key, ApplicationNumbers>,
    // Some were in `other` when it was last looked.
    hidden: bool,
}

impl Exported {
    /// At most [`EXPORTED`] by name, and for each database `other`; all of them add up.
    pub fn rows(&self, rolls: &[Arc<Roll>]) -> Vec<ApplicationRow> {
        let mut chosen = self.0.lock();
        let mut seen = sums(rolls, &|key| chosen.names.contains_key(key));
        let new = chosen.choose(&seen);
        if !new.is_empty() {
            // Some may have been folded meanwhile. From now on they are not.
            seen = sums(rolls, &|key| chosen.names.contains_key(key));
        }
        if chosen.hidden {
            for key in new {
                let before = seen.get(&key).copied().unwrap_or_default();
                chosen.names.insert(key, before);
            }
        }
        chosen.hidden = seen.iter().any(|of| chosen.is_new(&of));
        chosen.share_out(seen)
    }
}

impl Chosen {
    /// Whether something is counted for it that is not shown by its name. Who has not done anything yet needs no room.
    fn is_new(&self, (key, numbers): &(&Key, &ApplicationNumbers)) -> bool {
        *key.1 != *OTHER && **numbers != ApplicationNumbers::default() && !self.names.contains_key(*key)
    }

    /// Fills up what there is room for. Says with which ones.
    fn choose(&mut self, seen: &BTreeMap<Key, ApplicationNumbers>) -> Vec<Key> {
        let mut new: Vec<_> = seen.iter().filter(|of| self.is_new(of)).collect();
        new.sort_by_key(|(key, numbers)| (Reverse(numbers.weight()), *key));
        let room = EXPORTED.saturating_sub(self.names.len());
        let new: Vec<Key> = new.into_iter().take(room).map(|(key, _)| key.clone()).collect();
        self.names.extend(new.iter().map(|key| (key.clone(), ApplicationNumbers::default())));
        new
    }

    fn share_out(&self, seen: BTreeMap<Key, ApplicationNumbers>) -> Vec<ApplicationRow> {
        let (mut rows, mut others) = (Vec::new(), BTreeMap::<Arc<str>, ApplicationNumbers>::new());
        for (key, numbers) in seen {
            match self.names.get(&key) {
                None => others.entry(key.0).or_default().add(&numbers),
                Some(before) => {
                    if *before != ApplicationNumbers::default() {
                        others.entry(key.0.clone()).or_default().add(before);
                    }
                    rows.push(row((key, numbers.since(before))));
                }
            }
        }
        rows.extend(others.into_iter().map(|(database, numbers)| row(((database, OTHER.into()), numbers))));
        rows
    }
}

#[cfg(test)]
mod tests {
    //! Bounds, and that nothing is lost by them.

    use super::*;
    use crate::clock::now;
    use crate::ids::WorkerId;
    use crate::metrics::{Meter, Meters, Registry};
    use std::time::Duration;

    fn meter(registry: &Arc<Registry>, worker: u16) -> Meter {
        Meters::new(registry, WorkerId(worker)).meter("shop")
    }

    fn answer(meter: &Meter, application: &Application, server: Duration) {
        meter.answered(application, 0, 1, server);
    }

    fn queries(rows: &[ApplicationRow]) -> u64 {
        rows.iter().map(|row| row.numbers.queries).sum()
    }

    #[test]
    fn ten_thousand_names_make_no_more_series_than_there_may_be_and_all_add_up() {
        let registry = Arc::new(Registry::new(2, now()));
        let meters = [meter(&registry, 0), meter(&registry, 1)];
        let busy = meters.each_ref().map(|meter| meter.application("busy"));
        let mut sum = 0;
        for number in 0..10_000 {
            for (meter, busy) in meters.iter().zip(&busy) {
                answer(meter, &meter.application(&format!("name {number}")), Duration::from_millis(1));
                answer(meter, busy, Duration::from_millis(2));
                sum += 2;
            }
            if number % 1_000 == 500 {
                let rows = registry.exported_applications();
                assert!(rows.len() <= EXPORTED + 1, "{}", rows.len());
                assert_eq!(queries(&rows), sum);
            }
        }
        let all = registry.applications();
        assert!(all.len() <= 2 * NAMES_MAX, "{}", all.len());
        assert_eq!(queries(&all), sum);
        let of_busy = ApplicationNumbers { queries: 20_000, server_us: 40_000_000, ..ApplicationNumbers::default() };
        assert_eq!((&*all[0].name, all[0].numbers), ("busy", of_busy));
        let exported = registry.exported_applications();
        let named = exported.iter().find(|row| &*row.name == "busy").map(|row| row.numbers);
        assert_eq!((named, queries(&exported)), (Some(of_busy), sum));
    }

    #[test]
    fn no_series_goes_down_when_a_name_gets_one_of_its_own_and_who_is_called_other_makes_no_second_one() {
        let registry = Arc::new(Registry::new(1, now()));
        let meter = meter(&registry, 0);
        let ms = Duration::from_millis;
        let first: Vec<_> = (0..EXPORTED - 1).map(|number| meter.application(&format!("first {number}"))).collect();
        first.iter().for_each(|application| answer(&meter, application, ms(5)));
        let named_other = meter.application("other");
        answer(&meter, &named_other, ms(1));
        let find = |rows: &[ApplicationRow], name: &str| {
            let of_it: Vec<_> = rows.iter().filter(|row| &*row.name == name).collect();
            assert!(of_it.len() <= 1, "{rows:?}");
            of_it.first().map(|row| row.numbers.queries)
        };
        assert_eq!(find(&registry.exported_applications(), "other"), Some(1));
        // One gets the last place, the other is counted with the rest.
        let (one, two) = (meter.application("one"), meter.application("two"));
        answer(&meter, &one, ms(9));
        answer(&meter, &two, ms(3));
        for _ in 0..2 {
            let rows = registry.exported_applications();
            assert_eq!((find(&rows, "one"), find(&rows, "two"), find(&rows, "other")), (Some(1), None, Some(2)));
        }
    }

    #[test]
    fn a_name_that_clients_have_is_not_folded_under_them() {
        let registry = Arc::new(Registry::new(1, now()));
        let meter = meter(&registry, 0);
        let held: Vec<_> = (0..NAMES_MAX + 10).map(|number| meter.application(&format!("held {number}"))).collect();
        held.iter().for_each(|application| answer(&meter, application, Duration::from_millis(1)));
        let rows = registry.applications();
        assert_eq!(queries(&rows), (NAMES_MAX + 10) as u64);
        assert_eq!(rows.iter().filter(|row| row.numbers.queries == 1).count(), NAMES_MAX);
        drop(held);
        let fresh = meter.application("fresh");
        answer(&meter, &fresh, Duration::from_millis(1));
        let rows = registry.applications();
        let numbers: Vec<_> = rows.iter().map(|row| (&*row.name, row.numbers.queries)).collect();
        assert_eq!(numbers, [("other", (NAMES_MAX + 10) as u64), ("fresh", 1)]);
    }

    #[test]
    fn who_has_done_nothing_yet_takes_nobodys_room() {
        let registry = Arc::new(Registry::new(1, now()));
        let meter = meter(&registry, 0);
        let users: Vec<_> = (0..100).map(|number| meter.user(&format!("user {number:03}"))).collect();
        assert!(registry.exported_users().iter().all(|row| row.numbers == ApplicationNumbers::default()));
        meter.idled((&meter.application("psql"), &users[99]), Duration::from_micros(7), false);
        let exported = registry.exported_users();
        assert!(exported.iter().any(|row| &*row.name == "user 099" && row.numbers.idle_us == 7), "{exported:?}");
    }

    #[test]
    fn who_keeps_transactions_open_is_counted_by_user_beside_applications_and_bounded() {
        let registry = Arc::new(Registry::new(1, now()));
        let meter = meter(&registry, 0);
        let application = meter.application("psql");
        let long = meter.user("long");
        for number in 0..2_000 {
            meter.idled((&application, &meter.user(&format!("user {number}"))), Duration::from_micros(1), false);
            meter.idled((&application, &long), Duration::from_micros(5), false);
        }
        let rows = registry.users();
        assert!(rows.len() <= NAMES_MAX + 1, "{}", rows.len());
        assert_eq!((&*rows[0].name, rows[0].numbers.idle, rows[0].numbers.idle_us), ("long", 2_000, 10_000));
        let exported = registry.exported_users();
        assert!(exported.len() <= EXPORTED + 1, "{}", exported.len());
        for rows in [&rows, &exported, &registry.applications()] {
            assert_eq!(rows.iter().map(|row| row.numbers.idle_us).sum::<u64>(), 12_000);
        }
        assert!(exported.iter().any(|row| &*row.name == "long" && row.numbers.idle_us == 10_000), "{exported:?}");
    }

    #[test]
    fn ten_thousand_users_take_no_more_memory_than_there_are_names() {
        let registry = Arc::new(Registry::new(1, now()));
        let meter = meter(&registry, 0);
        let application = meter.application("psql");
        // As long as PostgreSQL has them, and all of them are there at once.
        let name = |number: usize| format!("{number:063}");
        let users: Vec<_> = (0..10_000).map(|number| meter.user(&name(number))).collect();
        for user in &users {
            meter.idled((&application, user), Duration::from_micros(1), false);
        }
        let counted_apart: std::collections::HashSet<_> = users.iter().map(Arc::as_ptr).collect();
        assert!(counted_apart.len() <= NAMES_MAX + 1, "{}", counted_apart.len());
        let (_, roll) = registry.rolls(WorkerId(0));
        let at_once = roll.bytes();
        drop(users);
        (10_000..20_000).for_each(|number| drop(meter.user(&name(number))));
        let in_turn = roll.bytes();
        println!("{at_once} bytes for 10,000 users at once, {in_turn} when as many others have come and gone");
        assert!(at_once.max(in_turn) <= 256 * 1024, "{at_once} {in_turn}");
        assert_eq!(registry.users().iter().map(|row| row.numbers.idle_us).sum::<u64>(), 10_000);
    }
}
