//! Which host of a database is its primary, and which replicas may serve reads, judged by what the hosts say of themselves. Pure:
//! answers and the time are arguments, and what comes of them is a [`ClusterView`] and a number for each replica.
//!
//! Every answer is of one database's host and carries the number of its question. Trust is withheld where there is doubt: an
//! unconfirmed primary costs its clients a wait, a wrong one their data. Knows nothing of connections, nor of who waits.

mod host;
mod samples;
mod standstill;

pub use host::{Host, State, Why};

use crate::clock::Instant;
use crate::router::{ClusterView, HostView, Role};
use samples::Samples;
use standstill::Standstill;
use std::time::Duration;

/// An answer speaks for its host for so long, and two intervals between questions more. A host that is silent longer is not
/// written to, however that came about.
const RECENT: Duration = Duration::from_secs(3);

/// The first primary of all is chosen when every host has been heard, or after this long: a former primary may be the quickest to
/// answer.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// A position in the write-ahead log.
pub type Lsn = u64;

/// A position as the primary names it, made comparable with what a replica has replayed: where nothing has been written to a page
/// yet, the one counts from behind its header and the other from its beginning. Sizes in bytes: of a page, and of a segment of the log.
/// Source: PostgreSQL, `XLogBytePosToRecPtr` and `XLogBytePosToEndRecPtr`; `SizeOfXLogShortPHD` is 24, `SizeOfXLogLongPHD` 40.
pub fn without_header(lsn: Lsn, page: u64, segment: u64) -> Lsn {
    let behind = |size: u64| lsn.checked_rem(size).unwrap_or(0);
    match (behind(segment), behind(page)) {
        (40, _) => lsn - 40,
        // A segment's first page has the long one: 24 bytes into it there is nothing that could end.
        (in_segment, 24) if in_segment != 24 => lsn - 24,
        _ => lsn,
    }
}

/// What a host says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of the question.
    pub number: u64,
    /// It is in recovery.
    pub standby: bool,
    /// The timeline that it writes, or that it follows. `None`: it cannot be read.
    pub timeline: Option<u32>,
    /// That is so now. Else, of a standby, it is the latest that its disk knows of: it may have followed a later one already.
    pub exact: bool,
    /// Where the next record goes ([`without_header`]), or what has been replayed. `None`: nothing has.
    pub lsn: Option<Lsn>,
    /// Of a primary: up to where its log is on its disk.
    pub flushed: Option<Lsn>,
}

/// What is asked of hosts.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// A replica that is further behind serves nobody.
    pub max_replica_lag: Duration,
    /// How often they are asked.
    pub interval: Duration,
}

/// The judge of one database.
#[derive(Clone, Debug)]
pub struct Judge {
    hosts: Vec<Host>,
    measure: Measure,
    // Nobody is chosen before every host was heard, or before this; counted from the first answer.
    patience: Option<Instant>,
    // What all of its hosts are to have in common, since a primary was confirmed.
    identity: Option<u64>,
    // The primary that was confirmed last, and what it wrote.
    last: Option<Reign>,
    // It is confirmed now.
    confirmed: bool,
    samples: Samples,
    standstill: Standstill,
}

/// A host as primary on one timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reign {
    host: usize,
    timeline: Option<u32>,
}

impl Judge {
    /// Of hosts with these configured roles (`None`: to be found out) and weights, of which nothing is known.
    pub fn new(hosts: impl IntoIterator<Item = (Option<Role>, u32)>, measure: Measure) -> Self {
        Self {
            hosts: hosts.into_iter().map(|(claim, weight)| Host::new(claim, weight)).collect(),
            measure,
            patience: None,
            identity: None,
            last: None,
            confirmed: false,
            samples: Samples::default(),
            standstill: Standstill::default(),
        }
    }

    /// Of other hosts of the same database: what is known of those that stay is kept. `before` is the place that each had.
    pub fn renewed(
        &self,
        hosts: impl IntoIterator<Item = (Option<Role>, u32, Option<usize>)>,
        measure: Measure,
    ) -> Self {
        let mut places = Vec::new();
        let renewed = hosts.into_iter().map(|(claim, weight, before)| {
            places.push(before);
            before
                .and_then(|at| self.hosts.get(at))
                .map_or_else(|| Host::new(claim, weight), |host| host.renewed(claim, weight))
        });
        let hosts = renewed.collect();
        let place = |old: usize| places.iter().position(|before| *before == Some(old));
        let last = self.last.and_then(|reign| Some(Reign { host: place(reign.host)?, ..reign }));
        Self {
            hosts,
            measure,
            last,
            confirmed: self.confirmed && last.is_some(),
            samples: if last.is_some() { self.samples.clone() } else { Samples::default() },
            ..*self
        }
    }

