//! Where a request is to go: what its texts say is put to the router, and what came of it is remembered for the next one. Only where there
//! is something to choose; else no request is read for it.
//!
//! A decision is made for a request that begins a transaction, before a server is asked for. Everything that the client sends up to the
//! end of that transaction goes to the same server. What its statements write and read, `seen` takes note of.

mod seen;

pub(super) use seen::{not_here, tied_to_replica};

use super::asked::{Asked, Perused};
use super::between::Request;
use super::connection::{Client, Step};
use super::doubt::Doubt;
use super::own::Ran;
use super::trial::Trial;
use super::wanted::Wanted;
use crate::clock::Instant;
use crate::config::{PoolMode, ReadYourWrites, RoutingMode};
use crate::metrics::Retry;
use crate::pool::Lane;
use crate::router::{Ask, Block, Fence, Plan, Reason, To, Wish, decide, is_fresh, lsn};
use crate::session::OwnSetting;
use crate::sql::{Fingerprint, Verdict};
use crate::wire::frontend::kind;
use seen::Written;
use std::sync::Arc;
use std::time::Duration;

/// What a client's requests have come to so far.
pub(super) struct Route {
    fence: Fence,
    // What was decided for the transaction under way, and where it is sent.
    plan: Plan,
    to: To,
    // In which of its lives the replica was chosen, and by what was known of the catalog.
    life: u64,
    edition: u64,
    // Something of it PgOtter itself has refused.
    refused_here: bool,
    // Something was sent in it that is not known to be a read, and what others must see of it.
    writes: bool,
    written: Written,
    // By what was known of the catalog when the first of those was named.
    named_by: u64,
    // The statement that it has parsed last, where PgOtter keeps none.
    parsed: Option<Box<[u8]>>,
    // All of it is one request, of statements that an error undoes.
    alone: bool,
    // The request at hand gives statements names, or drops them.
    pub(super) names: bool,
    // The Query at hand was read for the decision, and was not sent yet.
    pub(super) perused: Option<Perused>,
    // The request at hand is on a replica, and its answer may still be the primary's.
    pub(super) trial: Option<Trial>,
    // A replica has refused it, and the next one is this: it runs on the primary.
    again: Option<Request>,
    retry: Option<Refusal>,
    // Where it was asked to run.
    pub(super) wanted: Option<Wanted>,
    // Where the last transaction ran.
    ran: Option<Ran>,
    itself: Itself,
    // It is a plain read of a block that goes on without it, as long as a replica runs it.
    apart: bool,
    // It takes a snapshot for that.
    pub(super) reads: bool,
    // The next request of a block on a replica waits for the catalog.
    pub(super) doubt: Option<Doubt>,
    // Its block has read elsewhere before, since then.
    pub(super) read_since: Option<Instant>,
    // The text that it has refused as one that writes.
    pub(super) suspect: Option<Fingerprint>,
    draw: u64,
}

/// Why the primary runs what a replica has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// So it refuses what writes: the text was taken for a read by mistake.
    OfWrite,
    /// Nothing speaks against its being a read.
    Other,
}

/// Whether a replica answers for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Itself {
    No,
    /// It may be asked to: the transaction is there as its client has named it.
    May,
    /// The request does ask that, and nobody else could answer.
    Does,
}

/// A read waits this long for a server of a replica.
const PATIENCE: Duration = Duration::from_secs(1);

impl Client {
    /// Where the request at hand is to go: it begins a transaction, or stands behind a BEGIN that has been answered.
    pub(super) fn route(&mut self, request: &Request) {
        self.step(Step::Route);
        if self.shape.watch.is_some() {
            self.choose(request);
        } else {
            self.route = None;
        }
    }

