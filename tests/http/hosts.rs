//! Requests that call the endpoint by a name that is not its own are refused, as a browser sends them whose page leads that name here.

use super::Watched;
use super::scrape::{Scrape, connect, rest_of};
use crate::support::{must, shared_postgres};
use rustix::process::Signal;
use std::io::Write;

/// Status and body of what is answered to a request with this Host header.
fn asked(watched: &Watched, path: &str, host: &str) -> (u16, String) {
    let mut stream = connect(watched.http);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("send");
    let text = String::from_utf8(rest_of(stream)).expect("UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
}

#[test]
fn on_loopback_addresses_and_names_that_are_known_are_answered_and_others_hear_what_to_do() {
    let mut watched = Watched::in_front_of(shared_postgres(), "");
    let paths = ["/", "/metrics", "/live", "/ready", "/api/v1/", "/api/v1/queries", "/nothing"];
    let own = [format!("127.0.0.1:{}", watched.http), "localhost".to_owned(), "[::1]:9127".to_owned()];
    for path in paths {
        let expected = if path == "/nothing" { 404 } else { 200 };
        for host in &own {
            assert_eq!(asked(&watched, path, host).0, expected, "{path} {host}");
        }
        let (status, body) = asked(&watched, path, "pages.example.test");
        assert_eq!(status, 421, "{path}");
        assert!(body.starts_with("this is not \"pages.example.test\": ") && body.contains("allowed_hosts"), "{body}");
    }
    // No browser leaves it out.
    let mut stream = connect(watched.http);
    write!(stream, "GET /live HTTP/1.0\r\n\r\n").expect("send");
    assert!(rest_of(stream).starts_with(b"HTTP/1.0 200 OK\r\n"));
    // A reload makes a name known.
    let text = must(std::fs::read_to_string(watched.config_file()));
    let listed = text.replace("[http]\n", "[http]\nallowed_hosts = [\"pages.example.test\"]\n");
    must(std::fs::write(watched.config_file(), listed));
    let read_at = |scrape: &Scrape| scrape.value("pgotter_config_reload_timestamp_seconds", &[]);
    let start = read_at(&Scrape::take(watched.http));
    watched.pooler.signal(Signal::HUP);
    Scrape::until(watched.http, "the reload", |scrape| read_at(scrape) > start);
    assert_eq!(asked(&watched, "/metrics", "pages.example.test:443").0, 200);
    assert_eq!(asked(&watched, "/metrics", "other.example.test").0, 421);
}
