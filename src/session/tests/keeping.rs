//! What one client has set, and what a server lacks of it.

use super::*;

fn with(set: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::clone(&welcome().settings);
    for (name, value) in set {
        settings.set(name.as_bytes(), value.as_bytes()).expect("few");
    }
    settings
}

/// What a server in state `from` lacks of `to`.
fn way(from: &[(&str, &str)], to: &[(&str, &str)]) -> String {
    said(with(to).lacking(&with(from), &welcome().settings, false))
}

#[test]
fn only_what_a_server_lacks_is_sent() {
    let (work, path) = (("work_mem", "8MB"), ("search_path", "a, B"));
    assert_eq!(way(&[], &[]), "");
    assert_eq!(way(&[], &[work, path]), "search_path=a, B work_mem=8MB");
    assert_eq!(way(&[work, path], &[path, work]), "");
    assert_eq!(way(&[work], &[("work_mem", "9MB")]), "work_mem=9MB");
    assert_eq!(way(&[work, path], &[path]), "work_mem back");
    assert_eq!(way(&[path], &[("search_path", "a, b")]), "search_path=a, b", "case may be in quotes");
}

#[test]
fn what_is_reported_has_a_value_always() {
    let (name, zone) = (("application_name", "App"), ("timezone", "Asia/Tokyo"));
    assert_eq!(way(&[], &[name, zone]), "application_name=App TimeZone=Asia/Tokyo");
    assert_eq!(way(&[name, zone], &[name]), "TimeZone back");
    assert_eq!(way(&[zone], &[("TIMEZONE", "asia/tokyo")]), "", "a time zone's case does not matter");
    assert_eq!(way(&[name], &[("application_name", "app")]), "application_name=app", "but a name's does");
}

#[test]
fn a_server_that_logged_in_with_other_values_is_told_ours() {
    let reported = [("TimeZone", "Europe/Paris"), ("application_name", ""), ("session_authorization", "postgres")];
    let later = Welcome::new(parameters(&reported), &[]).settings;
    assert_eq!(said(with(&[]).lacking(&later, &later, false)), "TimeZone=UTC");
    let mut paris = with(&[]);
    paris.set(b"timezone", b"Europe/Paris").expect("few");
    assert_eq!(said(paris.lacking(&later, &later, false)), "");
    assert_eq!(said(paris.lacking(&with(&[]), &later, false)), "TimeZone back");
}

#[test]
fn who_it_runs_as_is_undone_first_and_set_last() {
    let (user, role, work) = (("session_authorization", "ann"), ("role", "reader"), ("zero_damaged_pages", "on"));
    assert_eq!(way(&[], &[role, user]), "session_authorization=ann role=reader");
    assert_eq!(way(&[role, user], &[]), "session_authorization back role back");
    assert_eq!(way(&[role], &[role]), "");
    assert_eq!(way(&[role], &[("role", "writer")]), "role back role=writer");
    // With the rights of the role that logged in, as at a login.
    assert_eq!(way(&[role], &[role, work]), "role back zero_damaged_pages=on role=reader");
    let all = "session_authorization back role back zero_damaged_pages=on session_authorization=ann role=reader";
    assert_eq!(way(&[user, role], &[user, role, work]), all);
    assert_eq!(way(&[("role", "none")], &[]), "");
}

#[test]
fn that_it_is_a_superuser_only_follows() {
    let mut ann = with(&[("role", "reader")]);
    ann.hear(b"is_superuser", b"off");
    let home = welcome().settings;
    assert_eq!(said(ann.lacking(&home, &home, false)), "role=reader");
    assert_eq!(said(home.lacking(&ann, &home, false)), "role back");
}

#[test]
fn where_nothing_is_known_all_is_set_behind_the_undoing() {
    let home = welcome().settings;
    let ann = with(&[("timezone", "Asia/Tokyo"), ("geqo", "off"), ("role", "reader")]);
    let all = "session_authorization back role back geqo=off TimeZone=Asia/Tokyo role=reader";
    assert_eq!(said(ann.lacking(&home, &home, true)), all);
    assert_eq!(said(home.lacking(&home, &home, true)), "session_authorization back role back");
}

