//! What is believed of a server, through guards that take and guards that do not.

use super::*;
use crate::session::Welcome;

fn settings(set: &[(&str, &str)]) -> Arc<Settings> {
    let reported = [("application_name", ""), ("DateStyle", "ISO, MDY"), ("TimeZone", "UTC")];
    let reported = reported.map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()));
    let mut settings = Settings::clone(&Welcome::new(reported.to_vec(), &[]).settings);
    for (name, value) in set {
        settings.set(name.as_bytes(), value.as_bytes()).expect("few");
    }
    Arc::new(settings)
}

fn fresh() -> Belief {
    Belief::new(settings(&[]), settings(&[]))
}

/// How many settings the guard for `wanted` sets.
fn guard(belief: &mut Belief, wanted: &Arc<Settings>) -> usize {
    let start = belief.start();
    let lacking = start.lacking(wanted);
    belief.guard_sent(wanted, &lacking);
    lacking.len()
}

/// As [`guard`], and it takes. Nothing is reported, so what is reported stays as it was.
fn bring(belief: &mut Belief, wanted: &Arc<Settings>) -> usize {
    let set = guard(belief, wanted);
    belief.guard_done().expect("a guard was sent");
    set
}

fn value(belief: &Belief, name: &str) -> String {
    let value = belief.settings().expect("known").get(name.as_bytes());
    value.map_or("default".to_owned(), |value| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn a_guard_that_takes_makes_the_clients_settings_the_servers() {
    let (mut belief, ann) = (fresh(), settings(&[("geqo", "off"), ("TimeZone", "Asia/Tokyo")]));
    assert_eq!(guard(&mut belief, &ann), 2);
    assert_eq!(value(&belief, "geqo"), "default", "not before it is answered");
    assert_eq!(belief.hear(b"TimeZone", b"Asia/Tokyo"), Heard::OfGuard);
    let now = belief.guard_done().expect("a guard was sent");
    assert!(Arc::ptr_eq(&now, &ann), "nobody has to be told anything");
    assert!(belief.settings().is_some_and(|settings| Arc::ptr_eq(settings, &ann)));
}

#[test]
fn the_servers_spelling_counts_and_what_it_does_not_speak_of_is_as_before() {
    let mut belief = fresh();
    guard(&mut belief, &settings(&[("DateStyle", "German, DMY")]));
    belief.hear(b"DateStyle", b"German, DMY");
    belief.guard_done();
    let ann = settings(&[("DateStyle", "German"), ("TimeZone", "asia/tokyo")]);
    assert_eq!(guard(&mut belief, &ann), 2);
    belief.hear(b"TimeZone", b"Asia/Tokyo");
    let now = belief.guard_done().expect("a guard was sent");
    assert_eq!(now.get(b"TimeZone"), Some(&b"Asia/Tokyo"[..]));
    assert_eq!(now.get(b"datestyle"), Some(&b"German, DMY"[..]), "it was so already, and is not reported again");
    assert_eq!(ann.get(b"TimeZone"), Some(&b"asia/tokyo"[..]));
}

#[test]
fn a_guard_that_fails_leaves_what_was_before() {
    let (mut belief, ann) = (fresh(), settings(&[("geqo", "off")]));
    bring(&mut belief, &ann);
    assert_eq!(guard(&mut belief, &settings(&[("role", "nobody"), ("TimeZone", "Asia/Tokyo")])), 3);
    belief.guard_failed();
    assert!(belief.is_refused());
    assert_eq!((value(&belief, "geqo").as_str(), value(&belief, "TimeZone").as_str()), ("off", "UTC"));
    assert!(belief.guard_done().is_none());
    belief.guard_unneeded();
    assert!(!belief.is_refused());
}

#[test]
fn what_a_server_says_between_guards_is_believed() {
    let mut belief = fresh();
    assert_eq!(belief.hear(b"timezone", b"Asia/Tokyo"), Heard::News);
    assert_eq!(belief.hear(b"in_hot_standby", b"on"), Heard::Foreign);
    assert_eq!(value(&belief, "TimeZone"), "Asia/Tokyo");
    assert_eq!(guard(&mut belief, &settings(&[])), 1);
}

#[test]
fn a_setting_made_by_sql_is_the_clients_and_the_servers_in_one() {
    let (mut belief, mut ann) = (fresh(), settings(&[]));
    bring(&mut belief, &ann);
    for (name, value) in [("geqo", "off"), ("app.x", "1")] {
        belief
            .note(&mut ann, name.as_bytes(), |settings| settings.set(name.as_bytes(), value.as_bytes()))
            .expect("few");
        assert!(belief.settings().is_some_and(|settings| Arc::ptr_eq(settings, &ann)));
    }
    assert!(!belief.suits(&settings(&[])) && belief.suits(&ann));
    belief.note(&mut ann, b"geqo", |settings| settings.unset(b"geqo")).expect("few");
    assert_eq!(value(&belief, "geqo"), "default");
    let huge = vec![b'x'; crate::session::BYTES_MAX];
    let before = ann.clone();
    assert_eq!(belief.note(&mut ann, b"app.y", |settings| settings.set(b"app.y", &huge)), Err(TooMuch));
    assert!(Arc::ptr_eq(&before, &ann) && belief.settings().is_some_and(|settings| Arc::ptr_eq(settings, &ann)));
}

#[test]
fn what_was_forgotten_is_undone_and_set_again() {
    let (mut belief, ann) = (fresh(), settings(&[("geqo", "off"), ("TimeZone", "Asia/Tokyo")]));
    bring(&mut belief, &ann);
    belief.forget(false);
    assert!(belief.start().anew && belief.key() == 0);
    assert_eq!(guard(&mut belief, &ann), 4, "two settings, and who it runs as");
    belief.guard_done();
    assert!(!belief.start().anew);
}

#[test]
fn a_short_timeout_that_was_forgotten_is_kept_from_others_until_it_is_known_to_be_none() {
    let (hasty, ann) = (settings(&[("statement_timeout", "15ms")]), settings(&[]));
    let mut belief = fresh();
    bring(&mut belief, &hasty);
    belief.forget(false);
    assert!(!belief.suits(&ann) && belief.suits(&hasty));
    bring(&mut belief, &ann);
    assert!(belief.suits(&ann));
    belief.forget(true);
    assert!(!belief.suits(&ann), "code may have set it");
    belief.came_home();
    assert!(belief.suits(&ann));
}

#[test]
fn a_discard_undoes_what_is_not_reported_and_what_connect_query_has_set() {
    let ann = settings(&[("geqo", "off"), ("TimeZone", "Asia/Tokyo")]);
    let mut belief = fresh();
    bring(&mut belief, &ann);
    belief.hear(b"TimeZone", b"UTC");
    belief.discarded();
    assert_eq!((value(&belief, "geqo").as_str(), value(&belief, "TimeZone").as_str()), ("default", "UTC"));
    let mut belief = Belief::new(settings(&[]), settings(&[("work_mem", "99kB")]));
    belief.discarded();
    assert!(belief.start().anew);
}

#[test]
fn servers_that_come_with_the_same_share_one_value() {
    let parameters = || vec![(b"TimeZone"[..].into(), b"UTC"[..].into())];
    let known = Arc::new(Settings::new(parameters()));
    let come = Arc::new(Settings::new(parameters()));
    let mut belief = Belief::new(come.clone(), come);
    belief.come_with(&known);
    assert!(Arc::ptr_eq(belief.home(), &known) && belief.settings().is_some_and(|now| Arc::ptr_eq(now, &known)));
    let other = Arc::new(Settings::new(vec![(b"TimeZone"[..].into(), b"Asia/Tokyo"[..].into())]));
    let mut belief = Belief::new(other.clone(), other.clone());
    belief.come_with(&known);
    assert!(*belief.home() == other, "what is not the same stays as it is");
}
