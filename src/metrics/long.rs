//! Single statements that took longer than somebody wants to hear of. A histogram's bucket is too wide for that: each is noted.

use super::statements::{Description, Name, Stat};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Statements that are noted by themselves until somebody takes them; of further ones it is only counted that there were some.
const NOTED: usize = 10_000;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongCall {
    /// As it is counted under.
    pub database: Arc<str>,
    /// Within it.
    pub name: Name,
    /// What there is to say of it.
    pub description: Description,
    /// What its client called itself.
    pub application: Box<str>,
    /// From its arrival until its client had all of the answer.
    pub took: Duration,
}

/// What workers note, for one reader.
#[derive(Default)]
pub struct Long {
    // Nanoseconds, less one: 0, as at the start, is that nobody wants to hear of any.
    over: AtomicU64,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    calls: Vec<LongCall>,
    more: BTreeMap<Arc<str>, u64>,
}

impl Long {
    /// From now on those are noted that take longer than this; `None`: none.
    pub fn set_over(&self, over: Option<Duration>) {
        let over = over.map_or(0, |over| nanos(over).saturating_add(1));
        self.over.store(over, Ordering::Relaxed);
    }

    /// All that were noted since the last time, in their order, and how many more there were of which databases.
    pub fn take(&self) -> (Vec<LongCall>, BTreeMap<Arc<str>, u64>) {
        let noted = std::mem::take(&mut *self.noted.lock());
        (noted.calls, noted.more)
    }

    /// Whether it is to be noted. One load.
    pub(super) fn is_long(&self, took: Duration) -> bool {
        // Without any, 0 less one is more than anything takes.
        nanos(took) > self.over.load(Ordering::Relaxed).wrapping_sub(1)
    }

    /// Notes it. Takes a lock, which is rare.
    #[cold]
    pub(super) fn note(&self, stat: &Stat, took: Duration, application: &str) {
        let (database, name, description) = stat.about();
        let mut noted = self.noted.lock();
        if noted.calls.len() < NOTED {
            let (database, description) = (database.clone(), description.clone());
            noted.calls.push(LongCall { database, name, description, application: application.into(), took });
        } else {
            // As many as there are labels.
            *noted.more.entry(database.clone()).or_default() += 1;
        }
    }
}

/// Up to 584 years.
fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos().into())
}

#[cfg(test)]
mod tests {
    //! Which ones are noted.

    use super::*;
    use crate::clock::now;
    use crate::ids::WorkerId;
    use crate::metrics::{Meters, Registry};

    #[test]
    fn what_takes_longer_is_noted_to_the_nanosecond_and_nothing_is_where_nobody_asks() {
        let registry = Arc::new(Registry::new(1, now()));
        let meter = Meters::new(&registry, WorkerId(0)).meter("shop");
        let stat = meter.statement(Name::Fingerprint(7), || Description { kind: "read", ..Description::default() });
        let deliver = |took| {
            if meter.delivered(&stat, took, false) {
                meter.took_long(&stat, took, "till");
            }
        };
        let (over, tick) = (Duration::from_secs(5), Duration::from_nanos(1));
        deliver(Duration::MAX);
        assert_eq!(registry.long.take(), (Vec::new(), BTreeMap::new()));
        registry.long.set_over(Some(over));
        [over - tick, over, over + tick, over * 2].into_iter().for_each(deliver);
        let (calls, more) = registry.long.take();
        let took: Vec<_> = calls.iter().map(|call| (call.took, &*call.application)).collect();
        assert_eq!((took, more), (vec![(over + tick, "till"), (over * 2, "till")], BTreeMap::new()));
        assert_eq!(
            (&*calls[0].database, calls[0].name, calls[0].description.kind),
            ("shop", Name::Fingerprint(7), "read")
        );
        assert_eq!(registry.long.take(), (Vec::new(), BTreeMap::new()));
        (0..NOTED + 3).for_each(|_| deliver(over * 2));
        let (calls, more) = registry.long.take();
        assert_eq!((calls.len(), more), (NOTED, BTreeMap::from([("shop".into(), 3)])));
        registry.long.set_over(None);
        deliver(over * 2);
        assert_eq!(registry.long.take(), (Vec::new(), BTreeMap::new()));
    }
}
