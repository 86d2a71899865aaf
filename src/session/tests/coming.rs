//! What a client asks for when it comes, and what it is told.

use super::*;
use crate::fault::Fault;

const INTAKE: Intake<'static> = Intake { ignored: &[], extra: &[], host: None };

fn read_all(parameters: &[(&str, &str)], intake: &Intake<'_>) -> Result<ClientStartup, Fault> {
    read(&startup(&[&[("user", "u")], parameters].concat()), intake)
}

fn settings(parameters: &[(&str, &str)], intake: &Intake<'_>) -> String {
    let read = read_all(parameters, intake).expect("valid");
    said(read.settings.iter().map(|(name, value)| (&**name, Some(&**value))))
}

#[test]
fn the_database_is_the_user_unless_named() {
    let read = read(&startup(&[("user", "ann")]), &INTAKE).expect("valid");
    assert_eq!((read.user.as_str(), read.database.as_str()), ("ann", "ann"));
}

#[test]
fn no_user_is_refused_with_postgresqls_code() {
    assert_eq!(read(&startup(&[("database", "d")]), &INTAKE).expect_err("refused").sqlstate.0, "28000");
}

#[test]
fn options_are_read_as_postgresql_reads_them() {
    let options = "-c datestyle=German --search-path=a\\ b -capp.x=a\\\\b=c\t--geqo=";
    assert_eq!(settings(&[("options", options)], &INTAKE), "datestyle=German search_path=a b app.x=a\\b=c geqo=");
}

#[test]
fn the_last_word_counts_and_options_come_first() {
    let twice = [("TimeZone", "b"), ("options", "-c timezone=a -c Geqo=on -c geqo=off"), ("timezone", "c")];
    assert_eq!(settings(&twice, &INTAKE), "timezone=c geqo=off");
}

#[test]
fn what_is_of_the_first_transaction_only_is_over_at_once() {
    let options = "-c transaction_isolation=serializable --transaction-read-only=on -c transaction_deferrable=on";
    assert_eq!(settings(&[("options", options)], &INTAKE), "");
}

#[test]
fn what_is_no_setting_is_refused() {
    let cases = [
        ("options", "-x", "0A000"),
        ("options", "work_mem=1", "0A000"),
        ("options", "-c", "42601"),
        ("options", "-c work_mem", "42601"),
        ("options", "--work_mem", "42601"),
        ("replication", "true", "0A000"),
    ];
    for (name, value, code) in cases {
        assert_eq!(read_all(&[(name, value)], &INTAKE).expect_err(value).sqlstate.0, code, "{value}");
    }
    assert!(read_all(&[("replication", "off"), ("options", "")], &INTAKE).is_ok());
}

#[test]
fn ignored_parameters_are_dropped_wherever_they_stand() {
    let ignored = ["Extra_Float_Digits".to_owned(), "TimeZone".to_owned()];
    let intake = Intake { ignored: &ignored, ..INTAKE };
    let given = [("extra_float_digits", "2"), ("options", "-c extra_float_digits=3 -c geqo=off"), ("timezone", "UTC")];
    assert_eq!(settings(&given, &intake), "geqo=off timezone=UTC", "but never what is tracked");
}

#[test]
fn ignored_options_keep_what_is_tracked() {
    let (ignored, extra) = (["options".to_owned()], ["IntervalStyle".to_owned()]);
    let intake = Intake { ignored: &ignored, extra: &extra, host: None };
    let options = "-x -c geqo=off -c TimeZone=UTC --intervalstyle=iso_8601";
    assert_eq!(
        settings(&[("options", options), ("geqo", "on")], &intake),
        "timezone=UTC intervalstyle=iso_8601 geqo=on"
    );
}

#[test]
fn the_host_is_added_to_the_name_a_client_has_or_has_not() {
    let intake = Intake { host: Some("10.0.0.7:51234".to_owned()), ..INTAKE };
    assert_eq!(settings(&[], &intake), "application_name=app - 10.0.0.7:51234");
    assert_eq!(settings(&[("application_name", "web")], &intake), "application_name=web - 10.0.0.7:51234");
}

