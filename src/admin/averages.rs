//! The averages of SHOW STATS: over the last whole period and what has passed of the one that goes on. Pure.
//!
//! Source: PgBouncer, `src/stats.c`.

use crate::clock::Instant;
use crate::metrics::Totals;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many numbers there are for each database.
pub const NUMBERS: usize = 12;

/// Totals in PgBouncer's order.
pub type Numbers = [u64; NUMBERS];

/// At these places times are added up, each to be shared out by the count at the second place. Everything else is
/// counted, and shared out by seconds.
const TIMES: [(usize, usize); 3] = [(5, 1), (6, 2), (7, 0)];

/// What the totals were when the last two periods began.
pub struct Averages(Mutex<Periods>);

struct Periods {
    last: Period,
    running: Period,
}

#[derive(Clone)]
struct Period {
    began: Instant,
    totals: BTreeMap<String, Numbers>,
}

impl Averages {
    /// The first period begins. As with PgBouncer there was one of a second before.
    pub fn new(now: Instant) -> Self {
        let before = now.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        let period = |began| Period { began, totals: BTreeMap::new() };
        Self(Mutex::new(Periods { last: period(before), running: period(now) }))
    }

    /// A period ends, and another begins.
    pub fn close_period(&self, now: Instant, totals: Vec<(String, Totals)>) {
        let totals = totals.into_iter().map(|(name, totals)| (name, numbers(&totals))).collect();
        let periods = &mut *self.0.lock();
        periods.last = std::mem::replace(&mut periods.running, Period { began: now, totals });
    }

    /// For totals of some databases: the sum, and the averages of it.
    pub fn of<'a>(&self, now: Instant, databases: impl Iterator<Item = (&'a str, &'a Totals)>) -> (Numbers, Numbers) {
        let Periods { last, .. } = &*self.0.lock();
        let (mut total, mut grown) = ([0; NUMBERS], [0; NUMBERS]);
        for (name, totals) in databases {
            let before = last.totals.get(name).copied().unwrap_or_default();
            for (place, number) in numbers(totals).into_iter().enumerate() {
                total[place] += number;
                // A database that was forgotten and came again begins at 0.
                grown[place] += number.saturating_sub(before[place]);
            }
        }
        (total, averages(grown, now.saturating_duration_since(last.began)))
    }
}

fn averages(grown: Numbers, time: Duration) -> Numbers {
    let mut averages = [0; NUMBERS];
    for (place, average) in averages.iter_mut().enumerate() {
        *average = match TIMES.iter().find(|(time, _)| *time == place) {
            Some((_, count)) => grown[place].checked_div(grown[*count]).unwrap_or(0),
            None => {
                let per_second = u128::from(grown[place]) * 1_000_000 / time.as_micros().max(1);
                u64::try_from(per_second).unwrap_or(u64::MAX)
            }
        };
    }
    averages
}

fn numbers(totals: &Totals) -> Numbers {
    [
        totals.server_assignment_count,
        totals.xact_count,
        totals.query_count,
        totals.bytes_received,
        totals.bytes_sent,
        totals.xact_time_us,
        totals.query_time_us,
        totals.wait_time_us,
        totals.client_parse_count,
        totals.server_parse_count,
        totals.bind_count,
        totals.client_login_count,
    ]
}

#[cfg(test)]
mod tests {
    //! Over which time, and by what.
    use super::*;

    fn totals(queries: u64, time: u64) -> Totals {
        Totals { query_count: queries, query_time_us: time, bytes_sent: 10 * queries, ..Totals::default() }
    }

    #[test]
    fn averages_are_over_the_last_whole_period_and_the_one_that_goes_on() {
        let start = crate::clock::now();
        let second = Duration::from_secs(1);
        let averages = Averages::new(start);
        let at = |now, queries, time| {
            let totals = totals(queries, time);
            let (total, averages) = averages.of(now, [("shop", &totals)].into_iter());
            assert_eq!(total[2], queries);
            (averages[2], averages[4], averages[6])
        };
        assert_eq!(at(start + 9 * second, 50, 100), (5, 50, 2), "since a second before the start");
        averages.close_period(start + 10 * second, vec![("shop".to_owned(), totals(100, 200))]);
        assert_eq!(at(start + 20 * second, 300, 400), (15, 150, 1), "since the start");
        averages.close_period(start + 20 * second, vec![("shop".to_owned(), totals(300, 400))]);
        assert_eq!(at(start + 30 * second, 300, 400), (10, 100, 1), "since the end of the first");
        averages.close_period(start + 30 * second, vec![("shop".to_owned(), totals(300, 400))]);
        assert_eq!(at(start + 40 * second, 300, 400), (0, 0, 0), "nothing has happened since");
    }

    #[test]
    fn several_databases_are_added_up() {
        let start = crate::clock::now();
        let averages = Averages::new(start);
        let (one, other) = (totals(3, 30), totals(5, 10));
        let (total, averages) = averages.of(start + Duration::from_secs(1), [("a", &one), ("b", &other)].into_iter());
        assert_eq!((total[2], total[6], averages[2], averages[6]), (8, 40, 4, 5));
    }
}
