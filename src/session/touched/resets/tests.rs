//! What may be at PostgreSQL's default, and what is to be brought back.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::sql::{Reading, Unknown, read};

const NAMES: [(&[u8], &[u8]); 3] = [(b"app.tenant", b"own"), (b"role", b"ann"), (b"work_mem", b"6MB")];

fn base() -> Settings {
    let mut base = Settings::default();
    NAMES.iter().for_each(|(name, value)| base.set(name, value).unwrap());
    base
}

/// Sent as whole Queries.
fn behind(texts: &[&str]) -> Resets {
    let mut resets = Resets::default();
    for sql in texts {
        resets.note(&read(sql.as_bytes(), Reading::default(), &Unknown), &base(), &base(), true);
    }
    resets
}

fn asked(resets: &Resets) -> Vec<String> {
    resets.to_look_at(false).iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
}

/// What is brought back if PostgreSQL says that all looks reset.
fn lost(resets: &mut Resets) -> Vec<String> {
    let all = NAMES.map(|(name, _)| Name::from(name));
    resets.looked(&all, false, false, &base()).iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

#[test]
fn a_reset_alone_is_brought_back_without_a_look_and_once() {
    let mut resets = behind(&["RESET work_mem"]);
    assert!(resets.are_due() && asked(&resets).is_empty() && resets.are_said_of(b"Work_Mem"));
    assert_eq!(lost(&mut resets), ["work_mem"]);
    assert!(!resets.are_due() && !resets.are_said_of(b"work_mem"));
    for sql in ["RESET work_mem; SELECT 1", "RESET work_mem; SET LOCAL work_mem = '1MB'"] {
        assert_eq!(asked(&behind(&[sql])), ["work_mem"], "{sql}");
    }
}

#[test]
fn what_may_undo_a_reset_is_followed_by_a_look() {
    for sql in ["ROLLBACK TO s", "COMMIT", "COMMIT AND CHAIN; ROLLBACK", "DO $$ BEGIN SET work_mem = '1MB'; END $$"] {
        let mut resets = behind(&["RESET work_mem"]);
        lost(&mut resets);
        resets.note(&read(sql.as_bytes(), Reading::default(), &Unknown), &base(), &base(), true);
        assert_eq!(asked(&resets), ["work_mem"], "{sql}");
    }
    let mut resets = behind(&["RESET work_mem"]);
    lost(&mut resets);
    for sql in
        ["SELECT 1", "ROLLBACK", "SAVEPOINT s", "RELEASE s", "SET LOCAL work_mem = '1MB'", "RESET enable_seqscan"]
    {
        resets.note(&read(sql.as_bytes(), Reading::default(), &Unknown), &base(), &base(), true);
        assert!(!resets.are_due(), "{sql}");
    }
}

#[test]
fn what_is_set_behind_a_reset_is_not_brought_back() {
    assert_eq!(asked(&behind(&["RESET work_mem; SET work_mem = '1MB'"])), ["work_mem"]);
    assert!(behind(&["RESET work_mem; SET work_mem = '1MB'"]).back(false, &base()).is_empty());
    assert!(!behind(&["RESET work_mem; SET work_mem = '1MB'"]).are_said_of(b"work_mem"));
    assert!(lost(&mut behind(&["RESET app.tenant; SET app.tenant = ''"])).is_empty());
    assert_eq!(lost(&mut behind(&["SET app.tenant = ''; RESET app.tenant"])), ["app.tenant"]);
}

#[test]
fn hidden_code_that_may_reset_makes_it_ask_for_all() {
    for sql in ["DO $$ BEGIN RESET enable_seqscan; END $$", "DO $$ BEGIN EXECUTE lower(x); END $$"] {
        let mut resets = behind(&[sql]);
        assert_eq!(asked(&resets), ["app.tenant", "role", "work_mem"], "{sql}");
        assert_eq!(lost(&mut resets), ["app.tenant", "role", "work_mem"], "{sql}");
    }
    assert!(behind(&["DO $$ BEGIN PERFORM 1; END $$"]).is_empty());
}

#[test]
fn what_may_have_been_set_to_nothing_is_not_taken_for_reset_by_hidden_code() {
    let hidden = "DO $$ BEGIN RESET enable_seqscan; END $$";
    for sql in ["SET app.tenant = ''", "SELECT set_config('app.tenant', $1, false)"] {
        assert_eq!(lost(&mut behind(&[sql, hidden])), ["role", "work_mem"], "{sql}");
    }
    assert_eq!(lost(&mut behind(&["SET ROLE NONE", hidden])), ["app.tenant", "work_mem"]);
    assert_eq!(lost(&mut behind(&["SET app.tenant = '7'", hidden])), ["app.tenant", "role", "work_mem"]);
    let mut before = base();
    before.set(b"app.tenant", b"").unwrap();
    let mut resets = Resets::default();
    resets.note(&read(hidden.as_bytes(), Reading::default(), &Unknown), &base(), &before, true);
    assert_eq!(lost(&mut resets), ["role", "work_mem"]);
}

#[test]
fn behind_the_transaction_everything_is_looked_at() {
    let mut resets = behind(&["RESET work_mem"]);
    lost(&mut resets);
    assert_eq!(resets.to_look_at(true), [(&b"work_mem"[..], true)]);
    assert!(resets.looked(&[], true, false, &base()).is_empty());
    assert_eq!(
        behind(&["RESET work_mem"]).looked(&[Name::from(&b"work_mem"[..])], true, false, &base()),
        [Name::from(&b"work_mem"[..])]
    );
}

#[test]
fn what_is_set_behind_a_reset_until_its_transaction_ends_may_look_set() {
    let masked = |texts: &[&str], failed| behind(texts).masked(failed) == [Name::from(&b"work_mem"[..])];
    let [local, session] =
        ["true", "false"].map(|local| format!("DO $$ BEGIN PERFORM set_config('work_mem', '1MB', {local}); END $$"));
    let computed = "DO $$ BEGIN PERFORM set_config('work' || '_mem', '1MB', false); END $$";
    let set_local = "SET LOCAL work_mem = '1MB'";
    for texts in [
        &["RESET work_mem", set_local][..],
        &["RESET work_mem", &local],
        &["RESET work_mem", computed, set_local],
        &["RESET work_mem", set_local, computed],
        &["RESET work_mem", set_local, "COMMIT"],
    ] {
        assert!(masked(texts, true), "{texts:?}");
    }
    for texts in
        [&["RESET work_mem", &session][..], &["RESET work_mem", computed], &["RESET work_mem", "SET work_mem = '1MB'"]]
    {
        assert!(!masked(texts, false) && !masked(&[&texts.join("; ")], false), "{texts:?}");
    }
    // A function may do so that is known, unless the RESET was skipped.
    assert!(masked(&["RESET work_mem"], false) && !masked(&["RESET work_mem"], true));
}
