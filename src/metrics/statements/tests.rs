//! Counting by statement: bounded, and nothing is lost.

use super::{Call, Description, Name, Stat};
use crate::clock::now;
use crate::ids::WorkerId;
use crate::metrics::{Meter, Meters, Numbers, Registry, Seen};
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

const DEFAULT: (usize, usize) = (5_000, 64 << 20);

fn registry(workers: usize, (fingerprints, bytes): (usize, usize)) -> Arc<Registry> {
    let registry = Arc::new(Registry::new(workers, now()));
    registry.limit_statements(fingerprints, bytes);
    registry.expect("shop");
    registry
}

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

fn stat(meter: &Meter, fingerprint: u64) -> Arc<Stat> {
    let text =
        format!("select * from table_{fingerprint} where id = ? and name like ? order by something_or_other limit ?");
    meter.statement(Name::Fingerprint(fingerprint), || Description {
        kind: "read",
        text: text.into(),
        tables: "t".into(),
    })
}

/// One call of it, that takes some time.
fn call(meter: &Meter, stat: &Stat, took: u64) {
    meter.called(stat, &Call { rows: 2, waited_us: 3, server: Some(us(took)), ..Call::default() });
    meter.delivered(stat, us(took + 3), false);
}

fn totals<'a>(numbers: impl Iterator<Item = &'a Numbers>) -> Numbers {
    numbers.fold(Numbers::default(), |mut all, numbers| {
        all.add(numbers);
        all
    })
}

#[test]
fn a_statement_that_several_workers_have_met_is_there_once_with_all_that_they_have_counted() {
    // The first one has met none.
    let registry = registry(4, DEFAULT);
    for worker in 1..4u16 {
        let meters = Meters::new(&registry, WorkerId(worker));
        let meter = meters.meter("shop");
        for fingerprint in [u64::from(worker), u64::from(worker) + 1, 100] {
            call(&meter, &stat(&meter, fingerprint), 10);
        }
    }
    let counts = |one: &Seen| (one.name, one.numbers.calls, one.server().count(), one.total().count());
    let mut seen: Vec<_> = registry.statements().iter().map(counts).collect();
    seen.sort();
    let expected = [(1, 1), (2, 2), (3, 2), (4, 1), (100, 3)];
    assert_eq!(seen, expected.map(|(name, calls)| (Name::Fingerprint(name), calls, calls, calls)));
}

#[test]
fn fifty_thousand_fingerprints_are_bounded_and_add_up() {
    let registry = registry(1, DEFAULT);
    let meters = Meters::new(&registry, WorkerId(0));
    let meter = meters.meter("shop");
    let (mut calls, mut took_all, mut most) = (0, 0, 0);
    for fingerprint in 0..50_000u64 {
        let stat = stat(&meter, fingerprint);
        // Every hundredth is busy.
        for round in 0..if fingerprint % 100 == 0 { 20 } else { 1 + fingerprint % 3 } {
            let took = 90 + fingerprint % 4_000 + 137 * round;
            call(&meter, &stat, took);
            (calls, took_all) = (calls + 1, took_all + took);
        }
        most = most.max(meters.book().len());
        if fingerprint == 4_990 {
            println!("{} bytes at {} fingerprints", meters.book().bytes(), meters.book().len());
        }
    }
    assert!((4_000..=5_000).contains(&most), "{most}");
    assert!(meters.book().bytes() < 5_000 * 3_000, "{}", meters.book().bytes());
    assert_eq!(meters.book().bytes(), meters.book().bytes_by_hand());
    let seen = registry.statements();
    let all = totals(seen.iter().map(|seen| &seen.numbers));
    let expected = (calls, 0, 2 * calls, 3 * calls, took_all, calls, took_all + 3 * calls);
    assert_eq!(
        (all.calls, all.errors, all.rows, all.wait_us, all.server_us, all.total.count(), all.total.sum_us),
        expected
    );
    assert_eq!(seen.iter().map(|seen| seen.server().count()).sum::<u64>(), calls);
    assert_eq!(seen.iter().map(|seen| seen.total().count()).sum::<u64>(), calls);
    assert!(seen.iter().any(|seen| seen.name == Name::Other && seen.numbers.calls > 40_000));
    // What is busy stays.
    assert_eq!(seen.iter().filter(|seen| seen.numbers.calls == 20).count(), 500);
}

