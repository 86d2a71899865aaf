//! What comes of what is heard, without anybody who asks.

use super::*;
use crate::cluster::judge::Answer;
use crate::config::Config;
use std::path::Path;

fn config(hosts: &str) -> Config {
    let text = format!("[pooler]\nauth_type = \"trust\"\n[databases.shop]\nhosts = [{hosts}]\n");
    let nothing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let config = crate::config::parse(&text, Path::new("/pooler.toml"), &nothing, &|_| None, 1);
    config.unwrap_or_else(|report| panic!("{report}"))
}

fn watch(config: &Config) -> Watch {
    Watch::new("shop", &config.databases["shop"], &config.routing, &Freshness::new(0))
}

fn says(watch: &Watch, host: usize, standby: bool, timeline: u32, lsn: u64) -> Change {
    let number = watch.freshness.ask();
    let answer = Answer { number, standby, timeline: Some(timeline), exact: true, lsn: Some(lsn), flushed: None };
    watch.hear(
        |judge, now| {
            if judge.hosts()[host].identity.is_none() {
                judge.connected(host, 7, now);
            }
            judge.answered(host, answer, now);
        },
        |_| (),
    )
}

fn was_called(mailbox: &Mailbox) -> bool {
    mailbox.take().is_some_and(|mail| mail.sent_away)
}

#[test]
fn whoever_waits_is_called_whenever_a_primary_is_confirmed_and_who_has_left_is_not() {
    let watch = watch(&config("\"a\", \"b\""));
    let (waits, leaves) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
    let place = watch.wait(&waits);
    drop(watch.wait(&leaves));
    assert_eq!(watch.waiting(), 1);
    assert_eq!(says(&watch, 1, true, 1, 100), Change::default());
    assert!(!was_called(&waits));
    assert_eq!(says(&watch, 0, false, 1, 100), Change { primary: Some(0), revoked: None });
    assert!(was_called(&waits) && !was_called(&leaves));
    drop(place);
    // The same one again, after it was not confirmed for a while.
    watch.hear(|judge, now| judge.failed(0, "no answer".to_owned(), false, now), |_| ());
    assert_eq!(watch.primary(), None);
    let _place = watch.wait(&waits);
    assert_eq!(says(&watch, 0, false, 1, 100), Change::default(), "its servers were never in doubt");
    assert!(was_called(&waits));
}

#[test]
fn a_primary_that_another_replaces_or_that_is_fenced_may_not_acknowledge_anything() {
    let watch = watch(&config("\"a\", \"b\""));
    says(&watch, 1, true, 1, 100);
    says(&watch, 0, false, 1, 100);
    assert_eq!(says(&watch, 1, false, 2, 100), Change { primary: Some(1), revoked: Some(0) });
    assert_eq!(says(&watch, 0, false, 2, 100), Change { primary: None, revoked: Some(1) }, "both are on timeline 2");
    assert_eq!(says(&watch, 0, false, 3, 100), Change { primary: Some(0), revoked: None });
}

#[test]
fn silence_revokes_nothing() {
    let watch = watch(&config("\"a\", \"b\""));
    says(&watch, 1, true, 1, 100);
    says(&watch, 0, false, 1, 100);
    let failed = watch.hear(|judge, now| judge.failed(0, "connection refused".to_owned(), true, now), |_| ());
    assert_eq!((failed, watch.primary()), (Change::default(), None));
    assert_eq!(says(&watch, 0, true, 1, 100), Change { primary: None, revoked: Some(0) }, "it came back as a standby");
}

#[test]
fn replicas_have_their_numbers_while_they_may_be_used_and_no_longer() {
    let watch = watch(&config("\"a\", \"b\""));
    says(&watch, 1, true, 1, 100);
    says(&watch, 0, false, 1, 100);
    says(&watch, 1, true, 1, 100);
    assert!(watch.view().hosts[1].eligible && watch.freshness.covers(1) > 0);
    watch.hear(|judge, now| judge.lost(1, now), |_| ());
    assert!(!watch.view().hosts[1].eligible && watch.freshness.covers(1) == 0);
}

