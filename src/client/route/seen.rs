//! What the statements of a transaction have written and read: so what their client must see from now on, and others, and whether they may
//! run where the transaction is.

use super::super::connection::Client;
use super::{Itself, Route};
use crate::cluster::Catalog;
use crate::fault::{Blame, Fault, SqlState};
use crate::router::To;
use crate::server::Server;
use crate::sql::{Change, Facts, Name, Relation, Told, Verb, Verdict};

/// The tables that a transaction may have written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// By their names, without schemas. Perhaps none.
    These(Vec<Box<[u8]>>),
    /// Nobody knows which.
    Any,
}

/// In place of names: nobody knows which.
const NAMELESS: Option<std::iter::Empty<&[u8]>> = None;

/// Tables of one transaction that are told apart.
const WRITTEN_MAX: usize = 64;

impl Client {
    /// The hosts may be others now, or texts be read from now on that were not.
    pub(in crate::client) fn forget_replicas(&mut self) {
        let Some(watch) = &self.shape.watch else {
            self.route = None;
            return;
        };
        let newest = watch.freshness.fence();
        if self.route.is_none() {
            // It was not looked at what it wrote.
            self.pool.catalog().fences.raise(NAMELESS, newest);
        }
        self.route.get_or_insert_with(|| Box::new(Route::new(self.id.0))).fence.renew(newest);
    }

    /// What has been heard from elsewhere the client must see.
    pub(in crate::client) fn note_news(&mut self) {
        if let (Some(route), Some(watch)) = (&mut self.route, &self.shape.watch) {
            route.fence.wrote(watch.freshness.fence());
        }
    }

    /// A statement of which nothing is known is about to be sent.
    pub(in crate::client) fn note_unparsed(&mut self) {
        if let Some(route) = &mut self.route {
            route.write_anything();
            route.alone = false;
        }
    }

    /// More is about to be sent in the transaction under way.
    pub(in crate::client) fn note_more(&mut self) {
        if let Some(route) = &mut self.route {
            route.alone = false;
        }
    }

    /// A statement is about to be sent that may run so far and no further. In a block that only reads a replica has the statement judged
    /// again.
    ///
    /// # Errors
    /// ERROR 25006: it is for the primary, and the block is on a replica.
    pub(in crate::client) fn note_told(&mut self, told: Option<&Told>) -> Result<(), Fault> {
        let Some(route) = &mut self.route else { return Ok(()) };
        let catalog = self.pool.catalog();
        match told {
            Some(told) => {
                route.write(told.verdict, told.change, (told.relations(), told.along()), catalog);
                route.alone &= told.is_undone;
                route.judge(told.verdict, catalog)
            }
            None => {
                route.write_anything();
                route.alone = false;
                route.judge(Verdict::Unparsed, catalog)
            }
        }
    }

    /// As [`Self::note_told`], of a whole text. What only ends a transaction or a part of it runs anywhere.
    ///
    /// # Errors
    /// As there.
    pub(in crate::client) fn note_facts(&mut self, facts: &Facts) -> Result<(), Fault> {
        let Some(route) = &mut self.route else { return Ok(()) };
        let catalog = self.pool.catalog();
        route.write(facts.verdict(), facts.change(), (facts.relations(), facts.along()), catalog);
        route.alone &= facts.is_undone();
        let goes_with_it = |verb: &Verb| {
            use Verb::{Commit, Release, Rollback, RollbackTo, Savepoint};
            // AND CHAIN begins another one, which nobody has decided to run here.
            let ends = matches!(verb, Commit { chain: false } | Rollback { chain: false });
            ends || matches!(verb, RollbackTo(_) | Savepoint(_) | Release(_))
        };
        match facts.statements.only() {
            Some(only) if facts.unsure.is_none() && goes_with_it(&only.verb) => Ok(()),
            _ => route.judge(facts.verdict(), catalog),
        }
    }

    /// In a block on a replica the second reader is asked as well.
    ///
    /// # Errors
    /// As [`Self::note_told`].
    pub(in crate::client) fn confirm_here(
        &self,
        verdict: Verdict,
        confirmed: impl Fn() -> Verdict,
    ) -> Result<(), Fault> {
        if self.to() == To::Primary || verdict != Verdict::Read {
            return Ok(());
        }
        match confirmed() {
            Verdict::Read => Ok(()),
            other => Err(not_here(other)),
        }
    }

