//! Reading SQL: what is read is what PostgreSQL reads, and nothing that is sent can hurt the readers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod facts;
mod fuzz;
mod reading;
mod support;
