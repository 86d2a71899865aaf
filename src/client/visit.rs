//! A client at another entry of `[databases]`, where a rule has sent a transaction of its: it has that entry's pool for its own until the
//! transaction is over, and nothing of it stays there. What it is told of its own database, and has set and prepared, it has there as well.
//!
//! Everything else that a client does goes by its pool and shape, and so by the other entry's while it is there: limits, catalog, watch,
//! fences, counters.

use super::between::Request;
use super::checkout::NoServer;
use super::connection::{Client, Step};
use super::elsewhere::{Belongs, Misplaced, bends_path};
use super::guest::elsewhere_only;
use super::link::Link;
use super::route::Route;
use super::sequences::Drawn;
use super::welcome::{Occasion, Reported};
use crate::clock::Instant;
use crate::cluster::{Pool, Shape};
use crate::config::{PoolMode, RuleRoute};
use crate::fault::{Blame, Fault, SqlState};
use crate::metrics::Meter;
use crate::session::Settings;
use crate::sql::Facts;
use crate::wire::rows::Cell;
use std::sync::Arc;

/// Settings that tell who a session runs as.
const ROLES: [&[u8]; 3] = [b"role", b"session_authorization", b"is_superuser"];

/// What a client has that rules may send elsewhere.
#[derive(Default)]
pub(super) struct Elsewhere {
    // Those where it has been. What is kept of the one where it is now is that of its own database.
    others: Vec<Other>,
    at: Option<usize>,
    // When it was looked where the request at hand belongs; None: it is for where the client was.
    looked: Option<Instant>,
    // Its role at home, while it is elsewhere.
    roles: [Option<Box<[u8]>>; 3],
    // Something ran where it is; and where its last transaction ran, if that was elsewhere, as it is shown.
    has_run: bool,
    last: Option<[Cell; 4]>,
    /// Catalogs that are due are to be read before they say where a table is.
    pub(super) looks_anew: bool,
    /// The transaction under way may have changed its search path.
    pub(super) path_bent: bool,
}

/// One entry.
struct Other {
    entry: Box<str>,
    pool: Arc<Pool>,
    shape: Arc<Shape>,
    route: Option<Box<Route>>,
    meter: Meter,
    drawn: Drawn,
    // There was a reload since it was looked at.
    stale: bool,
}

