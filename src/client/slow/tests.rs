//! Which threshold holds for which statement.

use super::*;

fn slow(log: u64, utilities: u64) -> Slow {
    let limit = |ms| Some(Duration::from_millis(ms)).filter(|limit| !limit.is_zero());
    let (log, utilities) = (limit(log), limit(utilities));
    Slow::new(SlowQueries { log, utilities, parameters: false, per_minute: 10, keep: 10 })
}

#[test]
fn what_is_expected_to_take_long_has_a_threshold_of_its_own() {
    let slow = slow(100, 5000);
    let threshold = |kind, query| slow.threshold(kind, query).map(|threshold| threshold.as_millis());
    for (kind, query) in [
        ("read", "select ?"),
        ("write", "insert into vacuum values(?)"),
        ("utility", "begin"),
        ("utility", "commit"),
        ("utility", "vacuums"),
        ("", ""),
    ] {
        assert_eq!(threshold(kind, query), Some(100), "{query}");
    }
    for (kind, query) in [
        ("ddl", "create index on t(i)"),
        ("utility", "vacuum"),
        ("utility", "vacuum(analyze)t"),
        ("utility", "analyze t"),
        ("utility", "refresh materialized view v"),
        ("utility", "reindex table t"),
    ] {
        assert_eq!(threshold(kind, query), Some(5000), "{query}");
    }
}

#[test]
fn one_comparison_with_the_lower_threshold_is_enough_for_what_is_not_slow() {
    let may_be = |slow: &Slow, ms| slow.may_be(Duration::from_millis(ms));
    let usual = slow(100, 5000);
    assert_eq!((may_be(&usual, 99), may_be(&usual, 100)), (false, true));
    let reversed = slow(5000, 100);
    assert_eq!((may_be(&reversed, 99), may_be(&reversed, 100)), (false, true));
    let long = slow(0, 5000);
    assert_eq!((may_be(&long, 4999), may_be(&long, 5000)), (false, true));
    assert_eq!((long.threshold("read", "select ?"), slow(100, 0).threshold("ddl", "drop table t")), (None, None));
    assert!(!may_be(&slow(0, 0), u64::MAX / 1_000_000));
}
