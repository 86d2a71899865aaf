//! Reads go to replicas, writes to the primary, and nobody reads what is older than what he has written or seen: a primary and two
//! streaming replicas, a real `pgotter run` in front of them, and clients that speak the protocol byte by byte.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "routing/aliases.rs"]
mod aliases;
#[path = "routing/attributes.rs"]
mod attributes;
#[path = "routing/barred.rs"]
mod barred;
#[path = "routing/block_edges.rs"]
mod block_edges;
#[path = "routing/blocks.rs"]
mod blocks;
#[path = "routing/by_query.rs"]
mod by_query;
#[path = "routing/claimed.rs"]
mod claimed;
#[path = "routing/drawn_elsewhere.rs"]
mod drawn_elsewhere;
#[path = "routing/entries.rs"]
mod entries;
#[path = "routing/forgetful.rs"]
mod forgetful;
#[path = "routing/fresh.rs"]
mod fresh;
#[path = "routing/hints.rs"]
mod hints;
#[path = "routing/in_doubt.rs"]
mod in_doubt;
#[path = "routing/lag_alert.rs"]
mod lag_alert;
#[path = "routing/migrations.rs"]
mod migrations;
#[path = "routing/mistakes.rs"]
mod mistakes;
#[path = "routing/moved.rs"]
mod moved;
#[path = "routing/moved_once.rs"]
mod moved_once;
#[path = "routing/observed.rs"]
mod observed;
#[path = "routing/once.rs"]
mod once;
#[path = "routing/own_in_failed.rs"]
mod own_in_failed;
#[path = "routing/reads.rs"]
mod reads;
#[path = "routing/restarted.rs"]
mod restarted;
#[path = "routing/roles.rs"]
mod roles;
#[path = "routing/rules.rs"]
mod rules;
#[path = "routing/set_off.rs"]
mod set_off;
#[path = "routing/settings.rs"]
mod settings;
#[path = "routing/standstill.rs"]
mod standstill;
#[path = "routing/strange.rs"]
mod strange;
#[path = "routing/tenants.rs"]
mod tenants;
#[path = "routing/together.rs"]
mod together;
#[path = "routing/unreachable.rs"]
mod unreachable;
#[path = "routing/unread.rs"]
mod unread;
#[path = "routing/until_write.rs"]
mod until_write;
#[path = "routing/visits.rs"]
mod visits;
#[path = "routing/visits_counted.rs"]
mod visits_counted;
#[path = "routing/workload.rs"]
mod workload;
#[path = "routing/world.rs"]
mod world;
