//! What fires, and what ends it, by a clock that is turned by hand.

use super::*;
use crate::alerts::{PoolLook, ReplicaLook, Stamp};
use crate::clock::now;
use crate::config::{Match, Scope};
use crate::metrics::{Description, Latency, LongCall, Name, Numbers, Reading};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn alert(name: &str, condition: Condition) -> Arc<Alert> {
    Arc::new(Alert {
        name: name.to_owned(),
        condition,
        window: secs(60),
        min_calls: 20,
        clear: 0.8,
        clear_for: secs(10),
        scope: Scope::Fingerprint,
        matches: Match::default(),
    })
}

fn changed(alert: Arc<Alert>, change: impl FnOnce(&mut Alert)) -> Arc<Alert> {
    let mut alert = (*alert).clone();
    change(&mut alert);
    Arc::new(alert)
}

/// The counters of one statement.
#[derive(Clone)]
struct Shown {
    name: u64,
    description: Description,
    numbers: Numbers,
    server: Latency,
}

impl Reading for Shown {
    fn key(&self) -> Key {
        Key { database: "shop".into(), name: Name::Fingerprint(self.name) }
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn numbers(&self) -> Numbers {
        self.numbers
    }

    fn server(&self) -> Latency {
        self.server.clone()
    }
}

/// Alerts, and what they look at.
struct World {
    alerts: Alerts,
    windows: Windows,
    now: Instant,
    shown: BTreeMap<u64, Shown>,
    look: Look,
}

impl World {
    fn new(alerts: &[Arc<Alert>]) -> Self {
        let now = now();
        let mut world = Self {
            alerts: Alerts::default(),
            windows: Windows::new(now),
            now,
            shown: BTreeMap::new(),
            look: Look::default(),
        };
        assert_eq!(world.alerts.define(now, alerts), []);
        world
    }

    fn describe(&mut self, name: u64, kind: &'static str, tables: &str) {
        self.shown(name).description = Description { kind, text: "select ?".into(), tables: tables.into() };
    }

    fn shown(&mut self, name: u64) -> &mut Shown {
        self.shown.entry(name).or_insert_with(|| Shown {
            name,
            description: Description::default(),
            numbers: Numbers::default(),
            server: Latency::default(),
        })
    }

    fn call(&mut self, name: u64, count: u64, took: Duration, failed: u64) {
        let shown = self.shown(name);
        shown.numbers.calls += count;
        shown.numbers.errors += failed;
        shown.numbers.server_us += count * u64::try_from(took.as_micros()).unwrap_or(0);
        (0..count).for_each(|_| shown.server.observe(took));
    }

    fn took(&mut self, took: Duration) {
        let description = Description { kind: "read", ..Description::default() };
        let (database, name, application) = ("shop".into(), Name::Fingerprint(1), "till".into());
        self.look.long.push(LongCall { database, name, description, application, took });
    }

    /// Looks, then lets a second pass.
    fn tick(&mut self) -> Vec<Event> {
        let shown: Vec<_> = self.shown.values().cloned().collect();
        self.windows.tick(self.now, &shown);
        let events = self.alerts.look(self.now, &self.windows, &self.look);
        self.look.long.clear();
        self.look.more_long.clear();
        self.now += secs(1);
        events
    }

    /// Name, state and level of what has changed.
    fn tick_words(&mut self) -> Vec<(String, &'static str, &'static str)> {
        self.tick().into_iter().map(|event| (event.alert.name.clone(), event.state(), event.level)).collect()
    }

