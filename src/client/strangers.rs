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

/// Cancel requests that are held up at a time, from wherever; a further one is closed at once and its key not looked up.
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

/// What becomes of a cancel request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookUp {
    /// Nothing speaks against whoever sent it.
    AtOnce,
    /// It had to wait, and counts as wrong until [`Strangers::cancel_forgiven`].
    InItsTurn,
    /// Too many wait.
    Never,
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

    /// When the key of a cancel request from there may be looked up; it has waited already, for `login_failure_delay` at most, and
    /// no longer than a login.
    pub(super) async fn hold_up_cancel(&self, peer: Peer, config: &Config) -> LookUp {
        let wait = address(peer).map(|from| self.cancels.lock().enter(from, pace(config), clock::now()));
        let Some(wait) = wait.filter(|wait| !wait.is_zero()) else { return LookUp::AtOnce };
        let Ok(_place) = self.waiting_cancels.try_acquire() else {
            // Nobody knows whether it is a guess.
            self.cancel_forgiven(peer, config);
            return LookUp::Never;
        };
        let most = pace(config).delay.min(config.pooler.client_login_timeout / 4);
        tokio::time::sleep(wait.min(most)).await;
        LookUp::InItsTurn
    }

    /// The key of a cancel request from there is nobody's, and it had not to wait.
    pub(super) fn cancel_failed(&self, peer: Peer, config: &Config) {
        address(peer).inspect(|from| self.cancels.lock().failed(*from, pace(config), clock::now()));
    }

    /// A cancel request from there that was made to wait had a right key.
    pub(super) fn cancel_forgiven(&self, peer: Peer, config: &Config) {
        address(peer).inspect(|from| self.cancels.lock().forgive(*from, pace(config), clock::now()));
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
