//! Processes that stand still.

use super::must;

/// A process that does not run until this is dropped.
pub struct Stopped(String);

impl Stopped {
    /// `pids`, with blanks between them.
    pub fn new(pids: String) -> Self {
        let stopped = Self(pids);
        stopped.signal("-STOP");
        stopped
    }

    fn signal(&self, signal: &str) {
        must(std::process::Command::new("kill").arg(signal).args(self.0.split(' ')).status());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}
