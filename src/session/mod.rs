//! The PostgreSQL-visible state of a client. For now the five settings every driver sends at login; the rest of a
//! session comes later. Pure: it compares and remembers, and sends nothing.

mod settings;
mod spelling;
mod startup;
mod statements;

pub use settings::{NAMES, Settings};
pub use startup::{ClientStartup, Parameter, Welcome, names, read};
pub use statements::{Change, Effect, Has, ServerName, ServerStatements, Statement, StatementTable, Statements, key};

#[cfg(test)]
mod tests;
