//! When a server is asked, and what its answers mean.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::sql::{Names, Reading, Unknown, read};

fn facts(sql: &str) -> Facts {
    read(sql.as_bytes(), Reading::default(), &Unknown)
}

fn touched(texts: &[&str]) -> Box<Touched> {
    let mut touched = Touched::new(&Arc::default());
    texts.iter().for_each(|sql| touched.note(&facts(sql), true));
    touched
}

#[test]
fn what_ends_with_its_transaction_is_not_asked_for() {
    for sql in ["SELECT 1", "INSERT INTO t VALUES (1)", "BEGIN", "COMMIT", "SET LOCAL work_mem = '1MB'", "NOTIFY c"] {
        assert!(is_harmless(&facts(sql)), "{sql}");
    }
    for sql in
        ["SET work_mem = '1MB'", "SET LOCAL app.x = 1", "DO $$$$", "CREATE TEMP TABLE t ()", "LISTEN c", "LOAD 'x'"]
    {
        assert!(!is_harmless(&facts(sql)), "{sql}");
    }
}

#[test]
fn one_literal_setting_alone_need_not_be_asked_for() {
    assert_eq!(&*touched(&["SET work_mem = '1MB'"]).literal().unwrap().name, b"work_mem");
    assert!(touched(&["SET work_mem = '1MB'", "SET work_mem = '2MB'"]).literal().is_none());
    assert!(touched(&["SET work_mem = '1MB'; SELECT 1/0"]).literal().is_none());
    assert!(touched(&["RESET work_mem"]).literal().is_none());
    let mut in_a_block = Touched::new(&Arc::default());
    in_a_block.note(&facts("SET work_mem = '1MB'"), false);
    assert!(in_a_block.literal().is_none());
}

#[test]
fn what_another_role_may_have_set_is_looked_at() {
    let asks_for_rights = |touched: Box<Touched>| {
        touched.question(&Settings::default(), &Settings::default(), false).sql().contains("has_parameter_privilege")
    };
    assert!(!asks_for_rights(touched(&["BEGIN", "SET log_statement = 'all'", "SET work_mem = '1MB'", "COMMIT"])));
    assert!(asks_for_rights(touched(&["BEGIN", "SET LOCAL ROLE admin", "SET log_statement = 'all'", "COMMIT"])));
    assert!(!asks_for_rights(touched(&["SET ROLE admin"])) && touched(&["SET ROLE admin"]).literal().is_some());
    let mut admin = Settings::default();
    admin.set(b"role", b"admin").unwrap();
    let mut touched = Touched::new(&Arc::new(admin));
    touched.note(&facts("SET log_statement = 'all'"), true);
    assert!(touched.literal().is_none() && asks_for_rights(touched));
}

#[test]
fn whoever_names_too_many_settings_in_one_transaction_stays_for_good() {
    for word in ["SET a", "SET LOCAL a.b"] {
        let mut touched = Touched::new(&Arc::default());
        let mut note = |number: usize| {
            touched.note(&facts(&format!("{word}{number} = 1")), false);
            (touched.names.len().max(touched.custom.len()), touched.is_for_good())
        };
        assert_eq!((0..NAMES_MAX).map(&mut note).max(), Some((NAMES_MAX, false)), "{word}");
        assert_eq!((NAMES_MAX..4 * NAMES_MAX).map(note).min(), Some((NAMES_MAX, true)), "{word}");
    }
}

#[test]
fn what_is_not_ascii_is_asked_for_in_a_new_encoding() {
    let mut settings = Settings::default();
    settings.set(b"app.tenant", "é".as_bytes()).unwrap();
    settings.set(b"work_mem", b"1MB").unwrap();
    let question = touched(&["SET client_encoding = 'LATIN1'"]).question(&settings, &Settings::default(), false);
    assert!(question.sql().contains("current_setting('app.tenant'") && !question.sql().contains("work_mem"));
}

#[test]
fn an_answer_is_read_as_it_was_asked() {
    let question = touched(&["SET a = 1", "SET b = 2"]).question(&Settings::default(), &Settings::default(), false);
    assert!(question.sql().contains("current_setting('a', true), pg_catalog.current_setting('b', true)"));
    let value = |text: &[u8]| Some(Box::from(text));
    let flags = [vec![value(b"f"); 5], vec![None, value(b"f")]].concat();
    let found = question.read(vec![[flags, vec![value(b"1"), None]].concat()]).unwrap();
    assert_eq!(found.pins, Pins::default());
    let noted = |name: &[u8], reset| Noted { name: name.into(), reset };
    assert_eq!(found.named, [(noted(b"a", false), value(b"1")), (noted(b"b", false), None)]);
    assert_eq!(found.all, None);
}

#[test]
fn whether_a_reset_was_undone_only_postgresql_can_say() {
    let question = touched(&["SET a = 1"]).question(&Settings::default(), &Settings::default(), true);
    assert!(question.sql().contains("pg_settings"));
    assert!(
        touched(&["SET a = 1", "RESET b"])
            .question(&Settings::default(), &Settings::default(), false)
            .sql()
            .contains("pg_settings")
    );
}

#[test]
fn what_is_hidden_makes_it_ask_for_everything() {
    let question = touched(&["DO $$$$"]).question(&Settings::default(), &Settings::default(), false);
    assert!(question.is_about_objects());
    assert!(question.sql().contains("pg_settings"));
    let value = |text: &[u8]| Some(Box::from(text));
    let mut flags = [vec![value(b"f"); 5], vec![value(b"3"), value(b"t")]].concat();
    flags[0] = value(b"t");
    flags[1] = value(b"t");
    let rows =
        vec![[flags, vec![value(b"none"), value(b"me")]].concat(), vec![value(b"work_mem"), value(b"64"), value(b"f")]];
    let found = question.read(rows).unwrap();
    assert_eq!((found.pins.to_string().as_str(), found.beyond_rights), ("temp lock", true));
    assert_eq!(found.statements, Some(3));
    assert_eq!(found.all.unwrap(), [(b"work_mem"[..].into(), b"64"[..].into(), false)]);
}

#[test]
fn an_answer_that_is_cut_short_is_none() {
    let question = touched(&["CREATE TEMP TABLE t ()"]).question(&Settings::default(), &Settings::default(), false);
    assert_eq!(question.read(vec![vec![Some(b"t"[..].into())]]), None);
    let question = touched(&["CREATE TEMP TABLE t ()"]).question(&Settings::default(), &Settings::default(), false);
    assert_eq!(question.read(Vec::new()), None);
}

#[test]
fn code_that_may_set_something_leaves_open_whether_a_reset_counts() {
    let mut names = Names::new();
    names.add_function(b"may_set", Touches::NOTHING);
    names.add_setting(b"may_set", b"work_mem", false);
    let mut touched = touched(&["RESET work_mem"]);
    touched.note(&read(b"SELECT may_set()", Reading::default(), &names), false);
    let question = touched.question(&Settings::default(), &Settings::default(), false);
    assert!(question.sql().contains("pg_settings"), "{}", question.sql());
}
