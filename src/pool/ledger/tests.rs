//! Who gets a place, who is asked to give one up, and who is not.

use super::*;
use crate::clock;
use crate::ids::{Numbers, WorkerId};
use crate::pool::Steward;
use std::sync::Arc;

/// A database's or a user's name, and how many servers it may have.
type Named = (&'static str, usize);

/// Lanes that share a ledger.
struct Stage {
    ledger: Ledger,
    lanes: Vec<(Quota, Steward, Chores)>,
}

impl Stage {
    /// Three users of a database.
    fn new(limit: usize) -> Self {
        Self::of(&["a", "b", "c"].map(|user| (("shop", limit), (user, 0))))
    }

    /// A lane for each database and user with their limits.
    fn of(quotas: &[(Named, Named)]) -> Self {
        let ledger = Ledger::default();
        let lane = |&((database, database_limit), (user, user_limit)): &_| {
            let (steward, chores) = Steward::new(WorkerId(0), Arc::new(Numbers::default()));
            let quota =
                Quota { database: str::to_owned(database), database_limit, user: str::to_owned(user), user_limit };
            ledger.enroll(&quota, &chores);
            (quota, steward, chores)
        };
        let lanes = quotas.iter().map(lane).collect();
        Self { ledger, lanes }
    }

    /// The first lane needs a place of the database and one of the user, the second has all of the one, the third all
    /// of the other, and a fourth is another user of the database.
    fn between_two_limits() -> Self {
        let stage = Self::of(&[
            (("shop", 1), ("app", 1)),
            (("shop", 1), ("reports", 0)),
            (("stock", 0), ("app", 1)),
            (("shop", 1), ("late", 0)),
        ]);
        assert!(stage.acquire(1) && stage.acquire(2) && !stage.acquire(0));
        stage
    }

    fn acquire(&self, lane: usize) -> bool {
        let (quota, _, chores) = &self.lanes[lane];
        self.ledger.acquire(quota, chores, clock::now())
    }

    fn release(&self, lane: usize) {
        let (_, _, chores) = &self.lanes[lane];
        self.ledger.release(chores);
    }

    fn withdraw(&self, lane: usize) {
        let (_, _, chores) = &self.lanes[lane];
        self.ledger.withdraw(chores);
    }

    /// Whether a lane closes a server for another one.
    fn hands_over(&self, lane: usize, own_wait: Option<u64>) -> bool {
        let (quota, _, chores) = &self.lanes[lane];
        let own_wait = own_wait.map(Duration::from_millis);
        self.ledger.is_contended() && self.ledger.hand_over(quota, chores, own_wait, clock::now()).is_some()
    }

    fn is_queued(&self, lane: usize) -> bool {
        self.ledger.books.lock().starving.iter().any(|starving| starving.lane.is_same(&self.lanes[lane].2))
    }

    /// What counts is the servers of each lane, and what the queue has gathered.
    fn check(&self, servers: &[usize]) {
        let books = self.ledger.books.lock();
        for (quota, ..) in &self.lanes {
            for kind in KINDS.into_iter().filter(|kind| quota.limit(*kind) > 0) {
                let counts = |other: &Quota| quota.shares(kind, other);
                let open = self.lanes.iter().zip(servers).filter(|((other, ..), _)| counts(other));
                let gathered = books.starving.iter().filter(|s| counts(&s.quota) && !s.lacks[kind as usize]).count();
                let sum = open.map(|(_, servers)| servers).sum::<usize>() + gathered;
                let used = books.used.0[kind as usize].get(quota.name(kind)).copied().unwrap_or(0);
                assert_eq!(used, sum, "{}", quota.name(kind));
                assert!(used <= quota.limit(kind), "{}", quota.name(kind));
            }
        }
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
    assert!(!stage.hands_over(0, None), "its own waiters get its servers as they come in");
    assert!(!stage.acquire(1));
    assert!(stage.hands_over(0, None));
}

#[test]
fn no_more_places_are_given_up_than_are_wanted() {
    let stage = Stage::new(2);
    assert!(stage.acquire(0) && stage.acquire(1));
    assert!(!stage.acquire(2));
    assert!(stage.hands_over(0, None));
    assert!(!stage.hands_over(1, None), "one is on its way already");
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
    assert!(stage.hands_over(0, None));
    assert!(stage.poked(1) && !stage.poked(0));
}

#[test]
fn a_place_that_is_not_wanted_any_more_goes_to_the_next() {
    let mut stage = Stage::new(1);
    assert!(stage.acquire(0));
    assert!(!stage.acquire(1) && !stage.acquire(2));
    stage.release(0);
    stage.withdraw(1);
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
    assert!(!stage.hands_over(0, Some(0)));
    tokio::time::advance(FAIR).await;
    assert!(!stage.hands_over(0, Some(1000)), "its own have waited longer");
    assert!(stage.hands_over(0, Some(10)));
}

#[test]
fn a_lane_between_two_full_limits_gets_a_place_of_each() {
    let mut stage = Stage::between_two_limits();
    assert!(stage.hands_over(1, None) && !stage.poked(0));
    assert!(stage.hands_over(2, None) && stage.poked(0));
    assert!(stage.acquire(0));
}

#[test]
fn a_place_that_waits_for_its_other_half_goes_to_nobody_who_came_later() {
    let mut stage = Stage::between_two_limits();
    stage.release(1);
    assert!(!stage.acquire(3));
    assert!(stage.hands_over(2, None) && stage.poked(0) && !stage.poked(3));
    assert!(stage.acquire(0));
    stage.release(0);
    assert!(stage.poked(3) && stage.acquire(3));
}

#[test]
fn a_place_that_waits_for_its_other_half_is_free_again_when_nobody_waits_for_that() {
    let mut stage = Stage::between_two_limits();
    assert!(stage.hands_over(1, None));
    assert!(!stage.acquire(3));
    stage.withdraw(0);
    assert!(stage.poked(3) && stage.acquire(3));
}

#[test]
fn two_lanes_that_are_given_up_to_at_once_for_one_place_are_both_served() {
    let mut stage = Stage::of(&[
        (("shop", 1), ("app", 1)),
        (("stock", 1), ("app", 1)),
        (("shop", 1), ("reports", 0)),
        (("stock", 1), ("reports", 0)),
    ]);
    assert!(stage.acquire(2) && stage.acquire(3));
    assert!(!stage.acquire(0) && !stage.acquire(1));
    assert!(stage.hands_over(3, None) && stage.hands_over(2, None));
    assert!(stage.poked(0) && stage.acquire(0));
    assert!(stage.hands_over(0, None));
    assert!(stage.poked(1) && stage.acquire(1));
}

#[test]
fn a_lane_that_fills_a_limit_alone_takes_nothing_of_another_from_others() {
    let stage = Stage::of(&[(("shop", 2), ("app", 1)), (("shop", 2), ("reports", 0)), (("shop", 2), ("late", 0))]);
    assert!(stage.acquire(0) && !stage.acquire(0));
    assert!(stage.acquire(1), "what is free is not kept for it");
    assert!(!stage.hands_over(1, None), "nothing is given up for it");
    assert!(!stage.acquire(2) && stage.hands_over(1, None));
}

/// Random histories: every place is counted once, no limit is exceeded, and whoever waits is served once all others
/// give up what they have.
#[test]
fn no_place_is_lost_or_counted_twice_and_nobody_starves_beside_idle_servers() {
    let seed = u64::from_le_bytes(crate::secret::random());
    println!("seed {seed}");
    let mut random = seed | 1;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % limit as u64).expect("below a usize")
    };
    for _ in 0..200 {
        let (shop, stock, app, reports) = (("shop", 2), ("stock", 1), ("app", 2), ("reports", 1));
        let (nobody, anything) = (("free", 0), ("anything", 0));
        // The first two are one pool's, on two hosts.
        let quotas = [(shop, app), (shop, app), (shop, reports), (stock, app), (stock, nobody), (anything, reports)];
        let mut stage = Stage::of(&quotas);
        let mut servers = [0; 6];
        for _ in 0..60 {
            let lane = below(quotas.len());
            let (quota, _, chores) = &stage.lanes[lane];
            match below(5) {
                0 | 1 => servers[lane] += usize::from(stage.acquire(lane)),
                2 => servers[lane] += usize::from(stage.ledger.acquire_spare(quota, chores)),
                3 if servers[lane] > 0 => {
                    stage.release(lane);
                    servers[lane] -= 1;
                }
                4 if servers[lane] > 0 => servers[lane] -= usize::from(stage.hands_over(lane, None)),
                _ => stage.withdraw(lane),
            }
            for (lane, servers) in servers.iter_mut().enumerate() {
                if stage.poked(lane) && below(4) > 0 {
                    *servers += usize::from(stage.acquire(lane));
                }
            }
            stage.check(&servers);
        }
        for _ in 0..20 {
            for (lane, servers) in servers.iter_mut().enumerate() {
                *servers += usize::from(stage.is_queued(lane) && stage.acquire(lane));
                *servers -= usize::from(*servers > 0 && stage.hands_over(lane, None));
            }
            stage.check(&servers);
        }
        for (lane, servers) in servers.into_iter().enumerate() {
            let needs_nobody = stage.lanes[lane].0.is_filled_by(servers);
            assert!(needs_nobody || !stage.is_queued(lane), "{lane} starves");
        }
    }
}

