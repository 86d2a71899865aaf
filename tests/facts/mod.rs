//! What PgOtter says of a text holds on PostgreSQL: values of SET as `set_config` takes them, how many statements a text has,
//! the built-in functions; and whatever a text leaves in its session is among what it is said to touch.

use crate::support::shared_postgres;
use pgotter::cli::local_postgres::{SUPERUSER, SUPERUSER_PASSWORD};
use pgotter::sql::{Facts, Plain, Reading, Setting, Touches, Unknown, Value, Verb, Verdict, read};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A session, and what it takes to use it without `async`.
struct Session<'r> {
    runtime: &'r Runtime,
    client: Client,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl<'r> Session<'r> {
    fn new(runtime: &'r Runtime) -> Self {
        let port = shared_postgres().port();
        let login = format!(
            "host=127.0.0.1 port={port} user={SUPERUSER} password={SUPERUSER_PASSWORD} dbname=postgres options='-c statement_timeout=10s'"
        );
        let (client, connection) = runtime.block_on(tokio_postgres::connect(&login, NoTls)).unwrap();
        runtime.spawn(connection);
        Self { runtime, client }
    }

    fn run(&self, text: &str) -> Result<Vec<SimpleQueryMessage>, tokio_postgres::Error> {
        self.runtime.block_on(self.client.simple_query(text))
    }

    /// The first row.
    fn row(&self, text: &str) -> Vec<Option<String>> {
        let answer = self.run(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let row = answer.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
            _ => None,
        });
        row.unwrap_or_default()
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.row(&format!("select current_setting({}, true)", literal(name))).into_iter().next().flatten()
    }

    /// All rows of two columns.
    fn pairs(&self, text: &str) -> BTreeMap<String, String> {
        let answer = self.run(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let pair = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some((row.get(0)?.to_owned(), row.get(1).unwrap_or_default().to_owned())),
            _ => None,
        };
        answer.iter().filter_map(pair).collect()
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn facts(text: &str) -> Facts {
    read(text.as_bytes(), Reading::default(), &Unknown)
}

/// In a database of plain tables.
fn verdict(text: &str) -> Verdict {
    read(text.as_bytes(), Reading::default(), &Plain).verdict()
}

/// Statements that set something, with nothing that a second one of them would depend on.
const SETS: &[&str] = &[
    "SET work_mem TO '64MB'",
    "set session Work_Mem = 4096",
    "SET \"Work_Mem\" TO DEFAULT",
    "set work_mem = '1.5MB'",
    "set work_mem = 65536.4",
    "set work_mem =+64",
    "set sort_mem = 12345",
    "set enable_seqscan = off",
    "set enable_seqscan = FALSE",
    "set enable_seqscan to 0",
    "set enable_seqscan to 'no'",
    "set extra_float_digits = -3",
    "set extra_float_digits =-3",
    "set extra_float_digits = - 2",
    "set extra_float_digits = +2",
    "set random_page_cost = 1.50",
    "set random_page_cost = .5",
    "set random_page_cost = 1e1",
    "set cpu_tuple_cost to -0.0",
    "set statement_timeout = '5min'",
    "set statement_timeout = 00700000",
    "set application_name = 007",
    "set application_name = 1.50",
    "set application_name = -1.50",
    "set application_name = -007",
    "set application_name = -0",
    "set application_name = 99999999999999999999",
    "set application_name = -2147483648",
    "set application_name = 1e3",
    "set application_name = ON",
    "set application_name = True",
    "set application_name = Word",
    "set application_name = \"Word\"",
    "set application_name = 'it''s'",
    "set application_name = 'a'\n  'b'",
    "set application_name = $$it's$$",
    "set application_name = $x$ $y$ $x$",
    "set application_name = E'a'",
    "set application_name = U&'a'",
    "set application_name = ''",
    "set application_name = 'default'",
    "set application_name = \"default\"",
    "set application_name = 'é'",
    "set application_name = \"é\"",
    "set application_name = 'a, b'",
    "set application_name = select_",
    "set application_name = between",
    "set search_path to a, b",
    "set search_path = A, \"B\", 'C', 'd e', \"f\"\"g\"",
    "set search_path = ''",
    "set search_path = '', \"$user\", public",
    "set search_path to 'a, b'",
    "set search_path to \"select\", 'left', between, begin, authorization, _x, x1, \"1x\"",
    "set search_path to 'é', \"é\"",
    "set search_path to 1, -2.5, +3, 007",
    "set search_path to default",
    "set search_path to on, true, off",
    "set schema 'Sales'",
    "set schema 'a,b'",
    "set temp_tablespaces = ''",
    "set temp_tablespaces = pg_default, 'pg_default'",
    "set local_preload_libraries = ''",
    "set datestyle to iso, ymd",
    "set datestyle = 'SQL, DMY'",
    "set datestyle = German",
    "set intervalstyle = 'iso_8601'",
    "set time zone 'Europe/Berlin'",
    "set time zone utc",
    "set time zone \"UTC\"",
    "set time zone -7",
    "set time zone 5.5",
    "set time zone default",
    "set time zone local",
    "set timezone to '<+03>-3'",
    "set names 'latin1'",
    "set names",
    "set names default",
    "set client_encoding to sql_ascii",
    "set role otter",
    "set role \"Sea Otter\"",
    "set role 'Sea Otter'",
    "set role none",
    "set role = otter",
    "set session authorization otter",
    "set session authorization 'Sea Otter'",
    "set session authorization default",
    "set session authorization \"default\"",
    "set session session authorization otter",
    "set session_authorization = otter",
    "set xml option document",
    "set xml option content",
    "set session characteristics as transaction isolation level serializable, read only, deferrable",
    "set session characteristics as transaction isolation level repeatable read read write not deferrable",
    "set session characteristics as transaction isolation level read uncommitted",
    "set default_transaction_isolation = 'repeatable read'",
    "set App.\"Tenant\" = 'x'",
    "set app.tenant = 42",
    "set app.tenant = -1.5",
    "set a.b.c = 'd'",
    "set local.x = 1",
    "set session.x = 1",
    "set bytea_output = escape",
    "set log_min_messages to 'debug'",
    "select set_config('Work_Mem', '2MB', false)",
    "select pg_catalog.set_config('search_path', 'A, \"B\"', false)",
    "select set_config('app.tenant', 'x', false), set_config('b.c', '', false) as y",
    "select set_config('work_mem', null, false)",
    "select set_config('app.tenant'::text, $$y$$::text, false)",
];

#[test]
fn set_config_with_the_value_that_is_told_does_what_the_set_did() {
    let runtime = runtime();
    let setup = Session::new(&runtime);
    let _ = setup.run("create role otter; create role \"Sea Otter\"; create role \"default_\"");
    for text in SETS {
        let told = facts(text);
        assert_eq!(told.unsure, None, "{text}");
        let settings = told.statements.only().unwrap().settings();
        assert!(!settings.is_empty(), "{text}");
        let direct = Session::new(&runtime);
        if let Err(error) = direct.run(text) {
            // As long as it is refused by the value, not by us being the only ones who understand it.
            assert!(text.contains("\"default\"") && text.contains("authorization"), "{text}: {error:?}");
            continue;
        }
        let ours = Session::new(&runtime);
        for Setting { name, value, local } in settings {
            let name = std::str::from_utf8(name).unwrap();
            assert!(!local, "{text}");
            let value = match value {
                Value::Literal(value) => literal(std::str::from_utf8(value).unwrap()),
                Value::Default => "null".to_owned(),
                Value::Computed => panic!("{text}: not told"),
            };
            ours.run("set standard_conforming_strings = on").unwrap();
            ours.run(&format!("select pg_catalog.set_config({}, {value}, false)", literal(name))).unwrap();
            assert_eq!(ours.setting(name), direct.setting(name), "{text}");
        }
        let names: Vec<_> = settings.iter().map(|setting| &*setting.name).collect();
        assert_eq!(told.names().collect::<Vec<_>>(), names, "{text}");
    }
}

#[test]
fn every_function_of_pg_catalog_is_known() {
    let runtime = runtime();
    let names = Session::new(&runtime)
        .pairs("select distinct proname, '' from pg_proc where pronamespace = 'pg_catalog'::regnamespace");
    assert!(names.len() > 2600);
    // Those that hide something are asked for anyway.
    let hiding = ["_to_xml", "ts_stat", "ts_rewrite"];
    let unknown: Vec<_> = names
        .keys()
        .filter(|name| !hiding.iter().any(|part| name.contains(part)))
        .filter(|name| {
            facts(&format!("select pg_catalog.\"{name}\"(1)")).touches.any(Touches::HIDDEN) && *name != "set_config"
        })
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(facts("select pg_catalog.no_such_function(1)").touches.contains(Touches::HIDDEN));
}

/// Volatile, and harmless on a replica.
const SAFE: [&str; 24] = [
    "array_sample",
    "array_shuffle",
    "bernoulli",
    "clock_timestamp",
    "current_query",
    "gen_random_uuid",
    "pg_database_size",
    "pg_indexes_size",
    "pg_jit_available",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_relation_size",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "random",
    "random_normal",
    "system",
    "timeofday",
    "uuidv4",
    "uuidv7",
];

#[test]
fn no_volatile_function_of_pg_catalog_is_a_read_but_those_that_are_harmless() {
    let runtime = runtime();
    let names = Session::new(&runtime).pairs(
        "select distinct proname, '' from pg_proc where pronamespace = 'pg_catalog'::regnamespace and provolatile = 'v'",
    );
    assert!(names.len() > 200);
    let verdict = |name: &str| verdict(&format!("select pg_catalog.\"{name}\"(1)"));
    let reads: Vec<_> =
        names.keys().filter(|name| verdict(name) == Verdict::Read && !SAFE.contains(&name.as_str())).collect();
    assert!(reads.is_empty(), "{reads:?}");
    assert!(SAFE.iter().all(|name| verdict(name) == Verdict::Read));
}

#[test]
fn every_operator_of_pg_catalog_is_known() {
    let runtime = runtime();
    let signs = Session::new(&runtime)
        .pairs("select distinct oprname, '' from pg_operator where oprnamespace = 'pg_catalog'::regnamespace");
    assert!(signs.len() > 70);
    let unknown: Vec<_> =
        signs.keys().filter(|sign| verdict(&format!("select a {sign} b from t")) != Verdict::Read).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Changes that another client may make, each of which makes the catalog another one to who reads it.
const CHANGES: &[&str] = &[
    "alter table marked alter a type marked_domain using a::text::marked_domain",
    "alter table marked alter a type text",
    "alter type marked_pair add attribute z marked_domain",
    "alter domain marked_domain add check (length(value) < 9)",
    "create aggregate marked_sum(int) (sfunc = int4pl, stype = int)",
    "create or replace aggregate marked_sum(int) (sfunc = int4larger, stype = int)",
    "create type marked_range as range (subtype = marked_domain)",
    "create operator === (leftarg = int, rightarg = text, function = marked_same)",
    "create operator class marked_ops for type int using hash as operator 1 =, function 1 hashint4(int)",
    "create cast (point as text) with function marked_text(point)",
    "create index on marked (lower(a))",
    "create statistics marked_stats on (lower(a)) from marked",
    "create view marked_view as select 1",
];

#[test]
fn whatever_the_catalog_is_read_for_leaves_a_mark() {
    let runtime = runtime();
    Session::new(&runtime).run("create database marked").unwrap();
    let port = shared_postgres().port();
    let login = format!("host=127.0.0.1 port={port} user={SUPERUSER} password={SUPERUSER_PASSWORD} dbname=marked");
    let (client, connection) = runtime.block_on(tokio_postgres::connect(&login, NoTls)).unwrap();
    runtime.spawn(connection);
    let session = Session { runtime: &runtime, client };
    session
        .run(
            "create domain marked_domain as text; create type marked_pair as (a int); create table marked (a text);
            create function marked_same(int, text) returns bool language sql immutable as 'select true';
            create function marked_text(point) returns text language sql immutable as 'select 1::text';",
        )
        .unwrap();
    let mark = || session.row(pgotter::cluster::CATALOG_MARK);
    assert_eq!(mark(), mark());
    for change in CHANGES {
        let before = mark();
        session.run(change).unwrap_or_else(|error| panic!("{change}: {error:?}"));
        assert_ne!(mark(), before, "{change}");
    }
}

/// What the texts below find.
const SETUP: &str = "
    create role otter;
    create role \"Sea Otter\";
    create table t (a int, b int, c int, d int, id serial, x int, i int[]);
    insert into t (a, b, i) values (1, 2, '{1,2}'), (3, 4, '{3}');
    create table u (id int, a int);
    create schema s;
    create sequence q;
    create function f(int default 1) returns int language plpgsql as
        'begin perform set_config(''app.hidden'', ''x'', false); perform pg_advisory_lock(99); return 1; end';
    create function s.f(int default 1) returns int language sql as 'select public.f($1)';
    create function \"select\"(int) returns int language sql as 'select public.f($1)';
    create function over(int) returns int language sql as 'select public.f($1)';
    create function filter(int) returns int language sql as 'select public.f($1)';
    create function \"join\"(int) returns int language sql as 'select public.f($1)';
    create function by(int) returns int language sql as 'select public.f($1)';
    create function pairs(int) returns setof int language sql as 'select public.f($1)';
    create procedure p(int) language plpgsql as 'begin perform public.f($1); end';
    create type pair as (a int, b int);";

/// Places in which a call that nobody knows may hide. Each of them runs `f`.
const HIDING: &[&str] = &[
    "select f()",
    "select F ( 1 )",
    "select \"f\"(1)",
    "select public.f(1)",
    "select postgres.public.f(1)",
    "select s.f(1)",
    "select s . /* x */ \"f\" -- y\n (1)",
    "select U&\"\\0066\"(1)",
    "select \"select\"(1)",
    "select over(1)",
    "select filter(1)",
    "select join(1)",
    "select by(1)",
    "select 1 + over(1)",
    "select a, over(1) from t",
    "select not over(1) = 1",
    "select (1).f",
    "select (1) . \"f\"",
    "select (f)::int from (select f(1) as f) f",
    "select i[1].f from t",
    "select x.pg_advisory_lock from generate_series(1, 1) x",
    "select i[1:f(1)] from t",
    "select i[f(1)] from t",
    "select distinct on (a) f(b) from t",
    "select distinct on ((a), f(b)) 1 from t",
    "select distinct on (a operator(pg_catalog.+) 1) f(b) from t",
    "select 1 operator(pg_catalog.+) f(2)",
    "select operator(pg_catalog.-) f(2)",
    "select -f(1), +f(2)",
    "select case when a = 1 then f(1) else 2 end from t",
    "select case f(1) when 1 then 2 end",
    "select case when a = 9 then 1 else f(1) end from t",
    "select 1 where f(1) = 1",
    "select 1 from t group by f(a)",
    "select 1 from t group by a having f(a) = 1",
    "select 1 from t group by rollup (f(a))",
    "select a from t order by f(a)",
    "select sum(a) filter (where f(a) = 1) from t",
    "select sum(a) over (partition by f(a)) from t",
    "select sum(a) over (order by a rows f(1) preceding) from t",
    "select sum(a) over w from t window w as (order by f(a))",
    "select 1 limit f(1)",
    "select 1 offset f(1)",
    "select 1 fetch first (f(1)) rows only",
    "select a in (f(1), 2) from t",
    "select 1 in (select f(1))",
    "select a between f(1) and 2 from t",
    "select a not between 0 and f(1) from t",
    "select exists (select 1 where f(1) = 1)",
    "select array[f(1)], row(f(1)), coalesce(f(1), 2), greatest(f(1), 2), nullif(f(1), 2)",
    "select cast(f(1) as numeric(10, 2)), f(1)::numeric(3)",
    "select 'a' like f(1)::text, 'a' not like f(1)::text, 'a' similar to f(1)::text",
    "select now() at time zone f(1)::text from t where f(1) = 2",
    "select 1 is distinct from f(1)",
    "select trim(both from f(1)::text), position('a' in f(1)::text), overlay('abc' placing f(1)::text from 1)",
    "select extract(epoch from make_interval(secs => f(1)))",
    "select xmlelement(name x, f(1))",
    "select json_build_object('a', f(1))",
    "select coalesce((select f(1)), 2)",
    "select * from f(1)",
    "select * from f(1) as x(f)",
    "select * from f(1) with ordinality",
    "select * from t, f(1)",
    "select * from t join f(1) on true",
    "select * from t join t y on f(1) = 2",
    "select * from t left join lateral f(t.a) y on true",
    "select * from rows from (f(1), f(2)) as x(a, b)",
    "select * from t tablesample system (f(1)) repeatable (f(1))",
    "select * from pairs(1) x(a)",
    "values (f(1)), (2)",
    "with x as (select f(1)) select * from x",
    "with x as materialized (values (f(1))) select * from x",
    "with recursive x(n) as (values (f(1)) union all select n + 1 from x where n < 3) select * from x",
    "(select f(1)) union select 2",
    "select set_config('work_mem', f(1)::text || 'MB', true)",
    "insert into u values (f(1))",
    "insert into u (id, a) select f(1), 2",
    "insert into u values (1) returning f(1)",
    "update t set a = f(1) where a = 1",
    "update t set (a, b) = (f(1), 2)",
    "delete from u where id = f(1) returning f(2)",
    "merge into u using t on u.id = f(t.a) when not matched then insert (id, a) values (f(1), 2)",
    "explain analyze select f(1)",
    "explain (analyze) select f(1) from t",
    "create table w as select f(1)",
    "create materialized view v as select f(1)",
    "create table z (a int check (f(a) = 1)); insert into z values (1)",
    "alter table u alter column a type int using f(a)",
    "alter table u add column z int default f(1)",
    "copy (select f(1)) to program 'cat >/dev/null'",
    "call p(1)",
    "call p(f(1))",
    "do $$ begin perform f(1); end $$",
    "do 'begin perform f(1); end'",
    "do $$ declare x int := f(1); begin x := 1; end $$",
    "do $$ begin if f(1) = 1 then null; end if; end $$",
    "do $$ begin execute 'select f(1)'; end $$",
    "do $$ begin execute 'sel' || 'ect f(1)'; end $$",
    "prepare r as select f(1); execute r",
    "prepare r(int) as select $1; execute r(f(1))",
    "declare c cursor with hold for select f(1)",
    "select query_to_xml('select f(1)', true, false, '')",
];

/// What a text has left in a session that had nothing.
fn left(session: &Session<'_>, before: &BTreeMap<String, String>, told: &Facts) -> Vec<String> {
    // Whoever executes a prepared statement adds what it touches.
    let prepared = told.statements.iter().map(|statement| match &statement.verb {
        Verb::Prepare(prepare) => prepare.touches,
        _ => Touches::NOTHING,
    });
    let touches = prepared.fold(told.touches, Touches::and);
    let hidden = touches.any(Touches::HIDDEN | Touches::ALL_SETTINGS);
    let named = |name: &str| told.names().any(|named| named.eq_ignore_ascii_case(name.as_bytes()));
    let custom = |name: &str| told.custom_names().any(|named| named == name.as_bytes());
    let mut complaints = Vec::new();
    let mut check = |happened: bool, what: &str, allowed: bool| {
        if happened && !allowed {
            complaints.push(what.to_owned());
        }
    };
    let _ = session.run("rollback");
    // A role may not see everything.
    for name in ["session_authorization", "role"] {
        let changed = session.setting(name).as_ref() != before.get(name);
        check(changed, name, named(name) || hidden);
    }
    let _ = session.run("set session authorization default; set role none");
    for (name, value) in session.pairs(SETTINGS) {
        // Others come with a library.
        let changed = before.get(&name).is_some_and(|before| *before != value) && !name.starts_with("transaction_");
        check(changed, &name, touches.contains(Touches::SETTINGS) && named(&name) || hidden);
    }
    for name in CUSTOM {
        let there = session.setting(name).is_some();
        check(there, name, custom(name) || touches.any(Touches::PLACEHOLDERS) || hidden);
        let set = session.setting(name).is_some_and(|value| !value.is_empty());
        check(set, name, named(name) || hidden);
    }
    let count = |what: &str| session.row(what).first().cloned().flatten().is_some_and(|count| count != "0");
    let any = |what: Touches| touches.any(what | Touches::HIDDEN);
    check(count(LOCKED), "a lock", any(Touches::SESSION_LOCK));
    check(count("select count(*) from pg_cursors where is_holdable"), "a cursor", any(Touches::HOLD_CURSOR));
    check(count("select count(*) from pg_listening_channels()"), "a channel", any(Touches::LISTENS));
    check(count("select count(*) from pg_prepared_statements"), "a statement", any(Touches::STATEMENTS));
    let temporary =
        "select count(*) from pg_depend where refclassid = 'pg_namespace'::regclass and refobjid = pg_my_temp_schema()";
    check(count(temporary), "something temporary", any(Touches::TEMP));
    check(session.run("select lastval()").is_ok(), "lastval", any(Touches::SEQUENCE_WRITE));
    complaints
}

const LOCKED: &str = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()";

const SETTINGS: &str = "select name, setting from pg_settings where name not in ('in_hot_standby', 'is_superuser')";

/// Custom settings that the texts and the functions set.
const CUSTOM: &[&str] =
    &["app.hidden", "app.tenant", "app.a", "app.x", "a.b", "c.d", "b.c", "a.b.c", "local.x", "session.x", "role.x"];

/// Held by whoever uses the database's tables.
static TABLES: Mutex<()> = Mutex::new(());

/// How many ran, had their statements counted, and left a lock.
fn check_texts<'t>(texts: impl Iterator<Item = &'t str>) -> (usize, usize, usize) {
    let runtime = runtime();
    let setup = Session::new(&runtime);
    let _ = setup.run("drop schema public cascade; drop schema s cascade; create schema public; grant all on schema public to public; alter database postgres reset all");
    for statement in SETUP.split(";\n") {
        let _ = setup.run(statement);
    }
    let (mut run, mut counted, mut locked) = (0, 0, 0);
    for text in texts {
        let told = facts(text);
        let session = Session::new(&runtime);
        let mut before = session.pairs(SETTINGS);
        for name in ["session_authorization", "role"] {
            before.extend(session.setting(name).map(|value| (name.to_owned(), value)));
        }
        let answer = session.run(text);
        if let Ok(answer) = &answer {
            run += 1;
            let complete =
                answer.iter().filter(|message| matches!(message, SimpleQueryMessage::CommandComplete(_))).count();
            // No statement is answered like one.
            if told.unsure.is_none() && !told.statements.is_empty() {
                counted += 1;
                assert_eq!(told.statements.len(), complete, "statements of {text:?}");
            }
        }
        let _ = session.run("rollback");
        let has_lock = session.row(LOCKED).first().cloned().flatten().is_some_and(|count| count != "0");
        locked += usize::from(has_lock);
        assert_eq!(left(&session, &before, &told), [""; 0], "{text:?} is said to touch {}", told.touches);
    }
    (run, counted, locked)
}

#[test]
fn what_a_text_leaves_in_its_session_is_among_what_it_touches() {
    let _tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let cases = include_str!("../sql/facts.cases").lines().filter_map(|line| line.rsplit_once(" ⇒ "));
    let cases = cases.map(|(text, _)| text.replace("\\\\", "\u{1}").replace("\\n", "\n").replace('\u{1}', "\\"));
    // They wait for data, or for somebody else.
    let waits = ["stdin", "stdout", "pg_sleep", "[catalog]", "pg_backup", "drop owned", "alter system", "alter role"];
    let cases: Vec<String> = cases.filter(|text| !waits.iter().any(|part| text.contains(part))).collect();
    let (run, counted, _) = check_texts(cases.iter().map(String::as_str).chain(SETS.iter().copied()));
    assert!(run > 250 && counted > 250, "{run} of the texts ran, {counted} were counted");
}

#[test]
fn a_call_is_seen_wherever_it_hides() {
    let _tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let (run, _, locked) = check_texts(HIDING.iter().copied());
    // `f` takes a lock.
    assert_eq!((run, locked), (HIDING.len(), HIDING.len()));
    for text in HIDING {
        assert!(
            text.starts_with("prepare r as") || facts(text).touches.any(Touches::HIDDEN | Touches::SESSION_LOCK),
            "{text}"
        );
    }
}
