//! What is told of, kept and counted, with hands on the clock.

use super::*;
use crate::clock::now;

const MS: Duration = Duration::from_millis(1);

fn shop() -> Arc<str> {
    "shop".into()
}

fn name(number: u64) -> Name {
    Name::Fingerprint(number)
}

fn slow(number: u64) -> Arc<SlowQuery> {
    Arc::new(SlowQuery {
        ended: now(),
        name: name(number),
        kind: "read",
        query: "select ?".into(),
        database: "shop".into(),
        user: "app".into(),
        application_name: "".into(),
        client: "unix".into(),
        server: "127.0.0.1:5432".into(),
        role: "primary",
        reason: "single",
        waited: Duration::ZERO,
        server_time: MS,
        total: MS,
        transaction: MS,
        rows: Some(1),
        bytes: 0,
        failed: false,
        sqlstate: None,
        tags: SlowTags::default(),
        text: None,
        parameters: None,
        suppressed: 0,
    })
}

#[test]
fn many_of_one_fingerprint_are_told_of_a_few_times_a_minute_and_the_next_one_says_how_many_there_were() {
    let (log, start) = (SlowLog::default(), now());
    log.limit(10, 2);
    let admit = |name, after: Duration| log.admit(&shop(), name, 100 * MS, start + after);
    let admitted: Vec<_> = (0..5).map(|_| admit(name(1), Duration::ZERO)).collect();
    assert_eq!(admitted, [Some(0), Some(0), None, None, None]);
    assert_eq!(admit(name(2), Duration::ZERO), Some(0), "another one is another one");
    assert_eq!(log.admit(&"other".into(), name(1), 100 * MS, start), Some(0), "and so is another database's");
    assert_eq!(admit(name(1), WINDOW - MS), None);
    assert_eq!(admit(name(1), WINDOW), Some(4));
    assert_eq!(admit(name(1), WINDOW), Some(0));
    assert_eq!(admit(name(1), WINDOW), None);
    log.limit(10, 3);
    assert_eq!(admit(name(1), WINDOW), Some(1), "a reload counts at once");
    assert_eq!(log.counts(), [("other".into(), Some(100 * MS), 1), ("shop".into(), Some(100 * MS), 11)]);
}

#[test]
fn the_newest_are_kept_and_no_more_than_were_asked_for() {
    let log = SlowLog::default();
    let kept = || log.newest().iter().map(|slow| slow.name).collect::<Vec<_>>();
    log.limit(3, 10);
    (1..=5).for_each(|number| log.keep(slow(number)));
    assert_eq!(kept(), [name(5), name(4), name(3)]);
    log.limit(2, 10);
    assert_eq!(kept(), [name(5), name(4)]);
    log.limit(4, 10);
    log.keep(slow(6));
    assert_eq!(kept(), [name(6), name(5), name(4)]);
    log.limit(0, 10);
    log.keep(slow(7));
    assert_eq!(kept(), []);
}

#[test]
fn too_many_fingerprints_share_what_is_told_of_them_and_nothing_that_was_not_is_lost() {
    let (log, start) = (SlowLog::default(), now());
    log.limit(10, 1);
    let admit = |number, at| log.admit(&shop(), name(number), 100 * MS, at);
    let all = FINGERPRINTS_MAX as u64;
    for number in 0..all {
        assert_eq!(admit(number, start), Some(0));
        assert_eq!(admit(number, start), None);
    }
    assert_eq!(admit(all, start), Some(0), "the first one of those that share");
    assert_eq!(admit(all + 1, start), None);
    assert!(log.0.lock().windows.len() <= FINGERPRINTS_MAX + 1);
    // A minute later there is room again: what is forgotten is said by the next one that shares.
    for number in 0..=all {
        admit(2 * all + number, start + WINDOW);
    }
    let log = log.0.lock();
    assert!(log.windows.len() <= FINGERPRINTS_MAX + 1);
    let counts: u64 = log.counts[&shop()].values().sum();
    assert_eq!(counts, 2 * all + 2 + all + 1);
}

#[test]
fn what_was_suppressed_of_those_that_are_forgotten_is_said_with_what_shares() {
    let (log, start) = (SlowLog::default(), now());
    log.limit(10, 1);
    let admit = |number, at| log.admit(&shop(), name(number), 100 * MS, at);
    let all = FINGERPRINTS_MAX as u64;
    for number in 0..all {
        admit(number, start);
        admit(number, start);
    }
    // All of these are forgotten, and there is room for so many new ones that the last two have to share.
    let told: Vec<_> = (0..=all).map(|number| admit(all + number, start + WINDOW)).collect();
    assert_eq!(told.iter().flatten().sum::<u64>(), all);
}

#[test]
fn where_there_is_no_room_it_is_looked_for_once_a_second_and_not_for_each_statement() {
    let (log, start) = (SlowLog::default(), now());
    log.limit(10, 1);
    let all = FINGERPRINTS_MAX as u64;
    let admit = |number, at| log.admit(&shop(), name(number), 100 * MS, at);
    let has = |number| log.0.lock().windows.contains_key(&(shop(), name(number)));
    (0..all).for_each(|number| {
        let _ = admit(number, start);
    });
    admit(all, start + WINDOW - MS);
    admit(all + 1, start + WINDOW);
    assert!(has(0) && !has(all) && !has(all + 1), "it was looked for a millisecond before");
    admit(all + 2, start + WINDOW - MS + LOOK);
    assert!(!has(0) && has(all + 2));
}

#[test]
fn a_threshold_is_a_label_and_there_are_at_most_six() {
    let (log, start) = (SlowLog::default(), now());
    for number in 1..=8 {
        log.admit(&shop(), name(1), number * MS, start);
    }
    log.admit(&shop(), name(1), MS, start);
    let counts: Vec<_> = log.counts().into_iter().map(|(_, threshold, count)| (threshold, count)).collect();
    let mut expected = vec![(None, 2), (Some(MS), 2)];
    expected.extend((2..=6).map(|number| (Some(number * MS), 1)));
    assert_eq!(counts, expected);
}
