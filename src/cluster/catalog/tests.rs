//! What bodies say, what follows from what they use, and when a catalog is read.

use super::body::{self, Does};
use super::graph::{Graph, Kind};
use super::*;
use crate::sql::{Bounds, Effects, Functions, Touches};
use std::thread;

const R: Kind = Kind::Routine;
const W: Kind = Kind::Written;

type Named<'a> = (Kind, &'a str);

fn names(functions: &[(&str, &str)], uses: &[(Named<'_>, Named<'_>)]) -> Names {
    let mut graph = Graph::default();
    functions.iter().for_each(|(name, _)| graph.add(R, name.as_bytes()));
    for ((kind, user), (what, used)) in uses {
        graph.add_use((*kind, user.as_bytes()), (*what, used.as_bytes()));
    }
    for (name, text) in functions {
        let does = match text.strip_prefix("plpgsql ") {
            Some(text) => body::read(&graph, text.as_bytes(), true),
            None => body::read(&graph, text.as_bytes(), false),
        };
        graph.does(name.as_bytes(), does);
    }
    graph.names(&Claims::default())
}

fn touches(names: &Names, name: &str) -> String {
    names.function(name.as_bytes()).map_or("unknown".to_owned(), |does| does.touches.to_string())
}

fn settings(names: &Names, name: &str) -> String {
    let mut all = Vec::new();
    names.settings(name.as_bytes(), &mut |setting, local| {
        all.push(format!("{}{}", String::from_utf8_lossy(setting), if local { " local" } else { "" }));
    });
    all.sort();
    all.join(", ")
}

fn body_of(text: &str) -> String {
    let names = names(&[("f", text), ("harmless", "select 1")], &[((W, "audited"), (R, "pg_advisory_lock"))]);
    format!("{} [{}]", touches(&names, "f"), settings(&names, "f"))
}

#[test]
fn a_body_says_what_its_function_touches() {
    for (text, expected) in [
        ("select lower($1), harmless(1), count(*) from t", "nothing []"),
        ("insert into t values (1)", "sequence_write []"),
        ("select pg_advisory_lock(1)", "session_lock []"),
        ("select '\\'' || pg_advisory_lock(7)::text || '\\''", "hidden dynamic []"),
        ("select a from t where b ~ '^\\d+$'", "nothing []"),
        ("plpgsql begin execute format('select count(*) from t where a = %L', x) into n; end", "nothing []"),
        ("plpgsql begin execute format('select %L, %L', lower(x), (y)) using z; end", "nothing []"),
        ("plpgsql begin execute format('select 1'); end", "nothing []"),
        ("plpgsql begin execute format('select %L', x) || y into n; end", "hidden dynamic []"),
        ("plpgsql begin execute format('select 1') || y; end", "hidden dynamic []"),
        ("select setting from pg_settings where name = 'work_mem'", "nothing []"),
        ("update pg_catalog.pg_settings set setting = $1 where name = 'work_mem'", "sequence_write hidden []"),
        ("plpgsql begin update pg_settings set setting = 1 where name = 'work_mem'; end", "sequence_write hidden []"),
        ("select set_config('app.tenant', $1, true)", "nothing [app.tenant local]"),
        ("select set_config('app.tenant', $1, false)", "settings [app.tenant]"),
        ("select set_config($1, $2, false)", "settings hidden dynamic []"),
        ("select nobody_knows(1)", "hidden []"),
        (
            "plpgsql begin if (a) then return (b); end if; perform harmless(1); select a into b from t; end",
            "nothing []",
        ),
        (
            "plpgsql declare v varchar(3) := 1; begin while (a) loop execute 'select 1'; end loop; commit; end;",
            "nothing []",
        ),
        ("plpgsql begin set local app.tenant = 'x'; end", "nothing [app.tenant local]"),
        (
            "plpgsql begin set work_mem = '1MB'; perform set_config('app.x', y, true); end",
            "settings [app.x local, work_mem]",
        ),
        ("plpgsql begin if a then listen c; end if; end", "listens []"),
        ("plpgsql begin create temp table t (a int); end", "temp creates []"),
        ("plpgsql begin delete from audited; end", "session_lock []"),
        ("plpgsql begin return query select * from audited; end", "nothing []"),
        ("select 'unterminated", "hidden dynamic []"),
    ] {
        assert_eq!(body_of(text), expected, "{text}");
    }
}

