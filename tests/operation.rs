//! Operating a running PgOtter: reload, PAUSE and RESUME, the end; real PostgreSQL behind a real `pgotter run`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "operation/descriptors.rs"]
mod descriptors;
#[path = "operation/elsewhere.rs"]
mod elsewhere;
#[path = "operation/lanes.rs"]
mod lanes;
#[path = "operation/limits.rs"]
mod limits;
#[path = "operation/memory.rs"]
mod memory;
#[path = "operation/pause.rs"]
mod pause;
#[path = "operation/reload.rs"]
mod reload;
#[path = "operation/signals.rs"]
mod signals;

use support::{proxy, reloading, talk, world};
