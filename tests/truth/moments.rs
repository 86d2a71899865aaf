//! Single statements by a clock that is turned by hand: waiting for a server, being abandoned, being cancelled. And a time of day that
//! somebody sets.

use super::clock::{Clock, Hand};
use super::forms::{Form, Talker};
use super::scrape::Scrape;
use super::server::Scripted;
use super::table::{Table, console, show};
use super::talk::{Client, query};
use super::world::eventually;
use super::{NO_SLOW_LOG, assert_told, pgotter, table};
use crate::support::PgOtter;
use crate::support::raw::{Raw, bind, copy_data, copy_done, execute, flush, parse, sync};
use pgotter::cli::ports;
use std::time::Duration;

fn queries(pooler: &PgOtter) -> Table {
    show(&mut console(pooler), "QUERIES")
}

/// Calls, errors, total, waiting, and the middle of what they took, as they are told.
fn told(table: &Table, text: &str) -> [String; 5] {
    let row = table.row(&[("query", text)]);
    ["calls", "errors", "total_ms", "wait_ms", "p50_ms"].map(|column| row.text(column).to_owned())
}

/// How long servers were busy, as it is told of the one application that there is.
fn busy_ms(pooler: &PgOtter) -> String {
    let table = show(&mut console(pooler), "APPLICATIONS");
    table.row(&[("database", "postgres")]).text("server_ms").to_owned()
}

fn select(name: &str) -> String {
    format!("select 1 from {name} where us = 0")
}

fn counted(name: &str) -> String {
    format!("select ? from {name} where us = ?")
}

#[test]
fn waiting_for_a_server_is_told_apart_from_what_the_server_takes() {
    let server = Scripted::start(Clock::by_hand("waiting"));
    let http = ports::free_port();
    let rest = format!("{NO_SLOW_LOG}\n[http]\nlisten = \"127.0.0.1:{http}\"");
    let mut pooler = pgotter(&server, "default_pool_size = 1", &rest);
    let [mut first, mut second] = [(), ()].map(|()| Client::connect(pooler.port(), "postgres", "postgres"));
    first.send(&query(&select("held_first")));
    server.until_held(1);
    second.send(&query("select 1 from waiting_second where us = 5100"));
    let waits = |table: &Table| table.with(&[("database", "postgres"), ("cl_waiting", "1")]).len() == 1;
    eventually("it waits", || waits(&show(&mut console(&pooler), "POOLS")));
    server.clock.pass(Duration::from_secs(3));
    server.open();
    assert!(first.answer().errors.is_empty() && second.answer().errors.is_empty());
    let table = queries(&pooler);
    // The middles of their sub-buckets: 2,883,584 to 3,145,728 µs, and 4,608 to 5,120.
    assert_eq!(told(&table, &counted("held_first")), ["1", "0", "3000.000", "0.000", "3014.656"]);
    assert_eq!(told(&table, &counted("waiting_second")), ["1", "0", "5.100", "3000.000", "4.864"]);
    let fingerprint = table.row(&[("query", &counted("waiting_second"))]).text("fingerprint").to_owned();
    let labels = [("database", "postgres"), ("fingerprint", fingerprint.as_str())];
    let scrape = Scrape::until(http, "both", |scrape| {
        // What is shown there is up to a second old, by this clock.
        server.clock.pass(Duration::from_secs(2));
        let is_there = |metric| scrape.get(&format!("pgotter_fingerprint_{metric}"), &labels) > Some(0.0);
        is_there("calls_total") && is_there("duration_seconds_sum")
    });
    for (metric, seconds) in
        [("wait_seconds_total", 3.0), ("server_seconds_total", 0.0051), ("duration_seconds_sum", 3.0051)]
    {
        assert_eq!(scrape.value(&format!("pgotter_fingerprint_{metric}"), &labels), seconds, "{metric}");
    }
    pooler.kill();
}

