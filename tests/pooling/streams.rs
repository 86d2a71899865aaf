//! A stream without end keeps nothing else from being done: deadlines pass and the process ends.

use super::support::PgOtter;
use super::support::waiting::read;
use super::talk::{Client, query};
use super::world::{PATIENCE, eventually, fresh_role, look, pgotter};
use rustix::process::Signal;
use std::io::ErrorKind;
use std::time::Instant;

/// A client that reads as fast as it can what no server comes to the end of.
struct Stream {
    client: Client,
    role: String,
}

impl Stream {
    fn new(pooler: &PgOtter) -> Self {
        let role = fresh_role();
        let mut client = Client::connect(pooler.port(), &role, "postgres");
        client.send(&query("COPY (SELECT repeat('x', 8000), generate_series(1, 100000000)) TO STDOUT"));
        assert_eq!(client.message().unwrap().0, b'H');
        Self { client, role }
    }

    /// Reads until the stream ends, with the connection or with ReadyForQuery, of which its rows contain no `Z`.
    fn read(&mut self) {
        const READY: &[u8] = b"Z\0\0\0\x05I";
        let since = Instant::now();
        let (mut chunk, mut tail) = (vec![0; 1 << 20], Vec::new());
        while !tail.ends_with(READY) {
            assert!(since.elapsed() < PATIENCE, "it went on and on");
            match read(&self.client.stream, &mut chunk) {
                Ok(0) => break,
                Ok(bytes) => tail.extend_from_slice(&chunk[bytes.saturating_sub(READY.len())..bytes]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("the stream stands still: {error}"),
            }
            tail.drain(..tail.len().saturating_sub(READY.len()));
        }
        let active = "FROM pg_stat_activity WHERE state = 'active' AND usename";
        eventually("its statement has ended", || look(&format!("SELECT count(*) {active} = '{}'", self.role)) == "0");
    }
}

#[test]
fn a_stream_ends_at_transaction_timeout() {
    Stream::new(&pgotter("transaction_timeout = \"1s\"", "")).read();
}

#[test]
fn a_stream_ends_at_query_timeout() {
    Stream::new(&pgotter("query_timeout = \"1s\"", "")).read();
}

#[test]
fn a_stream_ends_at_the_second_sigterm() {
    let mut pooler = pgotter("", "");
    let mut stream = Stream::new(&pooler);
    let reader = std::thread::spawn(move || stream.read());
    // Two that come close together are one.
    eventually("the end of the process", || {
        pooler.signal(Signal::TERM);
        pooler.ended().is_some()
    });
    reader.join().unwrap();
}
