//! What is in front, what has come since, and what keys do.

use super::*;
use crate::clock::{self, Instant};

pub fn table(columns: &str, rows: &[&str]) -> Table {
    let words = |line: &str| line.split('|').map(|word| word.trim().to_owned()).collect();
    Table { columns: words(columns), rows: rows.iter().map(|row| words(row)).collect() }
}

pub const QUERIES: &str = "further|database|fingerprint|kind|calls|errors|rows|total_ms|mean_ms|p50_ms|p95_ms|p99_ms|wait_ms|share|query|tables";
pub const ACTIVE: &str =
    "id|database|user|application_name|addr|port|state|age_ms|server|server_pid|pin|fingerprint|query";
pub const POOLS: &str = "database|user|cl_active|cl_waiting|sv_active|sv_idle|maxwait|maxwait_us";

pub fn snapshot(at: Instant, queries: &[&str], live: &[&str]) -> Snapshot {
    let pools = ["shop|app|3|1|3|2|1|500000", "logs|app|1|0|1|0|0|0", "pgbouncer|pgbouncer|1|0|0|0|0|0"];
    Snapshot::read(at, &table(QUERIES, queries), &table(ACTIVE, live), &table(POOLS, &pools)).expect("tables")
}

const SLOW: &str = "x|shop|aa|read|10|0|10|5000.5|500.05|480.0|900.0|950.0|0.0|80.0|select pg_sleep(?)|";
const OFTEN: &str =
    "x|shop|bb|write|1000|7|1000|1000.0|1.0|1.0|2.0|3.0|50.0|16.0|insert into t values (?)|public.t,public.u";
const PIPE: &str = "x|shop|pipeline|  |0|0|0|200.0|20.0|20.0|30.0|30.0|0.0|3.2|  |";
const NONE: &str = "x|logs|cc|read|3|3|0|0.000||||| 400.0|0.0|selec ?|";

fn model() -> (Model, Instant) {
    let start = clock::now();
    let mut model = Model::new("there:6432".to_owned(), View::Queries, Sort::Time, Duration::from_secs(2));
    model.take(snapshot(start, &[OFTEN, NONE, SLOW, PIPE], &[]));
    (model, start)
}

fn order(model: &Model) -> Vec<&str> {
    model.lines().iter().map(|line| line.query.key.1.as_str()).collect()
}

#[test]
fn each_order_has_its_key() {
    let (mut model, _) = model();
    assert_eq!(order(&model), ["aa", "bb", "pipeline", "cc"]);
    for (key, expected) in [
        ('p', ["aa", "pipeline", "bb", "cc"]),
        ('c', ["bb", "aa", "cc", "pipeline"]),
        ('e', ["bb", "cc", "aa", "pipeline"]),
        ('w', ["cc", "bb", "aa", "pipeline"]),
        ('t', ["aa", "bb", "pipeline", "cc"]),
    ] {
        assert_eq!(model.press(Press::Char(key)), None);
        assert_eq!(order(&model), expected, "{key}");
    }
}

#[test]
fn what_is_done_now_is_the_difference_of_two_looks() {
    let (mut model, start) = model();
    assert!(model.passed().is_none() && model.lines().iter().all(|line| line.since.is_none()));
    let slow = SLOW.replace("|10|0|10|5000.5|", "|12|0|12|6000.5|");
    let often = OFTEN.replace("|1000|7|1000|1000.0|", "|2000|9|2000|3000.0|").replace("|50.0|", "|60.0|");
    // PgOtter was started anew for this one; the other was not shown before.
    let anew = NONE.replace("|3|3|", "|1|1|");
    let other = SLOW.replace("|aa|", "|dd|");
    model.take(snapshot(start + Duration::from_secs(4), &[&slow, &often, &anew, &other], &[]));
    let since = |name: &str| model.lines().iter().find(|line| line.query.key.1 == name).map(|line| line.since).unwrap();
    assert_eq!(since("aa"), Some(Since { calls: 0.5, errors: 0.0, busy: 0.25, wait_ms: 0.0 }));
    assert_eq!(since("bb"), Some(Since { calls: 250.0, errors: 0.5, busy: 0.5, wait_ms: 2.5 }));
    assert_eq!((since("cc"), since("dd")), (None, None));
    assert_eq!(order(&model)[0], "aa");
    model.press(Press::Char('d'));
    assert_eq!(order(&model)[..2], ["bb", "aa"]);
}