    /// Something has been answered, or never will be. What it has written the client must see from now on, and others, and what it has
    /// read; to be called before anybody can know of it. What has failed as a whole, as PostgreSQL says, has written nothing; nor has, as far as
    /// anybody knows, what is a whole and of which nothing was `told` yet.
    pub(in crate::client) fn note_answered(&mut self, server: &Server, told: bool) {
        let (Some(route), Some(watch)) = (&mut self.route, &self.shape.watch) else { return self.note_unshared() };
        let newest = watch.freshness.fence();
        if let To::Replica(replica) = route.to {
            return route.fence.read(replica.host(), route.life, newest);
        }
        if route.writes {
            route.fence.wrote(newest);
        }
        if !watch.shares_writes() || route.alone && (server.has_erred() || !told) {
            return;
        }
        let fences = &self.pool.catalog().fences;
        match &route.written {
            Written::These(tables) if tables.is_empty() => (),
            Written::These(tables) => {
                fences.raise(Some(tables.iter().map(|name| &**name)), newest);
                if self.pool.catalog().edition() != route.named_by {
                    // Whoever reads them may know them by other names.
                    fences.raise(NAMELESS, newest);
                }
            }
            Written::Any => fences.raise(NAMELESS, newest),
        }
    }

    /// As [`Self::note_answered`], where the client knows of no replica: a reload may have brought some.
    fn note_unshared(&self) {
        if self.shape.watch.is_none()
            && self.in_force.generation() != self.generation
            && let Some(watch) = &self.pool.shape().watch
        {
            self.pool.catalog().fences.raise(NAMELESS, watch.freshness.fence());
        }
    }
}

impl Route {
    pub(super) fn write_anything(&mut self) {
        (self.writes, self.written) = (true, Written::Any);
    }

    fn write(
        &mut self,
        verdict: Verdict,
        change: Change,
        (relations, along): (Option<&[Relation]>, &[Name]),
        catalog: &Catalog,
    ) {
        // Behind a lock it sees what whoever held it has written.
        self.writes |= matches!(verdict, Verdict::Session | Verdict::Lock) || change == Change::Hears;
        match (change, relations, &mut self.written) {
            (Change::Nothing | Change::Hears, ..) => (),
            (Change::Relations, Some(relations), Written::These(tables)) => {
                if tables.is_empty() {
                    self.named_by = catalog.edition();
                }
                self.writes = true;
                for name in Relation::written(relations).chain(along.iter().map(|name| &**name)) {
                    if !tables.iter().any(|known| **known == *name) {
                        tables.push(name.into());
                    }
                }
                if tables.len() > WRITTEN_MAX {
                    self.written = Written::Any;
                }
            }
            _ => self.write_anything(),
        }
    }

    /// Whether a statement may run where the transaction is.
    fn judge(&self, verdict: Verdict, catalog: &Catalog) -> Result<(), Fault> {
        let of_itself = self.itself != Itself::No && matches!(verdict, Verdict::Node | Verdict::Catalog);
        if verdict == Verdict::Read || of_itself || self.to == To::Primary {
            return Ok(());
        }
        let fault = not_here(verdict);
        Err(if verdict == Verdict::Function && catalog.is_doubtful() { in_doubt(fault) } else { fault })
    }
}

/// Of a block on a replica.
pub(in crate::client) fn not_here(verdict: Verdict) -> Fault {
    let message = "this statement cannot run in a read-only transaction on a replica";
    Fault::error(Blame::Client, SqlState::READ_ONLY_SQL_TRANSACTION, message)
        .with_detail(format!("It is for the primary ({verdict}), and the transaction has begun on a replica."))
        .with_hint("Begin the transaction READ WRITE, or with this statement.")
}

/// The same of what may be a read.
fn in_doubt(fault: Fault) -> Fault {
    fault
        .with_detail("The catalog is being changed, and what the statement names may be something else by now; the transaction has begun on a replica.")
        .with_hint("Run the transaction again: while that goes on it is the primary's. Or begin it READ WRITE.")
}

/// Of what would keep a client at a replica's server.
pub(in crate::client) fn tied_to_replica() -> Fault {
    let message = "a read-only transaction on a replica may leave nothing there";
    Fault::fatal(Blame::Client, SqlState::FEATURE_NOT_SUPPORTED, message)
        .with_hint("Prepare very long statements outside of it.")
}
