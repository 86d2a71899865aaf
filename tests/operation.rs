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
#[path = "pooling/proxy.rs"]
#[allow(dead_code, reason = "as below")]
mod proxy;
#[path = "operation/reload.rs"]
mod reload;
#[path = "operation/reloading.rs"]
mod reloading;
#[path = "operation/signals.rs"]
mod signals;
#[allow(dead_code, reason = "shared with the tests of pooling, which use more of it")]
#[path = "pooling/talk.rs"]
mod talk;
#[allow(dead_code, reason = "as above")]
#[path = "pooling/world.rs"]
mod world;