    /// How many ticks pass until something changes, and what that is.
    fn until_it_changes(&mut self) -> (u32, Vec<Event>) {
        for ticks in 0..1_000 {
            let events = self.tick();
            if !events.is_empty() {
                return (ticks, events);
            }
        }
        panic!("nothing changes");
    }
}

#[test]
fn twenty_calls_of_more_than_the_limit_fire_the_average_once_and_it_ends_a_while_after_they_left_the_window() {
    let mut world = World::new(&[alert("slow", Condition::Average { over: secs(1) })]);
    world.call(7, 19, ms(1_100), 0);
    assert_eq!(world.tick(), [], "19 say nothing");
    world.call(7, 1, ms(1_100), 0);
    let events = world.tick();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.state(), event.measured.calls), ("firing", 20));
    assert!((event.measured.value - 1.1).abs() < 1e-9 && event.threshold == 1.0, "{event:?}");
    assert_eq!(event.measured.subject.within(), Some(("fingerprint", "0000000000000007".to_owned())));
    let (ticks, events) = world.until_it_changes();
    // The step that it came in goes a second after the window has passed.
    assert_eq!(ticks, 69, "a window and clear_for");
    assert_eq!((events.len(), events[0].ending), (1, Some(Ending::Cleared)));
    assert_eq!(world.alerts.rows()[0].fired, 1);
    // Just below the limit nothing begins.
    world.call(8, 50, ms(990), 0);
    assert_eq!(world.tick(), []);
}

#[test]
fn between_clear_and_the_limit_it_goes_on_and_below_it_has_to_stay_there() {
    let mut world = World::new(&[changed(alert("slow", Condition::Average { over: secs(1) }), |alert| {
        (alert.window, alert.min_calls) = (secs(10), 1);
    })]);
    let steady = |world: &mut World, took, ticks: u32| -> Vec<_> {
        (0..ticks)
            .flat_map(|_| {
                world.call(7, 1, took, 0);
                world.tick_words()
            })
            .collect()
    };
    assert_eq!(steady(&mut world, ms(1_500), 1), [("slow".to_owned(), "firing", "")]);
    assert_eq!(steady(&mut world, ms(900), 100), [], "not above the limit, not below 80 % of it");
    assert_eq!(steady(&mut world, ms(1_500), 50), [], "above it again is nothing new");
    assert_eq!(steady(&mut world, ms(900), 25), [], "which does not count for clear_for either");
    assert_eq!(steady(&mut world, ms(500), 8), [], "below 80 % for less than clear_for");
    assert_eq!(steady(&mut world, ms(1_500), 12), [], "which begins anew");
    assert_eq!(steady(&mut world, ms(500), 40), [("slow".to_owned(), "resolved", "")]);
}

#[test]
fn six_errors_of_a_hundred_fire_and_four_do_not() {
    let condition = Condition::ErrorRatio { over: 0.05 };
    let of_database = changed(alert("errors", condition), |alert| alert.scope = Scope::Database);
    for (errors, fires) in [(4, false), (5, false), (6, true)] {
        let mut world = World::new(std::slice::from_ref(&of_database));
        world.call(1, 100 - errors, ms(1), 0);
        world.call(2, errors, ms(1), errors);
        let events = world.tick();
        assert_eq!(events.len(), usize::from(fires), "{errors}: {events:?}");
        if fires {
            assert_eq!(events[0].measured.subject, Subject::Database("shop".into()));
            world.call(1, 100, ms(1), 0);
            let (ticks, events) = world.until_it_changes();
            assert_eq!((ticks, events[0].state()), (10, "resolved"), "6 of 200 is 3 %, below 80 % of 5 %");
        }
    }
    // By fingerprint those that fail are too few to say anything.
    let mut world = World::new(&[alert("errors", condition)]);
    world.call(1, 94, ms(1), 0);
    world.call(2, 6, ms(1), 6);
    assert_eq!(world.tick(), []);
}

#[test]
fn a_percentile_looks_at_the_slow_ones_only() {
    let mut world = World::new(&[alert("p95", Condition::Percentile { quantile: 0.95, over: ms(200) })]);
    world.call(1, 96, ms(10), 0);
    world.call(1, 4, secs(2), 0);
    assert_eq!(world.tick(), []);
    world.call(1, 2, secs(2), 0);
    assert_eq!(world.tick_words(), [("p95".to_owned(), "firing", "")]);
}