#[test]
fn what_is_abandoned_or_cancelled_took_until_then_and_is_counted() {
    let server = Scripted::start(Clock::by_hand("cancelled"));
    let http = ports::free_port();
    let mut pooler = pgotter(&server, "", &format!("{NO_SLOW_LOG}\n[http]\nlisten = \"127.0.0.1:{http}\""));
    let mut client = Client::connect(pooler.port(), "postgres", "postgres");
    client.send(&query(&select("held_cancelled")));
    server.until_held(1);
    server.clock.pass(Duration::from_secs(2));
    client.cancel();
    client.answer().error("57014");
    client.send(&query(&select("held_abandoned")));
    server.until_held(2);
    server.clock.pass(Duration::from_secs(4));
    drop(client);
    // Its row is there as soon as it is sent.
    let is_counted = |table: &Table| table.with(&[("query", &counted("held_abandoned")), ("calls", "1")]).len() == 1;
    eventually("it is counted", || is_counted(&queries(&pooler)));
    let table = queries(&pooler);
    assert_eq!(told(&table, &counted("held_cancelled")), ["1", "1", "2000.000", "0.000", "2031.616"]);
    assert_eq!(told(&table, &counted("held_abandoned")), ["1", "1", "4000.000", "0.000", "4063.232"]);
    // Its server was busy with it, whoever is asked.
    assert_eq!(busy_ms(&pooler), "6000.000");
    let stats = show(&mut console(&pooler), "STATS");
    let row = stats.row(&[("database", "postgres")]);
    assert_eq!(row.numbers(["total_query_count", "total_query_time"]), [2, 6_000_000]);
    let seconds = |scrape: &Scrape| scrape.sum("pgotter_routing_server_seconds_total", &[("database", "postgres")]);
    let scrape = Scrape::until(http, "where it ran", |scrape| {
        // What is shown there is up to a second old, by this clock.
        server.clock.pass(Duration::from_secs(2));
        seconds(scrape) > 0.0
    });
    assert_eq!(seconds(&scrape), 6.0);
    pooler.kill();
}

#[test]
fn what_is_held_back_behind_an_earlier_answer_takes_its_time_from_when_it_is_sent() {
    let server = Scripted::start(Clock::by_hand("held_back"));
    let mut pooler = pgotter(&server, "", NO_SLOW_LOG);
    let mut client = Client::connect(pooler.port(), "postgres", "postgres");
    client.query("begin");
    // What is behind it waits for the answer: whether the name is known then depends on that.
    let in_front = [parse("named", &select("held_in_front")), bind("", "named", &[]), execute("", 0), sync()].concat();
    client.send(&[in_front, query("select 1 from sent_behind where us = 5100")].concat());
    server.until_held(1);
    server.clock.pass(Duration::from_secs(3));
    server.open();
    (0..2).for_each(|_| assert!(client.answer().errors.is_empty()));
    let table = queries(&pooler);
    assert_eq!(told(&table, &counted("held_in_front")), ["1", "0", "3000.000", "0.000", "3014.656"]);
    assert_eq!(told(&table, &counted("sent_behind")), ["1", "0", "5.100", "3000.000", "4.864"]);
    assert_eq!(busy_ms(&pooler), "3005.100");
    pooler.kill();
}

