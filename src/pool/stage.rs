//! A lane for tests that look at what its tasks do. Its host accepts connections and says nothing.

use super::core::Limits;
use super::{Backoff, Checked, Chores, Lane, LaneSpec, Mailbox, Quota, Steward, Waiting};
use crate::clock;
use crate::ids::{Numbers, WorkerId};
use crate::net::{Address, TcpOptions, Tls};
use crate::server::LoginSpec;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// One place, in the lane as in the ledger.
pub(crate) struct Stage {
    pub lane: Arc<Lane>,
    pub chores: Chores,
    _silent: TcpListener,
}

impl Stage {
    /// The lane, and a steward that is not running.
    pub fn new() -> (Self, Steward) {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = silent.local_addr().expect("bound").port();
        let login = LoginSpec {
            address: Address::new("127.0.0.1", port),
            found: Arc::default(),
            options: TcpOptions::default(),
            tls: Tls::default().share(),
            user: "app".to_owned(),
            database: "shop".to_owned(),
            secret: None,
            keyring: Arc::default(),
            parameters: Vec::new(),
            connect_query: None,
            track_extra: Vec::new(),
            routes: false,
            generation: 1,
        };
        let limits = Limits {
            size: 1,
            min: 0,
            reserve: 0,
            reserve_timeout: HOUR,
            lifetime: HOUR,
            idle_timeout: None,
            round_robin: false,
        };
        let quota = Quota { database: "shop".to_owned(), database_limit: 1, user: "app".to_owned(), user_limit: 0 };
        let spec = LaneSpec { login, limits, quota, connect_timeout: Duration::from_secs(15), always_live: false };
        let (steward, chores) = Steward::new(WorkerId(0), Arc::new(Numbers::default()));
        let lane = Lane::new(spec, 1, Arc::default(), chores.clone(), Arc::new(Backoff::new(HOUR)), Arc::default());
        (Self { lane, chores, _silent: silent }, steward)
    }

    /// A client comes, and waits.
    pub fn wait(&self) -> Waiting {
        match self.lane.checkout(WorkerId(0), 0, clock::now(), &Arc::new(Mailbox::default())) {
            Checked::Wait(waiting) => waiting,
            _ => panic!("there is no server to be had"),
        }
    }

    /// Attempts under way, and clients waiting.
    pub fn opening_and_waiting(&self) -> (usize, usize) {
        let stats = self.lane.stats(clock::now());
        (stats.opening, stats.waiting)
    }
}