#[test]
fn an_objective_has_three_steps_and_only_what_matches_counts() {
    let condition = Condition::Objective { quantile: 0.95, target: ms(10), acceptable: ms(20), critical: ms(50) };
    let tables = vec!["flow.workflow_executions".to_owned()];
    let mut world = World::new(&[changed(alert("claim", condition), |alert| {
        (alert.window, alert.scope) = (secs(10), Scope::Database);
        alert.matches = Match { tables, kind: Some("write"), ..Match::default() };
    })]);
    world.describe(1, "write", "flow.workflow_executions,flow.queue");
    world.describe(2, "read", "flow.workflow_executions");
    world.describe(3, "write", "flow.other");
    let mut steady = |took, ticks: u32| -> (Vec<_>, &'static str) {
        let mut changes = Vec::new();
        for _ in 0..ticks {
            world.call(1, 50, took, 0);
            world.call(2, 1_000, secs(1), 0);
            world.call(3, 1_000, secs(1), 0);
            changes.extend(world.tick_words().into_iter().map(|(_, state, level)| (state, level)));
        }
        (changes, world.alerts.rows()[0].level)
    };
    assert_eq!(steady(ms(5), 5), (vec![], ""));
    assert_eq!(steady(ms(15), 25), (vec![], "target"), "missed, and nobody is told");
    assert_eq!(steady(ms(30), 25), (vec![("firing", "acceptable")], "acceptable"));
    assert_eq!(steady(ms(80), 25), (vec![("firing", "critical")], "critical"));
    assert_eq!(steady(ms(45), 40), (vec![], "critical"), "above 80 % of 50 ms");
    assert_eq!(steady(ms(30), 40), (vec![("firing", "acceptable")], "acceptable"));
    assert_eq!(steady(ms(5), 40), (vec![("resolved", "")], ""));
}

#[test]
fn a_single_statement_fires_once_and_ends_when_none_came_for_a_window() {
    let mut world = World::new(&[alert("single", Condition::Single { over: secs(5) })]);
    assert_eq!(world.alerts.single_over(), Some(secs(5)));
    world.took(ms(4_900));
    world.took(secs(5));
    assert_eq!(world.tick(), []);
    world.took(ms(5_100));
    world.took(ms(6_000));
    let events = world.tick();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].measured.calls, events[0].measured.value), (2, 6.0));
    (0..30).for_each(|_| assert_eq!(world.tick(), []));
    world.took(ms(5_100));
    let (ticks, events) = world.until_it_changes();
    assert_eq!((ticks, events[0].state(), events[0].measured.calls), (60, "resolved", 3));
    world.took(ms(5_100));
    assert_eq!(world.tick_words(), [("single".to_owned(), "firing", "")]);
    assert_eq!(world.alerts.rows()[0].fired, 2);
    // Those that there was no room for are none the less heard of.
    world.look.more_long = BTreeMap::from([("shop".into(), 9)]);
    let events = world.tick();
    assert_eq!((events.len(), &events[0].measured.subject, events[0].measured.calls), (1, &Subject::Others, 9));
}

#[test]
fn what_is_seen_must_last() {
    let wait = changed(alert("wait", Condition::PoolWait { over: secs(1) }), |alert| alert.window = secs(5));
    let lag = changed(alert("lag", Condition::ReplicaLag { over: secs(1) }), |alert| alert.window = Duration::ZERO);
    let mut world = World::new(&[wait, lag]);
    let pool = |oldest_wait| PoolLook {
        database: "shop".into(),
        user: "app".to_owned(),
        oldest_wait,
        taken: None,
        pinned: None,
    };
    for wait in [secs(2), secs(2), secs(0), secs(2), secs(2), secs(2), secs(2), secs(2)] {
        world.look.pools = vec![pool(wait)];
        assert_eq!(world.tick(), []);
    }
    let fires = world.tick();
    assert_eq!(fires.len(), 1);
    assert_eq!(fires[0].measured.subject.within(), Some(("user", "app".to_owned())));
    let replica = |lag| vec![ReplicaLook { database: "shop".into(), host: "pg-1:5432".to_owned(), lag }];
    world.look.replicas = replica(Some(secs(3)));
    assert_eq!(world.tick_words(), [("lag".to_owned(), "firing", "")]);
    // One that is down, or too far behind to say how far, is not any better.
    world.look.replicas = replica(None);
    (0..600).for_each(|_| assert_eq!(world.tick(), []));
    // A pool or a host that is gone complains of nothing.
    (world.look.pools, world.look.replicas) = (Vec::new(), Vec::new());
    let (_, over) = world.until_it_changes();
    assert_eq!(over.iter().map(Event::state).collect::<Vec<_>>(), ["resolved"; 2]);
}

