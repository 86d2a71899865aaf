//! Startup parameters and settings.

use super::*;
use crate::wire::startup::Startup;
use std::sync::Arc;

fn startup(parameters: &[(&str, &str)]) -> Startup {
    Startup {
        minor: 0,
        parameters: parameters.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect(),
        protocol_options: Vec::new(),
    }
}

#[test]
fn the_database_is_the_user_unless_named() {
    let read = read(&startup(&[("user", "ann")])).expect("valid");
    assert_eq!((read.user.as_str(), read.database.as_str()), ("ann", "ann"));
}

#[test]
fn no_user_is_refused_with_postgresqls_code() {
    assert_eq!(read(&startup(&[("database", "d")])).expect_err("refused").sqlstate.0, "28000");
}

#[test]
fn options_are_read_as_postgresql_reads_them() {
    let options = "-c datestyle=German --timezone=Europe/Berlin -capplication_name=a\\ b";
    let read = read(&startup(&[("user", "u"), ("options", options)])).expect("valid");
    let values: Vec<_> = read.settings.iter().map(|(i, v)| (NAMES[*i], &**v)).collect();
    assert_eq!(values, [("DateStyle", &b"German"[..]), ("TimeZone", b"Europe/Berlin"), ("application_name", b"a b")]);
}

#[test]
fn what_cannot_be_kept_is_refused_not_dropped() {
    for (name, value) in
        [("search_path", "x"), ("options", "-c work_mem=1"), ("options", "-x"), ("replication", "true")]
    {
        assert_eq!(read(&startup(&[("user", "u"), (name, value)])).expect_err(name).sqlstate.0, "0A000");
    }
    assert!(read(&startup(&[("user", "u"), ("replication", "off"), ("options", "")])).is_ok());
}

#[test]
fn only_what_a_server_lacks_is_sent() {
    let welcome = Welcome::new(vec![
        (Box::from(*b"application_name"), Box::from(*b"")),
        (Box::from(*b"TimeZone"), Box::from(*b"UTC")),
    ]);
    let same = welcome.settings_for(&[(3, Box::from(*b"UTC"))]);
    assert!(Arc::ptr_eq(&same, &welcome.settings));
    let other = welcome.settings_for(&[(0, Box::from(*b"App")), (3, Box::from(*b"utc"))]);
    let lacking: Vec<_> = other.lacking(Some(&welcome.settings)).collect();
    assert_eq!(lacking, [("application_name", &b"App"[..])], "a time zone's case does not matter");
    assert_eq!(other.lacking(None).count(), NAMES.len());
}

#[test]
fn values_are_told_as_postgresql_spells_them() {
    let parameter = |name: &str, value: &str| (Box::from(name.as_bytes()), Box::from(value.as_bytes()));
    let asked: [(&str, &[u8], &str, &[u8]); 9] = [
        ("client_encoding", b"'utf-8'", "15.4 (Debian)", b"UTF8"),
        ("client_encoding", b"iso_8859-1", "15.4", b"LATIN1"),
        ("client_encoding", b"klingon", "15.4", b"klingon"),
        ("DateStyle", b"iso", "15.4", b"ISO, DMY"),
        ("DateStyle", b"German", "15.4", b"German, DMY"),
        ("DateStyle", b"SQL, MDY", "15.4", b"SQL, MDY"),
        ("application_name", b"caf\xe9\n", "15.4", b"caf??"),
        ("application_name", b"caf\xe9\n", "18beta1", b"caf\\xe9\\x0a"),
        ("TimeZone", b"utc", "15.4", b"utc"),
    ];
    for (name, value, version, told) in asked {
        let welcome = Welcome::new(vec![parameter("DateStyle", "ISO, DMY"), parameter("server_version", version)]);
        let index = Settings::index(name.as_bytes()).expect("kept");
        let settings = welcome.settings_for(&[(index, value.into())]);
        assert_eq!(settings.get(index).escape_ascii().to_string(), told.escape_ascii().to_string(), "{name}");
    }
}
