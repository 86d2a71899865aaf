//! What is found out about the hosts of one database entry that has several: the judge behind a short lock, what comes of it where
//! every client reads it without one, and those who wait for a primary. Asks nobody: `monitor` does.

use super::judge::{Answer, Judge, Measure, State};
use crate::clock::{self, Instant};
use crate::config::{Database, HostRole, ReadYourWrites, Routing, RoutingMode, TransactionReads};
use crate::net::{Address, Found};
use crate::pool::Mailbox;
use crate::router::{ClusterView, Freshness, Role};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

mod shown;

pub use shown::HostSeen;

/// Below this many holes the queue of those who wait is not worth tidying.
const HOLES_KEPT: usize = 32;

/// One entry's hosts, watched until a reload replaces it.
pub struct Watch {
    /// The entry of the configuration.
    pub entry: String,
    hosts: Vec<Watched>,
    view: ArcSwap<ClusterView>,
    /// How far each replica is.
    pub freshness: Freshness,
    judged: Mutex<Judged>,
    waiting: Mutex<VecDeque<Weak<Place>>>,
    // How many wait, for whoever counts.
    waiters: AtomicUsize,
    rules: ArcSwap<WatchRules>,
    // What was written before others' writes were noted. `u64::MAX`: they may still not be.
    unshared: AtomicU64,
    // Nobody can be asked: why. Then the configuration is believed.
    blind: ArcSwapOption<String>,
    // A read was kept from replicas, since they may not have what it must see.
    awaited: AtomicBool,
    begun: AtomicBool,
    over: AtomicBool,
}

/// What a reload can change without another watch.
#[derive(Clone, Copy)]
pub(super) struct WatchRules {
    pub mode: RoutingMode,
    pub scope: ReadYourWrites,
    pub replica_required: bool,
    pub transaction_reads: TransactionReads,
    pub failover_timeout: Duration,
    pub measure: Measure,
}

/// A host that is watched.
pub(super) struct Watched {
    pub address: Address,
    pub claim: Option<Role>,
    pub weight: u32,
    // It is to be asked now.
    pub poke: Notify,
    /// Where it is asked.
    pub found: Arc<Found>,
    // That is not where it is any more.
    moved: AtomicBool,
}

impl Watched {
    /// Its name leads elsewhere than to these: it is asked there from now on.
    pub fn leave(&self, lost: impl Fn(IpAddr) -> bool) {
        if self.found.leave(lost) {
            self.moved.store(true, Ordering::Relaxed);
            self.poke.notify_one();
        }
    }

    /// It is to be connected to anew.
    pub fn has_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }
}

struct Judged {
    judge: Judge,
    // Who may acknowledge writes: it was the confirmed primary, and nothing speaks against it yet.
    trusted: Option<usize>,
}

/// What has come of something that was heard.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Another host is the primary now.
    pub primary: Option<usize>,
    /// This one may not acknowledge anything any more.
    pub revoked: Option<usize>,
}

impl Change {
    fn tell(&self, follow: impl FnOnce(&Self)) {
        if *self != Self::default() {
            follow(self);
        }
    }
}

impl Watch {
    /// Of an entry whose hosts nobody has asked yet. `numbers` are those that its questions get.
    pub(super) fn new(entry: &str, database: &Database, routing: &Routing, numbers: &Freshness) -> Self {
        let rules = WatchRules::new(routing);
        let hosts = watched(database);
        let roles = hosts.iter().map(|host| (host.claim, host.weight));
        let judge = Judge::new(roles, rules.measure);
        Self::of(entry, hosts, judge, None, rules, numbers)
    }