#[test]
fn memory_is_a_bound_of_its_own_and_shared_out_among_workers() {
    let registry = registry(2, (5_000, 2 << 20));
    for worker in 0..2 {
        let meters = Meters::new(&registry, WorkerId(worker));
        let meter = meters.meter("shop");
        for fingerprint in 0..3_000 {
            call(&meter, &stat(&meter, fingerprint), 100 + fingerprint);
        }
        // One more than there was room for, with its blocks, and the blocks of `other`.
        let bytes = meters.book().bytes();
        assert!(bytes > 1 << 19 && bytes < (1 << 20) + 16 * 1024, "{bytes}");
    }
    let seen = registry.statements();
    assert_eq!(totals(seen.iter().map(|seen| &seen.numbers)).calls, 6_000);
}

#[test]
fn one_that_is_folded_while_it_is_under_way_counts_in_other() {
    let registry = registry(1, (8, 64 << 20));
    let meters = Meters::new(&registry, WorkerId(0));
    let meter = meters.meter("shop");
    let under_way = stat(&meter, 1);
    for fingerprint in 2..20 {
        call(&meter, &stat(&meter, fingerprint), 100);
    }
    assert!(!registry.statements().iter().any(|seen| seen.name == Name::Fingerprint(1)));
    meter.called(&under_way, &Call { failed: true, server: Some(us(50)), ..Call::default() });
    meter.delivered(&under_way, us(70), false);
    let seen = registry.statements();
    let other = seen.iter().find(|seen| seen.name == Name::Other).expect("there are others");
    assert_eq!((other.numbers.errors, totals(seen.iter().map(|seen| &seen.numbers)).calls), (1, 19));
    // Whoever looks has them, and they take their memory as long.
    drop(seen);
    // It comes again, and is a new one.
    call(&meter, &stat(&meter, 1), 100);
    let seen = registry.statements();
    let again = seen.iter().find(|seen| seen.name == Name::Fingerprint(1)).expect("it is there");
    assert_eq!((again.numbers.calls, again.numbers.errors, &*again.description().tables), (1, 0, "t"));
}

#[test]
fn one_whose_client_is_elsewhere_when_it_ends_counts_in_other_of_its_own_database() {
    let registry = registry(1, (8, 64 << 20));
    registry.expect("bank");
    let meters = Meters::new(&registry, WorkerId(0));
    let (shop, bank) = (meters.meter("shop"), meters.meter("bank"));
    let under_way = stat(&shop, 1);
    (2..20).for_each(|fingerprint| call(&bank, &stat(&bank, fingerprint), 100));
    // It was sent to the shop, and its client is back at the bank.
    bank.called(&under_way, &Call { failed: true, server: Some(us(50)), ..Call::default() });
    bank.delivered(&under_way, us(70), false);
    let seen = registry.statements();
    let errors = |database: &str| {
        let of_it = seen.iter().filter(|seen| &*seen.database == database);
        of_it.map(|seen| seen.numbers.errors).sum::<u64>()
    };
    assert_eq!((errors("shop"), errors("bank")), (1, 0));
}

/// Those that take memory, of all that there ever were.
fn alive(all: &[Weak<Stat>]) -> usize {
    let alive = all.iter().filter(|stat| stat.strong_count() > 0);
    alive.map(Weak::as_ptr).collect::<BTreeSet<_>>().len()
}

#[test]
fn whoever_looks_while_there_are_too_many_costs_no_more_than_an_eighth_of_the_names() {
    let registry = registry(1, (80, 64 << 20));
    let meters = Meters::new(&registry, WorkerId(0));
    let meter = meters.meter("shop");
    (0..80).for_each(|fingerprint| (0..5).for_each(|_| call(&meter, &stat(&meter, fingerprint), 100)));
    let named = || {
        let seen = registry.statements();
        seen.iter().filter(|seen| matches!(seen.name, Name::Fingerprint(_)) && seen.numbers.calls >= 5).count()
    };
    let (before, looking) = (named(), registry.statements());
    (100..1_000).for_each(|fingerprint| call(&meter, &stat(&meter, fingerprint), 100));
    assert!(before > 60 && named() >= before - 2 * 80 / 8, "{before}, then {}", named());
    drop(looking);
    assert_eq!(stat(&meter, 2_000).name(), Name::Fingerprint(2_000));
}