#[test]
fn of_pools_that_share_a_label_the_worst_one_counts() {
    let wait = changed(alert("wait", Condition::PoolWait { over: secs(1) }), |alert| alert.window = secs(5));
    let mut world = World::new(&[wait]);
    let pool = |oldest_wait| PoolLook {
        database: "other".into(),
        user: "app".to_owned(),
        oldest_wait,
        taken: None,
        pinned: None,
    };
    world.look.pools = [secs(0), secs(2), secs(0)].map(pool).into();
    (0..5).for_each(|_| assert_eq!(world.tick(), []));
    assert_eq!(world.tick_words(), [("wait".to_owned(), "firing", "")]);
}

#[test]
fn shares_of_a_pool_and_a_refused_reload_fire() {
    let at_once = |name, condition| {
        changed(alert(name, condition), |alert| (alert.window, alert.clear_for) = (Duration::ZERO, Duration::ZERO))
    };
    let mut world = World::new(&[
        at_once("full", Condition::PoolSaturation { over: 0.9 }),
        at_once("pins", Condition::Pins { over: 0.25 }),
        at_once("reload", Condition::ReloadFailed),
    ]);
    let pool = |taken, pinned| PoolLook {
        database: "shop".into(),
        user: "app".to_owned(),
        oldest_wait: Duration::ZERO,
        taken,
        pinned,
    };
    world.look.pools = vec![pool(Some(0.9), Some(0.25)), pool(None, None)];
    assert_eq!(world.tick(), []);
    world.look.pools = vec![pool(Some(0.95), Some(0.3))];
    world.look.reload_failed = true;
    let names: Vec<_> = world.tick_words().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["full", "pins", "reload"]);
    let rows = world.alerts.rows();
    let shown: Vec<_> = rows.iter().map(|row| (row.value.as_deref(), row.threshold.as_str())).collect();
    assert_eq!(shown, [(Some("95.0%"), "90.0%"), (Some("30.0%"), "25.0%"), (Some("yes"), "no")]);
    world.look = Look::default();
    assert_eq!(world.tick().len(), 3);
}

#[test]
fn what_a_reload_takes_away_or_changes_is_over_and_the_others_go_on() {
    let (slow, errors) =
        (alert("slow", Condition::Average { over: secs(1) }), alert("errors", Condition::ErrorRatio { over: 0.05 }));
    let mut world = World::new(&[slow.clone(), errors.clone()]);
    world.call(1, 100, secs(2), 50);
    assert_eq!(world.tick().len(), 2);
    let events = world.alerts.define(world.now, std::slice::from_ref(&slow));
    let [event] = &events[..] else { panic!("{events:?}") };
    assert_eq!((event.alert.name.as_str(), event.ending), ("errors", Some(Ending::Removed)));
    assert_eq!(world.tick(), [], "the other one fires still, and says so once");
    let stricter = changed(slow, |alert| alert.condition = Condition::Average { over: ms(1_500) });
    assert_eq!(world.alerts.define(world.now, &[stricter]).len(), 1);
    assert_eq!(world.tick_words(), [("slow".to_owned(), "firing", "")]);
}

#[test]
fn more_than_there_is_room_for_are_one_together() {
    let mut world = World::new(&[alert("slow", Condition::Average { over: secs(1) })]);
    (0..300).for_each(|name| world.call(name, 20, ms(1_000 + 10 * (name + 1)), 0));
    let events = world.tick();
    assert_eq!(events.len(), SUBJECTS + 1);
    assert_eq!(events.iter().filter(|event| event.measured.subject == Subject::Others).count(), 1);
    assert!(events.iter().any(|event| event.measured.value == 4.0), "the slowest are named");
    assert_eq!(world.tick(), []);
    assert_eq!(world.alerts.rows().len(), SUBJECTS + 1);
    let (_, events) = world.until_it_changes();
    assert_eq!(events.len(), SUBJECTS + 1);
}

