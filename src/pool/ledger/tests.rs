//! Who gets a place, who is asked to give one up, and who is not.

use super::*;
use crate::ids::{Numbers, WorkerId};
use crate::pool::Steward;
use std::sync::Arc;

/// Three users of a database with one place.
struct Stage {
    ledger: Ledger,
    lanes: Vec<(Quota, Steward, Chores)>,
}

impl Stage {
    fn new(limit: usize) -> Self {
        let ledger = Ledger::default();
        let lane = |user: &str| {
            let (steward, chores) = Steward::new(WorkerId(0), Arc::new(Numbers::default()));
            let quota =
                Quota { database: "shop".to_owned(), database_limit: limit, user: user.to_owned(), user_limit: 0 };
            ledger.enroll(&quota, &chores);
            (quota, steward, chores)
        };
        let lanes = ["a", "b", "c"].map(lane).into();
        Self { ledger, lanes }
    }

    fn acquire(&self, lane: usize) -> bool {
        let (quota, _, chores) = &self.lanes[lane];
        self.ledger.acquire(quota, chores)
    }

    fn release(&self, lane: usize) {
        self.ledger.release(&self.lanes[lane].0);
    }

    fn claims(&self, lane: usize, own_wait: Option<u64>) -> bool {
        let (quota, _, chores) = &self.lanes[lane];
        self.ledger.is_contended() && self.ledger.claims(quota, chores, own_wait.map(Duration::from_millis))
    }

    /// Whether a lane has been poked since the last look.
    fn poked(&mut self, lane: usize) -> bool {
        let steward = &mut self.lanes[lane].1;
        std::iter::from_fn(|| steward.next_chore()).any(|chore| matches!(chore, Chore::Poke))
    }
}

#[test]
fn a_lane_gives_nothing_up_for_its_own_sake() {
    let stage = Stage::new(1);
    assert!(stage.acquire(0));
    assert!(!stage.acquire(0));
    assert!(!stage.claims(0, None), "its own waiters get its servers as they come in");
    assert!(!stage.acquire(1));
    assert!(stage.claims(0, None));
}

#[test]
fn no_more_places_are_given_up_than_are_wanted() {
    let stage = Stage::new(2);
    assert!(stage.acquire(0) && stage.acquire(1));
    assert!(!stage.acquire(2));
    assert!(stage.claims(0, None));
    assert!(!stage.claims(1, None), "one is on its way already");
}

#[test]
fn a_free_place_goes_to_who_has_waited_longest_and_nobody_overtakes() {
    let mut stage = Stage::new(1);
    assert!(stage.acquire(0));
    assert!(!stage.acquire(1));
    assert!(!stage.acquire(2));
    stage.release(0);
    assert!(!stage.acquire(0), "it is taken before anybody has come for it");
    assert!(stage.poked(1) && !stage.poked(2));
    assert!(stage.acquire(1));
    stage.release(1);
    assert!(stage.poked(2) && stage.acquire(2));
}

#[test]
fn a_place_closed_for_another_lane_goes_there_even_if_its_own_came_first() {
    let mut stage = Stage::new(1);
    assert!(stage.acquire(0));
    assert!(!stage.acquire(0));
    assert!(!stage.acquire(1));
    assert!(stage.claims(0, None));
    stage.release(0);
    assert!(stage.poked(1) && !stage.poked(0));
}

#[test]
fn a_place_that_is_not_wanted_any_more_goes_to_the_next() {
    let mut stage = Stage::new(1);
    assert!(stage.acquire(0));
    assert!(!stage.acquire(1) && !stage.acquire(2));
    stage.release(0);
    stage.ledger.withdraw(&stage.lanes[1].2);
    assert!(stage.poked(2) && stage.acquire(2));
}

#[test]
fn a_lane_that_is_gone_keeps_no_place() {
    let mut stage = Stage::new(1);
    assert!(stage.acquire(0));
    assert!(!stage.acquire(1) && !stage.acquire(2));
    stage.release(0);
    drop(stage.lanes.remove(1));
    assert!(!stage.acquire(0), "it queues up behind the other");
    assert!(stage.poked(1) && stage.acquire(1));
}

#[tokio::test(start_paused = true)]
async fn a_lane_with_waiters_gives_a_place_up_to_one_that_has_waited_a_fair_time_and_longer() {
    let stage = Stage::new(1);
    assert!(stage.acquire(0));
    assert!(!stage.acquire(1));
    assert!(!stage.claims(0, Some(0)));
    tokio::time::advance(FAIR).await;
    assert!(!stage.claims(0, Some(1000)), "its own have waited longer");
    assert!(stage.claims(0, Some(10)));
}
