//! Who is asked to give up an idle server, and who is not.

use super::*;
use crate::ids::{Numbers, WorkerId};
use crate::pool::Steward;
use std::sync::Arc;

fn quota(user: &str) -> Quota {
    Quota { database: "shop".to_owned(), database_limit: 1, user: user.to_owned(), user_limit: 0 }
}

#[test]
fn a_lane_gives_nothing_up_for_its_own_sake() {
    let ledger = Ledger::default();
    let (_first, first) = Steward::new(WorkerId(0), Arc::new(Numbers::default()));
    let (_second, second) = Steward::new(WorkerId(0), Arc::new(Numbers::default()));
    assert!(ledger.acquire(&quota("a"), &first));
    assert!(!ledger.acquire(&quota("a"), &first));
    assert!(!ledger.wants_back(&quota("a"), &first), "its own waiters get its servers as they come in");
    assert!(ledger.wants_back(&quota("b"), &second));
    assert!(!ledger.acquire(&quota("b"), &second));
    assert!(ledger.wants_back(&quota("a"), &first));
}
