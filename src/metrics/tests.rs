//! Counting and adding up.

use super::*;
use crate::clock::now;
use crate::ids::WorkerId;
use std::sync::Arc;
use std::time::Duration;

const ONE: Answered = Answered { queries: 1, transactions: 1 };

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

fn counts(registry: &Registry, database: &str) -> Counts {
    registry.counts().into_iter().find(|(name, _)| name == database).expect("counted").1
}

#[test]
fn a_duration_falls_into_the_first_bucket_that_is_not_below_it() {
    let mut histogram = Histogram::default();
    for (number, bound) in LADDER.iter().enumerate() {
        histogram.observe(*bound);
        assert_eq!(histogram.buckets[number], 1, "{bound:?}");
        histogram.observe(*bound + Duration::from_nanos(1));
        assert_eq!(histogram.buckets[number + 1], 1, "behind {bound:?}");
        histogram = Histogram::default();
    }
    histogram.observe(Duration::ZERO);
    histogram.observe(Duration::from_secs(100_000));
    assert_eq!((histogram.buckets[0], histogram.buckets[15], histogram.count()), (1, 1, 2));
}

#[test]
fn sums_of_short_durations_are_right_on_the_average() {
    let mut histogram = Histogram::default();
    for nanos in 0..1_000 {
        histogram.observe(Duration::from_nanos(nanos));
    }
    assert_eq!(histogram.sum_us, 500);
}

#[test]
fn workers_and_the_front_are_added_up() {
    let registry = Arc::new(Registry::new(2, now()));
    for worker in [0, 1] {
        let meter = Meters::new(&registry, WorkerId(worker)).meter("shop");
        meter.login(LoginResult::Ok);
        meter.received(10);
        meter.assigned(us(10), false);
        meter.assigned(us(20), true);
        meter.parsed_named();
        meter.prepared(Prepared::Hit);
        meter.prepared(Prepared::Miss);
        meter.prepared(Prepared::Evicted);
        meter.bound_named();
        meter.pinned(0b101, us(7));
        meter.pinned(0b100, us(1));
        meter.heard(20, ONE);
        meter.answered(&meter.application("psql"), 0, 1, us(670));
        let stat = meter.statement(Name::Fingerprint(1), || Description { kind: "read", ..Description::default() });
        meter.called(&stat, &Call { server: Some(us(670)), on_replica: true, ..Call::default() });
        meter.delivered(&stat, us(700), true);
        meter.transaction(us(670), true);
        meter.idled((&meter.application("psql"), &meter.user("mary")), us(5), true);
    }
    registry.front_login("shop", LoginResult::Auth);
    let shop = counts(&registry, "shop");
    assert_eq!(shop.logins[LoginResult::Ok as usize], 2);
    assert_eq!(shop.logins[LoginResult::Auth as usize], 1);
    assert_eq!(shop.pinned_us[..4], [14, 0, 16, 0]);
    let by_role = |of: &ByRole<Histogram>| of.all().map(|(role, one)| (role, one.sum_us)).collect::<Vec<_>>();
    assert_eq!(by_role(&shop.waits), [("primary", 20), ("replica", 40)]);
    assert_eq!(by_role(&shop.transactions), [("primary", 0), ("replica", 1340)]);
    assert_eq!(by_role(&shop.idle), [("primary", 0), ("replica", 10)]);
    let counted = |kinds: &ByKind<Histogram>| -> Vec<_> {
        let counted = kinds.all().filter(|(.., histogram)| histogram.count() > 0);
        counted.map(|(kind, role, histogram)| (kind, role, histogram.buckets[1], histogram.sum_us)).collect()
    };
    assert_eq!(counted(&shop.queries), [("read", "replica", 2, 1400)]);
    assert_eq!(counted(&shop.servers), [("read", "replica", 2, 1340)]);
    let totals = Totals {
        server_assignment_count: 4,
        xact_count: 2,
        query_count: 2,
        bytes_received: 20,
        bytes_sent: 40,
        xact_time_us: 1340,
        query_time_us: 1340,
        wait_time_us: 60,
        client_parse_count: 2,
        server_parse_count: 4,
        bind_count: 2,
        client_login_count: 2,
    };
    assert_eq!(registry.databases(), [("shop".to_owned(), totals)]);
}

#[test]
fn a_pipeline_is_one_sample_and_all_its_queries() {
    let registry = Arc::new(Registry::new(1, now()));
    let meter = Meters::new(&registry, WorkerId(0)).meter("shop");
    meter.heard(0, Answered { queries: 3, transactions: 1 });
    let application = meter.application("psql");
    meter.answered(&application, 0, 3, us(900));
    meter.pipeline(us(900), us(900), 0);
    meter.answered(&application, 0, 0, us(900));
    let shop = counts(&registry, "shop");
    let singles: u64 = shop.queries.all().map(|(.., durations)| durations.count()).sum();
    assert_eq!((shop.query_count, singles, shop.pipelines.count(), shop.served_us), (3, 0, 1, 900));
}

#[test]
fn what_an_unknown_database_is_called_never_becomes_a_label() {
    let registry = Arc::new(Registry::new(1, now()));
    registry.front_login("made up", LoginResult::Auth);
    Meters::new(&registry, WorkerId(0)).known_meter("made up, too").login(LoginResult::NoServer);
    assert_eq!(counts(&registry, OTHER).logins.iter().sum::<u64>(), 2);
    assert_eq!((registry.counts().len(), registry.label("made up")), (1, OTHER));
}

#[test]
fn databases_that_are_not_configured_are_counted_together_beyond_a_hundred() {
    let registry = Arc::new(Registry::new(1, now()));
    registry.expect("shop");
    let meters = Meters::new(&registry, WorkerId(0));
    for number in 0..150 {
        meters.meter(&format!("tenant{number}")).heard(0, ONE);
    }
    registry.expect("late");
    assert_eq!(registry.counts().len(), 103);
    assert_eq!(counts(&registry, OTHER).query_count, 50);
    assert_eq!(["tenant99", "tenant100", "late"].map(|name| registry.label(name)), ["tenant99", OTHER, "late"]);
}

#[test]
fn a_failed_reload_keeps_the_time_of_the_last_good_one() {
    let registry = Registry::new(1, now());
    registry.process.reloaded(Duration::from_secs(1000));
    registry.process.reload_failed();
    assert_eq!(registry.process.reload(), (false, Duration::from_secs(1000)));
    registry.process.reloaded(Duration::from_secs(2000));
    assert_eq!(registry.process.reload(), (true, Duration::from_secs(2000)));
}

#[test]
fn a_thread_that_does_not_beat_is_named() {
    let start = now();
    let registry = Registry::new(2, start);
    let later = start + Duration::from_secs(60);
    registry.process.beat(0, later);
    registry.process.beat(2, later);
    let stuck = registry.process.stuck(later + Duration::from_secs(1), Duration::from_secs(10));
    assert_eq!(stuck, [("worker-1".to_owned(), Duration::from_secs(61))]);
}

#[test]
fn a_host_is_up_when_postgresql_answers_even_with_a_refusal() {
    let host = HostMeter::default();
    assert_eq!(host.counts().up, None);
    for (result, up) in [(ConnectResult::Refused, true), (ConnectResult::NotYet, false), (ConnectResult::Ok, true)] {
        host.ended(result);
        assert_eq!(host.counts().up, Some(up), "{result:?}");
    }
    assert_eq!(host.counts().connects.iter().sum::<u64>(), 3);
}
