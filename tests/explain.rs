//! `pgotter explain`: what it says of a text, and what it learns from a database about functions, operators, views, policies and domains
//! that write without saying so.

mod support;

use pgotter::cli::local_postgres::{LocalPostgres, SUPERUSER, SUPERUSER_PASSWORD};
use std::path::Path;
use std::process::{Command, Output};
use support::{must, shared_postgres, state};

fn explain(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(must(state().runnable(Path::new(env!("CARGO_BIN_EXE_pgotter")))));
    let Output { status, stdout, stderr } = must(state().adopt(&mut command).arg("explain").args(arguments).output());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_text_is_explained_with_the_word_that_decides() {
    let (code, out, _) = explain(&["select *\nfrom t for update"]);
    assert_eq!(code, Some(0));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[..3], ["from t for update", "           ^", "primary (lock): it locks"]);
    assert!(lines[3].starts_with("fingerprint "), "{out}");
    let (_, out, _) = explain(&["select a, s.f(b) from t"]);
    assert!(out.starts_with("select a, s.f(b) from t\n            ^\nprimary (function)"), "{out}");
    let (_, out, _) = explain(&["select 1"]);
    assert!(out.starts_with("replica (read)"), "{out}");
    let (_, out, _) = explain(&["select 'x"]);
    assert!(out.contains("primary (unparsed)") && out.contains("does not end"), "{out}");
}

#[test]
fn json_is_one_line() {
    let (_, out, _) = explain(&["--json", "insert into t values (1)"]);
    let begin = r#"{"verdict":"primary","reason":"write","at":0,"fingerprint":""#;
    assert!(out.starts_with(begin) && out.ends_with("\",\"statements\":1}\n"), "{out}");
    let (_, out, _) = explain(&["--json", "select 1; table t"]);
    assert!(out.starts_with(r#"{"verdict":"replica","reason":"read","at":null,"#), "{out}");
}

#[test]
fn what_cannot_be_read_or_asked_is_said() {
    let (code, _, err) = explain(&["--file", "/nowhere/at/all.sql"]);
    assert!(code == Some(2) && err.contains("/nowhere/at/all.sql"), "{err}");
    let (code, _, err) = explain(&["--database", "mysql://x", "select 1"]);
    assert!(code == Some(2) && err.contains("postgresql://"), "{err}");
    let (code, _, err) = explain(&["--database", "postgresql://u@127.0.0.1:1/d", "select 1"]);
    assert!(code == Some(1) && err.contains("127.0.0.1:1"), "{err}");
    assert_eq!(explain(&[]).0, Some(2));
}

/// Everything that writes behind something that reads, and its harmless likeness.
const SETUP: &str = "
    create table t (a int, owner text);
    create table audit (a int);
    create sequence q;
    create unlogged table u (a int);
    create function writes(int) returns int language sql as 'insert into audit values ($1) returning 1';
    create function harmless(int) returns int stable language sql as 'select $1 + 1';
    create function deceitful(int) returns int stable language sql as 'select writes($1)';
    create function deeper(int) returns int stable language plpgsql as 'begin return deceitful($1); end';
    create function computed(text) returns int stable language plpgsql as 'declare n int; begin execute $1 into n; return n; end';
    create function adds(int, int) returns int stable language sql as 'select writes($2)';
    create aggregate sum_of(int) (sfunc = adds, stype = int, initcond = '0');
    create aggregate best_of(int) (sfunc = int4larger, stype = int);
    create function plus(t, t) returns int stable language sql as 'select writes(1)';
    create operator <+> (leftarg = t, rightarg = t, function = plus);
    create function less(t, t) returns bool immutable language sql as 'select true';
    create operator <~> (leftarg = t, rightarg = t, function = less);
    create function touch(t) returns int language sql as 'select writes(1)';
    create domain checked as int check (writes(value) = 1);
    create domain clean as int check (value > 0);
    create view seen as select writes(a) from t;
    create view nested as select * from seen;
    create function parsed() returns int stable begin atomic select * from seen; end;
    create view locking as select * from t for update;
    create view plain as select a from t;
    create table guarded (a int);
    alter table guarded enable row level security;
    create policy p on guarded using (writes(a) = 1);
    create table owned (a int, owner text);
    alter table owned enable row level security;
    create policy p on owned using (owner = current_user);
    create table parts (a int) partition by range (a);
    create unlogged table part partition of parts for values from (0) to (10);
    create extension pgcrypto;
";

#[test]
fn what_writes_behind_a_read_is_found_in_the_catalog() {
    let server: &LocalPostgres = shared_postgres();
    must(server.psql("postgres", "create database hidden_writes"));
    must(server.psql("hidden_writes", SETUP));
    let url = format!("postgresql://{SUPERUSER}:{SUPERUSER_PASSWORD}@127.0.0.1:{}/hidden_writes", server.port());
    for (text, expected) in [
        ("select writes(1)", "function"),
        ("select harmless(1)", "read"),
        ("select deceitful(1)", "function"),
        ("select deeper(a) from t", "function"),
        ("select computed('select 1')", "function"),
        ("select sum_of(a) from t", "function"),
        ("select best_of(a) from t", "read"),
        ("select t <+> t from t", "function"),
        ("select t operator(public.<+>) t from t", "function"),
        ("select t <~> t from t", "read"),
        ("select x.touch from t x", "function"),
        ("select x.a from t x", "read"),
        ("select 1::checked", "function"),
        ("select 1::clean", "read"),
        ("select * from seen", "function"),
        ("select * from nested", "function"),
        ("select parsed()", "function"),
        ("select * from locking", "lock"),
        ("select * from plain", "read"),
        ("select * from guarded", "function"),
        ("select * from owned", "read"),
        ("select * from u", "session"),
        ("select * from parts", "session"),
        ("select last_value from q", "session"),
        (r#"select U&"\0077rites"(1)"#, "function"),
        ("select \"writes\"(1)", "function"),
        ("select query_to_xml('select writes(1)', true, false, '')", "function"),
        ("select unknown(1)", "function"),
        ("select gen_random_bytes(8), gen_salt('md5')", "read"),
    ] {
        let (code, out, err) = explain(&["--json", "--database", &url, text]);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains(&format!(r#""reason":"{expected}""#)), "{text}: {out}");
    }
}
