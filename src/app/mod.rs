//! The process: threads, what they share, starting and stopping. Values are built here and handed down.

mod alerts;
mod available;
mod budget;
mod console;
mod front;
mod operator;
mod run;
mod signals;
mod worker;

pub use budget::{describe as describe_limits, make_room};
pub use operator::{NotReloaded, Operator, Shutdown};
pub use run::{Stopped, run};
