//! Waiting for what has to come true, and having a pooler read its configuration again.

use super::PgOtter;
use rustix::process::Signal;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// What has not happened by then never will.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Five times a second: what takes no longer is in time on a slow machine, too, where a second is promised.
pub const SOON: Duration = Duration::from_secs(5);

/// Waits for a condition that has to come true.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for what is promised within a second, for five times that.
pub fn soon(what: &str, done: impl FnMut() -> bool) {
    let since = Instant::now();
    eventually(what, done);
    assert!(since.elapsed() < SOON, "{what}: after {:?}", since.elapsed());
}

/// Reads what comes next. Where there is a timeout, a process that is stopped and goes on, as all of a machine may, is interrupted in
/// that. Source: signal(7).
pub fn read(mut stream: impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            other => return other,
        }
    }
}

/// How many reloads have ended, well or not.
fn reloads(pooler: &PgOtter) -> (usize, usize) {
    let log = pooler.log();
    (log.matches("configuration reloaded").count(), log.matches("reload refused").count())
}

/// Sends SIGHUP and waits until the file has been read. Whether it is in force.
pub fn reload(pooler: &mut PgOtter) -> bool {
    let before = reloads(pooler);
    pooler.signal(Signal::HUP);
    eventually("the reload", || reloads(pooler) != before);
    reloads(pooler).0 > before.0
}

/// Writes the file and reloads it.
pub fn reload_with(pooler: &mut PgOtter, text: &str) -> bool {
    std::fs::write(pooler.config_file(), text).unwrap_or_else(|error| panic!("{error}"));
    reload(pooler)
}
