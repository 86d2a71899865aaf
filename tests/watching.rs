//! What is told of queries, clients and processes: by the console, at /metrics and /api/v1/, in the log, by alerts, `pgotter top` and
//! `pgotter explain`; and what is shipped for people to look at it with.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod accounts;
mod alerts;
mod api;
mod console;
mod examples;
mod explain;
mod http;
mod insight;
mod monitoring;
mod slow;
mod support;
mod top;
mod truth;
