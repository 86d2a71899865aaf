//! What all consoles share: the process they speak for, what is counted, and who sits here.

use super::averages::Averages;
use super::command::Ending;
use crate::activity::{ClientActivity, ClientSeen};
use crate::alerts::Board;
use crate::clock::{self, Instant};
use crate::cluster::{Cluster, NotPaused, NotResumed};
use crate::config::{Config, Rights};
use crate::fault::{Blame, Fault, SqlState};
use crate::ids::ClientId;
use crate::metrics::{Registry, Totals};
use crate::net::Socket;
use crate::wire::startup::CancelKey;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::SystemTime;
use tokio::sync::Notify;

/// Consoles at a time: more than there are operators and monitors. Their descriptors are among those that the process
/// keeps for itself, see `app::budget`.
pub const CONSOLES_MAX: usize = 30;

/// Those among them of users who may only look: the others' places are not theirs to take.
const LOOKERS_MAX: usize = CONSOLES_MAX - 10;

/// PgBouncer's name for the console, its user and its pool.
pub const PGBOUNCER: &str = "pgbouncer";

/// What an operator can have done.
pub trait Process {
    /// The configuration in force.
    fn config(&self) -> Arc<Config>;
    /// Everybody who is connected.
    fn clients(&self) -> Vec<ClientSeen>;
    /// Clients that may be connected, and those that are, or are on their way in.
    fn seats(&self) -> (usize, usize);
    /// Whether everybody was told to leave.
    fn is_closing(&self) -> bool;
    /// Reads the configuration anew. False: it was refused, and nothing has changed.
    fn reload(&self) -> impl Future<Output = bool>;
    /// See [`Cluster::begin_pause`].
    ///
    /// # Errors
    /// See [`NotPaused`].
    fn pause(&self, database: Option<&str>) -> Result<bool, NotPaused>;
    /// See [`Cluster::take_back_pause`].
    fn take_back_pause(&self, database: Option<&str>);
    /// See [`Cluster::resume`].
    ///
    /// # Errors
    /// See [`NotResumed`].
    fn resume(&self, database: Option<&str>) -> Result<(), NotResumed>;
    /// See [`Cluster::reconnect`].
    fn reconnect(&self, database: Option<&str>) -> bool;
    /// Throws a client out. False: there is none of this number.
    fn expel(&self, client: ClientId) -> bool;
    /// Cancels what a client runs or waits for. False: there is none of this number.
    fn cancel(&self, client: ClientId) -> bool;
    /// Ends the process.
    fn end(&self, how: Ending);
}

/// Somebody at the door of the console, who is who he says.
pub struct Visitor {
    /// Numbered as clients are.
    pub id: ClientId,
    /// In this thread's runtime.
    pub socket: Socket,
    /// Who.
    pub user: String,
    /// Which name he called the console by.
    pub database: String,
    /// For the welcome.
    pub key: CancelKey,
    /// Notified by cancel requests.
    pub cancelled: Arc<Notify>,
}

/// One console, as others see it.
pub(super) struct Place {
    pub activity: ClientActivity,
    user: String,
    database: String,
}

/// What all consoles share.
pub struct Desk<P> {
    /// The process.
    pub process: P,
    pub(super) cluster: Arc<Cluster>,
    pub(super) metrics: Arc<Registry>,
    pub(super) alerts: Arc<Board>,
    pub(super) averages: Averages,
    places: Mutex<Vec<Weak<Place>>>,
    entered: AtomicU64,
    commands: AtomicU64,
    // One moment on both clocks.
    start: (Instant, SystemTime),
}

impl<P: Process> Desk<P> {
    /// Nobody is here yet.
    pub fn new(process: P, cluster: Arc<Cluster>, metrics: Arc<Registry>, alerts: Arc<Board>) -> Self {
        let now = clock::now();
        Self {
            process,
            cluster,
            metrics,
            alerts,
            averages: Averages::new(now),
            places: Mutex::default(),
            entered: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            start: (now, SystemTime::now()),
        }
    }

    /// Closes a period of the averages each `stats_period`, for ever.
    pub async fn keep_averages(&self) {
        loop {
            tokio::time::sleep(self.process.config().pooler.stats_period).await;
            self.averages.close_period(clock::now(), self.totals());
        }
    }

    /// A place for a visitor; his until it is dropped.
    ///
    /// # Errors
    /// FATAL 53300.
    pub(super) fn enter(&self, visitor: &Visitor) -> Result<Arc<Place>, Fault> {
        let activity = ClientActivity::new(visitor.id, visitor.socket.line(), clock::now());
        let place = Place { activity, user: visitor.user.clone(), database: visitor.database.clone() };
        let place = Arc::new(place);
        let config = self.process.config();
        // As rights are now: a reload may have taken some away.
        let only_looks = |place: &Place| config.console_rights(&place.user) != Some(Rights::Everything);
        let mut places = self.places.lock();
        places.retain(|place| place.strong_count() > 0);
        let lookers = places.iter().filter_map(Weak::upgrade).filter(|place| only_looks(place)).count();
        let full = if places.len() >= CONSOLES_MAX {
            Some(format!("There may be {CONSOLES_MAX}."))
        } else if only_looks(&place) && lookers >= LOOKERS_MAX {
            Some(format!("There may be {LOOKERS_MAX} of users who may only look."))
        } else {
            None
        };
        if let Some(detail) = full {
            let message = "sorry, too many consoles already";
            return Err(Fault::fatal(Blame::Limit, SqlState::TOO_MANY_CONNECTIONS, message).with_detail(detail));
        }
        places.push(Arc::downgrade(&place));
        self.entered.fetch_add(1, Ordering::Relaxed);
        Ok(place)
    }

    /// A command was answered.
    pub(super) fn count_command(&self) {
        self.commands.fetch_add(1, Ordering::Relaxed);
    }

    /// Who sits here.
    pub(super) fn consoles(&self) -> Vec<ClientSeen> {
        let places: Vec<_> = self.places.lock().iter().filter_map(Weak::upgrade).collect();
        let seen = |place: &Arc<Place>| place.activity.seen(place.user.clone(), place.database.clone(), Vec::new());
        places.iter().map(seen).collect()
    }

    /// Totals of every database in the order of names, the console among them.
    pub(super) fn totals(&self) -> Vec<(String, Totals)> {
        let commands = self.commands.load(Ordering::Relaxed);
        let logins = self.entered.load(Ordering::Relaxed);
        let own =
            Totals { xact_count: commands, query_count: commands, client_login_count: logins, ..Totals::default() };
        let mut totals = self.metrics.databases();
        totals.push((PGBOUNCER.to_owned(), own));
        totals.sort_by(|(one, _), (other, _)| one.cmp(other));
        totals
    }

    /// What the wall's clock showed at `moment`, had nobody turned it since the start.
    pub(super) fn on_the_wall(&self, moment: Instant) -> SystemTime {
        let (start, wall) = self.start;
        match moment.checked_duration_since(start) {
            Some(after) => wall + after,
            None => wall - start.saturating_duration_since(moment),
        }
    }
}
