//! The process: threads, what they share, starting and stopping. Values are built here and handed down.

mod budget;
mod front;
mod run;
mod worker;

pub use run::{Stopped, run};
