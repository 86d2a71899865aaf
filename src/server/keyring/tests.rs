//! What is learned, and what is forgotten.

use super::*;
use crate::auth::{Disguise, Stored, Users};
use crate::secret::Secret;
use std::num::NonZeroU32;

/// The keys that a client with this password shows.
fn keys(password: &str) -> BorrowedKeys {
    let disguise = Arc::new(Disguise::new([1; 32], [Some(NonZeroU32::MIN)].into_iter()));
    let stored = ("otter".to_owned(), Stored::parse(password).expect("plain text"));
    let challenge = Users::new([stored].into_iter(), disguise, true).password("otter");
    let keys = challenge.derivation(Secret::new(password.to_owned())).run();
    challenge.check(password, keys).expect("let in").1.expect("by its keys")
}

#[test]
fn keys_are_news_only_the_first_time() {
    let keyring = Keyring::default();
    assert!(keyring.learn("otter", keys("old")));
    assert!(!keyring.learn("otter", keys("old")));
    assert!(keyring.learn("otter", keys("new")));
    assert!(keyring.learn("stoat", keys("new")));
}

#[test]
fn refused_keys_are_forgotten_and_may_be_taught_again() {
    let keyring = Keyring::default();
    keyring.learn("otter", keys("old"));
    let refused = keyring.borrow("otter").expect("learned");
    keyring.forget("otter", &refused);
    assert!(keyring.borrow("otter").is_none());
    // No news, or every login of a client with a stale password would be one at the server.
    assert!(!keyring.learn("otter", keys("old")));
    assert!(keyring.borrow("otter").is_some());
}

#[test]
fn keys_of_who_is_not_listed_any_more_are_forgotten_and_are_news_again() {
    let keyring = Keyring::default();
    for role in ["otter", "stoat"] {
        keyring.learn(role, keys("old"));
    }
    keyring.keep(|role| role == "stoat");
    assert_eq!(["otter", "stoat"].map(|role| keyring.borrow(role).is_some()), [false, true]);
    assert_eq!(["otter", "stoat"].map(|role| keyring.learn(role, keys("old"))), [true, false]);
}

#[test]
fn a_late_refusal_does_not_forget_newer_keys() {
    let keyring = Keyring::default();
    keyring.learn("otter", keys("old"));
    let late = keyring.borrow("otter").expect("learned");
    keyring.learn("otter", keys("new"));
    keyring.forget("otter", &late);
    assert!(keyring.borrow("otter").is_some());
}