#[test]
fn what_is_executed_is_read_if_its_text_is_known() {
    for (text, expected) in [
        ("execute 'insert into t values ($1)' using a;", "session_write []"),
        ("execute 'select pg_advisory_lock(1)';", "session_lock []"),
        ("execute format('insert into t_%s values (1)', a);", "hidden dynamic []"),
        ("execute format('update t set a = %L where b = %2$L and c = 100%%3', a, b);", "sequence_write []"),
        ("execute format('delete from %I', a);", "session_lock []"),
        ("execute format('select %I(1)', a);", "hidden dynamic []"),
        ("execute format('set %I = %L', a, b);", "settings hidden dynamic []"),
        ("execute format('set app.%I = %L', a, b);", "settings hidden dynamic []"),
        ("execute 'select ' || a;", "hidden dynamic []"),
        ("execute a;", "hidden dynamic []"),
        ("for r in execute 'select 1' loop end loop;", "nothing []"),
    ] {
        assert_eq!(
            body_of(&format!("plpgsql begin {text} end")),
            expected.replace("session_write", "sequence_write"),
            "{text}"
        );
    }
}

#[test]
fn a_text_that_the_databases_own_format_makes_is_not_known() {
    let body = "plpgsql begin execute format('select %L', 1); end";
    assert_eq!(touches(&names(&[("f", body)], &[]), "f"), "nothing");
    assert_eq!(touches(&names(&[("f", body), ("format", "select 'select 1'")], &[]), "f"), "hidden dynamic");
}

#[test]
fn a_variable_of_a_columns_type_has_the_checks_of_that() {
    let uses = [((Kind::Read, "t"), (R, "locks"))];
    for (text, expected) in [
        ("declare v t.a%type; begin v := 1; end", "session_lock"),
        ("declare v s.t.a%type; begin v := 1; end", "session_lock"),
        ("declare v t%rowtype; begin v.a := 1; end", "session_lock"),
        ("declare v u.a%type; begin v := 1; end", "nothing"),
    ] {
        let body = format!("plpgsql {text}");
        let names = names(&[("locks", "select pg_advisory_lock(1)"), ("f", &body)], &uses);
        assert_eq!(touches(&names, "f"), expected, "{text}");
    }
}

#[test]
fn what_any_statement_may_read_is_told_of_each() {
    let mut graph = Graph::default();
    graph.is((Kind::Read, b"t"), Effects { relation: true, ..Effects::NOTHING });
    graph.add(R, b"labels");
    let does = body::read(&graph, b"select a from t", false);
    graph.does(b"labels", does);
    graph.add_use((Kind::Everywhere, b""), (R, b"labels"));
    let names = graph.names(&Claims::default());
    let facts = crate::sql::read(b"select 1", Reading::default(), &names);
    assert_eq!((facts.verdict(), facts.relations()), (Verdict::Read, None));
}

