//! `pgotter explain`: what it says of a text, and what it learns from a database about functions, operators, views, policies and domains
//! that write without saying so.

use crate::support::{must, postgres, shared_postgres, state};
use pgotter::cli::local_postgres::{LocalPostgres, Options, SUPERUSER, SUPERUSER_PASSWORD};
use std::path::Path;
use std::process::{Command, Output};

mod reached;

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
    assert_eq!(lines[..4], ["from t for update", "           ^", "primary (lock): it locks", "tables t"]);
    assert!(lines[4].starts_with("fingerprint "), "{out}");
    let (_, out, _) = explain(&["select a, s.f(b) from t"]);
    assert!(out.starts_with("select a, s.f(b) from t\n            ^\nprimary (function)"), "{out}");
    let (_, out, _) = explain(&["select 1"]);
    assert!(out.starts_with("replica (read)"), "{out}");
    let (_, out, _) = explain(&["select 'x"]);
    assert!(out.contains("primary (unparsed)") && out.contains("does not end"), "{out}");
}

#[test]
fn what_a_text_names_and_asks_for_is_told() {
    let (_, out, _) = explain(&["select lower(a), b::numeric(3) from s.t, \"U\" /* pgotter: replica stale */"]);
    let expected =
        "replica (hint): a hint asks for it\nhint replica stale\nfunctions lower\ntables s.t, U\nfingerprint ";
    assert!(out.starts_with(expected), "{out}");
    let (_, out, _) = explain(&["delete from t where f(a) /* pgotter: master */"]);
    assert!(
        out.contains("it has a hint that is none of") && out.contains("tables t (written), perhaps others"),
        "{out}"
    );
    let (_, out, _) = explain(&["select nobody_knows(1)"]);
    assert!(out.contains("functions nobody_knows\ntables perhaps others\n"), "{out}");
    let server: &LocalPostgres = shared_postgres();
    must(server.psql("postgres", "create database named"));
    must(server.psql(
        "named",
        "create table t (a int); create view v as select * from t;
        create function f(int) returns int stable language sql as 'select $1'",
    ));
    let url = format!("postgresql://{SUPERUSER}:{SUPERUSER_PASSWORD}@127.0.0.1:{}/named", server.port());
    let (_, out, _) = explain(&["--json", "--database", &url, "select f(a), now(), lower('x'), random() from t"]);
    let function = |name, volatility| format!(r#"{{"name":"{name}","volatility":"{volatility}"}}"#);
    let functions = [("f", "stable"), ("lower", "immutable"), ("now", "stable"), ("random", "volatile")];
    let functions = functions.map(|(name, volatility)| function(name, volatility)).join(",");
    let expected = format!(
        r#""functions":[{functions}],"tables":[{{"schema":null,"name":"t","written":false}}],"all_tables":true"#
    );
    assert!(out.contains(&expected), "{out}");
    let (_, out, _) = explain(&["--json", "--database", &url, "select * from v"]);
    assert!(out.contains(r#""name":"v","written":false}],"all_tables":false"#), "{out}");
}

#[test]
fn a_database_is_asked_by_its_name_in_the_configuration() {
    let mut server = postgres(&Options::default());
    let replica = must(server.replica());
    must(server.psql("postgres", "create database shop_production"));
    must(server.psql("postgres", "create role asker login"));
    must(server.psql("shop_production", "create function f(int) returns int stable language sql as 'select $1'"));
    let file = must(state().new_folder("named")).join("pooler.toml");
    let folder = |hosts: &str, more: &str| {
        let shop = format!("[databases.shop]\ndbname = \"shop_production\"\nhosts = [{hosts}]\n{more}\n");
        must(state().write(&file, &format!("[pooler]\nauth_type = \"trust\"\nlisten_addr = \"127.0.0.1\"\n{shop}")));
    };
    let named = |name: &str| explain(&["-c", &file.display().to_string(), "--database", name, "select f(1)"]);
    let host = |server: &LocalPostgres| format!("\"127.0.0.1:{}\"", server.port());
    // The replica stands still, and knows nothing of the function that came last.
    must(server.wait_for_replicas(1));
    must(replica.psql("postgres", "select pg_wal_replay_pause()"));
    must(server.psql("shop_production", "create or replace function f(int) returns int language sql as 'select $1'"));
    let hosts = format!("\"127.0.0.1:1\", {}, {}", host(&replica), host(&server));
    folder(&hosts, "monitor_user = \"asker\"");
    let (code, out, err) = named("shop");
    assert!(code == Some(0) && out.contains("primary (function)") && out.contains("f (volatile)"), "{out}{err}");
    folder(&host(&replica), "monitor_user = \"asker\"");
    let (code, out, err) = named("shop");
    assert!(code == Some(0) && out.contains("replica (read)") && out.contains("f (stable)"), "{out}{err}");
    folder("\"127.0.0.1:1\"", "monitor_user = \"asker\"");
    let (code, _, err) = named("shop");
    assert!(code == Some(1) && err.contains("127.0.0.1:1: asker: cannot connect"), "{err}");
    folder(&host(&server), "");
    let (code, _, err) = named("shop");
    assert!(code == Some(2) && err.contains("monitor_user"), "{err}");
    let (code, _, err) = named("shoe");
    assert!(code == Some(2) && err.contains("no database shoe"), "{err}");
    let (code, _, err) = explain(&["-c", "/nowhere/pooler.toml", "--database", "shop", "select 1"]);
    assert!(code == Some(2) && err.contains("/nowhere/pooler.toml"), "{err}");
}

#[test]
fn the_rule_that_decides_is_told_in_its_own_words() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "create table audit_log (a int); create table orders (a int)"));
    let file = must(state().new_folder("rules")).join("pooler.toml");
    let (port, user) = (server.port(), SUPERUSER);
    let (_, out, _) = explain(&["select 1 from orders where a = 7"]);
    let fingerprint = out.lines().find_map(|line| line.strip_prefix("fingerprint ")).unwrap_or_default().to_owned();
    let rules = [
        "{ application_name = \"dash*\", user = \"reporting\", route = \"replica stale\" }".to_owned(),
        "{ table = \"public.audit_*\", route = \"primary\" }".to_owned(),
        format!("{{ fingerprint = \"{fingerprint}\", route = \"host=127.0.0.1:{port}\" }}"),
        "{ table = \"*\", route = \"replica\" }".to_owned(),
        "{ database = \"shop\", table = \"logs.*\", route = \"database=logs\" }".to_owned(),
        "{ database = \"logs\", table = \"own.*\", route = \"database=shop\" }".to_owned(),
    ];
    must(state().write(
        &file,
        &format!(
            "[pooler]\nauth_type = \"trust\"\n[databases.shop]\ndbname = \"postgres\"\nhosts = [\"127.0.0.1:{port}\"]\n\
             monitor_user = \"{user}\"\nmonitor_password = \"{SUPERUSER_PASSWORD}\"\n\
             [databases.logs]\ndbname = \"postgres\"\nhosts = [\"127.0.0.1:{port}\"]\n[routing]\nrules = [{}]\n",
            rules.join(",\n")
        ),
    ));
    let said = |more: &[&str], text: &str| {
        let file = file.display().to_string();
        let (code, out, err) = explain(&[&["-c", &file, "--database", "shop"][..], more, &[text]].concat());
        assert_eq!(code, Some(0), "{out}{err}");
        out
    };
    let [first, second, third, fourth, fifth, _] = &rules;
    for (text, verdict, told) in [
        ("select a from audit_log", "primary (rule): a rule asks for it", format!("rule 2 {second}\n")),
        ("select 1 from orders where a = 8", "replica (rule): a rule asks for it", format!("rule 3 {third}\n")),
        ("select a from orders", "replica (rule)", format!("rule 4 {fourth}\n")),
        ("delete from orders", "primary (write)", format!("rule 4 {fourth} is not granted\n")),
        (
            "select a from orders /* pgotter: primary */",
            "primary (hint)",
            format!("rule 4 {fourth} is not heeded: a hint goes before it\n"),
        ),
        ("select 1", "replica (read)", String::new()),
    ] {
        let out = said(&[], text);
        let perhaps = format!("for some clients rule 1 {first}\n");
        assert!(out.contains(verdict) && out.contains(&format!("{told}{perhaps}")), "{text}:\n{out}");
        let out = said(&["--user", "app"], text);
        assert!(out.contains(verdict) && out.contains(&told) && !out.contains("for some clients"), "{text}:\n{out}");
    }
    let (out, home) = (said(&[], "select a from logs.events"), said(&[], "select a from own.events"));
    assert!(out.contains(&format!("rule 5 {fifth} says where its tables are\n")), "{out}");
    assert!(!home.contains("says where"), "{home}");
    let dashboard = ["--user", "reporting", "--application-name", "dashboard"];
    let out = said(&dashboard, "select a from audit_log");
    assert!(out.contains("replica (rule)") && out.contains(&format!("rule 1 {first}\n")), "{out}");
    let out = said(&["--json"], "select a from audit_log");
    let quoted = |rule: &str| rule.replace('"', "\\\"");
    let expected = format!(
        r#""reason":"rule","at":null,"fingerprint":"{}","statements":1,"hint":null,"granted":true,"rule":{{"number":2,"rule":"{}"}},"rules_for_some":[{{"number":1,"rule":"{}"}}],"rules_to_databases":[],"functions""#,
        out.split("fingerprint\":\"").nth(1).and_then(|rest| rest.get(..16)).unwrap_or_default(),
        quoted(second),
        quoted(first)
    );
    assert!(out.contains(&expected), "{out}\n{expected}");
    assert_eq!(explain(&["--user", "app", "select 1"]).0, Some(2), "whose rules?");
}