    fn choose(&mut self, request: &Request) {
        let Some((mode, scope)) = self.shape.watch.as_ref().map(|watch| watch.routing()) else { return };
        let reads = mode != RoutingMode::Primary && self.shape.settings.pool_mode != PoolMode::Session;
        let new = || Box::new(Route::new(self.id.0));
        let refused = self.route.as_mut().and_then(|route| route.retry.take());
        if refused.is_some() || !reads {
            let route = self.route.get_or_insert_with(new);
            let wanted = route.wanted.take().filter(|_| refused.is_some());
            route.begin();
            (route.plan, route.to, route.wanted) =
                (if refused.is_some() { Plan::RETRY } else { Plan::SINGLE }, To::Primary, wanted);
            match refused {
                // What the primary had and no replica has yet its client goes on to see; to others it has done nothing.
                Some(Refusal::Other) => route.writes = true,
                // What was taken for a read by mistake, or is not read at all, may write anything.
                Some(Refusal::OfWrite) | None => route.write_anything(),
            }
            route.alone = reads && self.block.is_none() && is_one(request);
            return;
        }
        let wanted = self.wanted(&request.bytes).or_else(|| self.standing());
        let ruled = self.ruled(&request.bytes);
        // What is asked of PgOtter is no matter of hosts, and what it asks for that is the primary's.
        let asks = wanted.is_some() || ruled.is_some();
        let (wanted, ruled) = if asks && self.asks_own(&request.bytes) { (None, None) } else { (wanted, ruled) };
        // In front of the reading: what comes to be known behind it, it may lack.
        let edition = self.pool.catalog().edition();
        let (mut asked, perused) = self.asked(request, scope);
        let block = self.block.as_deref().map_or(Block::None, |begun| self.around(begun, request, asked.verdict));
        if matches!(block, Block::ReadOnly | Block::Other) {
            // What else it will read nobody knows.
            asked.height = self.height(None, scope);
        }
        let reads_something = block == Block::Apart && self.takes_snapshot(request);
        // It is a position at home.
        let after = lsn(self.own_value(OwnSetting::AfterLsn)).filter(|_| !self.is_visiting()).unwrap_or(0);
        let serializable = self.is_serializable();
        let Some(watch) = &self.shape.watch else { return };
        let route = self.route.get_or_insert_with(new);
        route.begin();
        (route.perused, route.suspect, route.apart) = (perused, None, block == Block::Apart);
        (route.edition, route.reads) = (edition, reads_something);
        route.alone = block == Block::None && is_one(request);
        route.draw = next(route.draw);
        let fence = if scope == ReadYourWrites::Off { route.fence.of_reads() } else { route.fence };
        let Asked { verdict, height, wrote, names } = asked;
        route.names = names;
        if wrote {
            route.write_anything();
        }
        let wish = wanted.as_ref().and_then(Wanted::wish);
        let ruled = ruled.filter(|_| wish.is_none());
        let by_hint = wish.map(|wish| (wish, Reason::Hint)).or(ruled.map(|wish| (wish, Reason::Rule)));
        let wish = wish.or(ruled);
        let ask = Ask { verdict, block, serializable, fence: &fence, height, after, wish: by_hint, draw: route.draw };
        let load = |host: usize| self.shape.lanes.get(host).map_or(0, |lane| lane.load());
        route.plan = decide(&watch.view(), &watch.freshness, &ask, load);
        if let To::Replica(replica) = route.plan.to {
            let stale = matches!(wish, Some(Wish::Replica { stale: true }));
            let life = is_fresh(replica.host(), &watch.freshness, &ask);
            match life.or(stale.then(|| watch.freshness.life(replica.host()))) {
                Some(life) => route.life = life,
                None => route.plan = Plan { to: To::Primary, reason: Reason::Fresh },
            }
        }
        route.to = To::Primary;
        if mode == RoutingMode::Split {
            route.to = route.plan.to;
            if route.plan.reason == Reason::Fresh {
                watch.await_replay();
            }
            route.itself = match wish {
                Some(Wish::Host(_)) if !matches!(route.plan.reason, Reason::Hint | Reason::Rule) => Itself::No,
                Some(Wish::Host(_)) if verdict == Verdict::Read => Itself::May,
                Some(Wish::Host(_)) => Itself::Does,
                _ => Itself::No,
            };
            route.wanted = wanted;
        }
    }

    /// Where the transaction under way runs.
    pub(super) fn to(&self) -> To {
        self.route.as_ref().map_or(To::Primary, |route| route.to)
    }

    /// Whether the replica is still what it was when it was chosen.
    pub(super) fn still_lives(&self) -> bool {
        let (Some(route), Some(watch)) = (&self.route, &self.shape.watch) else { return true };
        match route.to {
            To::Primary => true,
            To::Replica(replica) => watch.freshness.life(replica.host()) == route.life,
        }
    }

    /// Whether what is known of the catalog is what the request at hand was read with, as far as a replica was chosen by it.
    pub(super) fn still_known(&self) -> bool {
        let Some(route) = self.route.as_ref().filter(|route| route.to != To::Primary) else { return true };
        self.pool.catalog().edition() == route.edition
    }

    /// Something of the request at hand is refused by PgOtter itself: whatever a replica says next says nothing of its text.
    pub(super) fn note_refused_here(&mut self) {
        if let Some(route) = &mut self.route {
            route.refused_here = true;
        }
    }