#[test]
fn a_pipeline_has_its_time_whether_its_first_statement_fails_or_is_lost() {
    let server = Scripted::start(Clock::by_hand("pipelines"));
    let mut pooler = pgotter(&server, "", NO_SLOW_LOG);
    let mut client = Client::connect(pooler.port(), "postgres", "postgres");
    let one = |sql: &str| [parse("", sql), bind("", "", &[]), execute("", 0)].concat();
    client.send(&[one("select 1 from error_piped where us = 7000"), one(&select("skipped_piped")), sync()].concat());
    client.answer().error("22012");
    let pipeline = |table: &Table| table.row(&[("fingerprint", "pipeline")]).text("total_ms").to_owned();
    let table = queries(&pooler);
    assert_eq!(told(&table, &counted("error_piped"))[..3], ["1", "1", "0.000"]);
    assert_eq!((pipeline(&table), busy_ms(&pooler)), ("7.000".to_owned(), "7.000".to_owned()));
    assert_eq!(told(&table, &counted("skipped_piped"))[..3], ["0", "0", "0.000"]);
    // Several Syncs at once. Each waits for what prepares or drops a statement in front of it, and so has a time of its own; simple queries
    // wait for nothing.
    let ahead = [one("select 1 from sent_ahead where us = 1000"), sync()].concat();
    let simple = query("select 1 from sent_simple where us = 1000");
    for requests in [ahead.repeat(3), simple.repeat(3)] {
        client.send(&requests);
        (0..3).for_each(|_| assert!(client.answer().errors.is_empty()));
    }
    let fails = [one("select 1 from error_piped where us = 500"), one(&select("skipped_piped")), sync()].concat();
    client.send(&[fails, ahead].concat());
    client.answer().error("22012");
    assert!(client.answer().errors.is_empty());
    let table = queries(&pooler);
    assert_eq!(told(&table, &counted("sent_ahead"))[..3], ["4", "0", "4.000"]);
    assert_eq!(told(&table, &counted("error_piped"))[..3], ["2", "2", "0.000"]);
    // The first one has its own time if it is answered before PgOtter has read the others.
    let [calls, errors, alone, ..] = told(&table, &counted("sent_simple"));
    assert_eq!([calls, errors], ["3", "0"]);
    let together = match alone.as_str() {
        "0.000" => 10.5,
        "1.000" => 9.5,
        other => panic!("{other}"),
    };
    let ms = |piped: f64| format!("{:.3}", together + piped);
    assert_eq!((pipeline(&table), busy_ms(&pooler)), (ms(0.0), "14.500".to_owned()));
    client.send(&[one(&select("held_piped")), one(&select("never_piped")), sync()].concat());
    server.until_held(1);
    server.clock.pass(Duration::from_secs(4));
    drop(client);
    let is_counted = |table: &Table| table.with(&[("query", &counted("held_piped")), ("errors", "1")]).len() == 1;
    eventually("it is counted", || is_counted(&queries(&pooler)));
    assert_eq!((pipeline(&queries(&pooler)), busy_ms(&pooler)), (ms(4000.0), "4014.500".to_owned()));
    pooler.kill();
}

#[test]
fn what_a_copy_that_is_abandoned_had_waited_for_its_client_is_that_clients() {
    let server = Scripted::start(Clock::by_hand("copies"));
    let mut pooler = pgotter(&server, "", NO_SLOW_LOG);
    let mut client = Raw::log_in(pooler.port(), &[]);
    client.send(&query("copy copied_never from stdin /* us = 0 */"));
    client.until(b'G');
    server.clock.pass(Duration::from_secs(60));
    drop(client);
    let text = "copy copied_never from stdin";
    let is_counted = |table: &Table| table.with(&[("query", text), ("calls", "1")]).len() == 1;
    eventually("it is counted", || is_counted(&queries(&pooler)));
    assert_eq!(told(&queries(&pooler), text)[..3], ["1", "1", "0.000"]);
    assert_eq!(busy_ms(&pooler), "0.000");
    pooler.kill();
}

