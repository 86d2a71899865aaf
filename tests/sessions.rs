//! In transaction mode a client keeps what it has set, and nobody else sees any of it: real PostgreSQL, a real
//! `pgotter run`, and clients that speak the protocol byte by byte.

mod support;

#[path = "sessions/settings.rs"]
mod settings;
#[path = "sessions/startup.rs"]
mod startup;
