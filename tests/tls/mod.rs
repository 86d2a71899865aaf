//! TLS towards clients and servers, end to end: psql, PostgreSQL with `ssl = on`, and peers that do it wrong.

mod clients;
mod handshakes;
mod raw;
mod rotation;
mod servers;
mod storms;
mod untrusted;
mod world;

use crate::support::{certificates, proxy};
