//! What PgOtter tells of statements is the truth: a scripted server takes known times over them, through a running PgOtter, in each form
//! of the protocol.
//!
//! By a clock that is turned by hand PgOtter must measure what the server took, and nothing else. By the true one, many clients at once,
//! it may measure more than the server by what the machine adds, and never more than the client had to wait: however busy the machine
//! is, what is told lies between the two. `PGOTTER_LONG_STATEMENTS` says how many there are.

mod book;
mod bursts;
mod clock;
mod delays;
mod forms;
mod moments;
mod server;
mod storms;

use crate::support::random::{Random, seed};
use crate::support::{PgOtter, scrape, table, talk, world};
use book::Apart;
use clock::Clock;
use delays::Delays;
use forms::{Form, Talker};
use server::Scripted;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use table::{Table, console, show};

/// In `make test`.
const STATEMENTS: usize = 5_000;

/// Clients at once, by the true clock.
const CLIENTS: usize = 32;

/// Nearly every statement here is a slow one.
const NO_SLOW_LOG: &str = "[slow_queries]\nlog = 0";

/// In front of a scripted server, by the same clock.
fn pgotter(server: &Scripted, pooler: &str, rest: &str) -> PgOtter {
    let host = format!("127.0.0.1:{}", server.port);
    PgOtter::start_with(|port| world::config(port, &host, &table::lines(pooler), rest), &server.clock.environment())
}

fn table_name(form: Form, delays: Delays) -> String {
    format!("{}_{}", form.name(), delays.name())
}

/// Every table is told of as it was.
fn assert_told(server: &Scripted, table: &Table) -> Apart {
    let mut apart = Apart::default();
    for (name, times) in server.book.all() {
        let is_it =
            |query: &str| query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|word| word == name);
        let rows = table.with(&[("database", "postgres")]);
        let mut found = rows
            .iter()
            .filter(|row| if name == "pipeline" { row.text("fingerprint") == name } else { is_it(row.text("query")) });
        let (Some(row), None) = (found.next(), found.next()) else { panic!("{name} is not one row of {table:#?}") };
        apart += times.assert_told(&name, row);
    }
    apart
}

/// How often each form has to speak, for so many statements in all of these distributions.
fn rounds(statements: usize) -> usize {
    let calls: usize = forms::ALL.iter().map(|form| form.calls()).sum();
    statements.div_ceil(delays::ALL.len() * calls)
}

fn by_hand(mode: &str, statements: usize) {
    let server = Scripted::start(Clock::by_hand(mode));
    // Hours may pass while a server is being opened beside a statement. Were that given up, the next attempt would be a moment later, and
    // while a client waits for it nobody turns the clock.
    let settings = format!("pool_mode = \"{mode}\"\nserver_connect_timeout = \"3650d\"");
    let mut pooler = pgotter(&server, &settings, NO_SLOW_LOG);
    let mut client = Talker::new(pooler.port(), &server, Duration::from_secs(7));
    let mut random = Random(seed());
    for (at, form) in (0..rounds(statements)).flat_map(|_| forms::ALL.into_iter().enumerate()) {
        // From microseconds to minutes.
        let unit = 10.0 * 4_f64.powi(i32::try_from(at).unwrap());
        for delays in delays::ALL {
            client.talk(form, &table_name(form, delays), (delays.draw(&mut random) * unit) as u64);
        }
    }
    let apart = assert_told(&server, &show(&mut console(&pooler), "QUERIES"));
    assert_eq!(apart.same, apart.quantiles, "server and client saw the same clock");
    // Its time goes on only by hand, that of its ending as well.
    pooler.kill();
    server.until_left();
    server.bursts.assert_shares();
}

#[test]
fn by_a_clock_that_is_turned_by_hand_each_statement_takes_what_its_server_took() {
    by_hand("transaction", STATEMENTS);
}

#[test]
fn and_so_it_does_in_a_session() {
    by_hand("session", STATEMENTS);
}

/// Clients on servers, by the true clock.
fn by_the_true_clock(statements: usize, pooler: &str) -> Apart {
    let server = Scripted::start(Clock::new());
    let pooler = pgotter(&server, pooler, NO_SLOW_LOG);
    let seed = seed();
    let rounds = AtomicUsize::new(rounds(statements));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (server, rounds, port) = (&server, &rounds, pooler.port());
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_add(number as u64));
                let mut client = Talker::new(port, server, Duration::from_millis(3));
                while rounds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    for (form, delays) in
                        forms::ALL.into_iter().flat_map(|form| delays::ALL.map(|delays| (form, delays)))
                    {
                        client.talk(form, &table_name(form, delays), (delays.draw(&mut random) * 8_000.0) as u64);
                    }
                }
            });
        }
    });
    let apart = assert_told(&server, &show(&mut console(&pooler), "QUERIES"));
    println!("{apart:?}: quantiles, and those that server and client agree on, or within one sub-bucket");
    apart
}

#[test]
fn by_the_true_clock_each_quantile_is_between_what_server_and_clients_know_of_it() {
    by_the_true_clock(STATEMENTS, "default_pool_size = 50");
}

#[test]
#[ignore = "takes minutes: make test-truth"]
fn a_hundred_thousand_statements_are_told_of_as_they_were() {
    let statements = std::env::var("PGOTTER_LONG_STATEMENTS").map_or(100_000, |count| count.parse().expect("a number"));
    for mode in ["transaction", "session"] {
        by_hand(mode, statements);
    }
    by_the_true_clock(statements, "default_pool_size = 50");
}
