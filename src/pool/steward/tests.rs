//! How long a host is left alone, and when a lane asks other lanes for a place.

use super::*;
use crate::pool::Quota;
use crate::pool::core::Limits;
use crate::pool::stage::Stage;
use rustix::io::Errno;

const HOUR: Duration = Duration::from_secs(3600);

/// An attempt that begins and fails now.
fn fails(backoff: &Backoff, error: &LoginError, random: u8) -> Duration {
    let now = clock::now();
    backoff.failed(error, now, now, random)
}

fn unreachable(errno: Errno) -> LoginError {
    LoginError::Unreachable(errno.into())
}

#[test]
fn f21_our_own_want_of_descriptors_is_no_failure_of_the_host() {
    let backoff = Backoff::new(HOUR);
    let first = fails(&Backoff::new(HOUR), &LoginError::TimedOut, 0);
    for errno in [Errno::MFILE, Errno::NFILE].repeat(5) {
        assert_eq!(fails(&backoff, &unreachable(errno), 0), KNOCK);
    }
    let counts = backoff.meter.counts();
    assert_eq!((counts.connects[ConnectResult::NoDescriptors as usize], counts.up), (10, None), "it was not asked");
    assert_eq!(fails(&backoff, &LoginError::TimedOut, 0), first);
    // What is the host's counts.
    fails(&backoff, &unreachable(Errno::CONNREFUSED), 0);
    assert!(fails(&backoff, &LoginError::TimedOut, 0) > first);
}

#[test]
fn a_new_longest_pause_holds_from_the_next_failure_on() {
    let backoff = Backoff::new(HOUR);
    for _ in 0..10 {
        fails(&backoff, &LoginError::TimedOut, 0);
    }
    assert_eq!(fails(&backoff, &LoginError::TimedOut, 0), HOUR);
    backoff.set_longest(Duration::from_secs(1));
    assert_eq!(fails(&backoff, &LoginError::TimedOut, 0), Duration::from_secs(1));
}

#[test]
fn f13_a_host_that_stops_or_starts_is_asked_again_soon_however_many_it_has_turned_away() {
    for code in ["57P01", "57P02", "57P03"] {
        let backoff = Backoff::new(Duration::from_secs(15));
        let refused = LoginError::Refused { sqlstate: code.to_owned(), message: "not now".to_owned(), detail: None };
        let pauses = (0..50).map(|_| fails(&backoff, &refused, 0));
        assert!(pauses.max() <= Some(KNOCK), "{code}");
    }
}

#[test]
fn f11_pauses_grow_with_each_failure_are_spread_and_begin_anew_after_a_success() {
    let pauses = |backoff: &Backoff, random| (0..8).map(|_| fails(backoff, &LoginError::TimedOut, random)).collect();
    let (longest, shortest): (Vec<_>, Vec<_>) = (pauses(&Backoff::new(HOUR), 0), pauses(&Backoff::new(HOUR), 255));
    assert!(
        longest[..7].is_sorted_by(|before, after| *after == 2 * *before) && longest[6..] == [HOUR; 2],
        "{longest:?}"
    );
    for (long, short) in longest.iter().zip(&shortest) {
        assert!(*short > *long / 2 && *short < *long * 51 / 100, "{short:?} of {long:?}");
    }
    // One that is not there, and may be at any moment, is knocked at.
    assert_eq!(fails(&Backoff::new(HOUR), &unreachable(Errno::CONNREFUSED), 0), KNOCK);
    let backoff = Backoff::new(HOUR);
    let _: Vec<_> = pauses(&backoff, 0);
    backoff.succeeded();
    assert_eq!(fails(&backoff, &LoginError::TimedOut, 0), longest[0]);
}

#[test]
fn f11_attempts_that_were_under_way_at_once_fail_once() {
    let (backoff, begun) = (Backoff::new(HOUR), clock::now());
    let after = |round: u32| begun + round * Duration::from_secs(15);
    let mut before = Duration::ZERO;
    for round in 0..3 {
        let pauses: Vec<_> = (0..20)
            .map(|place| {
                let now = after(round + 1) + Duration::from_millis(place);
                backoff.failed(&LoginError::TimedOut, after(round), now, 0)
            })
            .collect();
        assert!(pauses.iter().all(|pause| *pause == pauses[0]), "{pauses:?}");
        assert!(round == 0 && pauses[0] == HOUR / 64 || pauses[0] == 2 * before, "{round}: {pauses:?}");
        before = pauses[0];
    }
}

/// A lane whose database's one place another lane has.
struct Scene {
    stage: Stage,
    steward: Steward,
    other: (Quota, Steward, Chores),
}

impl Scene {
    fn new() -> Self {
        let (stage, steward) = Stage::new();
        let (other_steward, chores) = Steward::new(WorkerId(0), Arc::new(Numbers::default()));
        let quota = Quota { user: "other".to_owned(), ..stage.lane.spec().quota.clone() };
        stage.lane.ledger.enroll(&quota, &chores);
        assert!(stage.lane.ledger.acquire(&quota, &chores, clock::now()));
        Self { stage, steward, other: (quota, other_steward, chores) }
    }

    /// Does what is to be done.
    fn work(&mut self) {
        while let Some(chore) = self.steward.next_chore() {
            self.steward.handle(chore, &self.stage.lane);
        }
    }

    /// One server is to be kept ready, and it is time to look.
    fn keep_one_ready(&self) {
        self.stage.lane.with_books(|books, now, todo| {
            let limits = Limits { min: 1, ..self.stage.lane.spec().limits.clone() };
            books.set_limits(now, limits, todo);
            books.tick(now, true, |_| true, todo);
        });
    }

    fn others_are_asked(&mut self) -> bool {
        let asked = matches!(self.other.1.next_chore(), Some(Chore::GiveUpIdle));
        assert_eq!(asked, self.stage.lane.ledger.is_contended());
        asked
    }

    fn other_closes(&self) {
        self.stage.lane.ledger.release(&self.other.2);
    }
}

#[test]
fn nobody_gives_a_place_up_for_a_server_that_is_only_kept_ready() {
    let mut scene = Scene::new();
    scene.keep_one_ready();
    assert_eq!(scene.stage.opening_and_waiting(), (1, 0));
    scene.work();
    assert!(!scene.others_are_asked());
    assert_eq!(scene.stage.opening_and_waiting(), (0, 0));
    let _waiting = scene.stage.wait();
    scene.work();
    assert!(scene.others_are_asked(), "somebody waits now");
}

#[tokio::test]
async fn a_server_is_kept_ready_where_there_is_room() {
    let local = tokio::task::LocalSet::new();
    let _entered = local.enter();
    let mut scene = Scene::new();
    scene.other_closes();
    scene.keep_one_ready();
    scene.work();
    assert_eq!(scene.stage.opening_and_waiting(), (1, 0));
    assert!(!scene.stage.lane.ledger.acquire(&scene.other.0, &scene.other.2, clock::now()), "it has the place");
}

#[test]
fn a_lane_whose_last_waiter_has_left_asks_for_no_place_any_more() {
    let mut scene = Scene::new();
    for _ in 0..2 {
        let waiting = scene.stage.wait();
        scene.work();
        assert!(scene.others_are_asked());
        assert!(waiting.give_up());
        scene.work();
        assert!(!scene.others_are_asked());
    }
}
