//! Configuration: read once, checked whole, then only trusted.
//!
//! [`load`] reads a file, [`parse`] is its pure core: what lies outside the text (other files, the
//! environment, the number of cores) is handed in. Either returns a complete [`Config`] or a [`Report`]
//! of *every* mistake. Knows nothing of sockets or of PostgreSQL: a host that does not exist is no
//! mistake here. Start reading at `sections.rs`, which has every key with its default and range.

mod alerts;
mod console;
mod find;
mod hosts;
mod insight;
mod later;
mod model;
mod notify;
mod oddities;
mod outside;
mod report;
mod resolve;
mod restart;
mod routing;
mod rules;
mod section;
mod sections;
mod show;
mod summary;
mod tls;
mod userlist;
mod values;

#[cfg(test)]
mod tests;

pub use alerts::{Alert, Condition, Match, Scope};
pub use console::{Rights, is_console};
pub use find::{FindError, find};
pub use model::*;
pub use notify::{Format, Notify, Webhook};
pub use oddities::oddities;
pub use report::{Mistake, Report};
pub use restart::AnybodyCouldCome;
pub use sections::parse;
pub use show::{Shown, duration_text, pool_mode_text, show};
pub use summary::{HostSum, check_summary, queue_summary, sums_per_host};
pub use values::read_duration;

use report::Notebook;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads and checks `file` with everything it refers to.
///
/// # Errors
/// All mistakes at once, among them that a file cannot be read.
pub fn load(file: &Path) -> Result<Config, Report> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) => return Err(Report::of_file(file, format!("cannot read {}: {error}", file.display()))),
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let mut notes = Notebook::new(file, &valid);
            notes.syntax(Some(valid.len()..valid.len()), "the file is not UTF-8", "from here on");
            return Err(notes.into_report());
        }
    };
    let read = |path: &Path| std::fs::read_to_string(path);
    let env = |name: &str| std::env::var(name).ok();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    parse(text, file, &read, &env, cores)
}
