//! What comes to the door and does not know the password, or the key of a cancel request: it is made to wait, by its address.
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

/// Cancel requests that may wait at a time; a further one is not looked at, as if its key were wrong.
const CANCELS: usize = 100;

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
    /// Waits as long as a login from there has to.
    pub(super) async fn hold_up_login(&self, peer: Peer, config: &Config) {
        let delay = delay(&self.logins, peer, config);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// A proof from there was wrong.
    pub(super) fn login_failed(&self, peer: Peer, config: &Config) {
        failed(&self.logins, peer, config);
    }

    /// Waits as long as a cancel request from there has to. False: too many do.
    pub(super) async fn hold_up_cancel(&self, peer: Peer, config: &Config) -> bool {
        let delay = delay(&self.cancels, peer, config);
        if delay.is_zero() {
            return true;
        }
        let Ok(_place) = self.waiting_cancels.try_acquire() else { return false };
        tokio::time::sleep(delay).await;
        true
    }

    /// The key of a cancel request from there is nobody's.
    pub(super) fn cancel_failed(&self, peer: Peer, config: &Config) {
        failed(&self.cancels, peer, config);
    }
}

fn delay(of: &Mutex<Throttle>, peer: Peer, config: &Config) -> Duration {
    address(peer).map_or(Duration::ZERO, |from| of.lock().delay(from, pace(config), clock::now()))
}

fn failed(of: &Mutex<Throttle>, peer: Peer, config: &Config) {
    address(peer).inspect(|from| of.lock().failed(*from, pace(config), clock::now()));
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