#[test]
fn json_is_one_line() {
    let (_, out, _) = explain(&["--json", "insert into t values (1)"]);
    let begin = r#"{"verdict":"primary","reason":"write","at":0,"fingerprint":""#;
    let end = r#"","statements":1,"hint":null,"granted":true,"rule":null,"rules_for_some":[],"rules_to_databases":[],"functions":[],"tables":[{"schema":null,"name":"t","written":true}],"all_tables":true}"#;
    assert!(out.starts_with(begin) && out.ends_with(&format!("{end}\n")), "{out}");
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
    create function guess(int) returns int immutable language sql as 'select writes($1)';
    create table guessed (a int);
    create index on guessed (a) where a > guess(1);
    create table checks (a int check (a <> guess(2)));
    create function valid(int) returns bool language sql as 'select $1 > 0';
    create table volatile_checks (a int check (valid(a)));
";

/// Asserts what is said of each text in a new database that was set up so.
fn assert_said(database: &str, setup: &str, texts: &[(&str, &str)]) {
    let server: &LocalPostgres = shared_postgres();
    must(server.psql("postgres", &format!("create database {database}")));
    must(server.psql(database, setup));
    let url = format!("postgresql://{SUPERUSER}:{SUPERUSER_PASSWORD}@127.0.0.1:{}/{database}", server.port());
    let mut wrong = String::new();
    for (text, expected) in texts {
        let (code, out, err) = explain(&["--json", "--database", &url, text]);
        assert_eq!(code, Some(0), "{err}");
        if !out.contains(&format!(r#""reason":"{expected}""#)) {
            wrong += &format!("{text}\n    not {expected}: {out}");
        }
    }
    assert!(wrong.is_empty(), "{database}:\n{wrong}");
}

#[test]
fn what_writes_behind_a_read_is_found_in_the_catalog() {
    let texts = [
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
        ("select table_to_xml('seen', true, false, '')", "function"),
        ("select schema_to_xml('public', true, false, '')", "function"),
        ("select database_to_xml(true, false, '')", "function"),
        ("select query_to_xml_and_xmlschema('select 1', true, false, '')", "function"),
        ("select a from guessed", "function"),
        ("select a from checks", "function"),
        ("select a from volatile_checks", "read"),
        ("select * from nowhere", "function"),
    ];
    assert_said("hidden_writes", SETUP, &texts);
}

/// Types with something of their own that runs without being called by its name.
const TYPES: &str = "
    create table audit (a int);
    create function writes(int) returns int language sql as 'insert into audit values ($1) returning 1';
    create table plain (a int, b text, c int[], d numeric(10, 2), e timestamptz);
    create domain checked as int check (writes(value) = 1);
    create domain outermost as checked;
    create type pair as (a checked, b int);
    create type span as range (subtype = checked);
    create table t_domain (a checked);
    create table t_outer (a outermost);
    create table t_pair (p pair);
    create table t_array (l checked[]);
    create table t_span (s span);
    create table t_nested (p t_pair[]);
    create view v_inside as select 1 as one where (1::checked)::int = 1;
    create function takes(checked) returns int immutable language sql as 'select 1';
    create function gives(int) returns checked immutable language sql as 'select 1::checked';
    create function inside() returns int stable language plpgsql as 'declare a checked; begin a := 1; return a; end';
    create type weight as (grams int);
    create function to_weight(int) returns weight language sql as 'select row(writes($1))::weight';
    create cast (int as weight) with function to_weight(int) as implicit;
    create table t_weight (w weight);
    create function weighs(weight) returns int immutable language sql as 'select 1';
    create type mood as enum ('good', 'bad');
    create function mood_is(mood, text) returns bool language sql as 'select writes(1) = 1';
    create operator = (leftarg = mood, rightarg = text, function = mood_is);
    create table t_mood (m mood);
    create type doc as (x text);
    create function doc_like(doc, text) returns bool language sql as 'select writes(1) = 1';
    create operator ~~ (leftarg = doc, rightarg = text, function = doc_like);
    create table t_doc (d doc);
    create type point3 as (x int, y int, z int);
    create function p3_hash(point3) returns int immutable language sql as 'select writes(1)';
    create function p3_eq(point3, point3) returns bool immutable language sql as 'select true';
    create operator = (leftarg = point3, rightarg = point3, function = p3_eq, hashes);
    create operator class p3_ops default for type point3 using hash as operator 1 =, function 1 p3_hash(point3);
    create table t_point3 (p point3);
    create type colour as enum ('red', 'green');
    create domain clean as int check (value > 0);
    create domain address as text check (value ~ '@');
    create type plain_pair as (a clean, b colour);
    create type plain_span as range (subtype = clean);
    create table t_clean (a clean, b address, c colour, d colour[], e plain_pair, f plain_span);
    create function clean_in(clean, colour) returns address immutable language sql as 'select ''@''::address';
    create type sign_only as (a int);
    create function sign(sign_only, int) returns int language sql as 'select writes(1)';
    create operator <+> (leftarg = sign_only, rightarg = int, function = sign);
    create table t_sign (s sign_only);
";

#[test]
fn what_nobody_calls_by_its_name_is_found_by_its_types() {
    let texts = [
        ("select a from plain where b like 'x' and a in (1, 2) order by e", "read"),
        (
            "select d::int, d::int4, d::integer, cast(d as pg_catalog.int4), a::\"char\", a::double precision, c::bigint[] from plain",
            "read",
        ),
        ("select 1::checked", "function"),
        ("select checked '1'", "function"),
        ("select cast('1' as public.checked)", "function"),
        ("select '{1}'::checked[]", "function"),
        ("select 1::outermost", "function"),
        ("select '(1,2)'::pair", "function"),
        ("select row(1, 2)::pair", "function"),
        ("select '[1,2)'::span", "function"),
        ("select '{[1,2)}'::span_multirange", "function"),
        ("select null::t_domain", "function"),
        ("select jsonb_populate_record(null::t_pair, '{}')", "function"),
        ("select * from jsonb_to_recordset('[]') as x(a checked)", "function"),
        ("select * from json_table('[]', '$[*]' columns (a checked path '$'))", "function"),
        ("select a from t_domain", "function"),
        ("select a from t_outer", "function"),
        ("select p from t_pair", "function"),
        ("select l from t_array", "function"),
        ("select s from t_span where s = '[1,2)'", "function"),
        ("select p from t_nested", "function"),
        ("select * from v_inside", "function"),
        ("select takes(1)", "function"),
        ("select gives(1)", "function"),
        ("select inside()", "function"),
        ("select weighs(5)", "function"),
        ("select 5::weight", "function"),
        ("select w from t_weight", "function"),
        ("select m from t_mood where m in ('good'::text)", "function"),
        ("select m from t_mood", "function"),
        // The sign is that of others, too.
        ("select a from plain where a = 1 and b = 'x'", "read"),
        ("select m = 'x'::text from t_mood", "function"),
        ("select d from t_doc where d like 'x'", "function"),
        ("select distinct p from t_point3", "function"),
        ("select p from t_point3 union select p from t_point3", "function"),
        ("select s from t_sign", "read"),
        ("select s <+> 1 from t_sign", "function"),
        ("select * from t_clean", "read"),
        ("select 1::clean, '@'::address, 'red'::colour, clean_in(1, 'red')", "read"),
        ("select '[1,2)'::plain_span, row(1, 'red')::plain_pair, '{red}'::colour[]", "read"),
    ];
    assert_said("hidden_types", TYPES, &texts);
}

/// What takes nothing but what is built in may run in any statement.
#[test]
fn what_words_stand_for_among_built_in_types_bounds_every_statement() {
    let writes = "create table t (a int); create table audit (a int);
        create function writes() returns bool language sql as 'insert into audit values (1) returning true';";
    for (at, (reaches, expected)) in [
        (
            "create function f(int, text) returns bool language sql as 'select writes()';
            create operator = (leftarg = int, rightarg = text, function = f)",
            "function",
        ),
        (
            "create function f(int, text) returns bool language sql as 'select writes()';
            create operator ~~ (leftarg = int, rightarg = text, function = f)",
            "function",
        ),
        (
            "create function f(int, text) returns bool language sql as 'select writes()';
            create operator <~> (leftarg = int, rightarg = text, function = f)",
            "read",
        ),
        (
            "create function f(int, text) returns bool stable language sql as 'select $1 = $2::int';
            create operator = (leftarg = int, rightarg = text, function = f)",
            "read",
        ),
        (
            "create function f(point) returns text language sql as 'select writes()::text';
            create cast (point as text) with function f(point) as assignment",
            "function",
        ),
        (
            "create function f(int) returns int immutable language sql as 'select writes()::int';
            create operator class o for type int using hash as operator 1 =, function 1 f(int)",
            "function",
        ),
        (
            "create function f(anyelement, anyelement) returns bool language sql as 'select writes()';
            create operator <> (leftarg = anyelement, rightarg = anyelement, function = f)",
            "function",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let texts = [("select a from t", expected), ("select 1", expected), ("insert into t values (1)", "write")];
        assert_said(&format!("everywhere{at}"), &format!("{writes} {reaches};"), &texts);
    }
}

#[test]
fn a_name_outside_ascii_is_not_known_in_a_database_of_another_encoding() {
    let server: &LocalPostgres = shared_postgres();
    let create = "create database latin1 template template0 encoding 'LATIN1' locale 'C'";
    must(server.psql("postgres", create));
    let url = format!("postgresql://{SUPERUSER}:{SUPERUSER_PASSWORD}@127.0.0.1:{}/latin1", server.port());
    must(server.psql("latin1", "create table t (a int); create table größe (a int)"));
    let said = |text| explain(&["--json", "--database", &url, text]).1;
    assert!(said("select * from größe").contains(r#""reason":"function""#));
    assert!(said("select * from t").contains(r#""reason":"read""#));
    let texts = [("select größe from größe", "read"), ("select * from weite", "function")];
    assert_said("utf8", "create table größe (größe int)", &texts);
}

#[test]
fn a_database_with_every_extension_at_hand_loses_no_read() {
    let setup = "
        do $$ declare name text; begin
            for name in select e.name from pg_available_extensions e
                where e.name not in ('plperl', 'plperlu', 'plpython3u', 'pltcl', 'pltclu', 'adminpack', 'old_snapshot') loop
                begin execute format('create extension if not exists %I cascade', name);
                exception when others then null; end;
            end loop; end $$;
        create table t (a int, b citext, c hstore, d ltree, e cube, f isbn, g int[], h text);
        create index on t using gin (h gin_trgm_ops);
        create view v as select b || 'x' as b from t where h % 'y';";
    let texts = [
        ("select * from t where b = 'x' and c ? 'y' and d <@ 'z' and g && '{1}' and h like '%x%' and h % 'y'", "read"),
        ("select 'x'::citext, 'a=>1'::hstore, 'a.b'::ltree, f from t order by b, d, e", "read"),
        ("select distinct b, d from t union select b, d from t", "read"),
        ("select * from v", "read"),
    ];
    assert_said("extensions", setup, &texts);
}
