//! Servers shared by many clients: one pool for each (database, user), one lane for each host.
//!
//! `core` keeps the books and does nothing; `lane` wraps it in a short lock and carries out what it says; `steward`
//! looks after idle servers and has others opened, each by an `opening`. Knows nothing of clients but their mailboxes.

pub mod core;
mod from_hub;
mod lane;
mod ledger;
mod mailbox;
mod opening;
mod pinned;
#[cfg(test)]
pub(crate) mod stage;
mod steward;

pub use from_hub::{ENTRY, FromHub, Heard, NOTIFICATIONS_MAX, Ticket};
pub use lane::{Checked, Lane, LaneSpec, Waiting};
pub use ledger::{Ledger, Quota};
pub use mailbox::{Grant, Mail, Mailbox};
pub use pinned::PinSeat;
pub use steward::{Backoff, Chore, Chores, Steward};
