//! In transaction mode a client keeps its session, on whatever server it is served, and nobody else sees any of it: real
//! PostgreSQL, a real `pgotter run`, and clients that speak the protocol byte by byte. `leaks` draws what
//! they do at random.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "sessions/aborted.rs"]
mod aborted;
#[path = "sessions/blocks.rs"]
mod blocks;
#[path = "sessions/catalog.rs"]
mod catalog;
#[path = "sessions/crowd.rs"]
mod crowd;
#[path = "sessions/deallocate.rs"]
mod deallocate;
#[path = "sessions/first_listen.rs"]
mod first_listen;
#[path = "sessions/frozen.rs"]
mod frozen;
#[path = "sessions/guards.rs"]
mod guards;
#[path = "sessions/heal.rs"]
mod heal;
#[path = "sessions/hubs.rs"]
mod hubs;
#[path = "sessions/kept.rs"]
mod kept;
mod leaks;
#[path = "sessions/listen.rs"]
mod listen;
#[path = "sessions/poisoned.rs"]
mod poisoned;
#[path = "sessions/prepared.rs"]
mod prepared;
#[path = "sessions/refused.rs"]
mod refused;
#[path = "sessions/resets.rs"]
mod resets;
#[path = "sessions/rules.rs"]
mod rules;
#[path = "sessions/sequences.rs"]
mod sequences;
#[path = "sessions/settings.rs"]
mod settings;
#[path = "sessions/startup.rs"]
mod startup;
mod support;
#[path = "sessions/uncommitted.rs"]
mod uncommitted;
