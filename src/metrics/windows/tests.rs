//! Windows by a clock that is turned by hand.

use super::super::{Call, Meter, Meters, Registry, Stat};
use super::*;
use crate::clock::now;
use crate::ids::WorkerId;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What counters show.
#[derive(Clone, Default)]
struct Shown {
    name: u64,
    calls: u64,
    server_us: u64,
    server: Latency,
    description: Description,
}

impl Reading for Shown {
    fn key(&self) -> Key {
        key(self.name)
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn numbers(&self) -> Numbers {
        Numbers { calls: self.calls, server_us: self.server_us, ..Numbers::default() }
    }

    fn server(&self) -> Latency {
        self.server.clone()
    }
}

impl Shown {
    fn named(name: u64) -> Self {
        Self { name, ..Self::default() }
    }

    fn call(&mut self, took: Duration) {
        self.calls += 1;
        self.server_us += u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.server.observe(took);
    }
}

fn key(name: u64) -> Key {
    Key { database: "shop".into(), name: Name::Fingerprint(name) }
}

fn calls(windows: &Windows, window: Duration, name: u64) -> u64 {
    windows.recent(window).get(&key(name)).map_or(0, |recent| recent.calls)
}

#[test]
fn each_window_holds_what_came_in_it_and_at_most_one_step_more() {
    let start = now();
    let windows = Windows::new(start);
    let mut shown = Shown::named(1);
    // One call in each second of two days, by the clock.
    let mut at = start;
    for _ in 0..2 * 86_400 / 60 {
        // A minute at once: what a tick finds belongs to its own moment.
        for second in 0..if at < start + secs(2 * 86_400 - 120) { 1 } else { 60 } {
            let count = if at < start + secs(2 * 86_400 - 120) { 60 } else { 1 };
            (0..count).for_each(|_| shown.call(Duration::from_millis(20)));
            windows.tick(at + secs(second), std::slice::from_ref(&shown));
        }
        at += secs(60);
    }
    for (window, step) in [(10, 1), (60, 1), (120, 60), (300, 60), (3600, 60), (7200, 3600), (86_400, 3600)] {
        let found = calls(&windows, secs(window), 1);
        assert!((window..=window + step).contains(&found), "{window}: {found}");
    }
    let recent = &windows.recent(secs(300))[&key(1)];
    assert_eq!(recent.server_us, recent.calls * 20_000);
    assert_eq!((recent.timed(), recent.server().count()), (recent.calls, recent.calls));
    let median = recent.server().quantile(0.5).expect("there are some").as_secs_f64();
    assert!((median / 0.020 - 1.0).abs() < 0.0626, "{median}");
}

#[test]
fn what_is_over_is_gone_and_a_pause_of_any_length_harms_nothing() {
    let start = now();
    let windows = Windows::new(start);
    let mut shown = Shown::named(1);
    shown.call(secs(1));
    windows.tick(start, std::slice::from_ref(&shown));
    for (later, minute, hour, day) in [(30, 1, 1, 1), (65, 0, 1, 1), (3_700, 0, 0, 1), (30 * 3600, 0, 0, 0)] {
        windows.tick(start + secs(later), std::slice::from_ref(&shown));
        let found = [60, 3600, 86_400].map(|window| calls(&windows, secs(window), 1));
        assert_eq!(found, [minute, hour, day], "{later}");
    }
    // As if the clock went back: it is no later than it was.
    shown.call(secs(1));
    windows.tick(start, std::slice::from_ref(&shown));
    assert_eq!([60, 3600, 86_400].map(|window| calls(&windows, secs(window), 1)), [1, 1, 1]);
}

#[test]
fn a_time_that_is_counted_a_moment_after_its_call_is_found_at_the_next_tick() {
    let start = now();
    let windows = Windows::new(start);
    let mut shown = Shown::named(1);
    shown.call(secs(1));
    let half = Shown { server: Latency::default(), ..shown.clone() };
    windows.tick(start, &[half]);
    assert_eq!(windows.recent(secs(60))[&key(1)].timed(), 0);
    windows.tick(start + secs(1), &[shown]);
    let recent = &windows.recent(secs(60))[&key(1)];
    assert_eq!((recent.calls, recent.timed()), (1, 1));
}

#[test]
fn the_busiest_keep_their_names_and_nothing_is_lost() {
    let start = now();
    let windows = Windows::new(start);
    let mut all: Vec<_> = (0..3_000).map(Shown::named).collect();
    for (number, shown) in (0u64..).zip(&mut all) {
        shown.call(Duration::from_millis(1 + number));
    }
    windows.tick(start, &all);
    windows.tick(start + secs(61), &all);
    let recent = windows.recent(secs(3600));
    assert_eq!(recent.len(), NAMED + 1);
    assert!(recent.contains_key(&key(2_999)) && !recent.contains_key(&key(0)));
    assert_eq!(recent.values().map(|recent| recent.calls).sum::<u64>(), 3_000);
    assert_eq!(recent.values().map(Recent::timed).sum::<u64>(), 3_000);
    assert_eq!(recent[&Key { database: "shop".into(), name: Name::Other }].calls, 2_500);
}

/// As a worker counts it.
fn count(meter: &Meter, fingerprint: u64, took: Duration) {
    let stat: Arc<Stat> = meter.statement(Name::Fingerprint(fingerprint), Description::default);
    meter.called(&stat, &Call { rows: 1, server: Some(took), ..Call::default() });
}

#[test]
fn what_workers_fold_into_other_has_not_come_just_now() {
    let registry = Arc::new(Registry::new(2, now()));
    registry.limit_statements(40, 64 << 20);
    let meters = [0, 1].map(|worker| Meters::new(&registry, WorkerId(worker)));
    let meters = [0, 1].map(|worker: usize| meters[worker].meter("shop"));
    let start = now();
    let windows = Windows::new(start);
    // Long ago, some by both workers.
    for fingerprint in 0..30 {
        for _ in 0..=fingerprint {
            count(&meters[0], fingerprint, secs(1));
            count(&meters[1], fingerprint / 2, secs(1));
        }
    }
    windows.tick(start, &registry.statements());
    let before: u64 = windows.recent(secs(60)).values().map(|recent| recent.calls).sum();
    assert_eq!(before, 2 * (1..=30).sum::<u64>());
    // Now so many that most are folded, tick by tick.
    let later = start + secs(4_000);
    windows.tick(later, &registry.statements());
    assert!(windows.recent(secs(3600)).is_empty());
    for fingerprint in 1_000..1_500 {
        count(&meters[fingerprint % 2], fingerprint.try_into().unwrap_or(0), Duration::from_millis(1));
        if fingerprint % 50 == 0 {
            windows.tick(later, &registry.statements());
        }
    }
    windows.tick(later + secs(1), &registry.statements());
    let recent = windows.recent(secs(3600));
    assert_eq!(recent.values().map(|recent| recent.calls).sum::<u64>(), 500);
    assert_eq!(recent.values().map(Recent::timed).sum::<u64>(), 500);
    assert_eq!(recent.values().map(|recent| recent.server_us).sum::<u64>(), 500_000);
    assert!(recent.values().all(|recent| recent.server().quantile(1.0) < Some(secs(1))));
}

#[test]
fn memory_is_bounded_whatever_is_counted() {
    let start = now();
    let windows = Windows::new(start);
    let mut all: Vec<_> = (0..600).map(Shown::named).collect();
    for minute in 0..70 {
        // Each time other buckets, so that histograms are as wide as they can be.
        for (number, shown) in (0u32..).zip(&mut all) {
            (0..40).for_each(|step| shown.call(Duration::from_micros(20) * (1 << (step % 26)) * (8 + number % 8) / 8));
        }
        windows.tick(start + secs(60 * minute), &all);
    }
    windows.share(32);
    let mut rings = windows.rings.lock();
    rings.keep_within();
    let bytes: usize = rings.rings.iter().map(Ring::bytes).sum();
    assert!(bytes <= 1 << 20, "{bytes}");
    let steps = rings.rings.iter().map(|ring| ring.steps.len());
    assert!(steps.clone().all(|steps| steps > 0), "the open ones stay");
    drop(rings);
    assert!(calls(&windows, secs(300), 1) > 0);
}

/// Looks at the windows while what its counters show is found out.
struct Looking<'a>(&'a Windows, Shown);

impl Reading for Looking<'_> {
    fn key(&self) -> Key {
        self.1.key()
    }

    fn description(&self) -> &Description {
        self.1.description()
    }

    fn numbers(&self) -> Numbers {
        self.1.numbers()
    }

    fn server(&self) -> Latency {
        assert!(self.0.rings.try_lock().is_some(), "whoever wants to look has to wait for it");
        self.1.server()
    }
}

#[test]
fn nobody_waits_for_what_has_come_to_be_found_out_or_for_what_is_added_up() {
    let start = now();
    let windows = Windows::new(start);
    let mut shown = Shown::named(1);
    shown.call(secs(1));
    windows.tick(start, &[Looking(&windows, shown.clone())]);
    // Somebody adds up the open step: what comes then is not in his.
    let steps = windows.rings.lock().steps(secs(60));
    shown.call(secs(1));
    windows.tick(start, &[Looking(&windows, shown)]);
    assert_eq!(steps.iter().flat_map(|step| step.entries.values()).map(|recent| recent.calls).sum::<u64>(), 1);
    assert_eq!(calls(&windows, secs(60), 1), 2);
}
