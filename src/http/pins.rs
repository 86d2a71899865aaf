//! Clients that keep a server over transactions: how many, and for how long in all. A pin that goes on is in that time, up to the scrape.
//!
//! A client counts each of its reasons when that set changes or it leaves, and says what goes on from then: first that the old ones do
//! not go on any more, then that they are counted. Here it is the other way round: what is counted is read first. So nothing is found
//! twice; what changes in between is missed once, and the number stays where it was until the next scrape.

use super::family::Families;
use super::{ClientNow, Views};
use crate::clock::Instant;
use crate::metrics::Counts;
use crate::session::Pins;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest times that were told, by database and reason: none ever falls. As many as there are databases with a label of their own
/// and reasons.
#[derive(Default)]
pub(super) struct Pinned(BTreeMap<(String, &'static str), Duration>);

/// Adds its families. `counts` were read before `present`, which are all clients.
pub(super) fn pins(
    out: &mut Families,
    views: &Views,
    pinned: &mut Pinned,
    (counts, present, now): (&[(String, Counts)], &[ClientNow], Instant),
) {
    let mut counted: BTreeMap<(&str, &'static str), usize> = BTreeMap::new();
    let mut times: BTreeMap<(&str, &'static str), Duration> = BTreeMap::new();
    for (database, counts) in counts {
        for (bit, us) in counts.pinned_us.iter().enumerate().filter(|(_, us)| **us > 0) {
            for reason in Pins::from_bits(1 << bit).words() {
                *times.entry((database, reason)).or_default() += Duration::from_micros(*us);
            }
        }
    }
    for client in present {
        let Some((why, since)) = client.pin else { continue };
        let database = views.metrics.label(&client.pool.database);
        for reason in why.words() {
            *counted.entry((database, reason)).or_default() += 1;
            *times.entry((database, reason)).or_default() += now.saturating_duration_since(since);
        }
    }
    // A client that is kept for several reasons counts for each of them.
    let mut family =
        out.gauge("pgotter_session_pins", "Clients that keep a server of their own over transactions, by why.");
    for ((database, reason), count) in &counted {
        family.count(&[("database", database), ("reason", reason)], *count);
    }
    drop(family);
    let mut family = out.counter(
        "pgotter_session_pin_seconds_total",
        "How long clients have kept a server of their own over transactions, by why; those that do now included.",
    );
    for ((database, reason), time) in pinned.raise(&times) {
        family.value(&[("database", database), ("reason", reason)], time.as_secs_f64());
    }
}

impl Pinned {
    /// Takes these over where they are longer; everything that was ever told.
    fn raise(
        &mut self,
        times: &BTreeMap<(&str, &'static str), Duration>,
    ) -> impl Iterator<Item = ((&str, &str), Duration)> {
        for ((database, reason), time) in times {
            let told = self.0.entry(((*database).to_owned(), reason)).or_default();
            *told = (*told).max(*time);
        }
        self.0.iter().map(|((database, reason), time)| ((database.as_str(), *reason), *time))
    }
}

#[cfg(test)]
mod tests {
    //! What is told never falls.
    use super::*;

    #[test]
    fn a_time_that_is_missed_once_is_told_as_it_was_before() {
        let mut pinned = Pinned::default();
        let mut told = |seconds: &[(&'static str, u64)]| {
            let times = seconds.iter().map(|(reason, seconds)| (("shop", *reason), Duration::from_secs(*seconds)));
            let times = times.collect();
            pinned.raise(&times).map(|((_, reason), time)| (reason.to_owned(), time.as_secs())).collect::<Vec<_>>()
        };
        let expected = |seconds: &[(&str, u64)]| {
            seconds.iter().map(|(reason, seconds)| ((*reason).to_owned(), *seconds)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[("temp", 5)]), expected(&[("temp", 5)]));
        assert_eq!(told(&[("lock", 1)]), expected(&[("lock", 1), ("temp", 5)]), "it went on until it ended");
        assert_eq!(told(&[("lock", 1), ("temp", 6)]), expected(&[("lock", 1), ("temp", 6)]));
        assert_eq!(told(&[("lock", 0), ("temp", 5)]), expected(&[("lock", 1), ("temp", 6)]));
    }
}
