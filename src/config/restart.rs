//! What a reload cannot change.

use super::model::Config;

/// Their names in SHOW CONFIG.
pub(super) const AT_START: [&str; 9] = [
    "http.listen",
    "workers",
    "listen_addr",
    "listen_port",
    "listen_backlog",
    "unix_socket_dir",
    "unix_socket_mode",
    "track_extra_parameters",
    "log_format",
];

impl Config {
    /// Takes over from `running` the settings that apply only at start, so that this is what will really be in force.
    /// Returns the names of those that the file has changed.
    ///
    /// # Errors
    /// [`AnybodyCouldCome`], with the addresses that are listened on.
    pub fn keep_what_applies_at_start(&mut self, running: &Self) -> Result<Vec<&'static str>, AnybodyCouldCome> {
        let mut changed = Vec::new();
        keep("http.listen", &mut self.http.listen, &running.http.listen, &mut changed);
        let (new, running) = (&mut self.pooler, &running.pooler);
        keep("workers", &mut new.workers, &running.workers, &mut changed);
        keep("listen_addr", &mut new.listen_addr, &running.listen_addr, &mut changed);
        keep("listen_port", &mut new.listen_port, &running.listen_port, &mut changed);
        keep("listen_backlog", &mut new.listen_backlog, &running.listen_backlog, &mut changed);
        keep("unix_socket_dir", &mut new.unix_socket_dir, &running.unix_socket_dir, &mut changed);
        keep("unix_socket_mode", &mut new.unix_socket_mode, &running.unix_socket_mode, &mut changed);
        keep("track_extra_parameters", &mut new.track_extra_parameters, &running.track_extra_parameters, &mut changed);
        keep("log_format", &mut new.log_format, &running.log_format, &mut changed);
        if self.pooler.lets_anybody_in() { Err(AnybodyCouldCome) } else { Ok(changed) }
    }
}

/// `auth_type = "trust"` without `auth_file` is for loopback addresses only, and others are listened on until a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnybodyCouldCome;

fn keep<T: Clone + PartialEq>(name: &'static str, new: &mut T, running: &T, changed: &mut Vec<&'static str>) {
    if new != running {
        running.clone_into(new);
        changed.push(name);
    }
}