#[test]
fn who_uses_something_touches_what_it_touches() {
    let names = names(
        &[
            ("locks", "select pg_advisory_lock(1)"),
            ("tenant", "select set_config('app.tenant', '1', true)"),
            ("pair", "select locks(), tenant()"),
            ("outer", "plpgsql begin perform pair(); end"),
            ("ping", "select pong()"),
            ("pong", "select ping(), tenant()"),
            ("writes", "insert into parent values (1)"),
            ("clean", "select 1"),
        ],
        &[
            ((Kind::Read, "view"), (R, "pair")),
            ((W, "parent"), (W, "child")),
            ((W, "child"), (R, "locks")),
            ((R, "sum_of"), (R, "locks")),
            ((R, "atomic"), (R, "set_config")),
        ],
    );
    for (name, expected) in [
        ("outer", "session_lock"),
        ("ping", "nothing"),
        ("writes", "session_lock sequence_write"),
        ("clean", "nothing"),
        ("sum_of", "session_lock"),
        ("atomic", "settings hidden dynamic"),
        ("missing", "unknown"),
    ] {
        assert_eq!(touches(&names, name), expected, "{name}");
    }
    assert_eq!(["outer", "ping", "view"].map(|name| settings(&names, name)), ["app.tenant local"; 3]);
    assert_eq!(names.relation(b"view").touches, Touches::SESSION_LOCK);
    assert_eq!(names.relation(b"parent"), Effects { more: true, ..Effects::NOTHING });
    assert_eq!(names.along(b"parent"), [b"child".as_slice().into()]);
    assert_eq!(names.written(b"parent"), Touches::SESSION_LOCK);
}

#[test]
fn an_operator_sets_what_its_function_sets() {
    let names = names(&[("sets", "select set_config('work_mem', '1MB', false)")], &[((R, "<+>"), (R, "sets"))]);
    let facts = crate::sql::read(b"select 1 <+> 2", Reading::default(), &names);
    assert_eq!(facts.names().collect::<Vec<_>>(), [b"work_mem"]);
}

/// PostgreSQL keeps what is STABLE from writing itself, but not from calling what writes.
#[test]
fn what_may_write_is_found_behind_functions_operators_views_and_domains() {
    let mut graph = Graph::default();
    for (name, body) in [("volatile", "select 1"), ("stable", "select volatile()"), ("draws", "select nextval('s')")] {
        graph.add(R, name.as_bytes());
        let does = body::read(&graph, body.as_bytes(), false);
        graph.does(name.as_bytes(), does);
    }
    graph.is((R, b"volatile"), Bounds::WRITES);
    for (user, used) in [
        ((R, "<~>"), (R, "stable")),
        ((R, "sum_of"), (R, "stable")),
        ((Kind::Read, "checked"), (R, "volatile")),
        ((Kind::Read, "view"), (R, "stable")),
        ((Kind::Read, "outer_view"), (Kind::Read, "view")),
        ((Kind::Read, "clean"), (R, "lower")),
        ((R, "tells"), (R, "current_setting")),
    ] {
        graph.add_use((user.0, user.1.as_bytes()), (used.0, used.1.as_bytes()));
    }
    for relation in ["view", "outer_view", "clean"] {
        graph.is((Kind::Read, relation.as_bytes()), Effects { relation: true, ..Effects::NOTHING });
    }
    let names = graph.names(&Claims::default());
    for (text, expected) in [
        ("select stable()", "function"),
        ("select draws()", "function"),
        ("select a <~> b from clean", "function"),
        ("select sum_of(a) from clean", "function"),
        ("select a::checked from clean", "function"),
        ("select * from outer_view", "function"),
        ("select a.stable from clean a", "function"),
        ("select tells()", "node"),
        ("select lower(a) from clean", "read"),
    ] {
        assert_eq!(crate::sql::read(text.as_bytes(), Reading::default(), &names).verdict().word(), expected, "{text}");
    }
}

#[test]
fn functions_whose_bodies_cannot_be_read_are_judged_by_where_they_come_from() {
    for (language, extension, name, symbol, expected) in [
        ("c", "pgcrypto", "gen_salt", "pg_gen_salt", "nothing"),
        ("c", "dblink", "dblink_connect", "dblink_connect", "unmovable"),
        ("c", "dblink", "dblink", "dblink_record", "nothing"),
        ("c", "tablefunc", "crosstab", "crosstab", "hidden dynamic"),
        ("c", "pg_trgm", "set_limit", "set_limit", "settings"),
        ("c", "", "mine", "mine", "nothing"),
        ("c", "", "mine", "take_lock", "hidden"),
        ("internal", "", "mine", "pg_advisory_lock_int8", "hidden dynamic"),
        ("internal", "", "total", "aggregate_dummy", "nothing"),
        ("plpython3u", "", "mine", "return 1", "hidden dynamic"),
    ] {
        let extension = Some(extension.as_bytes()).filter(|name| !name.is_empty());
        let does = super::foreign::does(language.as_bytes(), extension, name.as_bytes(), symbol.as_bytes());
        assert_eq!(does.effects.touches.to_string(), expected, "{language} {name} {symbol}");
    }
}

