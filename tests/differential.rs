//! Random sequences of protocol messages to PostgreSQL and through PgOtter; see `differential/suite.rs`.

mod support;

#[path = "differential/suite.rs"]
mod suite;