    /// A reload has changed it.
    pub fn set_measure(&mut self, measure: Measure) {
        self.measure = measure;
    }

    fn recent(&self) -> Duration {
        RECENT.saturating_add(self.measure.interval.saturating_mul(2))
    }

    /// There is a connection to `host`, to a cluster with this system identifier. What it said before says nothing any more of
    /// how far it is: it may have been started anew, from an older state.
    pub fn connected(&mut self, host: usize, identity: u64, now: Instant) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.connected(identity);
        }
        self.judge(now);
    }

    /// The connection is lost, and another is tried at once. That alone makes no primary less of one.
    pub fn lost(&mut self, host: usize, now: Instant) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.forget_position();
        }
        self.judge(now);
    }

    /// There is no connection to be had, or no answer. `gone`: nobody is there, or PostgreSQL itself says that it is not up, so that
    /// whatever it claimed it claims no longer.
    pub fn failed(&mut self, host: usize, why: String, gone: bool, now: Instant) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.failed(why, gone);
        }
        self.judge(now);
    }

    /// A host has answered. An answer to an older question than the last one is passed over.
    pub fn answered(&mut self, host: usize, answer: Answer, now: Instant) {
        let Some(said) = self.hosts.get_mut(host) else { return };
        if !said.answered(answer, now) {
            return;
        }
        self.patience.get_or_insert(now + FIRST_WORDS);
        let writes = |reign: &Reign| reign.host == host && !answer.standby && reign.timeline == answer.timeline;
        if let (Some(lsn), true) = (answer.lsn, self.confirmed && self.last.as_ref().is_some_and(writes)) {
            self.samples.add(answer.number, lsn, now);
        }
        self.judge(now);
    }

    /// Whether this host, which has just answered so, is to flush what it has written: it is the confirmed primary and does not do it by itself.
    /// `awaited`: a read has been kept from replicas since the last answer.
    pub fn must_flush(&mut self, host: usize, answer: &Answer, awaited: bool, now: Instant) -> bool {
        let is_primary = self.confirmed && self.last.is_some_and(|reign| reign.host == host);
        match (answer.lsn, answer.flushed) {
            (Some(written), Some(flushed)) if is_primary => self.standstill.look(written, flushed, awaited, now),
            _ => false,
        }
    }

    /// The primary has not flushed in time.
    pub fn flush_hangs(&mut self) {
        self.standstill.hangs();
    }

    /// Time has passed.
    pub fn judge(&mut self, now: Instant) {
        let identity = self.identity.or_else(|| self.common_identity(now));
        let states = self.claims(identity, now);
        let chosen = states.iter().position(|state| *state == Some(State::Primary));
        let reign = chosen.map(|host| Reign { host, timeline: self.hosts[host].timeline() });
        if let Some(reign) = reign {
            if self.last != Some(reign) {
                // What replicas have of the former one's says nothing of this one's.
                self.samples.clear();
                self.last = Some(reign);
            }
            if self.is_settled() {
                self.identity = identity;
            }
        }
        self.confirmed = reign.is_some();
        self.take_first_sample();
        self.judge_standbys(&states, now);
    }

    /// What a new primary has said last is its first sample: it may be confirmed by another host's answer, and never answer again.
    fn take_first_sample(&mut self) {
        if let Some(reign) = self.last.filter(|_| self.confirmed && self.samples.is_empty())
            && let Some((number, lsn, at)) = self.hosts.get(reign.host).and_then(|host| host.position())
        {
            self.samples.add(number, lsn, at);
        }
    }

    /// Whether what the hosts say together of which cluster is meant counts for good: who is configured to be the primary has said it too, or most
    /// have said the same.
    fn is_settled(&self) -> bool {
        let said = |host: &&Host| host.identity.is_some();
        let waits = self.hosts.iter().any(|host| host.claim == Some(Role::Primary) && host.identity.is_none());
        !waits || self.hosts.iter().filter(said).count() * 2 > self.hosts.len()
    }

    /// What all hosts have in common, as far as that is certain, while no primary has ever been confirmed.
    fn common_identity(&self, now: Instant) -> Option<u64> {
        let known: Vec<u64> = self.hosts.iter().filter_map(|host| host.identity).collect();
        let first = *known.first()?;
        if known.iter().all(|identity| *identity == first) {
            return Some(first);
        }
        let mut claimed =
            self.hosts.iter().filter(|host| host.claim == Some(Role::Primary)).filter_map(|host| host.identity);
        if let Some(identity) = claimed.next() {
            return claimed.all(|other| other == identity).then_some(identity);
        }
        let is_majority =
            |identity: &&u64| known.iter().filter(|other| other == identity).count() * 2 > self.hosts.len();
        known.iter().find(is_majority).copied().filter(|_| self.all_are_heard(now))
    }

    fn all_are_heard(&self, now: Instant) -> bool {
        self.last.is_some()
            || self.patience.is_some_and(|until| now >= until)
            || self.hosts.iter().all(|host| host.is_heard())
    }

    /// What becomes of each host that claims to be the primary, or does not belong here.
    fn claims(&self, identity: Option<u64>, now: Instant) -> Vec<Option<State>> {
        let ours = |host: &Host| identity.is_some() && host.identity == identity;
        let highest = self.hosts.iter().filter(|host| ours(host)).filter_map(|host| host.highest).max();
        let claimants: Vec<&Host> = self.hosts.iter().filter(|host| ours(host) && host.claims()).collect();
        let unreadable = claimants.iter().any(|host| host.timeline().is_none());
        let is_known = highest.is_some();
        let at_the_top = claimants.iter().filter(|host| host.timeline() == highest).count();
        let judged = |host: &Host| {
            if host.identity.is_some() && !ours(host) {
                return Some(State::Fenced(Why::Foreign));
            }
            if !ours(host) || !host.claims() {
                return None;
            }
            Some(match claimants.len() {
                _ if unreadable && (claimants.len() > 1 || is_known) => State::Fenced(Why::TimelineUnknown),
                _ if host.timeline() < highest => State::Fenced(Why::OlderTimeline),
                _ if at_the_top > 1 => State::Fenced(Why::Contested),
                _ if !host.is_up_and_recent(now, self.recent()) => State::Down,
                _ if !self.all_are_heard(now) => State::Claiming,
                _ => State::Primary,
            })
        };
        self.hosts.iter().map(judged).collect()
    }

    /// Gives every host its state, and each replica that may be used its number.
    fn judge_standbys(&mut self, claims: &[Option<State>], now: Instant) {
        let (reign, recent) = (self.last, self.recent());
        let mut fit = Vec::new();
        for (at, host) in self.hosts.iter_mut().enumerate() {
            // A former primary that is in recovery now is measured by nobody's word but its own.
            let is_own = reign.is_some_and(|reign| reign.host == at);
            host.measure((!is_own).then_some(&self.samples));
            if claims.get(at).copied().flatten().is_some() {
                continue;
            }
            match host.unfit(reign.map(|reign| reign.timeline), now, recent) {
                None if host.lag(&self.samples, now) > Some(self.measure.max_replica_lag) => {
                    fit.push((at, Some(Why::Lag)))
                }
                None => fit.push((at, host.rests(now).then_some(Why::Resting))),
                Some(state) => host.become_state(state, now),
            }
        }
        for (host, claim) in self.hosts.iter_mut().zip(claims) {
            if let Some(state) = claim {
                host.become_state(*state, now);
            }
        }
        // Somebody must serve reads where the primary cannot: the one that is least behind.
        let needed = !self.confirmed && fit.iter().all(|(_, against)| against.is_some());
        let best = fit.iter().map(|(at, _)| *at).filter(|_| needed).max_by_key(|at| self.hosts[*at].replayed());
        for (at, against) in fit {
            let against = against.filter(|_| best != Some(at));
            self.hosts[at].become_state(against.map_or(State::Ready, State::Ejected), now);
        }
    }

    /// For the router.
    pub fn view(&self, now: Instant) -> ClusterView {
        let view = |host: &Host| HostView {
            role: host.role(now, self.recent()),
            weight: host.weight,
            eligible: host.state() == State::Ready,
            fenced: matches!(host.state(), State::Fenced(_)),
        };
        let primary = self.last.filter(|_| self.confirmed).map(|reign| reign.host);
        ClusterView { hosts: self.hosts.iter().map(view).collect(), primary }
    }

    /// For `router::Freshness`: the greatest number of a question of whose answer by the primary this host has replayed everything.
    /// 0 for one that may not be used.
    pub fn covers(&self, host: usize) -> u64 {
        self.hosts.get(host).filter(|host| host.state() == State::Ready).map_or(0, |host| host.covered())
    }

    /// What is known of each.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// How far behind a host is, in time: the age of the oldest position of the primary that it has not replayed; and in bytes.
    /// `None`: it is not known, as for whoever is no replica.
    pub fn lag(&self, host: usize, now: Instant) -> Option<(Duration, u64)> {
        let host = self.hosts.get(host)?;
        let lag = host.lag(&self.samples, now)?;
        Some((lag, self.samples.newest()?.saturating_sub(host.replayed()?)))
    }

    /// The primary that is confirmed, or was last.
    pub fn last_primary(&self) -> Option<usize> {
        self.last.map(|reign| reign.host)
    }
}

#[cfg(test)]
mod tests;