    /// Whether that was so, since the last decision.
    pub(super) fn is_refused_here(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.refused_here)
    }

    /// How long a request waits for a server there.
    pub(super) fn patience(&self) -> Option<Duration> {
        let patience = self.shape.settings.query_wait_timeout;
        match self.to() {
            To::Primary => patience,
            To::Replica(_) => Some(patience.map_or(PATIENCE, |patience| patience.min(PATIENCE))),
        }
    }

    /// Whether nobody but the replica it goes to can answer the request at hand.
    pub(super) fn asks_replica_itself(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.itself == Itself::Does)
    }

    /// Whether the request at hand is a replica's, and the primary's if that has no server.
    pub(super) fn may_turn(&self) -> bool {
        self.to() != To::Primary && !self.asks_replica_itself()
    }

    /// If a replica has no server for the request at hand, it is the primary's from now on.
    pub(super) fn turn_to_primary(&mut self) {
        if let Some(route) = self.route.as_mut().filter(|route| route.to != To::Primary) {
            (route.plan, route.to) = (Plan::TURNED, To::Primary);
            self.meter.retried(Retry::NoServer);
        }
    }

    /// The request is a read that replicas alone may serve, and there is none that can. In a block that may write it goes where that will go.
    pub(super) fn lacks_replica(&self) -> bool {
        self.route.as_ref().is_some_and(|route| route.plan.reason == Reason::NoReplica && !route.apart)
            && self.shape.watch.as_ref().is_some_and(|watch| watch.requires_replicas())
    }

    /// A replica has not answered this request: it is the next one, and the primary's.
    pub(super) fn run_on_primary(&mut self, request: Request, refusal: Refusal) {
        if let Some(route) = &mut self.route {
            (route.again, route.retry) = (Some(request), Some(refusal));
        }
    }

    /// That request.
    pub(super) fn take_again(&mut self) -> Option<Request> {
        self.route.as_mut()?.again.take()
    }

    /// The request at hand begins a transaction on the server that the client has kept.
    pub(super) fn stay(&mut self) {
        let session = self.shape.settings.pool_mode == PoolMode::Session;
        if let Some(route) = &mut self.route {
            route.begin();
            (route.plan, route.to) = (if session { Plan::SINGLE } else { Plan::PINNED }, To::Primary);
            if session {
                route.write_anything();
            }
            let reason = route.plan.reason;
            route.ran = route.ran.map(|ran| Ran { reason, ..ran });
        }
        self.count_decision();
    }

    /// To be called once for each, when it is certain.
    pub(super) fn count_decision(&self) {
        self.meter.routed(self.planned().kind());
    }

    /// What was decided for the transaction under way.
    pub(super) fn planned(&self) -> Plan {
        self.route.as_ref().map_or(Plan::SINGLE, |route| route.plan)
    }

    /// A statement of this name is parsed, which PgOtter does not keep.
    pub(super) fn note_parsed(&mut self, name: &[u8]) {
        if let Some(route) = &mut self.route {
            route.parsed = Some(name.into());
        }
    }

    /// One of this name is bound. If the transaction has not parsed it, nobody knows what it does.
    pub(super) fn note_run_of(&mut self, name: &[u8]) {
        if self.route.as_ref().is_some_and(|route| route.parsed.as_deref() != Some(name)) {
            self.note_unparsed();
        }
    }

    /// The request at hand is about to run there.
    pub(super) fn note_where(&mut self, lane: &Arc<Lane>) {
        self.note_entry();
        let Some(route) = &mut self.route else { return };
        let host = self.shape.lanes.iter().position(|known| Arc::ptr_eq(known, lane));
        let role = if route.to == To::Primary { "primary" } else { "replica" };
        route.ran = host.map(|host| Ran { host, role, reason: route.plan.reason });
    }

    /// Where the last transaction ran, or runs. `None`: there was none.
    pub(super) fn ran(&self) -> Option<Ran> {
        match (&self.shape.watch, &self.route) {
            (None, _) => Some(Ran { host: 0, role: "primary", reason: Reason::Single }),
            (Some(_), Some(route)) => route.ran,
            (Some(_), None) => None,
        }
    }
}

impl Route {
    fn new(seed: u64) -> Self {
        Self {
            fence: Fence::default(),
            plan: Plan::SINGLE,
            to: To::Primary,
            life: 0,
            edition: 0,
            refused_here: false,
            writes: false,
            written: Written::These(Vec::new()),
            named_by: 0,
            parsed: None,
            alone: false,
            names: false,
            perused: None,
            trial: None,
            again: None,
            retry: None,
            wanted: None,
            ran: None,
            itself: Itself::No,
            apart: false,
            reads: false,
            doubt: None,
            read_since: None,
            suspect: None,
            // So that neighbours draw differently.
            draw: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// Whether the request at hand is on a replica, outside of the block around it.
    pub(super) fn is_apart(&self) -> bool {
        self.apart && self.to != To::Primary
    }

    /// A transaction begins.
    fn begin(&mut self) {
        (self.apart, self.reads, self.read_since) = (false, false, None);
        (self.writes, self.itself, self.wanted, self.perused) = (false, Itself::No, None, None);
        (self.alone, self.refused_here, self.parsed, self.doubt) = (false, false, None, None);
        match &mut self.written {
            Written::These(tables) => tables.clear(),
            Written::Any => self.written = Written::These(Vec::new()),
        }
    }

    /// A replica has not answered what was sent, and it is the primary's next.
    pub(super) fn is_to_run_again(&self) -> bool {
        self.again.is_some()
    }
}

/// Whether a request is a transaction of its own: PostgreSQL commits all of it or nothing, if its statements are none that say otherwise.
fn is_one(request: &Request) -> bool {
    matches!((request.first, request.end), (kind::QUERY, Some(_)) | (_, Some(kind::SYNC)))
}

/// The next of a row of numbers that look drawn at random. Source: Marsaglia, "Xorshift RNGs", 2003.
fn next(mut draw: u64) -> u64 {
    draw ^= draw << 13;
    draw ^= draw >> 7;
    draw ^ draw << 17
}
