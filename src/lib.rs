//! PgOtter: a PostgreSQL connection pooler, query router and query observer.
//!
//! The rooms, and who may import whom, are in ARCHITECTURE.md; `tests/tidy.rs` holds the table.

pub mod activity;
pub mod admin;
pub mod alerts;
pub mod app;
pub mod auth;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod fault;
pub mod http;
pub mod ids;
pub mod metrics;
pub mod net;
pub mod notify;
pub mod pool;
pub mod router;
pub mod secret;
pub mod server;
pub mod session;
pub mod sql;
pub mod wire;
