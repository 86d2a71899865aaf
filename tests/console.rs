//! The console: what it shows is what there is, who may enter, and what it has done; real PostgreSQL behind a real
//! `pgotter run`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "console/access.rs"]
mod access;
#[path = "support/certificates.rs"]
#[allow(dead_code, reason = "shared with tests that use more of it")]
mod certificates;
#[path = "console/columns.rs"]
mod columns;
#[path = "console/commands.rs"]
mod commands;
#[path = "console/counts.rs"]
mod counts;
#[path = "console/ending.rs"]
mod ending;
#[path = "console/exporter.rs"]
mod exporter;
#[path = "console/live.rs"]
mod live;
#[path = "console/one_query.rs"]
mod one_query;
#[path = "console/protocol.rs"]
mod protocol;
#[allow(dead_code, reason = "shared with the tests of operation, which use more of it")]
#[path = "operation/reloading.rs"]
mod reloading;
#[path = "console/sockets.rs"]
mod sockets;
#[path = "console/table.rs"]
mod table;
#[allow(dead_code, reason = "shared with the tests of pooling, which use more of it")]
#[path = "pooling/talk.rs"]
mod talk;
#[allow(dead_code, reason = "as above")]
#[path = "pooling/world.rs"]
mod world;

use reloading::reload_with;
