//! Writing a configuration and having it reloaded.

use super::support::PgOtter;
use super::world::{cluster, config, eventually, host};
use rustix::process::Signal;
use std::fs;

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
    fs::write(pooler.config_file(), text).unwrap();
    reload(pooler)
}

/// As `world::pgotter` begins one: `pooler` are lines for `[pooler]`, `rest` those behind the host of `[databases."*"]`.
#[track_caller]
pub fn change(running: &mut PgOtter, pooler: &str, rest: &str) {
    let text = config(running.port(), &host(cluster()), pooler, rest);
    assert!(reload_with(running, &text), "refused:\n{text}");
}
