//! PAUSE and RESUME: a database whose servers are let go, and whose clients wait.

use super::{Books, Cluster};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// How often a pause looks whether the last server has gone.
const LOOK: Duration = Duration::from_millis(10);

/// Which databases are paused.
#[derive(Default)]
pub(super) struct Paused {
    all: bool,
    databases: BTreeSet<String>,
}

/// Why there is no pause. The texts are PgBouncer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPaused {
    /// Everything is paused.
    Already,
    /// No entry serves this name.
    NoSuchDatabase(String),
}

/// Why nothing goes on. The texts are PgBouncer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotResumed {
    /// Nothing was paused.
    NotPaused,
    /// This database was not paused by its name.
    DatabaseNotPaused(String),
    /// No entry serves this name.
    NoSuchDatabase(String),
}

impl Paused {
    pub fn holds(&self, database: &str) -> bool {
        self.all || self.databases.contains(database)
    }

    /// Forgets databases.
    pub fn forget(&mut self, gone: impl Fn(&str) -> bool) {
        self.databases.retain(|database| !gone(database));
    }
}

impl Cluster {
    /// No client of `database`, or of any, gets a server from now on: requests wait, each for `query_wait_timeout` at most.
    /// Clients that are welcome already, or whose welcome is known, need no server to log in. False: this database was
    /// paused by its name before, as it still is.
    ///
    /// # Errors
    /// See [`NotPaused`].
    pub fn begin_pause(&self, database: Option<&str>) -> Result<bool, NotPaused> {
        let books = &mut *self.books.lock();
        let begun = match database {
            None if books.paused.all => return Err(NotPaused::Already),
            None => {
                books.paused.all = true;
                true
            }
            Some(name) if books.config.database(name).is_none() => {
                return Err(NotPaused::NoSuchDatabase(name.to_owned()));
            }
            Some(name) => books.paused.databases.insert(name.to_owned()),
        };
        for pool in books.pools_of(database) {
            pool.shape().lanes.iter().for_each(|lane| lane.pause());
        }
        Ok(begun)
    }

    /// Returns once all servers of a database that is paused, or of all, have been let go, and the hubs after them, or somebody
    /// has ended the pause.
    pub async fn until_quiet(&self, database: Option<&str>) {
        while self.is_paused(database) && !self.is_quiet(database) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends what [`Cluster::begin_pause`] has begun, and no other pause. Nothing, if somebody else has ended it.
    pub fn take_back_pause(&self, database: Option<&str>) {
        let books = &mut *self.books.lock();
        match database {
            None => books.paused.all = false,
            Some(name) => drop(books.paused.databases.remove(name)),
        }
        books.serve_again(database);
    }

    /// Ends a pause, and without a name every one: whoever waits is served.
    ///
    /// # Errors
    /// See [`NotResumed`].
    pub fn resume(&self, database: Option<&str>) -> Result<(), NotResumed> {
        let books = &mut *self.books.lock();
        match database {
            None if books.paused.all || !books.paused.databases.is_empty() => books.paused = Paused::default(),
            None => return Err(NotResumed::NotPaused),
            Some(name) if books.config.database(name).is_none() => {
                return Err(NotResumed::NoSuchDatabase(name.to_owned()));
            }
            Some(name) if books.paused.databases.remove(name) => (),
            Some(name) => return Err(NotResumed::DatabaseNotPaused(name.to_owned())),
        }
        books.serve_again(database);
        Ok(())
    }

    /// Whether everything is paused, or by its name this database.
    pub fn is_paused(&self, database: Option<&str>) -> bool {
        let books = self.books.lock();
        database.map_or(books.paused.all, |database| books.paused.holds(database))
    }

    fn is_quiet(&self, database: Option<&str>) -> bool {
        let pools = self.books.lock().pools_of(database);
        pools.iter().all(|pool| pool.hubs.is_empty() && pool.shape().lanes.iter().all(|lane| lane.is_empty()))
    }
}

impl Books {
    /// After the end of a pause; what another one holds stays paused.
    fn serve_again(&self, database: Option<&str>) {
        for pool in self.pools_of(database).iter().filter(|pool| !self.paused.holds(&pool.database)) {
            pool.shape().lanes.iter().for_each(|lane| lane.resume());
        }
    }
}

impl fmt::Display for NotPaused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Already => f.write_str("already suspended/paused"),
            Self::NoSuchDatabase(name) => write!(f, "no such database: {name}"),
        }
    }
}

impl std::error::Error for NotPaused {}

impl fmt::Display for NotResumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPaused => f.write_str("pooler is not paused/suspended"),
            Self::DatabaseNotPaused(name) => write!(f, "database {name} is not paused"),
            Self::NoSuchDatabase(name) => write!(f, "no such database: {name}"),
        }
    }
}

impl std::error::Error for NotResumed {}