#[test]
fn what_somebody_still_has_counts_against_the_bound_and_all_adds_up() {
    for limits in [(100, 64 << 20), (5_000, 300_000)] {
        let registry = registry(1, limits);
        let meters = Meters::new(&registry, WorkerId(0));
        let meter = meters.meter("shop");
        let (mut all, mut held, mut most) = (Vec::new(), Vec::new(), 0);
        for fingerprint in 0..10_000 {
            let stat = stat(&meter, fingerprint);
            call(&meter, &stat, 100);
            all.push(Arc::downgrade(&stat));
            // A portal is open, or its client does not take the answer: of every other one, up to a time.
            if fingerprint % 2 == 0 && fingerprint < 5_000 {
                held.push(stat);
            }
            if fingerprint % 100 == 99 {
                most = most.max(alive(&all));
            }
            if fingerprint == 5_000 {
                held.clear();
            }
        }
        let bound = if limits.0 == 100 { 100 } else { limits.1 / size_of::<Stat>() };
        // One is `other`.
        assert!(most <= bound + 1 && most > bound / 3, "{most} of {bound}");
        let seen = registry.statements();
        assert_eq!(totals(seen.iter().map(|seen| &seen.numbers)).calls, 10_000);
        assert!(seen.iter().filter(|seen| matches!(seen.name, Name::Fingerprint(_))).count() > bound / 3);
        drop(seen);
        assert_eq!(meters.book().bytes(), meters.book().bytes_by_hand());
    }
}

#[test]
fn those_of_a_circle_are_counted_once_more_within_the_same_bounds_until_nobody_wants_to_hear_of_it() {
    let registry = registry(1, (50, 64 << 20));
    let meters = Meters::new(&registry, WorkerId(0));
    let meter = meters.meter("shop");
    let (billing, tills): (Arc<str>, Arc<str>) = ("billing-*".into(), "till".into());
    for fingerprint in 0..200 {
        let stat = stat(&meter, fingerprint);
        let call = Call { server: Some(us(100)), failed: fingerprint == 7, ..Call::default() };
        meter.called(&stat, &call);
        if fingerprint % 2 == 1 {
            meter.called_in(&billing, &stat, &call);
        }
        if fingerprint == 0 {
            meter.called_in(&tills, &stat, &call);
        }
        assert!(meters.book().len() <= 50 + 3, "{}", meters.book().len());
    }
    let of = |circle: &str| totals(registry.statements_in(circle).iter().map(|seen| &seen.numbers));
    let all = totals(registry.statements().iter().map(|seen| &seen.numbers));
    assert_eq!((all.calls, all.errors), (200, 1));
    assert_eq!((of("billing-*").calls, of("billing-*").errors, of("till").calls, of("x").calls), (100, 1, 1, 0));
    let exported = registry.exported_statements(10);
    assert_eq!(exported.iter().map(|series| series.numbers.calls).sum::<u64>(), 200);
    // A reload.
    meter.keep_circles(std::slice::from_ref(&tills));
    assert_eq!((of("billing-*").calls, of("till").calls), (0, 1));
    assert_eq!(totals(registry.statements().iter().map(|seen| &seen.numbers)).calls, 200);
    assert_eq!(meters.book().bytes(), meters.book().bytes_by_hand());
    meter.called_in(&billing, &stat(&meter, 1), &Call::default());
    assert_eq!(of("billing-*").calls, 1);
}

#[test]
fn what_goes_on_or_was_sent_with_others_is_counted_as_that() {
    let registry = registry(1, DEFAULT);
    let meters = Meters::new(&registry, WorkerId(0));
    let meter = meters.meter("shop");
    let cursor = stat(&meter, 1);
    meter.called(&cursor, &Call { rows: 10, server: Some(us(1000)), ..Call::default() });
    meter.called(&cursor, &Call { rows: 5, server: Some(us(500)), goes_on: true, ..Call::default() });
    let piped = stat(&meter, 2);
    (0..3).for_each(|_| meter.called(&piped, &Call { rows: 1, ..Call::default() }));
    meter.pipeline(us(900), us(800), 0);
    let seen = registry.statements();
    let of = |name| seen.iter().find(|seen| seen.name == name).expect("it is there");
    let numbers = |name| (of(name).numbers.calls, of(name).numbers.rows, of(name).numbers.server_us);
    assert_eq!(numbers(Name::Fingerprint(1)), (1, 15, 1500));
    assert_eq!(of(Name::Fingerprint(1)).server().count(), 1);
    assert_eq!((numbers(Name::Fingerprint(2)), numbers(Name::Pipeline)), ((3, 3, 0), (0, 0, 800)));
    assert_eq!(of(Name::Pipeline).total().quantile(0.5), Some(us(928)));
}