#[test]
fn another_name_for_what_is_built_in_may_do_the_same() {
    let bounds = |language: &[u8], symbol: &[u8]| super::foreign::does(language, None, b"mine", symbol).effects.bounds;
    assert!(bounds(b"internal", b"pg_stat_reset").any(Bounds::WRITES));
    assert!(bounds(b"internal", b"lower").allow_replicas());
    assert!(!bounds(b"c", b"pg_stat_reset").any(Bounds::WRITES), "it only has the name of another");
}

#[test]
fn what_names_too_many_settings_may_set_any() {
    let mut graph = Graph::default();
    (0..17).for_each(|number| graph.sets(b"f", format!("app.s{number}").as_bytes(), true));
    graph.does(b"f", Does::default());
    assert_eq!(touches(&graph.names(&Claims::default()), "f"), "hidden dynamic");
}

#[test]
fn a_change_is_doubted_until_the_catalog_is_read_behind_it() {
    let catalog = Catalog::new(Arc::new(StatementCache::new(1 << 20)));
    let known = || {
        let mut names = Names::new();
        names.add_function(b"f", Touches::NOTHING);
        names
    };
    let touches = || catalog.known().function(b"f").map(|does| does.touches);
    assert_eq!(touches(), None);
    let first = catalog.is_due(clock::now());
    assert!(first.is_some());
    assert!(catalog.is_due(clock::now()).is_none(), "one reads it at a time");
    catalog.learn(known(), 0);
    drop(first);
    assert_eq!(touches(), Some(Touches::NOTHING));
    let change = catalog.begin_change();
    assert_eq!(touches(), Some(Touches::HIDDEN));
    assert_eq!(catalog.known().relation(b"any").touches, Touches::HIDDEN);
    let later = clock::now() + AGAIN * 2;
    assert!(catalog.is_due(later).is_none(), "the change is under way");
    // One that was read while it was.
    catalog.learn(known(), 1);
    assert_eq!(touches(), Some(Touches::HIDDEN));
    drop(change);
    assert_eq!(touches(), Some(Touches::HIDDEN));
    assert!(catalog.is_due(later).is_some());
    catalog.learn(known(), 2);
    assert_eq!(touches(), Some(Touches::NOTHING));
}

#[test]
fn a_reading_that_is_asked_for_is_not_the_one_under_way() {
    let catalog = of_a_table();
    let first = catalog.is_due(clock::now()).expect("it was not read yet");
    catalog.read_behind(Computed::ByDo);
    drop(first.tried());
    let soon = clock::now() + Duration::from_secs(10);
    let second = catalog.is_due(soon).expect("one is due");
    drop(second.tried());
    assert!(catalog.is_due(soon).is_none(), "nobody has asked for another one");
    catalog.read_behind(Computed::ByDo);
    assert!(catalog.is_due(soon).is_some());
    assert!(!catalog.known().is_doubtful());
}

