//! Where a request goes, and why. Pure: the view of the hosts comes from `cluster`, so that a decision never waits.
//!
//! Start at [`decide`]. The rules and their order: docs/routing.md.

mod decide;
mod fence;
mod fences;
mod reason;
mod rules;
mod view;
mod wish;

pub use decide::{Ask, Block, Plan, ReplicaSafe, To, decide, is_fresh, kinds};
pub use fence::Fence;
pub use fences::Fences;
pub use reason::Reason;
pub use rules::{is_for_client, is_for_text};
pub use view::{ClusterView, Freshness, HostView, Role, lsn};
pub use wish::Wish;

#[cfg(test)]
mod tests;
