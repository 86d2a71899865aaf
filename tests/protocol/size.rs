//! Messages of any size pass in constant memory, and a client that reads slowly stops its server, not PgOtter.

use crate::support::raw::*;
use crate::support::waiting::eventually;
use crate::support::{PgOtter, must, postgres, shared_postgres, simple_config};
use pgotter::cli::local_postgres::{LocalPostgres, Options};

const BIG: usize = 64 << 20;
/// Each way 256 KiB received and not yet used, 256 KiB queued, and the chunk that went beyond that. Measured: 0.7 MiB for
/// one way, 1.8 MiB for both.
const ALLOWED_KIB: u64 = 4 << 10;

/// Without huge pages: with them mimalloc takes 2 MiB at a time, and the 1.8 MiB were measured as 6.
fn start(server: &LocalPostgres) -> PgOtter {
    PgOtter::start_with(|port| simple_config(port, server, ""), &[("MIMALLOC_ALLOW_THP", "0")])
}

/// Highest resident memory of the process so far.
fn peak_kib(pgotter: &PgOtter) -> u64 {
    let status = must(std::fs::read_to_string(format!("/proc/{}/status", pgotter.id())));
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// A client that has been served once, so that what every client costs is not counted.
fn warm(pgotter: &PgOtter) -> (Raw, u64) {
    let mut client = Raw::log_in(pgotter.port(), &[("application_name", "big")]);
    client.value("SELECT repeat('x', 100000)");
    let before = pgotter.resident_kib();
    (client, before)
}

fn assert_small(pgotter: &PgOtter, before: u64, what: &str) {
    let grown = peak_kib(pgotter).saturating_sub(before);
    assert!(grown < ALLOWED_KIB, "{what}: {grown} KiB more than the {before} KiB before");
}

#[test]
fn f17_a_row_of_64_mb_passes_in_constant_memory() {
    let pgotter = start(shared_postgres());
    let (mut client, before) = warm(&pgotter);
    for bytes in [
        query(&format!("SELECT repeat('x', {BIG})")),
        [extended(&format!("SELECT repeat('y', {BIG})"), &[]), sync()].concat(),
    ] {
        client.send(&bytes);
        let frames = client.until_ready();
        let row = frames.iter().find(|frame| frame.kind == b'D').expect("a row");
        assert_eq!(row.body.len(), BIG + 6);
        assert!(row.body[6..].iter().all(|byte| *byte == row.body[6]));
    }
    assert_small(&pgotter, before, "a row");
}

#[test]
fn f17_a_parameter_of_64_mb_passes_in_constant_memory() {
    let pgotter = start(shared_postgres());
    let (mut client, before) = warm(&pgotter);
    let value = vec![b'x'; BIG];
    client.send(&[extended("SELECT length($1)", &[&value]), sync()].concat());
    assert_eq!(first_value(&client.until_ready()), Some(BIG.to_string()));
    assert_small(&pgotter, before, "a parameter");
}

#[test]
fn f17_a_query_of_64_mb_passes_in_constant_memory() {
    let pgotter = start(shared_postgres());
    let (mut client, before) = warm(&pgotter);
    assert_eq!(client.value(&format!("SELECT length('{}')", "x".repeat(BIG))), BIG.to_string());
    assert_small(&pgotter, before, "a query");
}

#[test]
fn f17_copy_data_of_64_mb_passes_in_constant_memory() {
    let server = postgres(&Options::default());
    must(server.psql("postgres", "CREATE TABLE kept (t text)"));
    let pgotter = start(&server);
    let (mut client, before) = warm(&pgotter);
    client.send(&query("COPY kept FROM STDIN"));
    client.until(b'G');
    client.send(&[copy_data(&("x".repeat(BIG) + "\n")), copy_done()].concat());
    client.until_ready();
    assert_eq!(client.value("SELECT length(t) FROM kept"), BIG.to_string());
    assert_small(&pgotter, before, "COPY");
}

#[test]
fn f16_a_slow_reader_stops_its_server_and_gets_everything_in_the_end() {
    let server = postgres(&Options::default());
    let pgotter = start(&server);
    let (mut client, before) = warm(&pgotter);
    let rows = 80_000;
    client.send(&query(&format!("SELECT repeat('x', 1000) FROM generate_series(1, {rows})")));
    client.until(b'T');
    let blocked = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'ClientWrite'";
    // It waits now and then while the way to the client fills up. Nobody reads, so that it is blocked for good in the end.
    eventually("it is blocked", || (0..5).all(|_| must(server.psql("postgres", blocked)) == "t"));
    assert_small(&pgotter, before, "while the client reads nothing");
    assert_eq!(Raw::log_in(pgotter.port(), &[]).value("SELECT 1"), "1", "others are served meanwhile");
    let mut seen = 0;
    while let Some(frame) = client.frame().filter(|frame| frame.kind != b'Z') {
        seen += usize::from(frame.kind == b'D');
    }
    assert_eq!(seen, rows);
    assert_small(&pgotter, before, "after all of it");
}

#[test]
fn f16_a_client_that_sends_and_never_reads_is_not_kept_in_memory() {
    let pgotter = start(shared_postgres());
    let (mut client, before) = warm(&pgotter);
    // Far more replies than the sockets on the way hold, so that in the end nothing moves any more.
    let request = [extended("SELECT repeat('x', 100000)", &[]), sync()].concat().repeat(100);
    client.stream.set_write_timeout(Some(std::time::Duration::from_secs(1))).expect("timeout");
    let stuck =
        std::iter::repeat_n((), 5_000).any(|()| std::io::Write::write_all(&mut client.stream, &request).is_err());
    assert!(stuck, "the client is not read from while its replies wait");
    assert_small(&pgotter, before, "both directions full");
    assert_eq!(Raw::log_in(pgotter.port(), &[]).value("SELECT 1"), "1");
}
