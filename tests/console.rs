//! The console: what it shows is what there is, who may enter, and what it has done; real PostgreSQL behind a real
//! `pgotter run`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "console/access.rs"]
mod access;
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
#[path = "console/sockets.rs"]
mod sockets;

use reloading::reload_with;
use support::{certificates, reloading, table, talk, world};