impl Client {
    /// Looks whether there are rules that may send this client elsewhere. In session mode nobody looks at what it sends.
    pub(super) fn look_for_elsewhere(&mut self) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.others.iter_mut().for_each(|other| other.stale = true);
        }
        let (home, user) = (&self.home_pool().database, self.presence.user());
        let leads = |route: &RuleRoute| matches!(route, RuleRoute::Database(entry) if entry != home);
        let any = self.rules.routes.iter().any(|rule| leads(&rule.route) && rule.is_for(home, user));
        if any && (self.is_visiting() || self.shape.settings.pool_mode != PoolMode::Session) {
            self.elsewhere.get_or_insert_default();
        } else if !self.is_visiting() {
            self.elsewhere = None;
        }
    }

    /// Whether the client is at another entry than its own.
    pub(super) fn is_visiting(&self) -> bool {
        self.elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.at.is_some())
    }

    /// Where that is.
    pub(super) fn visited_entry(&self) -> Option<&str> {
        self.visited().map(|other| &*other.entry)
    }

    fn visited(&self) -> Option<&Other> {
        let elsewhere = self.elsewhere.as_ref()?;
        elsewhere.others.get(elsewhere.at?)
    }

    /// That of its own database.
    pub(super) fn home_pool(&self) -> &Arc<Pool> {
        self.visited().map_or(&self.pool, |other| &other.pool)
    }

    /// That of an entry, if it is its own or it has been there.
    pub(super) fn pool_of(&self, entry: &str) -> Option<&Arc<Pool>> {
        let is_it = |pool: &&Arc<Pool>| pool.database == entry;
        let others = self.elsewhere.iter().flat_map(|elsewhere| elsewhere.others.iter().map(|other| &other.pool));
        others.chain([&self.pool]).find(is_it)
    }

    /// Whether the request at hand still belongs where the client is. Nothing has changed for one that has not waited.
    pub(super) fn still_belongs(&self, request: &Request) -> bool {
        let looked = self.elsewhere.as_ref().and_then(|elsewhere| elsewhere.looked);
        if looked.is_none_or(|looked| looked == self.now) {
            return true;
        }
        match self.request_belongs(&request.bytes) {
            Ok(Belongs::Nowhere) => true,
            Ok(Belongs::Home) => !self.is_visiting(),
            Ok(Belongs::There(rule)) => self.visited_entry() == Some(self.entry_of(rule)),
            Err(_) => false,
        }
    }

    /// Goes where the tables of the request at hand are, once that is found out.
    ///
    /// # Errors
    /// Those of a wait, and of a first server there; ERROR 0A000: it cannot be told, or there are two such places; 3D000: the entry was removed.
    pub(super) async fn enter(&mut self, request: &Request) -> Result<(), NoServer> {
        self.step(Step::Enter);
        let (stays, now) = (self.is_visiting(), self.now);
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.looked = Some(now).filter(|_| !stays);
        }
        if stays {
            // A replica there has not answered it.
            return Ok(());
        }
        self.look_anew(true);
        let mut belongs = self.request_belongs(&request.bytes);
        self.look_anew(false);
        // The catalogs tell. Where they cannot be had, what is known of them does, or nothing. Each rule may want to know another one.
        let mut asked = None;
        for _ in 0..=self.rules.routes.len() {
            let Err(Misplaced::Unread(rule)) = belongs else { break };
            if asked.replace(rule) == Some(rule) {
                break;
            }
            self.learn_both(rule, self.waits_since).await?;
            belongs = self.request_belongs(&request.bytes);
        }
        match belongs {
            Ok(Belongs::Nowhere | Belongs::Home) => Ok(()),
            Ok(Belongs::There(rule)) => {
                self.visit(rule).map_err(NoServer::Refused)?;
                self.arrive().await
            }
            Err(why) => Err(NoServer::Refused(self.misplaced(&why))),
        }
    }

    fn look_anew(&mut self, anew: bool) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.looks_anew = anew;
        }
    }

    /// Takes the pool of the entry that a rule leads to, as if it had logged in there.
    ///
    /// # Errors
    /// ERROR 3D000: there is no such entry any more; 0A000: it cannot be used in this way.
    pub(super) fn visit(&mut self, rule: usize) -> Result<(), Fault> {
        let entry: Box<str> = self.entry_of(rule).into();
        let mut elsewhere = self.elsewhere.take().unwrap_or_default();
        let found = self.find_other(&mut elsewhere, &entry);
        let found = found.and_then(|at| self.may_enter(elsewhere.others.get(at), &entry).map(|()| at));
        if let Ok(at) = found {
            elsewhere.roles = ROLES.map(|role| self.settings.own(role).map(Box::from));
            self.change_places(&mut elsewhere, at);
            (elsewhere.at, elsewhere.has_run) = (Some(at), false);
        }
        self.elsewhere = Some(elsewhere);
        found.map(|_| ())
    }

    fn find_other(&self, elsewhere: &mut Elsewhere, entry: &str) -> Result<usize, Fault> {
        let others = &mut elsewhere.others;
        // It may have been taken away and given back since.
        others.retain(|other| *other.entry != *entry || !other.pool.shape().lanes.is_empty());
        if let Some(at) = others.iter().position(|other| *other.entry == *entry) {
            return Ok(at);
        }
        let pool = self.in_force.cluster.pool(entry, self.presence.user()).ok_or_else(|| no_entry(entry))?;
        let (shape, meter, drawn) = (pool.shape(), self.meter.of(entry), Drawn::default());
        others.push(Other { entry: entry.into(), pool, shape, route: None, meter, drawn, stale: false });
        Ok(others.len() - 1)
    }

    fn may_enter(&self, other: Option<&Other>, entry: &str) -> Result<(), Fault> {
        let Some(other) = other else { return Err(no_entry(entry)) };
        if other.pool.shape().settings.pool_mode == PoolMode::Session {
            return Err(elsewhere_only(entry, "its servers are not shared (pool_mode = \"session\")"));
        }
        let acts = |role: &[u8]| self.settings.own(role).is_some();
        if other.pool.user != self.pool.user && ROLES[..2].iter().any(|role| acts(role)) {
            return Err(elsewhere_only(
                entry,
                "the session runs as another role, and the database has a user of its own",
            ));
        }
        Ok(())
    }

    /// What the client has of one place for what is kept of the other.
    fn change_places(&mut self, elsewhere: &mut Elsewhere, at: usize) {
        self.leave_answers();
        let Some(other) = elsewhere.others.get_mut(at) else { return };
        std::mem::swap(&mut self.pool, &mut other.pool);
        std::mem::swap(&mut self.shape, &mut other.shape);
        std::mem::swap(&mut self.route, &mut other.route);
        std::mem::swap(&mut self.meter, &mut other.meter);
        std::mem::swap(&mut self.drawn, &mut other.drawn);
        self.shape = self.pool.shape();
        // It is about what is kept here from now on: that was looked at just now.
        if std::mem::take(&mut other.stale) {
            self.forget_replicas();
        }
    }

    /// As at a login there: there is a server, it is known what its functions do, and that its role may still log in.
    async fn arrive(&mut self) -> Result<(), NoServer> {
        let Reported { lane, welcome, present } = self.reported(Occasion::Request).await?;
        let doubtful = self.lane_in_doubt(&lane, present);
        if present {
            self.read_catalog_again(&lane).await?;
        }
        if let Some(lane) = doubtful {
            Box::pin(self.ask_for_role(&lane, present, None)).await?;
        }
        self.be_there_as(&welcome.settings);
        Ok(())
    }

    /// Its servers run as their own role, whatever that is called at home.
    fn be_there_as(&mut self, theirs: &Settings) {
        if ROLES[..2].iter().any(|role| self.settings.own(role).is_some()) {
            return;
        }
        let unlike = |role: &&&[u8]| theirs.get(role).is_some_and(|value| self.settings.get(role) != Some(value));
        let unlike: Vec<_> = ROLES[1..].iter().filter(unlike).collect();
        if !unlike.is_empty() {
            let mut settings = Settings::clone(&self.settings);
            for role in unlike {
                // It is within the bounds of what is reported.
                let _ = settings.set(role, theirs.get(role).unwrap_or_default());
            }
            self.settings = Arc::new(settings);
        }
    }

    /// Whether the request in `bytes` of the inbox, which would begin a transaction, is for another entry's tables, while the client has
    /// its server only for what it might ask of sequences.
    pub(super) fn leaves_for(&self, bytes: usize, link: &Link) -> bool {
        let leads =
            |request: &[u8]| matches!(self.request_belongs(request), Ok(Belongs::There(_)) | Err(Misplaced::Unread(_)));
        let request = self.socket.received().get(..bytes).filter(|_| self.elsewhere.is_some() && self.is_kept(link));
        request.is_some_and(leads)
    }

    /// Between two transactions: goes home, unless what it has sent is to be tried there again.
    pub(super) fn end_visit(&mut self) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.path_bent = false;
        }
        if self.is_visiting() && !self.route.as_ref().is_some_and(|route| route.is_to_run_again()) {
            self.come_home();
        }
    }

    /// Where the request at hand belongs is to be looked at once more.
    pub(super) fn step_back(&mut self) {
        if self.elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.looked.is_some()) {
            self.come_home();
        }
    }

    /// The client has its own database again.
    pub(super) fn come_home(&mut self) {
        let Some(at) = self.elsewhere.as_ref().and_then(|elsewhere| elsewhere.at) else { return };
        let shown = self.ran().map(|ran| self.shown_place(Some(ran)));
        let Some(mut elsewhere) = self.elsewhere.take() else { return };
        elsewhere.at = None;
        if elsewhere.has_run {
            elsewhere.last = shown;
        }
        self.change_places(&mut elsewhere, at);
        let roles = std::mem::take(&mut elsewhere.roles);
        self.elsewhere = Some(elsewhere);
        // Who it was there, it was only there, and it has not been told.
        if ROLES.iter().zip(&roles).any(|(role, before)| self.settings.own(role) != before.as_deref()) {
            let mut settings = Settings::clone(&self.settings);
            for (role, before) in ROLES.iter().zip(&roles) {
                // What there was before there is room for.
                let _ = match before {
                    Some(before) => settings.set(role, before),
                    None => settings.unset(role),
                };
            }
            self.put_settings(settings);
        }
    }

    /// Where its last transaction ran, if that was elsewhere.
    pub(super) fn last_elsewhere(&self) -> Option<&[Cell; 4]> {
        self.elsewhere.as_ref().filter(|elsewhere| elsewhere.at.is_none())?.last.as_ref()
    }

    /// What was drawn where the client is not now `currval` and `lastval` are to tell no more: its session has discarded all of it.
    pub(super) fn forget_others_sequences(&mut self) {
        self.elsewhere.iter_mut().flat_map(|elsewhere| &mut elsewhere.others).for_each(|other| other.drawn.forget());
    }

    /// A transaction is about to run where the client is.
    pub(super) fn note_entry(&mut self) {
        if let Some(elsewhere) = &mut self.elsewhere {
            (elsewhere.has_run, elsewhere.last) = (true, None);
        }
    }

    /// These are the facts of what is sent.
    pub(super) fn note_path(&mut self, facts: &Facts) {
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.path_bent |= bends_path(facts);
        }
    }

    /// Why there is no server, for a client whose own database is still there.
    pub(super) fn unless_visiting(&self, why: NoServer) -> NoServer {
        match (why, self.visited()) {
            (NoServer::SentAway, Some(other)) => NoServer::Refused(no_entry(&other.entry)),
            (NoServer::Refused(fault), Some(other)) if fault.blame == Blame::Server => {
                let entry = &other.entry;
                NoServer::Refused(fault.with_hint(format!(
                    "A rule of [routing] sends the statement to database \"{entry}\". The log of PgOtter says why it has no server there."
                )))
            }
            (other, _) => other,
        }
    }
}

fn no_entry(entry: &str) -> Fault {
    Fault::error(Blame::Pooler, SqlState::INVALID_CATALOG_NAME, format!("database \"{entry}\" does not exist"))
        .with_detail("A rule of [routing] leads there, and a reload has removed it or given it another user.")
        .with_hint("Send the statement again.")
}
