//! The decision for one request: rules in their order, the first that answers wins.

use super::{ClusterView, Fence, Freshness, Reason, Wish};
use crate::sql::Verdict;

/// The block that a request begins, or stands alone in front of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Block {
    /// It stands for itself.
    #[default]
    None,
    /// One that only reads, at an isolation that a replica knows.
    ReadOnly,
    /// One that may write and has done nothing yet that must be there: the request runs outside of it, as nothing of it depends on the
    /// block, and each of its statements sees what is committed by then.
    Apart,
    /// Any other.
    Other,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Of the request's strictest statement.
    pub verdict: Verdict,
    /// Around it.
    pub block: Block,
    /// Its transaction would be serializable without a word, which no replica can do.
    pub serializable: bool,
    /// What its client must see.
    pub fence: &'a Fence,
    /// What others have written and it must see, as [`Fences::height`](super::Fences::height) tells.
    pub height: u64,
    /// A position in the write-ahead log that it must see, of [`lsn`](super::lsn); 0: none.
    pub after: u64,
    /// Where it is asked to run, and what that counts as.
    pub wish: Option<(Wish, Reason)>,
    /// Drawn at random for each request.
    pub draw: u64,
}

/// A replica that may run one request: made nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// Small, as a plan is a part of every client's task.
pub struct ReplicaSafe(u16);

impl ReplicaSafe {
    /// Index into [`ClusterView::hosts`], and of the pool's lane.
    pub fn host(self) -> usize {
        self.0.into()
    }
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The primary, whichever that is.
    Primary,
    /// This replica.
    Replica(ReplicaSafe),
}

/// The router's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Where to.
    pub to: To,
    /// Why.
    pub reason: Reason,
}

/// What a host is to a request, in the order of [`kinds`].
const ROLES: [&str; 2] = ["primary", "replica"];

/// What the plans of each kind say, as role and reason, in the order of [`Plan::kind`].
pub fn kinds() -> impl Iterator<Item = (&'static str, Reason)> {
    ROLES.into_iter().flat_map(|role| Reason::ALL.map(|reason| (role, reason)))
}

impl Plan {
    /// Its kind, as it is counted: a place in [`kinds`].
    pub fn kind(self) -> usize {
        let role = usize::from(matches!(self.to, To::Replica(_)));
        role * Reason::ALL.len() + self.reason as usize
    }

    /// The plan where there is nothing to choose from.
    pub const SINGLE: Self = Self { to: To::Primary, reason: Reason::Single };

    /// The plan of a client that is kept to its server: that of the primary, which alone keeps one.
    pub const PINNED: Self = Self { to: To::Primary, reason: Reason::Pinned };

    /// The plan of a request that a replica has not answered.
    pub const RETRY: Self = Self { to: To::Primary, reason: Reason::Retry };

    /// The plan of a request for which replicas have no server.
    pub const TURNED: Self = Self { to: To::Primary, reason: Reason::NoReplica };

    fn primary(reason: Reason) -> Self {
        Self { to: To::Primary, reason }
    }
}

/// Decides for one request. `load` is how much is under way at a host.
pub fn decide(view: &ClusterView, freshness: &Freshness, ask: &Ask<'_>, load: impl Fn(usize) -> usize) -> Plan {
    let blocked = ask.block == Block::Other || ask.serializable;
    let against = Reason::against(ask.verdict);
    let of_itself = matches!(against, Some(Reason::Node | Reason::Catalog));
    let named = ask.wish.filter(|(wish, _)| of_itself && matches!(wish, Wish::Host(_)));
    if let Some(reason) = against.filter(|_| named.is_none()).or(blocked.then_some(Reason::Transaction)) {
        return Plan::primary(reason);
    }
    let is_able = |host: usize| view.hosts.get(host).is_some_and(|host| host.eligible);
    let takes_reads = |host: usize| is_able(host) && view.hosts.get(host).is_some_and(|host| host.weight > 0);
    let is_fresh = |host: usize| is_fresh(host, freshness, ask).is_some();
    let able = || (0..view.hosts.len()).filter(|host| takes_reads(*host));
    let fresh = || able().filter(|host| is_fresh(*host));
    let chosen = match ask.wish {
        Some((Wish::Primary, by)) => return Plan::primary(by),
        Some((Wish::Host(host), by)) if view.primary == Some(host) => return Plan::primary(by),
        // Also one that gets no reads by itself.
        Some((Wish::Host(host), by)) if is_able(host) && is_fresh(host) => Some((host, by)),
        Some((Wish::Replica { stale: true }, by)) => choose(view, able, ask.draw, load).zip(Some(by)),
        Some((Wish::Replica { stale: false }, by)) => choose(view, fresh, ask.draw, load).zip(Some(by)),
        // It cannot be granted.
        Some((Wish::Host(_), _)) if of_itself => return Plan::primary(against.unwrap_or(Reason::Node)),
        Some((Wish::Host(_), _)) | None => choose(view, fresh, ask.draw, load).zip(Some(Reason::Read)),
    };
    let chosen = chosen.and_then(|(host, by)| Some((ReplicaSafe(u16::try_from(host).ok()?), by)));
    match chosen {
        // What was asked above may have changed meanwhile: who holds to a life asks again.
        Some((replica, reason)) => Plan { to: To::Replica(replica), reason },
        None if able().next().is_some() => Plan::primary(Reason::Fresh),
        None => Plan::primary(Reason::NoReplica),
    }
}

/// Whether a host has all that must be seen, and in which of its lives.
pub fn is_fresh(host: usize, freshness: &Freshness, ask: &Ask<'_>) -> Option<u64> {
    // In this order: should the life end in between, whoever holds to it finds out.
    let life = freshness.life(host);
    let covers = freshness.covers(host);
    let allowed = ask.fence.allows(host, life, covers, ask.height) && freshness.replayed(host) >= ask.after;
    allowed.then_some(life)
}

/// The less loaded, by weight, of two drawn at random.
fn choose<I: Iterator<Item = usize>>(
    view: &ClusterView,
    hosts: impl Fn() -> I,
    draw: u64,
    load: impl Fn(usize) -> usize,
) -> Option<usize> {
    let count = hosts().count();
    let pick = |draw: u64, among: usize| usize::try_from(draw % (among as u64).max(1)).unwrap_or(0);
    let first = pick(draw >> 32, count);
    let one = hosts().nth(first)?;
    // The monitor goes on meanwhile: there may be more of them now, or fewer.
    let Some(others) = count.checked_sub(1).filter(|others| *others > 0) else { return Some(one) };
    let second = (first + 1 + pick(draw & 0xffff_ffff, others)) % count;
    let Some(other) = hosts().nth(second) else { return Some(one) };
    let weight = |host: usize| view.hosts.get(host).map_or(1, |host| u64::from(host.weight));
    // What one more request would weigh there, without a division.
    let weighs = |host: usize, against: usize| (load(host) as u64 + 1).saturating_mul(weight(against));
    Some(if weighs(other, one) < weighs(one, other) { other } else { one })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_host_that_becomes_fresh_between_two_looks_is_chosen() {
        let looks = Cell::new(0);
        let hosts = || {
            looks.set(looks.get() + 1);
            (0..3).take(if looks.get() == 1 { 0 } else { 1 })
        };
        assert_eq!(choose(&ClusterView::fixed([]), hosts, 1 << 32, |_| 0), Some(0));
    }
}
