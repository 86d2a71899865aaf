//! Databases with several hosts: who is the primary is found out and followed; a primary and two streaming replicas behind a real
//! `pgotter run`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

#[path = "failover/again.rs"]
mod again;
#[path = "failover/following.rs"]
mod following;
#[path = "failover/load.rs"]
mod load;
#[path = "failover/ready.rs"]
mod ready;
#[path = "failover/refusing.rs"]
mod refusing;
#[path = "operation/reloading.rs"]
#[allow(dead_code, reason = "shared with the tests of operation, which use more of it")]
mod reloading;
#[path = "failover/shown.rs"]
mod shown;
#[allow(dead_code, reason = "shared with the tests of pooling, which use more of it")]
#[path = "pooling/talk.rs"]
mod talk;
#[path = "failover/trio.rs"]
mod trio;
#[allow(dead_code, reason = "as above")]
#[path = "pooling/world.rs"]
mod world;