#[test]
fn where_nobody_can_ask_the_configuration_is_believed_until_somebody_can() {
    let config = config("\"a\", { host = \"b\", role = \"primary\" }");
    let database = &config.databases["shop"];
    let watch = watch(&config);
    assert_eq!(watch.go_blind("no", database, |_| ()), Some(Change { primary: Some(1), revoked: None }));
    assert_eq!((watch.go_blind("no", database, |_| ()), watch.primary()), (None, Some(1)));
    watch.see_again();
    assert_eq!((watch.primary(), watch.blindness()), (None, None));
    says(&watch, 1, true, 1, 100);
    assert_eq!(says(&watch, 0, false, 1, 100).primary, Some(0));
    assert_eq!(
        watch.go_blind("no", database, |_| ()),
        Some(Change::default()),
        "what was found out goes before the claim"
    );
    assert_eq!(watch.primary(), Some(0));
}

#[test]
fn a_reload_keeps_the_primary_and_all_fences() {
    let before = watch(&config("\"a\", \"b\""));
    says(&before, 0, true, 1, 100);
    says(&before, 1, false, 1, 100);
    let fence = before.freshness.fence();
    let changed = config("\"b\", \"c\"");
    let after = before.renewed(&changed.databases["shop"], &changed.routing);
    assert_eq!((after.primary(), after.freshness.fence()), (Some(0), fence));
    assert!(after.is_of(&changed.databases["shop"]) && !before.is_of(&changed.databases["shop"]));
    assert_eq!(says(&after, 1, false, 2, 100), Change { primary: Some(1), revoked: Some(0) });
    let moved = config("\"x\", \"y\"");
    assert_eq!(after.renewed(&moved.databases["shop"], &moved.routing).primary(), None);
}

#[test]
fn a_host_whose_name_leads_elsewhere_is_connected_to_anew_once() {
    let watch = watch(&config("\"a\", \"b\""));
    let host = &watch.hosts()[0];
    let [old, new] = [1, 2].map(|last| IpAddr::from([127, 0, 0, last]));
    host.found.set(Some(new));
    host.leave(|address| address == old);
    assert!(!host.has_moved() && host.found.get() == Some(new));
    host.leave(|address| address == new);
    assert!(host.has_moved() && !host.has_moved());
    assert_eq!(host.found.get(), None);
}

#[test]
fn writes_that_were_not_noted_count_for_all_once_others_have_to_see_them() {
    let with = |scope: &str, hosts: &str| {
        let mut config = config(hosts);
        config.routing.read_your_writes = match scope {
            "session" => ReadYourWrites::Session,
            _ => ReadYourWrites::Tables,
        };
        config
    };
    let (session, tables) = (with("session", "\"a\", \"b\""), with("tables", "\"a\", \"b\""));
    let watch = watch(&session);
    assert!(!watch.shares_writes());
    let written = watch.freshness.ask();
    watch.set_rules(&session.routing);
    watch.set_rules(&tables.routing);
    assert!(watch.shares_writes() && watch.unshared() >= written);
    let then = watch.freshness.ask();
    watch.set_rules(&tables.routing);
    assert!(watch.unshared() < then, "since then they have been noted");
    // With other hosts there is another watch; until the former one is over its clients may not note what they write.
    for (scope, is_noted) in [(session, false), (tables, true)] {
        let former = self::watch(&scope);
        let other = with("tables", "\"a\", \"c\"");
        let renewed = former.renewed(&other.databases["shop"], &other.routing);
        assert_eq!(renewed.unshared() == 0, is_noted);
        former.end();
        assert!(former.shares_writes(), "nobody knows what its clients are asked for now");
        renewed.share_from_now_on();
        assert!(renewed.unshared() <= renewed.freshness.fence());
    }
}

#[test]
fn whoever_waits_is_called_when_all_that_a_new_primary_changes_has_been_followed() {
    let config = config("{ host = \"a\", role = \"primary\" }, \"b\"");
    for blind in [false, true] {
        let watch = watch(&config);
        says(&watch, 1, true, 1, 1);
        let waits = Arc::new(Mailbox::default());
        let _place = watch.wait(&waits);
        let mut followed = false;
        let follow = |change: &Change| followed = change.primary == Some(0) && !was_called(&waits);
        if blind {
            watch.go_blind("no", &config.databases["shop"], follow);
        } else {
            let number = watch.freshness.ask();
            let answer = Answer { number, standby: false, timeline: Some(1), exact: true, lsn: Some(1), flushed: None };
            let hear = |judge: &mut Judge, now| {
                judge.connected(0, 7, now);
                judge.answered(0, answer, now);
            };
            watch.hear(hear, follow);
        }
        assert!(followed && was_called(&waits), "blind: {blind}");
    }
}