#[tokio::test(start_paused = true)]
async fn functions_that_run_computed_texts_have_it_read_now_and_then_however_often_they_are_called() {
    for (computed, late) in
        [(Computed::Nothing, AGAIN), (Computed::ByFunction, CALLED), (Computed::ByDo, Duration::ZERO)]
    {
        for meanwhile in [false, true] {
            let catalog = of_a_table();
            let first = catalog.is_due(clock::now()).expect("it was not read yet");
            let call = || (0..1_000).for_each(|_| catalog.read_behind(computed));
            if meanwhile {
                call();
            }
            drop(first.tried());
            if !meanwhile {
                call();
            }
            if let Some(early) = late.checked_sub(Duration::from_millis(1)) {
                assert!(catalog.is_due(clock::now() + early).is_none(), "{computed:?}, {meanwhile}");
            }
            let second = catalog.is_due(clock::now() + late).expect("one is due");
            drop(second.tried());
            let early = AGAIN - Duration::from_millis(1);
            assert!(catalog.is_due(clock::now() + early).is_none(), "nobody has asked again");
        }
    }
}

#[test]
fn a_database_without_anything_of_its_own_is_known_once_it_was_read() {
    let catalog = Catalog::new(Arc::new(StatementCache::new(1 << 20)));
    let verdict = || catalog.read(b"SELECT now() FROM pg_class", Reading::default()).verdict();
    assert_eq!(verdict().word(), "function");
    catalog.learn(Names::new(), 0);
    assert_eq!(verdict().word(), "catalog");
}

/// A catalog that knows the table `t`.
fn of_a_table() -> Arc<Catalog> {
    let catalog = Catalog::new(Arc::new(StatementCache::new(1 << 20)));
    let mut names = Names::new();
    names.add_relation(b"t", Effects { relation: true, ..Effects::NOTHING });
    catalog.learn(names, 0);
    catalog
}

