//! TLS towards clients and servers, end to end: psql, PostgreSQL with `ssl = on`, and peers that do it wrong.

mod clients;
mod handshakes;
pub mod raw;
mod rotation;
mod servers;
mod storms;
mod untrusted;
pub mod world;

use crate::support::{certificates, proxy};
