//! What comes to the door and does not know the password, or the key of a cancel request: it is made to wait, by its address.
//! Does not know whether a password or a key is right: its callers say so.
//! Peers on the unix socket never wait: who they are is settled by the file's permissions.

use crate::auth::{Pace, Throttle};
use crate::clock;
use crate::config::Config;
use crate::metrics::Repeated;
use crate::net::Peer;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Addresses that are remembered. An entry takes about 60 bytes.
const ADDRESSES: usize = 10_000;

/// Wrong cancel requests whose connections are kept at a time; a further one is closed at once.
const CANCELS: usize = 40;

/// Lines of log in ten seconds about those who were not let in.
const LINES: u32 = 20;

/// The memory of the door.
pub struct Strangers {
    logins: Mutex<Throttle>,
    cancels: Mutex<Throttle>,
    waiting_cancels: Semaphore,
    /// Keeps the log short.
    pub(super) refusals: Repeated,
}

impl Default for Strangers {
    fn default() -> Self {
        let throttle = || Mutex::new(Throttle::new(ADDRESSES));
        let waiting_cancels = Semaphore::new(CANCELS);
        Self { logins: throttle(), cancels: throttle(), waiting_cancels, refusals: Repeated::new(LINES) }
    }
}

impl Strangers {
    /// How long a login from there has to wait. Unless 0, it counts as failed until [`Self::login_forgiven`].
    pub(super) fn login_delay(&self, peer: Peer, config: &Config) -> Duration {
        address(peer).map_or(Duration::ZERO, |from| self.logins.lock().enter(from, pace(config), clock::now()))
    }

    /// A proof from there was wrong, and had not to wait.
    pub(super) fn login_failed(&self, peer: Peer, config: &Config) {
        address(peer).inspect(|from| self.logins.lock().failed(*from, pace(config), clock::now()));
    }

    /// A login from there that was made to wait has ended, and not by a wrong proof.
    pub(super) fn login_forgiven(&self, peer: Peer, config: &Config) {
        address(peer).inspect(|from| self.logins.lock().forgive(*from, pace(config), clock::now()));
    }

    /// The key of a cancel request from there is nobody's. Returns once its connection may be closed: at most
    /// `login_failure_delay` later.
    pub(super) async fn keep_wrong_cancel(&self, peer: Peer, config: &Config) {
        let wait = address(peer).map_or(Duration::ZERO, |from| self.count_cancel(from, pace(config)));
        if !wait.is_zero()
            && let Ok(_place) = self.waiting_cancels.try_acquire()
        {
            tokio::time::sleep(wait.min(pace(config).delay)).await;
        }
    }

    fn count_cancel(&self, from: IpAddr, pace: Pace) -> Duration {
        let (mut cancels, now) = (self.cancels.lock(), clock::now());
        let wait = cancels.enter(from, pace, now);
        if wait.is_zero() {
            cancels.failed(from, pace, now);
        }
        wait
    }
}

fn pace(config: &Config) -> Pace {
    Pace { free: config.pooler.login_failure_limit, delay: config.pooler.login_failure_delay }
}

fn address(peer: Peer) -> Option<IpAddr> {
    match peer {
        Peer::Tcp(address) => Some(address.ip()),
        Peer::Unix => None,
    }
}