#[test]
fn a_copy_that_fails_took_until_its_error_and_its_clients_silence_is_nobodys() {
    for mode in ["transaction", "session"] {
        let server = Scripted::start(Clock::by_hand(&format!("broken_copies_{mode}")));
        let mut pooler = pgotter(&server, &format!("pool_mode = \"{mode}\""), NO_SLOW_LOG);
        let mut client = Raw::log_in(pooler.port(), &[]);
        let text = |name: &str| format!("copy {name} from stdin");
        let copy = |name: &str| format!("{} /* us = 5000 */", text(name));
        let extended = |name: &str| [parse("", &copy(name)), bind("", "", &[]), execute("", 0)].concat();
        let silence = || server.clock.pass(Duration::from_secs(60));
        let state = || {
            let table = show(&mut console(&pooler), "ACTIVE");
            table.with(&[("user", "postgres")]).first().map(|row| row.text("state").to_owned())
        };
        // What comes behind the error PostgreSQL passes over.
        let [simple, synced, flushed] = ["error_simple", "error_synced", "error_flushed"];
        for (name, request, rest) in [
            (simple, query(&copy(simple)), copy_done()),
            (synced, [extended(synced), sync()].concat(), [copy_done(), sync()].concat()),
            (flushed, [extended(flushed), flush()].concat(), sync()),
        ] {
            client.send(&request);
            client.until(b'G');
            silence();
            assert_eq!(state().as_deref(), Some("active"), "{name}");
            client.send(&copy_data("no row"));
            if name == simple {
                client.until_ready()
            } else {
                client.until(b'E')
            };
            silence();
            let waits = (name != simple).then_some("idle_in_transaction");
            assert_eq!(state().as_deref(), waits, "{name}: it keeps its server up to its Sync");
            client.send(&[copy_data("too late"), rest].concat());
            if name != simple {
                client.until_ready();
            }
            assert_eq!(told(&queries(&pooler), &text(name))[..3], ["1", "1", "5.000"], "{mode}");
            silence();
        }
        client.ask("select 1 from behind_copies where us = 1000");
        assert_eq!(told(&queries(&pooler), &counted("behind_copies"))[..3], ["1", "0", "1.000"], "{mode}");
        assert_eq!(busy_ms(&pooler), "16.000", "{mode}");
        pooler.kill();
    }
}

#[test]
fn what_is_only_prepared_keeps_its_server_busy_as_well_whatever_becomes_of_it() {
    for mode in ["transaction", "session"] {
        let server = Scripted::start(Clock::by_hand(&format!("prepared_{mode}")));
        let mut pooler = pgotter(&server, &format!("pool_mode = \"{mode}\""), NO_SLOW_LOG);
        let mut client = Client::connect(pooler.port(), "postgres", "postgres");
        let think = || server.clock.pass(Duration::from_secs(60));
        let prepare = [parse("", &select("parsed_at_last")), sync()].concat();
        let mut count = 0;
        let mut takes = |client: &mut Client, seconds| {
            client.send(&prepare);
            count += 1;
            server.until_held(count);
            server.clock.pass(Duration::from_secs(seconds));
        };
        let answers = |client: &mut Client| {
            server.open();
            assert!(client.answer().errors.is_empty());
        };
        takes(&mut client, 2);
        answers(&mut client);
        think();
        assert!(client.query("begin").errors.is_empty());
        client.value("select 1 from in_front where us = 1000");
        think();
        takes(&mut client, 3);
        answers(&mut client);
        assert_eq!(busy_ms(&pooler), "5001.000", "{mode}");
        think();
        assert!(client.query("commit").errors.is_empty());
        let table = show(&mut console(&pooler), "APPLICATIONS");
        let idle = table.row(&[("database", "postgres")]);
        assert_eq!((idle.text("idle_transactions"), idle.text("idle_ms")), ("1", "120000.000"), "{mode}");
        think();
        takes(&mut client, 4);
        drop(client);
        eventually("it is counted", || busy_ms(&pooler) == "9001.000");
        pooler.kill();
    }
}

