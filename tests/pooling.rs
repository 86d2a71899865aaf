//! Pooling and logging in, end to end: real PostgreSQL behind a real `pgotter run`. One file for each promise.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "pooling/cancel.rs"]
mod cancel;
#[path = "pooling/chaos.rs"]
mod chaos;
#[path = "pooling/configuration.rs"]
mod configuration;
#[path = "pooling/limits.rs"]
mod limits;
#[path = "pooling/login.rs"]
mod login;
#[path = "pooling/modes.rs"]
mod modes;
#[path = "pooling/panics.rs"]
mod panics;
#[path = "pooling/refusals.rs"]
mod refusals;
#[path = "pooling/restarting.rs"]
mod restarting;
#[path = "pooling/restarts.rs"]
mod restarts;
#[path = "pooling/servers.rs"]
mod servers;
#[path = "pooling/shutdown.rs"]
mod shutdown;
#[path = "pooling/silence.rs"]
mod silence;
#[path = "pooling/streams.rs"]
mod streams;
#[path = "pooling/timeouts.rs"]
mod timeouts;
#[path = "pooling/vanishing.rs"]
mod vanishing;
#[path = "pooling/waiting.rs"]
mod waiting;

use support::{proxy, reloading, talk, world};
