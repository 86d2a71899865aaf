//! The PostgreSQL protocol as bytes: frame heads, first packets, the messages PgOtter writes itself
//! and the few it must read. Pure, and it knows no connection: whose bytes these are is told elsewhere.
//!
//! Source: PostgreSQL documentation, chapter "Frontend/Backend Protocol"; `src/backend/tcop/postgres.c`.

// A length that loses bits is another message.
#![cfg_attr(not(test), deny(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss))]

pub mod backend;
pub mod bind;
pub mod frame;
pub mod frontend;
pub mod parameters;
pub mod rows;
pub mod startup;

#[cfg(test)]
mod tests;