#[test]
fn query_timeout_begins_when_a_request_is_sent_that_was_held_back() {
    let server = Scripted::start(Clock::by_hand("held_back_in_time"));
    let mut pooler = pgotter(&server, "query_timeout = \"10s\"", NO_SLOW_LOG);
    let mut client = Client::connect(pooler.port(), "postgres", "postgres");
    client.query("begin");
    // What is behind it waits for its answer.
    let in_front = [parse("named", &select("held_in_front")), bind("", "named", &[]), execute("", 0), sync()].concat();
    client.send(&[in_front, query(&select("held_behind"))].concat());
    // Somebody has to wake who looks at the clock. It has looked, or is about to, when this byte was counted.
    let wake = |client: &mut Client, byte: &[u8]| {
        let received = || {
            let table = show(&mut console(&pooler), "STATS");
            table.row(&[("database", "postgres")]).number("total_received")
        };
        let before = received();
        client.send(byte);
        eventually("it reads", || received() > before);
    };
    let too_long = query(&select("held_too_long"));
    let (first, rest) = too_long.split_at(1);
    for count in [1, 2] {
        server.until_held(count);
        server.clock.pass(Duration::from_secs(9));
        if count == 2 {
            wake(&mut client, first);
        }
        server.open();
        let answer = client.answer();
        assert!(answer.errors.is_empty(), "{answer:?}");
    }
    client.send(rest);
    server.until_held(3);
    server.clock.pass(Duration::from_secs(11));
    wake(&mut client, first);
    assert_eq!(client.answer().code(), "57014");
    pooler.kill();
}

/// A day back, ten years on, and as it was.
const STEPS: [i64; 3] = [-86_400, 3_650 * 86_400, 0];

#[test]
fn a_time_of_day_that_is_set_changes_nothing_but_what_is_written_into_the_log() {
    let server = Scripted::start(Clock::new());
    let hand = Hand::new("time_of_day");
    // The second fires as soon as there was a look at what comes last.
    let alert = "[[alert]]\ntype = \"single\"\nover = \"1h\"\n[[alert]]\ntype = \"average\"\nover = \"1ms\"\n\
                 match = { tables = [\"storm_last\"] }\nwindow = \"10s\"\n[slow_queries]\nlog = \"1ms\"\nper_minute = 1000";
    let host = format!("127.0.0.1:{}", server.port);
    let config = |port| super::world::config(port, &host, &table::lines(""), alert);
    let pooler = PgOtter::start_with(config, &hand.environment());
    let mut client = Talker::new(pooler.port(), &server, Duration::from_millis(1));
    // A login that came later would ask whether the role may log in still, and this server knows no roles.
    let mut other = Client::connect(pooler.port(), "postgres", "postgres");
    for (at, seconds) in STEPS.into_iter().enumerate() {
        // It is set while a statement runs.
        other.send(&query(&select("held_meanwhile")));
        server.until_held(at + 1);
        hand.shift_time_of_day(seconds);
        server.open();
        assert!(other.answer().errors.is_empty());
        for form in super::forms::ALL {
            (0..5).for_each(|us| client.talk(form, &format!("{}_steps", form.name()), 2_000 + us));
        }
    }
    let table = queries(&pooler);
    assert_told(&server, &table);
    let meanwhile = table.row(&[("query", &counted("held_meanwhile"))]);
    assert_eq!(meanwhile.number("calls"), 3);
    assert!(meanwhile.text("total_ms").parse::<f64>().unwrap() < 3_600_000.0, "{meanwhile:?}");
    (0..20).for_each(|_| drop(other.value("select 1 from storm_last where us = 2000")));
    let mut alerts = show(&mut console(&pooler), "ALERTS");
    eventually("a look at all of it", || {
        alerts = show(&mut console(&pooler), "ALERTS");
        alerts.row(&[("alert", "average")]).text("state") == "firing"
    });
    assert_eq!(alerts.row(&[("alert", "single")]).numbers(["fired"]), [0], "nothing took an hour");
    // It was set.
    let log = pooler.log();
    let dates: std::collections::BTreeSet<_> =
        log.lines().filter_map(|line| line.strip_prefix("{\"timestamp\":\"")?.get(..4)).collect();
    assert!(dates.len() >= 2, "{dates:?}");
    assert_eq!(client_calls(&table, Form::Simple), 15);
}

fn client_calls(table: &Table, form: Form) -> u64 {
    table.row(&[("query", &counted(&format!("{}_steps", form.name())))]).number("calls")
}