    /// For the same entry with other hosts: what is known of those that stay is kept, and they go on to be what they were.
    pub(super) fn renewed(&self, database: &Database, routing: &Routing) -> Self {
        let hosts = watched(database);
        let before = |host: &Watched| self.hosts.iter().position(|old| old.address == host.address);
        if hosts.iter().all(|host| before(host).is_none()) {
            return Self::new(&self.entry, database, routing, &self.freshness).behind(self);
        }
        for host in &hosts {
            let old = before(host).and_then(|at| self.hosts.get(at));
            host.found.set(old.and_then(|old| old.found.get()));
        }
        let rules = WatchRules::new(routing);
        let old = self.judged.lock();
        let roles = hosts.iter().map(|host| (host.claim, host.weight, before(host)));
        let judge = old.judge.renewed(roles, rules.measure);
        let trusted = old.trusted.and_then(|at| hosts.iter().position(|host| before(host) == Some(at)));
        Self::of(&self.entry, hosts, judge, trusted, rules, &self.freshness).behind(self)
    }

    /// In the place of another one.
    fn behind(self, former: &Self) -> Self {
        if !former.shares_writes() {
            self.unshared.store(u64::MAX, Ordering::SeqCst);
        }
        self
    }

    fn of(
        entry: &str,
        hosts: Vec<Watched>,
        judge: Judge,
        trusted: Option<usize>,
        rules: WatchRules,
        numbers: &Freshness,
    ) -> Self {
        Self {
            entry: entry.to_owned(),
            view: ArcSwap::from_pointee(judge.view(clock::now())),
            freshness: numbers.renewed(hosts.len()),
            judged: Mutex::new(Judged { judge, trusted }),
            waiting: Mutex::default(),
            waiters: AtomicUsize::new(0),
            rules: ArcSwap::from_pointee(rules),
            unshared: AtomicU64::new(0),
            blind: ArcSwapOption::empty(),
            awaited: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            over: AtomicBool::new(false),
            hosts,
        }
    }

    /// Whether it watches just what this entry says.
    pub(super) fn is_of(&self, database: &Database) -> bool {
        let same = |(old, new): (&Watched, Watched)| {
            (&old.address, old.claim, old.weight) == (&new.address, new.claim, new.weight)
        };
        let new = watched(database);
        self.hosts.len() == new.len() && self.hosts.iter().zip(new).all(same)
    }

    pub(super) fn set_rules(&self, routing: &Routing) {
        let rules = WatchRules::new(routing);
        if !self.shares_writes() {
            // Until it is certain which writes were not noted.
            self.unshared.store(u64::MAX, Ordering::SeqCst);
        }
        self.rules.store(Arc::new(rules));
        self.share_from_now_on();
        self.judged.lock().judge.set_measure(rules.measure);
    }

    /// Whether clients see writes of others, which have to be noted for that.
    pub fn shares_writes(&self) -> bool {
        // A client of a former watch is not asked any more what for.
        self.is_over() || self.rules.load().scope.is_shared()
    }

    /// Everybody notes what is written from now on, if it is to be noted.
    pub(super) fn share_from_now_on(&self) {
        if self.unshared.load(Ordering::SeqCst) == u64::MAX && self.rules.load().scope.is_shared() {
            self.unshared.store(self.freshness.fence(), Ordering::SeqCst);
        }
    }

    /// What a read that sees writes of others must see in any case, as [`crate::router::Fences::height`] tells.
    pub fn unshared(&self) -> u64 {
        self.unshared.load(Ordering::SeqCst)
    }

    pub(super) fn rules(&self) -> WatchRules {
        **self.rules.load()
    }

    /// What is known now. Costs no lock and no allocation.
    pub fn view(&self) -> Guard<Arc<ClusterView>> {
        self.view.load()
    }

    /// The host that may be written to.
    pub fn primary(&self) -> Option<usize> {
        self.view.load().primary
    }

    /// The primary that is confirmed, or was last.
    pub fn last_primary(&self) -> Option<usize> {
        self.primary().or_else(|| self.judged.lock().judge.last_primary())
    }

    /// The host that is called so, as `hosts` in the configuration says it, with or without its port. `None`: there is no such, or more
    /// than one.
    pub fn find(&self, name: &str) -> Option<usize> {
        let is_named = |host: &Watched| {
            host.address.host().eq_ignore_ascii_case(name) || host.address.to_string().eq_ignore_ascii_case(name)
        };
        let mut found = self.hosts.iter().enumerate().filter(|(_, host)| is_named(host)).map(|(at, _)| at);
        found.next().filter(|_| found.next().is_none())
    }

