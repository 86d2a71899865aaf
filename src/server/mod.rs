//! Our connections to PostgreSQL: logging in, the conversation, settings in front of a request, repair and reset,
//! cancelling. Knows nothing of clients, and nothing of the pool that keeps the connection.

mod again;
mod ask;
mod belief;
mod cancel;
mod connection;
mod derivers;
mod exchange;
mod forwarding;
mod guard;
mod keyring;
mod line;
mod login;
mod open;
mod outlets;
mod portals;
mod prove;
mod repair;
mod reply_queue;
mod sequences;
mod settings;
mod slot;
mod standing;
mod vet;

pub use ask::{Answer, Asked, Row, ask, ask_apart};
pub use cancel::{CancelTarget, cancel};
pub use connection::{CleanServer, Server};
pub use derivers::Derivers;
pub use exchange::{Boundary, Ended, Exchange, Outcome, Outlet, Say, Timed, Told, Violation};
pub use forwarding::{Forwarding, Meanwhile, Message};
pub use keyring::Keyring;
pub use login::{LoginError, LoginSpec, log_in};
pub use open::knock;
pub use outlets::{Hearing, Witness};
pub use repair::{Leaving, REPAIR_DEADLINE, abandon, probe, repair, reset};
pub use reply_queue::{Awaits, Disposition, ReplyQueue};
pub use slot::Slot;
pub use standing::{Standing, barred, standing};
pub use vet::vet;

#[cfg(test)]
mod tests;