#[test]
fn a_checkin_of_a_lane_without_limits_does_not_wait_for_the_ledger() {
    let stage = Stage::of(&[(("free", 0), ("anybody", 0))]);
    let (quota, _steward, chores) = &stage.lanes[0];
    let (quota, chores) = (quota.clone(), chores.clone());
    let ledger = Arc::new(stage.ledger);
    let (done, outcome) = std::sync::mpsc::channel();
    let locked = ledger.books.lock();
    let lane = {
        let ledger = ledger.clone();
        std::thread::spawn(move || done.send(ledger.hand_over(&quota, &chores, None, clock::now()).is_some()))
    };
    assert_eq!(outcome.recv_timeout(Duration::from_secs(20)), Ok(false));
    drop(locked);
    lane.join().expect("no panic").expect("somebody listens");
}

#[test]
fn a_limit_that_a_reload_sets_counts_what_is_open_already() {
    let mut stage = Stage::of(&[(("shop", 0), ("anna", 0)), (("shop", 0), ("bert", 0))]);
    let now = clock::now();
    for (quota, _, chores) in &stage.lanes {
        assert!(stage.ledger.acquire(quota, chores, now));
    }
    for (quota, _, chores) in &mut stage.lanes {
        quota.database_limit = 2;
        stage.ledger.enroll(quota, chores);
    }
    let (quota, _, chores) = &stage.lanes[0];
    assert!(!stage.ledger.acquire(quota, chores, now), "two are open");
    stage.ledger.release(&stage.lanes[1].2);
    assert!(stage.ledger.acquire(quota, chores, now), "the place that became free is kept for it");
    assert_eq!(stage.ledger.books.lock().used.0[0].get("shop"), Some(&2));
}
