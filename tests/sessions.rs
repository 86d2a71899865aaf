//! A client keeps its session, on whatever server it is served, and nobody else sees any of it: real PostgreSQL, a real
//! `pgotter run` in transaction mode, and more clients than servers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "sessions/prepared.rs"]
mod prepared;