    /// What is done with decisions, and whose writes a read has to see.
    pub fn routing(&self) -> (RoutingMode, ReadYourWrites) {
        let rules = self.rules.load();
        (rules.mode, rules.scope)
    }

    /// Whether reads that no replica can serve are refused.
    pub fn requires_replicas(&self) -> bool {
        let rules = self.rules.load();
        rules.replica_required && rules.mode == RoutingMode::Split
    }

    /// Whether a block that may write reads elsewhere before it does.
    pub fn reads_before_writes(&self) -> bool {
        self.rules().transaction_reads == TransactionReads::ReplicaUntilWrite
    }

    /// How long a request waits for a primary.
    pub fn failover_timeout(&self) -> Duration {
        self.rules().failover_timeout
    }

    /// Something looks as if the roles had changed: every host is asked now.
    pub fn ask_now(&self) {
        self.hosts.iter().for_each(|host| host.poke.notify_one());
    }

    /// Something was heard, or time has passed: takes over what follows from it. Who waits for a primary is called behind `follow`, which is
    /// told of a change.
    pub(super) fn hear(&self, heard: impl FnOnce(&mut Judge, Instant), follow: impl FnOnce(&Change)) -> Change {
        let now = clock::now();
        let mut judged = self.judged.lock();
        let before: Vec<State> = judged.judge.hosts().iter().map(|host| host.state()).collect();
        heard(&mut judged.judge, now);
        if self.blind.load().is_some() {
            return Change::default();
        }
        self.log(&before, &judged.judge, now);
        let view = judged.judge.view(now);
        let covers = |at: usize| judged.judge.covers(at);
        // What is taken back goes first, what is granted last: whoever reads in between sees too little.
        (0..self.hosts.len()).filter(|at| covers(*at) == 0).for_each(|at| self.freshness.cover(at, 0));
        let before = self.view.load_full();
        if *before != view {
            self.view.store(Arc::new(view.clone()));
        }
        let replayed = |at: usize| judged.judge.hosts().get(at).and_then(super::judge::Host::replayed);
        (0..self.hosts.len()).for_each(|at| self.freshness.replay(at, replayed(at).unwrap_or(0)));
        (0..self.hosts.len()).filter(|at| covers(*at) > 0).for_each(|at| self.freshness.cover(at, covers(at)));
        let change = judged.follow(&view);
        drop(judged);
        change.tell(follow);
        if before.primary.is_none() && view.primary.is_some() {
            self.call();
        }
        change
    }

