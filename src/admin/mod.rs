//! The operators' face: the console, which PgBouncer's tools and habits find as they know it. Start at [`serve`].
//!
//! Two databases that do not exist lead here, see `config::is_console`. Whoever enters has been through the clients' door
//! and is proven; what he may do is asked again for each command. The console asks no worker: it reads what they write, and
//! the process does what it is told through [`Process`]. It knows nothing of clients but what `activity` shows.

mod averages;
mod command;
mod desk;
mod extended;
mod messages;
mod perform;
mod serve;
mod show;

pub use command::{Ending, Show};
pub use desk::{Desk, Process, Visitor};
pub use serve::serve;
pub use show::{table, table_names, tables_of};
