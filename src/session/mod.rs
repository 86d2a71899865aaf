//! The PostgreSQL-visible state of a client. For now the five settings every driver sends at login; the rest of a
//! session comes later. Pure: it compares and remembers, and sends nothing.

mod settings;
mod spelling;
mod startup;

pub use settings::{NAMES, Settings};
pub use startup::{ClientStartup, Parameter, Welcome, names, read};

#[cfg(test)]
mod tests;
