//! Counting: what /metrics and `SHOW STATS` are made of. It is written on the query path and never asked there.
//!
//! Each worker counts for each database in a shard of its own, and for each statement in a book of its own, through a [`Meter`] that
//! stays on its thread; whoever wants to know adds them up and asks no worker anything. Knows no label format, no protocol and no clock.

mod applications;
mod counter;
mod errors;
mod host;
mod ladder;
mod latency;
mod long;
mod meter;
mod process;
mod registry;
mod repeated;
mod shard;
mod slow;
mod statements;
mod windows;

pub use applications::{Application, ApplicationNumbers, ApplicationRow};
pub use errors::{ErrorCount, ErrorRow, ErrorSource, ErrorState, Errors, ToldError};
pub use host::{ConnectResult, HostCounts, HostMeter};
pub use ladder::{Histogram, LADDER};
pub use latency::Latency;
pub use long::{Long, LongCall};
pub use meter::{Meter, Meters};
pub use process::Process;
pub use registry::{OTHER, Registry, Totals};
pub use repeated::Repeated;
pub use shard::{
    Answered, ByKind, ByRole, CheckoutFailure, Counts, LoginResult, Prepared, ROLES, ROUTES, Retry, Routed,
};
pub use slow::{SlowLog, SlowQuery, SlowTags, Threshold};
pub use statements::{Call, Description, Name, NoName, Numbers, Seen, Series, Stat};
pub use windows::{Key, NAMED, Reading, Recent, Windows};

#[cfg(test)]
mod tests;