#[test]
fn an_event_is_told_in_words_that_a_machine_and_slack_understand() {
    let mut world = World::new(&[alert("a <slow> & \"one\"", Condition::Average { over: secs(1) })]);
    world.describe(7, "read", "t");
    world.shown(7).description.text = "select `x` from t where a < ?".into();
    world.call(7, 20, ms(1_100), 0);
    let event = world.tick().remove(0);
    let stamp = Stamp { id: "run-1".to_owned(), pgotter: "box:6432".to_owned(), at: 12.5, since: 12.0 };
    let json: serde_json::Value = serde_json::from_str(&event.json(&stamp)).expect("it is JSON");
    let expected = serde_json::json!({
        "id": "run-1", "pgotter": "box:6432", "at": 12.5, "since": 12.0, "alert": "a <slow> & \"one\"", "type": "average",
        "state": "firing", "value": 1.1, "threshold": 1.0, "unit": "seconds", "window_seconds": 60.0, "calls": 20,
        "database": "shop", "fingerprint": "0000000000000007", "query": "select `x` from t where a < ?"
    });
    assert_eq!(json, expected);
    let slack: serde_json::Value = serde_json::from_str(&event.slack(&stamp)).expect("it is JSON");
    let text = ":rotating_light: *a &lt;slow&gt; &amp; \"one\"* firing: average 1.100s, threshold 1.000s, \
                database shop, fingerprint 0000000000000007 [box:6432]\n`select  x  from t where a &lt; ?`";
    assert_eq!(slack, serde_json::json!({ "text": text }));
}

#[test]
fn an_alert_on_an_application_looks_at_what_was_counted_for_that_alone() {
    let application = |name: &str| {
        let name: Arc<str> = name.into();
        changed(alert(&name, Condition::Average { over: ms(500) }), |alert| {
            alert.matches.application = Some(name.clone())
        })
    };
    let mut world = World::new(&[application("billing-*"), application("till")]);
    let circle = Arc::new(Windows::new(world.now));
    world.look.circles = vec![("billing-*".into(), circle.clone())];
    // All together are slow, and nothing is known of the tills.
    world.call(1, 40, secs(1), 0);
    world.describe(1, "read", "orders");
    circle.tick(world.now, &[] as &[Shown]);
    assert_eq!(world.tick_words(), []);
    let mut billing = world.shown(1).clone();
    (billing.numbers.calls, billing.numbers.server_us, billing.server) = (0, 0, Latency::default());
    for _ in 0..20 {
        billing.numbers.calls += 1;
        billing.numbers.server_us += 600_000;
        billing.server.observe(ms(600));
    }
    circle.tick(world.now, &[billing]);
    let events = world.tick();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&*events[0].alert.name, events[0].measured.calls), ("billing-*", 20));
    assert!((events[0].measured.value - 0.6).abs() < 1e-9, "{events:?}");
}

#[test]
fn a_single_statement_is_told_to_whoever_wants_to_hear_of_its_application_or_database() {
    let single =
        |name: &str, change: &dyn Fn(&mut Alert)| changed(alert(name, Condition::Single { over: secs(5) }), change);
    let mut world = World::new(&[
        single("all", &|_| ()),
        single("tills", &|alert| alert.matches.application = Some("ti*".into())),
        single("others", &|alert| alert.matches.application = Some("billing".into())),
        single("bank", &|alert| alert.matches.database = Some("bank".to_owned())),
        single("writes", &|alert| alert.matches.kind = Some("write")),
    ]);
    world.took(secs(6));
    let names = |events: Vec<Event>| events.iter().map(|event| event.alert.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(world.tick()), ["all", "tills"]);
    // Of these nothing but the database is known.
    world.look.more_long = BTreeMap::from([("bank".into(), 3)]);
    let events = world.tick();
    assert_eq!(names(events.clone()), ["all", "bank"]);
    assert!(events.iter().all(|event| event.measured.subject == Subject::Others && event.measured.calls == 3));
}