#[test]
fn reset_brings_back_what_postgresql_has() {
    let mut ann = with(&[("TimeZone", "Asia/Tokyo"), ("geqo", "off"), ("app.x", "1")]);
    for name in ["timezone", "GEQO", "app.X"] {
        ann.unset(name.as_bytes()).expect("few");
    }
    assert_eq!(said(ann.iter()), "app.x back", "PostgreSQL keeps the name");
    assert_eq!((ann.get(b"timezone"), ann.get(b"geqo"), ann.get(b"app.x")), (Some(&b"UTC"[..]), None, None));
    assert!(ann.has(b"app.x") && !ann.has(b"app.y"));
}

#[test]
fn behind_a_discard_only_reported_settings_are_known() {
    let mut ann = with(&[("TimeZone", "Asia/Tokyo"), ("geqo", "off"), ("app.x", "1")]);
    ann.drop_unreported();
    assert_eq!(said(ann.iter()), "app.x back timezone=Asia/Tokyo");
}

#[test]
fn equal_settings_have_equal_keys_and_custom_names_their_own_half() {
    let half = |key: u64| key >> 32;
    let (ann, bob) = (with(&[("geqo", "off"), ("app.x", "1")]), with(&[("App.X", "1"), ("GEQO", "off")]));
    assert_eq!(ann, bob);
    assert_eq!(ann.key(), bob.key());
    let other = with(&[("app.x", "2")]);
    assert_ne!(other.key(), ann.key());
    assert_eq!(half(other.key()), half(ann.key()));
    assert_eq!(with(&[]).key(), 0);
    assert_ne!(half(with(&[("app.y", "1")]).key()), half(ann.key()));
    let mut names = CustomNames::default();
    ["geqo", "APP.x", "app.x"].iter().for_each(|name| names.note(name.as_bytes()));
    assert_eq!(ann.key_with(&names), ann.key());
    let mut back = ann.clone();
    back.set(b"geqo", b"on").and_then(|()| back.set(b"geqo", b"off")).expect("few");
    assert_eq!(back.key(), ann.key());
}

#[test]
fn a_server_that_has_heard_of_a_custom_name_is_for_those_who_use_it() {
    let mut names = CustomNames::default();
    assert!(names.are_within(&with(&[])));
    names.note(b"app.X");
    assert!(!names.are_within(&with(&[("app.y", "1"), ("geqo", "off")])));
    assert!(names.are_within(&with(&[("APP.x", "1"), ("app.y", "2")])));
    for number in 0..CUSTOM_MAX {
        names.note(format!("app.x{number}").as_bytes());
    }
    assert!(names.are_too_many());
}

#[test]
fn a_client_keeps_so_much_and_no_more() {
    let mut ann = with(&[]);
    let half = vec![b'x'; BYTES_MAX / 2];
    ann.set(b"app.a", &half).expect("room");
    let before = ann.clone();
    assert_eq!(ann.set(b"app.b", &half), Err(TooMuch));
    assert_eq!(ann, before);
    ann.set(b"app.a", b"").and_then(|()| ann.set(b"app.b", &half)).expect("there is room again");
    let mut many = with(&[]);
    for number in 0..NAMES_MAX {
        many.set(format!("app.x{number}").as_bytes(), b"").expect("room");
    }
    assert_eq!(many.set(b"geqo", b"on"), Err(TooMuch));
    assert_eq!(many.set(b"app.x0", b"more"), Ok(()), "no new name");
    many.hear(b"TimeZone", b"Asia/Tokyo");
    assert_eq!(many.get(b"timezone"), Some(&b"Asia/Tokyo"[..]), "what is reported has PostgreSQL's own bounds");
}

#[test]
fn a_server_with_a_very_short_timeout_is_only_for_who_has_set_it() {
    for (value, is_short) in
        [("1", true), ("19ms", true), ("900us", true), ("0.01s", true), ("20", false), ("0", false)]
    {
        let hasty = with(&[("statement_timeout", value)]);
        assert_eq!(hasty.is_hasty_for(&with(&[])), is_short, "{value}");
        assert!(!hasty.is_hasty_for(&hasty));
        assert!(!with(&[]).is_hasty_for(&hasty));
    }
    assert!(!with(&[("statement_timeout", "1min")]).is_hasty_for(&with(&[])));
}
