//! Writing a configuration and having it reloaded.

use super::PgOtter;
use super::world::{cluster, config, host};

#[allow(unused_imports)]
pub use super::waiting::{reload, reload_with};

/// As `world::pgotter` begins one: `pooler` are lines for `[pooler]`, `rest` those behind the host of `[databases."*"]`.
#[track_caller]
pub fn change(running: &mut PgOtter, pooler: &str, rest: &str) {
    let text = config(running.port(), &host(cluster()), pooler, rest);
    assert!(reload_with(running, &text), "refused:\n{text}");
}
