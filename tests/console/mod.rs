//! The console: what it shows is what there is, who may enter, and what it has done; real PostgreSQL behind a real
//! `pgotter run`.

mod access;
mod columns;
mod commands;
mod contents;
mod counts;
mod ending;
mod exporter;
mod live;
mod one_query;
mod protocol;
mod sockets;

use crate::support::{certificates, reloading, table, talk, world};
use reloading::reload_with;
