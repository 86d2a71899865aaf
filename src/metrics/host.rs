//! What is counted for one host: how connections to it end. Rare, so that a lock does.

use super::ladder::Histogram;
use parking_lot::Mutex;
use std::time::Duration;

/// How an attempt to open a server ended. The order is that of [`ConnectResult::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectResult {
    /// A server is open.
    Ok,
    /// PostgreSQL, or we, refused the login.
    Refused,
    /// PostgreSQL is starting up, or shutting down.
    NotYet,
    /// The way to it failed.
    Unreachable,
    /// `server_connect_timeout` passed.
    Timeout,
    /// This process, or this machine, has no descriptors left. The host was not asked.
    NoDescriptors,
}

impl ConnectResult {
    /// Every one, in order, with its word.
    pub const ALL: [(Self, &str); 6] = [
        (Self::Ok, "ok"),
        (Self::Refused, "refused"),
        (Self::NotYet, "not_yet"),
        (Self::Unreachable, "unreachable"),
        (Self::Timeout, "timeout"),
        (Self::NoDescriptors, "no_descriptors"),
    ];

    /// Whether a PostgreSQL that accepts connections has answered; `None`: it was not asked.
    fn is_up(self) -> Option<bool> {
        match self {
            Self::Ok | Self::Refused => Some(true),
            Self::NotYet | Self::Unreachable | Self::Timeout => Some(false),
            Self::NoDescriptors => None,
        }
    }
}

/// Counts for one host; shared by all pools on it.
#[derive(Default)]
pub struct HostMeter(Mutex<HostCounts>);

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostCounts {
    /// In the order of [`ConnectResult::ALL`].
    pub connects: [u64; ConnectResult::ALL.len()],
    /// From connecting to the end of the login, for those that succeeded.
    pub durations: Histogram,
    /// Whether PostgreSQL answered at the last attempt; `None` before the first.
    pub up: Option<bool>,
}

impl HostMeter {
    /// A server is open, after so long.
    pub fn connected(&self, took: Duration) {
        self.0.lock().durations.observe(took);
    }

    /// An attempt has ended.
    pub fn ended(&self, result: ConnectResult) {
        let mut counts = self.0.lock();
        counts.connects[result as usize] += 1;
        counts.up = result.is_up().or(counts.up);
    }

    /// Somebody else than a pool has asked the host.
    pub fn seen(&self, up: bool) {
        self.0.lock().up = Some(up);
    }

    /// What was counted until now.
    pub fn counts(&self) -> HostCounts {
        self.0.lock().clone()
    }
}
