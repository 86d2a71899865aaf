//! Buckets, quantiles, and that the shared form counts the same.

use super::*;
use proptest::prelude::*;

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

#[test]
fn buckets_lie_side_by_side_and_each_begins_where_it_says() {
    for bucket in 1..BUCKETS - 1 {
        let (from, to) = bounds(bucket);
        assert_eq!(bounds(bucket - 1).1, from, "bucket {bucket}");
        assert_eq!(index(us(from)), if from < END_US { bucket } else { BUCKETS - 1 }, "{from} us");
        assert!(to > END_US || index(us(to - 1)) == bucket, "{to} us");
        assert!((to - from) * SUBS as u64 <= from, "bucket {bucket} is wider than an eighth");
    }
    assert_eq!((index(Duration::ZERO), index(us(15)), index(us(16))), (0, 0, 1));
    assert_eq!((index(us(END_US - 1)) < BUCKETS - 1, index(us(END_US))), (true, BUCKETS - 1));
    assert_eq!(index(Duration::MAX), BUCKETS - 1);
}

#[test]
fn a_quantile_is_the_middle_of_its_bucket() {
    let mut latency = Latency::default();
    assert_eq!(latency.quantile(0.5), None);
    (0..99).for_each(|_| latency.observe(us(1000)));
    latency.observe(Duration::from_secs(7200));
    // 960 to 1024.
    assert_eq!(latency.quantile(0.5), Some(us(992)));
    assert_eq!(latency.quantile(0.99), Some(us(992)));
    assert_eq!(latency.quantile(1.0), Some(Duration::from_secs(3600)));
    assert_eq!(latency.quantile(0.0), Some(us(992)));
}

#[test]
fn memory_is_taken_for_octaves_that_are_used() {
    let shared = SharedLatency::default();
    assert!(shared.observe(us(100)) && !shared.observe(us(120)) && !shared.observe(us(3)));
    assert!(shared.observe(us(130)));
    assert_eq!((shared.blocks(), shared.read().count()), (2, 4));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn quantiles_are_within_a_sub_bucket_of_the_exact_ones(
        exponents in proptest::collection::vec(0.0f64..34.0, 1..400),
        share in 0.0f64..=1.0,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut took: Vec<_> = exponents.iter().map(|exponent| Duration::from_nanos((exponent.exp2() * 1e3) as u64)).collect();
        let (mut one, other, shared) = (Latency::default(), SharedLatency::default(), SharedLatency::default());
        let (front, back) = took.split_at(cut.index(took.len()));
        front.iter().for_each(|took| one.observe(*took));
        back.iter().for_each(|took| _ = other.observe(*took));
        took.iter().for_each(|took| _ = shared.observe(*took));
        let all = SharedLatency::default();
        all.take_over(&other);
        one.add(&all.read());
        prop_assert_eq!(&one, &shared.read());
        took.sort();
        let rank = ((share * took.len() as f64).ceil() as usize).clamp(1, took.len());
        let (exact, found) = (took[rank - 1], one.quantile(share).unwrap_or_default());
        if exact < us(16) {
            prop_assert_eq!(found, us(8));
        } else if exact >= us(END_US) {
            prop_assert_eq!(found, us(END_US));
        } else {
            let off = found.as_secs_f64() / exact.as_secs_f64() - 1.0;
            prop_assert!(off.abs() <= 0.0626, "{:?} for {:?}", found, exact);
        }
    }
}
