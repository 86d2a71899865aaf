//! PostgreSQL's rules.

use super::super::deeds::Deeds;
use super::*;
use crate::sql::Reading;

/// What is listened to behind a text in one transaction each for `;;`, where COMMIT works unless it says otherwise.
fn after(script: &str) -> String {
    let mut channels = Channels::default();
    for transaction in script.split(";;") {
        let deeds = Deeds::by(transaction.as_bytes(), Reading::default()).deeds;
        let mut left = Vec::new();
        channels.ahead(&deeds);
        let failed = transaction.contains("ERROR");
        deeds.into_iter().for_each(|deed| channels.done(deed, !failed, &mut left));
        channels.end(failed, &mut left);
        let heard: BTreeSet<_> = channels.all().into_iter().collect();
        assert_eq!(heard, channels.own, "{script}: the hub hears nothing in vain");
        assert!(left.iter().all(|left| !channels.contains(left)), "{script}: nothing is left that is wanted");
    }
    channels.own().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>().join(" ")
}

#[test]
fn listen_and_unlisten_count_from_the_commit_on_in_their_order() {
    for (script, expected) in [
        ("LISTEN a; LISTEN b", "a b"),
        ("LISTEN a;; LISTEN a; LISTEN b;; UNLISTEN a", "b"),
        ("LISTEN a; LISTEN b;; UNLISTEN *; LISTEN c", "c"),
        ("LISTEN a; UNLISTEN a", ""),
        ("UNLISTEN a; LISTEN a", "a"),
        ("LISTEN a;; DISCARD ALL", ""),
        ("LISTEN a; COMMIT; LISTEN b", "a b"),
    ] {
        assert_eq!(after(script), expected, "{script}");
    }
}

#[test]
fn rollback_undoes_them() {
    for (script, expected) in [
        ("LISTEN a; ROLLBACK", ""),
        ("LISTEN a;; UNLISTEN *; ABORT", "a"),
        ("LISTEN a; ERROR", ""),
        ("LISTEN a;; UNLISTEN a; ERROR; COMMIT", "a"),
        ("LISTEN a; ROLLBACK; LISTEN b", "b"),
        ("LISTEN a; PREPARE TRANSACTION 'x'", ""),
    ] {
        assert_eq!(after(script), expected, "{script}");
    }
}

#[test]
fn rollback_to_a_savepoint_undoes_what_came_behind_it() {
    for (script, expected) in [
        ("LISTEN a; SAVEPOINT s; LISTEN b; ROLLBACK TO s; COMMIT", "a"),
        ("SAVEPOINT s; LISTEN a; ROLLBACK TO s; LISTEN b; COMMIT", "b"),
        ("LISTEN a; SAVEPOINT s; LISTEN b; ROLLBACK TO s; LISTEN c; ROLLBACK TO s; COMMIT", "a"),
        ("LISTEN a; SAVEPOINT s; LISTEN b; SAVEPOINT s; LISTEN c; ROLLBACK TO s; COMMIT", "a b"),
        ("LISTEN a; SAVEPOINT s; LISTEN b; SAVEPOINT s; RELEASE s; ROLLBACK TO s; COMMIT", "a"),
        ("SAVEPOINT o; LISTEN a; SAVEPOINT s; LISTEN b; RELEASE o; COMMIT", "a b"),
        ("SAVEPOINT o; LISTEN a; SAVEPOINT s; RELEASE o; LISTEN b; COMMIT", "a b"),
        ("LISTEN a;; SAVEPOINT s; UNLISTEN *; ROLLBACK TO SAVEPOINT s; COMMIT", "a"),
    ] {
        assert_eq!(after(script), expected, "{script}");
    }
}

#[test]
fn the_hub_is_told_once_what_it_has_to_hear() {
    let mut channels = Channels::default();
    let deeds = |text: &str| Deeds::by(text.as_bytes(), Reading::default()).deeds;
    assert_eq!(channels.ahead(&deeds("LISTEN a; LISTEN b; LISTEN a")).len(), 2);
    assert_eq!(channels.ahead(&deeds("LISTEN b; UNLISTEN a")).len(), 0);
    let mut left = Vec::new();
    deeds("LISTEN a; LISTEN b").into_iter().for_each(|deed| channels.done(deed, true, &mut left));
    channels.done(Deed::RollBack, false, &mut left);
    channels.end(false, &mut left);
    assert_eq!((left.len(), channels.is_empty()), (2, true));
}
