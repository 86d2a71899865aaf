//! A storm, with a clock turned by hand.

use super::*;
use crate::clock;

const PACE: Pace = Pace { free: 5, delay: Duration::from_secs(1) };

struct Stage {
    throttle: Throttle,
    now: Instant,
}

impl Stage {
    fn new(most: usize) -> Self {
        Self { throttle: Throttle::new(most), now: clock::now() }
    }

    fn fail(&mut self, from: &str, times: usize) {
        (0..times).for_each(|_| self.throttle.failed(address(from), PACE, self.now));
    }

    /// An attempt begins: the milliseconds it waits.
    fn enter(&mut self, from: &str) -> u128 {
        self.throttle.enter(address(from), PACE, self.now).as_millis()
    }

    fn forgive(&mut self, from: &str) {
        self.throttle.forgive(address(from), PACE, self.now);
    }

    /// Whether an attempt would wait.
    fn waits(&mut self, from: &str) -> bool {
        let waits = self.enter(from) > 0;
        if waits {
            self.forgive(from);
        }
        waits
    }

    fn after(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn f33_the_first_failures_cost_nothing_and_the_next_attempt_waits() {
    let mut stage = Stage::new(10);
    for _ in 0..5 {
        assert!(!stage.waits("10.0.0.1"));
        stage.fail("10.0.0.1", 1);
    }
    assert!(stage.waits("10.0.0.1"));
    assert!(!stage.waits("10.0.0.2"), "the neighbour has done nothing");
}

#[test]
fn f33_a_failure_is_forgiven_after_each_delay_however_long_the_storm_was() {
    let mut stage = Stage::new(10);
    stage.fail("10.0.0.1", 5);
    for _ in 0..100_000 {
        assert_eq!(stage.enter("10.0.0.1"), 1000, "each waits, and fails");
        stage.after(1000);
    }
    stage.after(999);
    assert!(stage.waits("10.0.0.1"));
    stage.after(1);
    assert!(!stage.waits("10.0.0.1"));
    stage.fail("10.0.0.1", 1);
    assert!(stage.waits("10.0.0.1"), "only one was forgiven");
    stage.after(5000);
    stage.fail("10.0.0.1", 4);
    assert!(!stage.waits("10.0.0.1"), "all were forgiven");
}

#[test]
fn f33_attempts_at_once_wait_for_each_other() {
    let mut stage = Stage::new(10);
    stage.fail("10.0.0.1", 5);
    for number in 1..=u128::from(OWED_MOST) {
        assert_eq!(stage.enter("10.0.0.1"), 1000 * number);
    }
    assert!(!stage.waits("10.0.0.2"), "the neighbour has done nothing");
    // After three and a half of them the next one still stands behind the last.
    stage.after(3500);
    assert_eq!(stage.enter("10.0.0.1"), 1000 * (u128::from(OWED_MOST) + 1) - 3500);
    for _ in 0..1000 {
        stage.enter("10.0.0.1");
    }
    assert_eq!(stage.enter("10.0.0.1"), 1000 * (u128::from(OWED_MOST) + 1), "no more than that is owed");
}

#[test]
fn f33_what_turns_out_to_be_no_failure_is_given_back() {
    let mut stage = Stage::new(10);
    stage.fail("10.0.0.1", 5);
    assert_eq!([(); 3].map(|()| stage.enter("10.0.0.1")), [1000, 2000, 3000]);
    (0..3).for_each(|_| stage.forgive("10.0.0.1"));
    assert_eq!(stage.enter("10.0.0.1"), 1000, "the failures are still owed");
    stage.after(60_000);
    stage.forgive("10.0.0.1");
    assert!(stage.throttle.forgiven.is_empty(), "nobody is owed anything");
    stage.forgive("10.0.0.1");
    stage.fail("10.0.0.1", 5);
    assert_eq!(stage.enter("10.0.0.1"), 1000, "nothing is given in advance");
}

#[test]
fn f33_an_ipv6_network_of_64_bits_is_one_address_and_so_is_a_mapped_one() {
    let mut stage = Stage::new(10);
    stage.fail("2001:db8:1:2::1", 3);
    stage.fail("2001:db8:1:2:ffff:ffff:ffff:ffff", 2);
    assert!(stage.waits("2001:db8:1:2:3::"));
    assert!(!stage.waits("2001:db8:1:3::1"));
    stage.fail("::ffff:10.0.0.1", 5);
    assert!(stage.waits("10.0.0.1"));
}

#[test]
fn f33_the_table_is_bounded_and_the_worst_are_remembered() {
    let mut stage = Stage::new(100);
    stage.fail("10.0.0.1", 5);
    for number in 0..1000 {
        stage.fail(&format!("10.1.{}.{}", number / 250, number % 250), 1);
        assert!(stage.throttle.forgiven.len() <= 100);
    }
    assert!(stage.waits("10.0.0.1"));
    stage.after(60_000);
    stage.fail("10.0.0.2", 1);
    assert_eq!(stage.throttle.forgiven.len(), 1, "nobody else owes anything");
}

#[test]
fn f33_a_reload_that_changes_the_pace_forgives_and_without_a_delay_nobody_is_remembered() {
    let mut stage = Stage::new(10);
    stage.fail("10.0.0.1", 1000);
    assert!(stage.waits("10.0.0.1"));
    let (from, none) = (address("10.0.0.1"), Pace { free: 1, delay: Duration::ZERO });
    assert_eq!(stage.throttle.enter(from, none, stage.now), Duration::ZERO);
    stage.throttle.failed(from, none, stage.now);
    assert!(stage.throttle.forgiven.is_empty());
}