#[test]
fn values_are_told_as_postgresql_spells_them() {
    let asked: [(&str, &[u8], &str, &[u8]); 9] = [
        ("client_encoding", b"'utf-8'", "15.4 (Debian)", b"UTF8"),
        ("client_encoding", b"iso_8859-1", "15.4", b"LATIN1"),
        ("client_encoding", b"klingon", "15.4", b"klingon"),
        ("datestyle", b"iso", "15.4", b"ISO, DMY"),
        ("datestyle", b"German", "15.4", b"German, DMY"),
        ("datestyle", b"SQL, MDY", "15.4", b"SQL, MDY"),
        ("application_name", b"caf\xe9\n", "15.4", b"caf??"),
        ("application_name", b"caf\xe9\n", "18beta1", b"caf\\xe9\\x0a"),
        ("timezone", b"utc", "15.4", b"utc"),
    ];
    for (name, value, version, told) in asked {
        let welcome = Welcome::new(parameters(&[("DateStyle", "ISO, DMY"), ("server_version", version)]), &[]);
        let settings = welcome.settings_for(&[(name.as_bytes().into(), value.into())]).expect("few");
        let seen = settings.get(name.as_bytes()).expect("set");
        assert_eq!(seen.escape_ascii().to_string(), told.escape_ascii().to_string(), "{name}");
    }
}

#[test]
fn what_an_extension_reports_is_a_clients_if_the_operator_says_so() {
    let reported = parameters(&[("Shard.Mode", "auto"), ("in_hot_standby", "off"), ("search_path", "x")]);
    let names = |extra: &[String]| {
        let welcome = Welcome::new(reported.clone(), extra);
        said(welcome.settings.reported().map(|(name, value)| (name, Some(value))))
    };
    assert_eq!(names(&[]), "search_path=x");
    assert_eq!(names(&["shard.mode".to_owned()]), "search_path=x Shard.Mode=auto");
}

#[test]
fn clients_that_ask_for_the_same_share_one() {
    let (welcome, mut known) = (welcome(), Known::default());
    let wanted = parameters(&[("application_name", "web"), ("geqo", "off")]);
    let [first, second] = [(); 2].map(|()| known.share(welcome.settings_for(&wanted).expect("few")));
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    let none = welcome.settings_for(&parameters(&[("TimeZone", "UTC")])).expect("few");
    assert!(std::sync::Arc::ptr_eq(&none, &welcome.settings), "it asks for what is so anyway");
}

#[test]
fn only_what_postgresql_may_refuse_is_asked_for_and_once() {
    let (welcome, mut known) = (welcome(), Known::default());
    let wanted = parameters(&[("application_name", "web"), ("app.tenant", "7"), ("timezone", "UTC"), ("geqo", "off")]);
    let open = known.open_questions(&welcome, &wanted);
    assert_eq!(open, parameters(&[("geqo", "off")]));
    known.takes(open);
    assert!(known.open_questions(&welcome, &wanted).is_empty());
    assert_eq!(known.open_questions(&welcome, &parameters(&[("geqo", "klingon")])).len(), 1);
}

#[test]
fn what_is_known_stays_bounded() {
    let (welcome, mut known) = (welcome(), Known::default());
    let mut kept = Vec::new();
    for number in 0..3000 {
        let wanted = parameters(&[("geqo_seed", &number.to_string())]);
        known.takes(wanted.clone());
        kept.push(known.share(welcome.settings_for(&wanted).expect("few")));
        let last = known.open_questions(&welcome, &wanted);
        assert!(last.is_empty(), "the newest is known");
    }
    assert_eq!(known.open_questions(&welcome, &parameters(&[("geqo_seed", "0")])).len(), 1, "the oldest is forgotten");
    let again = known.share(welcome.settings_for(&parameters(&[("geqo_seed", "2999")])).expect("few"));
    assert!(!std::sync::Arc::ptr_eq(&again, &kept[2999]), "no more than so many are shared while they live");
    drop(kept);
    let wanted = parameters(&[("geqo_seed", "x")]);
    let [first, second] = [(); 2].map(|()| known.share(welcome.settings_for(&wanted).expect("few")));
    assert!(std::sync::Arc::ptr_eq(&first, &second), "room is made by those that are gone");
}