    /// A read goes to the primary because no replica has shown yet that it has what must be seen.
    pub fn await_replay(&self) {
        // All workers write here, and mostly what is there already.
        if !self.awaited.load(Ordering::Relaxed) {
            self.awaited.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a host that has just answered so is to flush what it has written, so that replicas get it.
    pub(super) fn must_flush(&self, host: usize, answer: &Answer) -> bool {
        if answer.standby {
            return false;
        }
        let awaited = self.awaited.swap(false, Ordering::Relaxed);
        self.judged.lock().judge.must_flush(host, answer, awaited, clock::now())
    }

    /// Nobody can be asked: the configuration is believed, or what was found out before. What follows from it, if it is news; `follow` as in
    /// [`Self::hear`].
    pub(super) fn go_blind(&self, why: &str, database: &Database, follow: impl FnOnce(&Change)) -> Option<Change> {
        let mut judged = self.judged.lock();
        if self.blind.swap(Some(Arc::new(why.to_owned()))).is_some_and(|before| *before == why) {
            return None;
        }
        let mut view = super::claimed(database);
        view.primary = judged.judge.last_primary().or(view.primary);
        self.view.store(Arc::new(view.clone()));
        let change = judged.follow(&view);
        drop(judged);
        change.tell(follow);
        self.call();
        Some(change)
    }

    /// Some host lets us ask, or may do so yet.
    pub(super) fn may_be_asked(&self) -> bool {
        let judged = self.judged.lock();
        judged.judge.hosts().iter().any(|host| !host.is_heard() || host.failure.is_none() && host.identity.is_some())
    }

    /// Whoever calls it first asks its hosts.
    pub(super) fn begin(&self) -> bool {
        !self.begun.swap(true, Ordering::Relaxed)
    }

    /// Somebody can be asked, or may be.
    pub(super) fn see_again(&self) {
        let judged = self.judged.lock();
        if self.blind.swap(None).is_some() {
            self.view.store(Arc::new(judged.judge.view(clock::now())));
        }
    }

    /// Why nobody can be asked, if that is so.
    pub fn blindness(&self) -> Option<Arc<String>> {
        self.blind.load_full()
    }

    /// Puts a client into the queue of those who wait for a primary. It is told, in order, by `sent_away` in its mailbox.
    pub fn wait(&self, mailbox: &Arc<Mailbox>) -> Waits<'_> {
        let waiters = self.waiters.fetch_add(1, Ordering::Relaxed);
        let place = Arc::new(Place(mailbox.clone()));
        let mut waiting = self.waiting.lock();
        if waiting.len() > 2 * waiters + HOLES_KEPT {
            waiting.retain(|place| place.strong_count() > 0);
        }
        waiting.push_back(Arc::downgrade(&place));
        Waits { watch: self, _place: place }
    }

    /// Clients that wait for a primary.
    pub fn waiting(&self) -> usize {
        self.waiters.load(Ordering::Relaxed)
    }

    /// Whoever waits looks again.
    pub(super) fn call(&self) {
        // Who has been called stays in the list until it has found one: it may be gone again by then.
        self.waiting.lock().retain(|place| {
            let waits = place.upgrade();
            waits.inspect(|place| place.0.put(|mail| mail.sent_away = true)).is_some()
        });
    }

    /// A reload has replaced it, or the entry is gone.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.ask_now();
        self.call();
    }

    /// Whether the pools have another one, or none any more.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// What this one calls a host of another one.
    pub(super) fn host_of(&self, other: &Self, host: usize) -> Option<usize> {
        let address = &other.hosts.get(host)?.address;
        self.hosts.iter().position(|own| own.address == *address)
    }

    pub(super) fn hosts(&self) -> &[Watched] {
        &self.hosts
    }
}

impl Judged {
    /// What changes for those who have servers: the primary is another one, or who was it may not be trusted any more.
    fn follow(&mut self, view: &ClusterView) -> Change {
        let before = self.trusted;
        match (view.primary, before) {
            (Some(primary), _) if before == Some(primary) => Change::default(),
            (Some(primary), _) => {
                self.trusted = Some(primary);
                Change { primary: Some(primary), revoked: before }
            }
            // Silence is no proof: it may be ours.
            (None, Some(host)) if view.hosts.get(host).is_none_or(|host| host.fenced || host.role == Role::Standby) => {
                self.trusted = None;
                Change { primary: None, revoked: before }
            }
            (None, _) => Change::default(),
        }
    }
}

impl WatchRules {
    fn new(routing: &Routing) -> Self {
        Self {
            mode: routing.mode,
            scope: routing.read_your_writes,
            replica_required: routing.replica_required,
            transaction_reads: routing.transaction_reads,
            failover_timeout: routing.failover_timeout,
            measure: Measure { max_replica_lag: routing.max_replica_lag, interval: routing.monitor_interval },
        }
    }
}

/// A place among those who wait for a primary.
pub struct Waits<'a> {
    watch: &'a Watch,
    _place: Arc<Place>,
}

/// Whom to call. Who has given up leaves a hole.
struct Place(Arc<Mailbox>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.watch.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}

fn watched(database: &Database) -> Vec<Watched> {
    let claim = |role: HostRole| match role {
        HostRole::Auto => None,
        HostRole::Primary => Some(Role::Primary),
        HostRole::Replica => Some(Role::Standby),
    };
    let watched = |host: &crate::config::Host| Watched {
        address: Address::new(&host.host, host.port),
        claim: claim(host.role),
        weight: host.weight,
        poke: Notify::new(),
        found: Arc::default(),
        moved: AtomicBool::new(false),
    };
    database.hosts.iter().map(watched).collect()
}

#[cfg(test)]
mod tests;
