//! Databases with several hosts: who is the primary is found out and followed; a primary and two streaming replicas behind a real
//! `pgotter run`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "failover/again.rs"]
mod again;
#[path = "failover/elsewhere.rs"]
mod elsewhere;
#[path = "failover/following.rs"]
mod following;
#[path = "failover/load.rs"]
mod load;
#[path = "failover/ready.rs"]
mod ready;
#[path = "failover/refusing.rs"]
mod refusing;
#[path = "failover/shown.rs"]
mod shown;
#[path = "failover/trio.rs"]
mod trio;

use support::{reloading, talk, world};
