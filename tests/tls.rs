//! TLS towards clients and servers, end to end: psql, PostgreSQL with `ssl = on`, and peers that do it wrong.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "tls/clients.rs"]
mod clients;
#[path = "tls/handshakes.rs"]
mod handshakes;
#[path = "tls/raw.rs"]
mod raw;
#[path = "tls/rotation.rs"]
mod rotation;
#[path = "tls/servers.rs"]
mod servers;
#[path = "tls/storms.rs"]
mod storms;
#[path = "tls/world.rs"]
mod world;

use support::{certificates, proxy};
