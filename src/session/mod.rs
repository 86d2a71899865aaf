//! The PostgreSQL-visible state of a client: its settings, of any names. The rest of a session comes later. Pure: it compares
//! and remembers, and sends nothing.

mod applications;
mod custom;
mod kept;
mod known;
mod own;
mod settings;
mod spelling;
mod startup;
mod statements;
mod touched;
mod welcome;

pub use applications::Applications;
pub use custom::{CUSTOM_MAX, CustomNames, is_custom};
pub use kept::{Kept, KeptText, Supplied};
pub use known::Known;
pub use own::{OWN, OwnSetting, OwnSettings, OwnValues};
pub use settings::{BYTES_MAX, ENCODING, Lack, NAMES_MAX, Settings, TooMuch, is_role};
pub use startup::{ClientStartup, Intake, names, read};
pub use statements::{
    Certain, Change, Drops, Effect, Frozen, Has, Portal, ServerName, ServerStatements, Statement, StatementTable,
    Statements, Unnamed, is_planned_by, is_read_by_unheard, key,
};
pub use touched::{Computed, Found, Noted, Pins, Question, Resets, Touched, is_harmless, is_opaque, may_pin, reset_to};
pub use welcome::{Parameter, Welcome};

#[cfg(test)]
mod tests;
