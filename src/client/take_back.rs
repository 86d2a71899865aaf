//! A client has left its server in the middle of something: brings the server back to the pool, or closes it. Runs as a
//! task of its own, so that the client is gone at once.

use crate::clock;
use crate::cluster::{Catalog, Change, Loading};
use crate::ids::WorkerId;
use crate::pool::Lane;
use crate::server::{CleanServer, Leaving, Server, repair, reset};
use crate::session::Computed;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A statement whose client said goodbye runs at most this long, unless `query_timeout` says less.
const LAST_STATEMENT: Duration = Duration::from_secs(3600);

/// Counts the servers that are being brought back, for who ends the process: what runs on them has yet to be cancelled.
#[derive(Clone, Default)]
pub struct Partings(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub struct Parting(Arc<AtomicUsize>);

impl Partings {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// One more.
    pub fn begin(&self) -> Parting {
        self.0.fetch_add(1, Ordering::Relaxed);
        Parting(self.0.clone())
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a client has left in its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Residue {
    /// Nothing that others could see.
    Nothing,
    /// What this query drops.
    Reset(String),
    /// What only the end of the connection drops.
    Everything,
}

/// What the task needs to know.
pub struct TakeBack {
    /// Where the server came from.
    pub lane: Arc<Lane>,
    /// The worker it is on.
    pub worker: WorkerId,
    /// How the client left.
    pub leaving: Leaving,
    /// What it has left behind.
    pub residue: Residue,
    /// The catalog of its database is to be read on it.
    pub catalog: Option<Loading>,
    /// It may be changing that; until it has ended it is.
    pub change: Option<Change>,
    /// What may have been defined, in the database of this catalog.
    pub computed: (Computed, Arc<Catalog>),
    /// `query_timeout`.
    pub query_timeout: Option<Duration>,
    /// Says that it is under way.
    pub parting: Parting,
}

/// Repairs, resets and checks in; a server that cannot be brought back is closed by being dropped.
pub async fn take_back(server: Box<Server>, how: TakeBack) {
    let _until_the_end = (how.parting, how.change);
    let patience = how.query_timeout.unwrap_or(LAST_STATEMENT);
    let repaired = repair(server, how.leaving, patience, how.lane.extra()).await;
    // What the client has sent has ended: the catalog shows what came of it.
    let (computed, catalog) = how.computed;
    catalog.read_behind(computed);
    let Some((mut server, mut boundary)) = repaired else { return };
    if let Some(catalog) = how.catalog {
        let _read = catalog.run(&mut server).await;
        // Closed by being dropped.
        let Some(behind) = server.boundary() else { return };
        boundary = behind;
    }
    let clean = match how.residue {
        Residue::Nothing => Some(CleanServer::kept(server, boundary)),
        Residue::Reset(query) => reset(server, boundary, &query).await,
        // Closed by being dropped.
        Residue::Everything => None,
    };
    if let Some(clean) = clean {
        how.lane.checkin(how.worker, clean, clock::now());
    }
}
