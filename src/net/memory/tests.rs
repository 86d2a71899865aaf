//! Who is counted, who is told to go, and when.

use super::*;

const MIB: usize = 1 << 20;

fn all(budget: usize) -> Arc<Memory> {
    Arc::new(Memory::new(budget))
}

#[tokio::test(start_paused = true)]
async fn f22_who_holds_little_is_not_counted_and_what_is_held_is_given_back() {
    let all = all(MIB);
    let (mut small, mut big) = (Holding::new(all.clone()), Holding::new(all.clone()));
    assert!(small.note(SMALL, 0) && big.note(SMALL + 1, 0));
    assert_eq!((all.held(), small.deadline(), big.deadline().is_some()), (SMALL + 1, None, true));
    assert!(big.note(3 * SMALL, 0));
    assert_eq!(all.held(), 3 * SMALL);
    assert!(big.note(SMALL, 0));
    assert_eq!((all.held(), big.deadline()), (0, None));
    assert!(big.note(2 * SMALL, 0));
    drop(big);
    assert_eq!(all.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn f22_above_the_budget_nobody_comes_in_or_is_read_far_ahead_and_who_does_not_move_goes() {
    let all = all(MIB);
    let (mut stuck, mut moving) = (Holding::new(all.clone()), Holding::new(all.clone()));
    assert!(stuck.note(MIB - SMALL, 7) && all.admit().is_ok());
    assert!(!all.is_full(HIGH_WATER) && all.is_full(HIGH_WATER + 1));
    tokio::time::advance(10 * GRACE).await;
    assert!(stuck.note(MIB - SMALL, 7), "there is enough for all");
    assert!(moving.note(2 * SMALL, 1));
    assert_eq!(all.admit().map_err(|fault| fault.sqlstate), Err(SqlState::OUT_OF_MEMORY));
    assert!(!all.is_full(SMALL) && all.is_full(SMALL + 1));
    tokio::time::advance(GRACE).await;
    assert!(moving.note(2 * SMALL, 2));
    assert!(!stuck.note(MIB - SMALL, 7));
    assert_eq!((stuck.shed().sqlstate, all.shed()), (SqlState::OUT_OF_MEMORY, 1));
    drop(stuck);
    assert!(all.admit().is_ok());
}

#[tokio::test(start_paused = true)]
async fn f22_a_quarter_above_the_budget_nobody_holds_much() {
    let all = all(MIB);
    let (mut first, mut second, mut small) =
        (Holding::new(all.clone()), Holding::new(all.clone()), Holding::new(all.clone()));
    assert!(first.note(MIB + MIB / 4, 0));
    assert!(!second.note(2 * SMALL, 0), "whoever comes to hold more");
    assert!(small.note(SMALL, 0));
}

#[tokio::test(start_paused = true)]
async fn f22_who_is_shed_makes_room_at_once_and_nobody_else_has_to_go() {
    let all = all(MIB);
    let (mut hog, mut other) = (Holding::new(all.clone()), Holding::new(all.clone()));
    assert!(other.note(2 * SMALL, 1));
    assert!(!hog.note(MIB + MIB / 4, 1));
    hog.shed();
    assert!(other.note(3 * SMALL, 2), "the hog has not left yet");
    assert_eq!((all.held(), hog.deadline()), (3 * SMALL, None));
    drop(hog);
    assert_eq!(all.held(), 3 * SMALL);
}

#[tokio::test(start_paused = true)]
async fn when_memory_is_tight_clients_are_read_on_a_little_all_the_same() {
    let all = all(MIB);
    let mut hog = Holding::new(all.clone());
    assert_eq!(all.room_to_read_on(MIB), MIB);
    hog.note(2 * MIB, 0);
    assert_eq!((all.room_to_read_on(MIB), all.room_to_read_on(1)), (SMALL, 1));
}

#[test]
fn f22_a_reload_changes_the_budget_and_takes_the_usual_one_where_there_is_none() {
    let all = all(MIB);
    all.set_budget(Some(5));
    assert_eq!(all.budget(), 5);
    all.set_budget(None);
    assert_eq!(all.budget(), MIB);
}

#[test]
fn f22_who_has_not_logged_in_is_counted_apart_and_refused_beyond_a_sixteenth_of_the_budget() {
    let all = all(MIB);
    let stranger = || Strange::new(all.clone());
    let mut modest: Vec<_> = (0..1000).map(|_| stranger()).collect();
    assert!(modest.iter_mut().all(|one| one.note(STRANGER).is_ok()), "a login fits, however many there are");
    let (mut first, mut second) = (stranger(), stranger());
    assert!(first.note(MIB / STRANGERS - STRANGER).is_ok());
    assert_eq!(second.note(STRANGER + 1).map_err(|fault| fault.sqlstate), Err(SqlState::OUT_OF_MEMORY));
    assert!(modest[0].note(STRANGER).is_ok() && all.admit().is_ok(), "nobody else goes for them");
    assert_eq!(all.held(), 0);
    drop(first);
    assert!(second.note(STRANGER + 1).is_ok());
    drop(second);
    assert_eq!(all.strangers.load(Ordering::Relaxed), 0);
}