#[test]
fn the_cursor_stays_with_its_query_and_enter_shows_it() {
    let (mut model, start) = model();
    for (press, at) in [
        (Press::Up, 0),
        (Press::Down, 1),
        (Press::Down, 2),
        (Press::PageDown, 3),
        (Press::Up, 2),
        (Press::Home, 0),
        (Press::End, 3),
        (Press::PageUp, 0),
        (Press::Down, 1),
    ] {
        model.press(press);
        assert_eq!(model.cursor(), at, "{press:?}");
    }
    let busy = OFTEN.replace("|1000.0|", "|9000.0|");
    model.take(snapshot(start + Duration::from_secs(2), &[&busy, SLOW], &[]));
    assert_eq!((order(&model)[0], model.cursor()), ("bb", 0));
    assert_eq!(model.press(Press::Enter), Some(Order::Closer(Some("bb".to_owned()))));
    let key = ("shop".to_owned(), "bb".to_owned());
    assert_eq!(model.view, View::One(key.clone()));
    model.drawn.set(3);
    assert_eq!((model.press(Press::Down), model.press(Press::Down), model.above), (None, None, 2));
    model.press(Press::Down);
    assert_eq!(model.above, 2, "there is no line beyond");
    assert_eq!(model.one(&key).unwrap().query.tables, "public.t,public.u");
    model.take(snapshot(start + Duration::from_secs(4), &[SLOW], &[]));
    assert!(model.one(&key).is_none());
    assert_eq!(model.press(Press::Escape), Some(Order::Closer(None)));
    assert_eq!((&model.view, model.cursor()), (&View::Queries, 0));
}

const LIVE: [&str; 2] = [
    "17|shop|app|psql|127.0.0.1|5000|active|90000.5|127.0.0.1:5432|4711|temp|aa|select pg_sleep(?)",
    "18|shop|app||unix||waiting|10.0|||||",
];

#[test]
fn a_statement_is_canceled_when_the_user_says_so_twice() {
    let (mut model, start) = model();
    assert_eq!(model.press(Press::Char('k')), None);
    assert!(model.question.is_none(), "there is no client in this list");
    model.press(Press::Tab);
    assert_eq!(model.view, View::Live);
    model.press(Press::Char('k'));
    assert!(model.question.is_none(), "nobody is there");
    model.take(snapshot(start + Duration::from_secs(2), &[], &LIVE));
    let first = &model.live()[0];
    assert_eq!((&*first.address, &*first.server), ("127.0.0.1:5000", "127.0.0.1:5432 pid 4711"));
    model.press(Press::Down);
    model.press(Press::Char('k'));
    assert_eq!(model.question.as_ref().map(|live| live.id), Some(18));
    // Somebody else is in its place when the answer comes.
    model.take(snapshot(start + Duration::from_secs(4), &[], &LIVE[..1]));
    assert_eq!(model.press(Press::Char('y')), Some(Order::Cancel(18)));
    for no in [Press::Char('n'), Press::Enter, Press::Char('q')] {
        model.press(Press::Char('k'));
        assert_eq!((model.press(no), model.question.is_none()), (None, true), "{no:?}");
    }
    assert_eq!(model.press(Press::Char('q')), Some(Order::Quit));
}

#[test]
fn what_is_no_answer_of_the_console_is_none() {
    let (at, none) = (clock::now(), Table::default());
    let read = |queries: &Table, live: &Table, pools: &Table| Snapshot::read(at, queries, live, pools).is_some();
    assert!(read(&none, &none, &none));
    let numberless = SLOW.replace("|10|0|", "|ten|0|");
    assert!(!read(&table(QUERIES, &[&numberless]), &none, &none));
    assert!(!read(&table("database|fingerprint", &["shop|aa"]), &none, &none));
    assert!(!read(&none, &table(ACTIVE, &["17|shop"]), &none));
    assert!(!read(&none, &none, &table(POOLS, &["shop|app|3|1|3|2|-|0"])));
    let idle = LIVE[0].replace("|active|", "|idle_in_transaction|");
    let crowd = snapshot(at, &[], &[LIVE[0], LIVE[1], &idle]).crowd;
    assert_eq!(crowd, Crowd { active: 1, waiting: 1, longest_wait_s: 1.5, busy_servers: 4, idle_servers: 2 });
}