#[tokio::test]
async fn a_long_text_is_the_primarys_until_the_second_reader_has_answered() {
    let catalog = of_a_table();
    let text = |length: usize| format!("select a from t where a in ({}1)", "1, ".repeat(length / 3));
    let judge = |length| catalog.judge(text(length).as_bytes(), Reading::default()).1;
    assert_eq!(judge(500), Verdict::Read);
    assert_eq!(judge(4_000), Verdict::Unparsed);
    tokio::time::timeout(Duration::from_secs(10), async {
        while judge(4_000) != Verdict::Read {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it is answered");
    // Too long to be kept, and to be asked for.
    assert_eq!((judge(10_000), judge(20_000)), (Verdict::Read, Verdict::Read));
}

#[test]
fn nothing_is_a_read_before_the_catalog_was_read_or_while_it_is_being_changed() {
    let judge = |catalog: &Arc<Catalog>| catalog.judge(b"select lower(a) from t", Reading::default()).1;
    let unread = Catalog::new(Arc::new(StatementCache::new(1 << 20)));
    assert_eq!(judge(&unread), Verdict::Function);
    let catalog = of_a_table();
    assert_eq!(judge(&catalog), Verdict::Read);
    let change = catalog.begin_change();
    assert_eq!(judge(&catalog), Verdict::Function);
    drop(change);
    assert_eq!(judge(&catalog), Verdict::Function, "it was not read again yet");
}

#[test]
fn a_body_that_reads_a_table_reads_and_of_what_is_not_known_it_may_write() {
    let mut graph = Graph::default();
    graph.is((Kind::Read, b"t"), Effects { relation: true, ..Effects::NOTHING });
    let bounds = |text: &str| body::read(&graph, text.as_bytes(), false).effects.bounds;
    assert!(bounds("select count(*) from t").allow_replicas());
    assert!(bounds("select count(*) from unknown").any(Bounds::WRITES));
}

#[test]
fn what_a_tree_asks_for_is_no_matter_to_the_texts_that_ask_for_something_else() {
    let names = names(
        &[("tenant", "select current_setting('app.tenant')"), ("port", "select current_setting('port')")],
        &[((Kind::Read, "view"), (R, "current_setting"))],
    );
    for (text, expected) in [
        ("select * from view", "node"),
        ("select current_setting('app.tenant')", "read"),
        ("select tenant()", "read"),
        ("select port()", "node"),
        ("select current_setting('port')", "node"),
    ] {
        let mut names = names.clone();
        names.add_relation(b"view", Effects { relation: true, ..Effects::NOTHING });
        assert_eq!(crate::sql::read(text.as_bytes(), Reading::default(), &names).verdict().word(), expected, "{text}");
    }
}

#[test]
fn what_the_configuration_says_of_functions_counts_for_who_uses_them_too() {
    let mut graph = Graph::default();
    let volatile = "plpgsql begin execute a; perform set_config('app.x', '1', false); end";
    for name in ["reads", "calls", "writes", "uses", "inserts", "inserts_by"] {
        graph.add(R, name.as_bytes());
    }
    graph.is((R, b"reads"), Bounds::WRITES);
    for (name, text) in [
        ("reads", volatile),
        ("calls", "select reads()"),
        ("writes", "select 1"),
        ("uses", "select writes()"),
        ("inserts", "insert into t values (1)"),
        ("inserts_by", "select inserts()"),
    ] {
        let does = body::read(&graph, text.trim_start_matches("plpgsql ").as_bytes(), text.starts_with("plpgsql"));
        graph.does(name.as_bytes(), does);
    }
    let claims = Claims {
        reads: [b"reads".as_slice(), b"inserts", b"inserts_by"].map(Box::from).into(),
        writes: vec![b"writes".as_slice().into(), b"lower".as_slice().into()],
    };
    let names = graph.names(&claims);
    let does = |name: &str| names.function(name.as_bytes()).unwrap();
    for name in ["reads", "calls"] {
        assert!(does(name).bounds.allow_replicas(), "{name}");
        // What it was found to do to its session is not taken back.
        assert_eq!(touches(&names, name), "settings", "{name}");
    }
    // Nor what others have to see.
    for name in ["writes", "uses", "lower", "inserts", "inserts_by"] {
        assert!(does(name).bounds.any(Bounds::WRITES), "{name}");
    }
    // PostgreSQL's own is what it is, whatever is said of it.
    let mut graph = Graph::default();
    graph.add_use((W, b"t"), (R, b"set_config"));
    let names = graph.names(&Claims { reads: vec![b"set_config".as_slice().into()], ..Claims::default() });
    assert!(names.written(b"t").any(Touches::HIDDEN));
}

#[test]
fn who_asks_for_its_transaction_is_found_through_all_that_use_it() {
    let names = names(
        &[
            ("asks", "select now()"),
            ("says", "select 'tomorrow'::date"),
            ("deep", "plpgsql begin execute 'select ''now''::date'; end"),
            ("opens", "plpgsql declare c refcursor; begin open c for select 1; return c; end"),
            ("outer", "select asks()"),
            ("clean", "select clock_timestamp(), 'known'"),
        ],
        &[((Kind::Read, "view"), (R, "outer")), ((Kind::Read, "tree"), (R, "transaction_timestamp"))],
    );
    let asks = |does: Effects| does.bounds.any(Bounds::TRANSACTION);
    for name in ["asks", "says", "deep", "opens", "outer"] {
        assert!(asks(names.function(name.as_bytes()).unwrap()), "{name}");
    }
    assert!(!asks(names.function(b"clean").unwrap()));
    assert!(asks(names.relation(b"view")) && asks(names.relation(b"tree")));
}

#[test]
fn whoever_waits_for_a_reading_is_called_when_it_has_ended() {
    let (catalog, ended) = (Catalog::new(Arc::new(StatementCache::new(1 << 20))), AtomicBool::new(false));
    // Behind every rest.
    let later = clock::now() + Duration::from_secs(3_600);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                drop(catalog.is_due(later));
            }
        });
        let mailbox = Arc::new(Mailbox::default());
        let mut waited = 0;
        while waited < 200_000 {
            let Prospect::Others(reading) = catalog.prospect(later, &mailbox) else { continue };
            waited += 1;
            let since = std::time::Instant::now();
            while mailbox.take().is_none() || catalog.is_reading(reading) {
                if since.elapsed() > Duration::from_secs(20) {
                    ended.store(true, Ordering::Relaxed);
                    panic!("never called");
                }
                thread::yield_now();
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
}
