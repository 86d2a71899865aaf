//! What peers may say, and how many they may be: nothing of it reaches anybody else.

use super::Watched;
use super::scrape::{Scrape, connect, get, request, rest_of};
use crate::support::waiting::eventually;
use crate::support::{psql, shared_postgres};
use std::io::{Read, Write};

fn watched() -> Watched {
    Watched::in_front_of(shared_postgres(), "")
}

#[test]
fn paths_and_methods_are_answered_as_they_should_be() {
    let watched = watched();
    for path in ["/", "/metrics", "/live", "/ready"] {
        assert_eq!(get(watched.http, path).status, 200, "{path}");
        let head = request(watched.http, "HEAD", path);
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            let answer = request(watched.http, method, path);
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
        }
    }
    for path in ["/metric", "/metrics/", "/../etc/passwd", "//", "/%2e", "/ready/x"] {
        assert_eq!(get(watched.http, path).status, 404, "{path}");
    }
    assert_eq!(get(watched.http, "/metrics?name=x").status, 200);
    assert!(get(watched.http, "/").body.contains("/metrics"));
}

#[test]
fn nonsense_and_too_much_of_it_end_the_connection_and_nothing_else() {
    let watched = watched();
    let long = "x".repeat(1 << 20);
    let many = "a: b\r\n".repeat(1000);
    for text in [
        format!("GET / HTTP/1.1\r\nHost: x\r\nLong: {long}\r\n\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{many}\r\n"),
        long.clone(),
        "\0\u{1}\u{2}\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "POST /metrics HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let mut stream = connect(watched.http);
        // It may have been hung up on while it spoke.
        let _ = stream.write_all(text.as_bytes());
        let answer = String::from_utf8_lossy(&rest_of(stream)).into_owned();
        let start = &text[..text.len().min(40)];
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{start:?}: {answer}");
        Scrape::take(watched.http);
    }
}

#[test]
fn who_does_not_finish_a_request_is_hung_up_on() {
    let watched = watched();
    let (mut slow, silent) = (connect(watched.http), connect(watched.http));
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nA").expect("send");
    for stream in [slow, silent] {
        let answer = rest_of(stream);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn scrapes_that_hang_up_half_way_cost_nothing_and_lose_nothing() {
    let watched = watched();
    let labels = [("database", "postgres")];
    let calls = |scrape: &Scrape| scrape.sum("pgotter_fingerprint_calls_total", &labels);
    for number in 0..300 {
        let mut stream = connect(watched.http);
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // In the middle of the request, behind it, or in the middle of the answer; with an end or a reset.
        stream.write_all(&request[..if number % 3 == 0 { 20 } else { request.len() }]).expect("send");
        if number % 3 == 2 {
            stream.read_exact(&mut [0; 100]).expect("the beginning of an answer");
        }
        if number % 2 == 0 {
            socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).expect("an option");
        }
        drop(stream);
        if number % 30 == 0 {
            assert_eq!(psql(watched.port(), "SELECT 'served'"), "served");
        }
    }
    Scrape::until(watched.http, "what was done meanwhile", |scrape| calls(scrape) == 10.0);
    let connections = |scrape: &Scrape, result| scrape.value("pgotter_http_connections_total", &[("result", result)]);
    let scrape = Scrape::until(watched.http, "all connections", |scrape| {
        connections(scrape, "answered") + connections(scrape, "broken") >= 300.0
    });
    // A third of them had not even asked.
    assert!((100.0..=300.0).contains(&connections(&scrape, "broken")), "{scrape:?}");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", watched.id())).map(Iterator::count).unwrap_or(0);
    eventually("the descriptors are free again", || descriptors() < 100);
}

#[test]
fn five_hundred_silent_connections_keep_nobody_from_looking() {
    let watched = watched();
    let silent: Vec<_> = (0..500).map(|_| connect(watched.http)).collect();
    assert_eq!(psql(watched.port(), "SELECT 'served'"), "served");
    Scrape::take(watched.http);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", watched.id())).map(Iterator::count).unwrap_or(0);
    assert!(descriptors < 200, "{descriptors} descriptors are open");
    drop(silent);
    Scrape::take(watched.http);
}
