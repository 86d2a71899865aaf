//! /live and /ready, and a port that is taken.

use super::scrape::{Answer, PATIENCE, Scrape, get};
use super::{Watched, config};
use crate::support::waiting::eventually;
use crate::support::{PgOtter, must, postgres, psql, shared_postgres, worked};
use pgotter::cli::local_postgres::{Options, StopMode};
use pgotter::cli::ports;
use rustix::process::Signal;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// Asks until the status is as wanted; answers may be a second old.
fn ready_until(watched: &Watched, status: u16) -> Answer {
    let since = Instant::now();
    loop {
        let answer = get(watched.http, "/ready");
        if answer.status == status {
            return answer;
        }
        assert!(since.elapsed() < PATIENCE, "never {status}: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn ready_follows_postgresql_without_any_client_and_live_does_not() {
    let mut server = postgres(&Options::default());
    let watched = Watched::in_front_of(&server, "");
    assert_eq!(ready_until(&watched, 200).body, "ok\n");
    let host = format!("{}:{}", server.host(), server.port());
    let up = |scrape: &Scrape| scrape.get("pgotter_host_up", &[("database", "shop"), ("host", &host)]);
    Scrape::until(watched.http, "the host is up", |scrape| up(scrape) == Some(1.0));
    must(server.stop(StopMode::Fast));
    let answer = ready_until(&watched, 503);
    // `*` is not asked for: who knows what it is for?
    assert_eq!(answer.body.lines().count(), 1, "{answer:?}");
    assert!(answer.body.starts_with(&format!("database shop: {host}: ")), "{answer:?}");
    assert_eq!(get(watched.http, "/live").status, 200);
    Scrape::until(watched.http, "the host is down", |scrape| up(scrape) == Some(0.0));
    must(server.start());
    ready_until(&watched, 200);
    Scrape::until(watched.http, "the host is up again", |scrape| up(scrape) == Some(1.0));
    assert!(!server.log().contains("does not exist"), "{}", server.log());
}

#[test]
fn ready_says_no_while_the_last_transactions_end() {
    let mut watched = Watched::in_front_of(shared_postgres(), "");
    let mut client = crate::support::raw::Raw::log_in(watched.port(), &[("database", "shop")]);
    client.ask("BEGIN -- with a server");
    ready_until(&watched, 200);
    watched.pooler.signal(Signal::TERM);
    assert_eq!(ready_until(&watched, 503).body, "shutting down\n");
    assert_eq!(get(watched.http, "/live").status, 200);
    client.ask("COMMIT");
}

#[test]
fn ready_asks_as_a_login_would_and_says_no_where_that_cannot_be_encrypted() {
    let wants_tls = Watched::in_front_of(shared_postgres(), "server_tls_sslmode = \"require\"");
    let answer = ready_until(&wants_tls, 503);
    assert!(answer.body.contains("server does not support SSL"), "{answer:?}");
    ready_until(&Watched::in_front_of(shared_postgres(), "server_tls_sslmode = \"prefer\""), 200);
}

#[test]
fn whoever_looks_at_the_metrics_keeps_a_thread_busy_that_serves_nobody_else() {
    let watched = Watched::in_front_of(shared_postgres(), "");
    psql(watched.port(), "SELECT 'there is something to be shown'");
    let ticks = || {
        let (endpoint, others): (Vec<_>, Vec<_>) =
            worked(watched.id()).into_iter().partition(|(name, _)| name == "http");
        assert_eq!(endpoint.len(), 1, "{others:?}");
        [endpoint, others].map(|threads| threads.into_iter().map(|(_, ticks)| ticks).sum::<u64>())
    };
    let before = ticks();
    let mut grown = [0; 2];
    eventually("the endpoint has worked", || {
        Scrape::take(watched.http);
        let now = ticks();
        grown = [0, 1].map(|of| now[of].saturating_sub(before[of]));
        grown[0] >= 5
    });
    assert!(grown[1] <= grown[0], "{} ticks for the endpoint, {} for all else", grown[0], grown[1]);
}

#[test]
fn a_port_that_is_taken_ends_the_start_and_names_who_has_it() {
    let listener = must(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let taken = must(listener.local_addr()).port();
    let free = [(); 2].map(|()| ports::free_port());
    for (port, http, what) in [(free[0], taken, " for [http]"), (taken, free[0], "")] {
        // The second port is only waited for: nobody ever listens there.
        let Err(error) = PgOtter::try_start(&config(shared_postgres(), port, http, ""), free[1]) else {
            panic!("it started without {taken}");
        };
        let error = error.to_string();
        let said = error.lines().find(|line| line.contains("cannot listen")).unwrap_or_else(|| panic!("{error}"));
        assert!(said.contains(&format!("cannot listen on 127.0.0.1:{taken}{what}: ")), "{said}");
        // Under root PgOtter is another user's, and may not look.
        let this = format!(" (process {})", std::process::id());
        assert!(said.contains(" by a process of another user") || said.contains(&this), "{said}");
    }
}
