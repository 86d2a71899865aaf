//! An attempt gives its places back, however its task ends.

use super::*;
use crate::clock;
use crate::pool::stage::Stage;
use std::future::Future;
use std::task::{Context, Waker};

#[tokio::test]
async fn an_attempt_whose_task_is_dropped_gives_its_places_back() {
    let (stage, mut steward) = Stage::new();
    let lane = &stage.lane;
    let waiting = stage.wait();
    let Some(Chore::Open(attempt)) = steward.next_chore() else { panic!("an opening was asked for") };
    assert!(lane.ledger.acquire(&lane.spec().quota, &lane.chores, clock::now()));
    let mut task = Box::pin(open(Opening::new(lane.clone(), attempt), ServerId(1)));
    assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(stage.opening_and_waiting(), (1, 1));
    drop(task);
    while let Some(chore) = steward.next_chore() {
        steward.handle(chore, lane);
    }
    assert_eq!(stage.opening_and_waiting(), (0, 1));
    assert!(lane.failure().is_some());
    assert!(lane.ledger.acquire(&lane.spec().quota, &lane.chores, clock::now()), "the ledger's place is still taken");
    assert!(waiting.give_up());
}
