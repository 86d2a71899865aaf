//! Alerts: which of those that are configured fire, by what was counted lately and what is seen at this moment.
//!
//! [`Alerts`] is asked once a second with a [`Look`] and says what has changed. The time is an argument. Knows no socket, no log and no time of
//! day: who is told of it, and how, is not decided here; [`Event`] has the words for it.

mod board;
mod event;
mod measure;
mod state;

pub use board::{Board, Deliveries, EventEnd, RequestEnd, Row};
pub use event::{Ending, Event, Stamp};
pub use measure::{Look, Measured, PoolLook, ReplicaLook, Subject};
pub use state::Alerts;
