//! PgOtter as a process that others depend on: set up with `pgotter init`, who gets in and how, what breaks the protocol, what operators do
//! to it while it runs, and what becomes of clients when hosts fail.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod auth;
mod bad_input;
mod failover;
mod init;
mod operation;
mod support;
mod tls;
