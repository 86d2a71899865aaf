//! The clients' face: logging in, the life of a query, leaving. Start at [`serve`].

mod answer;
mod asked;
mod authenticate;
mod between;
mod block;
mod block_messages;
mod checkout;
mod connection;
mod deadlines;
mod deallocate;
mod failover;
mod frozen;
mod heal;
mod in_force;
mod link;
mod listen;
mod login;
mod lookout;
mod names;
mod onward;
mod own;
mod prepared;
mod presence;
mod reader;
mod registry;
mod relay;
mod release;
mod request;
mod restore;
mod route;
mod ruled;
mod sequences;
mod serve;
mod settle;
mod stopwatch;
mod strangers;
mod take_back;
mod texts;
mod timer;
mod trial;
mod turn;
mod wanted;
mod welcome;

pub use authenticate::Credentials;
pub use connection::{Client, Rules};
pub use in_force::InForce;
pub use login::{Caller, Gate, LoggedIn, Opening, log_in};
pub use presence::Presence;
pub use registry::{Registration, Registry, Seat, Seats};
pub use serve::{Left, serve};
pub use strangers::Strangers;
pub use take_back::{Parting, Partings};
pub use welcome::welcome;

#[cfg(test)]
mod tests;
