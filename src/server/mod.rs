//! Our connections to PostgreSQL: logging in, the conversation, settings in front of a request, repair and reset,
//! cancelling. Knows nothing of clients, and nothing of the pool that keeps the connection.

mod cancel;
mod connection;
mod exchange;
mod guard;
mod login;
mod open;
mod repair;
mod reply_queue;

pub use cancel::{CancelTarget, cancel};
pub use connection::{CleanServer, Server, Slot};
pub use exchange::{Boundary, Exchange, Outlet, Violation};
pub use login::{LoginError, LoginSpec, log_in};
pub use repair::{Leaving, REPAIR_DEADLINE, probe, repair, reset};
pub use reply_queue::{Awaits, Disposition, ReplyQueue};

#[cfg(test)]
mod tests;