#[test]
fn databases_and_workers_are_told_apart_and_added_up() {
    let registry = registry(2, DEFAULT);
    registry.expect("bank");
    for worker in [0, 1] {
        let meters = Meters::new(&registry, WorkerId(worker));
        for (database, count) in [("shop", 2), ("bank", 1)] {
            let meter = meters.meter(database);
            (0..count).for_each(|_| call(&meter, &stat(&meter, 7), 100 + 1000 * u64::from(worker)));
        }
    }
    let seen = registry.statements();
    let of = |database: &str| seen.iter().find(|seen| &*seen.database == database).expect("it is there");
    assert_eq!((of("shop").numbers.calls, of("bank").numbers.calls, seen.len()), (4, 2, 2));
    let shop = of("shop").server();
    assert_eq!((shop.quantile(0.5), shop.quantile(0.9)), (Some(us(100)), Some(us(1088))));
}

/// Exported calls by name; a scrape before it is not to be higher.
fn scrape(registry: &Registry, max: usize, before: &mut Vec<(String, u64)>) -> u64 {
    let all = registry.exported_statements(max);
    let now: Vec<_> = all.iter().map(|series| (series.name.to_string(), series.numbers.calls)).collect();
    for (name, calls) in before.iter() {
        let found = now.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name} is gone"));
        assert!(found.1 >= *calls, "{name} went from {calls} to {}", found.1);
    }
    let fingerprints = all.iter().filter(|series| matches!(series.name, Name::Fingerprint(_))).count();
    assert!(fingerprints <= max, "{fingerprints}");
    *before = now;
    before.iter().map(|(_, calls)| calls).sum()
}

#[test]
fn series_stay_never_go_down_and_add_up_whatever_is_folded() {
    let registry = registry(1, (100, 64 << 20));
    let meters = Meters::new(&registry, WorkerId(0));
    let meter = meters.meter("shop");
    let (mut calls, mut before) = (0, Vec::new());
    for round in 0..40u64 {
        for fingerprint in (0..4).chain(round * 31..round * 31 + 60) {
            call(&meter, &stat(&meter, fingerprint), 100 + fingerprint);
            calls += 1;
        }
        // More of them have a name after a reload.
        let max = if round < 20 { 10 } else { 15 };
        assert_eq!(scrape(&registry, max, &mut before), calls, "round {round}");
    }
    assert_eq!(before.len(), 15 + 1);
}

#[test]
fn where_calls_ran_is_counted_and_goes_to_other_with_them() {
    let registry = registry(1, (3, 64 << 20));
    let meters = Meters::new(&registry, WorkerId(0));
    let meter = meters.meter("shop");
    let run = |fingerprint, route, times: u64| {
        let stat = stat(&meter, fingerprint);
        let call = Call { route, ..Call::default() };
        (0..times).for_each(|_| meter.called(&stat, &call));
        // It was counted where it ran when it was begun; and of a kind that there is not, nowhere.
        meter.called(&stat, &Call { goes_on: true, ..call });
        meter.called(&stat, &Call { route: usize::MAX, ..call });
    };
    run(1, 0, 2);
    run(1, 7, 3);
    let routes = |name: Name| {
        let seen = registry.statements();
        let seen = seen.iter().find(|seen| seen.name == name).map(|seen| seen.routes());
        seen.map(|routes| (routes[0], routes[7], routes.iter().sum::<u64>()))
    };
    assert_eq!(routes(Name::Fingerprint(1)), Some((2, 3, 5)));
    (2..20).for_each(|fingerprint| run(fingerprint, 7, 100 * fingerprint));
    assert_eq!(routes(Name::Fingerprint(1)), None);
    let all: u64 = registry.statements().iter().map(|seen| seen.routes().iter().sum::<u64>()).sum();
    assert_eq!(all, 5 + (2..20).map(|fingerprint| 100 * fingerprint).sum::<u64>());
}

#[test]
fn a_name_is_read_as_it_is_shown() {
    for name in [Name::Fingerprint(0), Name::Fingerprint(u64::MAX), Name::Unparsed, Name::Pipeline, Name::Other] {
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    for text in ["", "0", "+123456789abcdef", "0123456789abcdefg", "Other", "0x23456789abcdef", "é123456789abcde"] {
        assert!(text.parse::<Name>().is_err(), "{text}");
    }
}
